"""Steps and geometry of img2img, against the original's results."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.a1111.img2img import (
    blur_mask,
    crop_region,
    expand_crop_region,
    fill_masked,
    img2img_steps,
    latent_mask,
    overlay_mask,
    read_mask,
    resize_image,
)
from img_open.base.errors import InvalidRequest, PictureError


@pytest.mark.golden_table("img2img_steps")
def test_steps(row):
    steps, strength, explicit, expected = row
    assert list(img2img_steps(steps, strength, explicit)) == expected


@pytest.mark.golden_cases("a1111_resize_image")
def test_resize_image(case, golden):
    params = case["params"]
    result = resize_image(
        params["resize_mode"], golden.load(case["input"]), params["width"], params["height"]
    )
    golden.check(result, case)


@pytest.mark.golden_cases("a1111_mask_fill")
def test_fill(case, golden):
    golden.check(fill_masked(golden.load(case["input"]), golden.load(case["mask"])), case)


@pytest.mark.golden_table("only_masked_crop")
def test_crop(row):
    image_w, image_h, (x1, y1, x2, y2), padding, width, height, region, expanded = row
    mask = np.zeros((image_h, image_w), np.uint8)
    mask[y1:y2, x1:x2] = 255
    found = crop_region(mask, padding)
    assert list(found) == region
    assert list(expand_crop_region(found, width, height, image_w, image_h)) == expanded


def test_an_empty_mask_means_the_whole_picture():
    assert crop_region(np.zeros((5, 9), np.uint8), 3) == (0, 0, 9, 5)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (7, 200), (200, 7), (1, 1)])
def test_every_mode_gives_the_size(mode, width, height):
    photo = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    assert resize_image(mode, photo, width, height).shape == (height, width, 3)


def test_bars_have_the_color_of_the_edge():
    photo = np.zeros((20, 20, 3), np.uint8)
    photo[:, -8:] = 200
    wide = resize_image(2, photo, 60, 20)
    assert (wide[:, :20] == 0).all()
    assert (wide[:, 40:] == 200).all()


def test_mode_3_leaves_the_picture_and_others_are_refused():
    photo = np.zeros((4, 4, 3), np.uint8)
    assert resize_image(3, photo, 64, 64) is photo
    for wrong in ((4, 8, 8), (1, 0, 8)):
        with pytest.raises(InvalidRequest):
            resize_image(wrong[0], photo, *wrong[1:])


def test_fill_paints_the_hole_and_nothing_else():
    photo = np.full((32, 32, 3), 100, np.uint8)
    photo[8:16, 8:16] = (255, 0, 0)
    mask = np.zeros((32, 32), np.uint8)
    mask[8:16, 8:16] = 255
    filled = fill_masked(photo, mask)
    assert np.abs(filled.astype(int) - 100).max() <= 3
    with pytest.raises(PictureError, match="does not fit"):
        fill_masked(photo, mask[:-1])


def test_masks():
    painted = np.zeros((2, 2, 4), np.uint8)
    painted[:, :, 3] = [[0, 128], [129, 255]]
    assert read_mask(painted).tolist() == [[0, 0], [255, 255]]
    painted[:, :, :3] = 90
    painted[:, :, 3] = 255
    assert read_mask(painted).tolist() == [[90, 90], [90, 90]]
    assert read_mask(np.array([[0, 200]], np.uint8), invert=True).tolist() == [[255, 55]]
    assert overlay_mask(np.array([[0, 100, 200]], np.uint8)).tolist() == [[0, 200, 255]]


def test_blur_acts_per_axis():
    mask = np.zeros((21, 21), np.uint8)
    mask[10, 10] = 255
    across = blur_mask(mask, 2, 0)
    assert np.count_nonzero(across[9]) == 0
    assert np.count_nonzero(across[10]) > 5
    assert (blur_mask(mask, 0, 0) == mask).all()


def test_latent_mask_is_of_ones_and_zeros():
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 20:] = 255
    small = latent_mask(mask, 8, 8)
    assert small.shape == (8, 8)
    assert set(np.unique(small)) == {0.0, 1.0}
    assert small[:, :2].max() == 0
    assert small[:, 3:].min() == 1
    assert 0 < latent_mask(mask, 8, 8, rounded=False)[0, 2] < 1
