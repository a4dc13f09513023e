"""Whole-body poses from DWPose, animal poses from RTMPose: a YOLOX detector, then key points per box.

The files are ONNX; what is around them follows the networks' papers and their configuration (OpenMMLab,
Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import onnx_session
from .pose import Person, Point, Pose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .runtime import Runtime

_DETECTOR_SIDE = 640
_LEAST_BOX, _OVERLAP = 0.3, 0.45
_LEAST_POINT = 0.3
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_STD = np.array([58.395, 57.12, 57.375], np.float32)
_BOX_MARGIN = 1.25
PERSON = (0,)
ANIMALS = tuple(range(14, 24))  # COCO's bird to giraffe
# For each of OpenPose's 18 joints the index in the network's 133; the neck (1) is computed.
_FROM_WHOLE_BODY = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_FACE, _LEFT_HAND, _RIGHT_HAND = slice(23, 91), slice(91, 112), slice(112, 133)


def estimate(image: Frame, runtime: Runtime) -> Pose:
    """Bodies, hands and faces in an RGB frame. Points below a score of 0.3 are missing."""
    height, width = image.shape[:2]
    boxes = find_boxes(onnx_session.session("dw_detector", runtime), image, PERSON)
    points, scores = key_points(onnx_session.session("dw_pose", runtime), image, boxes)
    people = [_person(p, s, width, height) for p, s in zip(points, scores, strict=True)]
    return Pose(tuple(people), width, height)


def estimate_animals(image: Frame, runtime: Runtime) -> list[tuple[Point | None, ...]]:
    """AP-10K's 17 points of every animal in an RGB frame, in 0..1."""
    height, width = image.shape[:2]
    boxes = find_boxes(onnx_session.session("dw_detector", runtime), image, ANIMALS)
    points, scores = key_points(onnx_session.session("animal_pose", runtime), image, boxes)
    return [_relative(p, s, width, height) for p, s in zip(points, scores, strict=True)]


def find_boxes(detector: Any, image: Frame, classes: Sequence[int]) -> NDArray[np.float32]:
    """Boxes `(n, 4)` = x0, y0, x1, y1 in pixels of the classes wanted, surest first."""
    import cv2

    height, width = image.shape[:2]
    k = min(_DETECTOR_SIDE / height, _DETECTOR_SIDE / width)
    small = cv2.resize(
        image, (max(1, int(width * k)), max(1, int(height * k))), interpolation=cv2.INTER_LINEAR
    )
    canvas = np.full((_DETECTOR_SIDE, _DETECTOR_SIDE, 3), 114, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    pixels = canvas.transpose(2, 0, 1)[None].astype(np.float32)
    raw = detector.run(None, {detector.get_inputs()[0].name: pixels})[0][0]
    centre = (raw[:, :2] + _grid()) * _strides()
    half = np.exp(raw[:, 2:4]) * _strides() / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1) / k
    scores = (raw[:, 4:5] * raw[:, 5:])[:, list(classes)].max(axis=1)
    sure = scores > _LEAST_BOX
    boxes, scores = boxes[sure], scores[sure]
    return boxes[_without_overlap(boxes, scores)].astype(np.float32)


def _grid() -> NDArray[np.float32]:
    parts: list[NDArray[Any]] = []
    for stride in (8, 16, 32):
        side = _DETECTOR_SIDE // stride
        y, x = np.mgrid[:side, :side]
        parts.append(np.stack([x.ravel(), y.ravel()], axis=1))
    return np.concatenate(parts).astype(np.float32)


def _strides() -> NDArray[np.float32]:
    counts = [(_DETECTOR_SIDE // stride) ** 2 for stride in (8, 16, 32)]
    return np.repeat(np.array([8, 16, 32], np.float32), counts)[:, None]


def _without_overlap(boxes: NDArray[Any], scores: NDArray[Any]) -> list[int]:
    """Indices left after greedy non-maximum suppression, surest first."""
    order = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for index in order:
        others = boxes[kept]
        size = np.minimum(others[:, 2:], boxes[index, 2:]) - np.maximum(others[:, :2], boxes[index, :2])
        common = size.clip(0).prod(axis=1)
        if not (common / (areas[kept] + areas[index] - common + 1e-9) > _OVERLAP).any():
            kept.append(int(index))
    return kept


def key_points(
    network: Any, image: Frame, boxes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points `(n, K, 2)` in pixels and scores `(n, K)` of every box, by a network with SimCC heads."""
    entry = network.get_inputs()[0]
    high, wide = (int(side) for side in entry.shape[2:])
    points: list[NDArray[Any]] = []
    scores: list[NDArray[Any]] = []
    for box in boxes:
        centre, size = _frame_of(box, wide / high)
        crop = (_cut_out(image, centre, size, wide, high).astype(np.float32) - _MEAN) / _STD
        across, down = network.run(None, {entry.name: crop.transpose(2, 0, 1)[None]})[:2]
        place = np.stack([across[0].argmax(axis=1), down[0].argmax(axis=1)], axis=1)
        bins = np.array([across.shape[2], down.shape[2]], np.float32)
        points.append(place / bins * size + centre - size / 2)
        scores.append(np.minimum(across[0].max(axis=1), down[0].max(axis=1)))
    if not points:
        return np.zeros((0, 0, 2), np.float32), np.zeros((0, 0), np.float32)
    return np.stack(points).astype(np.float32), np.stack(scores).astype(np.float32)


def _frame_of(box: NDArray[Any], aspect: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Centre and size (width, height) of a box with margin, grown to the network's aspect."""
    centre = (box[:2] + box[2:]) / 2
    width, height = (box[2:] - box[:2]) * _BOX_MARGIN
    return centre, np.array([max(width, height * aspect), max(height, width / aspect)], np.float32)


def _cut_out(image: Frame, centre: NDArray[Any], size: NDArray[Any], wide: int, high: int) -> Frame:
    import cv2

    k = wide / max(float(size[0]), 1e-6)
    matrix = np.array([[k, 0, wide / 2 - k * centre[0]], [0, k, high / 2 - k * centre[1]]], np.float32)
    return cv2.warpAffine(image, matrix, (wide, high), flags=cv2.INTER_LINEAR)


def _relative(
    points: NDArray[Any], scores: NDArray[Any], width: int, height: int
) -> tuple[Point | None, ...]:
    return tuple(
        (float(x) / width, float(y) / height) if score >= _LEAST_POINT else None
        for (x, y), score in zip(points, scores, strict=True)
    )


def _person(points: NDArray[Any], scores: NDArray[Any], width: int, height: int) -> Person:
    every = _relative(points, scores, width, height)
    body = [None if index < 0 else every[index] for index in _FROM_WHOLE_BODY]
    left, right = every[5], every[6]
    if left is not None and right is not None:
        body[1] = (left[0] + right[0]) / 2, (left[1] + right[1]) / 2
    # OpenPose's face has 70 points: the last two are the pupils, for which the eyes of the body stand in.
    face = (*every[_FACE], body[14], body[15])
    return Person(tuple(body), _part(every[_LEFT_HAND]), _part(every[_RIGHT_HAND]), _part(face))


def _part(points: tuple[Point | None, ...]) -> tuple[Point | None, ...] | None:
    return points if any(point is not None for point in points) else None
