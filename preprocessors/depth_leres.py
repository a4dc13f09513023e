"""LeReS depth, as it is and boosted (networks from controlnet-aux, the boosting this pack's own)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import depth_boost, frames, tensors
from .depth import normalise
from .networks import network
from .passes import passes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call
    from .runtime import Runtime


def leres(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Depth, near is bright. A: blank out the nearest A percent, B: the farthest B percent."""
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    return [_map(values, call, kept) for values in _depth(inputs, call.runtime)]


def leres_boosted(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """LeReS++: `leres` with the detail of higher resolutions merged in (`depth_boost`)."""
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    networks = _Networks(call.runtime)
    return [_map(depth_boost.boosted_depth(picture, networks), call, kept) for picture in inputs]


class _Networks:
    """LeReS and the merge network, as `depth_boost` wants them; as many at once as memory allows."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def depth(self, pictures: Sequence[Frame], side: int) -> list[NDArray[Any]]:
        import cv2

        found: list[NDArray[Any]] = []
        for part in passes(len(pictures), side, side, self._runtime):
            squares = [cv2.resize(picture, (side, side)) for picture in pictures[part]]
            for picture, values in zip(pictures[part], _depth(squares, self._runtime), strict=True):
                size = picture.shape[1], picture.shape[0]
                found.append(cv2.resize(values, size, interpolation=cv2.INTER_CUBIC))
        return found

    def merge(self, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> list[NDArray[Any]]:
        import torch

        found: list[NDArray[Any]] = []
        side = depth_boost.MERGE_SIDE
        for part in passes(len(pairs), side, side, self._runtime):
            both = np.stack([np.stack([depth_boost.full_range(v) for v in pair]) for pair in pairs[part]])
            made = network("leres_merge", self._runtime)
            with torch.inference_mode():
                pixels = torch.from_numpy(both).float().to(self._runtime.device) * 2 - 1
                found += list(((made(pixels)[:, 0] + 1) / 2).cpu().numpy())
        return found


def _depth(inputs: Sequence[Frame], runtime: Runtime) -> list[NDArray[np.float32]]:
    """LeReS' raw depth of frames of one size, `(H, W)` each, far is large."""
    import torch

    made: Any = network("leres", runtime)
    with torch.inference_mode():
        # The network reads the channels reversed, and 0..255 where its authors meant 0..1: kept, it is what
        # the published maps were made with.
        pixels = normalise(tensors.to_device([picture[:, :, ::-1] for picture in inputs], runtime))
        return list(made.depth_model(pixels)[:, 0].float().cpu().numpy())


def _map(depth: NDArray[Any], call: Call, kept: tuple[int, int]) -> Frame:
    levels = _levels(depth, call.threshold_a, call.threshold_b)
    return frames.gray_to_rgb(frames.cut(levels, kept))


def _levels(depth: NDArray[Any], near: float, far: float) -> Frame:
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
