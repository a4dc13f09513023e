"""The nodes of the published operations, read from `operations.json`.

ComfyUI asks for every schema at its start. Reading the tables costs a few milliseconds; making them from the
catalogue (YAML, models, checks) costs a hundred, and is left to the moment a node runs. The file is written
by `operation_pages`; a test compares it with the catalogue.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from .common_fields import PROFILE
from .fields import Field, NodeTable, Out

FILE = Path(__file__).with_name("operations.json")
_USUAL = Field("", "string", "")


@lru_cache(maxsize=1)
def published_tables() -> dict[str, NodeTable]:
    """Node tables by the operation's id, in the catalogue's order."""
    stored: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return {name: _table(values) for name, values in stored.items()}


def as_json(table: NodeTable) -> dict[str, Any]:
    """A table as JSON values; what is as usual is left out."""
    return {
        "id": table.id,
        "title": table.title,
        "category": table.category,
        "description": table.description,
        "inputs": [PROFILE.id if field == PROFILE else _field_json(field) for field in table.inputs],
        "outputs": [[out.socket, out.name, out.tooltip] for out in table.outputs],
    }


def _field_json(field: Field) -> dict[str, Any]:
    values = {name: value for name, value in vars(field).items() if value != getattr(_USUAL, name)}
    if "options" in values:
        values["options"] = list(field.choices())
    return values


def _table(values: dict[str, Any]) -> NodeTable:
    inputs = tuple(PROFILE if one == PROFILE.id else _field(one) for one in values["inputs"])
    outputs = tuple(Out(*one) for one in values["outputs"])
    return NodeTable(
        values["id"], values["title"], values["category"], values["description"], inputs, outputs
    )


def _field(values: dict[str, Any]) -> Field:
    plain = {"kind": _USUAL.kind, **values}
    if "options" in plain:
        plain["options"] = tuple(plain["options"])
    return Field(**plain)
