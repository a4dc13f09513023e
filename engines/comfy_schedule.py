"""The sigmas of one run by the web UI's rules, for a MODEL of ComfyUI."""

# pyright: basic

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..a1111.img2img import img2img_steps
from ..a1111.samplers import SamplerSpec, find_sampler
from ..a1111.sigmas import executed_sigmas, model_sigmas, sigmas_for, timestep_to_sigma, timesteps_for
from ..base.errors import InvalidRequest, Unsupported

Pass = Literal["txt2img", "img2img", "hires"]
TRAIN_STEPS = 1000
LCM_STEPS = 50


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        sigmas: falling.
        total: how many steps the web UI counts.
        start_sigma: for samplers that walk over timesteps: the level an init picture is noised to.
    """

    sigmas: np.ndarray
    total: int
    start_sigma: float | None = None


def plan_run(spec: SamplerSpec, model: Any, steps: int, which: Pass, strength: float) -> Plan:
    """The sigmas of one run by the web UI's rules.

    Args:
        spec: the sampler.
        model: ComfyUI's MODEL; its own sigmas count.
        steps: of the request; for "hires" those of the second pass.
        which: "txt2img" runs all steps; "img2img" the last int(strength * steps) + 1 of them; "hires" exactly
            `steps`, at the end of a longer schedule.
        strength: denoising strength, 0..1.

    Raises:
        InvalidRequest: nothing would be executed.
        Unsupported: the model has no 1000 training timesteps.
    """
    levels = _levels(model, spec)
    alphas = 1.0 / (1.0 + levels**2)
    schedule, t_enc = (steps, None) if which == "txt2img" else _shortened(steps, which, strength)
    total = steps if t_enc is None else t_enc + 1
    if not spec.uses_timesteps:
        sigmas = sigmas_for(spec, schedule, alphas=alphas)
        return Plan(sigmas if t_enc is None else executed_sigmas(sigmas, t_enc), total)
    grid = timesteps_for(schedule)
    exact = model_sigmas(alphas)
    if t_enc is None:
        return Plan(_walk(spec, grid, len(levels) - 1, exact), total)
    t_enc = min(t_enc, len(grid) - 1)
    if t_enc < 2:
        raise InvalidRequest.field(
            "denoising_strength", strength, f"so great that {spec.name} has a step to make of {steps}"
        )
    start = float(timestep_to_sigma([grid[t_enc]], exact)[0])
    return Plan(_walk(spec, grid[:t_enc], grid[t_enc - 1], exact), total, start)


def _walk(spec: SamplerSpec, grid: list[int], first: int, exact: np.ndarray) -> np.ndarray:
    """The sigmas, falling, of a sampler that walks over timesteps.

    DDIM and PLMS stop at each point of the grid. UniPC takes only their number from it, as that of its even
    steps from `first` to 0, between whose timesteps the logarithm of the signal's share is interpolated.
    """
    if spec.base != "UniPC":
        return timestep_to_sigma(grid[::-1], exact)
    shares = -0.5 * np.log1p(exact**2)
    at = np.interp(np.linspace(first, 0.0, len(grid) + 1), np.arange(len(exact)), shares)
    return np.sqrt(np.expm1(-2.0 * at))


def _shortened(steps: int, which: Pass, strength: float) -> tuple[int, int]:
    schedule, t_enc = img2img_steps(steps, strength, steps if which == "hires" else None)
    if schedule < 1:
        raise InvalidRequest.field("denoising_strength", strength, "greater than 0", "Common are 0.3 to 0.7.")
    return schedule, t_enc


def _levels(model: Any, spec: SamplerSpec) -> np.ndarray:
    sigmas = getattr(model.get_model_object("model_sampling"), "sigmas", None)
    # ComfyUI's "lcm" sampling leaves the web UI's fifty of the thousand.
    counts = (TRAIN_STEPS, LCM_STEPS) if spec.base == "LCM" else (TRAIN_STEPS,)
    if sigmas is None or len(sigmas) not in counts:
        raise Unsupported(
            "The web UI's schedules are defined for models trained on 1000 timesteps (SD1.5, SD2, SDXL).",
            "Use ComfyUI's own scheduler nodes for this model.",
        )
    return sigmas.detach().cpu().numpy().astype(np.float64)


def chosen_sampler(name: str, schedule: str = "") -> SamplerSpec:
    """The sampler of a name of either era: "DPM++ 2M Karras", or "DPM++ 2M" with the schedule "Karras".

    Raises:
        InvalidRequest: unknown, or a schedule the sampler cannot use.
    """
    if not schedule:
        return find_sampler(name)
    base = find_sampler(name).base
    return find_sampler(base if schedule == "Uniform" else f"{base} {schedule}")
