"""The example workflows, as a user gets them, in a real host. Only model names and sizes are made small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from canvas import to_graph
from comfy_gateway import Gateway
from comfy_host import Host
from graphs import CHECKPOINT, CONTROL
from make_workflows import MAKERS, path_of

SMALL: dict[str, dict[str, Any]] = {
    "CheckpointLoaderSimple": {"ckpt_name": CHECKPOINT},
    "ControlNetLoader": {"control_net_name": CONTROL},
    "EmptyLatentImage": {"width": 64, "height": 64},
    "KSampler": {"steps": 2},
    "ImgOpenRemoteSubmit": {"steps": 4},
    "ImgOpenGenerate": {"steps": 2},
    "ImgOpenCropMasked": {"width": 64, "height": 64},
    "ImgOpenSigmas": {"steps": 4},
}
# What is made here, instead of on a server, has the models and sizes of this machine.
HERE = {"width": 64, "height": 64, "sd_model_checkpoint": CHECKPOINT}
# Modules with weights of hundreds of megabytes: the picture itself stands for their map.
LARGE = {"openpose_full", "depth_midas", "seg_ofade20k"}


def make_small(graph: dict[str, Any], name: str) -> None:
    """Bring a graph to the tiny models of the tests."""
    for one in graph.values():
        one["inputs"].update(SMALL.get(one["class_type"], {}))
        if one["class_type"] == "ImgOpenGenerate" and one["inputs"]["run_on"] == "local":
            one["inputs"].update(HERE)
            make_unit_small(graph, one["inputs"].get("units"))
    if name == "video-frames":
        for one in graph.values():
            if one["class_type"] == "ImgOpenResize":
                one["inputs"].update({"width": 64, "height": 64})


def make_unit_small(graph: dict[str, Any], wire: list[Any] | None) -> None:
    """The units on a wire, with the tiny control model and without large modules."""
    if wire is None:
        return
    inputs = graph[wire[0]]["inputs"]
    if inputs["model"]:  # reference modules have none
        inputs["model"] = CONTROL
    if inputs["module"] in LARGE:
        inputs["module"] = "none"
    make_unit_small(graph, inputs.get("units"))


def write_film(path: Path) -> None:
    """Three frames of a square that moves."""
    import cv2
    import numpy as np

    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 8, (64, 64))
    for number in range(3):
        frame = np.full((64, 64, 3), 40, np.uint8)
        frame[16:40, 8 + 8 * number : 32 + 8 * number] = 220
        film.write(frame)
    film.release()


@pytest.mark.parametrize("name", MAKERS)
def test_example_workflow_runs(host: Host, gateway: Gateway, name: str) -> None:
    shutil.copy(host.folder / "input" / "example.png", host.base / "input" / "example.png")
    if name == "video-frames":
        write_film(host.base / "input" / "clip.mp4")
    graph = to_graph(host, json.loads(path_of(name).read_text("utf-8")))
    make_small(graph, name)
    result = host.run(graph)
    assert result.status == "success", result.error
    saving = {key for key, one in graph.items() if one["class_type"].startswith(("Save", "PreviewImage"))}
    assert saving
    assert saving <= set(result.outputs), "an output got no picture"
    for image in (image for key in saving for image in result.outputs[key]["images"]):
        folder = {"output": "output", "temp": "temp"}[image["type"]]
        assert (host.base / folder / image["subfolder"] / image["filename"]).stat().st_size > 0


def test_every_frame_has_its_own_control_image(host: Host) -> None:
    write_film(host.base / "input" / "clip.mp4")
    graph = to_graph(host, json.loads(path_of("video-frames").read_text("utf-8")))
    make_small(graph, "video-frames")
    (shown,) = [key for key, one in graph.items() if one["class_type"] == "PreviewImage"]
    files = host.run(graph).outputs[shown]["images"]
    maps = {(host.base / "temp" / each["subfolder"] / each["filename"]).read_bytes() for each in files}
    assert len(files) == 3
    assert len(maps) == 3


def test_the_cut_out_is_transparent_around_its_subject(host: Host) -> None:
    from img_open.base.pictures import decode_picture

    shutil.copy(host.folder / "input" / "example.png", host.base / "input" / "example.png")
    graph = to_graph(host, json.loads(path_of("background-removal").read_text("utf-8")))
    (joined,) = [key for key, one in graph.items() if one["class_type"] == "JoinImageWithAlpha"]
    (cut,) = [key for key, one in graph.items() if one["inputs"].get("images") == [joined, 0]]
    only = {
        key: one for key, one in graph.items() if not one["class_type"].startswith(("ImgOpenGen", "Prev"))
    }
    only = {key: one for key, one in only.items() if one["class_type"] != "SaveImage" or key == cut}
    (file,) = host.run(only).outputs[cut]["images"]
    picture = decode_picture((host.base / "output" / file["subfolder"] / file["filename"]).read_bytes())
    assert picture.shape == (768, 768, 4)
    assert picture[500, 380, 3] == 255, "the dress"
    assert picture[20, 20, 3] == 0, "the sky"


@pytest.mark.parametrize("name", MAKERS)
def test_example_workflow_is_shareable(name: str) -> None:
    text = path_of(name).read_text("utf-8")
    workflow = json.loads(text)
    assert workflow["version"] == 0.4
    assert not {"accessKey", "Bearer"} & set(text.split())
    assert any(node["type"] == "MarkdownNote" for node in workflow["nodes"]), "say what it shows"
