"""What one input, output or node is, as data.

The tables made of these (`unit_fields`, `request_fields`, `tables`) are the only place where a node's
inputs are written down: the ComfyUI schema, the English locale, the help pages' tables and the tests all
read them.

Order is a promise. Workflows store widget values by position and links by slot, so a published list only ever
grows at its end (tests/unit/data/nodes_snapshot.json holds what is published).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["int", "float", "bool", "string", "text", "combo", "socket"]


@dataclass(frozen=True)
class Field:
    """One input of a node.

    Attributes:
        id: the name in workflows; the API's own word wherever it has one.
        kind: the widget, `text` being a string of several lines; `socket` has no widget.
        tooltip: what it means, with units and what special values do.
        default: the value of a new node, and of a prompt that leaves the input out.
        minimum, maximum, step: bounds of numbers; the host refuses values outside.
        options: the entries of a combo, or a function that gives them when the schema is asked for.
        socket: ComfyUI's type of a `socket`, such as IMAGE.
        required: the host refuses a prompt without it.
    """

    id: str
    kind: Kind
    tooltip: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    options: tuple[str, ...] | Callable[[], list[str]] = ()
    socket: str = ""
    required: bool = False

    def choices(self) -> list[str]:
        """The combo's entries now."""
        return list(self.options()) if callable(self.options) else list(self.options)


@dataclass(frozen=True)
class Out:
    """One output of a node: ComfyUI's type, the name on the node, what it carries."""

    socket: str
    name: str
    tooltip: str


@dataclass(frozen=True)
class NodeTable:
    """One node: its published id, its words, its inputs and outputs in their published order."""

    id: str
    title: str
    category: str
    description: str
    inputs: tuple[Field, ...]
    outputs: tuple[Out, ...]

    def defaults(self) -> dict[str, Any]:
        """Every input's value in a prompt that names none (sockets: None)."""
        return {field.id: field.default for field in self.inputs}


def integer(
    id: str, default: int, low: int, high: int, tooltip: str, step: int = 1, required: bool = False
) -> Field:
    """A whole number."""
    return Field(id, "int", tooltip, default, low, high, step, required=required)


def number(id: str, default: float, low: float, high: float, tooltip: str, step: float = 0.01) -> Field:
    """A number with fractions."""
    return Field(id, "float", tooltip, default, low, high, step)


def switch(id: str, default: bool, tooltip: str) -> Field:
    """On or off."""
    return Field(id, "bool", tooltip, default)


def line(id: str, tooltip: str, default: str = "") -> Field:
    """One line of text."""
    return Field(id, "string", tooltip, default)


def text(id: str, tooltip: str, default: str = "", required: bool = False) -> Field:
    """Several lines of text."""
    return Field(id, "text", tooltip, default, required=required)


def combo(
    id: str,
    options: tuple[str, ...] | Callable[[], list[str]],
    default: str,
    tooltip: str,
    required: bool = False,
) -> Field:
    """A choice. The host does not check it: whoever reads the value does."""
    return Field(id, "combo", tooltip, default, options=options, required=required)


def socket(id: str, type: str, tooltip: str, required: bool = False) -> Field:
    """An input that only takes a wire."""
    return Field(id, "socket", tooltip, socket=type, required=required)
