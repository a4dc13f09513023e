"""Reading a catalogue file so that a mistake can be shown with its line and key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml
from pydantic import BaseModel, ValidationError

from ..base.errors import InvalidRequest


class Entry(NamedTuple):
    """One operation as written: the plain values, the YAML node (for line numbers) and the file."""

    values: dict[str, Any]
    node: Any
    file: Path

    def line(self, place: Sequence[str | int] = ()) -> int:
        """Line (from 1) of the key or item at `place`; of the nearest thing above where it is absent."""
        node, line = self.node, self.node.start_mark.line + 1
        for step in place:
            found = _child(node, step)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        return line


def read_entries(file: Path) -> list[Entry]:
    """The operations of a catalogue file (YAML or JSON): a list, or a mapping with the key `operations`.

    Raises:
        InvalidRequest: the file cannot be read, is no YAML, repeats a key, or has another shape;
            names the file and the line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"The catalogue file {file} cannot be read: {error}.", "Correct its path or its encoding (UTF-8)."
        ) from error
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        reason = getattr(error, "problem", None) or str(error)
        raise InvalidRequest(
            f"{file}, line {line}: not valid YAML ({reason}).", "Compare it with the example in docs/api.md."
        ) from error
    if data is None:
        return []
    _refuse_repeated_keys(file, root)
    if isinstance(data, dict) and "operations" in data:
        extra = sorted(
            str(key) for key in cast("dict[Any, Any]", data) if key not in ("operations", "base_url")
        )
        if extra:
            found = _child(root, extra[0])
            line = found[0].start_mark.line + 1 if found else 1
            raise InvalidRequest(f"{file}, line {line}: unknown key {extra[0]}.", "Expected: operations.")
        inner = _child(root, "operations")
        root, data = (inner[1] if inner else root), cast("dict[str, Any]", data)["operations"]
    elif isinstance(data, dict) and "id" in data:
        return [Entry(cast("dict[str, Any]", data), root, file)]
    if not isinstance(data, list):
        raise InvalidRequest(f"{file}, line 1: expected a list of operations, each starting with `- id: …`.")
    entries: list[Entry] = []
    for values, node in zip(cast("list[Any]", data), root.value, strict=True):
        if not isinstance(values, dict):
            raise InvalidRequest(
                f"{file}, line {node.start_mark.line + 1}: expected `id: …`, found {values!r}."
            )
        entries.append(Entry(cast("dict[str, Any]", values), node, file))
    return entries


def explain(
    error: ValidationError, entry: Entry, model: type[BaseModel], nested: dict[str, type[BaseModel]]
) -> InvalidRequest:
    """Turn pydantic's findings into one error with file, lines, keys and what is allowed.

    Args:
        error: what pydantic found.
        entry: the entry as written.
        model: the model of the entry itself.
        nested: the models below it, by key, for the suggestion of a similar key.
    """
    texts: list[str] = []
    for found in error.errors():
        place = found["loc"]
        keys = _place_text(place)
        line = entry.line(place)
        if found["type"] == "extra_forbidden":
            owner = nested.get(str(place[0]), model) if len(place) > 1 else model
            near = difflib.get_close_matches(str([*place][-1]), list(owner.model_fields), 1)
            advice = f"did you mean {near[0]}?" if near else "known keys: " + ", ".join(owner.model_fields)
            texts.append(f"line {line}: unknown key {keys}; {advice}")
        elif found["type"] == "missing":
            texts.append(f"line {line}: {keys} is missing")
        else:
            reason = found["msg"].removeprefix("Value error, ")
            texts.append(f"line {line}: {keys} is {_short(found['input'])}, expected: {reason}")
    return InvalidRequest(
        f"{entry.file}, " + "; ".join(texts) + ".",
        "Compare it with the example in docs/api.md.",
        file=str(entry.file),
    )


def _place_text(place: Sequence[str | int]) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """Key node and value node of one step into a YAML node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in cast("list[tuple[Any, Any]]", node.value):
            if key.value == step:
                return key, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _refuse_repeated_keys(file: Path, node: Any) -> None:
    """YAML readers let the last of two equal keys win without a word; here it is an error."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in cast("list[tuple[Any, Any]]", node.value):
            name = str(key.value)
            if name in seen:
                raise InvalidRequest(
                    f"{file}, line {key.start_mark.line + 1}: the key {name} is given twice."
                )
            seen.add(name)
            _refuse_repeated_keys(file, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in cast("list[Any]", node.value):
            _refuse_repeated_keys(file, item)
