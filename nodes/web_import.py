"""From a request to nodes: what is pasted or dropped on the canvas becomes a plan that the page lays out.

A plan is plain JSON: nodes with a column and widget values by name, links by the names of slots, and the
texts of what could not be mapped. The page builds the nodes; nothing here knows LiteGraph.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base.errors import ImgOpenError
from ..base.log import scrub_link
from .tables import CONTROLNET_APPLY, GENERATE
from .unit_fields import all_modules
from .workflow_values import NodeValues, request_values, unit_values

if TYPE_CHECKING:
    from ..api.request import Request
    from ..controlnet.unit import ControlNetUnit

# Brings a picture (data URL, base64 or signed link) into the host's input folder and returns its name there.
Keep = Callable[[str], str]

# Keys of a unit that hold pictures, by the socket they would be wired to.
_UNIT_PICTURES = {
    "image": ("image", "image_link", "input_image"),
    "mask": ("mask", "mask_image"),
    "effective_region_mask": ("effective_region_mask",),
}


@dataclass
class Plan:
    """What the page is to build. Columns count from the left."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def node(self, key: str, kind: str, column: int, values: NodeValues) -> str:
        """Add a node; returns its key. With its notes the node copies back as exactly this request."""
        entry = {"key": key, "type": kind, "column": column, "widgets": values.widgets, "notes": values.notes}
        self.nodes.append(entry)
        return key

    def link(self, source: str, output: str, target: str, entry: str) -> None:
        """Wire a named output to a named input."""
        self.links.append([source, output, target, entry])


def request_plan(
    request: Request, notices: list[str], keep: Keep, *, profile: str = "", run_on: str = "remote"
) -> Plan:
    """The nodes of one request: pictures, units, Generate and a preview.

    Args:
        request: as `api.convert` read it.
        notices: what reading it could not map; they and this function's own end up in the plan.
        keep: see `Keep`; what it raises becomes a notice.
        profile: of the Generate node; empty: the node's own default.
        run_on: of the Generate node.
    """
    from ..api.request import UNSET

    plan = Plan(notices=list(notices))
    if request.id_task:
        plan.notices.append(f"id_task {request.id_task} was left out: every run gets an id of its own.")
    files: dict[str, str] = {}
    bare = request.replace(id_task=UNSET)
    for name, link in (("image_link", request.init_image), ("mask_link", request.init_mask)):
        if link:
            shown, files[name] = _picture(plan, link, name, keep)
            bare = bare.replace(**{name: shown or UNSET})
    made = request_values(bare.with_units([]) if request.units else bare, GENERATE)
    before = ""
    for number, unit in enumerate(request.units):
        before = _unit(plan, unit, number, before, keep)
    _name_kept(plan, "the request", made)
    key = plan.node("main", GENERATE.id, 2, made)
    made.widgets["run_on"] = run_on
    if profile:
        made.widgets["profile"] = profile
    if before:
        plan.link(before, "units", key, "units")
    for name, socket in (("image_link", "init_image"), ("mask_link", "init_mask")):
        _load(plan, f"{key}_{socket}", files.get(name, ""), key, socket, mask=socket == "init_mask")
    plan.node("preview", "PreviewImage", 3, NodeValues())
    plan.link(key, "images", "preview", "images")
    return plan


def is_web_ui(text: str) -> bool:
    """Whether a text was meant for the web UI on the user's own machine, and not for a server of the API."""
    from ..api.convert_webui import looks_like_webui

    if not text.lstrip().startswith(("{", "[")):
        return "AIGCImgOpenServ" not in text
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and looks_like_webui(value)


def _unit(plan: Plan, unit: ControlNetUnit, number: int, before: str, keep: Keep) -> str:
    """One unit's node, its pictures and its place in the chain; returns its key."""
    from ..controlnet.unit import ControlNetUnit

    files: dict[str, str] = {}
    wire = unit.to_wire()
    for socket, names in _UNIT_PICTURES.items():
        link = getattr(unit, socket)
        if link:
            shown, files[socket] = _picture(plan, link, f"{socket} of unit {number + 1}", keep)
            for name in names:
                wire.pop(name, None)
            if shown:
                wire["image_link" if socket == "image" else socket] = shown
    made = unit_values(ControlNetUnit.from_wire(wire))
    label = unit.spec.label
    if made.widgets.get("module") != label and label in all_modules():
        made.widgets["module"] = label
    _name_kept(plan, f"unit {number + 1}", made)
    key = plan.node(f"unit{number}", CONTROLNET_APPLY.id, 1, made)
    if before:
        plan.link(before, "units", key, "units")
    for socket, file in files.items():
        _load(plan, f"{key}_{socket}", file, key, socket, mask=socket != "image")
    return key


def _name_kept(plan: Plan, what: str, made: NodeValues) -> None:
    """Say which fields have no widget and went to extra_json."""
    patch: Mapping[str, Any] = json.loads(made.widgets.get("extra_json") or "{}")
    names = [name for name in patch if name != "alwayson_scripts"]
    names += list(patch.get("alwayson_scripts") or {})
    if names:
        plan.notices.append(f"{what}: kept in extra_json, no widget holds it: {', '.join(names)}.")


def _picture(plan: Plan, link: str, what: str, keep: Keep) -> tuple[str, str]:
    """(link for a widget, name of a file to load); one of them is empty, both when the picture is lost.

    A link with a signature is fetched now: it would soon be worth nothing, and a workflow must not carry it.
    """
    plain = link.startswith(("http://", "https://"))
    if plain and scrub_link(link) == link:
        return link, ""
    try:
        return "", keep(link)
    except ImgOpenError as error:
        plan.notices.append(f"{what}: the picture could not be taken over. {error.message}")
        return (scrub_link(link).removesuffix("?***") if plain else ""), ""


def _load(plan: Plan, key: str, file: str, target: str, entry: str, *, mask: bool) -> None:
    """A node that loads a file of the input folder. White is 1 in a mask: the red channel, not alpha."""
    if not file:
        return
    if mask:
        plan.node(key, "LoadImageMask", 0, NodeValues({"image": file, "channel": "red"}))
        plan.link(key, "MASK", target, entry)
    else:
        plan.node(key, "LoadImage", 0, NodeValues({"image": file}))
        plan.link(key, "IMAGE", target, entry)
