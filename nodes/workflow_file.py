"""Workflow files: a request as a graph of the pack's nodes, in the API format or the canvas format, and back.

img-open convert REQUEST --to workflow     (API format, what POST /prompt takes)
img-open convert REQUEST --to canvas       (what the canvas saves and loads)
img-open convert WORKFLOW.json --to img-open   (either format is recognised)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..api.request import Request
from ..base.errors import InvalidRequest
from .fields import Field, NodeTable
from .tables import CONTROLNET_APPLY, GENERATE, REMOTE_SUBMIT
from .workflow_values import NodeValues, request_from, request_values, unit_from, unit_values

Workflow = dict[str, Any]
_SAVE = "SaveImage"
_META = "img_open"
_TABLES = {table.id: table for table in (CONTROLNET_APPLY, GENERATE, REMOTE_SUBMIT)}
_REQUEST_NODES = (GENERATE.id, REMOTE_SUBMIT.id)
_UNITS_OUTPUT = [out.name for out in CONTROLNET_APPLY.outputs].index("units")


def is_workflow(value: object) -> bool:
    """Whether a JSON value looks like a workflow file of either format."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("nodes"), list) and "links" in value:
        return True
    return bool(value) and all(isinstance(each, Mapping) and "class_type" in each for each in value.values())


def workflow_in(text: str) -> Mapping[str, Any] | None:
    """The workflow that a text is, or None if it is something else."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if is_workflow(value) else None


def to_workflow(request: Request) -> Workflow:
    """A request as a workflow in the API format: a node per unit, Generate, and Save Image."""
    graph: Workflow = {}
    before: list[Any] | None = None
    for number, unit in enumerate(request.units, 1):
        graph[str(number)] = _api_node(CONTROLNET_APPLY, unit_values(unit), units=before)
        before = [str(number), _UNITS_OUTPUT]
    main = str(len(graph) + 1)
    graph[main] = _api_node(GENERATE, request_values(request, GENERATE), units=before)
    graph[str(len(graph) + 1)] = {
        "class_type": _SAVE,
        "inputs": {"images": [main, 0], "filename_prefix": "img-open"},
        "_meta": {"title": "Save Image"},
    }
    return graph


def _api_node(table: NodeTable, values: NodeValues, units: list[Any] | None) -> dict[str, Any]:
    inputs = {each.id: each.default for each in table.inputs if each.kind != "socket"} | values.widgets
    if units is not None:
        inputs["units"] = units
    meta: dict[str, Any] = {"title": table.title}
    if values.notes:
        meta[_META] = {"notes": values.notes}
    return {"class_type": table.id, "inputs": inputs, "_meta": meta}


def to_canvas(request: Request) -> Workflow:
    """A request as a workflow in the canvas format, ready to be dropped on ComfyUI's canvas."""
    graph = to_workflow(request)
    nodes: list[dict[str, Any]] = []
    links: list[list[Any]] = []
    for order, (key, node) in enumerate(graph.items()):
        nodes.append(_canvas_node(int(key), order, node))
    by_id = {node["id"]: node for node in nodes}
    for key, node in graph.items():
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                _connect(links, by_id[int(value[0])], value[1], by_id[int(key)], name)
    return {
        "id": "00000000-0000-0000-0000-000000000000",
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _canvas_node(number: int, order: int, node: dict[str, Any]) -> dict[str, Any]:
    table = _TABLES.get(node["class_type"])
    if table is None:
        slots: list[dict[str, Any]] = [_slot("images", "IMAGE"), _slot("filename_prefix", "STRING", True)]
        values, outputs = [node["inputs"]["filename_prefix"]], []
    else:
        fields = sorted(table.inputs, key=lambda each: not each.required)
        slots = [_slot(each.id, _type(each), each.kind != "socket") for each in fields]
        values = [node["inputs"][each.id] for each in fields if each.kind != "socket"]
        outputs = [{"name": out.name, "type": out.socket, "links": []} for out in table.outputs]
    properties: dict[str, Any] = {"Node name for S&R": node["class_type"]}
    if _META in node["_meta"]:
        properties[_META] = node["_meta"][_META]
    return {
        "id": number,
        "type": node["class_type"],
        "pos": [order * 440, 0],
        "size": [400, 300 if table is None else 80 + 26 * len(values)],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": slots,
        "outputs": outputs,
        "properties": properties,
        "widgets_values": values,
    }


def _slot(name: str, kind: str, widget: bool = False) -> dict[str, Any]:
    slot: dict[str, Any] = {"localized_name": name, "name": name, "type": kind, "link": None}
    return slot | {"widget": {"name": name}} if widget else slot


def _type(each: Field) -> str:
    names = {"int": "INT", "float": "FLOAT", "bool": "BOOLEAN", "combo": "COMBO"}
    return each.socket or names.get(each.kind, "STRING")


def _connect(links: list[list[Any]], source: Any, output: int, target: Any, name: str) -> None:
    number = len(links) + 1
    slot = next(index for index, each in enumerate(target["inputs"]) if each["name"] == name)
    target["inputs"][slot]["link"] = number
    source["outputs"][output]["links"].append(number)
    links.append([number, source["id"], output, target["id"], slot, source["outputs"][output]["type"]])


def from_workflow(workflow: Mapping[str, Any], notices: list[str] | None = None) -> Request:
    """The request that a workflow's Generate or Remote Submit node would run.

    Args:
        workflow: of either format.
        notices: receives what a request cannot carry (pictures that come from other nodes).

    Raises:
        InvalidRequest: it has no such node, or several, or values that are no request.
    """
    said = notices if notices is not None else []
    nodes = _from_canvas(workflow) if isinstance(workflow.get("nodes"), list) else dict(workflow)
    found = [key for key, node in nodes.items() if node.get("class_type") in _REQUEST_NODES]
    if len(found) != 1:
        raise InvalidRequest(
            f"The workflow has {len(found)} nodes that carry a request (Generate or Remote Submit of "
            f"Img Open).",
            "It must have exactly one.",
        )
    node = nodes[found[0]]
    values = _values(node)
    for socket, widget in (("init_image", "image_link"), ("init_mask", "mask_link")):
        _take_link(nodes, node, socket, values, widget, said)
    units = [_unit(nodes, each, said) for each in _chain(nodes, node)]
    return request_from(values, _TABLES[node["class_type"]], units)


def _values(node: Mapping[str, Any]) -> NodeValues:
    widgets = {name: value for name, value in node["inputs"].items() if not isinstance(value, list)}
    known = {each.id for each in _TABLES[node["class_type"]].inputs}
    notes = ((node.get("_meta") or {}).get(_META) or {}).get("notes") or []
    return NodeValues({name: value for name, value in widgets.items() if name in known}, list(notes))


def _chain(nodes: Mapping[str, Any], node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The unit nodes before a node, first one first."""
    found: list[Mapping[str, Any]] = []
    link = node["inputs"].get("units")
    while isinstance(link, list) and str(link[0]) in nodes:
        each = nodes[str(link[0])]
        if each.get("class_type") != CONTROLNET_APPLY.id or each in found:
            raise InvalidRequest(
                f"The units come from a {each.get('class_type')} node.",
                "Wire ControlNet Unit (Img Open) nodes.",
            )
        found.insert(0, each)
        link = each["inputs"].get("units")
    return found


def _unit(nodes: Mapping[str, Any], node: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    values = _values(node)
    _take_link(nodes, node, "image", values, "image_link", said)
    return unit_from(values)


def _take_link(
    nodes: Mapping[str, Any],
    node: Mapping[str, Any],
    socket: str,
    values: NodeValues,
    widget: str,
    said: list[str],
) -> None:
    """A picture wired from a Picture from Link node is that link; others are not part of a request."""
    link = node["inputs"].get(socket)
    if not isinstance(link, list):
        return
    source = nodes.get(str(link[0]), {})
    if source.get("class_type") == "ImgOpenPicture" and isinstance(source["inputs"].get("link"), str):
        values.widgets[widget] = source["inputs"]["link"]
        return
    said.append(
        f"{socket}: comes from a {source.get('class_type', 'missing')} node of the workflow and was "
        f"left out; "
        f"a request takes links."
    )


def _from_canvas(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """The pack's nodes of a canvas workflow in the API format; others with their type and links alone."""
    sources: dict[Any, list[Any]] = {}
    for link in workflow.get("links") or []:
        row = [link["id"], link["origin_id"], link["origin_slot"]] if isinstance(link, Mapping) else link
        sources[row[0]] = [str(row[1]), row[2]]
    nodes: dict[str, Any] = {}
    for node in workflow["nodes"]:
        table = _TABLES.get(node.get("type"))
        values = (
            list(node.get("widgets_values") or []) if isinstance(node.get("widgets_values"), list) else []
        )
        names = ["link"] if node.get("type") == "ImgOpenPicture" else []
        if table is not None:
            fields = sorted(table.inputs, key=lambda each: not each.required)
            names = [each.id for each in fields if each.kind != "socket"]
        inputs: dict[str, Any] = dict(zip(names, values, strict=False))
        for slot in node.get("inputs") or []:
            if slot.get("link") in sources:
                inputs[slot["name"]] = sources[slot["link"]]
        properties = node.get("properties") or {}
        meta = {_META: properties[_META]} if _META in properties else {}
        nodes[str(node["id"])] = {"class_type": node.get("type"), "inputs": inputs, "_meta": meta}
    return nodes


def dumps(workflow: Workflow) -> str:
    """A workflow as text."""
    return json.dumps(workflow, ensure_ascii=False, indent=1)
