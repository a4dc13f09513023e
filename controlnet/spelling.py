"""All the ways a unit's fields have been spelt, and what they mean today.

The web UI extension changed its payload several times: field names got aliases, two enumerations were
integers until 1.1.447, `resize_mode` had other names. Img Open's dialect writes `image_link` where the web UI
writes `image`. Everything is understood on the way in; on the way out there is one exact spelling of values.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar, cast

from ..base.errors import InvalidRequest
from .modules import find_module


class ResizeMode(str, Enum):
    """How the control picture is brought to the target's size."""

    JUST = "Just Resize"
    CROP = "Crop and Resize"
    FILL = "Resize and Fill"


class ControlMode(str, Enum):
    """Whether the prompt or the control model wins."""

    BALANCED = "Balanced"
    PROMPT = "My prompt is more important"
    CONTROL = "ControlNet is more important"


class HrOption(str, Enum):
    """Which pass of the hires fix a unit acts in."""

    BOTH = "Both"
    LOW = "Low res only"
    HIGH = "High res only"


class UnionControlType(str, Enum):
    """What a union model is told that it gets. The first eight are in the order of the model's own index."""

    OPENPOSE = "OpenPose"
    DEPTH = "Depth"
    SOFT_EDGE = "Soft Edge"
    HARD_EDGE = "Hard Edge"
    NORMAL_MAP = "Normal Map"
    SEGMENTATION = "Segmentation"
    TILE = "Tile"
    INPAINT = "Inpaint"
    UNKNOWN = "Unknown"

    @property
    def model_index(self) -> int | None:
        """The model's index of the type, None for Unknown."""
        return None if self is UnionControlType.UNKNOWN else list(UnionControlType).index(self)


class PulidMode(str, Enum):
    """PuLID only."""

    FIDELITY = "Fidelity"
    STYLE = "Extremely style"


# Spelling on the wire -> field of the unit.
FIELD_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "image_link": "image",
        "input_image": "image",
        "mask_image": "mask",
        "mask_link": "mask",
        "lowvram": "low_vram",
        "guidance": "guidance_end",
    }
)

LEGACY_RESIZE_MODES: Mapping[str, ResizeMode] = MappingProxyType(
    {
        "Inner Fit (Scale to Fit)": ResizeMode.CROP,
        "Scale to Fit (Inner Fit)": ResizeMode.CROP,
        "Outer Fit (Shrink to Fit)": ResizeMode.FILL,
        "Envelope (Outer Fit)": ResizeMode.FILL,
    }
)

_Kind = TypeVar("_Kind", bound=Enum)

_OLD_CONTROL_MODES = (ControlMode.BALANCED, ControlMode.PROMPT, ControlMode.CONTROL)
_OLD_RESIZE_MODES = (ResizeMode.JUST, ResizeMode.CROP, ResizeMode.FILL, ResizeMode.JUST)


@dataclass(frozen=True)
class Reading:
    """A unit's payload, understood.

    Attributes:
        fields: values by the unit's own field names, spellings resolved, not validated yet.
        extra: keys nobody knows, as given.
        wire: the payload with exact values under the keys it came with.
        notices: what the user should know about how it was read.
    """

    fields: dict[str, Any]
    extra: dict[str, Any]
    wire: dict[str, Any]
    notices: tuple[str, ...]


def read_payload(data: Mapping[str, Any], known: frozenset[str]) -> Reading:
    """Resolves names and old values of a unit's payload; `known` are the unit's field names.

    Raises:
        InvalidRequest: two spellings of one field contradict each other, a value has no meaning.
    """
    wire = copy.deepcopy(dict(data))
    notices: list[str] = []
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    came_as: dict[str, str] = {}
    for key, value in wire.items():
        field = FIELD_ALIASES.get(key, key)
        if field not in known:
            extra[key] = value
            continue
        if field in came_as and _given_twice(field, fields[field], value, came_as[field], key):
            continue
        fields[field] = value
        came_as[field] = key
    _split_composite(fields)
    for field, empty in (("image", None), ("mask", None), ("model", "None")):
        # Clients write null or "" where they have nothing.
        if field in fields and fields[field] in (None, ""):
            fields[field] = empty
    for field, read in (("control_mode", _control_mode), ("resize_mode", _resize_mode), ("module", _module)):
        if field in fields:
            fields[field], wire[came_as[field]] = read(fields[field], notices)
    if "enabled" not in fields:
        notices.append(
            'A unit without "enabled" counts as enabled here (the web UI since May 2024 would skip it).'
        )
    if extra.get("guess_mode"):
        notices.append("guess_mode is kept but has no effect: control_mode took its place in ControlNet 1.1.")
    return Reading(fields, extra, wire, tuple(notices))


def _given_twice(field: str, first: Any, second: Any, first_key: str, second_key: str) -> bool:
    """True where the second spelling adds nothing, False where it fills an empty first one."""
    if second in (None, "") or second == first:
        return True
    if first in (None, ""):
        return False
    raise InvalidRequest(
        f"A ControlNet unit gives {first_key} and {second_key}, two names of one field, with two values.",
        "Leave one of them out.",
        field=field,
    )


def _split_composite(fields: dict[str, Any]) -> None:
    """The web UI also takes picture and mask in one value: {"image": .., "mask": ..} or [image, mask]."""
    value = fields.get("image")
    if isinstance(value, list):
        pictures = cast("list[Any]", value)
        if len(pictures) == 1:
            value = pictures[0]
        elif len(pictures) == 2 and all(isinstance(each, str) for each in pictures):
            value = {"image": pictures[0], "mask": pictures[1]}
        else:
            raise InvalidRequest(
                f"A ControlNet unit has a list of {len(pictures)} pictures; a unit takes one picture, "
                "or picture and mask.",
                "Make one unit per picture.",
                field="image",
            )
    if isinstance(value, dict):
        both = cast("dict[str, Any]", value)
        if both.get("mask") is not None and fields.get("mask") is not None:
            raise InvalidRequest(
                "A ControlNet unit has a mask beside its image and another one in the field mask.",
                "Leave one of them out.",
                field="mask",
            )
        if both.get("mask") is not None:
            fields["mask"] = both["mask"]
        value = both.get("image")
    if "image" in fields:
        fields["image"] = value


def _control_mode(value: Any, notices: list[str]) -> tuple[ControlMode, str]:
    index = _old_index(value)
    if index is not None:
        if index >= len(_OLD_CONTROL_MODES):
            raise _not_a_name("control_mode", value, ControlMode)
        mode = _OLD_CONTROL_MODES[index]
        notices.append(f'control_mode {value} is read as the index of old web-UI versions: "{mode.value}".')
        return mode, mode.value
    mode = _member("control_mode", value, ControlMode)
    return mode, mode.value


def _resize_mode(value: Any, notices: list[str]) -> tuple[ResizeMode, str]:
    index = _old_index(value)
    if index is not None:
        mode = _OLD_RESIZE_MODES[min(index, len(_OLD_RESIZE_MODES) - 1)]
        notices.append(f'resize_mode {value} is read as the index of old web-UI versions: "{mode.value}".')
        return mode, mode.value
    if isinstance(value, str) and value in LEGACY_RESIZE_MODES:
        mode = LEGACY_RESIZE_MODES[value]
        notices.append(f'resize_mode "{value}" is an old name of "{mode.value}".')
        return mode, mode.value
    mode = _member("resize_mode", value, ResizeMode)
    return mode, mode.value


def _module(value: Any, notices: list[str]) -> tuple[str, str]:
    if not isinstance(value, str):
        raise InvalidRequest.field("module", value, "the name of a preprocessor (a string)")
    spec = find_module(value)
    if value in (spec.name, spec.label):
        return spec.name, value
    notices.append(f'module "{value}" is an old name of "{spec.label}".')
    return spec.name, spec.label


def _old_index(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _member(field: str, value: Any, kind: type[_Kind]) -> _Kind:
    if isinstance(value, str):
        for member in kind:
            if member.value == value:
                return member
    raise _not_a_name(field, value, kind)


def _not_a_name(field: str, value: Any, kind: type[Enum]) -> InvalidRequest:
    names = " | ".join(f'"{member.value}"' for member in kind)
    return InvalidRequest.field(field, value, f"exactly one of {names}")
