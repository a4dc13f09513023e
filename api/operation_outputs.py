"""What the answer of an operation holds: pictures, masks, texts, sounds, films.

Where the reply's fields are published, they say it (`role` in the catalogue). Where none are, outputs are
found by their nature: links in fields that are named like pictures, and texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .catalogue import Operation
from .catalogue_fields import OUTPUT_ROLES, OutputRole
from .models import ToolTask


@dataclass(frozen=True)
class Outputs:
    """Links of pictures, masks, audio and video; texts as they are. All in the answer's order."""

    pictures: list[str] = field(default_factory=list[str])
    masks: list[str] = field(default_factory=list[str])
    texts: list[str] = field(default_factory=list[str])
    audio: list[str] = field(default_factory=list[str])
    video: list[str] = field(default_factory=list[str])

    def __bool__(self) -> bool:
        return any((self.pictures, self.masks, self.texts, self.audio, self.video))


def published_roles(operation: Operation) -> tuple[OutputRole, ...]:
    """The kinds of output that the reply's published fields have, each once."""
    roles = dict.fromkeys(
        field.role for field in operation.response or () if _is_output(field.role, field.name)
    )
    return tuple(role for role in OUTPUT_ROLES if role in roles)


def outputs_of(operation: Operation, data: Mapping[str, Any]) -> Outputs:
    """The outputs in the `data` object of an answer; empty when there are none yet."""
    found: dict[str, list[str]] = {role: [] for role in OUTPUT_ROLES}
    for spec in operation.response or ():
        if _is_output(spec.role, spec.name):
            found[str(spec.role)] += _texts_at(data, spec.name.split(".")[1:])
    tool = ToolTask.model_validate(data)
    pictures = found["picture"] or [
        link for link in tool.pictures if link not in found["mask"] + found["audio"] + found["video"]
    ]
    texts = found["text"] if published_roles(operation) else tool.texts
    return Outputs(pictures, found["mask"], texts, found["audio"], found["video"])


def is_finished(operation: Operation, data: Mapping[str, Any]) -> bool:
    """A published output is there; where none is published, anything that is not about the task itself."""
    if published_roles(operation):
        return bool(outputs_of(operation, data))
    return ToolTask.model_validate(data).finished


def _is_output(role: str | None, name: str) -> bool:
    return role in OUTPUT_ROLES and name.startswith("data.")


def _texts_at(value: Any, steps: list[str]) -> list[str]:
    """The texts at a dotted place, through lists as well."""
    if isinstance(value, list):
        return [text for item in cast("list[Any]", value) for text in _texts_at(item, steps)]
    if not steps:
        return [value] if isinstance(value, str) and value else []
    if not isinstance(value, Mapping):
        return []
    return _texts_at(cast("Mapping[str, Any]", value).get(steps[0].removesuffix("[]")), steps[1:])
