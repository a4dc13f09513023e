"""Pictures and stand-in networks for the depth and normal tests, all made from whole numbers and seeds.

The golden data of `tests/golden/learned/depth_normals.json` was made by running the original code on these
very pictures, its boosting with these stand-ins in place of its two networks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, conv2d, interpolate


def blocks(height: int, width: int, seed: int) -> np.ndarray:
    """Blocks of 16 pixels in random colours over a gradient."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 128, (height // 16 + 1, width // 16 + 1, 3))
    y, x = np.mgrid[:height, :width]
    gradient = np.stack([x * 127 // width, y * 127 // height, (x + y) * 127 // (height + width)], axis=2)
    return (small[y // 16, x // 16] + gradient).astype(np.uint8)


def detail(height: int, width: int, left: int, right: int, top: int, bottom: int) -> np.ndarray:
    """A smooth picture with a rectangle of noise, where detail for more resolution is."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack(
        [x * 60 // width + 40, y * 60 // height + 50, (x + y) * 40 // (height + width) + 30], axis=2
    ).astype(np.uint8)
    random = np.random.default_rng(height * width + left)
    picture[top:bottom, left:right] = random.integers(0, 256, (bottom - top, right - left, 3))
    return picture


PICTURES = {
    "blocks": lambda: blocks(512, 640, 1),
    "strip": lambda: detail(512, 640, 40, 240, 0, 512),
    "two patches": lambda: detail(448, 640, 40, 240, 0, 448),
    "corner": lambda: detail(640, 512, 0, 150, 300, 640),
    "small": lambda: blocks(192, 256, 2),
    "flat": lambda: np.full((512, 512, 3), 77, np.uint8),
}


class Depth:
    """In place of LeReS: two small convolutions at a quarter of the size."""

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        self._first = torch.from_numpy(random.standard_normal((4, 3, 5, 5)).astype(np.float32) / 8)
        self._second = torch.from_numpy(random.standard_normal((1, 4, 5, 5)).astype(np.float32) / 10)

    def depth_model(self, pixels: torch.Tensor) -> torch.Tensor:
        small = avg_pool2d(pixels.contiguous(), 4)
        small = torch.tanh(conv2d(small / 128, self._first, padding=2))
        return interpolate(conv2d(small, self._second, padding=2), scale_factor=4, mode="bilinear")


def merge(pixels: torch.Tensor) -> torch.Tensor:
    """In place of the merge network: (B, 2, 1024, 1024) to (B, 1, 1024, 1024), all within -1..1."""
    outer, inner = pixels[:, :1], pixels[:, 1:]
    blurred = avg_pool2d(inner, 31, 1, 15, count_include_pad=False)
    return torch.tanh(0.7 * outer + (inner - blurred) + 0.1 * outer * inner)
