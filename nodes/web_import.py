"""From a request to nodes: what is pasted or dropped on the canvas becomes a plan that the page lays out.

A plan is plain JSON: nodes with a column and widget values by name, links by the names of slots, and the
texts of what could not be mapped. The page builds the nodes; nothing here knows LiteGraph.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base.errors import ImgOpenError, InvalidRequest
from ..base.log import scrub_link
from .fields import Field
from .request_fields import FILL_MODES, MASK_MODES, REQUEST, REQUEST_RESIZE_MODES
from .unit_fields import UNIT

if TYPE_CHECKING:
    from ..api.request import Request
    from ..controlnet.unit import ControlNetUnit

# Brings a picture (data URL, base64 or signed link) into the host's input folder and returns its name there.
Keep = Callable[[str], str]

_CHOICES = {
    "resize_mode": REQUEST_RESIZE_MODES,
    "inpainting_fill": FILL_MODES,
    "inpainting_mask_invert": MASK_MODES,
}
_UNSET = {"mask_blur_x": -1, "mask_blur_y": -1, "hr_upscaler": "", "image_cfg_scale": 0.0}
_UNIT_TEXTS = ("resize_mode", "control_mode", "hr_option", "union_control_type", "pulid_mode")
_NOT_FROM_UNIT = ("module", "model", "window_mode", "width", "height", "image_link", "extra_json")


@dataclass
class Plan:
    """What the page is to build. Columns count from the left."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def node(self, key: str, kind: str, column: int, widgets: Mapping[str, Any]) -> str:
        """Add a node; returns its key."""
        self.nodes.append({"key": key, "type": kind, "column": column, "widgets": dict(widgets)})
        return key

    def link(self, source: str, output: str, target: str, entry: str) -> None:
        """Wire a named output to a named input."""
        self.links.append([source, output, target, entry])


def request_plan(request: Request, notices: list[str], keep: Keep, profile: str = "") -> Plan:
    """The nodes of one request: pictures, units, Remote Submit and a preview.

    Args:
        request: as `api.convert` read it.
        notices: what reading it could not map; they and this function's own end up in the plan.
        keep: see `Keep`; what it raises becomes a notice.
        profile: of the Remote Submit node; empty: the node's own default.
    """
    plan = Plan(notices=list(notices))
    submit = _submit_values(request, plan)
    if profile:
        submit["profile"] = profile
    before = ""
    for number, unit in enumerate(request.units):
        before = _unit(plan, unit, number, before, keep)
    key = plan.node("submit", "ImgOpenRemoteSubmit", 2, submit)
    if before:
        plan.link(before, "units", key, "units")
    if request.init_image:
        link, file = _picture(plan, request.init_image, "image_link", keep)
        submit["image_link"] = link
        if file:
            _load(plan, "init_image", file, key, "init_image")
    if request.init_mask:
        link, file = _picture(plan, request.init_mask, "mask_link", keep)
        submit["mask_link"] = link
        if file:
            _load(plan, "init_mask", file, key, "init_mask", mask=True)
    plan.nodes[_index(plan, key)]["widgets"] = submit
    plan.node("preview", "PreviewImage", 3, {})
    plan.link(key, "images", "preview", "images")
    return plan


def _index(plan: Plan, key: str) -> int:
    return next(number for number, node in enumerate(plan.nodes) if node["key"] == key)


def _submit_values(request: Request, plan: Plan) -> dict[str, Any]:
    """Widget values of Remote Submit; what has no widget, or does not fit into one, goes to extra_json."""
    values: dict[str, Any] = {}
    patch: dict[str, Any] = {}
    for entry in REQUEST:
        if entry.id in _CHOICES:
            values[entry.id] = _choice(entry, int(getattr(request, entry.id)))
        elif entry.id in type(request).model_fields and entry.id != "alwayson_scripts":
            given = request.seed_number if entry.id == "seed" else getattr(request, entry.id)
            given = _UNSET.get(entry.id, entry.default) if given is None else given
            values[entry.id] = _fitted(entry, given)
            if values[entry.id] != given:
                patch[entry.id] = given
    settings = dict(request.override_settings)
    skip = settings.pop("CLIP_stop_at_last_layers", None)
    for name, taken in (("sd_model_checkpoint", request.checkpoint), ("sd_vae", request.vae)):
        values[name] = taken
        settings.pop(name, None)
    scripts = dict(request.alwayson_scripts.unknown())
    detailer = scripts.pop("ADetailer", None)
    values["clip_skip"] = int(skip or 0)
    values["override_settings"] = _json(settings)
    values["ADetailer"] = _json(detailer)
    values["output_image_format"] = request.output_format
    patch.update(request.unknown())
    if scripts:
        patch["alwayson_scripts"] = scripts
    if patch:
        names = [*(name for name in patch if name != "alwayson_scripts"), *scripts]
        plan.notices.append(f"Kept in extra_json, since the node has no widget for it: {', '.join(names)}.")
    values["extra_json"] = _json(patch)
    if request.id_task:
        plan.notices.append(f"id_task {request.id_task} was left out: every run gets an id of its own.")
    return values


def _unit(plan: Plan, unit: ControlNetUnit, number: int, before: str, keep: Keep) -> str:
    """One unit's node, its pictures and its place in the chain; returns its key."""
    values: dict[str, Any] = {"module": unit.spec.label, "model": "" if unit.model == "None" else unit.model}
    patch: dict[str, Any] = dict(unit.unknown_fields)
    for entry in UNIT:
        if entry.id in _NOT_FROM_UNIT:
            continue
        given = getattr(unit, entry.id)
        if entry.id in _UNIT_TEXTS:
            given = given.value
        elif entry.id == "advanced_weighting":
            given = "" if given is None else ", ".join(f"{one:g}" for one in given)
        values[entry.id] = _fitted(entry, given)
        if values[entry.id] != given:
            patch[entry.id] = given
    if unit.ipadapter_input is not None:
        patch["ipadapter_input"] = unit.ipadapter_input
    key = plan.node(f"unit{number}", "ImgOpenControlNetApply", 1, values)
    wired: list[tuple[str, str, bool]] = []
    if unit.image:
        values["image_link"], file = _picture(plan, unit.image, f"unit {number + 1}", keep)
        wired.append((file, "image", False))
    for name in ("mask", "effective_region_mask"):
        link = getattr(unit, name)
        if link:
            link, file = _picture(plan, link, f"{name} of unit {number + 1}", keep)
            wired.append((file, name, True))
            if link:
                patch[name] = link
    values["extra_json"] = _json(patch)
    plan.nodes[_index(plan, key)]["widgets"] = values
    for file, entry, mask in wired:
        if file:
            _load(plan, f"{key}_{entry}", file, key, entry, mask=mask)
    if before:
        plan.link(before, "units", key, "units")
    return key


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


def _load(plan: Plan, key: str, file: str, target: str, entry: str, mask: bool = False) -> None:
    """A node that loads a file of the input folder. White is 1 in a mask: the red channel, not alpha."""
    if mask:
        plan.node(key, "LoadImageMask", 0, {"image": file, "channel": "red"})
        plan.link(key, "MASK", target, entry)
    else:
        plan.node(key, "LoadImage", 0, {"image": file})
        plan.link(key, "IMAGE", target, entry)


def _choice(entry: Field, number: int) -> str:
    choices = _CHOICES[entry.id]
    if not 0 <= number < len(choices):
        raise InvalidRequest.field(entry.id, number, f"0 to {len(choices) - 1}")
    return choices[number]


def _fitted(entry: Field, value: Any) -> Any:
    """A number inside the widget's bounds; everything else as it is."""
    if entry.kind not in ("int", "float") or entry.minimum is None or entry.maximum is None:
        return value
    return type(value)(min(max(value, entry.minimum), entry.maximum))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
