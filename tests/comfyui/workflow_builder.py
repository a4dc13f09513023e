"""Lays nodes out on a canvas workflow, widget values by name; the pack's nodes come from its own tables."""

from __future__ import annotations

import re
from typing import Any

from img_open.nodes.fields import Field
from img_open.nodes.published import NODES
from workflow_layout import COLUMN_GAP, GROUP_EDGE, GROUP_TITLE, ROW_GAP, TITLE, size_of

Slot = tuple["Node", int]

TABLES = {table.id: table for table in NODES}
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
    "EmptyLatentImage": (
        [("width", "INT", 512), ("height", "INT", 512), ("batch_size", "INT", 1)],
        ["LATENT"],
    ),
    "SamplerCustomAdvanced": (
        [
            ("noise", "NOISE"),
            ("guider", "GUIDER"),
            ("sampler", "SAMPLER"),
            ("sigmas", "SIGMAS"),
            ("latent_image", "LATENT"),
        ],
        ["LATENT", "LATENT"],
    ),
    "LoadImageMask": ([("image", "COMBO", "example.png"), ("channel", "COMBO", "red")], ["MASK"]),
    "ThresholdMask": ([("mask", "MASK"), ("value", "FLOAT", 0.5)], ["MASK"]),
    "SolidMask": ([("value", "FLOAT", 1.0), ("width", "INT", 512), ("height", "INT", 512)], ["MASK"]),
    "MaskComposite": (
        [
            ("destination", "MASK"),
            ("source", "MASK"),
            ("x", "INT", 0),
            ("y", "INT", 0),
            ("operation", "COMBO", "add"),
        ],
        ["MASK"],
    ),
    "JoinImageWithAlpha": ([("image", "IMAGE"), ("alpha", "MASK")], ["IMAGE"]),
    "SaveImage": ([("images", "IMAGE"), ("filename_prefix", "STRING", "img-open")], []),
    "PreviewImage": ([("images", "IMAGE")], []),
    "PreviewAny": ([("source", "*")], []),
    "MarkdownNote": ([], []),
}
EXTRA = {
    ("LoadImage", "image"): "image",
    ("LoadImageMask", "channel"): "image",
    ("LoadVideo", "file"): "image",
    ("KSampler", "seed"): "fixed",
}
TEXTS = {"CLIPTextEncode": 1}  # ComfyUI's own nodes with boxes of several lines
COLOURS = {"input": "#3f789e", "map": "#8a5fa8", "generate": "#a1683a", "result": "#4f8a4f"}

_CONTROL = "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors"
_KINDS = (
    "11p_sd15_canny", "11p_sd15_lineart", "11p_sd15s2_lineart_anime", "11p_sd15_openpose",
    "11p_sd15_scribble", "11p_sd15_seg", "11f1p_sd15_depth", "11f1e_sd15_tile",
)  # fmt: skip
# File: folder of the host's models, address.
MODELS = {
    "v1-5-pruned-emaonly-fp16.safetensors": (
        "checkpoints",
        "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"
        "v1-5-pruned-emaonly-fp16.safetensors",
    )
} | {
    f"control_v{kind}_fp16.safetensors": (
        "controlnet",
        f"{_CONTROL}/resolve/main/control_v{kind}_fp16.safetensors",
    )
    for kind in _KINDS
}
MODELS |= {
    "ioclab_sd15_recolor.safetensors": (
        "controlnet",
        "https://huggingface.co/lllyasviel/sd_control_collection/resolve/main/ioclab_sd15_recolor.safetensors",
    ),
    "anything-v5.safetensors": (
        "checkpoints",
        "https://huggingface.co/genai-archive/anything-v5/resolve/main/anything-v5.safetensors",
    ),
    "Realistic_Vision_V5.1_fp16-no-ema.safetensors": (
        "checkpoints",
        "https://huggingface.co/SG161222/Realistic_Vision_V5.1_noVAE/resolve/main/"
        "Realistic_Vision_V5.1_fp16-no-ema.safetensors",
    ),
}

# Combos with a fixed list; what the host or the machine lists is not checked here.
OFFERED = {
    (table.id, each.id): each.choices()
    for table in TABLES.values()
    for each in table.inputs
    if each.kind == "combo" and each.id != "profile"
}

Node = dict[str, Any]


class Canvas:
    """One workflow in the making: a note, then groups from left to right, each of columns of nodes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.links: list[list[Any]] = []
        self.groups: list[tuple[str, str, list[Node]]] = []
        self._left = self._down = self._right = 0

    def note(self, text: str) -> None:
        """The note that says what the workflow shows, left of everything; `workflow` adds the models."""
        node = self.add("MarkdownNote", size=(440, 0))
        node["widgets_values"] = [text]
        node |= {"color": "#432", "bgcolor": "#653"}
        node["properties"] = {}

    def _finish_note(self) -> None:
        """List the models that the nodes name, with their addresses, and make room for the text."""
        rows = [row for node in self.nodes for row in node["properties"].get("models", [])]
        lines = [f"- [{row['name']}]({row['url']}) → `models/{row['directory']}`" for row in rows]
        text = self.nodes[0]["widgets_values"][0]
        if lines:
            text += "\n\n**Models · 模型**\n\n" + "\n".join(dict.fromkeys(lines))
        if any("/ControlNet-v1-1" in line for line in lines):
            text += "\n- [ControlNet 1.1](https://huggingface.co/lllyasviel/ControlNet-v1-1)"
        shown = re.sub(r"\]\([^)]*\)", "]", text).split("\n")
        self.nodes[0]["size"][1] = 70 + sum(8 + 24 * (1 + _columns(line) // 46) for line in shown if line)
        self.nodes[0]["widgets_values"] = [text]

    def group(self, title: str, colour: str, top: int = 0) -> None:
        """Begin a group, and its first column at height `top`; `colour` is a key of COLOURS."""
        self.groups.append((f"{len(self.groups) + 1} {title}", COLOURS[colour], []))
        self.column(top, 2 * GROUP_EDGE if self._right else 0)

    def column(self, top: int = 0, further: int = 0) -> None:
        """Begin a column. What wires pass over starts lower than the nodes that they join."""
        if self._right:
            self._left = self._right + COLUMN_GAP + further
        self._down = top

    def add(
        self,
        kind: str,
        size: tuple[int, int] | None = None,
        title: str = "",
        top: int | None = None,
        **given: Any,
    ) -> Node:
        """A node below the last one, or at height `top`.

        What is given is a widget's value, or a (node, output) pair for a wire.

        Raises:
            ValueError: no such input, or a value that the combo does not offer.
        """
        inputs, outputs, values = _declared(kind, given)
        plain = sum("widget" not in each for each in inputs)
        self._down = self._down if top is None else top
        width, height = size or size_of(kind, plain, len(outputs), len(values), _texts(kind))
        node: Node = {
            "id": len(self.nodes) + 1,
            "type": kind,
            "pos": [self._left, self._down],
            "size": [width, height],
            "flags": {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": kind, **downloads(values)},
            "widgets_values": values,
        }
        if title:
            node["title"] = title
        for slot, each in enumerate(inputs):
            if isinstance(wire := given.get(each["name"]), tuple):
                self._wire(wire, node, slot)
        self.nodes.append(node)
        if self.groups:
            self.groups[-1][2].append(node)
        self._right = max(self._right, self._left + width)
        self._down += height + ROW_GAP
        return node

    def _wire(self, source: Slot, node: Node, slot: int) -> None:
        number = len(self.links) + 1
        output = source[0]["outputs"][source[1]]
        node["inputs"][slot]["link"] = number
        output["links"].append(number)
        self.links.append([number, source[0]["id"], source[1], node["id"], slot, output["type"]])

    def workflow(self) -> dict[str, Any]:
        """What the canvas would save."""
        self._finish_note()
        return {
            "id": "00000000-0000-0000-0000-000000000000",
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [self._group(number, *row) for number, row in enumerate(self.groups, 1)],
            "config": {},
            "extra": {},
            "version": 0.4,
        }

    def _group(self, number: int, title: str, colour: str, nodes: list[Node]) -> Node:
        left = min(node["pos"][0] for node in nodes) - GROUP_EDGE
        top = min(node["pos"][1] for node in nodes) - TITLE - GROUP_TITLE
        right = max(node["pos"][0] + node["size"][0] for node in nodes) + GROUP_EDGE
        bottom = max(node["pos"][1] + node["size"][1] for node in nodes) + GROUP_EDGE
        bounding = [left, top, right - left, bottom - top]
        return {
            "id": number,
            "title": title,
            "bounding": bounding,
            "color": colour,
            "font_size": 24,
            "flags": {},
        }


def downloads(values: list[Any]) -> dict[str, Any]:
    """`properties.models` for the model files that a node names: the host offers to fetch what is missing."""
    rows = [
        {"name": name, "url": url, "directory": folder}
        for name, (folder, url) in MODELS.items()
        if name in values
    ]
    return {"models": rows} if rows else {}


def _columns(line: str) -> int:
    """A line's width; a Chinese character is as wide as two letters."""
    return sum(1 + (ord(letter) > 0x2E80) for letter in line)


def _texts(kind: str) -> int:
    return sum(each.kind == "text" for each in TABLES[kind].inputs) if kind in TABLES else TEXTS.get(kind, 0)


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
