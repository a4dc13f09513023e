"""Every node of the pack on the real canvas, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from img_open.nodes.published import NODES

PLACE = """
app.graph.clear();
const node = LiteGraph.createNode(argument);
app.graph.add(node);
node.pos = [40, 60];
node.setSize([Math.max(node.size[0], 360), node.computeSize()[1]]);
app.canvas.ds.scale = 1;
app.canvas.ds.offset[0] = 60;
app.canvas.ds.offset[1] = 40;
app.canvas.deselectAll?.();
app.canvas.setDirty(true, true);
await new Promise((done) => setTimeout(done, 250));
const corner = app.canvas.canvas.getBoundingClientRect();
return {
  title: node.title,
  widgets: (node.widgets ?? []).filter((one) => one.serialize !== false).map((one) => [one.name, one.label]),
  clip: { x: corner.left + 96, y: corner.top + 68, width: node.size[0] + 8, height: node.size[1] + 36 },
};
"""


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_every_node_is_shown(site: Any, keep: Callable[[str], str], locale: str) -> None:
    site.open(locale, height=1900)
    titles: dict[str, str] = {}
    for table in NODES:
        told = site.page.run(PLACE, table.id)
        titles[table.id] = told["title"]
        names = [name for name, _ in told["widgets"]]
        expected = [field.id for field in table.inputs if field.kind != "socket"]
        assert sorted(set(names) & set(expected)) == sorted(expected), table.id
        path = keep(f"nodes/{site.front_end}/{table.id}-{locale}.png")
        site.page.do("shot", path=path, clip=told["clip"])
        assert Path(path).stat().st_size > 4000, table.id
    if locale == "zh":
        assert all(any(ord(letter) > 127 for letter in title) for title in titles.values()), titles
    else:
        assert titles == {table.id: table.title for table in NODES}
