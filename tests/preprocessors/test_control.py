"""Which picture a unit gets and what the control model sees: the golden cases of kind get_control."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.base.errors import InvalidRequest, PictureError
from img_open.controlnet.unit import ControlNetUnit
from img_open.preprocessors.control import Geometry, choose_picture, control_for_unit


def _geometry(p):
    known = {name: p[name] for name in Geometry.__dataclass_fields__ if name in p}
    if "mask_blur" in p:
        known["mask_blur_x"] = known["mask_blur_y"] = p["mask_blur"]
    return Geometry(**known)


def _pictures(golden, case):
    names = {"input": "image", "mask": "mask", "init_image": "init_image", "init_mask": "init_mask"}
    return {name: golden.load(case[key]) for key, name in names.items() if key in case}


@pytest.mark.golden_cases("get_control")
def test_golden(golden, case, runtime):
    unit = ControlNetUnit.from_wire({"enabled": True, **case["params"]["unit"]})
    made = control_for_unit(
        unit, **_pictures(golden, case), geometry=_geometry(case["params"]["p"]), runtime=runtime
    )
    assert made.low is not None
    low = made.low if case.get("float") else made.low.astype(np.uint8)
    if case.get("float"):
        low = low / np.float32(255)
    golden.check(low, case)
    assert made.resolution == case["resolved"]["processor_res"]
    if "hr_output" in case:
        assert made.high is not None
        golden.check(made.high, case, "hr_output")
    else:
        assert made.high is None


def test_no_picture_at_all_is_an_error(runtime):
    with pytest.raises(InvalidRequest, match="no picture"):
        control_for_unit(ControlNetUnit(module="canny"), geometry=Geometry(64, 64), runtime=runtime)


def test_a_mask_of_another_size_is_an_error():
    with pytest.raises(PictureError, match="mask is 8x8"):
        choose_picture("canny", np.zeros((9, 9, 3), np.uint8), np.zeros((8, 8), np.uint8))


def test_inpaint_only_steps_back_before_an_img2img_mask(runtime):
    unit = ControlNetUnit(module="inpaint_only")
    picture, mask = np.zeros((32, 32, 3), np.uint8), np.full((32, 32), 255, np.uint8)
    made = control_for_unit(
        unit, init_image=picture, init_mask=mask, geometry=Geometry(32, 32), runtime=runtime
    )
    assert made.module == "inpaint"
    assert control_for_unit(
        unit, image=picture, mask=mask, geometry=Geometry(32, 32), runtime=runtime
    ).module == ("inpaint_only")


def test_saved_map_shows_the_mask_as_transparency(runtime):
    unit = ControlNetUnit(module="inpaint_only")
    picture, mask = np.zeros((32, 32, 3), np.uint8), np.full((32, 32), 255, np.uint8)
    made = control_for_unit(unit, image=picture, mask=mask, geometry=Geometry(32, 32), runtime=runtime)
    assert made.saved_map().dtype == np.uint8
    assert (made.saved_map()[:, :, 3] == 255 - 127).all()
