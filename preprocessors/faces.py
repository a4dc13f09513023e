"""Pictures of faces: MediaPipe's mesh, InstantID's five points, and the parsed face that PuLID looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import face_analysis, frames, tensors
from .aux_library import aux_class
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call

# Of the five points: left eye, right eye, nose, left and right corner of the mouth; each joined to the nose.
_COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
_NOSE = 2
_LIMB_HALF_WIDTH, _DOT_RADIUS, _LIMB_SHADE = 4, 10, 0.6


def mediapipe_face(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Faces as coloured contours. A: most faces, B: least confidence."""
    annotate = aux_class("mediapipe_face.mediapipe_face_common", "generate_annotation")
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    maps: list[Frame] = []
    for picture in inputs:
        stop_if_cancelled(call.runtime)
        maps.append(frames.cut(annotate(picture, int(call.threshold_a), call.threshold_b), kept))
    return maps


def instant_id_keypoints(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """The five points of the largest face on black. Raises `PictureError` where there is no face."""
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    maps: list[Frame] = []
    for picture in inputs:
        stop_if_cancelled(call.runtime)
        found = face_analysis.find_faces(picture, "antelopev2_detector", call.runtime)
        face = face_analysis.largest_face(found, picture, call.runtime)
        maps.append(frames.cut(draw_points(face.points, picture.shape[0], picture.shape[1]), kept))
    return maps


def draw_points(points: NDArray[np.float32], height: int, width: int) -> Frame:
    """Five points as InstantID's control model knows them: dots in full colour over limbs in 0.6 of it.

    Args:
        points: `(5, 2)`, x and y in pixels.
        height, width: of the picture.
    """
    import cv2

    canvas = np.zeros((height, width, 3), np.uint8)
    nose_x, nose_y = points[_NOSE]
    for number in (0, 1, 3, 4):
        x, y = points[number]
        centre = int((x + nose_x) / 2), int((y + nose_y) / 2)
        half = int(((x - nose_x) ** 2 + (y - nose_y) ** 2) ** 0.5 / 2)
        angle = int(math.degrees(math.atan2(y - nose_y, x - nose_x)))
        limb: Any = cv2.ellipse2Poly(centre, (half, _LIMB_HALF_WIDTH), angle, 0, 360, 1)
        cv2.fillConvexPoly(canvas, limb, [int(part * _LIMB_SHADE) for part in _COLOURS[number]])
    for (x, y), colour in zip(points, _COLOURS, strict=True):
        cv2.circle(canvas, (int(x), int(y)), _DOT_RADIUS, colour, thickness=-1)
    return canvas


def facexlib(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """The face in the middle, upright at 512 x 512, gray on white, without hair, ears, neck and clothes.

    The module has no resolution: the picture's short side becomes 512.
    """
    from .face_parsing import face_features

    maps: list[Frame] = []
    for picture in pictures:
        stop_if_cancelled(call.runtime)
        values = face_features(picture, call.runtime)[0].permute(1, 2, 0) * 255.0
        maps.append(np.ascontiguousarray(values.cpu().numpy().astype(np.uint8)))
    return maps
