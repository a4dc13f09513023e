"""Sampler names, sigmas and model calls, against the original's."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.a1111.img2img import img2img_steps
from img_open.a1111.samplers import SAMPLERS, calls_per_step, executed_steps, find_sampler
from img_open.a1111.sigmas import (
    executed_sigmas,
    model_sigmas,
    sigma_to_timestep,
    sigmas_for,
    timestep_to_sigma,
    timesteps_for,
)
from img_open.base.errors import InvalidRequest, Unsupported
from img_open.controlnet.window import sampling_steps


@pytest.mark.golden_table("sigmas")
def test_sigmas(row):
    name, steps, strength, values = row
    if find_sampler(name).uses_timesteps:
        assert timesteps_for(steps) == values
        return
    sigmas = sigmas_for(name, steps)
    if strength is not None:
        sigmas = executed_sigmas(sigmas, img2img_steps(steps, strength)[1])
    # The table has six decimals of float32 results.
    assert sigmas == pytest.approx(np.array(values), abs=2e-6, rel=2e-6)


def test_every_sampler_of_the_table_is_known(golden):
    assert {row[0] for row in golden.rows("sigmas")} == set(SAMPLERS)


@pytest.mark.golden_table("denoiser_calls")
def test_denoiser_calls(row):
    name, steps, strength, expected = row
    t_enc = None if strength is None else img2img_steps(steps, strength)[1]
    sampler = find_sampler(name)
    total = executed_steps(steps, t_enc)
    assert [[step, total] for step in sampling_steps(calls_per_step(sampler, steps, t_enc))] == expected


def test_calls_nobody_can_know():
    with pytest.raises(Unsupported, match="DPM adaptive"):
        calls_per_step(find_sampler("DPM adaptive"), 20)


@pytest.mark.parametrize("name", [name for name, spec in SAMPLERS.items() if not spec.uses_timesteps])
@pytest.mark.parametrize("steps", [1, 2, 33])
def test_sigmas_fall_to_zero(name, steps):
    sigmas = sigmas_for(name, steps)
    assert len(sigmas) == steps + 1
    assert (np.diff(sigmas) < 0).all()
    assert sigmas[-1] == 0


@pytest.mark.parametrize("steps", [1, 3, 6, 7, 999, 1000])
def test_timesteps_stay_in_range(steps):
    timesteps = timesteps_for(steps)
    assert timesteps[0] == 1
    assert timesteps[-1] <= 999


def test_wrong_steps():
    with pytest.raises(InvalidRequest, match="steps"):
        sigmas_for("Euler", 0)
    with pytest.raises(InvalidRequest, match="steps"):
        timesteps_for(1001)
    with pytest.raises(Unsupported, match="timesteps"):
        sigmas_for("DDIM", 20)


def test_timestep_and_sigma_are_inverse():
    sigmas = model_sigmas()
    timesteps = np.array([0.0, 0.4, 333.3, 999.0])
    assert sigma_to_timestep(timestep_to_sigma(timesteps, sigmas), sigmas) == pytest.approx(timesteps)
    assert sigma_to_timestep(0.0, sigmas) == 0


def test_names_of_newer_versions():
    assert find_sampler("Euler Karras").comfy_scheduler == "karras"
    assert find_sampler("DPM++ 2M Exponential").schedule == "exponential"
    assert find_sampler("Restart").schedule == "karras"
    assert find_sampler("DPM++ 2M").schedule == "uniform"


@pytest.mark.parametrize("name", ["euler", "DPM++ 2M karras", "DDIM Karras", "", "nope"])
def test_unknown_names_are_refused(name):
    with pytest.raises(InvalidRequest, match="sampler_index"):
        find_sampler(name)


def test_the_near_name_is_told():
    with pytest.raises(InvalidRequest, match=r"Did you mean one of: DPM\+\+ 2M Karras"):
        find_sampler("dpm++ 2m karras")


def test_diffusers_options():
    assert find_sampler("DPM++ 2M Karras").diffusers_options == {"use_karras_sigmas": True}
    assert find_sampler("DPM++ 2M SDE Heun Exponential").diffusers_options == {
        "use_exponential_sigmas": True,
        "algorithm_type": "sde-dpmsolver++",
        "solver_type": "heun",
    }
    without = [name for name, spec in SAMPLERS.items() if spec.diffusers is None]
    assert without == ["DPM++ 2S a", "DPM++ 2S a Karras", "DPM fast", "DPM adaptive", "Restart"]
