"""HED, PiDiNet, TEED and AnyLine: soft edges, and the scribbles made from them.

Networks from controlnet-aux; what is around them follows sd-webui-controlnet 1.1.455. Every public function
takes RGB frames of one size and a `Call`, and returns maps uint8 `(h, w, 3)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import frames, tensors
from .free import line_intensity
from .networks import forward

if TYPE_CHECKING:
    import torch

    from .frames import Frame
    from .free import Call

_SAFE_STEPS = 2


def hed(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """HED soft edges."""
    return [frames.gray_to_rgb(edges) for edges in _hed(pictures, call, steps=0)]


def hed_safe(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """HED in three levels, which hide what the picture was."""
    return [frames.gray_to_rgb(edges) for edges in _hed(pictures, call, steps=_SAFE_STEPS)]


def scribble_hed(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """A scribble of HED's edges."""
    return _scribbles(_hed(pictures, call, steps=0), call)


def pidinet(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """PiDiNet soft edges."""
    return [frames.gray_to_rgb(edges) for edges in _pidinet(pictures, call)]


def pidinet_safe(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """PiDiNet in three levels."""
    return [frames.gray_to_rgb(edges) for edges in _pidinet(pictures, call, steps=_SAFE_STEPS)]


def pidinet_sketch(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """PiDiNet above one half, black and white, for the sketch T2I adapter."""
    return [frames.gray_to_rgb(edges) for edges in _pidinet(pictures, call, binary=True)]


def pidinet_scribble(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """A scribble of PiDiNet's edges."""
    return _scribbles(_pidinet(pictures, call), call)


def teed(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """TEED soft edges; A steps of gray, 0 for all of them."""
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    maps = _sigmoid_maps("teed", inputs, call, steps=int(call.threshold_a))
    return [frames.gray_to_rgb(frames.cut(edges, kept)) for edges in maps]


def anyline(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """TEED's map, with what the original lets through of the line art (next to nothing)."""
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    maps = _sigmoid_maps("mteed", inputs, call, steps=int(call.threshold_a))
    for edges, picture in zip(maps, inputs, strict=True):
        edges[_faint_lines(picture)] = 1
    return [frames.gray_to_rgb(frames.cut(edges, kept)) for edges in maps]


def _faint_lines(picture: Frame) -> Any:
    """Where the line art has the value 1 exactly, in patches of at least 12 pixels.

    The original means to keep all lines, but cuts the range at 1 instead of 255.
    """
    import cv2

    faint = (line_intensity(picture) == 1).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(faint, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= 12
    large[0] = False  # the ground
    return large[labels]


def _hed(pictures: Sequence[Frame], call: Call, steps: int) -> list[Frame]:
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    return [frames.cut(edges, kept) for edges in _sigmoid_maps("hed", inputs, call, steps)]


def _sigmoid_maps(key: str, inputs: Sequence[Frame], call: Call, steps: int) -> list[Frame]:
    """Networks that give edges at several sizes: averaged at full size, then the logistic function."""
    import torch
    from torch.nn.functional import interpolate

    with torch.inference_mode():
        pixels = tensors.to_device(inputs, call.runtime)
        size = tuple(pixels.shape[2:])
        total = torch.zeros((pixels.shape[0], 1, *size), device=pixels.device)
        sides = forward(key, call.runtime, pixels)
        for side in sides:
            whole = tuple(side.shape[2:]) == size
            total += side if whole else interpolate(side, size=size, mode="bilinear", align_corners=False)
        edges = torch.sigmoid(total[:, 0] / len(sides))
        return tensors.to_gray(_levels(edges, steps))


def _pidinet(pictures: Sequence[Frame], call: Call, *, steps: int = 0, binary: bool = False) -> list[Frame]:
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    with torch.inference_mode():
        pixels = tensors.to_device([picture[:, :, ::-1] for picture in inputs], call.runtime) / 255.0
        edges = forward("pidinet", call.runtime, pixels)[-1][:, 0]
        if binary:
            edges = (edges > 0.5).float()
        maps = tensors.to_gray(_levels(edges, steps))
    return [frames.cut(each, kept) for each in maps]


def _levels(edges: torch.Tensor, steps: int) -> torch.Tensor:
    """0..1 in `steps` + 1 levels (truncated); 0 leaves it smooth."""
    return edges if steps == 0 else (edges * (steps + 1)).trunc() / steps


def _scribbles(maps: Sequence[Frame], call: Call) -> list[Frame]:
    return frames.over_frames(_scribble, maps, call.runtime.threads)


def _scribble(edges: Frame) -> Frame:
    """Ridges of a soft edge map as strokes of even width, black and white."""
    import cv2

    blurred = cv2.GaussianBlur(edges.astype(np.float32), (0, 0), 3.0)
    ridges = np.zeros(edges.shape, np.bool_)
    for line in (np.eye(3), np.eye(3)[::-1], np.eye(3)[[1, 1, 1]], np.eye(3)[[1, 1, 1]].T):
        ridges |= cv2.dilate(blurred, np.ascontiguousarray(line, np.uint8)) == blurred
    strokes = np.where(ridges & (blurred > 127), np.uint8(255), np.uint8(0))
    strokes = cv2.GaussianBlur(strokes, (0, 0), 3.0)
    return frames.gray_to_rgb(np.where(strokes > 4, np.uint8(255), np.uint8(0)))
