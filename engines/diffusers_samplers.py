"""The request's samplers, as diffusers' schedulers.

Names and what they mean are the web UI's. Grids follow k-diffusion's (`uniform`: steps evenly spaced from the
last training timestep to the first) as far as diffusers' classes can; where a class has another grid or
another order of random numbers, `SamplerPlan.note` says so.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from ..a1111.samplers import find_sampler
from ..base.errors import InvalidRequest, MissingDependency, Unsupported

_MULTISTEP = "DPMSolverMultistepScheduler"
#: base name -> (diffusers class, fixed options, schedules it can do besides uniform, what differs)
_ALL = ("karras", "exponential")
TABLE: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "Euler": ("EulerDiscreteScheduler", {}, _ALL, ""),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}, (), ""),
    "Heun": ("HeunDiscreteScheduler", {}, _ALL, ""),
    "LMS": ("LMSDiscreteScheduler", {}, _ALL, ""),
    "DPM2": ("KDPM2DiscreteScheduler", {}, _ALL, ""),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}, _ALL, ""),
    "DPM++ 2M": (_MULTISTEP, {}, _ALL, ""),
    "DPM++ 2M SDE": (_MULTISTEP, {"algorithm_type": "sde-dpmsolver++"}, _ALL, "its noise is not a Brownian tree"),
    "DPM++ 2M SDE Heun": (
        _MULTISTEP,
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
        _ALL,
        "its noise is not a Brownian tree",
    ),
    "DPM++ 3M SDE": (
        _MULTISTEP,
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3},
        _ALL,
        "solver of the same order, built differently, and its noise is not a Brownian tree",
    ),
    "DPM++ SDE": ("DPMSolverSDEScheduler", {}, _ALL, "its noise tree is another one"),
    "LCM": ("LCMScheduler", {}, (), "steps are taken from its own grid of 50"),
    "DDIM": ("DDIMScheduler", {"timestep_spacing": "leading", "steps_offset": 1}, (), "its last step is another one"),
    "PLMS": (
        "PNDMScheduler",
        {"timestep_spacing": "leading", "steps_offset": 1, "skip_prk_steps": True},
        (),
        "its first and last steps are others",
    ),
    "UniPC": (
        "UniPCMultistepScheduler",
        # bh1 divides by the last step's length, which sigma 0 would make infinite.
        {"solver_type": "bh1", "solver_order": 3, "final_sigmas_type": "sigma_min"},
        (),
        "its time grid is another one",
    ),
}
#: Classes whose start noise the web UI scales by the first sigma although diffusers keeps unit variance.
_UNIT_VARIANCE_START = (_MULTISTEP,)
_FLAGS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas"}


@dataclass(frozen=True)
class SamplerPlan:
    """What a sampler name stands for here.

    Attributes:
        name: as the request says it.
        base: without the schedule.
        class_name: diffusers' scheduler.
        options: arguments of that class besides the checkpoint's betas and prediction type.
        order: model calls per step (2: the last step has one).
        note: how its pictures differ from the web UI's; empty if they do not.
    """

    name: str
    base: str
    class_name: str
    options: dict[str, Any]
    order: int
    note: str


def plan_sampler(name: str) -> SamplerPlan:
    """Look a sampler name up.

    Raises:
        InvalidRequest: no such sampler.
        Unsupported: diffusers has no class for it (four of the Img Open page's names and some others).
        MissingDependency: its class needs a package that is not installed.
    """
    spec = find_sampler(name)
    entry = TABLE.get(spec.base)
    if entry is None:
        raise Unsupported(
            f"sampler_index {name!r}: diffusers has no such sampler.",
            f"Use for example {_alternative(spec.base)}, or another engine.",
            field="sampler_index",
        )
    class_name, fixed, schedules, note = entry
    options = dict(fixed)
    schedule = (spec.schedule or "uniform").lower()
    if schedule in _FLAGS:
        if schedule not in schedules:
            raise Unsupported(
                f"sampler_index {name!r}: diffusers has no {schedule} schedule for {spec.base}.",
                f"Use {spec.base} or DPM++ 2M {schedule.capitalize()}.",
                field="sampler_index",
            )
        options[_FLAGS[schedule]] = True
    elif schedule not in ("uniform", "automatic", "normal", ""):
        raise Unsupported(
            f"sampler_index {name!r}: the schedule {schedule} is not available here.",
            "Use the plain name, Karras or Exponential.",
            field="sampler_index",
        )
    _check_packages(name, class_name)
    order = 2 if class_name in ("HeunDiscreteScheduler", "DPMSolverSDEScheduler") or "KDPM2" in class_name else 1
    return SamplerPlan(name, spec.base, class_name, options, order, note)


def _alternative(base: str) -> str:
    if base == "DPM++ 2S a":
        return "'Euler a' or 'DPM2 a' (ancestral as well)"
    return "'DPM++ 2M' or 'DPM++ 2M Karras'"


def _check_packages(name: str, class_name: str) -> None:
    wanted = {"DPMSolverSDEScheduler": "torchsde", "LMSDiscreteScheduler": "scipy"}.get(class_name)
    if wanted is None:
        return
    from importlib.util import find_spec

    if find_spec(wanted) is None:
        raise MissingDependency(
            f"sampler_index {name!r} needs the package {wanted}.",
            f"pip install {wanted}, or use 'DPM++ 2M Karras'.",
            field="sampler_index",
        )


class Schedule:
    """One sampling run's scheduler, cut to the part that is executed.

    Args:
        plan: the sampler.
        betas: the checkpoint's scheduler configuration.
        steps: length of the whole schedule.
        start: how many of its steps are left out at the noisy end (img2img, second hires pass).
        seeds: seeds of the images, for samplers with a noise tree of their own.
        device: torch device of latents and timesteps.

    Attributes:
        timesteps: one per model call, as a list of Python floats or ints.
    """

    def __init__(
        self, plan: SamplerPlan, betas: dict[str, Any], steps: int, start: int, seeds: list[int], device: Any
    ) -> None:
        self.plan = plan
        self.scheduler = _build(plan, betas, steps, seeds)
        self._set_timesteps(steps, device)
        skip = start * plan.order
        self.timesteps = list(self.scheduler.timesteps[skip:])
        if plan.class_name == "PNDMScheduler":
            self.timesteps = _plms_calls(self.scheduler.timesteps, start)
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(skip)
        self._log_sigmas = _log_sigmas(self.scheduler)

    def _set_timesteps(self, steps: int, device: Any) -> None:
        import numpy as np

        uniform = not any(self.plan.options.get(flag) for flag in _FLAGS.values())
        if self.plan.class_name == _MULTISTEP and uniform:
            # Its own linspace leaves the first training timestep out, k-diffusion's does not.
            last = self.scheduler.config.num_train_timesteps - 1
            grid = np.linspace(last, 0, steps).round().astype(int).tolist() if steps > 1 else [last]
            self.scheduler.set_timesteps(timesteps=grid, device=device)
        elif self.plan.class_name == "LCMScheduler" and steps > self.scheduler.config.original_inference_steps:
            raise InvalidRequest.field("steps", steps, "at most 50 with the sampler LCM", "It needs 4 to 8.")
        else:
            self.scheduler.set_timesteps(steps, device=device)

    def sigma(self, timestep: Any) -> float:
        """Noise level of a timestep: standard deviation of the noise where the picture has scale 1."""
        import numpy as np

        return float(np.exp(np.interp(float(timestep), np.arange(len(self._log_sigmas)), self._log_sigmas)))

    def start_noise(self, noise: Any) -> Any:
        """Standard normal noise (B, 4, h, w), scaled to what this sampler starts txt2img with."""
        if self.plan.class_name in _UNIT_VARIANCE_START:
            first = self.sigma(self.timesteps[0])
            return noise * (first / (1.0 + first * first) ** 0.5)
        return noise * float(self.scheduler.init_noise_sigma)

    def add_noise(self, latents: Any, noise: Any) -> Any:
        """Latents of a picture, noised to where this run starts."""
        return self.scheduler.add_noise(latents, noise, self.scheduler.timesteps.new_tensor([self.timesteps[0]]))

    def step(self, output: Any, timestep: Any, sample: Any, generators: list[Any]) -> Any:
        """The next sample. Random numbers come from the images' own generators."""
        options: dict[str, Any] = {"return_dict": False}
        if "generator" in inspect.signature(self.scheduler.step).parameters:
            options["generator"] = generators if len(generators) > 1 else generators[0]
        return self.scheduler.step(output, timestep, sample, **options)[0]


def _plms_calls(timesteps: Any, start: int) -> list[Any]:
    """PLMS corrects its first step with a second call; diffusers puts that call only after the very first step."""
    steps = [timesteps[0], *timesteps[2:]] if len(timesteps) > 2 else list(timesteps)
    steps = steps[start:]
    return [*steps[:2], *steps[1:]] if len(steps) > 1 else steps


def _build(plan: SamplerPlan, betas: dict[str, Any], steps: int, seeds: list[int]) -> Any:
    import diffusers

    kind = getattr(diffusers, plan.class_name)
    known = inspect.signature(kind.__init__).parameters
    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type")
    options = {name: betas[name] for name in (*names, "rescale_betas_zero_snr") if name in betas and name in known}
    options |= {name: False for name in ("clip_sample", "set_alpha_to_one") if name in known}
    if "timestep_spacing" in known:
        # With a single step linspace would be the least noisy timestep alone.
        options["timestep_spacing"] = "linspace" if steps > 1 else "trailing"
    if plan.class_name == "LCMScheduler":
        options |= {"set_alpha_to_one": True, "timestep_spacing": "leading"}
    if "noise_sampler_seed" in known:
        options["noise_sampler_seed"] = seeds[0] if len(seeds) == 1 else list(seeds)
    return kind(**{**options, **plan.options})


def _log_sigmas(scheduler: Any) -> Any:
    import numpy as np

    products = np.asarray(scheduler.alphas_cumprod, dtype=np.float64)
    return 0.5 * np.log((1.0 - products) / products)
