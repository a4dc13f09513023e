"""OpenPose's networks for bodies, hands and faces, with the parameter names of the published checkpoints.

Defined here from the papers' tables (Cao, Hidalgo, Simon, Wei, Sheikh, "OpenPose", TPAMI 2019; Simon, Joo,
Matthews, Sheikh, CVPR 2017). The *weights* are CMU's, for non-commercial use: see `weights_table`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

_POOL = "pool"
_STAGES = range(2, 7)
# VGG-19 up to its fourth block; what comes then is the networks' own.
_VGG = (
    ("conv1_1", 64), ("conv1_2", 64), (_POOL, 0),
    ("conv2_1", 128), ("conv2_2", 128), (_POOL, 0),
    ("conv3_1", 256), ("conv3_2", 256), ("conv3_3", 256), ("conv3_4", 256), (_POOL, 0),
)  # fmt: skip
_BODY_TRUNK = (*_VGG, ("conv4_1", 512), ("conv4_2", 512), ("conv4_3_CPM", 256), ("conv4_4_CPM", 128))
_POINT_TRUNK = (
    *_VGG, ("conv4_1", 512), ("conv4_2", 512), ("conv4_3", 512), ("conv4_4", 512),
    ("conv5_1", 512), ("conv5_2", 512), ("conv5_3_CPM", 128),
)  # fmt: skip


class _Chains(nn.Module):
    """Convolutions by the names of the checkpoint, run in chains."""

    def add_chain(self, inner: int, layers: Iterable[tuple[str, int]], sizes: Iterable[int]) -> list[str]:
        """Declare convolutions one after the other; returns their names (and the places of the pools)."""
        names: list[str] = []
        kernel = iter(sizes)
        for name, outer in layers:
            names.append(name)
            if name != _POOL:
                size = next(kernel)
                self.add_module(name, nn.Conv2d(inner, outer, size, padding=size // 2))
                inner = outer
        return names

    def run_chain(self, x: Tensor, names: list[str], *, relu_at_end: bool) -> Tensor:
        """The convolutions, each with a ReLU; the last one only if asked."""
        for name in names:
            if name == _POOL:
                x = max_pool2d(x, 2)
                continue
            x = self.get_submodule(name)(x)
            if relu_at_end or name != names[-1]:
                x = x.relu()
        return x

    def add_stage(self, number: int, inner: int, outer: int, branch: str = "") -> list[str]:
        """A refinement stage: five 7 x 7 convolutions and two 1 x 1."""
        layers = [(f"Mconv{i}_stage{number}{branch}", 128 if i < 7 else outer) for i in range(1, 8)]
        return self.add_chain(inner, layers, (7, 7, 7, 7, 7, 1, 1))


class BodyNetwork(_Chains):
    """Pictures `(B, 3, H, W)`, BGR in -0.5..0.5, to fields `(B, 38, h, w)` and heat maps `(B, 19, h, w)`.

    Both are an eighth as large. The fields point along the 19 limbs; the heat maps are those of the 18 joints
    and of the background.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trunk = self.add_chain(3, _BODY_TRUNK, [3] * 12)
        self._stages = [self._first_stage()]
        for number in _STAGES:
            inner = 128 + 38 + 19
            self._stages.append(
                (self.add_stage(number, inner, 38, "_L1"), self.add_stage(number, inner, 19, "_L2"))
            )

    def _first_stage(self) -> tuple[list[str], list[str]]:
        def branch(number: int, outer: int) -> list[str]:
            widths = (128, 128, 128, 512, outer)
            layers = [(f"conv5_{i}_CPM_L{number}", width) for i, width in enumerate(widths, 1)]
            return self.add_chain(128, layers, (3, 3, 3, 1, 1))

        return branch(1, 38), branch(2, 19)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        trunk = seen = self.run_chain(pixels, self._trunk, relu_at_end=True)
        for fields_branch, heat_branch in self._stages[:-1]:
            fields = self.run_chain(seen, fields_branch, relu_at_end=False)
            heat = self.run_chain(seen, heat_branch, relu_at_end=False)
            seen = torch.cat([fields, heat, trunk], dim=1)
        fields_branch, heat_branch = self._stages[-1]
        fields = self.run_chain(seen, fields_branch, relu_at_end=False)
        # The ReLU at the very end is no part of the paper, but of the code the original uses.
        return fields, self.run_chain(seen, heat_branch, relu_at_end=True)


class PointNetwork(_Chains):
    """Square crops `(B, 3, S, S)`, BGR in -0.5..0.5, to heat maps `(B, points, S/8, S/8)`.

    Hands: 21 points and the background; faces: 70 points and the background.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self._trunk = self.add_chain(3, _POINT_TRUNK, [3] * 15)
        first = (("conv6_1_CPM", 512), ("conv6_2_CPM", points))
        self._stages = [self.add_chain(128, first, (1, 1))]
        self._stages += [self.add_stage(number, 128 + points, points) for number in _STAGES]

    def forward(self, pixels: Tensor) -> Tensor:
        trunk = seen = self.run_chain(pixels, self._trunk, relu_at_end=True)
        for branch in self._stages[:-1]:
            seen = torch.cat([self.run_chain(seen, branch, relu_at_end=False), trunk], dim=1)
        return self.run_chain(seen, self._stages[-1], relu_at_end=False)
