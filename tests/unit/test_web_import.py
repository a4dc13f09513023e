"""What is pasted becomes nodes that send the same request again."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from img_open.api.convert import from_text
from img_open.api.request import Request
from img_open.base.errors import NetworkError
from img_open.base.pictures import encode_png
from img_open.nodes.bodies import request_body, unit_body
from img_open.nodes.tables import CONTROLNET_APPLY, GENERATE
from img_open.nodes.web_export import canvas_request
from img_open.nodes.web_import import Plan, is_web_ui, request_plan

PAGE = Path(__file__).parents[1] / "data" / "api" / "sd_controlnet_page.curl.txt"
SIGNED = "https://pictures.example/a.png?Expires=1&Signature=SECRETSIGNATURE"


def keep(link: str) -> str:
    return f"kept_{len(link)}.png"


def planned(text: str, keep: Any = keep) -> Plan:
    notices: list[str] = []
    return request_plan(from_text(text, notices), notices, keep)


def sent(plan: Plan) -> Request:
    """The request that the planned nodes would send, wired pictures aside."""
    nodes = {node["key"]: node for node in plan.nodes}
    units = [
        unit_body({**CONTROLNET_APPLY.defaults(), **node["widgets"]})
        for node in plan.nodes
        if node["type"] == "ImgOpenControlNetApply"
    ]
    submit = {**GENERATE.defaults(), **nodes["main"]["widgets"]}
    return Request.from_wire(request_body(submit, units=tuple(units)))


def test_the_pages_curl_becomes_the_pages_request() -> None:
    plan = planned(PAGE.read_text("utf-8"))
    assert [(node["type"], node["column"]) for node in plan.nodes] == [
        ("ImgOpenControlNetApply", 1),
        ("ImgOpenGenerate", 2),
        ("PreviewImage", 3),
    ]
    assert plan.links == [["unit0", "units", "main", "units"], ["main", "images", "preview", "images"]]
    assert any("pro1686666" in notice for notice in plan.notices)
    page, again = from_text(PAGE.read_text("utf-8")), sent(plan)
    # The widget holds what a text field of the browser would give back: one kind of line end.
    assert again.negative_prompt == page.negative_prompt.replace("\r\n", "\n")
    for name in ("prompt", "steps", "seed_number", "width", "height", "cfg_scale"):
        assert getattr(again, name) == getattr(page, name), name
    for name in ("sampler_index", "checkpoint", "vae", "init_image", "denoising_strength", "operation"):
        assert getattr(again, name) == getattr(page, name), name
    wanted, got = page.units[0].to_wire(), again.units[0].to_wire()
    assert {name: got[name] for name in wanted} == wanted
    assert plan.nodes[0]["widgets"]["image_link"].endswith("QR_Code4.png")


def test_widget_values_exist_on_the_nodes_and_are_within_their_bounds() -> None:
    plan = planned(json.dumps({"prompt": "x", "steps": 900, "seed": 2**40, "cfg_scale": 0.2}))
    table = {"ImgOpenGenerate": GENERATE, "ImgOpenControlNetApply": CONTROLNET_APPLY}
    for node in plan.nodes:
        fields = {field.id: field for field in table[node["type"]].inputs} if node["type"] in table else {}
        for name, value in node["widgets"].items():
            field = fields[name]
            if field.kind in ("int", "float"):
                assert field.minimum is not None
                assert field.maximum is not None
                assert field.minimum <= value <= field.maximum
    again = sent(plan)
    assert (again.steps, again.seed_number, again.cfg_scale) == (900, 2**40, 0.2)


def test_unknown_fields_are_kept_and_named() -> None:
    text = json.dumps(
        {
            "prompt": "x",
            "subseed": 5,
            "alwayson_scripts": {
                "ADetailer": {"args": [True]},
                "NewScript": {"args": [1]},
                "override_settings": {"CLIP_stop_at_last_layers": 2, "eta_ancestral": 0.5},
            },
        }
    )
    plan = planned(text)
    wire = sent(plan).to_wire()
    assert wire["subseed"] == 5
    assert wire["alwayson_scripts"]["NewScript"] == {"args": [1]}
    assert wire["alwayson_scripts"]["ADetailer"] == {"args": [True]}
    settings = wire["alwayson_scripts"]["override_settings"]
    assert settings == {"CLIP_stop_at_last_layers": 2, "eta_ancestral": 0.5}
    assert any("subseed" in notice and "NewScript" in notice for notice in plan.notices)


def test_inline_pictures_become_load_nodes() -> None:
    data = base64.b64encode(encode_png(np.zeros((8, 8, 3), np.uint8))).decode()
    payload = {
        "prompt": "x",
        "init_images": [data],
        "mask": data,
        "sampler_name": "Euler",
        "alwayson_scripts": {
            "controlnet": {"args": [{"enabled": True, "module": "canny", "model": "m", "image": data}]}
        },
    }
    plan = planned(json.dumps(payload))
    kinds = {node["key"]: node["type"] for node in plan.nodes}
    assert kinds["main_init_image"] == kinds["unit0_image"] == "LoadImage"
    assert kinds["main_init_mask"] == "LoadImageMask"
    assert ["main_init_mask", "MASK", "main", "init_mask"] in plan.links
    assert ["unit0_image", "IMAGE", "unit0", "image"] in plan.links
    assert data not in json.dumps(plan.nodes)


def test_signed_links_are_fetched_or_cut_but_never_stored() -> None:
    body = {"prompt": "x", "alwayson_scripts": {"image_link": SIGNED}}
    fetched = planned(json.dumps(body))
    assert any(node["type"] == "LoadImage" for node in fetched.nodes)

    def broken(link: str) -> str:
        raise NetworkError("No line.", "")

    cut = planned(json.dumps(body), broken)
    submit = next(node for node in cut.nodes if node["key"] == "main")
    assert submit["widgets"]["image_link"] == "https://pictures.example/a.png"
    assert any("No line." in notice for notice in cut.notices)
    for plan in (fetched, cut):
        assert "SECRETSIGNATURE" not in json.dumps([plan.nodes, plan.notices])


def test_two_units_are_a_chain() -> None:
    unit = {"enabled": True, "module": "depth_midas", "model": "m", "advanced_weighting": [1, 0.5]}
    body = {"prompt": "x", "alwayson_scripts": {"controlnet": {"args": [unit, {**unit, "weight": 0.3}]}}}
    plan = planned(json.dumps(body))
    assert ["unit0", "units", "unit1", "units"] in plan.links
    assert ["unit1", "units", "main", "units"] in plan.links
    assert [one.weight for one in sent(plan).units] == [1.0, 0.3]
    assert sent(plan).units[0].advanced_weighting == (1.0, 0.5)


@pytest.mark.parametrize("name", ["resize_mode", "inpainting_fill", "inpainting_mask_invert"])
def test_numbered_choices_become_words(name: str) -> None:
    body = {"prompt": "x", name: 1, "alwayson_scripts": {"image_link": "https://a.example/b.png",
                                                         "mask_link": "https://a.example/c.png"}}  # fmt: skip
    assert getattr(sent(planned(json.dumps(body))), name) == 1


def test_what_is_pasted_copies_back_unchanged() -> None:
    """The page's request, as it was written: seed as a text, fields in their places."""
    plan = planned(PAGE.read_text("utf-8"))
    nodes = {node["key"]: node for node in plan.nodes}
    canvas = {**nodes["main"], "units": [nodes["unit0"]]}
    again = canvas_request(canvas, None, []).to_wire()
    page = from_text(PAGE.read_text("utf-8")).without_id_task().to_wire()
    assert again == page


def test_where_it_runs_follows_from_where_it_comes() -> None:
    assert not is_web_ui(PAGE.read_text("utf-8"))
    assert not is_web_ui('{"prompt": "x", "steps": 3, "alwayson_scripts": {"sd_vae": "v"}}')
    assert is_web_ui('{"prompt": "x", "sampler_name": "Euler"}')
    assert is_web_ui("curl http://127.0.0.1:7860/sdapi/v1/txt2img -d '{}'")
    assert is_web_ui("x\nSteps: 3, Sampler: Euler")
