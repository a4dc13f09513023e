"""Depth maps: MiDaS (DPT-hybrid), ZoeDepth and Depth-Anything, networks from transformers.

What is around the networks follows sd-webui-controlnet 1.1.455, not transformers' image processors. Every
public function takes RGB frames of one size and a `Call`, and returns uint8 `(h, w, 3)`, near is bright.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import frames, tensors
from .hub_models import hub_model

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def midas(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Relative depth, scaled from the picture's own smallest to largest value."""
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    return [_gray(_stretch(depth), kept) for depth in midas_depth(inputs, call)]


def midas_depth(inputs: Sequence[Frame], call: Call) -> list[NDArray[np.float32]]:
    """DPT-hybrid's raw relative depth of padded frames, `(H, W)` each, near is large."""
    import torch

    made = hub_model("midas", "DPTForDepthEstimation", call.runtime)
    with torch.inference_mode():
        pixels = tensors.to_device(inputs, call.runtime).contiguous() / 127.5 - 1.0
        size = int(pixels.shape[2]), int(pixels.shape[3])
        with _patches(made, size):
            depth = made(pixels).predicted_depth
        return list(_to_size(depth, size).cpu().numpy())


@contextlib.contextmanager
def _patches(made: Any, size: tuple[int, int]) -> Iterator[None]:
    """Tell DPT's neck how many patches the picture is high and wide: by itself it assumes a square."""
    patch = int(made.config.patch_size)
    rows, columns = size[0] // patch, size[1] // patch
    hook = made.neck.register_forward_pre_hook(lambda _, given: (given[0], rows, columns))
    try:
        yield
    finally:
        hook.remove()


def zoe(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Metric depth; the 2nd percentile becomes white, the 85th black."""
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    made = hub_model("zoe", "ZoeDepthForDepthEstimation", call.runtime)
    with torch.inference_mode():
        pixels = tensors.to_device(inputs, call.runtime).contiguous() / 255.0
        # The mean with the mirrored picture's depth, as the network's authors infer.
        depth = (_zoe_depth(made, pixels) + _zoe_depth(made, pixels.flip(3)).flip(2)) / 2
    return [_gray(_near_is_white(values), kept) for values in depth.cpu().numpy()]


def _near_is_white(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 2nd percentile becomes 1, the 85th 0; a flat depth gives 1."""
    near, far = np.percentile(depth, 2), np.percentile(depth, 85)
    return 1.0 - (depth - near) / max(far - near, 1e-12)


def _zoe_depth(made: Any, pixels: torch.Tensor) -> torch.Tensor:
    """`(B, 3, H, W)` of 0..1 to depth `(B, H, W)`: mirrored borders, 384 x 512 or so, and back."""
    from torch.nn.functional import interpolate, pad

    height, width = int(pixels.shape[2]), int(pixels.shape[3])
    down, across = int(math.sqrt(height / 2) * 3), int(math.sqrt(width / 2) * 3)
    bordered = pad(pixels, (across, across, down, down), mode="reflect")
    tall, wide = int(bordered.shape[2]), int(bordered.shape[3])
    scales = (384 / tall, 512 / wide)
    k = min(scales, key=lambda scale: abs(1 - scale))  # the one that changes the picture least
    size = tuple(max(32, round(k * side / 32) * 32) for side in (tall, wide))
    small = interpolate(bordered, size=size, mode="bilinear", align_corners=True)
    depth = made((small - 0.5) / 0.5).predicted_depth
    full = interpolate(depth[:, None], size=(tall, wide), mode="bicubic", align_corners=False)[:, 0]
    return full[:, down : down + height, across : across + width]


def depth_anything(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Depth-Anything (ViT-L)."""
    return _anything(pictures, call, "depth_anything")


def depth_anything_v2(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Depth-Anything V2 (ViT-L)."""
    return _anything(pictures, call, "depth_anything_v2")


def _anything(pictures: Sequence[Frame], call: Call, key: str) -> list[Frame]:
    import cv2
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    height, width = inputs[0].shape[:2]
    tall, wide = _anything_size(height, width)
    # Red and blue change places before the network, as in the original.
    sized = [
        cv2.resize(
            picture[:, :, ::-1].astype(np.float32) / 255.0, (wide, tall), interpolation=cv2.INTER_CUBIC
        )
        for picture in inputs
    ]
    made = hub_model(key, "DepthAnythingForDepthEstimation", call.runtime)
    with torch.inference_mode():
        pixels = normalise(tensors.to_device(sized, call.runtime))
        depth = _to_size(made(pixels).predicted_depth, (height, width))
    return [_gray(_stretch(values), kept) for values in depth.cpu().numpy()]


def _anything_size(height: int, width: int) -> tuple[int, int]:
    """Both sides at least 518, the aspect about kept, multiples of 14."""
    k = max(518 / height, 518 / width)
    sides = [round(k * side / 14) * 14 for side in (height, width)]
    grown = [
        side if side >= 518 else math.ceil(k * each / 14) * 14
        for side, each in zip(sides, (height, width), strict=True)
    ]
    return grown[0], grown[1]


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """`(B, 3, H, W)` of 0..1 by ImageNet's mean and deviation."""
    import torch

    mean = torch.tensor(_IMAGENET_MEAN, device=pixels.device)[:, None, None]
    std = torch.tensor(_IMAGENET_STD, device=pixels.device)[:, None, None]
    return (pixels.contiguous() - mean) / std


def _to_size(depth: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    from torch.nn.functional import interpolate

    if tuple(depth.shape[1:]) == size:
        return depth
    return interpolate(depth[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def _stretch(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """To 0..1 of its own range; a flat depth gives 0."""
    low, high = float(depth.min()), float(depth.max())
    return (depth - low) / max(high - low, 1e-12)


def _gray(values: NDArray[np.float32], kept: tuple[int, int]) -> Frame:
    pixels = (frames.cut(values, kept) * 255.0).clip(0, 255).astype(np.uint8)
    return frames.gray_to_rgb(pixels)
