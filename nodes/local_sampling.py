"""Noise, sampler and sigmas, guidance and masked latents as the web UI has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..base.errors import InvalidRequest
from .bodies import check_choice
from .local_tables import GUIDER, INPAINT, NOISE, RUNS, SCHEDULES, SIGMAS, SOURCES
from .request_fields import FILL_MODES
from .schema import schema

if TYPE_CHECKING:
    import torch


class ImgOpenNoise(io.ComfyNode):
    """A NOISE with one generator per picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(NOISE)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..engines.comfy_noise import NoiseSource

        values = {**NOISE.defaults(), **inputs}
        check_choice("source", values["source"], SOURCES)
        resize = (values["resize_from_height"], values["resize_from_width"])
        return io.NodeOutput(
            NoiseSource(
                seed=values["seed"],
                first=values["first_image"],
                source=values["source"],
                ensd=values["ensd"],
                subseed=values["variation_seed"],
                strength=values["variation_strength"],
                resize=resize if min(resize) > 0 else None,
                multiplier=values["multiplier"],
            )
        )


class ImgOpenSigmas(io.ComfyNode):
    """A SAMPLER and its SIGMAS by the web UI's names."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(SIGMAS)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        import torch

        from ..engines.comfy_noise import NoiseSource
        from ..engines.comfy_sampling import WebUiSampler
        from ..engines.comfy_schedule import chosen_sampler, plan_run

        values = {**SIGMAS.defaults(), **inputs}
        check_choice("run", values["run"], RUNS)
        check_choice("schedule", values["schedule"], SCHEDULES)
        schedule = "" if values["schedule"] == SCHEDULES[0] else values["schedule"]
        spec = chosen_sampler(values["sampler_index"], schedule)
        noise = values["noise"]
        if noise is not None and not isinstance(noise, NoiseSource):
            raise InvalidRequest(
                "noise comes from another node than Noise per Image (Img Open).",
                "Wire that one, or none: the sampler then draws noise as ComfyUI does.",
            )
        plan = plan_run(spec, values["model"], values["steps"], values["run"], values["denoising_strength"])
        sampler = WebUiSampler(spec, noise, values["run"] == "txt2img", plan.start_sigma, plan.total)
        return io.NodeOutput(sampler, torch.from_numpy(plan.sigmas.astype("float32")))


class ImgOpenGuider(io.ComfyNode):
    """A GUIDER that knows prompt editing, AND and the web UI's inpainting."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(GUIDER)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..engines.comfy_sampling import WebUiGuider

        values = {**GUIDER.defaults(), **inputs}
        return io.NodeOutput(
            WebUiGuider(
                values["model"],
                values["positive"],
                values["negative"],
                values["cfg"],
                (values["width"], values["height"]),
            )
        )


class ImgOpenInpaintLatent(io.ComfyNode):
    """A latent with its mask, and with the start of the masked part."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(INPAINT)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        import torch

        from ..a1111.img2img import latent_mask
        from .pixels import masks, single

        values = {**INPAINT.defaults(), **inputs}
        check_choice("inpainting_fill", values["inpainting_fill"], FILL_MODES)
        latent: dict[str, Any] = dict(values["latent"])
        samples: torch.Tensor = latent["samples"]
        mask = single(masks(values["mask"], "mask"), "mask")
        cells = torch.from_numpy(latent_mask(mask, samples.shape[-1], samples.shape[-2]).copy())[None, None]
        if values["inpainting_fill"] == FILL_MODES[2]:
            samples = samples * (1.0 - cells) + _noise(values, latent) * cells
        elif values["inpainting_fill"] == FILL_MODES[3]:
            samples = samples * (1.0 - cells)
        latent["samples"], latent["noise_mask"] = samples, cells
        return io.NodeOutput(latent)


def _noise(values: dict[str, Any], latent: dict[str, Any]) -> torch.Tensor:
    """The start noise in the scale of a LATENT."""
    if values["noise"] is None or values["model"] is None:
        raise InvalidRequest("latent noise needs a model and a noise.", "Wire model and noise.")
    drawn = values["noise"].generate_noise(latent)
    return values["model"].get_model_object("latent_format").process_out(drawn)
