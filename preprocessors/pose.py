"""OpenPose's JSON in words of its own, and the picture drawn from it.

Drawing follows sd-webui-controlnet 1.1.455 to the pixel (limbs as filled ellipses of half-width 4 in 0.6 of
the colour, joints as discs of radius 4; body, left hand, right hand, face); the code is this pack's own.
"""

from __future__ import annotations

import colorsys
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InvalidRequest

if TYPE_CHECKING:
    from .frames import Frame

Point = tuple[float, float]  # x, y in 0..1 of the canvas
Points = tuple["Point | None", ...]

BODY_POINTS, HAND_POINTS, FACE_POINTS, ANIMAL_POINTS = 18, 21, (68, 70, 71), 17
MAX_CANVAS = 8192
_FARTHEST = 1e6  # OpenCV draws with 32-bit numbers

# Pairs of joints, 0-based: neck-shoulder, arms, trunk-legs, neck-nose, eyes and ears.
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_JOINT_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
    (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
# AP-10K: eyes and nose, neck, front legs, tail root, hind legs; each with the colour of its line.
_ANIMAL_LIMBS = (
    (0, 1), (1, 2), (0, 2), (2, 3), (3, 8), (8, 9), (9, 10), (3, 5), (5, 6), (6, 7), (3, 4), (4, 14),
    (14, 15), (15, 16), (4, 11), (11, 12), (12, 13),
)  # fmt: skip
_ANIMAL_COLOURS = (
    (255, 255, 255), (100, 255, 100), (150, 255, 255), (100, 50, 255), (50, 150, 200), (0, 255, 255),
    (0, 150, 0), (0, 0, 255), (0, 0, 150), (255, 50, 255), (255, 0, 255), (255, 0, 0), (150, 0, 0),
    (255, 255, 100), (0, 150, 0), (255, 255, 0), (150, 150, 150),
)  # fmt: skip
_FINGERS = tuple((0 if i % 4 == 0 else i, i + 1) for i in range(20))
_EDGE = 0.01  # hand and face points at the canvas' very edge are not drawn


@dataclass(frozen=True)
class Person:
    """One person's key points; a part that was not looked for or not found is None.

    Attributes:
        body: 18 points in OpenPose's (COCO with neck) order.
        left_hand, right_hand: 21 points each.
        face: 68 points, or 70 with the pupils, or 71 as OpenPose's network gives.
    """

    body: Points
    left_hand: Points | None = None
    right_hand: Points | None = None
    face: Points | None = None


@dataclass(frozen=True)
class Pose:
    """All people of one picture of `width` x `height` pixels, and its animals (AP-10K's 17 points each)."""

    people: tuple[Person, ...]
    width: int
    height: int
    animals: tuple[Points, ...] = ()


_PARTS = (
    ("pose_keypoints_2d", "body"),
    ("hand_left_keypoints_2d", "left_hand"),
    ("hand_right_keypoints_2d", "right_hand"),
    ("face_keypoints_2d", "face"),
)


def poses_from_json(value: str | Mapping[str, Any] | Sequence[Any]) -> list[Pose]:
    """Read OpenPose JSON of any number of frames: text, an object, or a list with one object per frame.

    An object with a list `poses`, as the web UI's detect call answers, stands for that list. Of every frame:
    a point with confidence below 1.0 counts as missing; coordinates are 0..1 if those of all points of the
    part that are there do not go beyond, else pixels of `canvas_width` x `canvas_height`; `animals` holds 17
    points each. Points may be flat (x, y, confidence, x, ...) or lists of three. Raises `InvalidRequest`
    naming what is wrong.
    """
    return [_pose(entry) for entry in _frames(value)]


def unsure_points(value: str | Mapping[str, Any] | Sequence[Any]) -> int:
    """How many points of OpenPose JSON that `poses_from_json` can read are left out for their confidence.

    Those between 0 and 1: estimators give such, and the web UI takes 1.0 alone for a point that is there.
    """
    count = 0
    for frame in _frames(value):
        people = [person.get(key) for person in frame.get("people") or () for key, _ in _PARTS]
        for numbers in (*people, *(frame.get("animals") or ())):
            if numbers:
                count += sum(0.0 < sure < 1.0 for sure in _flat(numbers)[2::3])
    return count


def _frames(value: str | Mapping[str, Any] | Sequence[Any]) -> Sequence[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"The pose is not JSON: {error}.") from error
    if isinstance(value, Mapping) and "poses" in value:
        value = value["poses"]
    return [value] if isinstance(value, Mapping) else _list(value, "pose")


def pose_from_json(value: str | Mapping[str, Any] | Sequence[Any]) -> Pose:
    """The pose of OpenPose JSON that holds one frame; see `poses_from_json`."""
    poses = poses_from_json(value)
    if len(poses) != 1:
        raise InvalidRequest.field("pose", f"{len(poses)} frames", "one frame")
    return poses[0]


def _pose(value: Any) -> Pose:
    if not isinstance(value, Mapping):
        raise InvalidRequest.field("pose", value, "an object with people, canvas_width and canvas_height")
    width, height = _canvas(value, "canvas_width"), _canvas(value, "canvas_height")
    people, animals = _list(value.get("people"), "people"), _list(value.get("animals"), "animals")
    found = [
        _points(entry, f"animals[{index}]", "animal", width, height) for index, entry in enumerate(animals)
    ]
    return Pose(
        tuple(_person(entry, index, width, height) for index, entry in enumerate(people)),
        width,
        height,
        tuple(points for points in found if points is not None),
    )


def _list(value: Any, field: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidRequest.field(field, value, "a list")
    return value


def _canvas(value: Mapping[str, Any], field: str) -> int:
    size = value.get(field)
    if isinstance(size, bool) or not isinstance(size, (int, float)) or not 1 <= size <= MAX_CANVAS:
        raise InvalidRequest.field(field, size, f"a number of pixels, 1 to {MAX_CANVAS}")
    return int(size)


def _person(entry: Any, index: int, width: int, height: int) -> Person:
    if not isinstance(entry, Mapping):
        raise InvalidRequest.field(f"people[{index}]", entry, "an object")
    parts = {
        name: _points(entry.get(key), f"people[{index}].{key}", name, width, height) for key, name in _PARTS
    }
    if parts["body"] is None:
        parts["body"] = (None,) * BODY_POINTS
    return Person(**parts)  # type: ignore[arg-type]


_ALLOWED = {"body": (BODY_POINTS,), "face": FACE_POINTS, "animal": (ANIMAL_POINTS,)}


def _points(numbers: Any, where: str, part: str, width: int, height: int) -> Points | None:
    if not numbers:
        return None
    allowed = _ALLOWED.get(part, (HAND_POINTS,))
    numbers = _flat(numbers)
    is_list = isinstance(numbers, (list, tuple))
    if not is_list or len(numbers) not in {3 * n for n in allowed} or not all(map(_is_number, numbers)):
        wanted = " or ".join(f"3 x {n}" for n in allowed)
        raise InvalidRequest.field(
            where,
            numbers,
            f"a flat list of {wanted} finite numbers (x, y, confidence) below a million",
        )
    x, y, sure = numbers[0::3], numbers[1::3], numbers[2::3]
    points = [(a, b) if c >= 1.0 else None for a, b, c in zip(x, y, sure, strict=True)]
    relative = all(abs(c) <= 1.0 for point in points if point is not None for c in point)
    across, down = (1.0, 1.0) if relative else (float(width), float(height))
    return tuple(None if point is None else (point[0] / across, point[1] / down) for point in points)


def _flat(numbers: Any) -> Any:
    """A list of points (x, y, confidence) as one flat list; anything else as it is."""
    if isinstance(numbers, (list, tuple)) and all(isinstance(one, (list, tuple)) for one in numbers):
        return [number for point in numbers for number in point]
    return numbers


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _FARTHEST


def pose_to_json(pose: Pose) -> dict[str, Any]:
    """OpenPose JSON in pixels of the canvas, as the web UI writes it; missing points are `0, 0, 0`."""
    people: list[dict[str, Any]] = []
    for person in pose.people:
        entry: dict[str, Any] = {}
        for key, name in _PARTS:
            points: Points | None = getattr(person, name)
            entry[key] = None if points is None else _numbers(points, pose.width, pose.height)
        people.append(entry)
    animals = [_numbers(points, pose.width, pose.height) for points in pose.animals]
    return {
        "people": people,
        "animals": animals,
        "canvas_width": pose.width,
        "canvas_height": pose.height,
    }


def _numbers(points: Points, width: int, height: int) -> list[float]:
    flat: list[float] = []
    for point in points:
        flat += [0.0, 0.0, 0.0] if point is None else [point[0] * width, point[1] * height, 1.0]
    return flat


def draw_pose(
    pose: Pose,
    *,
    body: bool = True,
    hands: bool = True,
    face: bool = True,
    size: tuple[int, int] | None = None,
) -> Frame:
    """The pose on black, uint8 `(height, width, 3)`.

    Args:
        pose: what to draw.
        body, hands, face: which parts of people. Animals are bodies.
        size: (height, width) instead of the pose's own canvas.
    """
    height, width = size or (pose.height, pose.width)
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    for person in pose.people:
        if body:
            _draw_body(canvas, person.body)
        for hand in (person.left_hand, person.right_hand):
            if hands and hand is not None:
                _draw_hand(canvas, hand)
        if face and person.face is not None:
            _draw_face(canvas, person.face)
    for points in pose.animals if body else ():
        _draw_animal(canvas, points)
    return canvas


def _draw_body(canvas: Frame, points: Points) -> None:
    import cv2

    height, width = canvas.shape[:2]
    for (first, second), colour in zip(_LIMBS, _JOINT_COLOURS, strict=False):
        a, b = points[first], points[second]
        if a is None or b is None:
            continue
        ax, ay, bx, by = a[0] * width, a[1] * height, b[0] * width, b[1] * height
        length = math.hypot(ay - by, ax - bx)
        angle = math.degrees(math.atan2(ay - by, ax - bx))
        centre = int((ax + bx) / 2), int((ay + by) / 2)
        limb = np.asarray(cv2.ellipse2Poly(centre, (int(length / 2), 4), int(angle), 0, 360, 1))
        cv2.fillConvexPoly(canvas, limb, [int(c * 0.6) for c in colour])
    for point, colour in zip(points, _JOINT_COLOURS, strict=True):
        if point is not None:
            cv2.circle(canvas, (int(point[0] * width), int(point[1] * height)), 4, colour, thickness=-1)


def _draw_animal(canvas: Frame, points: Points) -> None:
    import cv2

    height, width = canvas.shape[:2]
    for (first, second), colour in zip(_ANIMAL_LIMBS, _ANIMAL_COLOURS, strict=True):
        a, b = points[first], points[second]
        if a is not None and b is not None:
            ends = [(int(x * width), int(y * height)) for x, y in (a, b)]
            cv2.line(canvas, ends[0], ends[1], colour, thickness=5)


def _draw_hand(canvas: Frame, points: Points) -> None:
    import cv2

    height, width = canvas.shape[:2]
    pixels = [None if p is None else (int(p[0] * width), int(p[1] * height)) for p in points]
    for index, (first, second) in enumerate(_FINGERS):
        a, b = pixels[first], pixels[second]
        if a is None or b is None or min(*a, *b) <= _EDGE:
            continue
        colour = tuple(c * 255 for c in colorsys.hsv_to_rgb(index / len(_FINGERS), 1.0, 1.0))
        cv2.line(canvas, a, b, colour, thickness=2)
    for pixel in pixels:
        if pixel is not None and min(pixel) > _EDGE:
            cv2.circle(canvas, pixel, 4, (0, 0, 255), thickness=-1)


def _draw_face(canvas: Frame, points: Points) -> None:
    import cv2

    height, width = canvas.shape[:2]
    for point in points:
        if point is None:
            continue
        pixel = int(point[0] * width), int(point[1] * height)
        if min(pixel) > _EDGE:
            cv2.circle(canvas, pixel, 3, (255, 255, 255), thickness=-1)
