"""What recolor_* and inpaint_only do after decoding."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.base.errors import PictureError
from img_open.controlnet.unit import ControlNetUnit
from img_open.preprocessors.control import Geometry, control_for_unit
from img_open.preprocessors.postprocess import needs_post_process, post_process


@pytest.mark.golden_cases("post_process")
def test_golden(golden, case, runtime):
    unit = ControlNetUnit.from_wire({"enabled": True, **case["params"]["unit"]})
    size = case["params"]["p"]
    mask = golden.load(case["mask"]) if "mask" in case else None
    control = control_for_unit(
        unit, image=golden.load(case["input"]), mask=mask, geometry=Geometry(**size), runtime=runtime
    )
    assert control.low is not None
    batch = golden.load(case["batch"]).transpose(0, 2, 3, 1)
    made = post_process(unit.module, batch, control.low)
    golden.check(made.transpose(0, 3, 1, 2), case)


def test_other_modules_change_nothing():
    pictures = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    assert not needs_post_process("canny")
    assert post_process("canny", pictures, np.zeros((8, 8, 3), np.uint8)) is pictures


def test_a_batch_is_its_pictures():
    pictures = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    control = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    together = post_process("recolor_luminance", pictures, control, threads=2)
    alone = [post_process("recolor_luminance", one[None], control)[0] for one in pictures]
    assert np.array_equal(together, np.stack(alone))


def test_sizes_must_agree():
    pictures = np.zeros((1, 8, 8, 3), np.float32)
    with pytest.raises(PictureError, match="9x9"):
        post_process("recolor_luminance", pictures, np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(PictureError, match="mask"):
        post_process("inpaint_only", pictures, np.zeros((8, 8, 3), np.uint8))
