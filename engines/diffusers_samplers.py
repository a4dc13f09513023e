# pyright: basic
"""The request's samplers, as diffusers' schedulers.

Names and what they mean are the web UI's. Grids follow k-diffusion's (`uniform`: steps evenly spaced from the
last training timestep to the first) as far as diffusers' classes can; where a class has another grid or
another order of random numbers, `SamplerPlan.note` says so.
"""

from __future__ import annotations

import importlib.util
import inspect
from dataclasses import dataclass
from typing import Any

from ..a1111.samplers import SAMPLERS, SamplerSpec, find_sampler
from ..a1111.sigmas import model_sigmas, sigma_to_timestep, sigmas_for, timestep_to_sigma
from ..base.command import pip
from ..base.errors import InvalidRequest, MissingDependency, Unsupported

_MULTISTEP = "DPMSolverMultistepScheduler"
_FLAGS = ("use_karras_sigmas", "use_exponential_sigmas")
#: Classes that know one schedule only.
_ONE_SCHEDULE = ("EulerAncestralDiscreteScheduler", "LCMScheduler")
#: What a class needs besides the table's options.
_EXTRA: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {"timestep_spacing": "leading"},
    "PNDMScheduler": {"timestep_spacing": "leading"},
    # bh1 divides by the last step's length, which sigma 0 would make infinite.
    "UniPCMultistepScheduler": {"final_sigmas_type": "sigma_min"},
    "LCMScheduler": {"timestep_spacing": "leading", "set_alpha_to_one": True},
}
_TREE = "its noise is not a Brownian tree"
#: How the pictures of a sampler differ from the web UI's.
_NOTES: dict[str, str] = {
    "DPM2": "its last steps are spaced otherwise",
    "DPM2 a": "its last steps are spaced otherwise",
    "DPM++ 2M SDE": _TREE,
    "DPM++ 2M SDE Heun": _TREE,
    "DPM++ 3M SDE": f"its solver is built differently, and {_TREE}",
    "DPM++ SDE": "its noise tree is another one",
    "LCM": "its steps are taken from a grid of its own",
    "DDIM": "its last step is another one",
    "PLMS": "its first and last steps are others",
    "UniPC": "its time grid is another one",
}
_PACKAGES = {"DPMSolverSDEScheduler": "torchsde", "LMSDiscreteScheduler": "scipy"}


@dataclass(frozen=True)
class SamplerPlan:
    """What a sampler name stands for here.

    Attributes:
        spec: the web UI's sampler.
        class_name: diffusers' scheduler.
        options: arguments of that class besides the checkpoint's betas and prediction type.
        note: how its pictures differ from the web UI's; empty if they do not.
    """

    spec: SamplerSpec
    class_name: str
    options: dict[str, Any]
    note: str

    @property
    def order(self) -> int:
        """Model calls per step (2: the last step has one)."""
        return self.spec.order


def plan_sampler(name: str) -> SamplerPlan:
    """Look a sampler name up.

    Raises:
        InvalidRequest: no such sampler.
        Unsupported: diffusers has no class for it (four of the Img Open page's names and some others).
        MissingDependency: its class needs a package that is not installed.
    """
    spec = find_sampler(name)
    if spec.diffusers is None:
        raise Unsupported(
            f"sampler_index {name!r}: diffusers has no such sampler.",
            f"Use for example {_alternative(spec)}, or another engine.",
            field="sampler_index",
        )
    options = {**spec.diffusers_options, **_EXTRA.get(spec.diffusers, {})}
    if spec.diffusers in _ONE_SCHEDULE and any(flag in options for flag in _FLAGS):
        raise Unsupported(
            f"sampler_index {name!r}: diffusers has no {spec.schedule} schedule for {spec.base}.",
            f"Use {spec.base!r}, or 'DPM++ 2M {spec.schedule.capitalize()}'.",
            field="sampler_index",
        )
    package = _PACKAGES.get(spec.diffusers)
    if package is not None and importlib.util.find_spec(package) is None:
        raise MissingDependency(
            f"sampler_index {name!r} needs the package {package}.",
            f"{pip(f'install {package}')}, or use 'DPM++ 2M Karras'.",
            field="sampler_index",
        )
    return SamplerPlan(spec, spec.diffusers, options, _NOTES.get(spec.base, ""))


def runnable_samplers() -> list[str]:
    """The names of the web UI's list that this engine runs on this machine."""
    names: list[str] = []
    for name in SAMPLERS:
        try:
            plan_sampler(name)
        except (Unsupported, MissingDependency):
            continue
        names.append(name)
    return names


def _alternative(spec: SamplerSpec) -> str:
    if spec.ancestral:
        return "'Euler a' or 'DPM2 a' (they add noise at every step as well)"
    return "'DPM++ 2M' or 'DPM++ 2M Karras'"


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
        calls: per model call (timestep for the network, noise level). The level is the noise's standard
            deviation where the picture has scale 1.
    """

    def __init__(
        self, plan: SamplerPlan, betas: dict[str, Any], steps: int, start: int, seeds: list[int], device: Any
    ) -> None:
        import torch

        self.plan = plan
        self.scheduler = _build(plan, betas, steps, seeds)
        self._levels = model_sigmas(self.scheduler.alphas_cumprod)
        self._set_timesteps(steps, device)
        skip = start * plan.order
        timesteps = list(self.scheduler.timesteps[skip:])
        if plan.class_name == "PNDMScheduler":
            timesteps = _plms_calls(self.scheduler.timesteps, start)
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(skip)
        levels = [self._level(skip + index, timestep) for index, timestep in enumerate(timesteps)]
        if self._between_timesteps():
            told = sigma_to_timestep(levels, self._levels)
            timesteps = [timesteps[0].new_tensor(float(each), dtype=torch.float32) for each in told]
        self.calls: list[tuple[Any, float]] = list(zip(timesteps, levels, strict=True))

    def _between_timesteps(self) -> bool:
        """Whether levels lie between those of whole timesteps; diffusers would round them."""
        return self.plan.class_name == _MULTISTEP or any(flag in self.plan.options for flag in _FLAGS)

    def _set_timesteps(self, steps: int, device: Any) -> None:
        import torch

        if self.plan.class_name == "LCMScheduler" and steps > self.scheduler.config.original_inference_steps:
            raise InvalidRequest.field("steps", steps, "at most 50 with the sampler LCM", "It needs 4 to 8.")
        self.scheduler.set_timesteps(steps, device=device)
        if self.plan.class_name == _MULTISTEP:
            # It works on sigmas alone, so it can be given k-diffusion's own, which its spacing misses.
            levels = sigmas_for(self.plan.spec, steps, alphas=self.scheduler.alphas_cumprod)
            self.scheduler.sigmas = torch.from_numpy(levels.astype("float32"))

    def _level(self, index: int, timestep: Any) -> float:
        """Noise level of the model call that the scheduler counts as `index`."""
        between = getattr(self.scheduler, "sigmas_interpol", None)
        if between is not None and index % 2 == 1:
            # The ancestral class keeps the level between two steps one place earlier.
            return float(between[index - 1 if self.plan.spec.ancestral else index])
        sigmas = getattr(self.scheduler, "sigmas", None)
        if sigmas is not None:
            return float(sigmas[index])
        return float(timestep_to_sigma(float(timestep), self._levels))

    def start_noise(self, noise: Any) -> Any:
        """Standard normal noise (B, 4, h, w), scaled to what this sampler starts txt2img with."""
        if self.plan.class_name == _MULTISTEP:
            # diffusers keeps this class at unit variance; the web UI starts at noise times the first sigma.
            first = self.calls[0][1]
            return noise * (first / (1.0 + first * first) ** 0.5)
        return noise * float(self.scheduler.init_noise_sigma)

    def add_noise(self, latents: Any, noise: Any) -> Any:
        """Latents of a picture, noised to where this run starts."""
        return self.scheduler.add_noise(latents, noise, self.calls[0][0].reshape(1))

    def step(self, output: Any, timestep: Any, sample: Any, generators: list[Any]) -> Any:
        """The next sample. Random numbers come from the images' own generators."""
        options: dict[str, Any] = {"return_dict": False}
        if "generator" in inspect.signature(self.scheduler.step).parameters:
            options["generator"] = generators if len(generators) > 1 else generators[0]
        return self.scheduler.step(output, timestep, sample, **options)[0]


def _plms_calls(timesteps: Any, start: int) -> list[Any]:
    """PLMS corrects its first step by a second call, which diffusers plans for a whole schedule only."""
    steps = [timesteps[0], *timesteps[2:]] if len(timesteps) > 2 else list(timesteps)
    steps = steps[start:]
    return [*steps[:2], *steps[1:]] if len(steps) > 1 else steps


def _build(plan: SamplerPlan, betas: dict[str, Any], steps: int, seeds: list[int]) -> Any:
    import diffusers

    kind = getattr(diffusers, plan.class_name)
    known = inspect.signature(kind.__init__).parameters
    names = (
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "prediction_type",
    )
    options = {
        name: betas[name] for name in (*names, "rescale_betas_zero_snr") if name in betas and name in known
    }
    options |= {name: False for name in ("clip_sample", "set_alpha_to_one") if name in known}
    if "timestep_spacing" in known:
        options["timestep_spacing"] = "linspace"
    if "noise_sampler_seed" in known:
        options["noise_sampler_seed"] = seeds[0] if len(seeds) == 1 else list(seeds)
    options |= plan.options
    if steps == 1 and options.get("timestep_spacing") == "linspace":
        # linspace of one step would be the least noisy timestep alone.
        options["timestep_spacing"] = "trailing"
    return kind(**options)
