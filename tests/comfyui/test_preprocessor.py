"""ImgOpenPreprocessor in a real host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host
from graphs import node, write_picture
from img_open.base.pictures import decode_picture
from img_open.controlnet.modules import effective_sliders
from img_open.preprocessors.run import run_module
from img_open.preprocessors.runtime import PlainRuntime


@pytest.fixture(scope="module")
def photo(host: Host) -> np.ndarray:
    path = host.base / "input" / "photo.png"
    write_picture(path, 96, 80)
    return decode_picture(path.read_bytes())


def newest(host: Host, prefix: str) -> list[Path]:
    return sorted((host.base / "output").glob(f"{prefix}_*.png"))


@pytest.mark.parametrize(
    "module",
    ["canny", "threshold", "invert", "lineart_standard", "scribble_xdog", "blur_gaussian", "shuffle"],
)
def test_the_canvas_gives_what_the_rooms_give(host: Host, photo: np.ndarray, module: str) -> None:
    graph = {
        "load": node("LoadImage", image="photo.png"),
        "map": node("ImgOpenPreprocessor", image=["load", 0], module=module, processor_res=128, seed=5),
        "save": node("SaveImage", images=["map", 0], filename_prefix=f"pre-{module}"),
    }
    result = host.run(graph)
    assert result.status == "success", result.error
    resolution, a, b, _ = effective_sliders(module, 128)
    expected = run_module(
        module,
        photo,
        processor_res=resolution,
        threshold_a=a,
        threshold_b=b,
        seed=5,
        runtime=PlainRuntime("cpu"),
    )
    assert np.array_equal(decode_picture(newest(host, f"pre-{module}")[-1].read_bytes()), expected)


def test_a_batch_gives_a_batch_and_the_resolution(host: Host, photo: np.ndarray) -> None:
    graph = {
        "load": node("LoadImage", image="photo.png"),
        "many": node("RepeatImageBatch", image=["load", 0], amount=3),
        "map": node("ImgOpenPreprocessor", image=["many", 0], module="canny", processor_res=64),
        "save": node("SaveImage", images=["map", 0], filename_prefix="pre-batch"),
        "look": node("PreviewAny", source=["map", 1]),
    }
    result = host.run(graph)
    assert result.status == "success", result.error
    assert len(newest(host, "pre-batch")) == 3
    assert result.outputs["look"]["text"] == ["64"]


def test_pixel_perfect(host: Host, photo: np.ndarray) -> None:
    """96x80 picture, 128x128 generation, Crop and Resize: 128 / 80 of the short side 80."""
    graph = {
        "load": node("LoadImage", image="photo.png"),
        "map": node(
            "ImgOpenPreprocessor",
            image=["load", 0],
            module="canny",
            pixel_perfect=True,
            width=128,
            height=128,
        ),
        "look": node("PreviewAny", source=["map", 1]),
    }
    assert host.run(graph).outputs["look"]["text"] == ["128"]


ERRORS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("unknown module", {"module": "cany"}, ["cany", "canny"]),
    ("embedding", {"module": "clip_vision"}, ["embedding"]),
    ("unknown resize mode", {"pixel_perfect": True, "resize_mode": "Fit"}, ["resize_mode", "Fit"]),
]


@pytest.mark.parametrize(("widgets", "words"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_are_clear(host: Host, photo: np.ndarray, widgets: dict[str, Any], words: list[str]) -> None:
    graph = {
        "load": node("LoadImage", image="photo.png"),
        "map": node("ImgOpenPreprocessor", **{"image": ["load", 0], "module": "canny", **widgets}),
        "look": node("PreviewImage", images=["map", 0]),
    }
    result = host.run(graph)
    assert result.status == "error"
    for word in words:
        assert word in result.error


@pytest.mark.parametrize(
    ("run_on", "words"), [("local", ["body_pose_model.pth", "non-commercial", "209.3"]), ("remote", ["auto"])]
)
def test_openposes_own_networks_are_used_when_their_label_is_chosen(
    host: Host, photo: np.ndarray, run_on: str, words: list[str]
) -> None:
    """They need their own file and nothing else, and a server is not asked for them."""
    chosen = {"module": "openpose", "estimator": "openpose (non-commercial)", "run_on": run_on}
    graph = {
        "load": node("LoadImage", image="photo.png"),
        "map": node("ImgOpenPreprocessor", image=["load", 0], processor_res=64, **chosen),
        "look": node("PreviewImage", images=["map", 0]),
    }
    result = host.run(graph)
    assert result.status == "error"
    assert all(word in result.error for word in words), result.error


def test_values_outside_the_widget_are_refused_by_the_host(host: Host, photo: np.ndarray) -> None:
    graph = {
        "load": node("LoadImage", image="photo.png"),
        "map": node("ImgOpenPreprocessor", image=["load", 0], module="canny", processor_res=5000),
        "look": node("PreviewImage", images=["map", 0]),
    }
    answer = host.post("/prompt", {"prompt": graph})
    assert answer["_status"] == 400
    assert "bigger than max of 2048" in str(answer["node_errors"])
