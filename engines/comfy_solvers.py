"""The web UI's DDIM and PLMS in the shape of k-diffusion's samplers, which ComfyUI's SAMPLER wants.

The originals work at unit variance over timesteps. Divided by the signal's share their latents are
k-diffusion's, and their steps become steps over the noise level; only the end keeps its timestep's scale.
"""

# pyright: basic

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def sample_ddim(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
) -> torch.Tensor:
    """The web UI's DDIM (eta 0): Euler over the noise level; the end keeps the scale of its last timestep."""
    rows = x.new_ones([x.shape[0]])
    for step in range(len(sigmas) - 1):
        predicted = model(x, sigmas[step] * rows, **(extra_args or {}))
        if callback is not None:
            callback({"x": x, "i": step, "denoised": predicted})
        x = x + (x - predicted) / sigmas[step] * (sigmas[step + 1] - sigmas[step])
    return x / (1.0 + sigmas[-1] ** 2) ** 0.5


def sample_plms(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
) -> torch.Tensor:
    """The web UI's PLMS: Adams-Bashforth of order 4 over the noise level; step one makes two calls."""
    rows = x.new_ones([x.shape[0]])
    before: list[torch.Tensor] = []
    for step in range(len(sigmas) - 1):
        predicted = model(x, sigmas[step] * rows, **(extra_args or {}))
        if callback is not None:
            callback({"x": x, "i": step, "denoised": predicted})
        slope, length = (x - predicted) / sigmas[step], sigmas[step + 1] - sigmas[step]
        if not before:
            ahead = x + slope * length
            predicted = model(ahead, sigmas[step + 1] * rows, **(extra_args or {}))
            mean = (slope + (ahead - predicted) / sigmas[step + 1]) / 2
        elif len(before) == 1:
            mean = (3 * slope - before[-1]) / 2
        elif len(before) == 2:
            mean = (23 * slope - 16 * before[-1] + 5 * before[-2]) / 12
        else:
            mean = (55 * slope - 59 * before[-1] + 37 * before[-2] - 9 * before[-3]) / 24
        x = x + mean * length
        before = [*before[-2:], slope]
    return x / (1.0 + sigmas[-1] ** 2) ** 0.5
