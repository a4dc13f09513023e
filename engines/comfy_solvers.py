"""Samplers of the web UI that ComfyUI has not, in the shape of k-diffusion's, which its SAMPLER wants.

DDIM, PLMS and UniPC work at unit variance over timesteps there. Divided by the signal's share their latents
are k-diffusion's, and their steps become steps over the noise level; only the end keeps its timestep's scale.
"""

# pyright: basic

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

_UNIPC_ORDER = 3
# Restart, as the web UI sets it up: back from the level nearest to _LOW to the one nearest to _HIGH.
_LOW, _HIGH = 0.1, 2.0
_RHO = 7.0


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


def sample_unipc(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
) -> torch.Tensor:
    """UniPC of order 3 with B(h) = h ("bh1"), predicting the picture (arXiv 2302.04867).

    The first steps have lower orders, and so has the last, which makes no correction. Every point but the
    last is one model call: the one that corrects a step is the one the next step starts from.
    """
    rows = x.new_ones([x.shape[0]])
    levels = -sigmas.double().log()

    def predict(at: torch.Tensor, place: int) -> torch.Tensor:
        return model(at, sigmas[place] * rows, **(extra_args or {}))

    steps = len(sigmas) - 1
    known = [(0, predict(x, 0))]
    for step in range(1, steps + 1):
        order = min(step, _UNIPC_ORDER, steps + 1 - step)
        h = levels[step] - levels[step - 1]
        last = known[-1][1]
        base = x * (sigmas[step] / sigmas[step - 1]) - last * float((-h).expm1())
        ratios = [float((levels[place] - levels[step - 1]) / h) for place, _ in known[-order:-1][::-1]]
        slopes = [
            (old - last) / ratio for ratio, (_, old) in zip(ratios, known[-order:-1][::-1], strict=True)
        ]
        weights = _unipc_weights(float(h), ratios, len(ratios))
        x = base + float(h) * _weighted(slopes, weights)
        if step < steps:
            fresh = predict(x, step)
            weights = _unipc_weights(float(h), [*ratios, 1.0], len(ratios) + 1)
            x = base + float(h) * _weighted([*slopes, fresh - last], weights)
            known = [*known[-2:], (step, fresh)]
        if callback is not None:
            callback({"x": x, "i": step - 1, "denoised": known[-1][1]})
    return x / (1.0 + sigmas[-1] ** 2) ** 0.5


def _unipc_weights(h: float, ratios: list[float], count: int) -> list[float]:
    """Of the differences of predictions that lie `ratios` steps away. One of them: half, by definition."""
    import numpy as np

    if count < 2:
        return [0.5] * count
    wanted: list[float] = []
    phi, factorial = np.expm1(-h) / -h - 1.0, 1.0
    for number in range(1, count + 1):
        wanted.append(phi * factorial / -h)
        factorial *= number + 1
        phi = phi / -h - 1.0 / factorial
    powers = np.stack([np.power(ratios, number) for number in range(count)])
    return [float(each) for each in np.linalg.solve(powers, np.asarray(wanted))]


def _weighted(tensors: list[torch.Tensor], weights: list[float]) -> Any:
    return sum(weight * tensor for weight, tensor in zip(weights, tensors, strict=True))


def sample_restart(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
    *,
    noise_sampler: Callable[[Any, Any], torch.Tensor],
) -> torch.Tensor:
    """Restart sampling (arXiv 2306.14878) with the web UI's settings: Heun steps, some of them twice.

    Below 20 steps it is Heun. From 20 on nine steps, from 36 on twice a quarter of them, go into going back
    to noise of level 2 and down again.

    Args:
        noise_sampler: noise for going back.
    """
    rows = x.new_ones([x.shape[0]])
    before: torch.Tensor | None = None
    for number, (start, end) in enumerate(restart_steps(sigmas)):
        if before is not None and start > before:
            x = x + noise_sampler(before, start) * (start**2 - before**2) ** 0.5
        predicted = model(x, start * rows, **(extra_args or {}))
        if callback is not None:
            callback({"x": x, "i": number, "denoised": predicted})
        slope = (x - predicted) / start
        if end > 0:
            ahead = x + slope * (end - start)
            slope = (slope + (ahead - model(ahead, end * rows, **(extra_args or {}))) / end) / 2
        x, before = x + slope * (end - start), end
    return x


def restart_steps(sigmas: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(from, to) of every step of a run with these sigmas (falling, 0 last), the repeated ones included."""
    steps = len(sigmas) - 1
    if steps < 20:
        return list(pairwise(sigmas))
    length, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    grid = _karras(steps - length * times, sigmas[-2], sigmas[0])
    grid = sigmas.new_tensor([*grid, 0.0])
    low, high = (int((grid - level).abs().argmin()) for level in (_LOW, _HIGH))
    again = sigmas.new_tensor(_karras(length + 1, grid[low], grid[high]))
    made = list(pairwise(grid[: low + 1]))
    if high < low:
        made += list(pairwise(again)) * times
    return [*made, *pairwise(grid[low:])]


def _karras(count: int, low: torch.Tensor, high: torch.Tensor) -> list[float]:
    ends = float(high) ** (1 / _RHO), float(low) ** (1 / _RHO)
    steps = max(count - 1, 1)
    return [(ends[0] + number / steps * (ends[1] - ends[0])) ** _RHO for number in range(count)]
