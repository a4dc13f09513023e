"""M-LSD: straight line segments (NAVER, Apache-2.0; network from controlnet-aux, decoding our own)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import frames, tensors
from .networks import forward

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call

_MOST_LINES = 200


def mlsd(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """White segments of one pixel's width; A: least score, B: least length (at half the working size)."""
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    with torch.inference_mode():
        pixels = tensors.to_device(inputs, call.runtime)
        ones = torch.ones_like(pixels[:, :1])
        found = _segments(forward("mlsd", call.runtime, torch.cat([pixels, ones], dim=1) / 127.5 - 1.0))
    maps: list[Frame] = []
    for picture, (scores, ends) in zip(inputs, found, strict=True):
        drawn = _draw(picture.shape[:2], scores, ends, call.threshold_a, call.threshold_b)
        maps.append(frames.gray_to_rgb(frames.cut(drawn, kept)))
    return maps


def _segments(output: torch.Tensor) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Per picture the scores `(n,)` and end points `(n, 4)` = x0, y0, x1, y1 of the best peaks.

    `output` is `(B, 9, h, w)` at half size: centre logit, then the offsets of both ends.
    """
    import torch
    from torch.nn.functional import max_pool2d

    width = output.shape[3]
    heat = torch.sigmoid(output[:, 0])
    peaks = heat * (max_pool2d(heat[:, None], 3, stride=1, padding=1)[:, 0] == heat)
    flat = peaks.flatten(1)
    scores, places = torch.topk(flat, min(_MOST_LINES, flat.shape[1]), dim=1)
    offsets = output[:, 1:5].flatten(2).gather(2, places[:, None].expand(-1, 4, -1)).transpose(1, 2)
    x, y = (places % width).float(), (places // width).float()
    ends = torch.stack([x, y, x, y], dim=2) + offsets
    lengths = (offsets[:, :, :2] - offsets[:, :, 2:]).square().sum(2).sqrt()
    result: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for index in range(output.shape[0]):
        table = torch.cat([scores[index, :, None], lengths[index, :, None], ends[index]], dim=1).cpu().numpy()
        result.append((table[:, :2], table[:, 2:]))
    return result


def _draw(
    size: tuple[int, int], scores: NDArray[Any], ends: NDArray[Any], least_score: float, least_length: float
) -> Frame:
    import cv2

    canvas = np.zeros(size, np.uint8)
    wanted = (scores[:, 0] > least_score) & (scores[:, 1] > least_length)
    # A network gone wrong may point far outside; OpenCV clips, but only what fits its own numbers.
    for x0, y0, x1, y1 in np.nan_to_num(2 * ends[wanted]).clip(-(2**15), 2**15):
        cv2.line(canvas, (int(x0), int(y0)), (int(x1), int(y1)), 255, 1)
    return canvas
