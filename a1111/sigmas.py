"""Noise levels (sigmas) of every step, as stable-diffusion-webui 1.7/1.8 and k-diffusion compute them.

In float64 but for the model's own sigmas; the originals' float32 differs in the seventh digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InvalidRequest, Unsupported
from .samplers import SamplerSpec, find_sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TRAIN_STEPS = 1000
_RHO = 7.0
# LCM was distilled on every 20th timestep.
_LCM_GRID = 50


def alphas_cumprod(beta_start: float = 0.00085, beta_end: float = 0.012, count: int = TRAIN_STEPS) -> Floats:
    """The share of the signal's variance that is left after each of the training timesteps.

    The defaults are SD's and SDXL's own ("scaled linear": the square roots of the betas are evenly spaced).
    """
    betas = np.linspace(beta_start**0.5, beta_end**0.5, count, dtype=np.float64) ** 2
    return np.cumprod(1.0 - betas).astype(np.float64)


def model_sigmas(alphas: Any = None) -> Floats:
    """sqrt((1 - a) / a) of every training timestep, growing. `alphas`: array of 1000, default SD's own.

    In single precision like the original, whose smallest sigma, 1e-5 off the exact one, goes into every
    karras and exponential schedule.
    """
    values = (alphas_cumprod() if alphas is None else np.asarray(alphas)).astype(np.float32)
    return np.sqrt((np.float32(1) - values) / values).astype(np.float64)


def timestep_to_sigma(timestep: Any, sigmas: Floats) -> Floats:
    """Sigma of a timestep that may lie between two of the model's: their logarithms are interpolated."""
    places = np.arange(len(sigmas), dtype=np.float64)
    return np.exp(np.interp(np.asarray(timestep, dtype=np.float64), places, np.log(sigmas)))


def sigma_to_timestep(sigma: Any, sigmas: Floats) -> Floats:
    """The inverse of timestep_to_sigma: what the model is told at a sigma. Ends are clamped."""
    level = np.log(np.maximum(np.asarray(sigma, dtype=np.float64), 1e-10))
    return np.interp(level, np.log(sigmas), np.arange(len(sigmas), dtype=np.float64))


def sigmas_for(
    sampler: SamplerSpec | str,
    steps: int,
    *,
    alphas: Any = None,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
) -> Floats:
    """The sigmas of a run of `steps` steps: steps + 1 values, falling, 0 last.

    Args:
        sampler: spec or name. DDIM, PLMS and UniPC use timesteps_for instead.
        steps: 1 or more.
        alphas: the model's alphas_cumprod, default SD1.5's.
        sigma_min, sigma_max: ends of karras and exponential, default the model's own.

    Raises:
        InvalidRequest: steps below 1, unknown sampler. Unsupported: a sampler that has no sigmas.
    """
    spec = find_sampler(sampler) if isinstance(sampler, str) else sampler
    if steps < 1:
        raise InvalidRequest.field("steps", steps, "1 or more")
    if spec.uses_timesteps:
        raise Unsupported(f"{spec.name} walks over timesteps, not sigmas.", "Use timesteps_for(steps).")
    levels = model_sigmas(alphas)
    low = float(levels[0]) if sigma_min is None else sigma_min
    high = float(levels[-1]) if sigma_max is None else sigma_max
    count = steps + 1 if spec.drops_next_to_last else steps
    if spec.schedule == "karras":
        ramp = np.linspace(0.0, 1.0, count)
        ends = high ** (1 / _RHO), low ** (1 / _RHO)
        falling = (ends[0] + ramp * (ends[1] - ends[0])) ** _RHO
    elif spec.schedule == "exponential":
        falling = np.exp(np.linspace(np.log(high), np.log(low), count))
    elif spec.schedule == "lcm":
        falling = _lcm_sigmas(levels, count)
    else:
        falling = timestep_to_sigma(np.linspace(len(levels) - 1, 0.0, count), levels)
    if spec.drops_next_to_last:
        # DPM2 and DPM++ 3M SDE: the very last of the small steps does more harm than good there.
        falling = falling[:-1]
    return np.append(falling, 0.0)


def _lcm_sigmas(levels: Floats, count: int) -> Floats:
    skip = len(levels) // _LCM_GRID
    grid = levels[skip - 1 :: skip]
    return timestep_to_sigma(np.linspace(len(grid) - 1, 0.0, count), grid)


def timesteps_for(steps: int) -> list[int]:
    """The timesteps of DDIM, PLMS and UniPC, growing: 1, 1 + 1000 // steps, ...

    There may be one more than `steps` (6 steps: 7 points). The run goes from the last down to the first, one
    model call less than there are points, and ends at t = 1.
    """
    if not 1 <= steps <= TRAIN_STEPS:
        raise InvalidRequest.field("steps", steps, f"1 to {TRAIN_STEPS} for this sampler")
    return [min(value + 1, TRAIN_STEPS - 1) for value in range(0, TRAIN_STEPS, TRAIN_STEPS // steps)]


def executed_sigmas(sigmas: Floats, t_enc: int) -> Floats:
    """The part of a schedule that img2img or a second pass runs: t_enc + 1 steps, t_enc + 2 values."""
    return sigmas[max(len(sigmas) - 1 - t_enc - 1, 0) :]
