"""Body poses from MoveNet MultiPose, the estimator that comes with the pack: body only, up to six people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import onnx_session, weight_files
from .pose import Person, Point, Pose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .runtime import Runtime

_SIDE = 256  # the trained size
_LEAST_PERSON, _LEAST_POINT = 0.25, 0.25
# For each of OpenPose's 18 joints the index in COCO's 17; the neck (1) is computed.
_FROM_COCO = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)


def estimate(image: Frame, runtime: Runtime) -> Pose:
    """The people in an RGB frame, surest first."""
    made = runtime.load(
        "preprocessor/movenet",
        lambda: onnx_session.open_session(weight_files.SHIPPED / "movenet-multipose.onnx", runtime),
    )
    small, used = _prepare(image)
    found = made.run(None, {made.get_inputs()[0].name: small[None].astype(np.int32)})[0][0]
    return _decode(found, used, image.shape[1], image.shape[0])


def _prepare(image: Frame) -> tuple[Frame, tuple[float, float]]:
    """Long side at 256, black added up to multiples of 32; and the shares that hold the picture."""
    import cv2

    height, width = image.shape[:2]
    k = _SIDE / max(height, width)
    rows, columns = max(1, round(height * k)), max(1, round(width * k))
    small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR)
    below, right = -rows % 32, -columns % 32
    small = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT)
    return small, (rows / small.shape[0], columns / small.shape[1])


def _decode(found: NDArray[Any], used: tuple[float, float], width: int, height: int) -> Pose:
    people: list[Person] = []
    for row in sorted(found, key=lambda row: -row[55]):
        if row[55] < _LEAST_PERSON:
            break
        points = row[:51].reshape(17, 3)
        coco = [_point(y / used[0], x / used[1], score) for y, x, score in points]
        body = [None if index < 0 else coco[index] for index in _FROM_COCO]
        body[1] = _middle(coco[5], coco[6])
        people.append(Person(tuple(body)))
    return Pose(tuple(people), width, height)


def _point(y: float, x: float, score: float) -> Point | None:
    inside = 0 <= x <= 1 and 0 <= y <= 1
    return (float(x), float(y)) if score >= _LEAST_POINT and inside else None


def _middle(a: Point | None, b: Point | None) -> Point | None:
    return None if a is None or b is None else ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
