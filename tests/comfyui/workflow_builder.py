"""Lays nodes out on a canvas workflow, widget values by name; the pack's nodes come from its own tables."""

from __future__ import annotations

from typing import Any

from img_open.nodes.fields import Field
from img_open.nodes.local_tables import LOCAL
from img_open.nodes.pose_tables import POSE_RENDER
from img_open.nodes.tables import CONTROLNET_APPLY, GENERATE

Slot = tuple["Node", int]

TABLES = {table.id: table for table in (CONTROLNET_APPLY, GENERATE, *LOCAL, POSE_RENDER)}
KINDS = {"int": "INT", "float": "FLOAT", "bool": "BOOLEAN", "combo": "COMBO"}
# ComfyUI's own nodes: inputs, then outputs. A default makes an input a widget; EXTRA are the widgets that the
# front-end adds by itself, which take a place among the values.
CORE: dict[str, tuple[list[tuple[Any, ...]], list[str]]] = {
    "LoadImage": ([("image", "COMBO", "example.png")], ["IMAGE", "MASK"]),
    "LoadVideo": ([("file", "COMBO", "clip.mp4")], ["VIDEO"]),
    "GetVideoComponents": ([("video", "VIDEO")], ["IMAGE", "AUDIO", "FLOAT"]),
    "CreateVideo": ([("images", "IMAGE"), ("audio", "AUDIO"), ("fps", "FLOAT", 30.0)], ["VIDEO"]),
    "SaveVideo": (
        [
            ("video", "VIDEO"),
            ("filename_prefix", "STRING", "video/img-open"),
            ("format", "COMBO", "auto"),
            ("codec", "COMBO", "auto"),
        ],
        [],
    ),
    "CheckpointLoaderSimple": (
        [("ckpt_name", "COMBO", "v1-5-pruned-emaonly-fp16.safetensors")],
        ["MODEL", "CLIP", "VAE"],
    ),
    "ControlNetLoader": (
        [("control_net_name", "COMBO", "control_v11p_sd15_canny_fp16.safetensors")],
        ["CONTROL_NET"],
    ),
    "CLIPTextEncode": ([("clip", "CLIP"), ("text", "STRING", "")], ["CONDITIONING"]),
    "VAEEncode": ([("pixels", "IMAGE"), ("vae", "VAE")], ["LATENT"]),
    "VAEDecode": ([("samples", "LATENT"), ("vae", "VAE")], ["IMAGE"]),
    "KSampler": (
        [
            ("model", "MODEL"),
            ("positive", "CONDITIONING"),
            ("negative", "CONDITIONING"),
            ("latent_image", "LATENT"),
            ("seed", "INT", 1221212),
            ("steps", "INT", 20),
            ("cfg", "FLOAT", 7.0),
            ("sampler_name", "COMBO", "dpmpp_2m"),
            ("scheduler", "COMBO", "karras"),
            ("denoise", "FLOAT", 1.0),
        ],
        ["LATENT"],
    ),
    "JoinImageWithAlpha": ([("image", "IMAGE"), ("alpha", "MASK")], ["IMAGE"]),
    "SaveImage": ([("images", "IMAGE"), ("filename_prefix", "STRING", "img-open")], []),
    "PreviewImage": ([("images", "IMAGE")], []),
    "PreviewAny": ([("source", "*")], []),
    "MarkdownNote": ([], []),
}
EXTRA = {("LoadImage", "image"): "image", ("LoadVideo", "file"): "image", ("KSampler", "seed"): "fixed"}

# Combos with a fixed list; what the host or the machine lists is not checked here.
OFFERED = {
    (table.id, each.id): each.choices()
    for table in TABLES.values()
    for each in table.inputs
    if each.kind == "combo" and each.id != "profile"
}

Node = dict[str, Any]


class Canvas:
    """One workflow in the making."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.links: list[list[Any]] = []

    def note(self, text: str, size: tuple[int, int]) -> None:
        """The note that says what the workflow shows, at the upper left."""
        node = self.add("MarkdownNote", (0, 0), size)
        node["widgets_values"] = [text]
        node |= {"color": "#432", "bgcolor": "#653"}
        node["properties"] = {}

    def add(self, kind: str, at: tuple[int, int], size: tuple[int, int], **given: Any) -> Node:
        """A node; what is given is a widget's value, or a (node, output) pair for a wire.

        Raises:
            ValueError: no such input, or a value that the combo does not offer.
        """
        inputs, outputs, values = _declared(kind, given)
        node: Node = {
            "id": len(self.nodes) + 1,
            "type": kind,
            "pos": list(at),
            "size": list(size),
            "flags": {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": kind},
            "widgets_values": values,
        }
        for slot, each in enumerate(inputs):
            if isinstance(wire := given.get(each["name"]), tuple):
                self._wire(wire, node, slot)
        self.nodes.append(node)
        return node

    def _wire(self, source: Slot, node: Node, slot: int) -> None:
        number = len(self.links) + 1
        output = source[0]["outputs"][source[1]]
        node["inputs"][slot]["link"] = number
        output["links"].append(number)
        self.links.append([number, source[0]["id"], source[1], node["id"], slot, output["type"]])

    def workflow(self) -> dict[str, Any]:
        """What the canvas would save."""
        return {
            "id": "00000000-0000-0000-0000-000000000000",
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }


def _declared(kind: str, given: dict[str, Any]) -> tuple[list[Node], list[Node], list[Any]]:
    """Input slots, output slots and widget values, in the order of the front-end: required inputs first."""
    rows, outputs = _own(kind) if kind in TABLES else _core(kind)
    if unknown := set(given) - {name for name, *_ in rows}:
        raise ValueError(f"{kind} has no input {', '.join(sorted(unknown))}.")
    slots: list[Node] = []
    values: list[Any] = []
    for name, type_, *default in rows:
        slot: Node = {"localized_name": name, "name": name, "type": type_, "link": None}
        slots.append(slot | {"widget": {"name": name}} if default else slot)
        if default:
            value = given.get(name, default[0])
            value = default[0] if isinstance(value, tuple) else value
            if (choices := OFFERED.get((kind, name))) and value not in choices:
                raise ValueError(f"{kind}: {name} does not offer {value!r}.")
            values.append(value)
            if (kind, name) in EXTRA:
                values.append(EXTRA[kind, name])
    return slots, outputs, values


def _own(kind: str) -> tuple[list[tuple[Any, ...]], list[Node]]:
    table = TABLES[kind]
    fields = sorted(table.inputs, key=lambda each: not each.required)
    return [_row(each) for each in fields], [_output(out.name, out.socket) for out in table.outputs]


def _row(each: Field) -> tuple[Any, ...]:
    type_ = each.socket or KINDS.get(each.kind, "STRING")
    return (each.id, type_) if each.kind == "socket" else (each.id, type_, each.default)


def _core(kind: str) -> tuple[list[tuple[Any, ...]], list[Node]]:
    rows, outputs = CORE[kind]
    return rows, [_output(name, name) for name in outputs]


def _output(name: str, type_: str) -> Node:
    return {"localized_name": name, "name": name, "type": type_, "links": []}
