"""LeReS depth (network from controlnet-aux, without its boosting step)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import frames, tensors
from .depth import normalise
from .networks import network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call


def leres(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Depth, near is bright. A: blank out the nearest A percent, B: the farthest B percent."""
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    made: Any = network("leres", call.runtime)
    with torch.inference_mode():
        # The network reads the channels reversed, and 0..255 where its authors meant 0..1: kept, it is what
        # the published maps were made with.
        pixels = normalise(tensors.to_device([picture[:, :, ::-1] for picture in inputs], call.runtime))
        depth = made.depth_model(pixels)[:, 0].float().cpu().numpy()
    return [
        frames.gray_to_rgb(frames.cut(_levels(values, call.threshold_a, call.threshold_b), kept))
        for values in depth
    ]


def _levels(depth: NDArray[np.float32], near: float, far: float) -> Frame:
    import cv2

    low, high = float(depth.min()), float(depth.max())
    if high - low > np.finfo("float").eps:
        wide = (65535 * (depth.astype(np.float64) - low) / (high - low)).astype(np.uint16)
    else:
        wide = np.zeros(depth.shape, np.uint16)
    gray = cv2.convertScaleAbs(wide, alpha=255.0 / 65535.0)
    if near != 0:
        gray = cv2.threshold(gray, near / 100 * 255, 255, cv2.THRESH_TOZERO)[1]
    gray = cv2.bitwise_not(gray)
    if far != 0:
        gray = cv2.threshold(gray, far / 100 * 255, 255, cv2.THRESH_TOZERO)[1]
    return gray
