"""DSINE, a network for surface normals.

"Rethinking Inductive Biases for Surface Normal Estimation" (Bae, Davison, CVPR 2024).

Defined here from the paper, in this pack's own formulation; only the encoder (EfficientNet-B5) comes from a
library. Parameter names fit the published checkpoint (dsine.pt). Normals are unit vectors `(B, 3, H, W)`.
"""

from __future__ import annotations

import contextlib
import io
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, normalize, pad, unfold

from .aux_library import aux_class

_PATCH = 5  # a pixel looks at its 5 x 5 neighbours
_NEIGHBOURS = _PATCH * _PATCH
_COARSE = 8  # refinement works at an eighth of the size
_HIDDEN, _FEATURES, _WIDE = 64, 64, 2048
_LEAST_COSINE = 0.01  # visible surfaces face the camera by at least that much
_EIGHTH, _SIXTEENTH, _LAST = 6, 8, 11  # places of the encoder's outputs that are used


class Dsine(nn.Module):
    """Pictures `(B, 3, H, W)`, normalised by ImageNet, sides multiples of 32, to normals of that size."""

    def __init__(self) -> None:
        super().__init__()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
            self.encoder = aux_class("normalbae.nets.submodules.encoder", "Encoder")()
        self.decoder = _Decoder()
        self.gru = _Gru()
        self.prob_head = _head(_HIDDEN + 2, 64, _NEIGHBOURS)
        self.xy_head = _head(_HIDDEN + 2, 64, 2 * _NEIGHBOURS)
        self.angle_head = _head(_HIDDEN + 2, 64, _NEIGHBOURS)
        self.up_prob_head = _head(_HIDDEN + 2, 64, 9 * _COARSE * _COARSE)

    def forward(self, pixels: Tensor, camera: Tensor, iterations: int) -> Tensor:
        """The normals after `iterations` rounds of refinement.

        Args:
            pixels: the pictures.
            camera: focal lengths and centre `(fu, fv, cu, cv)` in pixels of the pictures' size, the centre of
                the first pixel being 0.5.
            iterations: at least 0.
        """
        height, width = int(pixels.shape[2]), int(pixels.shape[3])
        rays = {k: _Rays(camera, height // k, width // k, height, width) for k in (8, 16, 32)}
        found = self.encoder(pixels)
        normals, features, hidden = self.decoder(
            (found[_EIGHTH], found[_SIXTEENTH], found[_LAST]), {k: rays[k].slopes for k in rays}
        )
        coarse = rays[8]
        normals = _facing(normals, coarse.directions)
        features = _with(features, coarse.slopes)
        for _ in range(iterations):
            hidden = self.gru(hidden, features)
            normals = self._refined(normals, _with(hidden, coarse.slopes), coarse)
        return _enlarged(normals, self.up_prob_head(_with(hidden, coarse.slopes)))

    def _refined(self, normals: Tensor, state: Tensor, rays: _Rays) -> Tensor:
        """Each pixel's normal out of its neighbours', each turned about an axis in its own tangent plane."""
        steps = normalize(_per_neighbour(self.xy_head(state), 2), dim=1)
        angles = torch.sigmoid(_per_neighbour(self.angle_head(state), 1)) * math.pi
        weights = torch.sigmoid(_per_neighbour(self.prob_head(state), 1))
        around = _neighbourhood(normals)
        axes = _tangents(around, steps, rays)
        turned = normalize(_turned(around, axes, angles), dim=1)
        turned = _facing(turned, rays.directions[:, :, None])
        return normalize((weights * turned).sum(dim=2), dim=1)


class _Rays:
    """What the camera sees at each pixel of a map of `height` x `width`.

    Attributes:
        focal: focal lengths at the map's size, `(2, 1, 1, 1)`.
        slopes: x/z and y/z of the rays, `(1, 2, h, w)`.
        directions: unit vectors, `(1, 3, h, w)`.
    """

    def __init__(self, camera: Tensor, height: int, width: int, full_height: int, full_width: int) -> None:
        scale = torch.tensor([width / full_width, height / full_height], device=camera.device)
        focal, centre = camera[:2] * scale, camera[2:] * scale
        y, x = torch.meshgrid(
            torch.arange(height, device=camera.device) + 0.5,
            torch.arange(width, device=camera.device) + 0.5,
            indexing="ij",
        )
        places = torch.stack([x, y])
        self.focal = focal[:, None, None, None]
        self.slopes = ((places - centre[:, None, None]) / focal[:, None, None])[None]
        self.directions = normalize(_with_ones(self.slopes), dim=1)
        self.around = (_neighbourhood(places[None]) - centre[None, :, None, None, None]) / self.focal[None]


def _tangents(normals: Tensor, steps: Tensor, rays: _Rays) -> Tensor:
    """Unit vectors in the tangent planes whose pictures run along `steps`; all `(B, 2 or 3, N, h, w)`.

    A step of one pixel moves a point of depth 1 by `step + rise * (ray after the step)`; the rise is what
    keeps it in the plane. No such vector (a plane seen edge-on): zeros.
    """
    flat = steps / rays.focal[None]
    after = _with_ones(rays.around + flat)
    flat = torch.cat([flat, torch.zeros_like(flat[:, :1])], dim=1)
    against = (after * normals).sum(dim=1, keepdim=True)
    against = torch.where(against.abs() < 1e-8, 1e-8 * against.sign(), against)
    rise = -(flat * normals).sum(dim=1, keepdim=True) / against
    axes = normalize(flat + rise * after, dim=1)
    return torch.where(axes.isfinite().all(dim=1, keepdim=True), axes, torch.zeros_like(axes))


def _turned(vectors: Tensor, axes: Tensor, angles: Tensor) -> Tensor:
    """Rodrigues' rotation; an axis of zeros turns nothing."""
    angles = angles * (axes != 0).any(dim=1, keepdim=True)
    cosine = angles.cos()
    along = (axes * vectors).sum(dim=1, keepdim=True)
    across = torch.linalg.cross(axes, vectors, dim=1)
    return vectors * cosine + across * angles.sin() + axes * along * (1 - cosine)


def _facing(normals: Tensor, directions: Tensor) -> Tensor:
    """Bend normals that look away from the camera back to the least cosine with their ray."""
    cosine = torch.cosine_similarity(normals, directions, dim=1).unsqueeze(1)
    missing = (cosine - _LEAST_COSINE).relu() + _LEAST_COSINE - cosine
    return normalize(normals + directions * missing, dim=1)


def _enlarged(normals: Tensor, mixture: Tensor) -> Tensor:
    """Eight times the size: every fine pixel is a learned convex mixture of 3 x 3 coarse ones."""
    batch, _, height, width = normals.shape
    weights = mixture.view(batch, 1, 9, _COARSE, _COARSE, height, width).softmax(dim=2)
    around = unfold(pad(normals, (1, 1, 1, 1), mode="replicate"), 3).view(batch, 3, 9, 1, 1, height, width)
    fine = (weights * around).sum(dim=2).permute(0, 1, 4, 2, 5, 3)
    return normalize(fine.reshape(batch, 3, _COARSE * height, _COARSE * width), dim=1)


def _neighbourhood(values: Tensor) -> Tensor:
    """`(B, C, h, w)` to `(B, C, N, h, w)`; beyond the edge the edge is repeated."""
    batch, channels, height, width = values.shape
    bordered = pad(values, (_PATCH // 2,) * 4, mode="replicate")
    return unfold(bordered, _PATCH).view(batch, channels, _NEIGHBOURS, height, width)


def _per_neighbour(values: Tensor, channels: int) -> Tensor:
    batch, _, height, width = values.shape
    return values.view(batch, channels, _NEIGHBOURS, height, width)


def _with(values: Tensor, slopes: Tensor) -> Tensor:
    """Append the rays' slopes as two channels."""
    return torch.cat([values, slopes.expand(values.shape[0], -1, -1, -1)], dim=1)


def _with_ones(slopes: Tensor) -> Tensor:
    return torch.cat([slopes, torch.ones_like(slopes[:, :1])], dim=1)


def _head(inner: int, between: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, between, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(between, between, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(between, outer, 1),
    )


class _Gru(nn.Module):
    """A recurrent cell of convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.convz, self.convr, self.convq = (
            nn.Conv2d(_HIDDEN + _FEATURES + 2, _HIDDEN, _PATCH, padding=_PATCH // 2) for _ in range(3)
        )

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        both = torch.cat([hidden, seen], dim=1)
        keep, reset = torch.sigmoid(self.convz(both)), torch.sigmoid(self.convr(both))
        fresh = torch.tanh(self.convq(torch.cat([reset * hidden, seen], dim=1)))
        return (1 - keep) * hidden + keep * fresh


class _Decoder(nn.Module):
    """The encoder's outputs at 1/8, 1/16 and 1/32 to first normals, features and the hidden state at 1/8."""

    def __init__(self) -> None:
        super().__init__()
        narrow = _WIDE // 4
        self.conv2 = nn.Conv2d(2048 + 2, _WIDE, 1)
        self.up1 = _Up(_WIDE + 176 + 2, _WIDE // 2)
        self.up2 = _Up(_WIDE // 2 + 64 + 2, narrow)
        self.normal_head = _head(narrow + 2, 128, 3)
        self.feature_head = _head(narrow + 2, 128, _FEATURES)
        self.hidden_head = _head(narrow + 2, 128, _HIDDEN)

    def forward(
        self, found: tuple[Tensor, Tensor, Tensor], slopes: dict[int, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        eighth, sixteenth, last = found
        deep = self.up1(self.conv2(_with(last, slopes[32])), _with(sixteenth, slopes[16]))
        fine = _with(self.up2(deep, _with(eighth, slopes[8])), slopes[8])
        return normalize(self.normal_head(fine), dim=1), self.feature_head(fine), self.hidden_head(fine)


class _StandardConv(nn.Conv2d):
    """A convolution whose filters have mean 0 and deviation 1 each."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        weight = weight / (weight.flatten(1).std(dim=1)[:, None, None, None] + 1e-5)
        return conv2d(input, weight, self.bias, padding=self.padding)


class _Up(nn.Module):
    """Enlarge to the size of the skip, join it, two convolutions with standardised weights."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self._net = nn.Sequential(
            _StandardConv(inner, outer, 3, padding=1),
            nn.GroupNorm(8, outer),
            nn.LeakyReLU(),
            _StandardConv(outer, outer, 3, padding=1),
            nn.GroupNorm(8, outer),
            nn.LeakyReLU(),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        larger = interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
        return self._net(torch.cat([larger, skip], dim=1))
