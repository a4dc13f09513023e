"""The U-Net behind `seg_anime_face`: a MobileNetV2 encoder and a decoder with skips, 7 classes.

No package keeps it, so it is defined here after its author's description (siyeong0/Anime-Face-Segmentation)
and the MobileNetV2 paper (Sandler et al., CVPR 2018). Parameter names fit the published checkpoint
(UNet.pth).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

CLASSES = 7  # background, hair, eye, mouth, face, skin, clothes


def _conv(inner: int, outer: int, size: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """Convolution, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, size, stride, padding=size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU6(),
    )


class _Bottleneck(nn.Module):
    """MobileNetV2's inverted residual: widen, filter every channel by itself, narrow."""

    def __init__(self, inner: int, outer: int, stride: int, widen: int = 6) -> None:
        super().__init__()
        wide = inner * widen
        layers = [] if widen == 1 else [_conv(inner, wide, 1)]
        self.conv = nn.Sequential(
            *layers,
            _conv(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, outer, 1, bias=False),
            nn.BatchNorm2d(outer),
        )
        self.adds = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


def _group(inner: int, outer: int, count: int, stride: int) -> list[nn.Module]:
    """`count` bottlenecks of one width; the first one changes width and size."""
    return [
        _Bottleneck(inner if index == 0 else outer, outer, stride if index == 0 else 1)
        for index in range(count)
    ]


def _up(inner: int, outer: int) -> nn.Module:
    """Twice the size, `outer` channels."""
    return nn.Sequential(
        nn.UpsamplingNearest2d(scale_factor=2),
        nn.Conv2d(inner, outer, 3, padding=1),
        nn.InstanceNorm2d(outer),
        nn.LeakyReLU(0.1),
    )


class AnimeFaceNet(nn.Module):
    """RGB `(B, 3, H, W)` of 0..1 to class probabilities `(B, 7, h, w)`; h = H, w = W for even sides."""

    def __init__(self) -> None:
        super().__init__()
        self.en_block0 = nn.Sequential(_conv(3, 32, 3, 2), _Bottleneck(32, 16, 1, widen=1))
        self.en_block1 = nn.Sequential(*_group(16, 24, 2, 2))
        self.en_block2 = nn.Sequential(*_group(24, 32, 3, 2))
        self.en_block3 = nn.Sequential(*_group(32, 64, 4, 2), *_group(64, 96, 3, 1))
        self.en_block4 = nn.Sequential(*_group(96, 160, 3, 2))
        self.de_block4 = _up(160, 96)
        self.de_block3 = _up(2 * 96, 32)
        self.de_block2 = _up(2 * 32, 24)
        self.de_block1 = _up(2 * 24, 16)
        self.de_block0 = nn.Sequential(
            nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(2 * 16, CLASSES, 3, padding=1), nn.Softmax2d()
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.en_block0(x)]
        for block in (self.en_block1, self.en_block2, self.en_block3):
            skips.append(block(skips[-1]))
        x = self.en_block4(skips[-1])
        for block in (self.de_block4, self.de_block3, self.de_block2, self.de_block1):
            x, skip = block(x), skips.pop()
            x = interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=True)
            x = torch.cat((x, skip), dim=1)
        return self.de_block0(x)
