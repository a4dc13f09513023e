"""Start noise and step noise, image by image, as stable-diffusion-webui draws them.

Every image has its own generator, so a picture does not depend on the batch it is made in. The numbers depend
on where they are drawn: "cpu" (torch's CPU generator), "gpu" (torch's CUDA generator, the web UI's default)
or "nv" (the CUDA numbers computed in software, on any machine).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..base.errors import InvalidRequest, Unsupported

if TYPE_CHECKING:
    import torch

Source = Literal["cpu", "gpu", "nv"]
MAX_SEED = 2**32 - 1


def resolve_seed(seed: int | str | float | None) -> int:
    """A seed as a number: -1, None and "" become a random one of 32 bits; strings of digits are read.

    Raises:
        InvalidRequest: neither a whole number nor empty.
    """
    if seed is None or (isinstance(seed, str) and not seed.strip()):
        seed = -1
    number = _whole(seed)
    if number is None:
        raise InvalidRequest.field("seed", seed, "a whole number, or -1 for a random one")
    return random.SystemRandom().randint(0, MAX_SEED) if number == -1 else number


def _whole(seed: object) -> int | None:
    """The whole number in a seed; None when there is none. (Beyond 2**53 a float is not exact any more.)"""
    if isinstance(seed, bool):
        return None
    try:
        number = int(seed)  # type: ignore[call-overload]  # whatever has no int ends in TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isinstance(seed, str) or number == seed else None


def image_seeds(seed: int, count: int, strength: float = 0.0) -> list[int]:
    """Seeds of the images of one request: seed + k; all the same where a variation strength is set."""
    return [seed if strength else seed + k for k in range(count)]


def image_subseeds(subseed: int, count: int) -> list[int]:
    """Subseeds of the images of one request: subseed + k."""
    return [subseed + k for k in range(count)]


class ImageNoise:
    """The noise of a batch: `first()` once, then `next()` for every further draw (ancestral steps).

    Args:
        seeds: one per image.
        shape: of one image's latent, (channels, height / 8, width / 8).
        source: "cpu", "gpu" or "nv".
        ensd: "eta noise seed delta": after the first draw every generator starts again at its seed + ensd.
        subseeds, strength: a second noise mixed in by `strength` (0..1); None or 0: none.
        seed_resize: (height, width) in pixels of the picture whose composition is to be kept; None: none.

    Both methods give a float32 CPU tensor (images, channels, h, w).
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        source: Source = "cpu",
        ensd: int = 0,
        subseeds: Sequence[int] | None = None,
        strength: float = 0.0,
        seed_resize: tuple[int, int] | None = None,
    ) -> None:
        if not seeds:
            raise InvalidRequest("There is no seed to draw noise from.", "Give one seed per image.")
        self._seeds = [int(seed) for seed in seeds]
        self._shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self._source: Source = source
        self._ensd = ensd
        self._subseeds = list(subseeds) if subseeds is not None and strength else None
        self._strength = strength
        self._drawn_shape = self._shape
        if seed_resize is not None and min(seed_resize) > 0:
            self._drawn_shape = (self._shape[0], int(seed_resize[0]) // 8, int(seed_resize[1]) // 8)
        self._generators = [make_generator(source, seed) for seed in self._seeds]
        self._first_done = False

    def first(self) -> torch.Tensor:
        """The start noise."""
        import torch

        noises = [self._first_of(index) for index in range(len(self._seeds))]
        if self._ensd:
            self._generators = [make_generator(self._source, seed + self._ensd) for seed in self._seeds]
        self._first_done = True
        return torch.stack(noises)

    def next(self) -> torch.Tensor:
        """The next noise; the very first call is `first()`."""
        import torch

        if not self._first_done:
            return self.first()
        return torch.stack([generator.randn(self._shape) for generator in self._generators])

    def _first_of(self, index: int) -> torch.Tensor:
        generator = self._generators[index]
        if self._drawn_shape == self._shape:
            noise = generator.randn(self._shape)
        else:
            noise = make_generator(self._source, self._seeds[index]).randn(self._drawn_shape)
        if self._subseeds is not None:
            subseed = self._subseeds[index] if index < len(self._subseeds) else 0
            other = make_generator(self._source, subseed).randn(self._drawn_shape)
            noise = slerp(self._strength, noise, other)
        if self._drawn_shape == self._shape:
            return noise
        return _centred(noise, generator.randn(self._shape))


def slerp(share: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Goes from `low` (share 0) to `high` (share 1) on a sphere; (C, H, W), norms along the height.

    Nearly parallel noises are mixed linearly, with the shares the other way round: the web UI does so.
    """
    import torch

    low_unit = low / torch.norm(low, dim=1, keepdim=True)
    high_unit = high / torch.norm(high, dim=1, keepdim=True)
    dot = (low_unit * high_unit).sum(1)
    if dot.mean() > 0.9995:
        return low * share + high * (1 - share)
    angle = torch.acos(dot)
    sine = torch.sin(angle)
    from_low = (torch.sin((1.0 - share) * angle) / sine).unsqueeze(1)
    from_high = (torch.sin(share * angle) / sine).unsqueeze(1)
    return from_low * low + from_high * high


def _centred(noise: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """`noise` laid over the middle of `ground`, or its middle where it is larger; both (C, H, W)."""
    places: list[tuple[slice, slice]] = []
    for axis in (1, 2):
        gap = (ground.shape[axis] - noise.shape[axis]) // 2
        length = noise.shape[axis] if gap >= 0 else noise.shape[axis] + 2 * gap
        places.append((slice(max(gap, 0), max(gap, 0) + length), slice(max(-gap, 0), max(-gap, 0) + length)))
    (to_y, from_y), (to_x, from_x) = places
    ground[:, to_y, to_x] = noise[:, from_y, from_x]
    return ground


def make_generator(source: Source, seed: int) -> Any:
    """A generator with `randn(shape) -> float32 CPU tensor`.

    Raises:
        InvalidRequest: unknown source. Unsupported: "gpu" without a CUDA device.
    """
    if source == "nv":
        from .philox import PhiloxGenerator

        return PhiloxGenerator(seed)
    if source in ("cpu", "gpu"):
        return _TorchGenerator("cuda" if source == "gpu" else "cpu", seed)
    raise InvalidRequest.field("noise source", source, '"cpu", "gpu" or "nv"')


class _TorchGenerator:
    def __init__(self, device: str, seed: int) -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise Unsupported(
                'Noise from the "gpu" needs a CUDA device, and there is none.',
                'Use "nv": it computes the same numbers in software.',
            )
        self._device = device
        # Torch takes 64 bits; a greater seed is no error in the web UI's field, only here.
        self._generator = torch.Generator(device).manual_seed(seed % 2**64)

    def randn(self, shape: Sequence[int]) -> torch.Tensor:
        import torch

        return torch.randn(tuple(shape), generator=self._generator, device=self._device).cpu()
