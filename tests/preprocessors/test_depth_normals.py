"""LeReS++ and DSINE against the original code, with stand-ins and with pseudo-random weights."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import depth_scenes
import numpy as np
import pytest
import random_weights
import torch
from img_open.base.errors import Cancelled, InvalidRequest, MissingDependency, MissingModel
from img_open.preprocessors import depth_boost, networks, run
from img_open.preprocessors.depth_leres import _Networks
from img_open.preprocessors.runtime import PlainRuntime

LEARNED = Path(__file__).parents[1] / "golden" / "learned"
GOLDEN = json.loads((LEARNED / "depth_normals.json").read_text(encoding="utf-8"))


class _Seeded(PlainRuntime):
    """Networks with the golden set's weights, made in memory: as files they would fill a gigabyte."""

    def __init__(self):
        super().__init__("cpu", networks=2)

    def load(self, key, builder):
        tag = key.rpartition("/")[2]
        return super().load(key, lambda: self._build(tag))

    @staticmethod
    def _build(tag):
        with torch.inference_mode(False):
            made = networks.BUILDERS[tag]()
            networks.fill(made, random_weights.random_state(tag, made, 1.0), Path(tag))
            return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def seeded():
    return _Seeded()


class _StandIn(PlainRuntime):
    """The small networks of `depth_scenes` in place of LeReS and its merge network; counts the passes."""

    def __init__(self, **more):
        super().__init__("cpu", **more)
        self.passes = []

    def load(self, key, builder):
        tag = key.rpartition("/")[2]
        self.passes.append(tag)
        return {"leres": depth_scenes.Depth(), "leres_merge": depth_scenes.merge}[tag]


def _stored(name):
    with np.load(LEARNED / name) as file:
        return file["x"]


def _read(name):
    from PIL import Image

    with Image.open(LEARNED / name) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("case", GOLDEN["search"], ids=lambda case: case["picture"])
def test_resolution_and_patches_are_the_originals(case):
    picture = depth_scenes.PICTURES[case["picture"]]()
    side, detail = depth_boost.best_side(picture)
    assert side == case["side"]
    assert detail == pytest.approx(case["detail"], abs=1e-12)
    if case["patches"] is None:
        return
    factor = max(min(1.0, 4 * detail * side / 1600), 0.2)
    tall, wide = depth_boost._patch_canvas(*picture.shape[:2], side, factor)
    patches = depth_boost.select_patches(depth_boost._resized(picture, tall, wide), int(32 / factor))
    assert [[patch.x, patch.y, patch.side] for patch in patches] == case["patches"]


@pytest.mark.parametrize("case", GOLDEN["boost"], ids=lambda case: case["picture"])
def test_boosting_is_the_originals(case):
    runtime = _StandIn()
    depth = depth_boost.boosted_depth(depth_scenes.PICTURES[case["picture"]](), _Networks(runtime))
    assert np.abs(depth[::8, ::8] - _stored(case["output"])).max() <= case["tolerance"]
    assert runtime.passes.count("leres") == 2 + 2 * case["patches"]
    assert runtime.passes.count("leres_merge") == 1 + 2 * case["patches"]


@pytest.mark.parametrize("case", GOLDEN["maps"], ids=lambda case: case["output"])
def test_maps_are_the_originals(case, seeded):
    made = run.run_module(
        case["module"],
        depth_scenes.blocks(*case["blocks"]),
        processor_res=case["processor_res"],
        threshold_a=case["threshold_a"],
        threshold_b=case["threshold_b"],
        runtime=seeded,
    )
    wanted = _read(case["output"])
    if wanted.ndim == 2:
        assert (made == made[:, :, :1]).all()
        made = made[:, :, 0]
    assert made.shape == wanted.shape
    difference = np.abs(made.astype(int) - wanted)
    assert difference.max() <= case["tolerance"]
    assert (difference > 0).mean() <= case["share"]


def _settings(module, runtime, **more):
    a, b = (60, 2) if module == "normal_dsine" else (0, 0)
    return {"processor_res": 64, "threshold_a": a, "threshold_b": b, "runtime": runtime, **more}


@pytest.mark.parametrize("module", ["normal_dsine", "depth_leres++"])
def test_a_batch_is_its_pictures(module, seeded):
    runtime = seeded if module == "normal_dsine" else _StandIn()
    pictures = [depth_scenes.blocks(64, 96, seed) for seed in (11, 12)]
    batch = torch.from_numpy(np.stack(pictures)).float() / 255
    together = run.run_batch(module, batch, **_settings(module, runtime))
    runtime.cache.clear()
    for picture, made in zip(pictures, together, strict=True):
        alone = run.run_module(module, picture, **_settings(module, runtime))
        assert np.array_equal((made.numpy() * 255).round().astype(np.uint8), alone)
    assert not torch.equal(together[0], together[1])


def test_several_pictures_in_one_pass_of_the_normal_network(seeded):
    """What a GPU does; sums may be made in another order."""
    from img_open.preprocessors.free import Call
    from img_open.preprocessors.normals import normal_dsine

    pictures = [depth_scenes.blocks(64, 64, seed) for seed in (1, 2)]
    call = Call(64, 60, 1, 0, -1, seeded)
    together = normal_dsine(pictures, call)
    for picture, made in zip(pictures, together, strict=True):
        assert np.abs(normal_dsine([picture], call)[0].astype(int) - made).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (3, 40)])
@pytest.mark.parametrize("module", ["normal_dsine", "depth_leres++"])
def test_tiny_pictures(module, size, seeded):
    picture = depth_scenes.blocks(*size, 1)
    made = run.run_module(module, picture, **_settings(module, seeded if "dsine" in module else _StandIn()))
    assert made.dtype == np.uint8
    assert made.any()
    if module == "depth_leres++":
        assert min(made.shape[:2]) == 64
    else:  # the original cuts its map by the size the picture had; that is told
        assert made.shape[:2] == size
        assert any("working size" in notice for notice in seeded.notices)


def test_remove_near_and_background_work_on_the_boosted_depth():
    picture = depth_scenes.blocks(64, 64, 3)
    plain = run.run_module("depth_leres++", picture, **_settings("depth_leres++", _StandIn()))
    cut = run.run_module(
        "depth_leres++", picture, **_settings("depth_leres++", _StandIn(), threshold_a=50, threshold_b=20)
    )
    near, far = plain >= 255 - 127, plain <= 51
    assert (cut[near] == 255).all()
    assert (cut[far] == 0).all()
    assert (cut[~near & ~far] == plain[~near & ~far]).all()


def test_field_of_view_and_rounds_matter(seeded):
    picture = depth_scenes.blocks(64, 64, 9)
    maps = [
        run.run_module(
            "normal_dsine", picture, **_settings("normal_dsine", seeded, threshold_a=a, threshold_b=b)
        )
        for a, b in ((60, 2), (100, 2), (60, 3), (0, 2))
    ]
    for index, made in enumerate(maps):
        assert all(not np.array_equal(made, other) for other in maps[:index])


def test_normals_that_are_no_numbers_are_an_error_not_a_black_map():
    class Runtime(PlainRuntime):
        def load(self, key, builder):
            return lambda pixels, camera, rounds: torch.full_like(pixels, torch.nan)

    with pytest.raises(InvalidRequest, match="below 180"):
        run.run_module(
            "normal_dsine",
            depth_scenes.blocks(64, 64, 1),
            **_settings("normal_dsine", Runtime("cpu"), threshold_a=180),
        )


def test_cancel_between_two_passes():
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 3  # before the call, before the chunk, before the first pass, then stop

    runtime = _StandIn(is_cancelled=cancelled)
    with pytest.raises(Cancelled):
        run.run_module("depth_leres++", depth_scenes.blocks(64, 64, 1), **_settings("depth_leres++", runtime))
    assert len(runtime.passes) < 3


@pytest.mark.parametrize(
    ("module", "file"), [("normal_dsine", "dsine.pt"), ("depth_leres++", "latest_net_G.pth")]
)
def test_missing_and_damaged_weights(module, file, tmp_path):
    class Runtime(PlainRuntime):
        def load(self, key, builder):
            return depth_scenes.Depth() if key.endswith("/leres") else super().load(key, builder)

    runtime = Runtime("cpu", folders=[tmp_path])
    picture = depth_scenes.blocks(64, 64, 1)
    with pytest.raises(MissingModel, match=rf"{file}.*MB.*(non-commercial|academic).*img-open models pull"):
        run.run_module(module, picture, **_settings(module, runtime))
    torch.save({"model": {"conv.weight": torch.zeros(4, 4)}}, tmp_path / file)
    with pytest.raises(MissingModel, match=rf"{file} is for another network"):
        run.run_module(module, picture, **_settings(module, runtime))
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingModel, match=rf"{file} cannot be read"):
        run.run_module(module, picture, **_settings(module, runtime))


def test_the_hand_refiner_names_its_package_licence_and_weights():
    with pytest.raises(MissingDependency, match="hand_refiner") as caught:
        run.run_module("depth_hand_refiner", depth_scenes.blocks(64, 64, 1), **_settings("", PlainRuntime()))
    told = str(caught.value)
    for word in ("handrefinerportable", "MANO", "non-commercial", "hr16/ControlNet-HandRefiner-pruned"):
        assert word in told


class _HandPackage:
    """What the pack uses of handrefinerportable, acting on the process as that package does."""

    def __init__(self, hands=1):
        import os

        self.built, self.calls = [], []

        def pipeline(args):
            os.environ["OMP_NUM_THREADS"] = "4"
            random.seed(88)
            self.built.append((args.resume_checkpoint, args.hrnet_checkpoint, args.device))
            return "pipeline"

        def detector(built):
            def look(picture, **more):
                self.calls.append((picture.shape, more))
                depth = np.full(picture.shape, 9, np.uint8) if hands else np.zeros_like(picture)
                return depth, depth, {"hands": ["left"]} if hands else None

            return look

        args = SimpleNamespace(resume_checkpoint=None, hrnet_checkpoint=None, device="cpu")
        self.modules = {
            "hand_refiner": SimpleNamespace(MeshGraphormerDetector=detector, __spec__=SimpleNamespace()),
            "hand_refiner.pipeline": SimpleNamespace(MeshGraphormerMediapipe=pipeline, args=args),
        }


@pytest.mark.parametrize("hands", [0, 1])
def test_the_hand_refiner_is_called_as_the_original_does(hands, tmp_path, monkeypatch):
    import os
    import sys

    package = _HandPackage(hands)
    for name, module in package.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    files = [tmp_path / "graphormer_hand_state_dict.bin", tmp_path / "hrnetv2_w64_imagenet_pretrained.pth"]
    for file in files:
        file.write_bytes(b"not looked into")
    before = dict(os.environ)
    random.seed(1)
    drawn = random.getstate()
    runtime = PlainRuntime("cpu", folders=[tmp_path])
    made = run.run_module(
        "depth_hand_refiner",
        depth_scenes.blocks(100, 150, 1),
        processor_res=128,
        threshold_a=0,
        threshold_b=0,
        runtime=runtime,
    )
    assert package.built == [(str(files[0]), str(files[1]), "cpu")]
    shape, settings = package.calls[0]
    assert shape == (128, 192, 3)  # padded to multiples of 64
    assert settings == {"output_type": "np", "detect_resolution": 128, "mask_bbox_padding": 30}
    assert made.shape == (128, 192, 3)
    assert bool(made.any()) == bool(hands)
    assert any("no hand" in notice for notice in runtime.notices) == (not hands)
    assert dict(os.environ) == before
    assert random.getstate() == drawn
