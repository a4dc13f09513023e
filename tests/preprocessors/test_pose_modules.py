"""The pose estimators: MoveNet for real, DWPose's pre- and post-processing against stand-in networks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from img_open.base.errors import InvalidRequest, MissingModel
from img_open.preprocessors import pose_dw, pose_modules, pose_movenet, run, weight_files
from img_open.preprocessors.pose import draw_pose, pose_from_json
from img_open.preprocessors.runtime import PlainRuntime

pytest.importorskip("onnxruntime")


def test_movenet_is_small_enough_to_ship():
    size = (weight_files.SHIPPED / "movenet-multipose.onnx").stat().st_size
    assert size <= 10 * 2**20


def test_movenet_finds_the_astronaut_and_says_so(golden, runtime):
    picture = golden.load("inputs/photo_256.png")
    pose = pose_modules.estimate_pose("openpose", picture, 256, runtime)
    assert len(pose.people) == 1
    nose, neck = pose.people[0].body[0], pose.people[0].body[1]
    assert nose is not None
    assert abs(nose[0] - 0.48) < 0.03
    assert abs(nose[1] - 0.49) < 0.03
    assert neck is None or neck[1] > nose[1]
    assert any("MoveNet" in notice for notice in runtime.notices)
    made = run.run_module(
        "openpose", picture, processor_res=256, threshold_a=0.5, threshold_b=0.5, runtime=runtime
    )
    assert made.shape == (256, 256, 3)
    assert made[int(nose[1] * 256), int(nose[0] * 256)].any()


def test_the_unit_hears_which_estimator_made_its_map(golden, runtime):
    from img_open.controlnet.unit import ControlNetUnit
    from img_open.preprocessors.control import Geometry, control_for_unit

    unit = ControlNetUnit(module="openpose", processor_res=256)
    made = control_for_unit(
        unit, image=golden.load("inputs/photo_256.png"), geometry=Geometry(64, 64), runtime=runtime
    )
    assert any("MoveNet" in notice for notice in made.notices)


def test_movenet_coordinates_do_not_depend_on_the_padding(golden, runtime):
    picture = golden.load("inputs/photo_256.png")
    wide = np.concatenate([picture, np.zeros((256, 100, 3), np.uint8)], axis=1)
    alone, beside = pose_movenet.estimate(picture, runtime), pose_movenet.estimate(wide, runtime)
    nose, moved = alone.people[0].body[0], beside.people[0].body[0]
    assert nose is not None
    assert moved is not None
    assert abs(nose[0] * 256 - moved[0] * 356) < 6
    assert abs(nose[1] - moved[1]) < 6 / 256


def test_an_empty_picture_has_nobody(runtime):
    made = run.run_module(
        "openpose",
        np.full((40, 70, 3), 128, np.uint8),
        processor_res=128,
        threshold_a=0,
        threshold_b=0,
        runtime=runtime,
    )
    assert not made.any()


def test_hands_and_faces_need_dwpose(runtime):
    for module in (
        "openpose_hand",
        "openpose_face",
        "openpose_faceonly",
        "openpose_full",
        "dw_openpose_full",
    ):
        with pytest.raises(MissingModel, match=r"yolox_l.onnx.*MB.*Apache.*img-open models pull"):
            run.run_module(
                module,
                np.zeros((8, 8, 3), np.uint8),
                processor_res=64,
                threshold_a=0,
                threshold_b=0,
                runtime=runtime,
            )


def test_a_damaged_onnx_file_names_itself(tmp_path):
    for name in ("yolox_l.onnx", "dw-ll_ucoco_384.onnx"):
        (tmp_path / name).write_bytes(b"cut off")
    with pytest.raises(MissingModel, match=r"yolox_l\.onnx.*cannot be read"):
        pose_modules.estimate_pose(
            "openpose_full", np.zeros((64, 64, 3), np.uint8), 64, PlainRuntime("cpu", folders=[tmp_path])
        )


def test_pose_json_is_for_pose_modules(runtime):
    with pytest.raises(InvalidRequest, match="openpose_full"):
        pose_modules.estimate_pose("canny", np.zeros((8, 8, 3), np.uint8), 64, runtime)


class _Detector:
    """Answers as YOLOX does: a grid of raw boxes, most of them without any object."""

    def __init__(self, boxes, image_size):
        self._boxes = boxes
        self._k = min(640 / image_size[0], 640 / image_size[1])

    def get_inputs(self):
        return [SimpleNamespace(name="images", shape=[1, 3, 640, 640])]

    def run(self, _, feed):
        pixels = feed["images"]
        assert pixels.shape == (1, 3, 640, 640)
        assert pixels.dtype == np.float32
        raw = np.zeros((8400, 85), np.float32)
        for index, (x0, y0, x1, y1, score, kind) in enumerate(self._boxes):
            x0, y0, x1, y1 = (value * self._k for value in (x0, y0, x1, y1))
            row = 6400 + index  # the grid of stride 16, first row: cell (index, 0)
            raw[row, 0] = (x0 + x1) / 2 / 16 - index
            raw[row, 1] = (y0 + y1) / 2 / 16
            raw[row, 2:4] = np.log([(x1 - x0) / 16, (y1 - y0) / 16])
            raw[row, 4] = 1
            raw[row, 5 + kind] = score
        return [raw[None]]


class _Points:
    """Answers as DWPose does, every point in the middle of the crop unless told otherwise."""

    def __init__(self, count, places=None, score=1.0):
        self._count, self._places, self._score = count, places or {}, score

    def get_inputs(self):
        return [SimpleNamespace(name="input", shape=["batch", 3, 384, 288])]

    def run(self, _, feed):
        assert feed["input"].shape == (1, 3, 384, 288)
        across, down = (
            np.zeros((1, self._count, 576), np.float32),
            np.zeros((1, self._count, 768), np.float32),
        )
        for index in range(self._count):
            x, y, score = self._places.get(index, (0.5, 0.5, self._score))
            across[0, index, min(575, int(x * 576))] = score
            down[0, index, min(767, int(y * 768))] = score + 0.1
        return [across, down]


def test_boxes_come_back_in_pixels_without_doubles():
    boxes = [
        (10, 20, 110, 220, 0.9, 0),
        (12, 22, 112, 222, 0.8, 0),
        (150, 30, 190, 90, 0.5, 0),
        (0, 0, 50, 50, 0.9, 16),
    ]
    found = pose_dw.find_boxes(
        _Detector(boxes, (240, 200)), np.zeros((240, 200, 3), np.uint8), pose_dw.PERSON
    )
    assert np.allclose(found, [boxes[0][:4], boxes[2][:4]], atol=0.01)
    animals = pose_dw.find_boxes(
        _Detector(boxes, (240, 200)), np.zeros((240, 200, 3), np.uint8), pose_dw.ANIMALS
    )
    assert np.allclose(animals, [boxes[3][:4]], atol=0.01)


def test_nothing_found_is_nothing_drawn():
    found = pose_dw.find_boxes(_Detector([], (64, 64)), np.zeros((64, 64, 3), np.uint8), pose_dw.PERSON)
    points, scores = pose_dw.key_points(_Points(133), np.zeros((64, 64, 3), np.uint8), found)
    assert len(points) == len(scores) == 0


def test_points_go_back_through_the_crop():
    image = np.zeros((240, 200, 3), np.uint8)
    boxes = np.array([[10, 20, 110, 220]], np.float32)
    points, scores = pose_dw.key_points(_Points(2, {1: (0.0, 0.0, 0.4)}), image, boxes)
    # 200 pixels high with the margin 250; the aspect 3:4 makes it 187.5 wide, around (60, 120).
    assert np.allclose(points[0, 0], [60, 120], atol=0.5)
    assert np.allclose(points[0, 1], [60 - 93.75, 120 - 125], atol=0.01)
    assert np.allclose(scores[0], [1.0, 0.4])


class _StandIn(PlainRuntime):
    def __init__(self, folder: Path, networks):
        super().__init__("cpu", folders=[folder])
        self._stand_ins = networks

    def load(self, key, builder):
        return self._stand_ins.get(key.rpartition("/")[2]) or super().load(key, builder)


@pytest.fixture
def dwpose(tmp_path):
    for name in ("yolox_l.onnx", "dw-ll_ucoco_384.onnx"):
        (tmp_path / name).write_bytes(b"not looked into")
    places = dict.fromkeys(range(23, 91), (0.4, 0.3, 1.0))  # the face
    places.update(dict.fromkeys(range(91, 112), (0.2, 0.8, 0.1)))  # the left hand, unsure
    places.update({5: (0.25, 0.25, 1.0), 6: (0.75, 0.25, 1.0), 1: (0.1, 0.1, 1.0)})  # shoulders, left eye
    detector = _Detector([(50, 50, 150, 200, 0.9, 0)], (256, 256))
    return _StandIn(tmp_path, {"dw_detector": detector, "dw_pose": _Points(133, places)})


def test_dwpose_takes_over_as_soon_as_its_files_are_there(dwpose):
    pose = pose_modules.estimate_pose("openpose", np.zeros((256, 256, 3), np.uint8), 256, dwpose)
    assert any("DWPose" in notice for notice in dwpose.notices)
    person = pose.people[0]
    assert person.left_hand is person.right_hand is person.face is None
    left, right, neck = person.body[5], person.body[2], person.body[1]
    assert left is not None
    assert right is not None
    assert neck == pytest.approx(((left[0] + right[0]) / 2, (left[1] + right[1]) / 2))


def test_dwpose_gives_hands_and_faces_and_leaves_out_the_unsure(dwpose):
    pose = pose_modules.estimate_pose("openpose_full", np.zeros((256, 256, 3), np.uint8), 256, dwpose)
    person = pose.people[0]
    assert person.left_hand is None
    assert person.right_hand is not None
    assert person.face is not None
    assert len(person.face) == 70
    assert person.face[69] == person.body[15]  # the left eye stands in for the pupil


@pytest.mark.parametrize("module", sorted(pose_modules._PARTS))
def test_each_module_draws_its_parts(module, dwpose):
    made = run.run_module(
        module,
        np.zeros((256, 256, 3), np.uint8),
        processor_res=256,
        threshold_a=0,
        threshold_b=0,
        runtime=dwpose,
    )
    body, hands, face = pose_modules._PARTS[module]
    colours = {tuple(colour) for colour in made.reshape(-1, 3)}
    assert ((255, 255, 255) in colours) == face
    assert ((0, 0, 255) in colours) == hands  # the joints of the hand (all in one place) and of a knee
    assert (len(colours) > 3) == body


def test_animals_are_drawn_where_the_detector_sees_animals(tmp_path):
    for name in ("yolox_l.onnx", "rtmpose-m_ap10k_256.onnx"):
        (tmp_path / name).write_bytes(b"not looked into")
    places = {index: (0.3 + 0.02 * index, 0.5, 1.0) for index in range(17)}
    picture = np.zeros((256, 256, 3), np.uint8)

    def make(kind):
        detector = _Detector([(50, 50, 150, 200, 0.9, kind)], (256, 256))
        runtime = _StandIn(tmp_path, {"dw_detector": detector, "animal_pose": _Points(17, places)})
        return run.run_module(
            "animal_openpose", picture, processor_res=256, threshold_a=0, threshold_b=0, runtime=runtime
        )

    dog, person = make(16), make(0)
    rows = np.flatnonzero(dog.any(axis=(1, 2)))
    assert abs(rows.mean() - 125) < 3  # the middle of the box
    assert not person.any()


def _pose_batch(module, images, runtime):
    poses: list[dict] = []
    made = run.run_batch(
        module, images, processor_res=256, threshold_a=0, threshold_b=0, poses=poses, runtime=runtime
    )
    return (made * 255).round().numpy().astype(np.uint8), poses


@pytest.mark.parametrize("module", ["openpose", "openpose_full"])
def test_a_batch_hands_over_the_poses_behind_its_maps(module, dwpose):
    """Also those of maps from the cache, in the order of the pictures; drawn again they are the maps."""
    images = torch.rand(3, 256, 200, 3, generator=torch.Generator().manual_seed(0))
    maps, poses = _pose_batch(module, images, dwpose)
    assert [pose["canvas_width"] for pose in poses] == [200 * 256 // 200] * 3
    for made, pose in zip(maps, poses, strict=True):
        drawn = draw_pose(pose_from_json(pose), hands=module != "openpose", face=module != "openpose")
        assert np.abs(made.astype(int) - drawn).mean() < 0.5
    again, same = _pose_batch(module, images[[2, 0]], dwpose)
    assert np.array_equal(again, maps[[2, 0]])
    assert same == [poses[2], poses[0]]


def test_cached_maps_do_not_ask_the_network_again(dwpose):
    images = torch.zeros(1, 256, 256, 3)
    run.run_batch("openpose_full", images, processor_res=256, threshold_a=0, threshold_b=0, runtime=dwpose)
    dwpose._stand_ins.clear()  # from here on the files, which are none, would be read
    _, poses = _pose_batch("openpose_full", images, dwpose)
    assert len(poses[0]["people"]) == 1


def test_animals_have_a_json_too(tmp_path):
    for name in ("yolox_l.onnx", "rtmpose-m_ap10k_256.onnx"):
        (tmp_path / name).write_bytes(b"not looked into")
    detector = _Detector([(50, 50, 150, 200, 0.9, 16)], (256, 256))
    runtime = _StandIn(tmp_path, {"dw_detector": detector, "animal_pose": _Points(17)})
    maps, poses = _pose_batch("animal_openpose", torch.zeros(1, 256, 256, 3), runtime)
    assert len(poses[0]["animals"]) == 1
    assert np.array_equal(maps[0], draw_pose(pose_from_json(poses[0])))


def test_other_modules_leave_the_poses_alone(runtime):
    assert _pose_batch("canny", torch.zeros(2, 64, 64, 3), runtime)[1] == []
