"""UniFormer, the anime face U-Net, DensePose and MobileSAM: the original's maps on the same weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import more_weights
import numpy as np
import pytest
import torch
from img_open.base.errors import Cancelled, MissingModel, PictureError
from img_open.preprocessors import densepose, registry, run, sam, segmentation, vision_ops
from img_open.preprocessors.free import Call
from img_open.preprocessors.networks import network
from img_open.preprocessors.runtime import PlainRuntime
from img_open.preprocessors.weights_table import WEIGHTS

_GOLDEN = Path(__file__).parents[1] / "golden" / "learned" / "more_networks"
_CASES = json.loads((_GOLDEN / "manifest.json").read_text(encoding="utf-8"))["cases"]
_MODULES = {
    "segmentation": "uniformer",
    "anime_face_segment": "anime_face",
    "densepose": "densepose",
    "densepose_parula": "densepose",
    "mobile_sam": "mobile_sam",
}

pytestmark = pytest.mark.skipif(
    bool(registry._missing_packages(("controlnet_aux",))), reason="controlnet-aux is not here"
)


class _Discs:
    """`more_weights.discs` in the place of MobileSAM's network."""

    def __init__(self):
        self.calls = 0

    def image_encoder(self, pixels):
        assert pixels.shape[1:] == (3, 1024, 1024)
        return pixels[:, :1, :1, :1]

    def point_masks(self, embedding, points):
        assert embedding.shape[0] == 1
        self.calls += 1
        masks, qualities = more_weights.discs(points)
        return masks.flatten(0, 1), qualities.flatten()


class _DiscsRuntime(PlainRuntime):
    def __init__(self, network=None, **more):
        super().__init__("cpu", **more)
        self.network = network or _Discs()

    def load(self, key, builder):
        return self.network


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder with the published file names, filled by the recipe when a test asks for one."""
    folder = tmp_path_factory.mktemp("more-weights")

    def runtime(key, **more):
        if key == "densepose":
            more_weights.write_densepose(folder)
        else:
            more_weights.write(key, folder)
        return PlainRuntime("cpu", folders=[folder], networks=1, **more)

    return runtime


def _picture(path):
    import cv2

    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def _run(module, picture, runtime, res=64, seed=0, subseed=-1):
    return run.run_module(
        module, picture, processor_res=res, threshold_a=0, threshold_b=0, seed=seed, subseed=subseed,
        runtime=runtime,
    )  # fmt: skip


def _share(one, other):
    """Share of pixels that differ."""
    assert one.shape == other.shape
    return float((one != other).any(axis=2).mean())


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["name"])
def test_the_originals_maps(case, weights, monkeypatch):
    runtime = _DiscsRuntime() if case["weights"] == "discs" else weights(case["weights"])
    monkeypatch.setattr(sam, "_POINTS", case.get("points_per_side", 32))
    picture = more_weights.picture(*case["picture"])
    made = _run(case["module"], picture, runtime, case["processor_res"], case.get("seed", 0))
    assert _share(made, _picture(_GOLDEN / case["file"])) <= case["may_differ"]


def test_mobile_sams_network(weights):
    known = np.load(_GOLDEN / "mobile_sam_network.npz")
    largest = np.abs(known["logits"]).max()
    runtime = weights("mobile_sam")
    made = network("mobile_sam", runtime)
    picture = more_weights.picture(160, 224)
    rows, columns = sam._longest(160, 224, 1024)
    points = torch.from_numpy(known["points"] * [columns / 224, rows / 160])
    with torch.inference_mode():
        embedding = made.image_encoder(sam._squares([picture], runtime))
        logits, qualities = made.point_masks(embedding, points)
    assert np.abs(embedding[0, :, ::9, ::9].numpy() - known["embedding"]).max() < 1e-4
    assert np.abs(qualities.numpy() - known["qualities"]).max() < 1e-4
    assert np.abs(logits[:, ::12, ::12].numpy() - known["logits"]).max() < 1e-5 * largest


def _small(monkeypatch):
    """The same at a fraction of the size the networks look at."""
    monkeypatch.setattr(segmentation, "_looked_at", lambda inputs, short, long: list(inputs))
    monkeypatch.setattr(segmentation, "_FACE_SIDE", 64)
    monkeypatch.setattr(sam, "_POINTS", 4)


def _runtime_of(module, weights, **more):
    return _DiscsRuntime(**more) if module == "mobile_sam" else weights(_MODULES[module], **more)


@pytest.mark.parametrize("module", _MODULES)
def test_a_batch_is_its_pictures(module, weights, monkeypatch):
    _small(monkeypatch)
    runtime = _runtime_of(module, weights)
    pictures = [more_weights.picture(70, 110, seed) for seed in range(3)]
    make = registry.function_of(registry.find_preprocessor(module))
    call = Call(64, 0, 0, 5, -1, runtime)
    together = make(pictures, call)
    assert len(together) == 3
    for picture, made in zip(pictures, together, strict=True):
        assert _share(made, make([picture], call)[0]) <= 0.001  # a class border may move by rounding
    if module != "mobile_sam":  # the discs are the same for every picture
        assert _share(together[0], together[1]) > 0.01


@pytest.mark.parametrize("module", _MODULES)
def test_a_picture_of_16_pixels(module, weights, monkeypatch):
    _small(monkeypatch)
    made = _run(module, more_weights.picture(16, 16), _runtime_of(module, weights))
    assert made.shape == (64, 64, 3)
    assert made.dtype == np.uint8


@pytest.mark.parametrize("module", _MODULES)
def test_without_weights_the_error_names_all_that_is_needed(module, tmp_path):
    entry = WEIGHTS[_MODULES[module]]
    with pytest.raises(MissingModel) as caught:
        _run(module, more_weights.picture(64, 64), PlainRuntime("cpu", folders=[tmp_path]))
    said = str(caught.value)
    for word in (Path(entry.file).name, entry.repo, entry.licence, f"{entry.megabytes:g} MB", str(tmp_path)):
        assert word in said
    assert f"img-open models pull {entry.key}" in said
    runs, reason = registry.available(module, [tmp_path])
    assert not runs
    assert Path(entry.file).name in reason


@pytest.mark.parametrize("module", ["segmentation", "anime_face_segment", "densepose", "mobile_sam"])
@pytest.mark.parametrize("damage", ["cut off", "no such file format", "another network"])
def test_a_damaged_weight_file_names_itself(module, damage, weights, tmp_path):
    path = tmp_path / Path(WEIGHTS[_MODULES[module]].file).name
    if damage == "cut off":
        whole = more_weights.write("anime_face", tmp_path / "..") if module != "densepose" else None
        content = whole.read_bytes() if whole else more_weights.write_densepose(tmp_path).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif damage == "another network":
        torch.save({"layer.weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(b"<html>not found</html>")
    with pytest.raises(MissingModel, match=r"weight file .*pull MODULE") as caught:
        _run(module, more_weights.picture(64, 64), PlainRuntime("cpu", folders=[tmp_path]))
    assert path.name in str(caught.value)


def test_an_unknown_part_of_a_checkpoint_is_refused(tmp_path):
    state = more_weights.state("anime_face")
    path = tmp_path / "UNet.pth"
    torch.save({**state, "auxiliary_head.weight": torch.zeros(1)}, path)  # known, but of another network
    with pytest.raises(MissingModel, match="another network"):
        _run("anime_face_segment", more_weights.picture(64, 64), PlainRuntime("cpu", folders=[tmp_path]))


@pytest.mark.parametrize("module", _MODULES)
def test_a_cancelled_call_makes_nothing(module, weights):
    runtime = _runtime_of(module, weights, is_cancelled=lambda: True)
    with pytest.raises(Cancelled):
        _run(module, more_weights.picture(64, 64), runtime)


def test_mobile_sam_stops_between_its_points(monkeypatch):
    monkeypatch.setattr(sam, "_AT_ONCE", 8)
    network = _Discs()
    runtime = _DiscsRuntime(network, is_cancelled=lambda: network.calls >= 2)
    with pytest.raises(Cancelled):
        _run("mobile_sam", more_weights.picture(64, 64), runtime, 64)
    assert network.calls == 2  # of 128


def test_densepose_stops_between_pictures(weights):
    asked = []
    runtime = weights("densepose", is_cancelled=lambda: len(asked) > 1 or asked.append(1))
    with pytest.raises(Cancelled):
        densepose.parula([more_weights.picture(64, 64)] * 4, Call(64, 0, 0, 0, -1, runtime))


def test_mobile_sams_colours_follow_the_seed_and_are_cached_with_it(monkeypatch):
    monkeypatch.setattr(sam, "_POINTS", 5)
    runtime = _DiscsRuntime()
    picture = more_weights.picture(64, 64)
    one, again = (_run("mobile_sam", picture, runtime, 64, seed=1) for _ in range(2))
    calls = runtime.network.calls
    assert np.array_equal(one, again)
    assert calls == 1  # 25 points at once; the second call came from the cache
    other = _run("mobile_sam", picture, runtime, 64, seed=2)
    assert runtime.network.calls == 2
    assert not np.array_equal(one, other)
    same_areas = {tuple(pair) for pair in np.concatenate([one, other], axis=2).reshape(-1, 6)}
    assert len(same_areas) == len(np.unique(one.reshape(-1, 3), axis=0))  # only the colours changed
    sum_of_both = _run("mobile_sam", picture, runtime, 64, seed=0, subseed=2)
    assert np.array_equal(sum_of_both, one)  # 0 + 2 is 1 + 1


def test_mobile_sam_without_an_object_is_an_error(monkeypatch):
    monkeypatch.setattr(sam, "_POINTS", 2)

    def nothing(embedding, points):
        return torch.full((3 * len(points), 256, 256), -9.0), torch.ones(3 * len(points))

    network = SimpleNamespace(image_encoder=lambda pixels: pixels[:, :1, :1, :1], point_masks=nothing)
    with pytest.raises(PictureError, match="no object"):
        _run("mobile_sam", more_weights.picture(64, 64), _DiscsRuntime(network))


def test_mobile_sam_lets_the_process_wide_generator_alone(monkeypatch):
    monkeypatch.setattr(sam, "_POINTS", 4)
    before = np.random.get_state()
    _run("mobile_sam", more_weights.picture(64, 64), _DiscsRuntime())
    after = np.random.get_state()
    assert before[2] == after[2]
    assert np.array_equal(before[1], after[1])


def test_the_anime_face_map_tells_when_it_does_not_fit(weights):
    runtime = weights("anime_face")
    _run("anime_face_segment", more_weights.picture(64, 64), runtime, 512)
    assert not runtime.notices
    _run("anime_face_segment", more_weights.picture(64, 64), runtime, 256)
    assert "512" in runtime.notices[0]


def test_nobody_in_the_picture_is_plain_ground(tmp_path):
    more_weights.write_densepose(tmp_path, people=0)
    runtime = PlainRuntime("cpu", folders=[tmp_path])
    picture = more_weights.picture(48, 48)
    assert (_run("densepose", picture, runtime) == [68, 1, 84]).all()
    assert (_run("densepose_parula", picture, runtime) == 0).all()


def _person(box, part):
    """One person who is `part` all over, as DensePose's file says it."""
    fine = torch.zeros(1, 25, 4, 4)
    fine[:, part] = 1
    coarse = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    return [torch.tensor([box]), coarse, fine]


@pytest.mark.parametrize(
    ("box", "covered"),
    [
        ([2.75, 3.5, 6.75, 8.5], (slice(3, 8), slice(2, 6))),
        ([-4.0, -2.0, 3.0, 3.0], (slice(0, 3), slice(0, 3))),
        ([12.0, 10.0, 30.0, 40.0], (slice(10, 16), slice(12, 16))),
        ([5.0, 5.0, 5.5, 9.0], (slice(0, 0), slice(0, 0))),
    ],
)
def test_a_persons_box_is_cut_at_the_picture(box, covered):
    parts = densepose._parts(_person(box, 7), 16, 16)
    expected = np.zeros((16, 16), np.uint8)
    expected[covered] = 7
    assert np.array_equal(parts, expected)


def test_the_last_person_is_in_front_but_lets_the_background_through():
    boxes, coarse, fine = _person([0.0, 0.0, 8.0, 8.0], 3)
    second = _person([0.0, 0.0, 8.0, 8.0], 9)
    hidden = second[1].clone()
    hidden[:, 0, :, :2] = 2  # the left half of the second one is background
    both = [torch.cat([boxes, second[0]]), torch.cat([coarse, hidden]), torch.cat([fine, second[2]])]
    parts = densepose._parts(both, 8, 8)
    assert (parts[:, :3] == 3).all()
    assert (parts[:, 5:] == 9).all()


def test_classes_are_the_best_ones_whatever_is_enlarged_at_once(monkeypatch):
    scores = torch.from_numpy(np.random.RandomState(3).standard_normal((2, 150, 6, 9)).astype(np.float32))
    whole = torch.nn.functional.interpolate(scores, size=(24, 36), mode="bilinear", align_corners=False)
    whole = torch.nn.functional.interpolate(whole, size=(30, 41), mode="bilinear", align_corners=False)
    assert torch.equal(segmentation._best_class(scores, (24, 36), (30, 41)), whole.argmax(dim=1))


@pytest.mark.parametrize(("aligned", "ratio"), [(0, 0), (0, 2), (1, 0), (1, 2)])
def test_roi_align_is_torchvisions(aligned, ratio):
    known = np.load(_GOLDEN / "roi_align.npz")
    features, rois = (torch.from_numpy(known[name]) for name in ("features", "rois"))
    if not aligned:  # torchvision's Python version, unlike its kernel, also counts what lies outside
        rois = rois[(rois[:, 3] < 470) & (rois[:, 4] < 360)]
    made = vision_ops.roi_align(features, rois, 1 / 16, 7, 5, ratio, bool(aligned))
    assert np.abs(made.numpy() - known[f"made_{aligned}_{ratio}"]).max() < 1e-5


def test_roi_align_of_a_region_outside_is_nothing():
    features = torch.ones(1, 2, 8, 8)
    outside = torch.tensor([[0.0, 20.0, 20.0, 30.0, 30.0], [0.0, 2.0, 2.0, 2.0, 2.0]])
    assert not vision_ops.roi_align(features, outside, 1.0, 3, 3, 0, True).any()
    inside = torch.tensor([[0.0, 1.0, 1.0, 6.0, 6.0]])
    assert torch.allclose(vision_ops.roi_align(features, inside, 1.0, 3, 3, 0, True), torch.ones(1, 2, 3, 3))


def test_nms_keeps_the_best_and_what_hardly_overlaps():
    boxes = torch.tensor(
        [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 20], [50, 50, 50, 50], [50, 50, 50, 50]],
        dtype=torch.float,
    )
    scores = torch.tensor([0.5, 0.9, 0.8, 0.1, 0.1])
    assert vision_ops.nms(boxes, scores, 0.5).tolist() == [1, 2, 3, 4]
    # Exactly one half is not more than one half: box 0 lies in box 2, which is twice as large.
    assert vision_ops.nms(boxes[[0, 2]], torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert vision_ops.nms(boxes[[0, 2]], torch.tensor([0.9, 0.8]), 0.49).tolist() == [0]
    assert vision_ops.nms(boxes[:0], scores[:0], 0.5).tolist() == []


_PROGRAM = """
import sys
from pathlib import Path
import torch
from img_open.preprocessors import vision_ops
try:
    torch.ops.torchvision.nms
    known = True
except AttributeError:
    known = False
vision_ops.provide()
vision_ops.provide()
made = torch.jit.load(sys.argv[1])
boxes, coarse, fine, u, v = made(torch.zeros(3, 40, 60, dtype=torch.uint8))
assert boxes.shape == (3, 4) and coarse.shape == (3, 2, 28, 28) and fine.shape == (3, 25, 28, 28)
print("ran", known)
"""


def test_torchscript_with_torchvisions_operators_runs_in_a_fresh_process(tmp_path):
    path = more_weights.write_densepose(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(path)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.startswith("ran"), done.stderr
