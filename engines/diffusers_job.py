# pyright: basic
"""One request on its way through the networks: passes, images, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..a1111.img2img import img2img_steps, latent_mask
from ..a1111.noise import ImageNoise
from ..base.errors import InvalidRequest
from ..controlnet.sizing import hires_target
from ..controlnet.window import calls_of_order
from .diffusers_control import ControlPass
from .diffusers_init import InitPicture, paste_back
from .diffusers_load import Networks
from .diffusers_pictures import (
    LATENT_UPSCALERS,
    PICTURE_UPSCALERS,
    Previews,
    cut_latents,
    decode,
    encode,
    upscale_latents,
    upscale_picture,
)
from .diffusers_prompt import PromptPlan, TextEncoder
from .diffusers_sample import Guidance, sample
from .diffusers_samplers import SamplerPlan, Schedule
from .diffusers_units import ReadyUnit, finish, latent_blend

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..api.request import Request


@dataclass(frozen=True)
class Pass:
    """One sampling run's numbers.

    Attributes:
        schedule_steps: length of the schedule.
        start: how many of its steps are left out at the noisy end.
        size: (h, w) of the latents.
        hires: whether it is the second pass.
    """

    schedule_steps: int
    start: int
    size: tuple[int, int]
    hires: bool = False

    @property
    def steps(self) -> int:
        """Steps that are executed."""
        return self.schedule_steps - self.start


@dataclass
class Setting:
    """What every image of a request shares.

    Attributes:
        request: what was asked.
        networks: of the checkpoint, placed on `device`.
        plan: the sampler.
        units: the units with their control images.
        init: the init picture of img2img, or None.
        encoder: text to vectors.
        prompt: the positive prompt without LoRA tags.
        device, dtype: torch device and the precision of U-Net and control models.
        offload: keep control models off the device between calls.
        check: raises Cancelled.
        progress: receives progress.
    """

    request: Request
    networks: Networks
    plan: SamplerPlan
    units: list[ReadyUnit]
    init: InitPicture | None
    encoder: TextEncoder
    prompt: str
    device: Any
    dtype: Any
    offload: bool
    check: Callable[[], None]
    progress: Callable[[Any], None] | None


def passes_of(request: Request, img2img: bool) -> list[Pass]:
    """The sampling runs of one image: one, or two with the hires fix.

    Steps are the web UI's: img2img runs int(strength * steps) + 1 steps at the end of a schedule of `steps`;
    the second pass runs `hr_second_pass_steps` (0: `steps`) at the end of a schedule as long as the strength
    asks for.

    Raises:
        InvalidRequest: a size below 8 pixels, or a second pass without any noise to remove.
    """
    size = (request.height // 8, request.width // 8)
    if img2img:
        length, t_enc = img2img_steps(request.steps, request.denoising_strength, None)
        return [Pass(length, length - t_enc - 1, size)]
    first = Pass(request.steps, 0, size)
    if not request.enable_hr:
        return [first]
    plan = hires_target(
        request.width, request.height, request.hr_scale, request.hr_resize_x, request.hr_resize_y
    )
    steps = request.hr_second_pass_steps or request.steps
    length, t_enc = img2img_steps(steps, request.denoising_strength, steps)
    if length < t_enc + 1:
        raise InvalidRequest.field(
            "denoising_strength",
            request.denoising_strength,
            "greater than 0 with enable_hr",
            "Common are 0.3 to 0.7.",
        )
    width, height = plan.final_latent
    return [first, Pass(length, length - t_enc - 1, (height, width), hires=True)]


def calls_per_step(plan: SamplerPlan, steps: int) -> list[int]:
    """How many model calls each step makes with diffusers' class of this sampler."""
    if plan.class_name == "PNDMScheduler" and steps > 1:
        return [2, *[1] * (steps - 1)]
    return calls_of_order(plan.order, steps)


class Job:
    """Makes the images of one request, in groups that are sampled together."""

    def __init__(self, setting: Setting) -> None:
        self._set = setting
        self._passes = passes_of(setting.request, setting.init is not None)
        self._guides: dict[bool, Guidance] = {}
        self._previews = Previews(None, setting.networks.vae, 0)

    def run(self, seeds: list[int], group: int) -> list[NDArray[np.uint8]]:
        """All images, `group` of them at a time. The result does not depend on `group` but for rounding."""
        calls = sum(sum(calls_per_step(self._set.plan, each.steps)) for each in self._passes)
        rounds = -(-len(seeds) // group)
        self._previews = Previews(self._set.progress, self._set.networks.vae, calls * rounds)
        self._guides = {each.hires: self._guidance(each) for each in self._passes}
        images: list[NDArray[np.uint8]] = []
        for start in range(0, len(seeds), group):
            images += self._group(seeds[start : start + group])
        return images

    def _group(self, seeds: list[int]) -> list[NDArray[np.uint8]]:
        first, *more = self._passes
        latents = self._first_pass(first, seeds)
        for second in more:
            latents = self._second_pass(second, latents, seeds)
        self._set.check()
        images = finish(decode(self._set.networks.vae, latents), self._set.units)
        return images if self._set.init is None else [paste_back(each, self._set.init) for each in images]

    def _first_pass(self, run: Pass, seeds: list[int]) -> Any:
        noise, generators = self._noise(seeds, run.size)
        schedule = self._schedule(run, seeds)
        if self._set.init is None:
            return self._sample(run, schedule, schedule.start_noise(noise), generators)
        start, mask = self._init_latents(self._set.init, run.size, noise)
        multiplier = self._set.request.initial_noise_multiplier
        noisy = schedule.add_noise(start, noise * (1.0 if multiplier is None else multiplier))
        if mask is None:
            return self._sample(run, schedule, noisy, generators)

        def keep(predicted: Any) -> Any:
            return predicted * mask + start * (1.0 - mask)

        return keep(self._sample(run, schedule, noisy, generators, keep))

    def _second_pass(self, run: Pass, latents: Any, seeds: list[int]) -> Any:
        request, vae = self._set.request, self._set.networks.vae
        plan = hires_target(
            request.width, request.height, request.hr_scale, request.hr_resize_x, request.hr_resize_y
        )
        name = request.hr_upscaler or "Latent"
        if name in PICTURE_UPSCALERS:
            pictures = [upscale_picture(each, name, plan.upscale_to) for each in decode(vae, latents)]
            latents = cut_latents(_stack([encode(vae, each) for each in pictures]), plan.truncate)
        else:
            known = name if name in LATENT_UPSCALERS else "Latent"
            latents = upscale_latents(latents, known, plan.upscale_to, plan.truncate)
        noise, generators = self._noise(seeds, run.size)
        schedule = self._schedule(run, seeds)
        return self._sample(run, schedule, schedule.add_noise(latents, noise), generators)

    def _init_latents(self, init: InitPicture, size: tuple[int, int], noise: Any) -> tuple[Any, Any]:
        """(latents (B, 4, h, w) of the init picture, mask (1, 1, h, w) with 1 = repaint, or None)."""
        import torch
        import torch.nn.functional as functional

        latents = encode(self._set.networks.vae, init.picture).to(self._set.device)
        if init.resize_latent:
            latents = functional.interpolate(latents, size=size, mode="bilinear")
        latents = latents.expand(noise.shape[0], -1, -1, -1)
        if init.mask is None:
            return latents, None
        mask = torch.from_numpy(latent_mask(init.mask, size[1], size[0]).copy())[None, None].to(
            latents.device
        )
        if init.fill == 2:
            latents = latents * (1.0 - mask) + noise * mask
        elif init.fill == 3:
            latents = latents * (1.0 - mask)
        return latents, mask

    def _sample(
        self,
        run: Pass,
        schedule: Schedule,
        latents: Any,
        generators: list[Any],
        keep: Callable[[Any], Any] | None = None,
    ) -> Any:
        guidance = self._guides[run.hires]
        if keep is not None and self._set.plan.spec.uses_timesteps:
            # DDIM, PLMS and UniPC: the web UI replaces what the network gets, not what it predicts.
            guidance = replace(guidance, before=keep)
        elif keep is not None:
            guidance = replace(guidance, blends=[*guidance.blends, keep])
        return sample(guidance, schedule, latents, generators, self._previews, self._set.check)

    def _schedule(self, run: Pass, seeds: list[int]) -> Schedule:
        betas = self._set.networks.scheduler
        return Schedule(self._set.plan, betas, run.schedule_steps, run.start, seeds, self._set.device)

    def _noise(self, seeds: list[int], size: tuple[int, int]) -> tuple[Any, list[Any]]:
        """Start noise (B, 4, h, w) on the device, and the generators for the draws that follow it."""
        import torch

        source = ImageNoise(seeds, (4, *size))
        first = torch.as_tensor(source.first(), dtype=torch.float32)
        return first.to(self._set.device), _generators(seeds, first)

    def _guidance(self, run: Pass) -> Guidance:
        request, networks = self._set.request, self._set.networks
        # Editing is scheduled over the model calls of the steps asked for (samplers of second order make
        # two per step), also where img2img runs only some of the steps.
        order = self._set.plan.order
        second = run.steps * order if run.hires else None
        prompts = PromptPlan(self._set.prompt, request.negative_prompt, request.steps * order, second)
        for text in prompts.texts():
            self._set.encoder.encode(text)
        control = ControlPass(
            [each.prepared for each in self._set.units],
            latent_size=run.size,
            calls_per_step=calls_per_step(self._set.plan, run.steps),
            device=self._set.device,
            dtype=self._set.dtype,
            offload=self._set.offload,
            check=self._set.check,
        )
        blends = [latent_blend(each, networks.vae, run.size[0]) for each in self._set.units]
        return Guidance(
            unet=networks.unet,
            encoder=self._set.encoder,
            prompts=prompts,
            control=control,
            cfg=float(request.cfg_scale),
            prediction=str(networks.scheduler.get("prediction_type", "epsilon")),
            blends=[each for each in blends if each is not None],
        )


def _generators(seeds: list[int], first: Any) -> list[Any]:
    """Each image's CPU generator, past its first draw."""
    import torch

    generators: list[Any] = []
    for seed in seeds:
        generator = torch.Generator("cpu").manual_seed(seed % 2**64)
        torch.randn(first.shape[1:], generator=generator)
        generators.append(generator)
    return generators


def _stack(latents: list[Any]) -> Any:
    import torch

    return torch.cat(latents)
