"""The example workflows, as a user gets them, in a real host. Only model names and sizes are made small."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from canvas import to_graph
from comfy_gateway import Gateway
from comfy_host import ROOT, Host
from graphs import CHECKPOINT, CONTROL

SMALL: dict[str, dict[str, Any]] = {
    "CheckpointLoaderSimple": {"ckpt_name": CHECKPOINT},
    "ControlNetLoader": {"control_net_name": CONTROL},
    "EmptyLatentImage": {"width": 64, "height": 64},
    "KSampler": {"steps": 2},
    "ImgOpenRemoteSubmit": {"steps": 4},
    "ImgOpenGenerate": {"steps": 2, "width": 64, "height": 64, "sd_model_checkpoint": CHECKPOINT},
    "ImgOpenCropMasked": {"width": 64, "height": 64},
    "ImgOpenSigmas": {"steps": 4},
}
# A unit's model is a name of this machine here, and of the server in the others.
HERE: dict[str, dict[str, Any]] = {"ImgOpenControlNetApply": {"model": CONTROL}}
WORKFLOWS = sorted((ROOT / "example_workflows").glob("*.json"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_example_workflow_runs(host: Host, gateway: Gateway, path: Any) -> None:
    shutil.copy(host.folder / "input" / "example.png", host.base / "input" / "example.png")
    graph = to_graph(host, json.loads(path.read_text("utf-8")))
    for one in graph.values():
        one["inputs"].update(SMALL.get(one["class_type"], {}))
        if path.stem == "generate-local":
            one["inputs"].update(HERE.get(one["class_type"], {}))
    result = host.run(graph)
    assert result.status == "success", result.error
    saved = [image for output in result.outputs.values() for image in output.get("images", [])]
    assert saved
    for image in saved:
        folder = {"output": "output", "temp": "temp"}[image["type"]]
        assert (host.base / folder / image["subfolder"] / image["filename"]).stat().st_size > 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_example_workflow_is_shareable(path: Any) -> None:
    text = path.read_text("utf-8")
    workflow = json.loads(text)
    assert workflow["version"] == 0.4
    assert not {"accessKey", "Bearer"} & set(text.split())
    assert any(node["type"] == "MarkdownNote" for node in workflow["nodes"]), "say what it shows"
