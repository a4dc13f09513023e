"""The line art networks. Every public function takes RGB frames of one size and returns uint8 `(h, w, 3)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import frames, tensors
from .networks import forward

if TYPE_CHECKING:
    from .frames import Frame
    from .free import Call


def lineart(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """White realistic line art."""
    return _informative(pictures, call, "lineart")


def lineart_coarse(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """White coarse line art."""
    return _informative(pictures, call, "lineart_coarse")


def _informative(pictures: Sequence[Frame], call: Call, key: str) -> list[Frame]:
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    with torch.inference_mode():
        pixels = tensors.to_device(inputs, call.runtime) / 255.0
        maps = tensors.to_gray(forward(key, call.runtime, pixels)[:, 0])
    return [frames.gray_to_rgb(255 - frames.cut(line, kept)) for line in maps]


def lineart_anime(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """White line art of a drawing. The network wants sides of multiples of 256: stretched there and back."""
    import cv2
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    height, width = inputs[0].shape[:2]
    tall, wide = -(-height // 256) * 256, -(-width // 256) * 256
    stretched = [frames.resize_to(picture, tall, wide, cv2.INTER_CUBIC) for picture in inputs]
    with torch.inference_mode():
        pixels = tensors.to_device(stretched, call.runtime) / 127.5 - 1.0
        values = (forward("lineart_anime", call.runtime, pixels)[:, 0] * 127.5 + 127.5).cpu().numpy()
    maps: list[Frame] = []
    for line in values:
        back = frames.resize_to(line, height, width, cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
        maps.append(frames.gray_to_rgb(255 - frames.cut(back, kept)))
    return maps


def lineart_anime_denoise(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """White structural lines of a drawing, screentone and noise left out."""
    import cv2
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    gray = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in inputs]
    with torch.inference_mode():
        lines = 255.0 - forward("manga_line", call.runtime, tensors.to_device(gray, call.runtime))[:, 0]
        maps = list(lines.clamp_(0, 255).to(torch.uint8).cpu().numpy())
    return [frames.gray_to_rgb(frames.cut(line, kept)) for line in maps]
