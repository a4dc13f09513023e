"""The samplers of stable-diffusion-webui, by the names its API takes, as data.

A name of version 1.8 and before is a base ("DPM++ 2M") with or without a schedule ("Karras"). A base without
one uses the uniform schedule (Restart: karras). From 1.9 on the web UI picks another default for some of
them; that is not followed here, because the Img Open API's names are those of before.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ..base.errors import InvalidRequest, Unsupported

Schedule = Literal["uniform", "karras", "exponential", "lcm", "ddim"]
# How many model calls a step makes: "one"; "two" (but for the last step); "warm" (two in the first step);
# "fast" (DPM fast groups its steps); "adaptive" (nobody knows before).
Calls = Literal["one", "two", "warm", "fast", "adaptive"]


@dataclass(frozen=True)
class SamplerSpec:
    """One sampler with its schedule.

    Attributes:
        name: as the API takes it.
        base: the name without the schedule.
        schedule: "uniform", "karras", "exponential"; "lcm" and "ddim" are those samplers' own time grids.
        comfy: ComfyUI's sampler name, None where it has nothing equal.
        comfy_scheduler: ComfyUI's scheduler name that gives the same sigmas.
        diffusers: name of the diffusers class, None where it has none.
        diffusers_options: what the class has to be told.
        calls: see `Calls`.
        drops_next_to_last: makes sigmas for one step more and leaves out the last but one.
        ancestral: adds new noise at every step.
    """

    name: str
    base: str
    schedule: Schedule
    comfy: str | None
    comfy_scheduler: str
    diffusers: str | None
    diffusers_options: Mapping[str, Any] = field(default_factory=dict)
    calls: Calls = "one"
    drops_next_to_last: bool = False
    ancestral: bool = False

    @property
    def order(self) -> int:
        """Model calls per step in the long run: 1 or 2."""
        return 2 if self.calls == "two" else 1

    @property
    def uses_timesteps(self) -> bool:
        """True for DDIM, PLMS and UniPC, which walk over whole timesteps instead of sigmas."""
        return self.schedule == "ddim"


@dataclass(frozen=True)
class _Base:
    name: str
    comfy: str | None
    diffusers: str | None
    schedules: tuple[Schedule, ...] = ("uniform",)
    options: Mapping[str, Any] = field(default_factory=dict)
    calls: Calls = "one"
    drops: bool = False
    ancestral: bool = False


_WITH_KARRAS: tuple[Schedule, ...] = ("uniform", "karras")
_ALL_THREE: tuple[Schedule, ...] = ("uniform", "karras", "exponential")
_SDE = {"algorithm_type": "sde-dpmsolver++"}

_BASES = (
    _Base("Euler a", "euler_ancestral", "EulerAncestralDiscreteScheduler", ancestral=True),
    _Base("Euler", "euler", "EulerDiscreteScheduler"),
    _Base("LMS", "lms", "LMSDiscreteScheduler", _WITH_KARRAS),
    _Base("Heun", "heun", "HeunDiscreteScheduler", calls="two"),
    _Base("DPM2", "dpm_2", "KDPM2DiscreteScheduler", _WITH_KARRAS, calls="two", drops=True),
    _Base(
        "DPM2 a", "dpm_2_ancestral", "KDPM2AncestralDiscreteScheduler", _WITH_KARRAS, calls="two", drops=True,
        ancestral=True,
    ),
    _Base("DPM++ 2S a", "dpmpp_2s_ancestral", None, _WITH_KARRAS, calls="two", ancestral=True),
    _Base("DPM++ 2M", "dpmpp_2m", "DPMSolverMultistepScheduler", _WITH_KARRAS),
    _Base("DPM++ SDE", "dpmpp_sde", "DPMSolverSDEScheduler", _WITH_KARRAS, calls="two", ancestral=True),
    _Base("DPM++ 2M SDE", "dpmpp_2m_sde", "DPMSolverMultistepScheduler", _ALL_THREE, _SDE, ancestral=True),
    _Base(
        "DPM++ 2M SDE Heun", "dpmpp_2m_sde_heun", "DPMSolverMultistepScheduler", _ALL_THREE,
        {**_SDE, "solver_type": "heun"}, ancestral=True,
    ),
    _Base(
        "DPM++ 3M SDE", "dpmpp_3m_sde", "DPMSolverMultistepScheduler", _ALL_THREE, {**_SDE, "solver_order":
        3}, drops=True, ancestral=True,
    ),
    _Base("DPM fast", "dpm_fast", None, calls="fast"),
    _Base("DPM adaptive", "dpm_adaptive", None, calls="adaptive"),
    _Base("Restart", None, None, ("karras",), calls="two", ancestral=True),
    _Base("LCM", "lcm", "LCMScheduler", ("lcm",), ancestral=True),
    _Base("DDIM", "ddim", "DDIMScheduler", ("ddim",), {"timestep_spacing": "leading", "steps_offset": 1}),
    _Base(
        "PLMS", None, "PNDMScheduler", ("ddim",), {"skip_prk_steps": True, "steps_offset": 1},
        calls="warm",
    ),
    _Base(
        "UniPC", "uni_pc", "UniPCMultistepScheduler", ("ddim",), {"solver_type": "bh1", "solver_order": 3},
        calls="warm",
    ),
)  # fmt: skip

_COMFY_SCHEDULER: Mapping[Schedule, str] = {
    "uniform": "normal",
    "karras": "karras",
    "exponential": "exponential",
    "lcm": "sgm_uniform",
    "ddim": "ddim_uniform",
}
_SCHEDULE_LABELS: Mapping[str, Schedule] = {
    "Karras": "karras",
    "Exponential": "exponential",
    "Uniform": "uniform",
}
_DIFFUSERS_SCHEDULE: Mapping[Schedule, Mapping[str, Any]] = {
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "uniform": {"timestep_spacing": "linspace"},
}


def _spec(base: _Base, schedule: Schedule, name: str) -> SamplerSpec:
    options = {**_DIFFUSERS_SCHEDULE.get(schedule, {}), **base.options} if base.diffusers else {}
    return SamplerSpec(
        name, base.name, schedule, base.comfy, _COMFY_SCHEDULER[schedule], base.diffusers,
        MappingProxyType(options), base.calls, base.drops, base.ancestral,
    )  # fmt: skip


def _all_specs() -> dict[str, SamplerSpec]:
    specs: dict[str, SamplerSpec] = {}
    for base in _BASES:
        for place, schedule in enumerate(base.schedules):
            # A base's first schedule is what it has without being told.
            name = base.name if place == 0 else f"{base.name} {schedule.capitalize()}"
            specs[name] = _spec(base, schedule, name)
    return specs


SAMPLERS: Mapping[str, SamplerSpec] = MappingProxyType(_all_specs())


def find_sampler(name: str) -> SamplerSpec:
    """The sampler of this name.

    Schedules that the web UI's list does not combine with a sampler ("Euler Karras") are understood too, for
    samplers that work on sigmas.

    Raises:
        InvalidRequest: unknown name; the nearest ones are in the message.
    """
    spec = SAMPLERS.get(name)
    if spec is not None:
        return spec
    for label, schedule in _SCHEDULE_LABELS.items():
        base = SAMPLERS.get(name.removesuffix(f" {label}")) if name.endswith(f" {label}") else None
        if base is not None and base.name == base.base and base.schedule in ("uniform", "karras"):
            row = next(each for each in _BASES if each.name == base.base)
            return _spec(row, schedule, name)
    lower = {each.lower(): each for each in SAMPLERS}
    near = difflib.get_close_matches(name.lower(), lower, n=4, cutoff=0.5)
    hint = "Did you mean one of: " + ", ".join(lower[each] for each in near) + "?" if near else ""
    raise InvalidRequest.field("sampler_index", name, "one of " + ", ".join(SAMPLERS), hint)


def calls_per_step(sampler: SamplerSpec, steps: int, t_enc: int | None = None) -> list[int]:
    """How many times each executed step calls the model.

    Args:
        sampler: which one.
        steps: of the schedule.
        t_enc: for img2img and second passes: see img2img.img2img_steps.

    Raises:
        Unsupported: DPM adaptive decides while it runs.
    """
    if sampler.calls == "adaptive":
        raise Unsupported(
            f"{sampler.name} decides while it runs how often it calls the model.",
            "Use another sampler where a unit's step window matters.",
        )
    if sampler.uses_timesteps:
        from .sigmas import timesteps_for

        grid = len(timesteps_for(steps)) if t_enc is None else min(t_enc, len(timesteps_for(steps)))
        # These samplers go from one point of the grid to the next: one step less than there are points.
        calls = [1] * max(grid - 1, 0)
        return [2, *calls[1:]] if sampler.calls == "warm" and calls else calls
    executed = executed_steps(steps, t_enc)
    if sampler.calls == "two":
        return [2] * (executed - 1) + [1] if executed > 0 else []
    if sampler.calls == "fast":
        return _fast_orders(executed)
    return [1] * executed


def executed_steps(steps: int, t_enc: int | None = None) -> int:
    """How many steps a run executes: all of the schedule, or the last t_enc + 1 of it."""
    return steps if t_enc is None else min(t_enc + 1, steps)


def _fast_orders(calls: int) -> list[int]:
    """DPM-Solver-fast spends `calls` model calls in steps of order three and ends with lower orders."""
    if calls <= 0:
        return []
    threes = calls // 3 + 1
    orders = [3] * (threes - 2) + [2, 1] if calls % 3 == 0 else [3] * (threes - 1) + [calls % 3]
    return [order for order in orders if order > 0]
