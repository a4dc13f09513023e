"""OpenPose JSON and its picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
from img_open.base.errors import InvalidRequest
from img_open.preprocessors.pose import (
    Person,
    Pose,
    draw_pose,
    pose_from_json,
    pose_to_json,
    poses_from_json,
)


@pytest.mark.golden_cases("openpose_render")
def test_golden(golden, case):
    golden.check(draw_pose(pose_from_json(case["params"]["pose"])), case)


@pytest.mark.golden_cases("openpose_render")
def test_json_and_back_draws_the_same(case):
    pose = pose_from_json(json.dumps([case["params"]["pose"]]))
    again = pose_from_json(pose_to_json(pose))
    assert np.abs(draw_pose(again).astype(int) - draw_pose(pose)).mean() < 0.5
    assert [p.body.count(None) for p in again.people] == [p.body.count(None) for p in pose.people]


def test_parts_can_be_left_out(golden):
    case = next(case for case in golden.cases("openpose_render") if case["id"] == "openpose_full")
    pose = pose_from_json(case["params"]["pose"])
    face_only = draw_pose(pose, body=False, hands=False)
    assert set(np.unique(face_only)) == {0, 255}
    assert draw_pose(pose, face=False, hands=False).any()
    assert not draw_pose(pose, body=False, hands=False, face=False).any()
    assert draw_pose(pose, size=(64, 48)).shape == (64, 48, 3)


def test_no_people_is_black():
    assert not draw_pose(pose_from_json({"people": [], "canvas_width": 32, "canvas_height": 24})).any()


def test_pixels_are_recognised_by_one_point_beyond_one():
    numbers = [0.5, 0.5, 1.0] * 17 + [16.0, 8.0, 1.0]
    pose = pose_from_json(
        {"people": [{"pose_keypoints_2d": numbers}], "canvas_width": 32, "canvas_height": 16}
    )
    assert pose.people[0].body[17] == (0.5, 0.5)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("{", "JSON"),
        ("[]", "pose"),
        ({"people": []}, "canvas_width"),
        ({"people": [], "canvas_width": 0, "canvas_height": 5}, "canvas_width"),
        ({"people": [], "canvas_width": 5, "canvas_height": 1e9}, "canvas_height"),
        ({"people": 3, "canvas_width": 5, "canvas_height": 5}, "people"),
        ({"people": [1], "canvas_width": 5, "canvas_height": 5}, "people[0]"),
        (
            {"people": [{"pose_keypoints_2d": [1, 2]}], "canvas_width": 5, "canvas_height": 5},
            "pose_keypoints_2d",
        ),
        (
            {"people": [{"pose_keypoints_2d": [float("nan")] * 54}], "canvas_width": 5, "canvas_height": 5},
            "finite",
        ),
        ({"people": [{"face_keypoints_2d": ["a"] * 204}], "canvas_width": 5, "canvas_height": 5}, "face"),
    ],
)
def test_bad_json_names_the_place(value, field):
    with pytest.raises(InvalidRequest, match=field.replace("[", r"\[").replace("]", r"\]")):
        pose_from_json(value)


def test_points_outside_the_canvas_do_no_harm():
    far = Person(body=((-3.0, -3.0), (5.0, 5.0)) + (None,) * 16, left_hand=((9.0, 9.0),) * 21)
    assert draw_pose(Pose((far,), 40, 40)).shape == (40, 40, 3)


FRAME = {"people": [], "canvas_width": 32, "canvas_height": 24}
DOG = [x for n in range(17) for x in (n + 1, 2 * n + 1, 1)]


@pytest.mark.parametrize("value", [[FRAME, FRAME], json.dumps([FRAME, FRAME]), {"poses": [FRAME, FRAME]}])
def test_frames_are_read_one_by_one(value):
    assert [pose.width for pose in poses_from_json(value)] == [32, 32]
    with pytest.raises(InvalidRequest, match="2 frames"):
        pose_from_json(value)


def test_no_frames_is_an_empty_list():
    assert poses_from_json([]) == poses_from_json("[]") == []


def test_animals_are_drawn_as_lines_and_come_back():
    """Pixels of AP-10K, flat as the web UI has them or in lists of three as other packs do."""
    nested = [DOG[start : start + 3] for start in range(0, 51, 3)]
    flat, listed = (pose_from_json({**FRAME, "animals": [animal, None]}) for animal in (DOG, nested))
    assert flat == listed
    assert flat.animals[0][3] == (4 / 32, 7 / 24)
    assert not draw_pose(flat, body=False).any()
    again = pose_from_json(json.dumps(pose_to_json(flat)))
    assert np.allclose(again.animals, flat.animals)


@pytest.mark.parametrize(
    ("ends", "colour"), [((0, 1), (255, 255, 255)), ((3, 4), (255, 0, 255)), ((12, 13), (150, 150, 150))]
)
def test_lines_of_animals_have_the_originals_colours(ends, colour):
    """Eye to eye, neck to tail, the last bone of a hind leg; OpenCV's lines of thickness 5."""
    points = [0.0] * 51
    for index, x in zip(ends, (8, 24), strict=True):
        points[3 * index : 3 * index + 3] = [x, 12, 1]
    drawn = draw_pose(pose_from_json({**FRAME, "animals": [points]}))
    assert (drawn[10:15, 16] == colour).all()
    assert not drawn[8, 16].any()
    assert not drawn[16, 16].any()


def test_a_missing_point_takes_its_lines_along():
    animal = [0, 0, 0] * 16 + [9, 9, 1]
    assert not draw_pose(pose_from_json({**FRAME, "animals": [animal]})).any()


def test_the_farthest_points_that_are_read_can_be_drawn():
    """OpenPose's own numbers are trusted nowhere: the largest that pass draw without an error."""
    edge = [999_999.0, -999_999.0, 1.0]
    person = {
        "pose_keypoints_2d": edge * 9 + [5, 5, 1] * 9,
        "hand_left_keypoints_2d": edge * 21,
        "face_keypoints_2d": edge * 70,
    }
    pose = pose_from_json({**FRAME, "people": [person], "animals": [edge * 17]})
    assert draw_pose(pose, size=(64, 48)).shape == (64, 48, 3)
    with pytest.raises(InvalidRequest, match="million"):
        pose_from_json({**FRAME, "animals": [[1e30, 1, 1] * 17]})


def test_points_of_an_unsure_estimator_are_counted():
    """An estimator's own confidences: only 1.0 is drawn, and how many are left out can be told."""
    from img_open.preprocessors.pose import unsure_points

    flat = [0.1, 0.1, 1.0, 0.2, 0.2, 0.93, 0.3, 0.3, 0.5] + [0.0] * 45
    frame = {"people": [{"pose_keypoints_2d": flat}], "canvas_width": 64, "canvas_height": 64}
    nested = {**frame, "people": [{"pose_keypoints_2d": [flat[i : i + 3] for i in range(0, 54, 3)]}]}
    assert unsure_points(frame) == unsure_points(nested) == 2
    assert unsure_points(json.dumps([frame, frame])) == 4
    (pose,) = poses_from_json(frame)
    assert sum(point is not None for point in pose.people[0].body) == 1


def test_endless_nesting_is_an_error_of_the_user():
    with pytest.raises(InvalidRequest, match="not JSON"):
        poses_from_json("[" * 50_000)
