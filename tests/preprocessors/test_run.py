"""run_module and run_batch: batches, cache, cancel, and input that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from img_open.base.errors import (
    Cancelled,
    InvalidRequest,
    MissingDependency,
    MissingModel,
    PictureError,
    Unsupported,
)
from img_open.controlnet.modules import effective_sliders
from img_open.preprocessors import run
from img_open.preprocessors.registry import PREPROCESSORS, available
from img_open.preprocessors.runtime import PlainRuntime, ResultCache


def _noise(count, height=40, width=56, channels=3):
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, channels), np.uint8)
    return torch.from_numpy(pixels).float() / 255


def _batch(module, images, runtime, **more):
    res, a, b, _ = effective_sliders(module, 64)
    return run.run_batch(
        module, images, processor_res=res, threshold_a=a, threshold_b=b, runtime=runtime, **more
    )


def _single(module, frame, runtime, **more):
    res, a, b, _ = effective_sliders(module, 64)
    return run.run_module(
        module, frame, processor_res=res, threshold_a=a, threshold_b=b, runtime=runtime, **more
    )


FREE = [name for name, entry in PREPROCESSORS.items() if entry.kind == "frame"]


@pytest.mark.parametrize("module", FREE)
def test_a_batch_equals_its_frames_in_any_chunk_and_on_threads(module):
    images = _noise(9)
    together = _batch(module, images, PlainRuntime("cpu", threads=2), seed=3)
    frames = (images * 255).round().to(torch.uint8).numpy()
    alone = [_single(module, frame, PlainRuntime("cpu"), seed=3) for frame in frames]
    assert together.dtype == torch.float32
    assert np.array_equal((together * 255).round().numpy(), np.stack(alone))
    assert 0 <= together.min() <= together.max() <= 1


def test_uint8_survives_the_way_through_float():
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    made = _batch("none", torch.from_numpy(frames).float() / 255, PlainRuntime("cpu"))
    assert np.array_equal((made * 255).round().to(torch.uint8).numpy(), frames)


def test_inpaint_keeps_the_mask_as_fourth_channel():
    masks = torch.zeros(1, 40, 56)
    masks[:, :8] = 1
    made = _batch("inpaint_only", _noise(2), PlainRuntime("cpu"), masks=masks)
    assert made.shape == (2, 40, 56, 4)
    assert made[:, :8, :, 3].eq(1).all()
    assert made[:, 8:, :, 3].eq(0).all()
    assert _batch("inpaint", _noise(1), PlainRuntime("cpu"))[..., 3].eq(0).all()


def test_gray_and_alpha_batches_become_rgb():
    gray = _noise(1, channels=1)
    made = _batch("none", gray, PlainRuntime("cpu"))
    assert torch.equal((made[..., 1] * 255).round(), (gray[..., 0] * 255).round())
    clear = torch.zeros(1, 8, 8, 4)
    assert _batch("none", clear, PlainRuntime("cpu")).eq(1).all()  # nothing over white


@pytest.mark.parametrize(("value", "level"), [(-0.4, 0), (-3e38, 0), (1.7, 255), (3e38, 255), (0.5, 128)])
def test_values_outside_are_clamped_and_halves_go_to_the_even_level(value, level):
    images = _noise(1)
    images[0, :9] = value  # so many of the largest numbers that their sum is infinite
    made = _batch("none", images, PlainRuntime("cpu"))
    assert torch.equal((made[0, 0] * 255).round(), torch.full((56, 3), float(level)))
    assert torch.equal((made[0, 9:] * 255).round(), (images[0, 9:] * 255).round())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused(value):
    images = _noise(3)
    images[1, 2, 3, 0] = value
    with pytest.raises(PictureError, match="NaN or infinity"):
        _batch("canny", images, PlainRuntime("cpu"))


@pytest.mark.parametrize(
    "images",
    [torch.zeros(0, 8, 8, 3), torch.zeros(8, 8, 3), torch.zeros(1, 8, 8, 2), torch.zeros(1, 0, 8, 3)],
)
def test_no_pictures(images):
    with pytest.raises(PictureError):
        _batch("canny", images, PlainRuntime("cpu"))


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), None],
)
def test_bad_frames(frame, runtime):
    with pytest.raises(PictureError):
        _single("canny", frame, runtime)


def test_a_map_that_would_be_too_large_is_refused(runtime):
    strip = np.zeros((1, 8192, 3), np.uint8)
    with pytest.raises(PictureError, match="million"):
        run.run_module("canny", strip, processor_res=512, threshold_a=1, threshold_b=2, runtime=runtime)


def test_the_largest_picture_works_at_a_small_resolution(runtime):
    large = np.zeros((8192, 8192, 3), np.uint8)
    assert _single("canny", large, runtime).shape == (64, 64, 3)


def test_masks_are_for_inpaint_modules_only(runtime):
    with pytest.raises(InvalidRequest, match="takes no mask"):
        _single("canny", np.zeros((8, 8, 3), np.uint8), runtime, mask=np.zeros((8, 8), np.uint8))
    with pytest.raises(PictureError, match="mask is 9x9"):
        _single("inpaint", np.zeros((8, 8, 3), np.uint8), runtime, mask=np.zeros((9, 9), np.uint8))


def test_unknown_module_names_the_nearest(runtime):
    with pytest.raises(InvalidRequest, match="canny"):
        _single("cany", np.zeros((8, 8, 3), np.uint8), runtime)


def test_labels_are_names_too(runtime):
    frame = np.full((8, 8, 3), 7, np.uint8)
    assert (_single("invert (from white bg & black line)", frame, runtime) == 248).all()


def test_embeddings_are_not_pictures(runtime):
    with pytest.raises(Unsupported, match="embedding"):
        _single("clip_vision", np.zeros((8, 8, 3), np.uint8), runtime)


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_a_module_makes_a_map_or_says_why_not(name, runtime):
    """No module ends in anything but a map or one of the pack's own errors, the one `available` announces."""
    frame = np.full((16, 16, 3), 99, np.uint8)
    runs, reason = available(name)
    if runs and PREPROCESSORS[name].kind != "embedding":
        made = _single(name, frame, runtime)
        assert made.dtype == np.uint8
        assert made.shape[2] in (3, 4)
        return
    with pytest.raises((MissingModel, MissingDependency, Unsupported)) as caught:
        _single(name, frame, runtime)
    assert PREPROCESSORS[name].kind == "embedding" or reason[:30] in str(caught.value) or "package" in reason


def test_cancel_stops_between_chunks():
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 2

    reported = []
    runtime = PlainRuntime("cpu", is_cancelled=cancelled, on_progress=reported.append)
    with pytest.raises(Cancelled):
        _batch("canny", _noise(40), runtime)
    assert reported == [0.1, 0.2]  # two chunks of four, then no more


def test_progress_ends_at_one():
    reported = []
    _batch("invert", _noise(10), PlainRuntime("cpu", on_progress=reported.append))
    assert reported == sorted(reported)
    assert reported[-1] == 1.0


def test_cache_keeps_copies_and_lets_go_of_the_oldest():
    cache = ResultCache(entries=2)
    one, two, three = (np.full((2, 2), n, np.uint8) for n in (1, 2, 3))
    keys = [ResultCache.key(("m", n), one) for n in range(3)]
    cache.put(keys[0], one)
    cache.put(keys[1], two)
    found = cache.get(keys[0])
    assert found is not None
    found[:] = 9
    assert (cache.get(keys[0]) == 1).all()
    cache.put(keys[2], three)
    assert cache.get(keys[1]) is None


def test_cache_is_bounded_in_bytes():
    cache = ResultCache(max_bytes=100)
    cache.put(b"a", np.zeros(60, np.uint8))
    cache.put(b"b", np.zeros(60, np.uint8))
    cache.put(b"c", np.zeros(101, np.uint8))
    assert cache.get(b"a") is None
    assert cache.get(b"b") is not None
    assert cache.get(b"c") is None


def test_cache_key_sees_shape_and_settings():
    flat = np.zeros((4, 4), np.uint8)
    assert ResultCache.key(("m",), flat) != ResultCache.key(("m",), flat.reshape(2, 8))
    assert ResultCache.key(("m", 1), flat) != ResultCache.key(("m", 2), flat)
    assert ResultCache.key(("m",), flat, None) != ResultCache.key(("m",), flat)
