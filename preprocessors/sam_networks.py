"""MobileSAM: a TinyViT image encoder before SAM's prompt encoder and mask decoder.

The last two are controlnet-aux's. Its TinyViT needs timm and writes into timm's registry, so the encoder is
defined here from the papers ("TinyViT", Wu et al., ECCV 2022; "Faster Segment Anything", Zhang et al., 2023)
and the authors' code (microsoft/Cream, MIT; ChaoningZhang/MobileSAM, Apache-2.0). Parameter names fit the
published checkpoint (mobile_sam.pt); its classifier, a leftover of training, is not built.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

from .aux_library import aux_class

SIDE = 1024  # the encoder takes squares of this side
_EMBEDDING = 256  # channels of what the encoder gives
_GRID = SIDE // 16


class _NormedConv(nn.Sequential):
    """Convolution without bias and batch norm, named `c` and `bn`."""

    def __init__(self, inner: int, outer: int, size: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outer))


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            _NormedConv(3, width // 2, 3, 2), nn.GELU(), _NormedConv(width // 2, width, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


class _ConvBlock(nn.Module):
    """Widen, filter every channel by itself, narrow, add."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _NormedConv(width, 4 * width)
        self.conv2 = _NormedConv(4 * width, 4 * width, 3, groups=4 * width)
        self.conv3 = _NormedConv(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x + self.conv3(gelu(self.conv2(gelu(self.conv1(x))))))


class _Merging(nn.Module):
    """To the next stage's width; half the size unless `stride` is 1."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _NormedConv(inner, outer)
        self.conv2 = _NormedConv(outer, outer, 3, stride, groups=outer)
        self.conv3 = _NormedConv(outer, outer)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(gelu(self.conv2(gelu(self.conv1(x)))))


class _Attention(nn.Module):
    """Attention inside a square window, with a learned bias for every distance `(|dy|, |dx|)`."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        place = torch.arange(window * window)
        rows, columns = place // window, place % window
        distance = (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()
        self.register_buffer("_distance", distance, persistent=False)
        self._distance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        # Every head has its own query, key and value side by side, unlike most transformers.
        mixed = self.qkv(self.norm(x)).view(count, length, self.heads, 3, width // self.heads)
        query, key, value = mixed.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self._distance].to(query.dtype)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(mixed.transpose(1, 2).reshape(count, length, width))


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(self.norm(x))))


class _AttentionBlock(nn.Module):
    """Attention in windows, a depthwise convolution across their borders, two layers per place."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = _Attention(width, heads, window)
        self.local_conv = _NormedConv(width, width, 3, groups=width)
        self.mlp = _Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.local_conv(x + self._in_windows(x))
        tokens = x.flatten(2).transpose(1, 2)
        return (tokens + self.mlp(tokens)).transpose(1, 2).reshape(x.shape)

    def _in_windows(self, x: Tensor) -> Tensor:
        """Attention in every window; windows over the right and lower edge are filled with zeros."""
        count, width, rows, columns = x.shape
        side = self.window
        x = pad(x, (0, -columns % side, 0, -rows % side))
        down, across = x.shape[2] // side, x.shape[3] // side
        windows = x.view(count, width, down, side, across, side).permute(0, 2, 4, 3, 5, 1)
        mixed = self.attn(windows.reshape(-1, side * side, width))
        mixed = mixed.view(count, down, across, side, side, width).permute(0, 5, 1, 3, 2, 4)
        return mixed.reshape(x.shape)[:, :, :rows, :columns]


class _Stage(nn.Module):
    """Blocks, then the way to the next stage where there is one."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyViT(nn.Module):
    """TinyViT-5M as MobileSAM has it: `(B, 3, 1024, 1024)` to `(B, 256, 64, 64)`."""

    def __init__(self) -> None:
        super().__init__()
        norm = aux_class("segment_anything.modeling.common", "LayerNorm2d")
        self.patch_embed = _Patches(64)
        self.layers = nn.ModuleList(
            [
                _Stage([_ConvBlock(64) for _ in range(2)], _Merging(64, 128, 2)),
                _Stage([_AttentionBlock(128, 4, 7) for _ in range(2)], _Merging(128, 160, 2)),
                _Stage([_AttentionBlock(160, 5, 14) for _ in range(6)], _Merging(160, 320, 1)),
                _Stage([_AttentionBlock(320, 10, 7) for _ in range(2)], None),
            ]
        )
        self.neck = nn.Sequential(
            nn.Conv2d(320, _EMBEDDING, 1, bias=False),
            norm(_EMBEDDING),
            nn.Conv2d(_EMBEDDING, _EMBEDDING, 3, padding=1, bias=False),
            norm(_EMBEDDING),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.neck(x)


class MobileSam(nn.Module):
    """The three parts under the checkpoint's names."""

    def __init__(self) -> None:
        super().__init__()
        parts = "segment_anything.modeling"
        self.image_encoder = TinyViT()
        self.prompt_encoder = aux_class(f"{parts}.prompt_encoder", "PromptEncoder")(
            embed_dim=_EMBEDDING,
            image_embedding_size=(_GRID, _GRID),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=16,
        )
        self.mask_decoder = aux_class(f"{parts}.mask_decoder", "MaskDecoder")(
            num_multimask_outputs=3,
            transformer=aux_class(f"{parts}.transformer", "TwoWayTransformer")(
                depth=2, embedding_dim=_EMBEDDING, mlp_dim=2048, num_heads=8
            ),
            transformer_dim=_EMBEDDING,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )

    def point_masks(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """The masks of single points on one picture.

        Args:
            embedding: `(1, 256, 64, 64)` of the picture.
            points: `(N, 2)`, x and y in pixels of the 1024 square.

        Returns:
            Mask logits `(3 N, 256, 256)` of the square and their predicted qualities `(3 N,)`.
        """
        labels = torch.ones(points.shape[0], 1, dtype=torch.int, device=points.device)
        sparse, dense = self.prompt_encoder(points=(points[:, None], labels), boxes=None, masks=None)
        masks, qualities = self.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return masks.flatten(0, 1), qualities.flatten(0, 1)
