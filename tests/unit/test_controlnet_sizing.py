"""Sizes and resizing of control pictures, against the original's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.base.errors import InvalidRequest, PictureError
from img_open.controlnet.resizing import count_colors
from img_open.controlnet.sizing import (
    ResizeMode,
    detectmap_proc,
    hires_target,
    pixel_perfect_resolution,
    resize_image_with_pad,
    target_size,
    to_hint,
)

MODES = (ResizeMode.JUST, ResizeMode.CROP, ResizeMode.FILL)


@pytest.mark.golden_table("pixel_perfect")
def test_pixel_perfect(row):
    image_h, image_w, target_h, target_w, mode, resolution = row
    assert pixel_perfect_resolution(image_h, image_w, target_h, target_w, MODES[mode]) == resolution


@pytest.mark.golden_table("resize_image_with_pad_shapes")
def test_working_size(row):
    h, w, resolution, padded_h, padded_w, kept_h, kept_w = row
    padded, kept = resize_image_with_pad(np.zeros((h, w, 3), np.uint8), resolution)
    assert padded.shape == (padded_h, padded_w, 3)
    assert kept == (kept_h, kept_w)


@pytest.mark.golden_cases("resize_image_with_pad")
def test_resize_image_with_pad(case, golden):
    padded, (kept_h, kept_w) = resize_image_with_pad(golden.load(case["input"]), case["params"]["resolution"])
    golden.check(padded, case)
    golden.check(padded[:kept_h, :kept_w], case, "unpadded")


@pytest.mark.golden_cases("detectmap_proc")
def test_detectmap_proc(case, golden):
    params = case["params"]
    result = detectmap_proc(
        golden.load(case["input"]), case["module"], MODES[params["resize_mode"]], params["h"], params["w"]
    )
    golden.check(result, case)


@pytest.mark.golden_cases("inpaint_hint")
def test_inpaint_hint_has_minus_one_where_masked(case, golden):
    picture = golden.load(case["input"])
    hint = to_hint(picture)
    assert hint.shape[0] == 1
    golden.check(hint[0], case)
    masked = picture[:, :, 3] > 127
    assert masked.any()
    assert (hint[0][:, masked] == -1).all()


def test_plain_hint_is_0_to_1():
    picture = np.array([[[0, 51, 255]]], np.uint8)
    assert to_hint(picture).tolist() == pytest.approx(np.array([[[[0.0]], [[0.2]], [[1.0]]]]))


@pytest.mark.golden_table("hires_dims")
def test_hires_sizes(row):
    arguments, expected = row
    plan = hires_target(**arguments)
    assert list(plan.upscale_to) == expected["hr_upscale_to"]
    assert list(plan.truncate) == expected["truncate"]
    assert list(plan.final_latent) == expected["final_latent"]
    assert list(plan.final_image) == expected["final_image"]
    low_h, low_w, high_h, high_w = expected["controlnet_target_hwhw"]
    assert target_size(arguments["width"], arguments["height"]) == (low_w, low_h)
    if high_h and high_w:
        # Where the extension computes 0 for a side that was not given, the web UI's own size is used instead.
        assert plan.final_image == (high_w, high_h)


@pytest.mark.parametrize(
    "arguments", [{"width": 0, "height": 512}, {"width": 512, "height": 512, "hr_scale": 0}]
)
def test_hires_without_a_size_is_an_error(arguments):
    with pytest.raises(InvalidRequest):
        hires_target(**arguments)


@pytest.mark.parametrize(("colors", "shape"), [(1, (7, 5)), (2, (64, 64)), (150, (90, 90)), (199, (80, 70))])
def test_count_colors_equals_numpy(colors, shape):
    generator = np.random.default_rng(colors)
    palette = generator.integers(0, 256, (colors, 3), np.uint8)
    picture = palette[generator.integers(0, colors, shape)]
    expected = len(np.unique(picture.reshape(-1, 3), axis=0))
    assert count_colors(picture, 200) == expected
    assert count_colors(picture.astype(np.float32), 200) == expected
    assert count_colors(picture.astype(np.float32) + np.float32(0.25), 200) == expected


def test_a_rare_colour_is_not_missed_by_sampling():
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[150:, :] = 255
    picture[299, 298] = (1, 2, 3)
    assert count_colors(picture, 200) == 3


@pytest.mark.parametrize("mode", MODES)
def test_extreme_aspect_still_gives_the_target_size(mode):
    thin = np.full((2, 3000, 3), 90, np.uint8)
    assert detectmap_proc(thin, "none", mode, 64, 72).shape == (64, 72, 3)


@pytest.mark.parametrize("shape", [(0, 10, 3), (10, 10, 2), (10,)])
def test_what_is_not_a_picture_is_an_error(shape):
    with pytest.raises(PictureError):
        detectmap_proc(np.zeros(shape, np.uint8), "none", ResizeMode.CROP, 64, 64)


def test_inpaint_needs_colour_channels():
    with pytest.raises(PictureError, match=r"\(H, W, 4\)"):
        detectmap_proc(np.zeros((8, 8), np.uint8), "inpaint_only", ResizeMode.CROP, 64, 64)


def test_a_resolution_that_leaves_nothing_is_an_error():
    with pytest.raises(PictureError, match="vanishes"):
        resize_image_with_pad(np.zeros((100, 100, 3), np.uint8), 0)
