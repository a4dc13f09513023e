"""UniFormer-S with a UPerNet head, the segmentation network behind `seg_ufade20k`.

No package keeps it, so it is defined here from the papers ("UniFormer", Li et al., ICLR 2022; "Unified
Perceptual Parsing", Xiao et al., ECCV 2018) and the authors' code (Sense-X/UniFormer, Apache-2.0). Parameter
names and the epsilons of the norms fit the published checkpoint (upernet_global_small.pth); its auxiliary
head is for training and not built.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

_WIDTHS = (64, 128, 320, 512)  # channels of the four stages
_BLOCKS = (3, 4, 8, 3)  # blocks of the four stages: two of convolutions, two of attention
_HEAD = 64  # channels of one attention head
_CLASSES = 150
_INNER = 512  # channels inside the UPerNet head
_POOLS = (1, 2, 3, 6)


class _Mlp(nn.Module):
    """Two layers, the inner one four times as wide; `layer` makes a linear layer or a 1x1 convolution."""

    def __init__(self, width: int, layer: Any) -> None:
        super().__init__()
        self.fc1 = layer(width, 4 * width)
        self.fc2 = layer(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


def _pointwise(inner: int, outer: int) -> nn.Module:
    return nn.Conv2d(inner, outer, 1)


class _ConvBlock(nn.Module):
    """Local mixing by a 5x5 depthwise convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 1)
        self.attn = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.conv2 = nn.Conv2d(width, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = _Mlp(width, _pointwise)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        return x + self.mlp(self.norm2(x))


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // _HEAD
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        query, key, value = self.qkv(x).view(count, length, 3, self.heads, _HEAD).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(count, length, width))


class _AttentionBlock(nn.Module):
    """Global mixing: every place looks at every other one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _Mlp(width, nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)


def _over_channels(norm: nn.Module, x: Tensor) -> Tensor:
    """A layer norm over the channels of `(B, C, H, W)`."""
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


class _Patches(nn.Module):
    """Patches of `size` x `size` to one place each."""

    def __init__(self, inner: int, outer: int, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(outer)
        self.proj = nn.Conv2d(inner, outer, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        return _over_channels(self.norm, self.proj(x))


class _Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        inner = 3
        for stage, (width, count) in enumerate(zip(_WIDTHS, _BLOCKS, strict=True), 1):
            block = _ConvBlock if stage <= 2 else _AttentionBlock
            setattr(self, f"patch_embed{stage}", _Patches(inner, width, 4 if stage == 1 else 2))
            setattr(self, f"blocks{stage}", nn.ModuleList(block(width) for _ in range(count)))
            setattr(self, f"norm{stage}", nn.LayerNorm(width, eps=1e-6))
            inner = width

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for stage in range(1, len(_WIDTHS) + 1):
            x = getattr(self, f"patch_embed{stage}")(x)
            for block in getattr(self, f"blocks{stage}"):
                x = block(x)
            levels.append(_over_channels(getattr(self, f"norm{stage}"), x))
        return levels


class _NormedConv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inner: int, outer: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.bn(self.conv(x)))


def _like(x: Tensor, other: Tensor) -> Tensor:
    return interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)


class _Head(nn.Module):
    """UPerNet: pyramid pooling of the last level, added down the levels, all levels joined."""

    def __init__(self) -> None:
        super().__init__()
        last = _WIDTHS[-1]
        self.conv_seg = nn.Conv2d(_INNER, _CLASSES, 1)
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), _NormedConv(last, _INNER, 1)) for side in _POOLS
        )
        self.bottleneck = _NormedConv(last + len(_POOLS) * _INNER, _INNER, 3)
        self.lateral_convs = nn.ModuleList(_NormedConv(width, _INNER, 1) for width in _WIDTHS[:-1])
        self.fpn_convs = nn.ModuleList(_NormedConv(_INNER, _INNER, 3) for _ in _WIDTHS[:-1])
        self.fpn_bottleneck = _NormedConv(len(_WIDTHS) * _INNER, _INNER, 3)

    def forward(self, levels: list[Tensor]) -> Tensor:
        last = levels[-1]
        pooled = [_like(module(last), last) for module in self.psp_modules]
        above = self.bottleneck(torch.cat([last, *pooled], dim=1))
        joined = [above]
        for index in reversed(range(len(self.lateral_convs))):
            lateral = self.lateral_convs[index](levels[index])
            above = lateral + _like(above, lateral)
            joined.insert(0, self.fpn_convs[index](above))
        same = [joined[0], *(_like(level, joined[0]) for level in joined[1:])]
        return self.conv_seg(self.fpn_bottleneck(torch.cat(same, dim=1)))


class UniFormerSegmenter(nn.Module):
    """`(B, 3, H, W)`, normalised with ImageNet's mean and deviation, to class scores `(B, 150, H/4, W/4)`."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone()
        self.decode_head = _Head()

    def forward(self, x: Tensor) -> Tensor:
        return self.decode_head(self.backbone(x))
