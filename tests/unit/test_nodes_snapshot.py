"""What is published stays: node ids, inputs and outputs in their order. Lists only grow at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from img_open.nodes.fields import NodeTable
from img_open.nodes.published import NODES

SNAPSHOT = Path(__file__).with_name("data") / "nodes_snapshot.json"
PUBLISHED: dict[str, Any] = json.loads(SNAPSHOT.read_text("utf-8"))


def published_form(table: NodeTable) -> dict[str, list[list[str]]]:
    """What workflows depend on: inputs by id and kind, split as the host orders them, and outputs by slot."""
    return {
        part: [[field.id, field.socket or field.kind] for field in table.inputs if field.required == required]
        for part, required in (("required", True), ("optional", False))
    } | {"outputs": [[out.name, out.socket] for out in table.outputs]}


def test_no_published_node_is_missing() -> None:
    assert set(PUBLISHED) <= {table.id for table in NODES}


def test_new_nodes_are_written_down() -> None:
    """A node that is not in the snapshot is not protected: add it (its form is in the message)."""
    new = {table.id: published_form(table) for table in NODES if table.id not in PUBLISHED}
    assert not new, json.dumps(new, indent=1)


@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_lists_only_grow_at_their_end(table: NodeTable) -> None:
    now, before = published_form(table), PUBLISHED[table.id]
    # The host puts required inputs before optional ones: a new required one would shift every widget.
    assert now["required"] == before["required"]
    for part in ("optional", "outputs"):
        assert now[part][: len(before[part])] == before[part], part
        assert now[part] == before[part], f"{part} grew: write the new ones down in {SNAPSHOT.name}"


@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_schema_rules_of_the_host(table: NodeTable) -> None:
    ids = [field.id for field in table.inputs]
    assert len(set(ids)) == len(ids)
    assert table.category.startswith("Img Open/")
    for field in table.inputs:
        assert field.tooltip.strip(), f"{field.id} has no tooltip"
        if field.kind in ("int", "float"):
            assert field.minimum is not None
            assert field.maximum is not None
            assert field.minimum <= field.default <= field.maximum
            # The front-end snaps to minimum + n * step: the default must be one of those values.
            assert field.step is not None
            steps = (field.default - field.minimum) / field.step
            assert abs(steps - round(steps)) < 1e-6, field.id
        if field.kind == "combo":
            assert field.default in (field.choices() or [field.default])
    # Required inputs come first in the host's own order; here too, so that both orders are one.
    required = [field.required for field in table.inputs if field.kind != "socket"]
    assert required == sorted(required, reverse=True)
