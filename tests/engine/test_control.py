"""ControlNet units: how strongly, when, on which rows, with which picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from img_open.base.errors import InvalidRequest, MissingModel, PictureError, Unsupported

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/controlnet/tables.json").read_text(encoding="utf-8"))
FACTORS = [0.825 ** (12 - i) for i in range(13)]
BALANCED, PROMPT, CONTROL = "Balanced", "My prompt is more important", "ControlNet is more important"


def rows_of(control_calls, unet_calls, call=0):
    """Per residual: (ratio on the unconditional row, ratio on the conditional row) of what the U-Net got."""
    down, middle = control_calls.outputs[call]
    got = unet_calls.keywords[call]
    residuals = [*got["down_block_additional_residuals"], got["mid_block_additional_residual"]]
    pairs = zip([*down, middle], residuals, strict=True)
    ratios = []
    for made, given in pairs:
        cond_row = made[-1]
        cond = float((given[1] * cond_row).sum() / (cond_row * cond_row).sum())
        ratios.append((float(given[0].abs().max()), cond))
    return ratios


@pytest.mark.parametrize("mode", [BALANCED, PROMPT, CONTROL])
def test_each_residual_is_scaled_as_the_mode_says(run, body, unit, unet, canny, spy, mode):
    control, main = spy(canny), spy(unet)
    run(body([unit(control_mode=mode, weight=0.8)], steps=1))
    ratios = rows_of(control, main)
    expected = [0.8 * (1.0 if mode == BALANCED else factor) for factor in FACTORS[-len(ratios) :]]
    assert [cond for _, cond in ratios] == pytest.approx(expected, rel=1e-4)
    if mode == CONTROL:
        assert all(uncond == 0.0 for uncond, _ in ratios)
        assert control.inputs[0][0].shape[0] == 1, "rows that count for nothing are not computed"
    else:
        assert all(uncond > 0 for uncond, _ in ratios)
        _, middle = control.outputs[0]
        given = main.keywords[0]["mid_block_additional_residual"]
        assert torch.allclose(given[0], middle[0] * expected[-1], atol=1e-6)


def test_advanced_weighting_replaces_weight_and_factors(run, body, unit, unet, canny, spy):
    count = len(canny.controlnet_down_blocks) + 1
    wanted = [round(0.1 * (i + 1), 2) for i in range(count)]
    control, main = spy(canny), spy(unet)
    run(body([unit(control_mode=PROMPT, weight=0.3, advanced_weighting=wanted)], steps=1))
    assert [cond for _, cond in rows_of(control, main)] == pytest.approx(wanted, rel=1e-4)


def test_advanced_weighting_of_another_length_is_refused(run, body, unit):
    with pytest.raises(InvalidRequest, match="advanced_weighting"):
        run(body([unit(advanced_weighting=[1.0, 1.0])]))


def test_weight_zero_equals_no_unit_and_costs_nothing(run, body, unit, canny, spy):
    calls = spy(canny)
    without = run(body()).images[0]
    assert np.array_equal(run(body([unit(weight=0)])).images[0], without)
    assert len(calls) == 0
    assert not np.array_equal(run(body([unit(weight=1)])).images[0], without)


def test_a_disabled_unit_equals_no_unit(run, body, unit):
    disabled = run(body([unit(enabled=False, image_link="")]))
    assert np.array_equal(disabled.images[0], run(body()).images[0])
    assert disabled.control_images == []


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(0, 1, 8), (0, 0, 2), (0.5, 1, 3), (0.25, 0.5, 3), (1, 1, 0)]
)
def test_the_window_counts_steps_with_the_lag_of_one_call(run, body, unit, canny, spy, start, end, expected):
    calls = spy(canny)
    run(body([unit(guidance_start=start, guidance_end=end)], steps=8))
    # Counter values at the eight calls: 0 0 1 2 3 4 5 6, divided by 8.
    counters = [0, 0, 1, 2, 3, 4, 5, 6]
    assert sum(start <= value / 8 <= end for value in counters) == expected
    assert len(calls) == expected


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in GOLDEN["denoiser_calls"]["rows"]
        if row[0] in ("Euler", "Euler a", "Heun", "LMS", "DPM2", "DPM2 a", "DPM++ 2M Karras", "PLMS")
        and row[2] is None
    ],
    ids=lambda row: row[0],
)
def test_calls_are_counted_as_the_web_ui_counts_them(run, body, unit, unet, canny, spy, row):
    sampler, steps, _, counters = row
    control, main = spy(canny), spy(unet)
    run(body([unit(guidance_start=0.3, guidance_end=0.6)], steps=steps, sampler_index=sampler))
    assert len(main) == len(counters)
    active = [0.3 <= step / total <= 0.6 for step, total in counters]
    assert len(control) == sum(active)
    given = [keywords["mid_block_additional_residual"] is not None for keywords in main.keywords]
    assert given == active


def test_any_number_of_units_adds_up(run, body, unit, unet, spy):
    main = spy(unet)
    units = [
        unit(weight=0.5),
        unit(model="depth", module="none", weight=0.4),
        unit(weight=0.5),
        unit(weight=0.2),
    ]
    together = run(body(units, steps=1))
    assert len(together.control_images) == 4
    sums = main.keywords[0]["mid_block_additional_residual"]
    parts = torch.zeros_like(sums)
    for each in units:
        run(body([each], steps=1))
        parts = parts + main.keywords[-1]["mid_block_additional_residual"]
    assert torch.allclose(sums, parts, atol=1e-5)


def test_the_hint_is_the_module_s_map(run, body, unit, canny, spy):
    calls = spy(canny)
    result = run(body([unit(resize_mode="Just Resize")], steps=1))
    hint = calls.keywords[0]["controlnet_cond"][0].permute(1, 2, 0).numpy()
    assert result.control_images[0].shape == (64, 64, 3)
    assert np.allclose(hint, result.control_images[0] / 255.0, atol=1e-6)
    assert 0 < result.control_images[0].mean() < 128, "edges are white on black"


def test_save_detected_map_off_keeps_the_map_back(run, body, unit):
    assert run(body([unit(save_detected_map=False)], steps=1)).control_images == []


def test_a_unit_without_a_picture_uses_the_init_image_with_the_request_s_resize_mode(
    run, body, unit, canny, spy, square_link
):
    calls = spy(canny)
    always_on = {"image_link": square_link}
    run(body([unit(image_link=None, resize_mode="Resize and Fill")], always_on, resize_mode=0, steps=2))
    run(body([unit(resize_mode="Just Resize")], always_on, resize_mode=0, steps=2))
    hints = [keywords["controlnet_cond"] for keywords in calls.keywords]
    assert torch.equal(hints[0], hints[-1])


def test_no_picture_at_all_is_an_error_that_names_the_unit_s_module(run, body, unit):
    with pytest.raises(InvalidRequest, match="canny"):
        run(body([unit(image_link=None)]))


def test_inpaint_units_mark_masked_pixels_with_minus_one(run, body, unit, pictures, square, canny, spy):
    mask = np.zeros((80, 96), np.uint8)
    mask[:, 48:] = 255
    calls = spy(canny)
    fields = {
        "module": "inpaint_global_harmonious",
        "mask": pictures.add(mask, "mask"),
        "resize_mode": "Just Resize",
    }
    result = run(body([unit(**fields)], steps=1))
    hint = calls.keywords[0]["controlnet_cond"][0]
    assert bool((hint[:, :, 40:] == -1).all())
    assert bool((hint[:, :, :24] >= 0).all())
    assert result.control_images[0].shape == (64, 64, 3)


def test_inpaint_only_keeps_what_is_not_masked(run, body, unit, pictures, square):
    mask = np.zeros((80, 96), np.uint8)
    mask[:, 72:] = 255
    fields = {"module": "inpaint_only", "mask": pictures.add(mask, "mask"), "resize_mode": "Just Resize"}
    kept = run(body([unit(**fields)], steps=2))
    plain = run(body([unit(**{**fields, "module": "inpaint_global_harmonious"})], steps=2))
    from PIL import Image

    wanted = np.asarray(Image.fromarray(square).resize((64, 64)))[8:-8, :32].astype(int)
    assert np.abs(kept.images[0][8:-8, :32].astype(int) - wanted).mean() < 4
    assert np.abs(plain.images[0][8:-8, :32].astype(int) - wanted).mean() > 20


def test_the_region_mask_is_multiplied_into_the_residuals(run, body, unit, pictures, unet, spy):
    region = np.zeros((64, 64), np.uint8)
    region[:, 32:] = 255
    main = spy(unet)
    run(body([unit(effective_region_mask=pictures.add(region, "mask"))], steps=1))
    first = main.keywords[0]["down_block_additional_residuals"][0]
    assert float(first[..., :3].abs().max()) == 0.0
    assert float(first[..., 5:].abs().max()) > 0.0


def test_low_vram_changes_nothing_and_says_so(run, body, unit):
    low = run(body([unit(low_vram=True)]))
    assert np.array_equal(low.images[0], run(body([unit()])).images[0])
    assert [(info.field.rsplit(".", 1)[-1], info.verdict) for info in low.infos] == [("low_vram", "notice")]


def test_unknown_control_model_names_the_nearest(run, body, unit):
    with pytest.raises(MissingModel, match="canny"):
        run(body([unit(model="cany")]))


def test_a_unit_without_a_model_is_an_error_that_lists_models(run, body, unit):
    with pytest.raises(InvalidRequest, match="canny, depth"):
        run(body([unit(model="None")]))


@pytest.mark.parametrize(
    "module", ["reference_only", "ip-adapter_clip_sd15", "revision_clipvision", "clip_vision"]
)
def test_modules_that_work_without_a_controlnet_are_refused(run, body, unit, module):
    with pytest.raises(Unsupported, match=r"args\[0\]"):
        run(body([unit(module=module)]))


def test_a_picture_that_is_not_one_is_refused(run, body, unit):
    with pytest.raises(PictureError):
        run(body([unit(image_link="data:image/png;base64,AAAA")]))


def test_sliders_out_of_range_fall_back_and_are_mentioned(run, body, unit):
    result = run(body([unit(threshold_a=999)], steps=1))
    assert any("threshold_a" in info.message for info in result.infos)
