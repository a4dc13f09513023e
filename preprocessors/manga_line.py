"""The line network of "Deep Extraction of Manga Structural Lines" (Li, Liu, Wong, SIGGRAPH 2017).

No package has it, so it is defined here from the paper's figure: a residual encoder of five levels and a
decoder with additive skips. Parameter names and the epsilon of the norms fit the published checkpoint
(erika.pth).
"""

from __future__ import annotations

from torch import Tensor, nn


def _normed_conv(
    inner: int, outer: int, size: int = 3, stride: int = 1, *, double: bool = False
) -> nn.Module:
    """Norm, leaky ReLU, convolution, optionally doubled in size; named `model.0` to `model.3`."""
    layers: list[nn.Module] = [
        nn.BatchNorm2d(inner, eps=1e-3),
        nn.LeakyReLU(0.2),
        nn.Conv2d(inner, outer, size, stride=stride, padding=size // 2),
    ]
    if double:
        layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
    return _Named(nn.Sequential(*layers))


class _Named(nn.Module):
    """A module under the name `model`, as the checkpoint has it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class _Shortcut(nn.Module):
    """Adds the input to a branch, through a 1x1 convolution where channels or size change."""

    def __init__(self, inner: int, outer: int, stride: int = 1, *, double: bool = False) -> None:
        super().__init__()
        self.model: nn.Module | None = None
        if inner != outer or stride != 1 or double:
            layers: list[nn.Module] = [nn.Conv2d(inner, outer, 1, stride=stride)]
            if double:
                layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
            self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return (x if self.model is None else self.model(x)) + branch


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int = 1, *, double: bool = False) -> None:
        super().__init__()
        self.conv1 = _normed_conv(inner, outer, stride=stride, double=double)
        self.residual = _normed_conv(outer, outer)
        self.shortcut = _Shortcut(inner, outer, stride, double=double)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x, self.residual(self.conv1(x)))


def _level(inner: int, outer: int, count: int, *, halve: bool) -> nn.Module:
    """`count` blocks; the last one halves the size if asked."""
    blocks = [
        _Block(inner if i == 0 else outer, outer, 2 if halve and i == count - 1 else 1) for i in range(count)
    ]
    return _Named(nn.Sequential(*blocks))


def _up_level(inner: int, outer: int, count: int) -> nn.Module:
    """`count` blocks; the first one doubles the size."""
    blocks = [_Block(inner, outer, double=True), *(_Block(outer, outer) for _ in range(count - 1))]
    return _Named(nn.Sequential(*blocks))


class MangaLine(nn.Module):
    """Gray `(B, 1, H, W)` of 0..255, sides multiples of 16, to dark lines on white, same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.block0 = _level(1, 24, 2, halve=False)
        self.block1 = _level(24, 48, 3, halve=True)
        self.block2 = _level(48, 96, 5, halve=True)
        self.block3 = _level(96, 192, 7, halve=True)
        self.block4 = _level(192, 384, 12, halve=True)
        self.block5 = _up_level(384, 192, 7)
        self.block6 = _up_level(192, 96, 5)
        self.block7 = _up_level(96, 48, 3)
        self.block8 = _up_level(48, 24, 2)
        self.block9 = _level(24, 16, 2, halve=False)
        self.conv15 = _normed_conv(16, 1, size=1)

    def forward(self, x: Tensor) -> Tensor:
        full = self.block0(x)
        half = self.block1(full)
        quarter = self.block2(half)
        eighth = self.block3(quarter)
        x = self.block5(self.block4(eighth)) + eighth
        x = self.block6(x) + quarter
        x = self.block7(x) + half
        x = self.block8(x) + full
        return self.conv15(self.block9(x))
