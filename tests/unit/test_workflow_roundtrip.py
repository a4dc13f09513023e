"""Workflow files: request to workflow to request is the identity, and the widgets alone carry the meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from img_open.api.request import Request
from img_open.api.request_fields import BODY
from img_open.base.errors import InvalidRequest
from img_open.cli import main
from img_open.controlnet.unit import ControlNetUnit
from img_open.nodes.tables import CONTROLNET_APPLY, GENERATE
from img_open.nodes.workflow_file import from_workflow, is_workflow, to_canvas, to_workflow

PAGE_FILE = Path(__file__).parents[1] / "data" / "api" / "sd_controlnet_page.json"
PAGE = json.loads(PAGE_FILE.read_text("utf-8"))
LINK = "https://pictures.example/a.png"

words = st.text(max_size=12)
shares = st.floats(0, 1)


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


UNITS = st.fixed_dictionaries(
    {"enabled": st.booleans(), "model": st.one_of(st.just("None"), words), "image_link": st.just(LINK)},
    optional={
        "module": st.sampled_from(["canny", "none", "depth_midas", "inpaint_only", "tile_resample"]),
        "weight": st.floats(0, 2),
        "mask": st.just(LINK),
        "resize_mode": st.sampled_from(["Just Resize", "Crop and Resize", "Resize and Fill"]),
        "low_vram": st.booleans(),
        "processor_res": integers(-1, 4096),
        "threshold_a": st.floats(-1, 500),
        "threshold_b": integers(-1, 300),
        "guidance_start": st.floats(0, 0.4),
        "guidance_end": st.floats(0.5, 1),
        "pixel_perfect": st.booleans(),
        "control_mode": st.sampled_from(["Balanced", "ControlNet is more important"]),
        "hr_option": st.sampled_from(["Both", "High res only"]),
        "advanced_weighting": st.one_of(st.none(), st.lists(st.floats(0, 2), min_size=13, max_size=13)),
        "save_detected_map": st.booleans(),
        "inpaint_crop_input_image": st.booleans(),
        "from_a_later_version": st.one_of(st.none(), words, st.dictionaries(words, st.none(), max_size=2)),
    },
)
ALWAYS_ON = st.fixed_dictionaries(
    {},
    optional={
        "sd_model_checkpoint": words,
        "id_task": words,
        "sd_vae": words,
        "output_image_format": st.sampled_from(["jpg", "png", "JPEG"]),
        "image_link": st.sampled_from(["", LINK]),
        "mask_link": st.sampled_from(["", LINK]),
        "override_settings": st.dictionaries(
            st.sampled_from(["CLIP_stop_at_last_layers", "eta_noise_seed_delta"]), integers(1, 12)
        ),
        "ADetailer": st.one_of(st.none(), st.dictionaries(words, integers(0, 9), max_size=2)),
        "controlnet": st.fixed_dictionaries({"args": st.lists(UNITS, max_size=4)}),
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "prompt": words,
        "negative_prompt": words,
        "n_iter": integers(1, 100),
        "batch_size": integers(1, 100),
        "steps": integers(1, 300),
        "seed": st.one_of(integers(-1, 2**40), integers(0, 9999).map(str), st.just("")),
        "restore_faces": st.booleans(),
        "enable_hr": st.booleans(),
        "hr_scale": st.floats(0, 16),
        "width": integers(8, 16384),
        "height": integers(8, 16384),
        "cfg_scale": st.one_of(integers(1, 30), st.floats(0, 1000)),
        "sampler_index": st.sampled_from(["Euler", "DPM++ 2M Karras", "of another version"]),
        "hr_second_pass_steps": integers(0, 300),
        "hr_resize_x": integers(0, 16384),
        "hr_resize_y": integers(0, 4000),
        "hr_upscaler": st.one_of(st.none(), words),
        "denoising_strength": shares,
        "resize_mode": integers(0, 3),
        "mask_blur": integers(0, 100),
        "mask_blur_x": integers(0, 100),
        "mask_blur_y": st.one_of(st.none(), integers(0, 100)),
        "inpainting_fill": integers(0, 3),
        "inpaint_full_res": st.booleans(),
        "inpaint_full_res_padding": integers(0, 600),
        "inpainting_mask_invert": integers(0, 1),
        "initial_noise_multiplier": st.one_of(st.none(), st.floats(0, 3)),
        "image_cfg_scale": st.one_of(st.none(), st.floats(0, 30)),
        "alwayson_scripts": ALWAYS_ON,
        "of_a_later_version": st.one_of(st.none(), integers(0, 9)),
    },
)
PATIENT = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def stored(workflow: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from a file."""
    return json.loads(json.dumps(workflow))


@PATIENT
@given(body=BODIES)
def test_a_request_comes_back_exactly(body: dict[str, Any]) -> None:
    request = Request.from_wire(body)
    for workflow in (to_workflow(request), to_canvas(request)):
        assert is_workflow(workflow)
        assert from_workflow(stored(workflow)).to_wire() == request.to_wire()


def one_line(text: str) -> str:
    """A text field of the browser knows one kind of line end."""
    return " ".join(text.splitlines())


def meaning(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for, whichever fields it states; without what cannot matter to it."""
    idle = {"alwayson_scripts", "seed", "initial_noise_multiplier", "image_cfg_scale", "hr_upscaler"}
    idle |= {name for name in BODY if name.startswith("hr_") and not body.get("enable_hr")}
    if not request.init_mask:
        idle |= {name for name in BODY if name.startswith(("mask_", "inpaint"))}
    found = {name: getattr(request, name) for name in BODY if name not in idle}
    noise = request.initial_noise_multiplier
    return found | {
        "prompt": one_line(request.prompt),
        "negative_prompt": one_line(request.negative_prompt),
        "seed": request.seed_number,
        "noise": 1 if noise is None or not request.init_image else noise,
        "upscaler": one_line(request.hr_upscaler or "").strip() if request.enable_hr else "",
        "pix2pix": (request.image_cfg_scale or 0) if request.init_image else 0,
        "links": (request.init_image, request.init_mask),
        "names": (one_line(request.checkpoint).strip(), one_line(request.vae).strip()),
        "settings": (request.clip_skip, request.output_format),
        # Fields the pack has no meaning for are left to the other test: extra_json cannot hold a null.
        "units": [
            {name: value for name, value in dict(unit).items() if name not in unit.unknown_fields}
            | {"model": one_line(unit.model) or "None"}
            for unit in request.units
        ],
    }


@PATIENT
@given(body=BODIES)
def test_the_widgets_alone_carry_the_meaning(body: dict[str, Any]) -> None:
    """What runs on the canvas is what the widgets say; the notes beside them are for reading back only."""
    scripts = body.get("alwayson_scripts", {})
    if not scripts.get("image_link"):
        scripts.pop("mask_link", None)
    request = Request.from_wire(body)
    workflow = to_workflow(request)
    for node in workflow.values():
        node["_meta"].pop("img_open", None)
    back = from_workflow(stored(workflow))
    one, other = meaning(back, body), meaning(request, body)
    assert {name: (one[name], other[name]) for name in one if one[name] != other[name]} == {}


def test_the_page_s_request_needs_no_extra_json() -> None:
    workflow = to_workflow(Request.from_wire(PAGE))
    assert [node["inputs"].get("extra_json", "") for node in workflow.values()] == ["", "", ""]
    assert workflow["2"]["inputs"]["units"] == ["1", 3]


def test_a_changed_widget_counts_when_it_is_read_back() -> None:
    workflow = to_workflow(Request.from_wire({"prompt": "a", "seed": "12"}))
    main_node = workflow["1"]["inputs"]
    assert from_workflow(workflow).to_wire() == {"prompt": "a", "seed": "12"}
    main_node["seed"], main_node["cfg_scale"] = 13, 9.5
    assert from_workflow(workflow).to_wire() == {"prompt": "a", "seed": 13, "cfg_scale": 9.5}


def test_what_is_left_out_means_the_api_s_default_not_a_new_node_s() -> None:
    inputs = to_workflow(Request.from_wire({"prompt": "a"}))["1"]["inputs"]
    assert inputs["sampler_index"] == "Euler"
    assert inputs["resize_mode"] == "Just Resize"
    unit = ControlNetUnit.from_wire({"module": "canny", "model": "m"})
    inputs = to_workflow(Request().with_units([unit]))["1"]["inputs"]
    assert inputs["processor_res"] == -1


def test_every_input_of_the_canvas_file_is_the_node_s() -> None:
    """Values lie in the order in which the front-end reads them: required ones first."""
    canvas = to_canvas(Request.from_wire(PAGE))
    for node, table in zip(canvas["nodes"], (CONTROLNET_APPLY, GENERATE), strict=False):
        assert [slot["name"] for slot in node["inputs"]] == [
            each.id for each in sorted(table.inputs, key=lambda each: not each.required)
        ]
        assert len(node["widgets_values"]) == sum(each.kind != "socket" for each in table.inputs)
    assert [link[1:] for link in canvas["links"]] == [
        [1, 3, 2, 2, "IMGOPEN_UNITS"],
        [2, 0, 3, 0, "IMAGE"],
    ]


def test_pictures_from_other_nodes_are_left_out_and_said() -> None:
    workflow = to_workflow(Request.from_wire({"prompt": "a"}))
    workflow["9"] = {"class_type": "LoadImage", "inputs": {"image": "photo.png"}}
    workflow["1"]["inputs"]["init_image"] = ["9", 0]
    notices: list[str] = []
    assert from_workflow(workflow, notices).init_image is None
    assert "LoadImage" in notices[0]
    workflow["9"] = {"class_type": "ImgOpenPicture", "inputs": {"link": LINK}}
    assert from_workflow(workflow, notices).init_image == LINK


def test_line_ends_are_those_of_a_browser_and_come_back_as_they_were() -> None:
    workflow = to_workflow(Request.from_wire({"prompt": "a\r\nb"}))
    assert workflow["1"]["inputs"]["prompt"] == "a\nb"
    assert workflow["1"]["inputs"]["extra_json"] == ""
    assert from_workflow(workflow).prompt == "a\r\nb"


@pytest.mark.parametrize("count", [0, 2])
def test_one_request_per_workflow(count: int) -> None:
    node = to_workflow(Request.from_wire({"prompt": "a"}))["1"]
    with pytest.raises(InvalidRequest, match=f"has {count} nodes"):
        from_workflow(
            {str(number): node for number in range(count)} or {"1": {"class_type": "KSampler", "inputs": {}}}
        )


@pytest.mark.parametrize("form", ["workflow", "canvas"])
def test_the_command_line_writes_and_reads_both(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(PAGE_FILE), "--to", form]) == 0
    (tmp_path / "flow.json").write_text(capsys.readouterr().out, "utf-8")
    assert main(["convert", str(tmp_path / "flow.json"), "--to", "img-open"]) == 0
    assert json.loads(capsys.readouterr().out) == PAGE


def test_signatures_do_not_get_into_workflow_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"prompt": "a", "alwayson_scripts": {"image_link": f"{LINK}?X-Amz-Signature=abc123"}}
    (tmp_path / "request.json").write_text(json.dumps(body), "utf-8")
    assert main(["convert", str(tmp_path / "request.json"), "--to", "workflow"]) == 0
    printed = capsys.readouterr()
    assert "abc123" not in printed.out
    assert "signature" in printed.err
