"""What a unit means for ComfyUI's residuals, maps and sigmas; no ComfyUI needed (engines/comfy_rules.py).

The same on a real host is in tests/comfyui_exact.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from img_open.base.errors import InvalidRequest, Unsupported
from img_open.controlnet.unit import ControlNetUnit
from img_open.controlnet.window import active_calls, sampling_steps
from img_open.engines import comfy_rules as rules
from img_open.engines.comfy_rules import Maps

KARRAS = [14.6, 9.7, 6.3, 3.9, 2.3, 1.3, 0.7, 0.35, 0.16, 0.07, 0.0]


def unit(**fields: Any) -> ControlNetUnit:
    return ControlNetUnit.from_wire({"enabled": True, "module": "none", "model": "m", **fields})


def residuals(kind: str, rows: int = 4) -> dict[str, list[Any]]:
    """Ones, laid out as ComfyUI's models lay them out."""

    def one() -> torch.Tensor:
        return torch.ones(rows, 2, 4, 4)

    if kind == "sd15":
        return {"output": [one() for _ in range(12)], "middle": [one()]}
    if kind == "sdxl":
        return {"output": [one() for _ in range(9)], "middle": [one()]}
    if kind == "t2i":
        forwards = [each for _ in range(4) for each in (None, None, one())]
        return {"input": forwards[::-1], "middle": [], "output": []}
    features = [None, None, None, one(), None, one(), None, None, one(), None, one()]
    return {"input": features[::-1][1:], "middle": features[::-1][:1], "output": []}


@pytest.mark.parametrize("kind", ["sd15", "sdxl", "t2i", "t2i_sdxl"])
def test_the_kind_of_model_is_seen_in_its_residuals(kind: str) -> None:
    assert rules.family_of(residuals(kind)) == kind


def test_other_kinds_are_refused() -> None:
    flux = {"input": [torch.ones(1, 4, 8)] * 3, "output": [torch.ones(1, 4, 8)]}
    assert rules.family_of(flux) is None
    with pytest.raises(Unsupported, match="Choose Balanced"):
        rules.scales_of(unit(control_mode="My prompt is more important"), flux, high=False, pooled=False)


@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [
        ("sd15", 0.825**12, 1.0),
        ("sdxl", 0.825**12, 0.825**3),
        ("t2i", 0.25, 1.0),
        ("t2i_sdxl", 0.25, 1.0),
    ],
)
def test_rows_are_scaled_by_their_side(kind: str, first: float, last: float) -> None:
    """Chunks in the order negative, positive, two rows each: only the positive ones keep the control."""
    control = residuals(kind)
    given = unit(control_mode="ControlNet is more important", weight=0.5)
    scales = rules.scales_of(given, control, high=False, pooled=False)
    rules.scale(control, scales, [1, 0], 4)
    tensors = [tensor for _, _, tensor in rules.places(control) if tensor is not None]
    for tensor, factor in ((tensors[0], first), (tensors[-1], last)):
        assert torch.equal(tensor[:2], torch.zeros(2, 2, 4, 4))
        assert torch.allclose(tensor[2:], torch.full((2, 2, 4, 4), 0.5 * factor), atol=1e-7)


def test_one_feature_for_all_rows_is_repeated_before_rows_differ() -> None:
    control = residuals("t2i", rows=1)
    rules.scale(control, [(1.0, 0.0)] * 4, [0, 1], 2)
    tensors = [tensor for _, _, tensor in rules.places(control) if tensor is not None]
    assert {tuple(tensor[:, 0, 0, 0].tolist()) for tensor in tensors} == {(1.0, 0.0)}


def test_pooled_models_never_act_on_the_negative_side() -> None:
    assert rules.conditional_only(unit(), pooled=True)
    assert not rules.conditional_only(unit(), pooled=False)


def test_canny_is_soft_in_the_high_res_pass_only() -> None:
    assert rules.one_factor(unit(module="canny"), high=False)
    assert not rules.one_factor(unit(module="canny"), high=True)
    assert rules.one_factor(unit(module="depth_midas"), high=True)


def test_advanced_weighting_must_fit_the_model() -> None:
    with pytest.raises(InvalidRequest, match="13 numbers"):
        rules.scales_of(unit(advanced_weighting=[1.0] * 10), residuals("sd15"), high=False, pooled=False)


def test_the_counter_of_first_order_samplers_lags_by_one() -> None:
    assert [rules.counter_at(KARRAS, sigma) for sigma in KARRAS[:-1]] == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("ahead", ["next", "between"])
def test_further_calls_of_a_step_see_the_step(ahead: str) -> None:
    """Heun looks at the next sigma, DPM2 at one between; both as the web UI counts them."""
    calls: list[float] = []
    for here, after in pairwise(KARRAS[:-1]):
        calls += [here, after if ahead == "next" else (here * after) ** 0.5]
    calls.append(KARRAS[-2])
    assert [rules.counter_at(KARRAS, sigma) for sigma in calls] == sampling_steps([2] * 9 + [1])


def test_a_samplers_rounding_does_not_move_the_counter() -> None:
    for step, sigma in enumerate(KARRAS[:-1]):
        for factor in (1 - 3e-6, 1 + 3e-6):
            assert rules.counter_at(KARRAS, sigma * factor) == max(step - 1, 0)


@pytest.mark.parametrize("window", [(0.0, 0.0), (0.3, 0.7), (0.2, 1.0), (0.95, 1.0), (1.0, 1.0)])
def test_the_window_is_the_web_uis(window: tuple[float, float]) -> None:
    given = unit(guidance_start=window[0], guidance_end=window[1])
    found = [rules.window_is_open(given, KARRAS, sigma) for sigma in KARRAS[:-1]]
    assert found == active_calls(*window, 1, 10)


def test_a_sampler_without_sigmas_is_named() -> None:
    with pytest.raises(Unsupported, match="window_mode"):
        rules.sigmas_of({})


def test_stated_second_pass_takes_the_nearer_map_and_a_tie_is_high() -> None:
    low, high = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 128, 128)
    maps = Maps(low, high)
    assert [maps.choose(height, 8)[1] for height in (8, 11, 12, 13, 16)] == [False, False, True, True, True]
    same = Maps(low, torch.zeros(1, 3, 64, 64))
    assert same.choose(8, 8)[1], "hr_scale 1: every pass is the high-res one"


def test_unstated_second_pass_is_any_higher_one_and_gets_its_own_map() -> None:
    asked: list[tuple[int, int]] = []

    def fit(height: int, width: int) -> torch.Tensor:
        asked.append((height, width))
        return torch.zeros(1, 3, height, width)

    low = torch.zeros(1, 3, 64, 64)
    maps = Maps(low, fit=fit)
    assert maps.choose(8, 8) == (low, False)
    fitted, high = maps.choose(12, 8)
    assert (tuple(fitted.shape), high) == ((1, 3, 96, 64), True)
    assert maps.choose(12, 8)[0] is fitted
    assert asked == [(96, 64)], "fitted once per size"
    assert not maps.choose(8, 12)[1]


def test_the_region_is_resized_to_each_residual() -> None:
    control = residuals("sd15", rows=2)
    region = torch.zeros(1, 1, 8, 8)
    region[..., 4:] = 1
    rules.mask_region(control, region, 2)
    column = control["middle"][0][0, 0, 0]
    assert column[0] == 0
    assert column[-1] == 1


def test_an_adapters_features_keep_their_level_in_a_larger_pass() -> None:
    sizes = [(8, 8), (4, 4), (2, 2), (1, 1)]
    control: dict[str, list[Any]] = {"input": [torch.ones(1, 1, *size) for size in reversed(sizes)]}
    rules.resize_features(control, (8, 8), (12, 20))
    assert [tuple(tensor.shape[2:]) for tensor in reversed(control["input"])] == [
        (12, 20),
        (6, 10),
        (3, 5),
        (2, 3),
    ]


def test_units_add_up_place_by_place() -> None:
    control, adapter = residuals("sd15"), residuals("t2i")
    total = rules.add(control, adapter)
    assert [len(total[key]) for key in ("input", "middle", "output")] == [12, 1, 12]
    twice = rules.add(residuals("sd15"), residuals("sd15"))
    assert all(bool((tensor == 2).all()) for tensor in [*twice["output"], *twice["middle"]])
