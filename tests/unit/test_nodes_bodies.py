"""Widgets to the API's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from img_open.api.request import Request
from img_open.base.errors import InvalidRequest
from img_open.controlnet.unit import ControlNetUnit
from img_open.nodes.bodies import merge_patch, numbers, request_body, unit_body
from img_open.nodes.tables import CONTROLNET_APPLY, REMOTE_SUBMIT

PAGE = json.loads((Path(__file__).parents[2] / "demo" / "page_request.json").read_text("utf-8"))


def unit(**values: Any) -> dict[str, Any]:
    return unit_body({**CONTROLNET_APPLY.defaults(), **values})


def request(**values: Any) -> dict[str, Any]:
    links = {key: values.pop(key) for key in ("init_image", "init_mask", "units") if key in values}
    return request_body({**REMOTE_SUBMIT.defaults(), "prompt": "a cat", **values}, **links)


def test_a_new_unit_node_is_the_apis_default_unit() -> None:
    made = ControlNetUnit.from_wire(unit(processor_res=-1))
    plain = ControlNetUnit.from_wire({"enabled": True})
    for name in ControlNetUnit.model_fields:
        assert getattr(made, name) == getattr(plain, name), name


def test_every_unit_parameter_of_the_api_has_a_place_on_the_node() -> None:
    """As a widget, as a wire, or (saved tensors) through extra_json."""
    ids = {field.id for field in CONTROLNET_APPLY.inputs}
    missing = set(ControlNetUnit.model_fields) - ids
    assert missing == {"ipadapter_input"}
    assert unit(extra_json='{"ipadapter_input": "abc"}')["ipadapter_input"] == "abc"


def test_every_body_parameter_of_the_page_has_a_widget() -> None:
    ids = {field.id for field in REMOTE_SUBMIT.inputs}
    scripts = set(PAGE["alwayson_scripts"]) - {"controlnet"}
    assert (set(PAGE) - {"alwayson_scripts"}) | scripts <= ids
    page_unit = set(PAGE["alwayson_scripts"]["controlnet"]["args"][0])
    assert page_unit <= {field.id for field in CONTROLNET_APPLY.inputs}


def test_the_pages_own_request_comes_out_of_the_nodes() -> None:
    """Set on the widgets what the page sends, and the same request is sent.

    The page writes its seed as a text and leaves required fields out, which no widget can express:
    extra_json does."""
    args = PAGE["alwayson_scripts"]["controlnet"]["args"][0]
    scripts = {key: value for key, value in PAGE["alwayson_scripts"].items() if key != "controlnet"}
    widgets = {key: value for key, value in PAGE.items() if key not in ("alwayson_scripts", "seed")}
    hires = {key: PAGE[key] for key in ("hr_scale", "hr_second_pass_steps", "hr_resize_x", "hr_resize_y")}
    patch = {
        **hires,
        "seed": PAGE["seed"],
        "batch_size": None,
        "resize_mode": None,
        "initial_noise_multiplier": None,
        "alwayson_scripts": {"output_image_format": None},
    }
    body = request(**widgets, **scripts, extra_json=json.dumps(patch), units=(unit(**args),))
    assert body == PAGE


def test_sentinels_are_not_sent() -> None:
    body = unit(processor_res=-1, threshold_a=-1.0, threshold_b=-1.0, model="")
    assert not {"processor_res", "threshold_a", "threshold_b", "model"} & set(body)
    assert unit(threshold_a=100.0)["threshold_a"] == 100
    assert isinstance(unit(threshold_a=100.0)["threshold_a"], int)
    assert unit(threshold_a=0.25)["threshold_a"] == 0.25


def test_window_mode_stays_here() -> None:
    assert "window_mode" not in unit(window_mode="sigma")


def test_only_groups_that_matter_are_sent() -> None:
    plain = request()
    assert not {key for key in plain if key.startswith(("hr_", "mask", "inpaint", "initial_noise"))}
    hires = request(enable_hr=True, hr_resize_x=1024)
    assert hires["hr_scale"] == 2
    assert hires["hr_resize_x"] == 1024
    assert "hr_resize_y" not in hires
    painted = request(init_image="picture:a", init_mask="picture:b", mask_blur_x=8)
    assert painted["inpainting_fill"] == 0
    assert painted["mask_blur_x"] == 8
    assert "mask_blur_y" not in painted
    assert painted["alwayson_scripts"]["mask_link"] == "picture:b"


def test_choices_become_the_apis_numbers() -> None:
    assert request(resize_mode="Just Resize (latent upscale)")["resize_mode"] == 3
    body = request(
        init_image="a",
        init_mask="b",
        inpainting_fill="latent nothing",
        inpainting_mask_invert="repaint not masked",
    )
    assert (body["inpainting_fill"], body["inpainting_mask_invert"]) == (3, 1)


def test_clip_skip_joins_the_other_settings() -> None:
    scripts = request(clip_skip=2, override_settings='{"eta": 1}')["alwayson_scripts"]
    assert scripts["override_settings"] == {"eta": 1, "CLIP_stop_at_last_layers": 2}


def test_which_operation_follows_from_what_is_there() -> None:
    assert Request.from_wire(request()).operation == "sd_text2image_v2"
    assert Request.from_wire(request(image_link="https://a.example/b.png")).operation == "sd_image2image_v2"
    assert Request.from_wire(request(units=(unit(),))).operation == "sd_controlnet"


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"resize_mode": "crop"}, "resize_mode"),
        ({"output_image_format": "webp"}, "output_image_format"),
        ({"override_settings": "[1]"}, "override_settings"),
        ({"ADetailer": "{"}, "ADetailer"),
        ({"cfg_scale": float("nan")}, "cfg_scale"),
        ({"init_mask": "picture:a"}, "init_image"),
        ({"init_image": "picture:a", "image_link": "https://a.example/b.png"}, "image_link"),
        ({"init_image": "a", "init_mask": "b", "inpainting_fill": "noise"}, "inpainting_fill"),
    ],
)
def test_bad_request_widgets_name_the_field(values: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        request(**values)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"control_mode": "balanced"}, "control_mode"),
        ({"window_mode": "percent"}, "window_mode"),
        ({"weight": float("inf")}, "weight"),
        ({"advanced_weighting": "1, two"}, "advanced_weighting"),
        ({"extra_json": "null"}, "extra_json"),
    ],
)
def test_bad_unit_widgets_name_the_field(values: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        unit(**values)


def test_numbers() -> None:
    assert numbers("advanced_weighting", "1, 0.5;0.25  2") == [1, 0.5, 0.25, 2]


# The examples of RFC 7396, appendix A, that concern objects and their replacement.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


_JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.text(max_size=3), _JSON, max_size=4)


@given(_OBJECTS, _OBJECTS)
def test_every_null_free_object_can_be_reached_by_a_patch(
    start: dict[str, Any], goal: dict[str, Any]
) -> None:
    """So a converter can write any request as widgets and a patch."""

    def difference(old: Any, new: Any) -> Any:
        if not isinstance(old, dict) or not isinstance(new, dict):
            return new
        patch: dict[str, Any] = {key: None for key in old if key not in new}
        return patch | {
            key: difference(old.get(key), new[key])
            for key in new
            if old.get(key) != new[key] or key not in old
        }

    assert merge_patch(start, difference(start, goal)) == goal
