"""A unit on ComfyUI's own control models, proven on tensors (engines/comfy_control.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from img_open.controlnet.window import active_calls

TABLES = json.loads((Path(__file__).parents[1] / "golden" / "controlnet" / "tables.json").read_text("utf-8"))
SCALE_ROWS = TABLES["residual_scales"]["rows"]
CALL_ROWS = {row[0]: row[3] for row in TABLES["denoiser_calls"]["rows"] if row[1] == 6 and row[2] is None}
Facts = dict[str, Any]


def named(row: list[Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in row[0].items() if value is not False)[:110]


@pytest.mark.parametrize("number", range(len(SCALE_ROWS)), ids=map(named, SCALE_ROWS))
def test_residuals_are_scaled_as_by_the_web_ui(facts: Facts, number: int) -> None:
    """Measured in a sampling run against the host's node with strength 1, per residual and row."""
    arguments, table = SCALE_ROWS[number]
    found = facts["scales"][number]
    assert found["called"] == table["called"]
    if not table["called"]:
        return
    places = [*table["skip_residuals"], table["middle_residual"]]
    if "model_type" in arguments:  # an adapter has four features, the table a row per block
        places = [place for place in places if any(place)]
    measured = [value for place in found["factors"] for value in place]
    assert measured == pytest.approx([value for place in places for value in place], abs=1e-6)
    assert found["error"] < 1e-6


def test_the_window_counts_steps_whatever_the_schedule(facts: Facts) -> None:
    rows = [row for row in facts["windows"] if row["mode"] == "steps"]
    assert {row["scheduler"] for row in rows} == {"normal", "karras", "exponential"}
    for row in rows:
        assert row["calls"] == active_calls(*row["window"], 1, 20), row
    middle = [row for row in rows if row["window"] == [0.3, 0.7]]
    assert [sum(row["calls"]) for row in middle] == [9, 9, 9]


def test_the_window_in_sigmas_is_the_hosts_own(facts: Facts) -> None:
    rows = {row["scheduler"]: sum(row["calls"]) for row in facts["windows"] if row["mode"] == "sigma"}
    assert rows == {"normal": 8, "karras": 4, "exponential": 4}


def test_controlled_calls_follow_the_table(facts: Facts) -> None:
    assert len(facts["table_windows"]) == len(TABLES["guidance_window"]["rows"])
    for row in facts["table_windows"]:
        assert row["calls"] == [bool(row["table"][step]) for step in row["counter"]]
        steps = len(row["table"])
        assert row["counter"] == [0, *range(steps - 1)]


SECOND_ORDER = ("Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ SDE Karras")
FIRST_ORDER = ("Euler", "Euler a", "LMS", "DPM++ 2M Karras", "DPM++ 2M SDE Karras", "DPM++ 3M SDE", "LCM")


@pytest.mark.parametrize("sampler", FIRST_ORDER + SECOND_ORDER)
def test_the_step_counter_is_the_web_uis(facts: Facts, sampler: str) -> None:
    assert facts["counters"][sampler] == [step for step, _ in CALL_ROWS[sampler]]


def test_balanced_is_the_hosts_own_node_in_every_bit(facts: Facts) -> None:
    assert len(facts["identity"]) == 13
    assert [name for name, equal in facts["identity"].items() if not equal] == []


def test_no_mode_costs_a_model_call(facts: Facts) -> None:
    """Both sides stay in one batch of two, once per step."""
    assert len(facts["model_calls"]) == 4  # the host's node and the three modes
    assert set(map(tuple, facts["model_calls"].values())) == {(2, 2, 2)}


def test_a_batch_of_four_is_four_single_runs(facts: Facts) -> None:
    assert len(facts["batches"]) == 6
    assert max(facts["batches"].values()) < 1e-5


def test_sides_run_apart_give_the_same(facts: Facts) -> None:
    assert facts["split_batches"] < 2e-5


def test_interrupt_copy_and_unload_leave_nothing_behind(facts: Facts) -> None:
    assert [name for name, equal in facts["survival"].items() if not equal] == []


def test_every_pass_gets_a_map_of_its_own_size(facts: Facts) -> None:
    found = facts["maps_and_masks"]
    assert found["asked"][0] == [96, 128]
    assert found["own size equals host"]
    assert found["fitted equals host's on that map"]


def test_the_region_mask_is_multiplied_in_bilinearly(facts: Facts) -> None:
    assert facts["maps_and_masks"]["region"] < 1e-6


def test_an_adapter_runs_once_for_both_passes(facts: Facts) -> None:
    assert facts["maps_and_masks"]["adapter features reused"] == [True] * 4


def test_masked_pixels_stay_minus_one(facts: Facts) -> None:
    assert facts["maps_and_masks"]["inpaint minimum"] == -1


def test_a_union_model_is_told_its_type(facts: Facts) -> None:
    found = facts["union"]
    assert found["Soft Edge"] == found["host"] == {"control_type": [2]}
    assert found["Unknown"] == found["no union model"] == {}


def test_a_union_model_runs_as_in_the_host_and_heeds_the_modes(facts: Facts) -> None:
    """Ten residuals at the host's own width; those of the host with its type node, times 0.825^(12 - i)."""
    found = facts["union_runs"]
    assert found["equal"] == {"Depth": True, "Soft Edge": True, "Unknown": True}
    assert found["types differ"]
    soft = [0.825 ** (12 - number) for number in range(10)]
    expected = {"My prompt is more important": 1, "ControlNet is more important": 0}
    for mode, uncond in expected.items():
        wanted = [value for factor in soft for value in (factor, factor * uncond)]
        measured = [value for place in found["factors"][mode] for value in place]
        assert measured == pytest.approx(wanted, abs=1e-6), mode
    assert found["error"] < 1e-6


def test_a_type_the_union_model_does_not_know_is_refused(facts: Facts) -> None:
    said = facts["union_runs"]["too new a type"]
    assert said.startswith("InvalidRequest")
    assert "'Tile'" in said
    assert "Segmentation" in said


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("SDXL on SD1.5 text", "made for SDXL, but the checkpoint is SD1.5"),
        ("SDXL adapter on SD1.5", "made for SDXL, but the checkpoint is SD1.5"),
        ("SD1.5 adapter on SDXL", "made for SD1.5, but the checkpoint is SDXL"),
        ("NaN", "contains NaN"),
        ("weights", "a list of 13 numbers"),
    ],
)
def test_bad_input_is_one_clear_error(facts: Facts, case: str, words: str) -> None:
    assert words in facts["errors"][case]
    assert facts["errors"]["afterwards"] == "fine"
