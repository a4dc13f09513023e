"""The sampler table: which names run, which are refused, and what the schedules look like."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.base.errors import InvalidRequest, MissingDependency, Unsupported
from img_open.engines.diffusers_samplers import Schedule, plan_sampler, runnable_samplers

BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
#: The page's names that have a class in diffusers.
RUNNABLE = [
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2M", "LMS Karras", "DPM2 Karras",
    "DPM2 a Karras", "DPM++ 2M Karras", "DDIM", "PLMS", "UniPC", "DPM++ 2M SDE", "DPM++ 2M SDE Karras",
    "DPM++ 2M SDE Exponential",
    "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DPM++ 3M SDE Karras", "LCM",
]  # fmt: skip


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("steps", [1, 3])
def test_every_runnable_name_gives_a_picture(run, body, name, steps):
    result = run(body(sampler_index=name, steps=steps, cfg_scale=1))
    assert result.images[0].std() > 1


@pytest.mark.parametrize("name", ["DPM++ 2S a", "DPM++ 2S a Karras", "DPM fast", "DPM adaptive", "Restart"])
def test_names_without_a_class_are_refused_with_alternatives(run, body, name):
    with pytest.raises(Unsupported, match=r"sampler_index.*Use for example '"):
        run(body(sampler_index=name))


@pytest.mark.parametrize("name", ["DPM++ SDE", "DPM++ SDE Karras"])
def test_dpm_sde_asks_for_its_package_where_it_is_missing(name, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda wanted, *a: None if wanted == "torchsde" else real(wanted, *a)
    )
    with pytest.raises(MissingDependency, match="torchsde"):
        plan_sampler(name)


def test_an_unknown_name_is_refused(run, body):
    with pytest.raises(InvalidRequest, match="Euler Z"):
        run(body(sampler_index="Euler Z"))


def test_a_schedule_a_class_cannot_do_is_refused():
    with pytest.raises(Unsupported, match=r"karras|Karras"):
        plan_sampler("Euler a Karras")


def test_samplers_that_differ_say_so(run, body):
    assert [info.field for info in run(body(sampler_index="DDIM", steps=1)).infos] == ["sampler_index"]
    assert run(body(sampler_index="Euler a", steps=1)).infos == []


def test_every_class_named_exists_in_diffusers():
    import diffusers

    names = runnable_samplers()
    assert set(RUNNABLE) <= set(names)
    for name in names:
        assert hasattr(diffusers, plan_sampler(name).class_name), name


def sigmas(name, steps, start=0):
    schedule = Schedule(plan_sampler(name), BETAS, steps, start, [0], "cpu")
    return schedule, [level for _, level in schedule.calls]


GOLDEN_NAMES = [
    "Euler",
    "Euler a",
    "LMS",
    "DPM++ 2M",
    "DPM++ 2M Karras",
    "DPM++ 2M SDE Exponential",
    "DPM++ 3M SDE Karras",
]


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_noise_levels_are_the_web_ui_s(golden, name):
    rows = [row for row in golden.tables()["sigmas"]["rows"] if row[0] == name]
    assert rows or name not in ("Euler", "DPM++ 2M Karras")
    for _, steps, strength, expected in rows:
        start = 0
        if strength is not None:
            start = steps - len(expected[:-1])
        _, made = sigmas(name, steps, start)
        assert made == pytest.approx(expected[:-1], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2", "LMS", "DPM++ 2M", "DPM++ 2M Karras"])
def test_txt2img_starts_at_noise_times_the_first_sigma(name):
    """In the picture's own scale: diffusers' classes keep their samples in one of two scales."""
    import torch

    schedule, levels = sigmas(name, 10)
    scaled = schedule.scheduler.scale_model_input(schedule.start_noise(torch.ones(1)), schedule.calls[0][0])
    assert float(scaled) == pytest.approx(levels[0] / np.sqrt(1 + levels[0] ** 2), rel=1e-3)


def test_uniform_ends_at_the_first_training_timestep():
    schedule, _ = sigmas("DPM++ 2M", 5)
    assert [float(each) for each, _ in schedule.calls] == pytest.approx(
        [999, 749.25, 499.5, 249.75, 0], abs=0.01
    )


@pytest.mark.parametrize("name", [each for each in RUNNABLE if each not in ("DDIM", "PLMS", "LCM")])
def test_a_single_step_starts_at_the_noisy_end(name):
    assert sigmas(name, 1)[1] == pytest.approx([14.6146], rel=1e-3)


@pytest.mark.parametrize(
    "name", ["DPM++ 2M Karras", "DPM++ 2M Exponential", "Heun Karras", "DPM2 Karras", "DPM2 a"]
)
def test_the_network_is_told_the_timestep_of_the_level_it_gets(name):
    """Not the nearest whole one: near the end that would be a third of the level off."""
    schedule, levels = sigmas(name, 12)
    products = schedule.scheduler.alphas_cumprod.numpy().astype(float)
    table = np.log(np.sqrt((1 - products) / products))
    told = [np.exp(np.interp(float(timestep), np.arange(1000), table)) for timestep, _ in schedule.calls]
    assert told == pytest.approx(levels, rel=2e-3)


def test_lcm_beyond_its_grid_is_an_error(run, body):
    with pytest.raises(InvalidRequest, match="steps"):
        run(body(sampler_index="LCM", steps=60))
