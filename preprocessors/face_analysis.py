"""Faces by InsightFace's ONNX networks: SCRFD finds them with five points, ArcFace describes one.

The networks run in onnxruntime; what is around them follows their papers (SCRFD, arXiv 2105.04714; ArcFace,
arXiv 1801.07698) and the settings that sd-webui-controlnet 1.1.455 uses: detection at 640 x 640, a score of
0.5, the largest face counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.command import command
from ..base.errors import MissingModel, PictureError
from . import frames, onnx_session
from .weights_table import WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .runtime import Runtime

_SIDE = 640
_LEAST_SCORE, _OVERLAP = 0.5, 0.4
_STRIDES = (8, 16, 32)
_ANCHORS = 2  # per cell, at the same place
# Where ArcFace wants the eyes, the nose and the corners of the mouth in its 112 x 112 picture.
_ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
_ARCFACE_SIDE = 112


@dataclass(frozen=True)
class Face:
    """One face of a picture.

    Attributes:
        box: x0, y0, x1, y1 in pixels.
        points: `(5, 2)` float32, x and y in pixels: left eye, right eye, nose, corners of the mouth.
        score: how sure the detector is, 0 to 1.
    """

    box: NDArray[Any]
    points: NDArray[Any]
    score: float

    @property
    def area(self) -> float:
        """Of the box, square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


def find_faces(picture: Frame, key: str, runtime: Runtime) -> list[Face]:
    """The faces of an RGB frame by the SCRFD network of weight `key`, surest first."""
    detector = onnx_session.session(key, runtime)
    pixels, scale = _fitted(picture)
    outputs = _run(detector, pixels, key)
    if len(outputs) != 3 * len(_STRIDES):
        raise _foreign(key, f"gives {len(outputs)} outputs, not the 9 of SCRFD with key points")
    found = [_of_stride(outputs[level :: len(_STRIDES)], stride) for level, stride in enumerate(_STRIDES)]
    scores, boxes, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-scores, kind="stable")
    kept = [order[index] for index in _not_overlapping(boxes[order] / scale)]
    return [Face(boxes[index] / scale, points[index] / scale, float(scores[index])) for index in kept]


def largest_face(faces: Sequence[Face], picture: Frame, runtime: Runtime) -> Face:
    """The face with the largest box. Several: the runtime is told. None: `PictureError`."""
    if not faces:
        raise PictureError(
            f"No face was found in the picture ({frames.size_text(picture)} pixels).",
            "Give a picture in which one face is seen from the front and is not cut off.",
        )
    if len(faces) > 1:
        runtime.notice(f"{len(faces)} faces were found; the largest one is used.")
    return max(faces, key=lambda face: face.area)


def describe(picture: Frame, face: Face, key: str, runtime: Runtime) -> NDArray[np.float32]:
    """ArcFace's numbers `(512,)` for a face of an RGB frame, as they come, not normalised."""
    import cv2

    network = onnx_session.session(key, runtime)
    turned = similarity(face.points, _ARCFACE_POINTS)
    aligned = cv2.warpAffine(picture, turned, (_ARCFACE_SIDE, _ARCFACE_SIDE), borderValue=(0, 0, 0))
    pixels = (aligned.astype(np.float32) - 127.5) / 127.5
    made = _run(network, pixels.transpose(2, 0, 1)[None], key)[0]
    if made.size != 512:
        raise _foreign(key, f"gives {made.size} numbers, not the 512 of ArcFace")
    return np.asarray(made, np.float32).reshape(512)


def similarity(source: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """The turn, scale and shift `(2, 3)` that brings the points nearest to the target, least squares.

    In the plane Umeyama's solution (1991) is one complex factor: points as x + iy. Raises `PictureError`
    where all points are one.
    """
    z = source[:, 0].astype(np.float64) + 1j * source[:, 1].astype(np.float64)
    w = target[:, 0] + 1j * target[:, 1]
    spread = np.sum(np.abs(z - z.mean()) ** 2)
    if not spread > 0:
        raise PictureError("The five points of the face are one point: it cannot be aligned.")
    factor = np.sum(np.conj(z - z.mean()) * (w - w.mean())) / spread
    shift = w.mean() - factor * z.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def _fitted(picture: Frame) -> tuple[NDArray[np.float32], float]:
    """The picture in the upper left of a black square, as the network takes it, and its scale."""
    import cv2

    height, width = picture.shape[:2]
    if height > width:
        size = max(1, int(_SIDE / (height / width))), _SIDE
    else:
        size = _SIDE, max(1, int(_SIDE * (height / width)))
    square = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    square[: size[1], : size[0]] = cv2.resize(picture, size)
    pixels = (square.astype(np.float32) - 127.5) * np.float32(1 / 128)
    return pixels.transpose(2, 0, 1)[None], size[1] / height


def _of_stride(
    outputs: Sequence[NDArray[np.float32]], stride: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Scores `(n,)`, boxes `(n, 4)` and points `(n, 5, 2)` of one level that are sure enough."""
    scores, distances = outputs[0].reshape(-1), outputs[1].reshape(-1, 4)
    shifts = outputs[2].reshape(-1, 5, 2)
    cells = _SIDE // stride
    rows, columns = np.mgrid[:cells, :cells]
    centres = np.stack([columns, rows], axis=-1).reshape(-1, 1, 2).repeat(_ANCHORS, axis=1).reshape(-1, 2)
    centres = (centres * stride).astype(np.float32)
    sure = scores >= _LEAST_SCORE
    centres, distances, shifts = centres[sure], distances[sure] * stride, shifts[sure] * stride
    boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
    return scores[sure], boxes, centres[:, None] + shifts


def _not_overlapping(boxes: NDArray[Any]) -> list[int]:
    """Which boxes stay, in their order: each that overlaps no better one by more than 0.4.

    A box of x0 to x1 is x1 - x0 + 1 wide, as in the detector's own evaluation.
    """
    widths, heights = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
    areas = widths * heights
    left, kept = np.arange(len(boxes)), list[int]()
    while left.size:
        best, others = left[0], left[1:]
        kept.append(int(best))
        upper = np.maximum(boxes[best, :2], boxes[others, :2])
        lower = np.minimum(boxes[best, 2:], boxes[others, 2:])
        common = np.clip(lower - upper + 1, 0, None).prod(axis=1)
        left = others[common / (areas[best] + areas[others] - common) <= _OVERLAP]
    return kept


def _run(network: Any, pixels: NDArray[np.float32], key: str) -> list[NDArray[np.float32]]:
    try:
        return network.run(None, {network.get_inputs()[0].name: pixels})
    except Exception as error:  # onnxruntime has a class of errors per status code
        raise _foreign(key, f"cannot take {pixels.shape}") from error


def _foreign(key: str, why: str) -> MissingModel:
    name = Path(WEIGHTS[key].file).name
    return MissingModel(
        f"The weight file {name} is for another network: it {why}.",
        f"Delete it and fetch it again: the node's download button, or `{command(f'models pull {key}')}`.",
        file=name,
    )
