"""Surface normals: NormalBae and DSINE (networks), and normals computed from MiDaS' depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InvalidRequest
from . import frames, tensors
from .depth import midas_depth, normalise
from .networks import network

if TYPE_CHECKING:
    import torch
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
        return [frames.cut(each, kept) for each in _pixels(normals)]


def normal_dsine(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """DSINE: x, y, z as red, green, blue. A: the camera's field of view in degrees, B: rounds of refinement.

    As in the original, the camera is that of the picture before it is brought to the working size, and the
    map is cut by that picture's size too. Raises `InvalidRequest` for a field of view that no camera has.
    """
    import torch

    height, width = pictures[0].shape[:2]
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    # The original means to undo a padding to multiples of 32 that it never made.
    top, left = -height % 32 // 2, -width % 32 // 2
    made = network("dsine", call.runtime)
    with torch.inference_mode():
        pixels = normalise(tensors.to_device(inputs, call.runtime) / 255.0)
        camera = _camera(height, width, call.threshold_a, top, left).to(pixels.device)
        normals = made(pixels, camera, int(call.threshold_b))
        if not bool(normals.isfinite().all()):
            raise InvalidRequest.field("threshold_a", call.threshold_a, "a field of view below 180 degrees")
        maps = _pixels(normals[:, :, top : top + height, left : left + width])
    found = min(kept[0], maps[0].shape[0]), min(kept[1], maps[0].shape[1])
    if found != kept:
        call.runtime.notice(
            f"normal_dsine gives {found[1]}x{found[0]} of the {kept[1]}x{kept[0]} pixels of its working "
            "size, as the original does when the picture is smaller than that, or its sides are no multiples "
            "of 32."
        )
    return [frames.cut(each, found) for each in maps]


def _camera(height: int, width: int, degrees: float, top: int, left: int) -> torch.Tensor:
    """Focal lengths and centre `(fu, fv, cu, cv)` of a pinhole camera, in pixels."""
    import torch

    with np.errstate(divide="ignore"):  # no field of view: parallel rays
        focal = float(np.float64(max(height, width) / 2) / np.tan(np.deg2rad(degrees / 2)))
    return torch.tensor([focal, focal, width / 2 + left, height / 2 + top])


def _pixels(normals: torch.Tensor) -> list[Frame]:
    """`(B, 3, H, W)` of -1..1 to frames, truncated."""
    import torch

    pixels = (((normals + 1) * 0.5).clamp(0, 1) * 255.0).to(torch.uint8)
    return list(pixels.permute(0, 2, 3, 1).cpu().numpy())


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
