"""What the node menu copies: the request of the nodes, without keys and signatures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from img_open.api.convert import from_text
from img_open.base.errors import InvalidRequest
from img_open.base.log import register_secret
from img_open.nodes.web_export import FORMATS, WIRED, as_text, canvas_request

CANARY = "AKCANARY-4f1c9d7e2b"


def canvas(**widgets: Any) -> dict[str, Any]:
    return {
        "widgets": {"prompt": "a red disc", "steps": 9, "seed": 5, **widgets},
        "wired": ["units"],
        "units": [{"widgets": {"module": "canny", "model": "m", "weight": 0.5}, "wired": ["image"]}],
    }


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_reads_back_as_the_same_request(form: str) -> None:
    notices: list[str] = []
    text = as_text(canvas_request(canvas(), None, notices), form, "https://server.example", notices)
    again = from_text(text)
    assert (again.prompt, again.steps, again.seed_number) == ("a red disc", 9, 5)
    assert (again.units[0].module, again.units[0].weight) == ("canny", 0.5)
    assert again.units[0].image == WIRED.format("image")
    assert any("image of unit 1" in notice for notice in notices)


@pytest.mark.parametrize("form", FORMATS)
def test_neither_keys_nor_signatures_leave(form: str) -> None:
    register_secret(CANARY)
    notices: list[str] = []
    signed = "https://pictures.example/a.png?X-Amz-Signature=abcdef0123456789"
    values = canvas(image_link=signed, negative_prompt=CANARY)
    text = as_text(canvas_request(values, None, notices), form, "https://server.example", notices)
    assert CANARY not in text
    assert "abcdef0123456789" not in text
    assert any("signature" in notice for notice in notices)
    if form == "curl":
        assert "$IMG_OPEN_ACCESS_KEY_SECRET" in text
        assert "https://server.example/" in text


def test_pictures_of_load_nodes_go_into_web_ui_json() -> None:
    notices: list[str] = []
    values = canvas()
    values["units"][0]["pictures"] = {"image": "photo.png"}
    request = canvas_request(values, lambda name: f"data:image/png;base64,{name}", notices)
    payload = json.loads(as_text(request, "web-ui", "", notices))
    assert "data:image/png;base64,photo.png" in json.dumps(payload)


@pytest.mark.parametrize("broken", [{}, {"widgets": {}, "units": "x"}, {"widgets": {}, "units": [{}]}])
def test_what_is_no_canvas_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        canvas_request(broken, None, [])
