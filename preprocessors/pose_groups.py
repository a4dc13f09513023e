"""OpenPose's bodies out of heat maps and fields: peaks, limbs between them, people.

After "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (Cao, Simon, Wei, Sheikh, CVPR
2017), with the constants and the order of decisions of sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

JOINTS = 18
_BLUR = 3.0
_LEAST_PEAK = 0.1
_LEAST_ALONG = 0.05  # a field must follow a limb at least that well ...
_SAMPLES, _ENOUGH = 10, 0.8  # ... in more than this share of samples
_LEAST_PARTS, _LEAST_MEAN = 4, 0.4
_BONES = 17  # limbs that may begin a person; the last two (shoulder to ear) only join
# Joints at the ends of each limb, and the two channels of its field.
_LIMBS = (
    (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0), (8, 9, 2), (9, 10, 4),
    (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30), (14, 16, 34), (0, 15, 32), (15, 17, 36),
    (2, 16, 18), (5, 17, 26),
)  # fmt: skip

Places = tuple["tuple[float, float] | None", ...]  # x, y in pixels of each joint


@dataclass
class _Person:
    joints: list[int]  # numbers of peaks, -1 where there is none
    score: float
    parts: int


def people(heat: Array, fields: Array) -> list[Places]:
    """The joints of everybody, in pixels.

    Args:
        heat: float64 `(H, W, at least 18)`.
        fields: float64 `(H, W, 38)`.
    """
    peaks, first = _peaks(heat)
    found: list[_Person] = []
    for number, (start, end, channel) in enumerate(_LIMBS):
        a = range(first[start], first[start + 1])
        b = range(first[end], first[end + 1])
        for one, other, score in _limbs(peaks, a, b, fields[:, :, channel : channel + 2]):
            _join(found, peaks, (start, one), (end, other), score, may_begin=number < _BONES)
    return [
        tuple(None if i < 0 else (float(peaks[i, 0]), float(peaks[i, 1])) for i in each.joints)
        for each in found
        if each.parts >= _LEAST_PARTS and each.score / each.parts >= _LEAST_MEAN
    ]


def blurred(maps: Array) -> Array:
    """Every channel of `(H, W, C)` blurred by a Gaussian of sigma 3, cut at four sigma, edges mirrored."""
    import cv2

    side = 2 * int(4 * _BLUR + 0.5) + 1
    sized = [
        cv2.GaussianBlur(
            np.ascontiguousarray(maps[:, :, channel]), (side, side), _BLUR, borderType=cv2.BORDER_REFLECT
        )
        for channel in range(maps.shape[2])
    ]
    return np.stack(sized, axis=2)


def _peaks(heat: Array) -> tuple[Array, list[int]]:
    """All peaks `(n, 3)` = x, y, score, joint after joint; and where each joint's peaks begin."""
    smooth = blurred(heat[:, :, :JOINTS])
    edged = np.pad(smooth, ((1, 1), (1, 1), (0, 0)))
    is_peak = smooth > _LEAST_PEAK
    before, same, after = slice(0, -2), slice(1, -1), slice(2, None)
    for rows, columns in ((before, same), (after, same), (same, before), (same, after)):
        is_peak &= smooth >= edged[rows, columns]
    joints, y, x = np.nonzero(is_peak.transpose(2, 0, 1))
    first = np.searchsorted(joints, np.arange(JOINTS + 1))
    return np.stack([x, y, heat[y, x, joints]], axis=1), [int(index) for index in first]


def _limbs(peaks: Array, a: range, b: range, field: Array) -> list[tuple[int, int, float]]:
    """The best pairs of peaks that the field connects, each peak in one pair at most: numbers and score."""
    if not a or not b:
        return []
    start, end = peaks[a.start : a.stop, None, :2], peaks[None, b.start : b.stop, :2]
    way = end - start
    length = np.maximum(0.001, np.sqrt((way**2).sum(axis=2)))
    direction = way / length[:, :, None]
    share = np.linspace(0.0, 1.0, _SAMPLES)[:, None, None, None]
    x, y = np.moveaxis(np.rint(start + way * share).astype(int), 3, 0)
    along = (field[y, x] * direction).sum(axis=3)
    # Limbs longer than half the picture is high are less likely.
    score = along.mean(axis=0) + np.minimum(0.5 * field.shape[0] / length - 1, 0)
    fits = ((along > _LEAST_ALONG).sum(axis=0) > _ENOUGH * _SAMPLES) & (score > 0)
    rows, columns = np.nonzero(fits)
    order = np.argsort(-score[rows, columns], kind="stable")
    kept: list[tuple[int, int, float]] = []
    taken: set[int] = set()
    for i, j in zip(rows[order] + a.start, columns[order] + b.start, strict=True):
        if i not in taken and j not in taken:
            taken |= {int(i), int(j)}
            kept.append((int(i), int(j), float(score[i - a.start, j - b.start])))
    return kept


def _join(
    found: list[_Person],
    peaks: Array,
    start: tuple[int, int],
    end: tuple[int, int],
    limb: float,
    *,
    may_begin: bool,
) -> None:
    """Add a limb (joint and peak of both ends) to its person; two people it joins become one."""
    (a, one), (b, other) = start, end
    owners = [each for each in found if each.joints[a] == one or each.joints[b] == other]
    if not owners:
        if may_begin:
            joints = [-1] * JOINTS
            joints[a], joints[b] = one, other
            found.append(_Person(joints, float(peaks[one, 2] + peaks[other, 2]) + limb, 2))
        return
    first = owners[0]
    if len(owners) > 1:
        second = owners[1]
        if not any(p >= 0 and q >= 0 for p, q in zip(first.joints, second.joints, strict=True)):
            first.joints = [max(p, q) for p, q in zip(first.joints, second.joints, strict=True)]
            first.score += second.score + limb
            first.parts += second.parts
            found[:] = [each for each in found if each is not second]
            return
    elif first.joints[b] == other:
        return
    first.joints[b] = other
    first.parts += 1
    first.score += float(peaks[other, 2]) + limb
