"""Noise image by image in the shape of ComfyUI's NOISE, without a line of ComfyUI in it."""

# pyright: basic

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..a1111.noise import ImageNoise, Source, image_seeds, image_subseeds
from ..base.errors import Unsupported

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NoiseSource:
    """A NOISE of ComfyUI that draws image by image.

    Attributes:
        seed: of the request's first image.
        first: number of the batch's first image within the request (n_iter batches of batch_size).
        source: "cpu", "gpu" or "nv", see `a1111.noise`.
        ensd: eta noise seed delta, for the noise of ancestral steps.
        subseed, strength: variation.
        resize: (height, width) that a seed resize starts from, or None.
        multiplier: of the start noise.
    """

    seed: int
    first: int = 0
    source: Source = "cpu"
    ensd: int = 0
    subseed: int = 0
    strength: float = 0.0
    resize: tuple[int, int] | None = None
    multiplier: float = 1.0

    def seeds(self, numbers: Sequence[int]) -> list[int]:
        """The seeds of the images with these numbers in the batch."""
        seeds = image_seeds(self.seed, self.first + max(numbers) + 1, self.strength)
        return [seeds[self.first + number] for number in numbers]

    def draws(self, shape: Sequence[int], numbers: Sequence[int]) -> ImageNoise:
        """A fresh series of draws for a batch of latents of this shape (B, C, h, w)."""
        if len(shape) != 4:
            raise Unsupported(
                f"This noise is made for pictures, and the latent has {len(shape)} dimensions.",
                "Use ComfyUI's RandomNoise for video and 3D models.",
            )
        subseeds = image_subseeds(self.subseed + self.first, max(numbers) + 1)
        return ImageNoise(
            self.seeds(numbers),
            tuple(shape[1:]),
            source=self.source,
            ensd=self.ensd,
            subseeds=[subseeds[number] for number in numbers],
            strength=self.strength,
            seed_resize=self.resize,
        )

    def generate_noise(self, input_latent: dict[str, Any]) -> torch.Tensor:
        """ComfyUI's call: the start noise for a latent."""
        samples = input_latent["samples"]
        numbers = list(input_latent.get("batch_index") or range(samples.shape[0]))
        return self.draws(samples.shape, numbers).first() * self.multiplier
