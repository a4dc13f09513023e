"""Residual scales and the step window, against the original's numbers."""

from __future__ import annotations

import pytest
from img_open.base.errors import InvalidRequest
from img_open.controlnet.spelling import ControlMode, HrOption
from img_open.controlnet.weights import (
    ADAPTER_PLACES,
    acts_in_pass,
    is_soft_in_high_res,
    residual_scales,
)
from img_open.controlnet.window import (
    active_calls,
    active_step_range,
    is_active,
    sampling_step,
    sampling_steps,
)


@pytest.mark.golden_table("residual_scales")
def test_residual_scales(row):
    arguments, expected = row
    sdxl = arguments.get("is_sdxl", False)
    high_res = arguments.get("hires", False)
    adapter = arguments.get("model_type") == "T2I_Adapter"
    if not acts_in_pass(HrOption(arguments.get("hr_option", "Both")), high_res):
        assert expected["middle_residual"] == [0, 0]
        assert all(pair == [0, 0] for pair in expected["skip_residuals"])
        return
    family = {(False, False): "sd15", (True, False): "sdxl", (False, True): "t2i", (True, True): "t2i_sdxl"}
    scales = residual_scales(
        ControlMode(arguments.get("control_mode", "Balanced")),
        arguments["weight"],
        family[sdxl, adapter],
        advanced_weighting=arguments.get("advanced_weighting"),
        high_res_soft=high_res and is_soft_in_high_res(arguments.get("module", "none")),
        global_average_pooling=arguments.get("global_average_pooling", False),
    )
    places = [*expected["skip_residuals"], expected["middle_residual"]]
    if adapter:
        index = ADAPTER_PLACES[family[sdxl, adapter]]
        assert [place for place, pair in enumerate(places[:-1]) if pair[0]] == [i for i in index if i >= 0]
        places = [places[i] for i in index]
    assert len(scales) == len(places)
    for scale, pair in zip(scales, places, strict=True):
        assert scale == pytest.approx(tuple(pair), abs=1e-6)


def test_weight_multiplies_and_small_models_end_with_one():
    scales = residual_scales(ControlMode.PROMPT, 0.5, "sd15", count=4)
    assert [cond for cond, _ in scales] == pytest.approx([0.5 * 0.825**3, 0.5 * 0.825**2, 0.5 * 0.825, 0.5])
    assert all(cond == uncond for cond, uncond in scales)


def test_advanced_weighting_replaces_the_weight_and_must_fit():
    scales = residual_scales(ControlMode.CONTROL, 2.0, "sd15", count=3, advanced_weighting=[0.1, 0.2, 0.3])
    assert scales == [(0.1, 0.0), (0.2, 0.0), (0.3, 0.0)]
    with pytest.raises(InvalidRequest, match="13 numbers"):
        residual_scales(ControlMode.BALANCED, 1.0, "sd15", advanced_weighting=[1.0] * 10)


@pytest.mark.golden_table("guidance_window")
def test_guidance_window(row):
    start, end, total, expected = row
    assert [is_active(start, end, step, total) for step in range(total)] == [bool(each) for each in expected]


def test_the_counter_lags_by_one_call():
    assert sampling_steps([1] * 5) == [0, 0, 1, 2, 3]
    assert sampling_steps([2, 2, 1]) == [0, 0, 0, 1, 1]
    assert sampling_step(99, [1, 1, 1]) == 1


def test_windows_of_a_run():
    # start 0.2 of 20 steps begins at call 5, not 4; start 0.95 and 1 never begin; end 0 covers two calls.
    assert active_calls(0.2, 1.0, 1, 20).index(True) == 5
    assert not any(active_calls(0.95, 1.0, 1, 20))
    assert not any(active_calls(1.0, 1.0, 1, 20))
    assert sum(active_calls(0.0, 0.0, 1, 20)) == 2
    assert active_calls(0.0, 1.0, 2, 3) == [True] * 5
    assert active_calls(0.0, 1.0, 2, 0) == []


def test_step_range_for_hosts_that_gate_by_sigma():
    assert active_step_range(0.2, 0.5, 20) == (5, 11)
    assert active_step_range(0.0, 1.0, 20) == (0, 19)
    assert active_step_range(1.0, 1.0, 20) is None
