"""MediaPipe's face mesh (estimator and drawing of controlnet-aux, models inside the mediapipe package)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import frames, tensors
from .aux_library import aux_class
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    from .frames import Frame
    from .free import Call


def mediapipe_face(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Faces as coloured contours. A: most faces, B: least confidence."""
    annotate = aux_class("mediapipe_face.mediapipe_face_common", "generate_annotation")
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    maps: list[Frame] = []
    for picture in inputs:
        stop_if_cancelled(call.runtime)
        maps.append(frames.cut(annotate(picture, int(call.threshold_a), call.threshold_b), kept))
    return maps
