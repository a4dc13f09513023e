"""Samplers and guidance as the web UI has them, in the shapes ComfyUI's nodes pass around.

Used of the host: `KSAMPLER`, `KSamplerX0Inpaint`, `CFGGuider`, `sampling_function`, `sampler_object` and
`BrownianTreeNoiseSampler`. Tested on ComfyUI 0.3.48 and 0.3.64.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import comfy.k_diffusion.sampling as k_diffusion
import comfy.samplers

from ..a1111.samplers import SamplerSpec
from ..base.errors import InvalidRequest, Unsupported
from .comfy_latent import LAMA
from .comfy_noise import NoiseSource
from .comfy_prompt import CALLS, WEIGHT
from .comfy_rules import STEP
from .comfy_solvers import sample_ddim, sample_plms, sample_restart, sample_unipc

if TYPE_CHECKING:
    import torch

_TREES = ("DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE")


class WebUiSampler(comfy.samplers.KSAMPLER):
    """A SAMPLER of ComfyUI that starts and adds noise as the web UI does.

    Args:
        spec: which one.
        noise: where ancestral noise comes from; None for ComfyUI's own (one generator for the batch).
        full: a run from pure noise (txt2img).
        start_sigma: noise level that an init picture gets, where it is not the run's first sigma.
        total: how many steps the web UI counts, for the step window of units; None for one per sigma.

    Raises:
        Unsupported: ComfyUI has nothing equal.
    """

    def __init__(
        self,
        spec: SamplerSpec,
        noise: NoiseSource | None = None,
        full: bool = True,
        start_sigma: float | None = None,
        total: int | None = None,
    ) -> None:
        super().__init__(_function(spec))
        self.spec, self.noise, self.full, self.start_sigma = spec, noise, full, start_sigma
        self.total = total

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
        mix = self._mixer(model_wrap, extra_args, noise)
        if mix is not None:
            noise = mix(noise, 1.0 if self.noise is None else self.noise.multiplier)
        model = comfy.samplers.KSamplerX0Inpaint(model_wrap, sigmas)
        model.latent_image, model.noise = latent_image, noise
        start = self._start(noise, latent_image, sigmas)
        count = len(sigmas) - 1
        told = extra_args.get("model_options", {}).setdefault("transformer_options", {})
        total = self.total or count
        told[STEP] = (0, total)

        def report(state: dict[str, Any]) -> None:
            # The web UI's counter: set here, so that it lags one call behind.
            told[STEP] = (state["i"], total)
            if callback is not None:
                callback(state["i"], state["denoised"], state["x"], count)

        options = self._noise_options(start, sigmas, extra_args.get("seed"), mix)
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

    def _mixer(self, guider: Any, extra_args: dict[str, Any], noise: torch.Tensor) -> Any:
        """What LaMa's picture does to every noise; in the first of n_iter batches only, as in the web UI."""
        lama = extra_args.get("model_options", {}).get(LAMA)
        if lama is None or (self.noise is not None and self.noise.first > 0):
            return None
        return lama.mixer(guider.inner_model, noise)

    def _noise_options(
        self, start: torch.Tensor, sigmas: torch.Tensor, seed: int | None, mix: Any
    ) -> dict[str, Any]:
        if "noise_sampler" not in inspect.signature(self.sampler_function).parameters:
            return {}
        if self.noise is None:
            if self.spec.base != "Restart" and mix is None:
                return {}
            plain = k_diffusion.default_noise_sampler(start, seed=seed)
            return {"noise_sampler": plain if mix is None else lambda *levels: mix(plain(*levels))}
        numbers = range(start.shape[0])
        if self.spec.base in _TREES:
            low, high = sigmas[sigmas > 0].min(), sigmas.max()
            seeds = self.noise.seeds(numbers)
            return {
                "noise_sampler": k_diffusion.BrownianTreeNoiseSampler(start, low, high, seed=seeds, cpu=True)
            }
        draws = self.noise.draws(start.shape, numbers)
        draws.first()
        following = draws.next if mix is None else lambda: mix(draws.next())
        return {"noise_sampler": lambda sigma, sigma_next: following().to(start)}


def _dpm_fast(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
    noise_sampler: Any = None,
) -> torch.Tensor:
    """DPM fast between the ends of a schedule, ancestral (eta 1) as in the web UI; ComfyUI has eta 0."""
    low, high = float(sigmas[-2]), float(sigmas[0])
    return k_diffusion.sample_dpm_fast(
        model, x, low, high, len(sigmas) - 1, extra_args, callback, disable, 1.0, noise_sampler=noise_sampler
    )


def _dpm_adaptive(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
    noise_sampler: Any = None,
) -> torch.Tensor:
    """DPM adaptive of order 3, rtol 0.05, atol 0.0078, with the web UI's eta 1; ComfyUI has eta 0."""
    low, high = float(sigmas[-2]), float(sigmas[0])
    return k_diffusion.sample_dpm_adaptive(
        model, x, low, high, extra_args, callback, disable, eta=1.0, noise_sampler=noise_sampler
    )


def _dpmpp_2m_sde_heun(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
    noise_sampler: Any = None,
) -> torch.Tensor:
    """By the argument of DPM++ 2M SDE: the name of its own is younger than ComfyUI 0.3.48."""
    return k_diffusion.sample_dpmpp_2m_sde(
        model, x, sigmas, extra_args, callback, disable, noise_sampler=noise_sampler, solver_type="heun"
    )


_OWN = {
    "DPM++ 2M SDE Heun": _dpmpp_2m_sde_heun,
    "DDIM": sample_ddim,
    "PLMS": sample_plms,
    "UniPC": sample_unipc,
    "Restart": sample_restart,
    "DPM fast": _dpm_fast,
    "DPM adaptive": _dpm_adaptive,
}


def _function(spec: SamplerSpec) -> Any:
    own = _OWN.get(spec.base)
    if own is not None:
        return own
    if spec.comfy is None:
        raise Unsupported(
            f"ComfyUI has no sampler equal to {spec.name}.",
            "Use for example DPM++ 2M Karras, or send the request to a server.",
            field="sampler_index",
        )
    return comfy.samplers.sampler_object(spec.comfy).sampler_function


class WebUiGuider(comfy.samplers.CFGGuider):
    """A GUIDER of ComfyUI: prompt editing by model call, AND with weights, the web UI's inpainting.

    Entries of CONDITIONING made by `comfy_prompt` say in which model calls they count. With a noise mask the
    predicted picture is replaced outside of it after every call, while the noisy latents stay as they are
    (ComfyUI replaces both); for DDIM, PLMS and UniPC it is what the model gets that is replaced.

    Args:
        model, positive, negative, cfg: as for ComfyUI's own.
        size: (width, height) in pixels that an SDXL model is told; 0 for the latents' own.
    """

    def __init__(
        self, model: Any, positive: Any, negative: Any, cfg: float, size: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__(model)
        self._call, self._size, self._before = 0, size, False
        self._mask: torch.Tensor | None = None
        self._init: torch.Tensor | None = None
        self.set_conds(positive, negative)
        self.set_cfg(cfg)

    def inner_set_conds(self, conds: dict[str, Any]) -> None:
        super().inner_set_conds(conds)
        told = {name: value for name, value in zip(("width", "height"), self._size, strict=True) if value}
        for entries in self.original_conds.values():
            for entry in entries:
                entry.update(told)
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
        spec = getattr(sampler, "spec", None)
        self._before = spec is not None and spec.uses_timesteps
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
        given = self._before_the_model(x, timestep)
        positive = active(self.conds["positive"], call)
        negative = active(self.conds["negative"], call)
        made = comfy.samplers.sampling_function(
            self.inner_model,
            given,
            timestep,
            negative,
            positive,
            self.cfg * weight_sum(positive),
            model_options=model_options or {},
            seed=seed,
        )
        if self._mask is None or self._init is None:
            return made
        if self._before:
            # The sampler goes on from what it gave, by the noise that was found in what the model got.
            return x - given + made
        return made * self._mask + self._init * (1.0 - self._mask)

    def _before_the_model(self, x: Any, sigma: Any) -> Any:
        """What the model gets: for DDIM, PLMS and UniPC the init picture, without noise, where it is kept."""
        if self._mask is None or self._init is None or not self._before:
            return x
        scale = (1.0 + float(sigma[0]) ** 2) ** 0.5
        return x * self._mask + self._init * (scale * (1.0 - self._mask))


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
