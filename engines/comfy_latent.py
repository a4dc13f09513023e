"""inpaint_only and tile_colorfix inside ComfyUI: what they do to the predicted picture at every model call.

Both work beside their control model, in latent space, on each row before guidance: a MODEL patch, by the
host's `set_model_sampler_pre_cfg_function`. Neither heeds the step window or hr_option (sd-webui-controlnet
1.1.455). Tested on ComfyUI 0.3.48 and 0.3.64. Guiders that leave CFGGuider's own prediction out (DualCFG)
do not call it.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..controlnet.unit import ControlNetUnit
from .comfy_rules import POSITIVE, Maps

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

LAMA = "img_open_lama"  # of model_options: Latents that the pack's sampler mixes into its noise


def blends(module: str) -> bool:
    """Whether the module needs the MODEL for its part in the latents."""
    return module.startswith(("inpaint_only", "tile_colorfix"))


def with_blend(model: Any, unit: ControlNetUnit, pictures: Maps, vae: Any) -> Any:
    """The MODEL with the unit's part in the latents, for all that is sampled with it.

    inpaint_only+lama has a second part: its picture goes into the noise, which the pack's sampler sees to.

    Args:
        model: ComfyUI's MODEL; not changed.
        unit: module, sliders and weight count; the weight is cut to 0..1.
        pictures: the control pictures as maps with values 0..1; for inpaint_only a 4th channel, 1 = repaint.
        vae: the checkpoint's, for the pictures' latents.
    """
    patched, latents = model.clone(), Latents(pictures, vae)
    patched.set_model_sampler_pre_cfg_function(_Blend(unit, latents))
    if unit.module.endswith("+lama"):
        patched.model_options[LAMA] = latents
    return patched


class Latents:
    """Control pictures as latents of the model, made when a pass first needs them."""

    def __init__(self, pictures: Maps, vae: Any) -> None:
        self.pictures, self.vae = pictures, vae
        self._made: tuple[torch.Tensor, torch.Tensor] | None = None

    def choose(self, model: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
        """(latent, picture, whether this is the high-resolution pass) for latents like `x`.

        The latent is in the scale that the host's samplers work in, on the device and in the precision of
        `x`.
        """
        picture, high = self.pictures.choose(int(x.shape[-2]), int(x.shape[-1]))
        return self._encoded(model, picture).to(x), picture, high

    def mixer(self, model: Any, noise: torch.Tensor) -> Callable[[torch.Tensor, float], torch.Tensor] | None:
        """What turns noise of this size (times a factor) into the picture noised to the last timestep.

        None where the picture of the generation has another size, as in a second pass: the web UI's noise
        stays as it is there.
        """
        low = self.pictures.low
        if tuple(each * 8 for each in noise.shape[-2:]) != tuple(low.shape[2:]):
            return None
        latent = self._encoded(model, low).to(noise)
        share = 1.0 / (1.0 + float(model.model_sampling.sigmas[-1]) ** 2)

        def mix(drawn: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
            return drawn * (1.0 - share) ** 0.5 + latent.to(drawn) * (share**0.5 * factor)

        return mix

    def _encoded(self, model: Any, picture: torch.Tensor) -> torch.Tensor:
        import comfy.model_management

        if self._made is None or self._made[0] is not picture:
            # The VAE may push the models out that are sampling now; the host's ControlNet does the same.
            loaded = comfy.model_management.loaded_models(only_currently_used=True)
            latent = self.vae.encode(picture[:, :3].movedim(1, -1))
            comfy.model_management.load_models_gpu(loaded)
            self._made = (picture, model.process_latent_in(latent))
        return self._made[1]


class _Blend:
    """Called by the host with the predicted pictures of all conditionings."""

    def __init__(self, unit: ControlNetUnit, latents: Latents) -> None:
        self.unit, self.latents = unit, latents
        self.weight = min(max(unit.weight, 0.0), 1.0)
        _, self.variation, self.sharpness, _ = unit.sliders()

    def __call__(self, args: dict[str, Any]) -> list[Any]:
        reference, picture, high = self.latents.choose(args["model"], args["input"])
        out = list(args["conds_out"])
        for side, predicted in enumerate(out):
            if args["conds"][side] is None:  # not run: the host skips a side without influence
                continue
            if self.unit.module.startswith("inpaint_only"):
                wanted = keep_unmasked(predicted, reference, picture[:, 3:4].to(predicted))
            else:
                radius = int(self.variation) * (2 if high else 1)
                wanted = keep_colours(predicted, reference, radius)
                if self.unit.module.endswith("+sharp") and side != POSITIVE:
                    softness = self.sharpness * 0.01
                    wanted = softness * blur(wanted, radius) + (1 - softness) * wanted
            out[side] = wanted * self.weight + predicted * (1 - self.weight)
        return out


def keep_unmasked(predicted: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The prediction (B, 4, h, w) where the soft mask (1 or B, 1, 8h, 8w) is, the reference elsewhere."""
    import torch.nn.functional as functional

    small = functional.max_pool2d(mask, (10, 10), stride=(8, 8), padding=1)
    return predicted * small + reference * (1 - small)


def keep_colours(predicted: torch.Tensor, reference: torch.Tensor, radius: int) -> torch.Tensor:
    """The prediction's details over the reference's colours."""
    return predicted - blur(predicted, radius) + blur(reference, radius)


def blur(latents: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over (2 radius + 1) x (2 radius + 1) latent cells, the edge repeated."""
    import torch.nn.functional as functional

    padded = functional.pad(latents, (radius,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, 2 * radius + 1, stride=1)
