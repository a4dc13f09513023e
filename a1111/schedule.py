"""Prompt editing of stable-diffusion-webui: [from:to:when] and [a|b], resolved to texts over the steps.

Grammar, in the web UI's terms: a prompt is text, (...) and [...] groups that stay as they are, `[to:when]`,
`[from:to:when]` and `[a|b|...]`, nested at will. Brackets and colons that fit no rule are text; a `|` outside
of an alternation makes the whole prompt plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WHEN = re.compile(r"\s*(?P<number>[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)\s*\]")
# Deeper brackets than anybody writes; beyond it the prompt is plain text, before Python runs out of stack.
_DEEPEST = 60
_PLAIN = re.compile(r"(?:[^\\\[\]():|]|\\.)+", re.DOTALL)


@dataclass(frozen=True)
class _Edit:
    before: _Nodes
    after: _Nodes
    when: str


@dataclass(frozen=True)
class _Alternation:
    options: tuple[_Nodes, ...]


_Nodes = Sequence["str | _Edit | _Alternation"]
_LastStep = Callable[[_Edit], int]


class _NotAPrompt(Exception):
    """Internal: the text at this place does not follow the rule that was tried."""


def parse_schedule(prompt: str, steps: int, hires_steps: int | None = None) -> list[tuple[int, str]]:
    """The texts of a prompt over the steps: [(last step of the entry, text), ...], up to `steps`.

    `when` is a step, or with a decimal point a share of the steps. With `hires_steps` the texts are those of
    the second pass: shares then count from 1.0 to 2.0, steps from `steps` on, and entries end at
    `hires_steps`.

    An entry is used while the index of the model call (from 0) is not greater than its last step.
    """
    step_offset, share_offset = (0, 0.0) if hires_steps is None else (steps, 1.0)
    total = steps if hires_steps is None else hires_steps

    def last_step(edit: _Edit) -> int:
        value = float(edit.when)
        moved = (value - share_offset) * total if "." in edit.when else value - step_offset
        return min(total, int(moved))

    try:
        nodes = _Parser(prompt).whole()
    except _NotAPrompt:
        return [(total, prompt)]
    ends = {total}
    _collect(nodes, last_step, total, ends)
    return [(end, _text(nodes, end, last_step)) for end in sorted(ends)]


def _collect(nodes: _Nodes, last_step: _LastStep, total: int, ends: set[int]) -> None:
    """Every step after which some part of the text changes."""
    for node in nodes:
        if isinstance(node, _Edit):
            end = last_step(node)
            if end >= 1:
                ends.add(end)
            _collect(node.before, last_step, total, ends)
            _collect(node.after, last_step, total, ends)
        elif isinstance(node, _Alternation):
            ends.update(range(1, total + 1))
            for option in node.options:
                _collect(option, last_step, total, ends)


def _text(nodes: _Nodes, step: int, last_step: _LastStep) -> str:
    """What the nodes say at a step (from 1)."""
    pieces: list[str] = []
    for node in nodes:
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, _Edit):
            pieces.append(_text(node.before if step <= last_step(node) else node.after, step, last_step))
        else:
            pieces.append(_text(node.options[(step - 1) % len(node.options)], step, last_step))
    return "".join(pieces)


class _Parser:
    """Recursive descent; at the top, a bracket that fits no rule is text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        # Failed attempts are remembered, or deeply nested brackets would take exponential time.
        self._known: dict[int, tuple[_Nodes, int] | None] = {}

    def whole(self) -> _Nodes:
        nodes: list[str | _Edit | _Alternation] = []
        place = 0
        while place < len(self._text):
            found = self._group(place) if self._text[place] in "([" else None
            if found is not None:
                nodes.extend(found[0])
                place = found[1]
            elif self._text[place] in "()[]:":
                nodes.append(self._text[place])
                place += 1
            else:
                plain = _PLAIN.match(self._text, place)
                if plain is None:
                    raise _NotAPrompt
                nodes.append(plain[0])
                place = plain.end()
        return nodes

    def _prompt(self, place: int) -> tuple[_Nodes, int]:
        """Text and groups up to the first character that belongs to the rule around it."""
        nodes: list[str | _Edit | _Alternation] = []
        while place < len(self._text):
            if self._text[place] in "([":
                found = self._group(place)
                if found is None:
                    break
                nodes.extend(found[0])
                place = found[1]
                continue
            plain = _PLAIN.match(self._text, place)
            if plain is None:
                break
            nodes.append(plain[0])
            place = plain.end()
        return nodes, place

    def _group(self, place: int) -> tuple[_Nodes, int] | None:
        """The group that begins with the bracket at `place`, or None if none does."""
        if place not in self._known:
            if self._depth == _DEEPEST:
                raise _NotAPrompt
            self._depth += 1
            rules = (
                (self._round,) if self._text[place] == "(" else (self._edit, self._alternation, self._square)
            )
            self._known[place] = next((found for found in (rule(place) for rule in rules) if found), None)
            self._depth -= 1
        return self._known[place]

    def _at(self, place: int) -> str:
        return self._text[place] if place < len(self._text) else ""

    def _round(self, place: int) -> tuple[_Nodes, int] | None:
        inner, end = self._prompt(place + 1)
        nodes: list[str | _Edit | _Alternation] = ["(", *inner]
        if self._at(end) == ":":
            weight, end = self._prompt(end + 1)
            nodes += [":", *weight]
        return ([*nodes, ")"], end + 1) if self._at(end) == ")" else None

    def _square(self, place: int) -> tuple[_Nodes, int] | None:
        inner, end = self._prompt(place + 1)
        return (["[", *inner, "]"], end + 1) if self._at(end) == "]" else None

    def _edit(self, place: int) -> tuple[_Nodes, int] | None:
        first, end = self._prompt(place + 1)
        if self._at(end) != ":":
            return None
        when = _WHEN.match(self._text, end + 1)
        if when is not None:
            return [_Edit((), first, when["number"])], when.end()
        second, end = self._prompt(end + 1)
        when = _WHEN.match(self._text, end + 1) if self._at(end) == ":" else None
        return ([_Edit(first, second, when["number"])], when.end()) if when is not None else None

    def _alternation(self, place: int) -> tuple[_Nodes, int] | None:
        option, end = self._prompt(place + 1)
        options = [option]
        while self._at(end) == "|":
            option, end = self._prompt(end + 1)
            options.append(option)
        if len(options) < 2 or self._at(end) != "]":
            return None
        return [_Alternation(tuple(options))], end + 1
