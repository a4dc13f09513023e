"""Noise, samplers, sigmas and guidance as the web UI has them, in the shapes ComfyUI's nodes pass around.

Used of the host: `KSAMPLER`, `KSamplerX0Inpaint`, `CFGGuider`, `sampling_function`, `sampler_object` and
`BrownianTreeNoiseSampler`. Tested on ComfyUI 0.3.48 and 0.3.64.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import comfy.k_diffusion.sampling as k_diffusion
import comfy.samplers
import numpy as np

from ..a1111.img2img import img2img_steps
from ..a1111.samplers import SamplerSpec, find_sampler
from ..a1111.sigmas import executed_sigmas, model_sigmas, sigmas_for, timestep_to_sigma, timesteps_for
from ..base.errors import InvalidRequest, Unsupported
from .comfy_noise import NoiseSource
from .comfy_prompt import CALLS, WEIGHT
from .comfy_solvers import sample_ddim, sample_plms

if TYPE_CHECKING:
    import torch

Pass = Literal["txt2img", "img2img", "hires"]
TRAIN_STEPS = 1000
_TREES = ("DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE")


class WebUiSampler(comfy.samplers.KSAMPLER):
    """A SAMPLER of ComfyUI that starts and adds noise as the web UI does.

    Args:
        spec: which one.
        noise: where ancestral noise comes from; None for ComfyUI's own (one generator for the batch).
        full: a run from pure noise (txt2img).
        start_sigma: noise level that an init picture gets, where it is not the run's first sigma.

    Raises:
        Unsupported: ComfyUI has nothing equal.
    """

    def __init__(
        self,
        spec: SamplerSpec,
        noise: NoiseSource | None = None,
        full: bool = True,
        start_sigma: float | None = None,
    ) -> None:
        super().__init__(_function(spec))
        self.spec, self.noise, self.full, self.start_sigma = spec, noise, full, start_sigma

    def sample(
        self,
        model_wrap: Any,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: torch.Tensor,
        latent_image: Any = None,
        denoise_mask: Any = None,
        disable_pbar: bool = False,
    ) -> torch.Tensor:
        """ComfyUI's call: from noise and latents to the finished latents."""
        extra_args["denoise_mask"] = denoise_mask
        model = comfy.samplers.KSamplerX0Inpaint(model_wrap, sigmas)
        model.latent_image, model.noise = latent_image, noise
        start = self._start(noise, latent_image, sigmas)
        count = len(sigmas) - 1
        report = None if callback is None else lambda x: callback(x["i"], x["denoised"], x["x"], count)
        options = self._noise_options(start, sigmas)
        return self.sampler_function(
            model, start, sigmas, extra_args=extra_args, callback=report, disable=disable_pbar, **options
        )

    def _start(self, noise: torch.Tensor, latent: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
        first = float(sigmas[0])
        if not self.spec.uses_timesteps:
            return latent + noise * sigmas[0]
        if self.full:
            return latent + noise * (1.0 + first * first) ** 0.5
        # These samplers work at unit variance: noised at one timestep, taken for the one after it.
        level = first if self.start_sigma is None else self.start_sigma
        return (latent + noise * level) * ((1.0 + first * first) / (1.0 + level * level)) ** 0.5

    def _noise_options(self, start: torch.Tensor, sigmas: torch.Tensor) -> dict[str, Any]:
        takes = "noise_sampler" in inspect.signature(self.sampler_function).parameters
        if self.noise is None or not self.spec.ancestral or not takes:
            return {}
        numbers = range(start.shape[0])
        if self.spec.base in _TREES:
            low, high = sigmas[sigmas > 0].min(), sigmas.max()
            seeds = self.noise.seeds(numbers)
            return {
                "noise_sampler": k_diffusion.BrownianTreeNoiseSampler(start, low, high, seed=seeds, cpu=True)
            }
        draws = self.noise.draws(start.shape, numbers)
        draws.first()
        return {"noise_sampler": lambda sigma, sigma_next: draws.next().to(start)}


def _function(spec: SamplerSpec) -> Any:
    own = {"DDIM": sample_ddim, "PLMS": sample_plms}.get(spec.base)
    if own is not None:
        return own
    if spec.comfy is None:
        raise Unsupported(
            f"ComfyUI has no sampler equal to {spec.name}.",
            "Use for example DPM++ 2M Karras, or send the request to a server.",
            field="sampler_index",
        )
    return comfy.samplers.sampler_object(spec.comfy).sampler_function


@dataclass(frozen=True)
class Plan:
    """One run: its sigmas, falling, and for samplers that walk over timesteps the level it is noised to."""

    sigmas: np.ndarray
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
    levels = _levels(model)
    alphas = 1.0 / (1.0 + levels**2)
    schedule, t_enc = (steps, None) if which == "txt2img" else _shortened(steps, which, strength)
    if not spec.uses_timesteps:
        sigmas = sigmas_for(spec, schedule, alphas=alphas)
        return Plan(sigmas if t_enc is None else executed_sigmas(sigmas, t_enc))
    grid = timesteps_for(schedule)
    exact = model_sigmas(alphas)
    if t_enc is None:
        return Plan(timestep_to_sigma(grid[::-1], exact))
    t_enc = min(t_enc, len(grid) - 1)
    if t_enc < 2:
        raise InvalidRequest.field(
            "denoising_strength", strength, f"so great that {spec.name} has a step to make of {steps}"
        )
    start = float(timestep_to_sigma([grid[t_enc]], exact)[0])
    return Plan(timestep_to_sigma(grid[:t_enc][::-1], exact), start)


def _shortened(steps: int, which: Pass, strength: float) -> tuple[int, int]:
    schedule, t_enc = img2img_steps(steps, strength, steps if which == "hires" else None)
    if schedule < 1:
        raise InvalidRequest.field("denoising_strength", strength, "greater than 0", "Common are 0.3 to 0.7.")
    return schedule, t_enc


def _levels(model: Any) -> np.ndarray:
    sigmas = getattr(model.get_model_object("model_sampling"), "sigmas", None)
    if sigmas is None or len(sigmas) != TRAIN_STEPS:
        raise Unsupported(
            "The web UI's schedules are defined for models trained on 1000 timesteps (SD1.5, SD2, SDXL).",
            "Use ComfyUI's own scheduler nodes for this model.",
        )
    return sigmas.detach().cpu().numpy().astype(np.float64)


class WebUiGuider(comfy.samplers.CFGGuider):
    """A GUIDER of ComfyUI: prompt editing by model call, AND with weights, the web UI's inpainting.

    Entries of CONDITIONING made by `comfy_prompt` say in which model calls they count. With a noise mask the
    predicted picture is replaced outside of it after every call, while the noisy latents stay as they are
    (ComfyUI replaces both).
    """

    def __init__(self, model: Any, positive: Any, negative: Any, cfg: float) -> None:
        super().__init__(model)
        self._call = 0
        self._mask: torch.Tensor | None = None
        self._init: torch.Tensor | None = None
        self.set_conds(positive, negative)
        self.set_cfg(cfg)

    def inner_set_conds(self, conds: dict[str, Any]) -> None:
        super().inner_set_conds(conds)
        for entries in self.original_conds.values():
            for entry in entries:
                if CALLS in entry:
                    # Meant for guiders that do not count calls.
                    entry.pop("start_percent", None)
                    entry.pop("end_percent", None)

    def sample(
        self,
        noise: torch.Tensor,
        latent_image: torch.Tensor,
        sampler: Any,
        sigmas: torch.Tensor,
        denoise_mask: torch.Tensor | None = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> torch.Tensor:
        self._call, self._init = 0, None
        self._mask = None if denoise_mask is None else _latent_sized(denoise_mask, latent_image)
        try:
            made = super().sample(noise, latent_image, sampler, sigmas, None, callback, disable_pbar, seed)
            if self._mask is None:
                return made
            mask = self._mask.to(made)
            return made * mask + latent_image.to(made) * (1.0 - mask)
        finally:
            self._mask = self._init = None

    def inner_sample(
        self, noise: Any, latent_image: Any, device: Any, sampler: Any, sigmas: Any, *rest: Any, **named: Any
    ) -> torch.Tensor:
        if self._mask is not None:
            self._init = self.inner_model.process_latent_in(latent_image)
            self._mask = self._mask.to(self._init)
        return super().inner_sample(noise, latent_image, device, sampler, sigmas, *rest, **named)

    def predict_noise(
        self, x: Any, timestep: Any, model_options: dict[str, Any] | None = None, seed: Any = None
    ) -> torch.Tensor:
        call, self._call = self._call, self._call + 1
        positive = active(self.conds["positive"], call)
        negative = active(self.conds["negative"], call)
        made = comfy.samplers.sampling_function(
            self.inner_model,
            x,
            timestep,
            negative,
            positive,
            self.cfg * weight_sum(positive),
            model_options=model_options or {},
            seed=seed,
        )
        if self._mask is None or self._init is None:
            return made
        return made * self._mask + self._init * (1.0 - self._mask)


def active(entries: list[dict[str, Any]], call: int) -> list[dict[str, Any]]:
    """The entries that count at model call `call` (from 0); past the end of a schedule its last ones."""
    counted = [entry[CALLS] for entry in entries if CALLS in entry]
    if counted:
        call = min(call, max(last for _, last in counted))
    return [entry for entry in entries if CALLS not in entry or entry[CALLS][0] <= call <= entry[CALLS][1]]


def weight_sum(entries: list[dict[str, Any]]) -> float:
    """What cfg is multiplied by: the host averages the parts of an AND, and the web UI adds them up.

    Raises:
        InvalidRequest: the weights cancel each other out, so that there is no average.
    """
    if not entries or any(WEIGHT not in entry for entry in entries):
        return 1.0
    total = sum(float(entry[WEIGHT]) for entry in entries)
    if abs(total) < 1e-4:
        raise InvalidRequest(
            "The weights of the prompt's parts joined by AND add up to 0.", "Change one of them a little."
        )
    return total


def _latent_sized(mask: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    """A noise mask (B, h, w) or (B, 1, H, W) as (B or 1, 1, h, w)."""
    import torch.nn.functional as functional

    mask = mask.reshape(-1, 1, mask.shape[-2], mask.shape[-1]).float()
    if mask.shape[-2:] != latent.shape[-2:]:
        mask = functional.interpolate(mask, size=latent.shape[-2:], mode="bilinear")
    if mask.shape[0] not in (1, latent.shape[0]):
        mask = (
            mask[:1]
            if mask.shape[0] > latent.shape[0]
            else mask.repeat(latent.shape[0], 1, 1, 1)[: latent.shape[0]]
        )
    return mask


def chosen_sampler(name: str, schedule: str = "") -> SamplerSpec:
    """The sampler of a name of either era: "DPM++ 2M Karras", or "DPM++ 2M" with the schedule "Karras".

    Raises:
        InvalidRequest: unknown, or a schedule the sampler cannot use.
    """
    if not schedule:
        return find_sampler(name)
    base = find_sampler(name).base
    return find_sampler(base if schedule == "Uniform" else f"{base} {schedule}")
