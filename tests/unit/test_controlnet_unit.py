"""The unit: spellings in, exact strings out, nothing lost on the way."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from img_open.base.errors import InvalidRequest
from img_open.controlnet.modules import MODULES
from img_open.controlnet.unit import ControlMode, ControlNetUnit, HrOption, ResizeMode, UnionControlType
from pydantic import ValidationError

PAGE_UNIT = {
    "image_link": "https://example.org/QR_Code4.png",
    "enabled": True,
    "module": "inpaint_global_harmonious",
    "model": "control_v1p_sd15_brightness",
    "weight": 0.7,
    "resize_mode": "Crop and Resize",
    "low_vram": False,
    "processor_res": 512,
    "threshold_a": 64,
    "threshold_b": 64,
    "guidance_start": 0.35,
    "guidance_end": 0.75,
    "pixel_perfect": True,
    "control_mode": "Balanced",
}

# The one stated difference from the newest original: it rejects integers, here they are the old indexes.
OLD_INDEXES = {
    "control_mode": ["Balanced", "My prompt is more important", "ControlNet is more important"],
    "resize_mode": ["Just Resize", "Crop and Resize", "Resize and Fill", "Just Resize"],
}


@pytest.mark.golden_table("unit_field_values")
def test_unit_field_values(row):
    field, value, outcome, stored = row
    if field in OLD_INDEXES and isinstance(value, int):
        assert getattr(ControlNetUnit.from_wire({field: value}), field).value == OLD_INDEXES[field][value]
        return
    if outcome == "error":
        with pytest.raises(InvalidRequest) as caught:
            ControlNetUnit.from_wire({field: value})
        assert caught.value.details["field"] == field
        assert repr(value) in caught.value.message
        return
    unit = ControlNetUnit.from_wire({field: value})
    attribute = {
        "lowvram": "low_vram",
        "guidance": "guidance_end",
        "input_image": "image",
        "mask_image": "mask",
    }
    name = attribute.get(field, field)
    if field in ("guess_mode", "unknown_field"):
        # The original drops unknown keys; here they survive.
        assert unit.unknown_fields == {field: value}
    elif field == "module":
        assert unit.to_wire()["module"] == stored
        assert stored in (unit.spec.name, unit.spec.label)
    else:
        found = getattr(unit, name)
        assert getattr(found, "value", found) == stored


def test_the_pages_unit_round_trips():
    notices: list[str] = []
    unit = ControlNetUnit.from_wire(PAGE_UNIT, notices=notices)
    assert unit.to_wire() == PAGE_UNIT
    assert notices == []
    assert (unit.module, unit.image) == ("inpaint", PAGE_UNIT["image_link"])
    assert unit.to_webui() == {
        **{k: v for k, v in PAGE_UNIT.items() if k != "image_link"},
        "image": unit.image,
    }


def test_a_unit_without_enabled_is_enabled_and_says_so():
    notices: list[str] = []
    unit = ControlNetUnit.from_wire({"module": "canny"}, notices=notices)
    assert unit.enabled
    assert len(notices) == 1
    assert "enabled" in notices[0]
    assert unit.to_wire() == {"module": "canny"}
    assert unit.to_webui() == {"enabled": True, "module": "canny"}
    assert ControlNetUnit.from_wire({}).to_wire() == {}


@pytest.mark.parametrize(
    ("field", "given_value", "meaning"),
    [
        ("control_mode", 2, "ControlNet is more important"),
        ("resize_mode", 0, "Just Resize"),
        ("resize_mode", 3, "Just Resize"),
        ("resize_mode", 17, "Just Resize"),
        ("resize_mode", "Envelope (Outer Fit)", "Resize and Fill"),
        ("module", "None", "none"),
    ],
)
def test_old_spellings_are_read_told_and_written_exactly(field, given_value, meaning):
    notices: list[str] = []
    unit = ControlNetUnit.from_wire({"enabled": True, field: given_value}, notices=notices)
    assert unit.to_wire() == {"enabled": True, field: meaning}
    assert len(notices) == 1
    assert field in notices[0]


@pytest.mark.parametrize(
    "payload",
    [
        {"control_mode": 3},
        {"control_mode": -1},
        {"control_mode": True},
        {"resize_mode": -1},
        {"resize_mode": 1.0},
        {"guidance_start": 0.6, "guidance_end": 0.5},
        {"guidance_start": float("nan")},
        {"weight": True},
        {"weight": [1]},
        {"weight": None},
        {"threshold_a": "many"},
        {"processor_res": 512.5},
        {"pixel_perfect": "perhaps"},
        {"image": 5},
        {"image": ["a", "b", "c"]},
        {"image": [{"image": "a"}, {"image": "b"}]},
        {"image": "a", "image_link": "b"},
        {"image": {"image": "a", "mask": "m"}, "mask": "n"},
        {"advanced_weighting": [1, "x"]},
        {"union_control_type": "openpose"},
        {"module": None},
        {"model": {}},
    ],
)
def test_wrong_values_are_refused_with_their_field(payload):
    with pytest.raises(InvalidRequest) as caught:
        ControlNetUnit.from_wire(payload)
    assert caught.value.details["field"] in (*payload, "image", "mask")


@pytest.mark.parametrize("payload", [None, 3, "x", [1], [PAGE_UNIT]])
def test_what_is_not_an_object_is_refused(payload):
    with pytest.raises(InvalidRequest, match="JSON object"):
        ControlNetUnit.from_wire(payload)


def test_all_problems_are_told_at_once():
    with pytest.raises(InvalidRequest) as caught:
        ControlNetUnit.from_wire({"weight": 3, "guidance_end": 2})
    assert caught.value.details["fields"] == ["weight", "guidance_end"]


@pytest.mark.parametrize(
    ("payload", "image", "mask"),
    [
        ({"image": "i"}, "i", None),
        ({"image_link": "i", "mask_image": "m"}, "i", "m"),
        ({"input_image": "i", "mask": "m"}, "i", "m"),
        ({"image": {"image": "i", "mask": "m"}}, "i", "m"),
        ({"image": ["i", "m"]}, "i", "m"),
        ({"image": ["i"]}, "i", None),
        ({"image": [{"image": "i", "mask": "m"}]}, "i", "m"),
        ({"image": None, "image_link": "i"}, "i", None),
        ({"image_link": "i", "image": ""}, "i", None),
        ({"image": ""}, None, None),
    ],
)
def test_every_way_to_give_pictures(payload, image, mask):
    unit = ControlNetUnit.from_wire(payload)
    assert (unit.image, unit.mask) == (image, mask)
    assert unit.to_wire() == payload
    webui = unit.to_webui()
    assert (webui.get("image"), webui.get("mask")) == (image, mask)
    other = unit.replace(image="new")
    assert (other.image, other.mask) == ("new", mask)
    assert unit.replace(mask="other").mask == "other"


def test_replace_keeps_spelling_and_leaves_the_unit_alone():
    unit = ControlNetUnit.from_wire({"lowvram": True, "guidance": 0.4, "weight": 1, "x-vendor": [1]})
    other = unit.replace(low_vram=False, control_mode=ControlMode.PROMPT, weight=0.5, image="i")
    assert other.to_wire() == {
        "lowvram": False,
        "guidance": 0.4,
        "weight": 0.5,
        "x-vendor": [1],
        "control_mode": "My prompt is more important",
        "image_link": "i",
    }
    assert unit.weight == 1
    with pytest.raises(InvalidRequest):
        unit.replace(weight=5)
    with pytest.raises(InvalidRequest, match="one of"):
        unit.replace(wieght=1)
    with pytest.raises(ValidationError):
        unit.weight = 0.2


def test_what_goes_out_cannot_be_used_to_change_the_unit():
    payload = {"x": {"deep": [1]}}
    unit = ControlNetUnit.from_wire(payload)
    payload["x"]["deep"].append(2)
    unit.to_wire()["x"]["deep"].append(3)
    unit.unknown_fields["x"]["deep"].append(4)
    assert unit.to_wire() == {"x": {"deep": [1]}}


def test_copies_and_pickles_are_equal():
    unit = ControlNetUnit.from_wire(PAGE_UNIT)
    assert pickle.loads(pickle.dumps(unit)) == unit
    assert copy.deepcopy(unit).to_wire() == PAGE_UNIT
    assert ControlNetUnit(**PAGE_UNIT) == unit


def test_a_picture_in_the_payload_does_not_fill_the_log():
    assert len(repr(ControlNetUnit(image="A" * 100_000))) < 300


@pytest.mark.parametrize("key", ["sliders", "model_dump", "_wire", "__class__", "self", "spec", "copy", ""])
def test_an_unknown_key_may_have_any_name(key):
    unit = ControlNetUnit.from_wire({key: 1, "weight": 0.5})
    assert unit.to_wire() == {key: 1, "weight": 0.5}
    assert unit.unknown_fields == {key: 1}
    assert "weight" in repr(unit)
    assert unit.replace(weight=1).sliders() == unit.sliders()


def test_keywords_take_enumerations():
    unit = ControlNetUnit(resize_mode=ResizeMode.FILL, hr_option=HrOption.HIGH, advanced_weighting=(1.0, 0.5))
    assert unit.to_wire() == {
        "resize_mode": "Resize and Fill",
        "hr_option": "High res only",
        "advanced_weighting": [1.0, 0.5],
    }


def test_union_types_have_the_models_index():
    assert UnionControlType.OPENPOSE.model_index == 0
    assert UnionControlType.INPAINT.model_index == 7
    assert UnionControlType.UNKNOWN.model_index is None


def test_sliders_of_a_unit():
    resolution, a, b, notices = ControlNetUnit(module="canny", threshold_a=300, processor_res=640).sliders()
    assert (resolution, a, b) == (640, 100, 200)
    assert len(notices) == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NUMBER = st.integers(-1, 3000) | st.floats(-1, 3000)
SHARE = st.floats(0, 1) | st.integers(0, 1)
CANONICAL = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "module": st.sampled_from([*MODULES, *(spec.label for spec in MODULES.values())]),
        "model": st.text(max_size=20),
        "weight": st.floats(0, 2),
        "image_link": st.none() | st.text(max_size=20),
        "mask": st.none() | st.text(max_size=20),
        "resize_mode": st.sampled_from([mode.value for mode in ResizeMode]),
        "low_vram": st.booleans(),
        "processor_res": st.integers(-1, 4096),
        "threshold_a": NUMBER,
        "threshold_b": NUMBER,
        "guidance_start": st.just(0),
        "guidance_end": SHARE,
        "pixel_perfect": st.booleans(),
        "control_mode": st.sampled_from([mode.value for mode in ControlMode]),
        "hr_option": st.sampled_from([option.value for option in HrOption]),
        "inpaint_crop_input_image": st.booleans(),
        "save_detected_map": st.booleans(),
        "advanced_weighting": st.none() | st.lists(st.floats(0, 2), max_size=13),
        "union_control_type": st.sampled_from([kind.value for kind in UnionControlType]),
        "ipadapter_input": JSON,
    },
)
UNKNOWN = st.dictionaries(st.text(min_size=1, max_size=8).map(lambda key: "x-" + key), JSON, max_size=3)


@given(CANONICAL, UNKNOWN)
def test_import_and_export_are_equal_as_json(known, unknown):
    payload = {**known, **unknown}
    before = json.dumps(payload)
    unit = ControlNetUnit.from_wire(payload)
    assert json.dumps(unit.to_wire()) == before
    assert ControlNetUnit.from_wire(json.loads(before)) == unit
    assert ControlNetUnit.from_wire(unit.to_webui()).replace(enabled=unit.enabled).weight == unit.weight


@given(
    st.dictionaries(
        st.sampled_from(sorted(ControlNetUnit.model_fields)) | st.text(max_size=6), JSON, max_size=5
    )
)
def test_any_json_object_is_read_or_refused_with_our_own_error(payload):
    try:
        unit = ControlNetUnit.from_wire(payload)
    except InvalidRequest:
        return
    assert set(unit.to_wire()) == set(payload)
