"""The modules without weights: what the golden maps do not show."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.controlnet.modules import effective_sliders
from img_open.preprocessors import free, run
from img_open.preprocessors.free import Call
from img_open.preprocessors.registry import PREPROCESSORS


def test_shuffle_seed_doubles_the_image_seed_by_default():
    assert free.shuffle_seed(1234, -1) == 2468
    assert free.shuffle_seed(1234, 5) == 1239
    assert free.shuffle_seed(2**32 - 1, -1) == 2**32 - 2  # modulo 2^32
    assert free.shuffle_seed(7, -9) == 7  # negative counts as 0


def test_shuffle_leaves_the_global_generator_alone(runtime):
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    free.shuffle(np.zeros((16, 16, 3), np.uint8), Call(64, 0, 0, 1, 0, runtime))
    assert np.random.random() == expected


def test_threshold_with_a_fraction_means_greater(runtime):
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (64, 1, 3))
    drawn = free.threshold(ramp, Call(64, 10.5, 0, 0, 0, runtime))
    assert (drawn[0, :, 0] == np.where(np.arange(64) > 10.5, 255, 0)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16)])
@pytest.mark.parametrize("module", [name for name, entry in PREPROCESSORS.items() if entry.kind == "frame"])
def test_tiny_pictures_give_a_map(module, size, runtime):
    picture = np.full((*size, 3), 90, np.uint8)
    res, a, b, _ = effective_sliders(module, 64)
    made = run.run_module(module, picture, processor_res=res, threshold_a=a, threshold_b=b, runtime=runtime)
    assert made.dtype == np.uint8
    assert made.shape[2] == 3
    assert min(made.shape[:2]) >= 1
