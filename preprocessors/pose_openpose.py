"""Poses from OpenPose's own networks, whose weights are for non-commercial use: used only when asked for.

What is around the networks follows sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .networks import network
from .passes import passes
from .pose import Person, Point, Pose
from .pose_groups import blurred, people

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .pose_groups import Places
    from .runtime import Runtime

    Array = NDArray[Any]

_STRIDE = 8  # of all three networks
_SIDE = 368  # the size they were trained at
_HAND_SCALES = (0.5, 1.0, 1.5, 2.0)
_HAND_MAP, _FACE_SIDE = 128, 384
_LEAST_POINT = 0.05
_LEAST_BOX = 20  # pixels; smaller hands and faces are not looked at
_GRAY = 128


@dataclass(frozen=True)
class _Crop:
    """A square of a picture where a part of a person is."""

    picture: int
    person: int
    part: str  # left_hand, right_hand or face
    x: int
    y: int
    side: int


def estimate(pictures: Sequence[Frame], runtime: Runtime, *, hands: bool, face: bool) -> list[Pose]:
    """The pose of every RGB frame (all of one size).

    Faces have 71 points: OpenPose's 70, and the peak of the background's map, which the original draws too.
    Raises `MissingModel` naming the weight file.
    """
    flipped = [np.ascontiguousarray(picture[:, :, ::-1]) for picture in pictures]
    height, width = pictures[0].shape[:2]
    bodies = [people(heat, fields) for heat, fields in _body_maps(flipped, runtime)]
    crops = [
        _Crop(picture, person, part, *box)
        for picture, found in enumerate(bodies)
        for person, joints in enumerate(found)
        for part, box in _boxes(joints, height, width, hands=hands, face=face)
    ]
    parts = _found_parts(flipped, crops, runtime)
    return [
        Pose(
            tuple(
                Person(
                    tuple(None if p is None else (p[0] / width, p[1] / height) for p in joints),
                    parts.get((picture, person, "left_hand")),
                    parts.get((picture, person, "right_hand")),
                    parts.get((picture, person, "face")),
                )
                for person, joints in enumerate(found)
            ),
            width,
            height,
        )
        for picture, found in enumerate(bodies)
    ]


def _body_maps(pictures: Sequence[Frame], runtime: Runtime) -> list[tuple[Array, Array]]:
    """Heat maps and fields of every BGR frame at its own size, float64 `(H, W, channels)`."""
    height, width = pictures[0].shape[:2]
    k = 0.5 * _SIDE / height
    small = [_resized(picture, height * k, width * k) for picture in pictures]
    rows, columns = small[0].shape[:2]
    padded = [_padded(picture) for picture in small]
    maps: list[tuple[Array, Array]] = []
    for part in passes(len(padded), padded[0].shape[0], padded[0].shape[1], runtime):
        fields, heat = _run("openpose_body", padded[part], runtime)
        maps += [
            (_back(h, (rows, columns), (height, width)), _back(f, (rows, columns), (height, width)))
            for h, f in zip(heat, fields, strict=True)
        ]
    return maps


def _boxes(
    joints: Places, height: int, width: int, *, hands: bool, face: bool
) -> list[tuple[str, tuple[int, int, int]]]:
    """Where the hands and the face of a person should be: x, y, side of squares inside the picture."""
    boxes: list[tuple[str, tuple[int, int, int] | None]] = []
    if hands:
        boxes.append(("left_hand", _hand_box(joints[5], joints[6], joints[7], height, width)))
        boxes.append(("right_hand", _hand_box(joints[2], joints[3], joints[4], height, width)))
    if face:
        boxes.append(("face", _face_box(joints, height, width)))
    return [(part, box) for part, box in boxes if box is not None]


def _hand_box(
    shoulder: Point | None, elbow: Point | None, wrist: Point | None, height: int, width: int
) -> tuple[int, int, int] | None:
    """A square around the hand: beyond the wrist by a third of the forearm, as large as the arm tells."""
    if shoulder is None or elbow is None or wrist is None:
        return None
    x, y = (w + 0.33 * (w - e) for w, e in zip(wrist, elbow, strict=True))
    side = 1.5 * max(_distance(wrist, elbow), 0.9 * _distance(elbow, shoulder))
    return _square(x - side / 2, y - side / 2, side, height, width)


def _face_box(joints: Places, height: int, width: int) -> tuple[int, int, int] | None:
    """A square around the nose, as large as the way to eyes and ears tells."""
    nose = joints[0]
    if nose is None:
        return None
    reach = 0.0
    for joint, factor in ((14, 3.0), (15, 3.0), (16, 1.5), (17, 1.5)):
        place = joints[joint]
        if place is not None:
            reach = max(reach, factor * max(abs(nose[0] - place[0]), abs(nose[1] - place[1])))
    return _square(nose[0] - reach, nose[1] - reach, 2 * reach, height, width, halved=True)


def _square(
    x: float, y: float, side: float, height: int, width: int, *, halved: bool = False
) -> tuple[int, int, int] | None:
    """A square cut at the picture's edges, its corner moved inside; None if it is too small."""
    reach = side / 2 if halved else side  # the original looks half as far for faces
    x, y = max(x, 0), max(y, 0)
    across = width - x if x + reach > width else side
    down = height - y if y + reach > height else side
    side = min(across, down)
    return (int(x), int(y), int(side)) if side >= _LEAST_BOX else None


def _distance(a: Point, b: Point) -> float:
    return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)


def _found_parts(
    pictures: Sequence[Frame], crops: Sequence[_Crop], runtime: Runtime
) -> dict[tuple[int, int, str], tuple[Point | None, ...]]:
    """The points of every crop in 0..1 of its picture, by picture, person and part."""
    found: dict[tuple[int, int, str], tuple[Point | None, ...]] = {}
    for is_face, look in ((False, _hand_points), (True, _face_points)):
        wanted = [crop for crop in crops if (crop.part == "face") == is_face]
        cut = [pictures[c.picture][c.y : c.y + c.side, c.x : c.x + c.side] for c in wanted]
        for crop, points in zip(wanted, look(cut, runtime), strict=True):
            height, width = pictures[crop.picture].shape[:2]
            places = tuple(_relative(point, crop, height, width) for point in points)
            if any(place is not None for place in places):
                found[crop.picture, crop.person, crop.part] = places
    return found


def _relative(point: tuple[int, int] | None, crop: _Crop, height: int, width: int) -> Point | None:
    """Of the whole picture. A point in the first row or column of the crop counts as missing."""
    if point is None or not all(point):
        return None
    # In single precision, which decides about pixels where it rounds down.
    return (
        float(np.float32(point[0] + crop.x) / np.float32(width)),
        float(np.float32(point[1] + crop.y) / np.float32(height)),
    )


def _hand_points(crops: Sequence[Frame], runtime: Runtime) -> list[list[tuple[int, int] | None]]:
    """21 points in pixels of each BGR crop, None where there is none."""
    import cv2

    soft = [cv2.GaussianBlur(crop, (0, 0), 0.8) for crop in crops]
    heat = [np.zeros((_HAND_MAP, _HAND_MAP, 22)) for _ in crops]
    for scale in _HAND_SCALES:
        side = int(scale * _SIDE)
        sized = [_resized(crop, side, side) for crop in soft]
        for part in passes(len(sized), side, side, runtime):
            found = _run("openpose_hand", sized[part], runtime)
            for total, maps in zip(heat[part], found, strict=True):
                total += _back(maps, (side, side), (_HAND_MAP, _HAND_MAP)) / len(_HAND_SCALES)
    return [_strongest(maps[:, :, :21], *crop.shape[:2]) for maps, crop in zip(heat, crops, strict=True)]


def _strongest(heat: Array, height: int, width: int) -> list[tuple[int, int] | None]:
    """Per channel the highest value of the patch with the largest sum, in pixels of the crop."""
    import cv2

    points: list[tuple[int, int] | None] = []
    above = (blurred(heat) > _LEAST_POINT).astype(np.uint8)
    for channel in range(heat.shape[2]):
        values = heat[:, :, channel]
        count, labels = cv2.connectedComponents(np.ascontiguousarray(above[:, :, channel]), connectivity=8)
        if count < 2:
            points.append(None)
            continue
        sums = [values[labels == label].sum() for label in range(1, count)]
        patch = np.where(labels == int(np.argmax(sums)) + 1, values, 0)
        y, x = divmod(int(patch.argmax()), patch.shape[1])
        points.append((int(x * float(width) / patch.shape[1]), int(y * float(height) / patch.shape[0])))
    return points


def _face_points(crops: Sequence[Frame], runtime: Runtime) -> list[list[tuple[int, int] | None]]:
    """71 points in pixels of each BGR crop, None where there is none."""
    import torch
    from torch.nn.functional import interpolate

    sized = [_resized(crop, _FACE_SIDE, _FACE_SIDE) for crop in crops]
    points: list[list[tuple[int, int] | None]] = []
    for part in passes(len(sized), _FACE_SIDE, _FACE_SIDE, runtime):
        found = torch.from_numpy(_run("openpose_face", sized[part], runtime))
        for maps, crop in zip(found, crops[part], strict=True):
            full = interpolate(maps[None], crop.shape[:2], mode="bilinear", align_corners=True)[0].numpy()
            points.append([_peak(values) for values in full])
    return points


def _peak(values: Array) -> tuple[int, int] | None:
    y, x = divmod(int(values.argmax()), values.shape[1])
    return (x, y) if values[y, x] > _LEAST_POINT else None


def _run(key: str, pictures: Sequence[Frame], runtime: Runtime) -> Any:
    """What a network makes of BGR frames of one size: an array, or a tuple of arrays, `(B, C, h, w)`."""
    import torch

    made = network(key, runtime)
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32))
        found = made((pixels / 256 - 0.5).to(runtime.device))
        if isinstance(found, tuple):
            return tuple(maps.float().cpu().numpy() for maps in found)
        return found.float().cpu().numpy()


def _padded(picture: Frame) -> Frame:
    """Gray to the right and below, up to multiples of the stride."""
    import cv2

    below, right = -picture.shape[0] % _STRIDE, -picture.shape[1] % _STRIDE
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(_GRAY,) * 3)


def _back(maps: Array, inner: tuple[int, int], size: tuple[int, int]) -> Array:
    """Maps `(C, h, w)` of a padded input to `size`: enlarged by the stride, cut to `inner`, resized."""
    full = [_resized(values, values.shape[0] * _STRIDE, values.shape[1] * _STRIDE) for values in maps]
    cut = [np.ascontiguousarray(values[: inner[0], : inner[1]]) for values in full]
    return np.stack([_resized(values, *size) for values in cut], axis=2).astype(np.float64)


def _resized(picture: Array, height: float, width: float) -> Array:
    """OpenCV's resize: area when it shrinks, Lanczos when it grows or stays."""
    import cv2

    shrinks = (height + width) / (picture.shape[0] + picture.shape[1]) < 1
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    return cv2.resize(picture, (max(1, int(width)), max(1, int(height))), interpolation=how)
