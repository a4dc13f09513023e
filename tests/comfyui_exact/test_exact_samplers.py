"""The samplers against the web UI's, written out again (engines/comfy_sampling.py, comfy_solvers.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

Facts = dict[str, Any]
TABLES = json.loads((Path(__file__).parents[1] / "golden" / "controlnet" / "tables.json").read_text("utf-8"))
CALLS = TABLES["denoiser_calls"]["rows"]


@pytest.mark.parametrize("case", ["4 steps", "20 steps", "img2img", "hires"])
def test_unipc_is_the_original_solver_on_the_original_grid(sampler_facts: Facts, case: str) -> None:
    assert sampler_facts["unipc"][case] < 1e-5


def test_ddim_replaces_what_the_model_gets(sampler_facts: Facts) -> None:
    assert sampler_facts["ddim"].keys() == {"plain", "masked"}
    assert max(sampler_facts["ddim"].values()) < 1e-5


def test_restart_is_heun_below_twenty_steps(sampler_facts: Facts) -> None:
    assert sampler_facts["restart"]["heun"] < 1e-5


@pytest.mark.parametrize(("steps", "times"), [(20, 1), (36, 2), (50, 2)])
def test_restart_goes_back_with_the_noise_that_is_missing(
    sampler_facts: Facts, steps: int, times: int
) -> None:
    """From the level nearest to 0.1 to the one nearest to 2, within the steps that were asked for."""
    found = sampler_facts["restart"][str(steps)]
    assert found["steps"] == steps
    assert found["falling"]
    assert found["last"] == 0
    assert len(found["jumps"]) == times
    for low, high in found["jumps"]:
        assert 0.05 < low < 0.2
        assert 1.5 < high < 2.6
    assert abs(found["noise"]) < 1e-9


@pytest.mark.parametrize("name", ["DPM fast", "DPM adaptive"])
def test_dpm_is_ancestral_as_in_the_web_ui(sampler_facts: Facts, name: str) -> None:
    """With eta 1 and the pictures' own noise; ComfyUI's node has eta 0, which is something else."""
    assert sampler_facts["ancestral"][f"{name} eta 1"] < 1e-5
    assert sampler_facts["ancestral"][f"{name} eta 0"] > 0.1


def test_the_hosts_other_samplers_have_the_web_uis_defaults(sampler_facts: Facts) -> None:
    assert sampler_facts["defaults"] == []


def test_every_sampler_of_the_page_runs(sampler_facts: Facts) -> None:
    """On this host, whatever names it knows itself."""
    assert sampler_facts["every_name"] == []


def test_lcm_has_the_web_uis_levels_and_scalings(sampler_facts: Facts) -> None:
    assert sampler_facts["lcm"].keys() == {"levels", "scalings"}
    assert max(sampler_facts["lcm"].values()) < 1e-5


def test_lamas_picture_is_in_every_noise_of_the_first_batch(sampler_facts: Facts) -> None:
    """Start and ancestral steps, noised to timestep 999; not in later batches, not at another size."""
    found = sampler_facts["lama"]
    assert found["first batch"] < 1e-5
    assert found["first batch, without"] > 1e-3
    assert found["second batch"] == found["second batch, without"] < 1e-5
    assert found["another size"] == 0


@pytest.mark.parametrize("number", range(len(CALLS)), ids=[f"{row[0]} {row[2] or ''}" for row in CALLS])
def test_the_step_counter_is_the_web_uis_for_every_sampler(sampler_facts: Facts, number: int) -> None:
    assert sampler_facts["counters"][number]["seen"] == CALLS[number][3]
