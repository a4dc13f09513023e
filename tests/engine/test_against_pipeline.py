"""Where diffusers' own pipeline can do the same, the pack's loop gives the same latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from img_open.engines import diffusers_job


@pytest.fixture
def finished(monkeypatch):
    """The latents each image ended with."""
    seen = []
    real = diffusers_job.sample

    def record(*args):
        seen.append(real(*args))
        return seen[-1]

    monkeypatch.setattr(diffusers_job, "sample", record)
    return seen


@pytest.mark.parametrize(
    ("sampler", "class_name", "options"),
    [
        ("Euler", "EulerDiscreteScheduler", {}),
        ("Euler Karras", "EulerDiscreteScheduler", {"use_karras_sigmas": True}),
        ("Euler a", "EulerAncestralDiscreteScheduler", {}),
        ("Heun", "HeunDiscreteScheduler", {}),
    ],
)
def test_balanced_full_window_equals_stable_diffusion_controlnet_pipeline(
    run, body, unit, engine, models, finished, sampler, class_name, options
):
    import diffusers

    result = run(body([unit()], steps=5, sampler_index=sampler, cfg_scale=5))
    networks = engine._loader.checkpoint(models.find_checkpoint("demo"))
    betas = {
        key: value for key, value in networks.scheduler.items() if key.startswith(("beta", "num_t", "pred"))
    }
    pipeline = diffusers.StableDiffusionControlNetPipeline(
        vae=networks.vae,
        text_encoder=networks.text_encoder,
        tokenizer=networks.tokenizer,
        unet=networks.unet,
        controlnet=engine._loader.controlnet(models.find_controlnet("canny")),
        scheduler=getattr(diffusers, class_name)(**betas, timestep_spacing="linspace", **options),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(11)
    hint = torch.from_numpy(result.control_images[0].astype(np.float32) / 255).permute(2, 0, 1)[None]
    latents = pipeline(
        "a red circle",
        negative_prompt="blue",
        image=hint,
        width=64,
        height=64,
        num_inference_steps=5,
        guidance_scale=5.0,
        latents=torch.randn((1, 4, 8, 8), generator=generator),
        generator=generator,
        output_type="latent",
    ).images
    assert float((latents - finished[0]).abs().max()) < 1e-4
