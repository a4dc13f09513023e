"""Surface normals: NormalBae (network from controlnet-aux) and normals computed from MiDaS' depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import frames, tensors
from .depth import midas_depth, normalise
from .networks import network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call


def normal_bae(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """NormalBae (trained on ScanNet): x, y, z as red, green, blue."""
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    made = network("normal_bae", call.runtime)
    with torch.inference_mode():
        normals = made(normalise(tensors.to_device(inputs, call.runtime) / 255.0))[0][-1][:, :3]
        pixels = (((normals + 1) * 0.5).clamp(0, 1) * 255.0).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [frames.cut(each, kept) for each in pixels]


def normal_midas(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Slopes of MiDaS' depth; where it is below A (of 0..1), the ground, the normal points at the viewer.

    The channels are in the order blue, green, red, as in the original.
    """
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    return [frames.cut(_slopes(depth, call.threshold_a), kept) for depth in midas_depth(inputs, call)]


def _slopes(depth: NDArray[np.float32], ground: float) -> Frame:
    import cv2

    low, high = float(depth.min()), float(depth.max())
    far = (depth - low) / max(high - low, 1e-12) < ground
    normal: NDArray[Any] = np.empty((*depth.shape, 3), np.float32)
    normal[:, :, 0] = cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3)
    normal[:, :, 1] = cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3)
    normal[far, :2] = 0
    normal[:, :, 2] = 2.0 * math.pi
    normal /= np.sqrt((normal**2).sum(axis=2, keepdims=True))
    pixels = (normal * 127.5 + 127.5).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[:, :, ::-1])
