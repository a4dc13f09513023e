"""One field of an operation: its published facts, and the check of a value against them."""

from __future__ import annotations

import math
import re
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, field_validator

from .problems import Problem

_TYPE = re.compile(
    r"^(string|integer|number|boolean|object|null|array\[(string|integer|number|boolean|object)\])$"
)
_WHOLE = re.compile(r"^\s*-?\d+\s*$")
_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "null": "null",
}

OutputRole = Literal["picture", "mask", "text", "audio", "video"]
OUTPUT_ROLES: tuple[OutputRole, ...] = get_args(OutputRole)
Role = Literal["picture", "task_id", "callback", "text", "mask", "audio", "video"]
Bound = float | int | str | None


class FieldSpec(BaseModel):
    """A request or reply field as the catalogue states it.

    Attributes:
        name: wire name; `.` goes into an object, `[]` into each item of a list.
        type: one of string, integer, number, boolean, object, null, `array[…]`, or several joined by `|`.
        required: True and False as printed; None where nothing is printed (then nothing is enforced).
        range: (low, high), None = open. For texts it bounds the number inside.
        items_range: least and most items of a list.
        unset_value: a printed default that lies outside the range and stands for "not given".
        aliases: other spellings that are accepted in a body.
        role: what the value is for, where nodes must know: the caller's task id, a callback address, or what
            kind of output it is: text, or the link of a picture, mask, sound or film.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: str
    required: bool | None = None
    range: tuple[Bound, Bound] | None = None
    items_range: tuple[int, int] | None = None
    enum: tuple[Any, ...] | None = None
    default: Any = None
    unset_value: Any = None
    max_length: int | None = None
    multiple_of: int | None = None
    precision: float | None = None
    unit: str | None = None
    example: Any = None
    meaning: str = ""
    aliases: tuple[str, ...] = ()
    role: Role | None = None

    @field_validator("name")
    @classmethod
    def _name_is_a_path(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z_]\w*(\[\])?(\.[A-Za-z_]\w*(\[\])?)*", name):
            raise ValueError("a field name such as width, data.task_id or data.rows[].id")
        return name

    @field_validator("type")
    @classmethod
    def _type_is_known(cls, text: str) -> str:
        if not all(_TYPE.match(part) for part in text.split("|")):
            raise ValueError(
                "string, integer, number, boolean, object, null, array[string] or several joined by |"
            )
        return text

    @property
    def types(self) -> tuple[str, ...]:
        """The accepted JSON types."""
        return tuple(self.type.split("|"))

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """`range` as numbers; (None, None) without one."""
        if self.range is None:
            return None, None
        low, high = self.range
        return _bound(low), _bound(high)

    @property
    def allowed(self) -> str:
        """What is accepted, as a phrase: "a whole number from 128 to 1024 in steps of 8"."""
        if self.enum is not None:
            return "one of " + ", ".join(_shown(value) for value in self.enum)
        text = " or ".join(_type_words(name) for name in self.types)
        if self.types == ("string",) and self.range is not None:
            text = "a number written as text"
        if "string" in self.types and "integer" in self.types:
            text = "a whole number, or one written as text"
        low, high = self.range or (None, None)
        if low is not None and high is not None:
            text += f" from {low} to {high}"
        elif low is not None:
            text += f" of at least {low}"
        elif high is not None:
            text += f" of at most {high}"
        if self.multiple_of is not None:
            text += f" in steps of {self.multiple_of}"
        if self.max_length is not None:
            text += f" of at most {self.max_length} characters"
        if self.items_range is not None:
            text += f" with {self.items_range[0]} to {self.items_range[1]} items"
        return text

    def problems(self, value: object, where: str) -> list[Problem]:
        """Check one value.

        Args:
            value: a JSON value.
            where: its place in the body, for the message.
        """
        if value is None and self.required is not True:
            return []  # clients commonly write null for "not given"
        if self.unset_value is not None and value == self.unset_value:
            return []
        if not any(_is_type(value, name) for name in self.types) or not self._within(value):
            return [Problem(where, value, self.allowed)]
        return []

    def _within(self, value: object) -> bool:
        """Whether a value of an accepted type keeps to enum, range, step and lengths."""
        if self.enum is not None:
            return any(
                value == choice and isinstance(value, bool) == isinstance(choice, bool)
                for choice in self.enum
            )
        if isinstance(value, list):
            items = cast("list[object]", value)
            return self.items_range is None or self.items_range[0] <= len(items) <= self.items_range[1]
        if isinstance(value, str) and self.max_length is not None and len(value) > self.max_length:
            return False
        numeric = self.range is not None or "integer" in self.types
        number = _number(value) if numeric else None
        if number is None:
            return not (numeric and isinstance(value, str))
        if isinstance(value, str) and "integer" in self.types and not _WHOLE.match(value):
            return False
        low, high = self.bounds
        if (low is not None and number < low) or (high is not None and number > high):
            return False
        return self.multiple_of is None or number % self.multiple_of == 0


def _type_words(name: str) -> str:
    if name.startswith("array["):
        return "a list of " + {"string": "texts", "object": "objects"}.get(name[6:-1], name[6:-1] + " values")
    return _WORDS[name]


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _bound(value: Bound) -> float | None:
    """A limit as a number; whole ones stay exact, a seed's lies beyond what a float can tell apart."""
    return value if value is None or isinstance(value, int) else float(value)


def _number(value: object) -> float | None:
    """The number in a JSON number or in a text, whole ones exactly; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and _WHOLE.match(value) and len(value) < 300:
        return int(value)
    if isinstance(value, float | str):
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _is_type(value: object, name: str) -> bool:
    """Whether a JSON value is of a JSON type; 25.0 counts as an integer, true never as a number."""
    if name == "null":
        return value is None
    if name == "boolean":
        return isinstance(value, bool)
    if name == "string":
        return isinstance(value, str)
    if name == "object":
        return isinstance(value, dict)
    if name.startswith("array["):
        return isinstance(value, list) and all(
            _is_type(item, name[6:-1]) for item in cast("list[object]", value)
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return name == "number" or isinstance(value, int) or value.is_integer()
