"""Boosting a depth network by merging estimates of several resolutions.

After "Boosting Monocular Depth Estimation Models to High-Resolution via Content-Adaptive Multi-Resolution
Merging" (Miangoleh, Dille, Mai, Paris, Aksoy, CVPR 2021), with the constants of sd-webui-controlnet 1.1.455.
The networks are handed in; nothing here knows which they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .frames import chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame

    Values = NDArray[Any]  # float, (H, W)

MERGE_SIDE = 1024  # the merge network takes and gives squares of this size
_FIELD = 448  # what the depth network sees at once, pixels
_LARGEST = 1600  # no whole-picture estimate beyond this (R_max of the paper)
_BLIND = 0.2  # share of pixels that may lie out of sight of any edge (R_20)
_GROWTH = 3  # an estimate is made at up to that many times the picture's size
_CELL = 32  # the search works on a grid of such cells
_PATCHES_AT_ONCE = 16  # so that memory does not grow with their number


class Networks(Protocol):
    """The two networks, as functions of many pictures at once."""

    def depth(self, pictures: Sequence[Frame], side: int) -> list[Values]:
        """Depth of each picture, estimated at `side` x `side`, at the picture's own size."""
        ...

    def merge(self, pairs: Sequence[tuple[Values, Values]]) -> list[Values]:
        """The structure of the first with the detail of the second; values within 0..1.

        All are squares of `MERGE_SIDE`; both inputs are brought to their own range first.
        """
        ...


@dataclass(frozen=True)
class Patch:
    """A square of the picture: left, top, side."""

    x: int
    y: int
    side: int

    def grown(self, by: int) -> Patch:
        """The patch with `by` pixels more, about its middle."""
        return Patch(self.x - by // 2, self.y - by // 2, self.side + by)

    def scaled(self, k: float) -> tuple[slice, slice]:
        """Rows and columns after scaling the picture by `k`."""
        x, y, side = round(self.x * k), round(self.y * k), round(self.side * k)
        return slice(y, y + side), slice(x, x + side)


def boosted_depth(picture: Frame, networks: Networks) -> Values:
    """Depth of an RGB frame, float `(H, W)`, in about 0..1.

    The whole picture at two resolutions, merged; where the picture holds detail for more, patches of it are
    estimated the same way and blended in.
    """
    height, width = picture.shape[:2]
    side, detail = best_side(picture)
    whole = _double([picture], side, networks)[0]
    if max(height, width) < side:
        return _resized(whole, height, width)
    factor = max(min(1.0, 4 * detail * side / _LARGEST), 0.2)
    tall, wide = _patch_canvas(height, width, side, factor)
    large = _resized(picture, tall, wide)
    k = height / tall
    back = round(tall * k), round(wide * k)
    base = _resized(whole, *back)
    places = [patch.scaled(k) for patch in select_patches(large, int(_CELL / factor))]
    updated = _refined(_resized(large, *back), base, places, networks)
    return _resized(updated, height, width)


def best_side(picture: Frame) -> tuple[int, float]:
    """The largest side at which enough pixels still see an edge, and how much of the picture is detail.

    A picture too small for the search gets the network's own size.
    """
    import cv2

    short, long = sorted(picture.shape[:2])
    # Linear, though the original asks for area and nearest: its argument lands in another place.
    edges = cv2.resize(_gradient(picture), (short, short), interpolation=cv2.INTER_LINEAR)
    low, high = edges.min(), edges.max()
    edges = (edges >= low + 0.4 * (high - low)).astype(np.float64)
    field = _FIELD // _CELL
    grids = range(field, int(min(_LARGEST, _GROWTH * long) / _CELL), field // 2)
    best, cells = field, _cells(edges, field)
    for grid in grids:
        cells = _cells(edges, grid)
        if (1 - cv2.dilate(cells, np.ones((field, field)))).mean() > _BLIND:
            break
        best = grid
    quarter = np.ones((field // 4, field // 4))
    return best * _CELL, float(cv2.dilate(cells, quarter).mean())


def select_patches(picture: Frame, step: int) -> list[Patch]:
    """Squares with more detail than the picture on average, each grown by `step` while that holds.

    The largest come first.
    """
    import cv2

    gradient = _gradient(picture)
    height, width = gradient.shape
    if gradient.any():
        gradient[gradient < gradient[gradient > 0].mean()] = 0
    sums = cv2.integral(gradient)
    average = gradient.sum() / gradient.size
    half, stride = _FIELD, round(_FIELD * 0.75)
    kept: list[Patch] = []
    for x in range(0, width - 2 * half, stride):
        for y in range(0, height - 2 * half, stride):
            patch = Patch(x, y, 2 * half)
            if _density(sums, patch) >= average:
                kept.append(_grown(patch, sums, average, step))
    return sorted(kept, key=lambda patch: -patch.side)


def _grown(patch: Patch, sums: Values, average: float, step: int) -> Patch:
    rows, columns = sums.shape
    while True:
        larger = patch.grown(step)
        inside = min(larger.x, larger.y) >= 0 and larger.y + larger.side < rows
        if not (inside and larger.x + larger.side < columns) or _density(sums, larger) < average:
            return patch
        patch = larger


def _density(sums: Values, patch: Patch) -> float:
    """Mean gradient in a patch, out of the integral image."""
    x, y, side = patch.x, patch.y, patch.side
    right, below = x + side, y + side
    return (sums[below, right] - sums[y, right] - sums[below, x] + sums[y, x]) / (side * side)


def _patch_canvas(height: int, width: int, side: int, factor: float) -> tuple[int, int]:
    """The size the picture is brought to before patches are taken: twice the best one, more if detailed."""
    double, long = 2 * side, max(height, width)
    return round(round(double * height / long) / factor), round(round(double * width / long) / factor)


def _refined(
    picture: Frame, base: Values, places: Sequence[tuple[slice, slice]], networks: Networks
) -> Values:
    """`base` with the patches blended in; picture and base have one size."""
    updated = base.copy()
    for part in chunks(len(places), _PATCHES_AT_ONCE):
        estimates = _double([picture[place] for place in places[part]], 2 * _FIELD, networks)
        outer = [_resized(base[place], MERGE_SIDE, MERGE_SIDE) for place in places[part]]
        merged = networks.merge(list(zip(outer, estimates, strict=True)))
        for place, detailed, rough in zip(places[part], merged, outer, strict=True):
            rows, columns = updated[place].shape
            fitted = _resized(_like(detailed, rough), rows, columns)
            weight = _soft_edge(rows)[:, None] * _soft_edge(columns)
            updated[place] = updated[place] * (1 - weight) + fitted * weight
    return updated


def _double(pictures: Sequence[Frame], side: int, networks: Networks) -> list[Values]:
    """Each picture at the network's own size and at `side`, merged; squares of `MERGE_SIDE`, 0..1."""
    pairs = [
        (_resized(low, MERGE_SIDE, MERGE_SIDE), _resized(high, MERGE_SIDE, MERGE_SIDE))
        for low, high in zip(networks.depth(pictures, _FIELD), networks.depth(pictures, side), strict=True)
    ]
    return [full_range(values) for values in networks.merge(pairs)]


def full_range(values: Values) -> Values:
    """To 0..1 of its own range; flat values give 0."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _like(values: Values, wanted: Values) -> Values:
    """A straight line through `values` near to `wanted`.

    numpy's own fit, not the least squares it stands for: with that many float32 points it drops what it holds
    for noise, and the published maps were made so.
    """
    (slope, offset), *_ = np.polyfit(values.ravel(), wanted.ravel(), 1, full=True)
    return slope * values + offset


def _gradient(picture: Frame) -> Values:
    """Sum of the absolute slopes of the gray picture."""
    import cv2

    gray = picture @ np.array([0.2989, 0.5870, 0.1140])
    return np.abs(cv2.Sobel(gray, cv2.CV_64F, 0, 1, ksize=3)) + np.abs(
        cv2.Sobel(gray, cv2.CV_64F, 1, 0, ksize=3)
    )


def _cells(edges: Values, grid: int) -> Values:
    """Which cells of a `grid` x `grid` raster hold an edge, 0 or 1."""
    import cv2

    block = max(1, len(edges) // grid)
    padding = -len(edges) % block
    padded = np.pad(edges, ((0, padding), (0, padding)))
    count = len(padded) // block
    largest = padded.reshape(count, block, count, block).max(axis=(1, 3))
    sized = cv2.resize(largest, (grid, grid), interpolation=cv2.INTER_LINEAR)
    return (sized >= 0.5).astype(np.float64)


def _soft_edge(length: int) -> Values:
    """Weights along one side of a patch: 0 at the ends, 1 in the middle, a Gaussian between."""
    import cv2

    size = 3000  # made large once, then scaled
    border, sigma = int(0.15 * size), size // 16
    ramp = np.zeros((size, 1), np.float32)
    ramp[border : size - border] = 1
    ramp = cv2.GaussianBlur(ramp, (1, 2 * math.ceil(2 * sigma) + 1), sigma)
    return cv2.resize(ramp / ramp.max(), (1, length), interpolation=cv2.INTER_LINEAR)[:, 0]


def _resized(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    import cv2

    return cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC)
