"""ImgOpenPoseRender and the pose outputs of ImgOpenPreprocessor in a real host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host
from graphs import Graph, node, write_picture
from img_open.base.pictures import decode_picture


def pictures(host: Host, prefix: str) -> list[np.ndarray]:
    return [decode_picture(path.read_bytes()) for path in sorted((host.base / "output").glob(f"{prefix}_*"))]


def rendered(host: Host, prefix: str, **widgets: Any) -> tuple[list[np.ndarray], Any]:
    """The pictures of the node, and the JSON it gives."""
    graph: Graph = {
        "draw": node("ImgOpenPoseRender", **widgets),
        "save": node("SaveImage", images=["draw", 0], filename_prefix=prefix),
        "look": node("PreviewAny", source=["draw", 1]),
    }
    result = host.run(graph)
    assert result.status == "success", result.error
    return pictures(host, prefix), json.loads(result.outputs["look"]["text"][0])


def error_of(host: Host, **widgets: Any) -> str:
    graph = {
        "draw": node("ImgOpenPoseRender", **widgets),
        "look": node("PreviewImage", images=["draw", 0]),
    }
    result = host.run(graph)
    assert result.status == "error"
    return result.error


@pytest.mark.golden_cases("openpose_render")
def test_the_picture_is_the_originals(host: Host, golden: Any, case: dict[str, Any]) -> None:
    (made,), told = rendered(host, f"pose-{case['id']}", pose=json.dumps(case["params"]["pose"]))
    golden.check(made, case)
    assert len(told[0]["people"]) == len(case["params"]["pose"]["people"])
    assert told[0]["canvas_width"] == made.shape[1]


def figure(golden: Any, index: int = 0) -> dict[str, Any]:
    return golden.cases("openpose_render")[index]["params"]["pose"]


def test_a_list_is_a_batch_and_the_objects_draw_the_same(host: Host, golden: Any) -> None:
    """Two frames at one size, through the text and through POSE_KEYPOINT."""
    text = json.dumps([figure(golden, 0), figure(golden, 2)])
    graph: Graph = {
        "one": node("ImgOpenPoseRender", pose=text, width=200, height=160),
        "two": node("ImgOpenPoseRender", pose_keypoint=["one", 2], pose="[]", width=200, height=160),
        "three": node("ImgOpenPoseRender", pose=["one", 1], width=200, height=160),
    }
    for name in ("one", "two", "three"):
        graph[f"save-{name}"] = node("SaveImage", images=[name, 0], filename_prefix=f"pose-{name}-batch")
    result = host.run(graph)
    assert result.status == "success", result.error
    one, two, three = (pictures(host, f"pose-{name}-batch") for name in ("one", "two", "three"))
    assert [made.shape for made in one] == [(160, 200, 3)] * 2
    assert not np.array_equal(one[0], one[1])
    for again in (two, three):  # over pixels and back a joint may fall on the next pixel
        assert all(np.abs(a.astype(int) - b).mean() < 0.5 for a, b in zip(one, again, strict=True))


def test_toggles_and_one_side(host: Host, golden: Any) -> None:
    whole = figure(golden)
    width, height = whole["canvas_width"], whole["canvas_height"]
    text = json.dumps(whole)
    (face,), _ = rendered(host, "pose-face", pose=text, body=False, hands=False)
    assert set(np.unique(face)) == {0, 255}
    (nothing,), _ = rendered(host, "pose-nothing", pose=text, body=False, hands=False, face=False)
    assert not nothing.any()
    (half,), _ = rendered(host, "pose-half", pose=text, width=width // 2)
    assert half.shape == (height // 2, width // 2, 3)


def test_errors_are_clear(host: Host, golden: Any) -> None:
    assert "there is no pose" in error_of(host).lower()
    assert "nothing to draw" in error_of(host, pose="[]")
    assert "not JSON" in error_of(host, pose="{people}")
    assert "canvas_width" in error_of(host, pose='{"people": []}')
    small, large = figure(golden), {**figure(golden), "canvas_width": 100}
    assert "different sizes" in error_of(host, pose=json.dumps([small, large]))
    strip = json.dumps({"people": [], "canvas_width": 8192, "canvas_height": 1})
    assert "million" in error_of(host, pose=strip, height=8192)


def with_pose(module: str, image: str) -> Graph:
    return {
        "load": node("LoadImage", image=image),
        "many": node("RepeatImageBatch", image=["load", 0], amount=2),
        "map": node("ImgOpenPreprocessor", image=["many", 0], module=module, processor_res=128),
        "text": node("PreviewAny", source=["map", 2]),
        "objects": node("PreviewAny", source=["map", 3]),
        "save": node("SaveImage", images=["map", 0], filename_prefix=f"pose-map-{module}"),
    }


def test_a_module_without_poses_gives_an_empty_list(host: Host) -> None:
    write_picture(host.base / "input" / "photo.png", 96, 80)
    result = host.run(with_pose("canny", "photo.png"))
    assert result.status == "success", result.error
    assert result.outputs["text"]["text"] == ["[]"]
    assert result.outputs["objects"]["text"] == ["[]"]


def test_openpose_gives_the_pose_behind_its_map(host: Host, golden: Any) -> None:
    """Drawn again from the JSON it is the map. Without onnxruntime the module says what is missing."""
    (host.base / "input" / "astronaut.png").write_bytes(
        Path(golden.root / "inputs" / "photo_256.png").read_bytes()
    )
    graph = with_pose("openpose", "astronaut.png")
    graph["again"] = node("ImgOpenPoseRender", pose_keypoint=["map", 3])
    graph["save-again"] = node("SaveImage", images=["again", 0], filename_prefix="pose-again")
    result = host.run(graph)
    if result.status == "error":
        assert "onnxruntime" in result.error
        return
    frames = json.loads(result.outputs["text"]["text"][0])
    assert [len(frame["people"]) for frame in frames] == [1, 1]
    assert frames[0]["canvas_width"] == 128
    for first, second in zip(pictures(host, "pose-map-openpose"), pictures(host, "pose-again"), strict=True):
        assert first.any()
        assert np.abs(first.astype(int) - second).mean() < 0.5


def test_a_batch_larger_than_the_memory_is_refused(host: Host, golden: Any) -> None:
    """800 GB: said before anything is drawn, and the host lives on."""
    many = json.dumps([figure(golden)] * 1000)
    assert "GiB of memory" in error_of(host, pose=many, width=8192, height=8192)
    assert host.run({"look": node("PreviewAny", source="still here")}).status == "success"
