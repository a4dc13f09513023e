"""Workflow files of `img-open convert`, opened in the real front-end, and what it makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from img_open.api.request import Request
from img_open.nodes.workflow_file import from_workflow, to_canvas, to_workflow

PAGE = Request.from_wire(
    json.loads((Path(__file__).parents[1] / "data" / "api" / "sd_controlnet_page.json").read_text("utf-8"))
)


def test_both_formats_open_and_are_queued_as_they_were_written(site: Any) -> None:
    wanted = {key: node["inputs"] for key, node in to_workflow(PAGE).items()}
    for call, workflow in (("loadGraphData", to_canvas(PAGE)), ("loadApiJson", to_workflow(PAGE))):
        site.open()
        queued = site.page.run(
            f"""await app.{call}(argument, "request");
            await new Promise((done) => setTimeout(done, 500));
            return (await app.graphToPrompt()).output;""",
            workflow,
        )
        assert {key: node["inputs"] for key, node in queued.items()} == wanted, call


def test_a_file_saved_by_the_canvas_is_still_the_same_request(site: Any) -> None:
    site.open()
    saved = site.page.run(
        """await app.loadGraphData(argument, "request");
        await new Promise((done) => setTimeout(done, 500));
        return app.graph.serialize();""",
        to_canvas(PAGE),
    )
    assert from_workflow(json.loads(json.dumps(saved))).to_wire() == PAGE.to_wire()
