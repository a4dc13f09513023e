"""HED and M-LSD with real weights, where a folder is given: do the maps show what is in the picture?"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from img_open.controlnet.modules import effective_sliders
from img_open.preprocessors import run
from img_open.preprocessors.runtime import PlainRuntime

_FOLDER = os.environ.get("IMG_OPEN_TEST_WEIGHTS", "")
if not _FOLDER or not Path(_FOLDER).is_dir():
    pytest.skip(
        "no real weights: set IMG_OPEN_TEST_WEIGHTS to a folder with ControlNetHED and mlsd_large_512",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def real_runtime():
    return PlainRuntime("cpu", folders=[_FOLDER])


def _make(module, picture, runtime, resolution=256):
    res, a, b, _ = effective_sliders(module, resolution)
    return run.run_module(module, picture, processor_res=res, threshold_a=a, threshold_b=b, runtime=runtime)


@pytest.fixture(scope="module")
def square():
    """A bright square on a dark ground: its border is the only edge."""
    picture = np.full((256, 256, 3), 40, np.uint8)
    picture[64:192, 64:192] = (220, 200, 180)
    return picture


def _on_border(edges):
    border = np.zeros(edges.shape[:2], bool)
    border[56:200, 56:200] = True
    border[74:182, 74:182] = False
    return edges[..., 0][border].mean(), edges[..., 0][~border].mean()


@pytest.mark.parametrize("module", ["softedge_hed", "softedge_hedsafe", "scribble_hed"])
def test_hed_finds_the_border_and_nothing_else(square, real_runtime, module):
    on, off = _on_border(_make(module, square, real_runtime))
    assert on > 60
    assert off < 12


def test_hed_safe_has_three_levels(golden, real_runtime):
    made = _make("hed_safe", golden.load("inputs/photo_256.png"), real_runtime)
    assert set(np.unique(made)) == {0, 127, 255}


def test_hed_of_a_photograph_agrees_with_its_gradients(golden, real_runtime):
    import cv2

    photo = golden.load("inputs/photo_256.png")
    made = _make("hed", photo, real_runtime)[..., 0].astype(float)
    gray = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 2)
    slope = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    assert np.corrcoef(made.ravel(), slope.ravel())[0, 1] > 0.5
    assert 5 < made.mean() < 120


def test_mlsd_finds_the_four_sides(square, real_runtime):
    made = _make("mlsd", square, real_runtime)[..., 0] > 0
    for side in (made[60:69], made[188:197], made[:, 60:69].T, made[:, 188:197].T):
        assert side.any(axis=0)[70:186].mean() > 0.8
    assert not made[100:156, 100:156].any()


def test_mlsd_thresholds_take_lines_away(golden, real_runtime):
    photo = golden.load("inputs/photo_333x517.png")
    _, a, b, _ = effective_sliders("mlsd", 512)
    few = run.run_module(
        "mlsd", photo, processor_res=512, threshold_a=0.6, threshold_b=b, runtime=real_runtime
    )
    many = run.run_module(
        "mlsd", photo, processor_res=512, threshold_a=a, threshold_b=b, runtime=real_runtime
    )
    assert (few > 0).sum() < (many > 0).sum()


@pytest.mark.parametrize("module", ["hed", "mlsd"])
def test_a_batch_equals_its_frames(golden, real_runtime, module):
    import torch

    photo = golden.load("inputs/photo_129x161.png")
    frames = np.stack([photo, photo[::-1], photo[:, ::-1], 255 - photo, photo])
    res, a, b, _ = effective_sliders(module, 128)
    together = run.run_batch(
        module, torch.from_numpy(frames).float() / 255, processor_res=res, threshold_a=a, threshold_b=b,
        runtime=PlainRuntime("cpu", folders=[_FOLDER]),
    )  # fmt: skip
    for made, frame in zip((together * 255).round().numpy().astype(int), frames, strict=True):
        alone = _make(module, np.ascontiguousarray(frame), PlainRuntime("cpu", folders=[_FOLDER]), 128)
        assert (np.abs(made - alone) > 1).mean() < 0.002
