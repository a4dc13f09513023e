"""Noise of a batch, and the web UI's DDIM and PLMS: against the originals' own formulas, without ComfyUI."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from img_open.a1111.noise import ImageNoise
from img_open.a1111.sigmas import alphas_cumprod, model_sigmas, timestep_to_sigma, timesteps_for
from img_open.base.errors import Unsupported
from img_open.engines.comfy_noise import NoiseSource
from img_open.engines.comfy_solvers import sample_ddim, sample_plms

SHAPE = (4, 4, 6, 8)


def latent(count: int = 4, **more: Any) -> dict[str, Any]:
    return {"samples": torch.zeros(count, *SHAPE[1:]), **more}


@pytest.mark.parametrize("source", ["cpu", "nv"])
def test_a_batch_is_its_pictures_one_by_one(source: Any) -> None:
    batch = NoiseSource(7, source=source).generate_noise(latent())
    for number in range(4):
        assert torch.equal(batch[number], NoiseSource(7 + number, source=source).generate_noise(latent(1))[0])
        assert torch.equal(
            batch[number], NoiseSource(7, first=number, source=source).generate_noise(latent(1))[0]
        )


def test_the_host_s_batch_index_picks_pictures() -> None:
    batch = NoiseSource(7).generate_noise(latent())
    picked = NoiseSource(7).generate_noise(latent(2, batch_index=[2, 0]))
    assert torch.equal(picked, batch[[2, 0]])


def test_variation_keeps_the_seed_and_counts_the_variation_s() -> None:
    made = NoiseSource(7, first=2, subseed=50, strength=0.3).generate_noise(latent(2))
    wanted = ImageNoise([7, 7], SHAPE[1:], subseeds=[52, 53], strength=0.3).first()
    assert torch.equal(made, wanted)


def test_multiplier_and_seed_resize() -> None:
    plain = NoiseSource(7).generate_noise(latent(1))
    assert torch.equal(NoiseSource(7, multiplier=0.5).generate_noise(latent(1)), plain * 0.5)
    resized = NoiseSource(7, resize=(96, 96)).generate_noise(latent(1))
    assert torch.equal(resized, ImageNoise([7], SHAPE[1:], seed_resize=(96, 96)).first())


def test_video_latents_are_refused() -> None:
    with pytest.raises(Unsupported, match="5 dimensions"):
        NoiseSource(7).generate_noise({"samples": torch.zeros(1, 4, 2, 6, 8)})


# --- the originals, at unit variance over timesteps (stable-diffusion-webui 1.8) ---


def original(kind: str, eps_of: Any, x: torch.Tensor, steps: list[int]) -> torch.Tensor:
    alphas = torch.from_numpy(alphas_cumprod())
    before: list[torch.Tensor] = []

    def move(x: torch.Tensor, eps: torch.Tensor, index: int) -> torch.Tensor:
        now, then = alphas[steps[index]], alphas[steps[index - 1]]
        predicted = (x - (1 - now).sqrt() * eps) / now.sqrt()
        return then.sqrt() * predicted + (1 - then).sqrt() * eps

    for index in range(len(steps) - 1, 0, -1):
        eps = eps_of(x, steps[index])
        if kind == "ddim":
            x = move(x, eps, index)
            continue
        if not before:
            mean = (eps + eps_of(move(x, eps, index), steps[index - 1])) / 2
        elif len(before) == 1:
            mean = (3 * eps - before[-1]) / 2
        elif len(before) == 2:
            mean = (23 * eps - 16 * before[-1] + 5 * before[-2]) / 12
        else:
            mean = (55 * eps - 59 * before[-1] + 37 * before[-2] - 9 * before[-3]) / 24
        x, before = move(x, mean, index), [*before, eps]
    return x


@pytest.mark.parametrize("count", [2, 3, 6, 20])
@pytest.mark.parametrize("kind", ["ddim", "plms"])
def test_ddim_and_plms_are_the_web_ui_s(kind: str, count: int) -> None:
    """On a made-up network: what it says of the noise depends on latents and timestep."""
    levels = model_sigmas()
    steps = timesteps_for(count)
    sigmas = torch.from_numpy(timestep_to_sigma(steps[::-1], levels))

    def eps_of(x: torch.Tensor, timestep: float) -> torch.Tensor:
        return torch.tanh(x * 0.7 + timestep / 1000) + 0.1 * x

    def denoiser(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        level = sigma.reshape(-1, 1, 1, 1)
        timestep = float(np.abs(levels - float(sigma[0])).argmin())
        return x - level * eps_of(x / (1 + level**2).sqrt(), timestep)

    start = torch.randn(2, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = original(kind, eps_of, start, steps)
    sampler = sample_ddim if kind == "ddim" else sample_plms
    calls: list[int] = []
    made = sampler(
        denoiser, start * (1 + sigmas[0] ** 2) ** 0.5, sigmas, callback=lambda at: calls.append(at["i"])
    )
    assert torch.allclose(made, wanted, atol=1e-6)
    assert calls == list(range(len(steps) - 1))
