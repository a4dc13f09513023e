"""OpenPose's own networks: against the original code, and used only when they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openpose_scenes
import pytest
import random_weights
import torch
from img_open.base.errors import Cancelled, InvalidRequest, MissingDependency, MissingModel
from img_open.preprocessors import estimators, networks, pose_modules, run
from img_open.preprocessors.pose import draw_pose, pose_from_json, pose_to_json
from img_open.preprocessors.runtime import PlainRuntime

LEARNED = Path(__file__).parents[1] / "golden" / "learned"
GOLDEN = json.loads((LEARNED / "openpose.json").read_text(encoding="utf-8"))
FILES = ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth")


class _StandIn(PlainRuntime):
    """`openpose_scenes` in place of the three networks; counts the passes."""

    def __init__(self, **more):
        super().__init__("cpu", **more)
        self.passes = []

    def load(self, key, builder):
        tag = key.rpartition("/")[2]
        self.passes.append(tag)
        return {
            "openpose_body": openpose_scenes.body,
            "openpose_hand": openpose_scenes.hand,
            "openpose_face": openpose_scenes.face,
        }[tag]


def _run(module, picture, runtime, res=128, estimator=estimators.OPENPOSE):
    return run.run_module(
        module,
        picture,
        processor_res=res,
        threshold_a=0,
        threshold_b=0,
        estimator=estimator,
        runtime=runtime,
    )


@pytest.mark.parametrize("case", GOLDEN["networks"], ids=lambda case: case["key"])
def test_networks_are_the_originals(case):
    made = networks.BUILDERS[case["key"]]()
    networks.fill(made, random_weights.random_state(case["key"], made, 1.4), Path(case["key"]))
    pixels = torch.rand(1, 3, 48, 40, generator=torch.Generator().manual_seed(case["seed"])) - 0.5
    with torch.inference_mode():
        found = made.eval()(pixels)
    found = torch.cat(found, 1) if isinstance(found, tuple) else found
    with np.load(LEARNED / case["output"]) as stored:
        assert np.abs(found[0].numpy() - stored["x"]).max() <= case["tolerance"]


def _name(case):
    return case["output"].removesuffix(".png")


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=_name)
def test_maps_are_the_originals_to_the_pixel(case):
    from PIL import Image

    with Image.open(LEARNED / case["output"]) as stored:
        wanted = np.asarray(stored)
    runtime = _StandIn()
    made = _run(case["module"], openpose_scenes.picture(*case["picture"]), runtime, case["processor_res"])
    assert np.array_equal(made, wanted)
    assert runtime.notices == [estimators.made_by("", estimators.OPENPOSE)]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=_name)
def test_bodies_are_the_originals(case):
    """In pixels, though the canvas of the original's JSON has its padding and ours has not."""
    picture = openpose_scenes.picture(*case["picture"])
    pose = pose_modules.estimate_pose(
        case["module"], picture, case["processor_res"], _StandIn(), estimators.OPENPOSE
    )
    height, width = case["canvas"]
    assert pose.height <= height
    assert pose.width <= width
    made = pose_to_json(pose)["people"]
    assert len(made) == len(case["bodies"])
    for person, body in zip(made, case["bodies"], strict=True):
        points = np.array(body).reshape(18, 3) * (width, height, 1)
        assert np.allclose(np.array(person["pose_keypoints_2d"]).reshape(18, 3), points, atol=0.1)
        assert (person["face_keypoints_2d"] is None) or "face" in case["module"] or "full" in case["module"]


def test_the_json_draws_the_map_again():
    picture = openpose_scenes.picture(0, 128, 128)
    runtime = _StandIn()
    pose = pose_modules.estimate_pose("openpose_full", picture, 128, runtime, estimators.OPENPOSE)
    assert len(pose.people[0].face) == 71
    assert pose.people[0].left_hand is not None
    again = draw_pose(pose_from_json(json.dumps(pose_to_json(pose))))
    drawn = _run("openpose_full", picture, runtime)
    assert (again != drawn).any(axis=2).mean() < 0.01  # a point may round to the next pixel


def test_a_batch_is_its_pictures_and_tells_its_poses():
    pictures = [openpose_scenes.picture(scene, 96, 128) for scene in range(openpose_scenes.SCENES)]
    batch = torch.from_numpy(np.stack(pictures)).float() / 255
    settings = {"processor_res": 128, "threshold_a": 0, "threshold_b": 0, "estimator": estimators.OPENPOSE}
    poses = []
    together = run.run_batch("openpose_full", batch, poses=poses, runtime=_StandIn(), **settings)
    assert [len(pose["people"]) for pose in poses] == [2, 3, 0, 2]
    for picture, made in zip(pictures, together, strict=True):
        alone = _run("openpose_full", picture, _StandIn())
        assert np.array_equal((made.numpy() * 255).round().astype(np.uint8), alone)


def test_several_pictures_in_one_pass():
    """What a GPU does: their people stay apart."""
    from img_open.preprocessors.free import Call

    pictures = [openpose_scenes.picture(scene, 128, 128) for scene in (0, 1, 2)]
    call = Call(128, 0, 0, 0, -1, _StandIn(), estimator=estimators.OPENPOSE)
    together = pose_modules.openpose_full(pictures, call)
    for picture, made in zip(pictures, together, strict=True):
        assert np.array_equal(made, _run("openpose_full", picture, _StandIn()))


def test_a_cached_map_still_tells_its_estimator():
    runtime = _StandIn()
    picture = openpose_scenes.picture(0, 128, 128)
    first = _run("openpose_full", picture, runtime)
    passes = len(runtime.passes)
    runtime.notices.clear()
    assert np.array_equal(_run("openpose_full", picture, runtime), first)
    assert len(runtime.passes) == passes
    assert any("non-commercial" in notice for notice in runtime.notices)


def test_estimators_do_not_share_the_cache(tmp_path):
    """A map made by one estimator is no answer for another one."""
    runtime = _StandIn(folders=[tmp_path])
    picture = openpose_scenes.picture(0, 128, 128)
    _run("openpose_full", picture, runtime)
    with pytest.raises(MissingModel, match=r"yolox_l\.onnx"):
        PlainRuntime.load(runtime, "preprocessor/dw_detector", lambda: _no_dwpose(tmp_path))
    with pytest.raises(KeyError, match="dw_detector"):  # DWPose was asked, not the cache
        _run("openpose_full", picture, runtime, estimator=estimators.DWPOSE)


def _no_dwpose(folder):
    from img_open.preprocessors import weight_files

    return weight_files.require("dw_detector", PlainRuntime("cpu", folders=[folder]))


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (200, 3)])
def test_tiny_pictures(size):
    made = _run("openpose_full", openpose_scenes.picture(1, *size), _StandIn(), res=64)
    assert min(made.shape[:2]) == 64


def test_nothing_but_the_user_chooses_them(tmp_path):
    """Even with their files at hand and no others."""
    for file in FILES:
        (tmp_path / file).write_bytes(b"there")
    runtime = PlainRuntime("cpu", folders=[tmp_path])
    picture = openpose_scenes.picture(0, 64, 64)
    for module in ("openpose_hand", "openpose_face", "openpose_faceonly", "openpose_full"):
        with pytest.raises(MissingModel, match=r"yolox_l\.onnx"):
            _run(module, picture, runtime, estimator=estimators.AUTO)
    pytest.importorskip("onnxruntime")
    _run("openpose", picture, runtime, estimator=estimators.AUTO)
    assert runtime.notices == [estimators.made_by("openpose", estimators.MOVENET)]


def test_movenet_and_dwpose_by_name(tmp_path):
    pytest.importorskip("onnxruntime")
    runtime = PlainRuntime("cpu", folders=[tmp_path])
    picture = openpose_scenes.picture(0, 64, 64)
    _run("openpose", picture, runtime, estimator=estimators.MOVENET)
    assert any("MoveNet" in notice for notice in runtime.notices)
    with pytest.raises(MissingModel, match=r"yolox_l\.onnx"):  # no MoveNet in its place
        _run("openpose", picture, runtime, estimator=estimators.DWPOSE)


@pytest.mark.parametrize(
    ("module", "estimator"),
    [
        ("openpose_full", estimators.MOVENET),
        ("dw_openpose_full", estimators.OPENPOSE),
        ("animal_openpose", estimators.DWPOSE),
        ("canny", estimators.OPENPOSE),
        ("openpose", "OpenPose"),
    ],
)
def test_an_estimator_that_cannot_make_the_module(module, estimator):
    picture = openpose_scenes.picture(0, 64, 64)
    with pytest.raises(InvalidRequest, match=f"estimator of {module}"):
        _run(module, picture, PlainRuntime("cpu"), estimator=estimator)
    with pytest.raises(InvalidRequest, match="auto"):
        run.run_batch(
            module,
            torch.zeros(1, 64, 64, 3),
            processor_res=64,
            threshold_a=0,
            threshold_b=0,
            estimator=estimator,
            runtime=PlainRuntime("cpu"),
        )


def test_they_do_not_need_onnxruntime(monkeypatch):
    from img_open.preprocessors import registry

    monkeypatch.setattr(registry, "_missing_packages", lambda packages: list(packages))
    picture = openpose_scenes.picture(0, 64, 64)
    assert _run("openpose", picture, _StandIn()).any()
    with pytest.raises(MissingDependency, match="onnxruntime"):
        _run("openpose", picture, _StandIn(), estimator=estimators.MOVENET)


@pytest.mark.parametrize(("module", "file"), [("openpose", FILES[0]), ("openpose_full", FILES[1])])
def test_missing_and_damaged_weights(module, file, tmp_path):
    class Runtime(PlainRuntime):
        def load(self, key, builder):
            wanted = key.rpartition("/")[2] == "openpose_body" and file != FILES[0]
            return openpose_scenes.body if wanted else super().load(key, builder)

    runtime = Runtime("cpu", folders=[tmp_path])
    picture = openpose_scenes.picture(0, 128, 128)
    with pytest.raises(MissingModel, match=rf"{file}.*MB.*non-commercial.*img-open models pull openpose_"):
        _run(module, picture, runtime)
    torch.save({"conv1_1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / file)
    with pytest.raises(MissingModel, match=rf"{file} is for another network"):
        _run(module, picture, runtime)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingModel, match=rf"{file} cannot be read"):
        _run(module, picture, runtime)


def test_cancel_between_bodies_and_hands():
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 2  # before the call, before the bodies, then stop

    runtime = _StandIn(is_cancelled=cancelled)
    with pytest.raises(Cancelled):
        _run("openpose_full", openpose_scenes.picture(0, 128, 128), runtime)
    assert runtime.passes == ["openpose_body"]


def test_the_command_line_takes_an_estimator(tmp_path, monkeypatch, capsys):
    from img_open import cli
    from PIL import Image

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    Image.fromarray(openpose_scenes.picture(0, 64, 64)).save(tmp_path / "in.png")
    names = ["preprocess", "openpose", str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--estimator"]
    assert cli.main([*names, estimators.OPENPOSE]) != 0
    assert "body_pose_model.pth" in capsys.readouterr().err
    pytest.importorskip("onnxruntime")
    assert cli.main([*names, estimators.MOVENET]) == 0
    assert "MoveNet" in "".join(capsys.readouterr())
    with pytest.raises(SystemExit):
        cli.main([*names, "alphapose"])
