"""A request: what goes in comes out, what cannot be used is named, what it means is readable."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from img_open.api.request import UNSET, Request, check_cloud_ranges
from img_open.base.errors import InvalidRequest
from img_open.controlnet.unit import ControlNetUnit
from pydantic import ValidationError

DATA = Path(__file__).resolve().parents[1] / "data" / "api"


@pytest.fixture
def page() -> dict[str, Any]:
    body: dict[str, Any] = json.loads((DATA / "sd_controlnet_page.json").read_text(encoding="utf-8"))
    return body


def test_the_page_example_round_trips(page: dict[str, Any]) -> None:
    notices: list[str] = []
    request = Request.from_wire(page, notices=notices)
    assert request.to_wire() == page
    assert json.dumps(request.to_wire(), sort_keys=True) == json.dumps(page, sort_keys=True)
    assert request.to_wire()["seed"] == "1221212"
    assert notices == []


def test_what_the_page_example_means(page: dict[str, Any]) -> None:
    request = Request.from_wire(page)
    assert request.seed_number == 1221212
    assert request.batch_size == 1
    assert "batch_size" not in request.to_wire()
    assert request.image_count == 1
    assert request.operation == "sd_controlnet"
    assert request.checkpoint == "revAnimated_v122_7371.safetensors"
    assert request.vae == "vae-ft-mse-840000-ema-pruned.vae.pt"
    assert request.id_task == "pro1686666"
    assert request.output_format == "jpg"
    assert request.clip_skip == 1
    # The always-on link is the init image; the unit's own is the control picture.
    assert request.init_image is not None
    assert request.init_image.startswith("https://paintimage.")
    assert request.units[0].image is not None
    assert request.units[0].image.endswith("QR_Code4.png")
    check_cloud_ranges(request)


def test_defaults_of_an_empty_body() -> None:
    request = Request.from_wire({})
    assert request.to_wire() == {}
    assert (request.steps, request.width, request.height, request.cfg_scale) == (20, 512, 512, 7.0)
    assert (request.n_iter, request.batch_size, request.seed_number) == (1, 1, -1)
    assert (request.sampler_index, request.denoising_strength) == ("Euler", 0.75)
    assert (request.inpaint_full_res, request.inpaint_full_res_padding, request.inpainting_fill) == (
        True,
        0,
        0,
    )
    assert request.mask_blur_xy == (4, 4)
    assert request.operation == "sd_text2image_v2"
    assert request.units == ()


@pytest.mark.parametrize("seed", [None, "", " ", -1, "-1"])
def test_ways_to_say_random(seed: Any) -> None:
    if seed == " ":
        with pytest.raises(InvalidRequest, match="seed"):
            Request.from_wire({"seed": seed})
        return
    request = Request.from_wire({"seed": seed})
    assert request.seed_number == -1
    assert request.to_wire() == {"seed": seed}


def test_nulls_are_defaults_and_stay_nulls() -> None:
    body = {"steps": None, "restore_faces": None, "hr_upscaler": None, "alwayson_scripts": {"sd_vae": None}}
    request = Request.from_wire(body)
    assert request.steps == 20
    assert request.vae == ""
    assert request.to_wire() == body
    assert Request.from_wire({"alwayson_scripts": None}).to_wire() == {"alwayson_scripts": None}
    assert Request.from_wire({"alwayson_scripts": {"controlnet": None}}).units == ()


@pytest.mark.parametrize("name", ["controlnet", "ControlNet", "CONTROLNET"])
def test_script_name_in_any_case_is_kept(name: str) -> None:
    body = {"alwayson_scripts": {name: {"args": [{"module": "canny", "enabled": True}], "more": 1}}}
    request = Request.from_wire(body)
    assert request.to_wire() == body
    assert request.units[0].module == "canny"
    assert request.operation == "sd_controlnet"


def test_the_script_twice_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="without case"):
        Request.from_wire({"alwayson_scripts": {"controlnet": {"args": []}, "ControlNet": {"args": []}}})


def test_unknown_fields_survive_at_every_level() -> None:
    body = {
        "prompt": "x",
        "future": {"deep": [1, None]},
        "links": 3,
        "alwayson_scripts": {
            "ADetailer": {"args": [True]},
            "controlnet": {"args": [{"enabled": True, "future_unit": 7}], "extra": "e"},
        },
    }
    request = Request.from_wire(body)
    assert request.to_wire() == body
    assert request.unknown_fields == {
        "future": {"deep": [1, None]},
        "links": 3,
        "alwayson_scripts.ADetailer": {"args": [True]},
        "alwayson_scripts.controlnet.args[0].future_unit": 7,
    }


def test_a_misplaced_field_is_pointed_out() -> None:
    notices: list[str] = []
    Request.from_wire({"sd_vae": "a.pt", "prompt": "x"}, notices=notices)
    assert any("sd_vae" in text and "alwayson_scripts" in text for text in notices)


def test_units_notices_carry_their_place() -> None:
    notices: list[str] = []
    Request.from_wire({"alwayson_scripts": {"controlnet": {"args": [{"module": "canny"}]}}}, notices=notices)
    assert any(text.startswith("alwayson_scripts.controlnet.args[0]: ") for text in notices)


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"width": "768"}, "width", "a whole number from 8 to 16384"),
        ({"width": 7}, "width", "from 8"),
        ({"height": 768.5}, "height", "whole number"),
        ({"steps": 0}, "steps", "from 1 to"),
        ({"steps": True}, "steps", "whole number"),
        ({"batch_size": 0}, "batch_size", "from 1 to"),
        ({"n_iter": -1}, "n_iter", "from 1 to"),
        ({"prompt": ["a"]}, "prompt", "a text"),
        ({"seed": "12a"}, "seed", "whole number"),
        ({"seed": 1.5}, "seed", "whole number"),
        ({"seed": -2}, "seed", "-1"),
        ({"restore_faces": "no"}, "restore_faces", "true or false"),
        ({"cfg_scale": float("nan")}, "cfg_scale", "a number"),
        ({"denoising_strength": 1.2}, "denoising_strength", "0 to 1"),
        ({"resize_mode": 4}, "resize_mode", "one of 0, 1, 2, 3"),
        ({"sampler_index": 3}, "sampler_index", "a text"),
        ({"alwayson_scripts": []}, "alwayson_scripts", "an object"),
        ({"alwayson_scripts": {"sd_vae": 3}}, "alwayson_scripts.sd_vae", "a text"),
        (
            {"alwayson_scripts": {"output_image_format": "gif"}},
            "alwayson_scripts.output_image_format",
            '"png"',
        ),
        (
            {"alwayson_scripts": {"override_settings": {"CLIP_stop_at_last_layers": 13}}},
            "alwayson_scripts.override_settings.CLIP_stop_at_last_layers",
            "1 to 12",
        ),
        ({"alwayson_scripts": {"controlnet": [1]}}, "alwayson_scripts.controlnet", "an object"),
        ({"alwayson_scripts": {"controlnet": {"args": {}}}}, "alwayson_scripts.controlnet.args", "a list"),
        (
            {"alwayson_scripts": {"controlnet": {"args": [3]}}},
            "alwayson_scripts.controlnet.args[0]",
            "a unit",
        ),
        (
            {"alwayson_scripts": {"ControlNet": {"args": [{}, {"weight": 9}]}}},
            "alwayson_scripts.ControlNet.args[1].weight",
            "0 to 2",
        ),
    ],
)
def test_wrong_values_name_field_value_and_what_is_allowed(
    body: dict[str, Any], field: str, allowed: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Request.from_wire(body)
    assert field in caught.value.message
    assert allowed in caught.value.message
    assert caught.value.details["field"] == field


def test_all_problems_come_together() -> None:
    body = {
        "width": "a",
        "alwayson_scripts": {"sd_vae": 1, "controlnet": {"args": [{"weight": 7}, {"module": "cany"}]}},
    }
    with pytest.raises(InvalidRequest) as caught:
        Request.from_wire(body)
    fields = [problem["field"] for problem in caught.value.details["problems"]]
    assert fields == [
        "width",
        "alwayson_scripts.sd_vae",
        "alwayson_scripts.controlnet.args[0].weight",
        "alwayson_scripts.controlnet.args[1].module",
    ]
    assert "canny" in caught.value.hint


@pytest.mark.parametrize("data", [None, 3, "x", [1]])
def test_a_body_that_is_no_object(data: Any) -> None:
    with pytest.raises(InvalidRequest, match="JSON object"):
        Request.from_wire(data)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    request = Request.from_wire({"steps": 25.0, "width": 640.0})
    assert request.steps == 25
    assert isinstance(request.steps, int)
    assert request.to_wire() == {"steps": 25.0, "width": 640.0}


def test_a_request_is_immutable_and_keeps_no_hold_on_its_source(page: dict[str, Any]) -> None:
    source = copy.deepcopy(page)
    request = Request.from_wire(source)
    source["alwayson_scripts"]["controlnet"]["args"][0]["weight"] = 2
    request.to_wire()["alwayson_scripts"]["id_task"] = "changed"
    assert request.to_wire() == page
    assert {request: 1}[Request.from_wire(page)] == 1
    assert "x" * 100 not in repr(request.replace(image_link="data:image/png;base64," + "x" * 100))
    with pytest.raises(ValidationError):
        request.steps = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_replace_reaches_both_levels(page: dict[str, Any]) -> None:
    request = Request.from_wire(page).replace(
        width=640, sd_vae=UNSET, mask_link="https://f.example.com/m.png"
    )
    wire = request.to_wire()
    assert wire["width"] == 640
    assert "sd_vae" not in wire["alwayson_scripts"]
    assert request.init_mask == "https://f.example.com/m.png"
    assert wire["alwayson_scripts"]["controlnet"] == page["alwayson_scripts"]["controlnet"]
    assert Request.from_wire(page).replace(prompt=UNSET).to_wire().get("prompt") is None
    with pytest.raises(InvalidRequest, match="steps"):
        request.replace(steps=0)


def test_with_units_and_id_task(page: dict[str, Any]) -> None:
    request = Request.from_wire(page)
    unit = ControlNetUnit(module="canny", model="canny", image="picture:1")
    two = request.with_units([*request.units, unit])
    assert [each.module for each in two.units] == ["inpaint", "canny"]  # the module's own name
    assert "controlnet" not in request.with_units([]).to_wire()["alwayson_scripts"]
    assert request.with_units([]).operation == "sd_image2image_v2"
    assert request.with_id_task("mine").id_task == "mine"
    assert Request().with_units([unit]).operation == "sd_controlnet"


def test_a_disabled_unit_does_not_make_it_a_controlnet_request() -> None:
    body = {"alwayson_scripts": {"controlnet": {"args": [{"enabled": False, "module": "canny"}]}}}
    assert Request.from_wire(body).operation == "sd_text2image_v2"


def test_settings_name_model_and_vae_too() -> None:
    override = {"sd_model_checkpoint": "a.safetensors", "sd_vae": "b.pt", "CLIP_stop_at_last_layers": 2}
    request = Request.from_wire(
        {"alwayson_scripts": {"override_settings": override, "output_image_format": "PNG"}}
    )
    assert (request.checkpoint, request.vae, request.clip_skip) == ("a.safetensors", "b.pt", 2)
    assert request.output_format == "png"


def test_links_and_their_replacement(page: dict[str, Any]) -> None:
    args = page["alwayson_scripts"]["controlnet"]["args"]
    args.append(
        {"image": "data:image/png;base64,AAAA", "mask": "https://f.example.com/m.png", "enabled": True}
    )
    request = Request.from_wire(page)
    places = [place for place, _ in request.links()]
    assert places == [
        "alwayson_scripts.image_link",
        "alwayson_scripts.controlnet.args[0].image_link",
        "alwayson_scripts.controlnet.args[1].image",
        "alwayson_scripts.controlnet.args[1].mask",
    ]
    changed = request.map_links(lambda link: "picture:" + str(len(link)))
    assert all(link.startswith("picture:") for _, link in changed.links())
    assert [place for place, _ in changed.links()] == places
    assert changed.map_links(lambda link: link) == changed
    assert Request.from_wire({"prompt": "x"}).map_links(lambda _: "never").to_wire() == {"prompt": "x"}


def test_canonical_hash(page: dict[str, Any]) -> None:
    request = Request.from_wire(page)
    same = copy.deepcopy(page)
    same["seed"] = 1221212
    same["cfg_scale"] = 11.0
    same["alwayson_scripts"]["ControlNet"] = same["alwayson_scripts"].pop("controlnet")
    same["alwayson_scripts"]["id_task"] = "another"
    other = Request.from_wire(dict(reversed(list(same.items()))))
    assert other.canonical_hash() == request.canonical_hash()
    assert request.with_id_task("x").canonical_hash() == request.without_id_task().canonical_hash()
    assert request.replace(steps=26).canonical_hash() != request.canonical_hash()
    unit = request.units[0].replace(weight=0.8)
    assert request.with_units([unit]).canonical_hash() != request.canonical_hash()


def test_cloud_ranges_list_everything() -> None:
    body = {
        "width": 1032,
        "height": 100,
        "hr_resize_x": 0,
        "hr_resize_y": 2052,
        "cfg_scale": 0.5,
        "sampler_index": "DDIM",
        "batch_size": 2,
    }
    with pytest.raises(InvalidRequest) as caught:
        check_cloud_ranges(Request.from_wire(body))
    text = str(caught.value)
    for part in (
        "width is 1032, but must be a whole number from 128 to 1024 in steps of 8",
        "height is 100",
        "hr_resize_x is 0",
        "hr_resize_y is 2052, but must be a whole number from 128 to 2048 in steps of 8",
        "cfg_scale is 0.5, but must be a number from 1 to 30",
        "sampler_index is 'DDIM'",
        "prompt is missing",
        "alwayson_scripts.sd_model_checkpoint is missing",
        "leave the field out",
    ):
        assert part in text


@pytest.mark.parametrize("width", [124, 129, 1028])
def test_cloud_sizes(width: int, page: dict[str, Any]) -> None:
    request = Request.from_wire({**page, "width": width})
    with pytest.raises(InvalidRequest, match="width"):
        check_cloud_ranges(request)


def test_local_sizes_are_not_the_clouds(page: dict[str, Any]) -> None:
    assert Request.from_wire({**page, "width": 1536, "sampler_index": "DDIM"}).width == 1536


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_KNOWN = {"alwayson_scripts", *Request.model_fields}
_EXTRA = st.dictionaries(st.text(max_size=8).filter(lambda name: name not in _KNOWN), _JSON, max_size=3)
_BODY = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.text(max_size=20),
        "seed": st.integers(-1, 2**32) | st.integers(-1, 2**32).map(str) | st.none(),
        "steps": st.integers(1, 150),
        "width": st.integers(8, 4096),
        "cfg_scale": st.integers(1, 30) | st.floats(0, 30),
        "enable_hr": st.booleans() | st.none(),
        "hr_resize_x": st.integers(0, 2048),
        "denoising_strength": st.floats(0, 1) | st.none(),
    },
)
_UNIT = st.fixed_dictionaries(
    {"enabled": st.booleans()},
    optional={
        "image_link": st.text(max_size=9),
        "module": st.sampled_from(["none", "canny", "depth_midas"]),
        "weight": st.floats(0, 2),
        "control_mode": st.sampled_from(["Balanced", "ControlNet is more important"]),
        "x_future": _JSON,
    },
)


@settings(max_examples=60, deadline=None)
@given(
    body=_BODY,
    extra=_EXTRA,
    units=st.lists(_UNIT, max_size=3) | st.none(),
    script=st.sampled_from(["controlnet", "ControlNet"]),
)
def test_any_valid_body_round_trips(
    body: dict[str, Any], extra: dict[str, Any], units: Any, script: str
) -> None:
    wire = {**extra, **body}
    if units is not None:
        wire["alwayson_scripts"] = {script: {"args": units}, "other": {"args": [1]}}
    request = Request.from_wire(wire)
    assert request.to_wire() == wire
    assert Request.from_wire(request.to_wire()) == request
    assert len(request.canonical_hash()) == 64


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"prompt": "half \ud800"}, "prompt"),
        ({"prompt": "x", "alwayson_scripts": {"image_link": "\udfff.png"}}, "alwayson_scripts.image_link"),
        ({"prompt": "x", "styles": ["ok", "\ud800"]}, r"styles\[1\]"),
        ({"prompt": "x", "\ud800": 1}, "the name"),
    ],
)
def test_text_that_utf8_cannot_write_is_refused(body: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRequest, match=place) as caught:
        Request.from_wire(body)
    str(caught.value).encode()


def test_seeds_are_exact_up_to_63_bits() -> None:
    for seed in (2**53 + 1, 2**63 - 1):
        assert Request.from_wire({"seed": seed}).seed_number == seed
        assert Request.from_wire({"seed": str(seed)}).seed_number == seed
    for seed in (2**63, str(2**63), 10**400):
        with pytest.raises(InvalidRequest, match="seed"):
            Request.from_wire({"seed": seed})
