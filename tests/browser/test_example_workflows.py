"""The example workflows in the real front-end: every node known, every wire kept, nothing covered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from make_workflows import MAKERS, path_of
from workflow_layout import Box, hidden, overlaps

PLAIN = {"Comfy.Minimap.Visible": False, "Comfy.Graph.CanvasInfo": False, "Comfy.TutorialCompleted": True}
# Large enough that no graph is shrunk so far that the canvas leaves the words out.
WINDOW = {"width": 2600, "height": 1450}
# The whole graph in the middle of the window, away from the front-end's own bars.
FIT = """
const box = [Infinity, Infinity, -Infinity, -Infinity];
for (const node of app.graph._nodes) {
  const [x, y, w, h] = node.getBounding();
  box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y);
  box[2] = Math.max(box[2], x + w); box[3] = Math.max(box[3], y + h);
}
const { left: x0, top: y0 } = app.canvas.canvas.getBoundingClientRect();
const [left, top, width, height] = [30, 50, 2350, 1230];
const scale = Math.min(width / (box[2] - box[0]), height / (box[3] - box[1]), 1);
app.canvas.ds.scale = scale;
app.canvas.ds.offset = [left / scale - box[0], top / scale - box[1]];
app.graph.setDirtyCanvas(true, true);
await new Promise((done) => setTimeout(done, 700));
return [x0 + left, y0 + top, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale].map(Math.round);
"""


# Nodes in their real sizes, title bars included, and the points between which wires are drawn. The newest
# front-end has texts as ids.
PLACES = """
const boxes = app.graph._nodes.map((node) => [Number(node.id), node.pos[0],
  node.pos[1] - LiteGraph.NODE_TITLE_HEIGHT, node.pos[0] + node.size[0], node.pos[1] + node.size[1]]);
const links = app.graph.links instanceof Map ? [...app.graph.links.values()] : Object.values(app.graph.links);
const wires = links.map((link) => [Number(link.origin_id), Number(link.target_id),
  [...app.graph.getNodeById(link.origin_id).getConnectionPos(false, link.origin_slot)],
  [...app.graph.getNodeById(link.target_id).getConnectionPos(true, link.target_slot)]]);
return { boxes, wires };
"""


@pytest.fixture(scope="module")
def opened(site: Any) -> Any:
    """The front-end, loaded once for all workflows, with the picture that they show."""
    shutil.copy(site.host.folder / "input" / "example.png", site.host.base / "input" / "example.png")
    site.host.post("/settings", {**PLAIN, "Comfy.Locale": "en"})
    site.page.do("open", url=site.host.url + "/", **WINDOW)
    site.page.wait("return document.querySelector('#graph-canvas') && app.extensionManager.sidebarTab")
    site.page.run("await new Promise((done) => setTimeout(done, 1500));")
    return site


@pytest.mark.parametrize("name", MAKERS)
def test_example_workflow_opens(opened: Any, keep: Callable[[str], str], name: str) -> None:
    workflow = json.loads(path_of(name).read_text("utf-8"))
    shown = opened.page.run(
        """await app.loadGraphData(argument, "example");
        await new Promise((done) => setTimeout(done, 500));
        document.querySelectorAll(".p-dialog-close-button").forEach((button) => button.click());
        return app.graph._nodes.map((node) => [Number(node.id), node.type, !!node.constructor.nodeData
          || node.type === "MarkdownNote", (node.inputs ?? []).filter((one) => one.link != null).length]);""",
        workflow,
    )
    wires = {node["id"]: sum(one["link"] is not None for one in node["inputs"]) for node in workflow["nodes"]}
    assert {row[0]: row[3] for row in shown} == wires
    assert all(known for _, _, known, _ in shown), shown
    x, y, width, height = opened.page.run(FIT)
    clip = {"x": x - 20, "y": y - 20, "width": width + 40, "height": height + 40}
    opened.page.do("shot", path=keep(f"workflows/{opened.front_end}/{name}.png"), clip=clip)
    places = opened.page.run(PLACES)
    found = [Box(*row) for row in places["boxes"]]
    types = {node["id"]: node["type"] for node in workflow["nodes"]}
    assert [(types[one], types[two]) for one, two in overlaps(found)] == []
    assert {tuple(types[each] for each in row) for row in hidden(found, places["wires"])} == set()
