"""A request as the widget values of nodes, and back. Plain data, no ComfyUI.

What a widget can hold goes there; what none can (unknown fields, values outside a widget's range) goes into
`extra_json`, where it still counts when the workflow runs. What would be lost without counting (a field left
out because its default is meant, a seed written as text) is noted beside the node, so that a workflow nobody
changed reads back as exactly the same request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.request import Request
from ..api.request_fields import BODY, CLIP_SKIP
from ..controlnet.unit import ControlNetUnit
from .bodies import request_body, unit_body
from .fields import Field, NodeTable
from .request_fields import FILL_MODES, MASK_MODES, REQUEST, REQUEST_RESIZE_MODES
from .unit_fields import UNIT

Note = dict[str, Any]  # {"at": [...], "shown": what the widgets say, "sent": what the request says}


@dataclass
class NodeValues:
    """One node's widgets.

    Attributes:
        widgets: by input; those not named keep their defaults.
        notes: what the request says otherwise than the widgets, without a difference in meaning.
    """

    widgets: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def unit_values(unit: ControlNetUnit) -> NodeValues:
    """A unit as the widgets of a ControlNet Unit node."""
    wire = unit.to_wire()
    # What is not given has the meaning of the API's default, which is not always a new node's.
    shown = {
        **{each.id: getattr(unit, each.id) for each in UNIT if each.id in _UNIT_DEFAULTS},
        **wire,
        "resize_mode": unit.resize_mode.value,
        "control_mode": unit.control_mode.value,
        "hr_option": unit.hr_option.value,
        "union_control_type": unit.union_control_type.value,
        "pulid_mode": unit.pulid_mode.value,
        "advanced_weighting": ", ".join(repr(weight) for weight in unit.advanced_weighting or ()),
    }
    made = NodeValues(_fitting(UNIT, shown))
    held = set(made.widgets) & set(wire)
    _complete(made, wire, lambda values: unit_body({**_defaults(UNIT), **values}), held)
    return made


def unit_from(made: NodeValues) -> dict[str, Any]:
    """The unit's body of a node's widgets."""
    return with_notes(unit_body({**_defaults(UNIT), **made.widgets}), made.notes)


def request_values(request: Request, table: NodeTable) -> NodeValues:
    """A request as the widgets of a Generate or Remote Submit node; its units are nodes of their own."""
    wire = request.to_wire()
    scripts = dict(wire.get("alwayson_scripts") or {})
    units = [unit.to_wire() for unit in request.units]
    settings = dict(scripts.get("override_settings") or {})
    shown: dict[str, Any] = {
        each.id: getattr(request, each.id) for each in REQUEST if each.id in _BODY_FIELDS
    }
    for name, choices in _CHOICES.items():
        if shown.get(name) is not None:
            shown[name] = choices[shown[name]]
    shown["seed"] = request.seed_number
    for name in ("sd_model_checkpoint", "sd_vae", "id_task", "image_link", "mask_link"):
        shown[name] = scripts.get(name)
    if scripts.get("mask_link") and not scripts.get("image_link"):
        shown["mask_link"] = None  # a node refuses a mask without a picture
    shown["output_image_format"] = request.output_format
    shown["clip_skip"] = settings.pop(CLIP_SKIP, None)
    for name, value in (("override_settings", settings), ("ADetailer", scripts.get("ADetailer"))):
        if isinstance(value, Mapping) and value:
            shown[name] = json.dumps(value, ensure_ascii=False)
    made = NodeValues(_fitting(REQUEST, shown))
    held = set(made.widgets) & {*wire, *scripts}
    _complete(
        made, wire, lambda values: request_body({**table.defaults(), **values}, units=tuple(units)), held
    )
    return made


def request_from(made: NodeValues, table: NodeTable, units: Sequence[dict[str, Any]]) -> Request:
    """The request of a node's widgets and its units' bodies. Raises InvalidRequest."""
    body = request_body({**table.defaults(), **made.widgets}, units=tuple(units))
    return Request.from_wire(with_notes(body, made.notes))


_BODY_FIELDS = frozenset(BODY) - {"alwayson_scripts"}
# Fields of a unit whose default says something; a model that is not given is an empty widget.
_UNIT_DEFAULTS = (
    "enabled",
    "module",
    "weight",
    "low_vram",
    "processor_res",
    "threshold_a",
    "threshold_b",
    "guidance_start",
    "guidance_end",
    "pixel_perfect",
    "inpaint_crop_input_image",
    "save_detected_map",
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "resize_mode": REQUEST_RESIZE_MODES,
    "inpainting_fill": FILL_MODES,
    "inpainting_mask_invert": MASK_MODES,
}


def _defaults(fields: Sequence[Field]) -> dict[str, Any]:
    return {each.id: each.default for each in fields}


def _fitting(fields: Sequence[Field], shown: Mapping[str, Any]) -> dict[str, Any]:
    """The values that their widgets can hold."""
    return {
        each.id: _plain(each, shown[each.id])
        for each in fields
        if shown.get(each.id) is not None and _fits(each, shown[each.id])
    }


def _fits(each: Field, value: Any) -> bool:
    if each.kind == "bool":
        return isinstance(value, bool)
    if each.kind in ("string", "text", "combo"):
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if each.kind == "int" and value != int(value):
        return False
    return (each.minimum or 0) <= value <= (each.maximum or 0)


def _plain(each: Field, value: Any) -> Any:
    if isinstance(value, str):
        return _one_line_end(value)
    return int(value) if each.kind == "int" else float(value) if each.kind == "float" else value


def _one_line_end(text: str) -> str:
    """A text as a text field of the browser would give it back."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _complete(
    made: NodeValues, wire: dict[str, Any], body: Callable[[dict[str, Any]], dict[str, Any]], held: set[str]
) -> None:
    """Put what the widgets leave out into extra_json, and what has no meaning into the notes."""
    patch = _patch(body(made.widgets), wire, held)
    if patch:
        made.widgets["extra_json"] = json.dumps(patch, ensure_ascii=False)
    made.notes = _notes(body(made.widgets), wire, [])


def _patch(shown: Mapping[str, Any], sent: Mapping[str, Any], held: set[str]) -> dict[str, Any]:
    """What must be laid over `shown` so that it means what `sent` means."""
    patch: dict[str, Any] = {}
    for name, value in sent.items():
        if value is None or (name in held and name not in shown):
            continue  # null is the default; a widget holds what its node leaves out because it cannot matter
        if name in shown and _same(shown[name], value):
            continue
        if isinstance(value, Mapping) and isinstance(shown.get(name), Mapping):
            inner = _patch(shown[name], value, held)
            patch.update({name: inner} if inner else {})
        else:
            patch[name] = value
    return patch


def _same(one: Any, other: Any) -> bool:
    """Equal, or the same text or number written otherwise (7 and "7", jpg and JPG, other line ends)."""
    if isinstance(one, (dict, list)) or isinstance(other, (dict, list)):
        return one == other
    return one == other or _spelt(one) == _spelt(other)


def _spelt(value: Any) -> str:
    return _one_line_end(str(value)).strip().lower()


def _notes(shown: Mapping[str, Any], sent: Mapping[str, Any], place: list[str]) -> list[Note]:
    """Every difference between what the widgets say and what the request says."""
    notes: list[Note] = []
    for name in dict.fromkeys([*sent, *shown]):
        one, other = shown.get(name), sent.get(name)
        if name in shown and name in sent:
            if isinstance(one, dict) and isinstance(other, dict):
                notes += _notes(one, other, [*place, name])
            elif not _identical(one, other):
                notes.append({"at": [*place, name], "shown": one, "sent": other})
        elif name in sent:
            notes.append({"at": [*place, name], "sent": other})
        else:
            notes.append({"at": [*place, name], "shown": one})
    return notes


def _identical(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, (bool, str)) == isinstance(other, (bool, str))


def with_notes(body: dict[str, Any], notes: Sequence[Note]) -> dict[str, Any]:
    """A body with its notes applied, except where somebody has changed a widget since."""
    for note in notes:
        *parents, name = note["at"]
        target: Any = body
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            continue
        unchanged = name not in target if "shown" not in note else target.get(name) == note["shown"]
        if not unchanged:
            continue
        if "sent" in note:
            target[name] = note["sent"]
        else:
            target.pop(name, None)
    return body
