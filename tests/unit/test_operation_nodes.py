"""Nodes of the API's operations: what is not touched is not sent, and everything written down is current."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from img_open.api.catalogue import Catalogue
from img_open.base.errors import InvalidRequest
from img_open.nodes import operation_pages
from img_open.nodes.help_pages import complete, locale_file, page
from img_open.nodes.operation_fields import body_from, check_pictures
from img_open.nodes.operation_list import FILE, as_json, published_tables
from img_open.nodes.operation_tables import (
    OperationNode,
    chinese_words,
    node_id,
    node_of,
    operation_node,
    published_operations,
)
from img_open.nodes.operation_titles import TITLES
from img_open.nodes.operation_words import FIELD_WORDS

OPERATIONS = published_operations()
STALE = "run python -m img_open.nodes.operation_pages"


def values(node: OperationNode, **changes: Any) -> dict[str, Any]:
    assert not set(changes) - set(node.table.defaults())
    return {**node.table.defaults(), **changes}


def body(name: str, pictures: dict[str, list[str]] | None = None, **changes: Any) -> dict[str, Any]:
    node = node_of(name)
    return body_from(node.parts, values(node, **changes), pictures or {})


@pytest.mark.parametrize("node", OPERATIONS, ids=lambda node: node.operation.id)
def test_a_new_node_sends_only_what_must_be_sent(node: OperationNode) -> None:
    """Choices and numbers that are required have a value from the start; nothing else has."""
    sent = body_from(node.parts, values(node), {})
    for name in sent:
        spec = node.operation.field(name)
        assert spec is not None
        assert spec.required is True, name


@pytest.mark.parametrize("node", OPERATIONS, ids=lambda node: node.operation.id)
def test_every_published_field_has_an_input_and_no_other_has(node: OperationNode) -> None:
    names = {spec.name for spec in node.operation.fields or ()}
    leaves = {
        name
        for name in names
        if not any(other.startswith((name + ".", name + "[]")) for other in names) and "[]" not in name
    }
    wires = {part.wire for part in node.parts} - set(node.operation.path_params)
    assert leaves <= wires | {"alwayson_scripts.controlnet.args"}
    assert wires <= names
    extra = {"profile", "extra_json", "deadline", "run_again"}
    filled = {one.id for part in node.parts for one in part.inputs}
    assert {field.id for field in node.table.inputs} - extra == filled


def test_every_kind_of_value_is_sent_as_its_type() -> None:
    sent = body(
        "sd_text2image_v3",
        prompt="a boat",
        steps=25,
        subSeedStrength=0.0,
        restoreFaces="false",
        tilling="true",
        styles="ink\n\n  oil ",
        scriptArgs='{"x": [1]}',
        seed="-1",
    )
    assert sent == {
        "prompt": "a boat", "steps": 25, "subSeedStrength": 0, "restoreFaces": False, "tilling": True,
        "styles": ["ink", "oil"], "scriptArgs": {"x": [1]}, "seed": "-1",
    }  # fmt: skip
    expand = body("img_expand", seed=-1, sampleStep=0, imageCount=3)
    assert (expand["seed"], expand["sampleStep"], expand["imageCount"]) == (-1, 0, 3)
    assert "seed" not in body("img_expand", seed=-2)
    assert body("prompts_expand", mode="1")["mode"] == 1
    assert body("submit_training_job", maxTokenLength="150")["maxTokenLength"] == 150


def test_nested_fields_find_their_place() -> None:
    sent = body(
        "sd_text2image_v2", CLIP_stop_at_last_layers=2, sd_model_checkpoint="demo", id_task="mine", width=512
    )
    assert sent == {
        "width": 512,
        "alwayson_scripts": {
            "sd_model_checkpoint": "demo", "id_task": "mine",
            "override_settings": {"CLIP_stop_at_last_layers": 2},
        },
    }  # fmt: skip


def test_pictures_are_wired_or_linked() -> None:
    links = {"source": ["picture:1", "picture:2"], "target": ["picture:3"]}
    sent = body("face_fusion", links)
    assert sent == {"sourceUrl": ["picture:1", "picture:2"], "targetUrl": "picture:3"}
    assert body("roop", sourceUrl=" https://a.example/s.png ")["sourceUrl"] == "https://a.example/s.png"
    with pytest.raises(InvalidRequest, match="both given"):
        body("roop", {"source": ["picture:1"]}, sourceUrl="https://a.example/s.png")


def test_a_picture_that_must_be_there_is_asked_for_by_the_names_of_the_node() -> None:
    node = node_of("roop")
    check_pictures(node.operation, node.parts, {"sourceUrl": "https://a/s.png", "targetUrl": "picture:3"})
    with pytest.raises(InvalidRequest, match="source is not wired and sourceUrl is empty"):
        check_pictures(node.operation, node.parts, {"targetUrl": "picture:3"})
    with pytest.raises(InvalidRequest, match="target is not wired and targetUrl is empty"):
        check_pictures(node.operation, node.parts, {"sourceUrl": "https://a/s.png", "targetUrl": ""})
    node = node_of("sd_image2image_v2")  # the page does not say that its pictures must be there
    check_pictures(node.operation, node.parts, {})


BAD = [
    ("prompts_expand", {"mode": "2"}, "mode"),
    ("sd_text2image_v3", {"restoreFaces": "yes"}, "restoreFaces"),
    ("sd_text2image_v3", {"scriptArgs": "{"}, "scriptArgs"),
    ("sd_text2image_v3", {"width": float("nan")}, "width"),
]


@pytest.mark.parametrize(("name", "changes", "word"), BAD)
def test_values_that_cannot_be_read(name: str, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        body(name, **changes)


def test_the_tables_on_disk_are_the_catalogues() -> None:
    assert json.loads(FILE.read_text("utf-8")) == {n.operation.id: as_json(n.table) for n in OPERATIONS}, (
        STALE
    )
    assert published_tables() == {node.operation.id: node.table for node in OPERATIONS}, STALE


def test_chinese_words_and_pages_are_current() -> None:
    words = json.loads(locale_file("zh").read_text("utf-8"))
    for node in OPERATIONS:
        assert words[node.table.id] == chinese_words(node), STALE
        for locale, text in (
            ("en", operation_pages.english_page(node)),
            ("zh", operation_pages.chinese_page(node)),
        ):
            written = page(node.table, locale).read_text("utf-8")
            entry = json.loads(locale_file(locale).read_text("utf-8"))[node.table.id]
            assert written == complete(text, node.table, entry, locale), STALE


def test_every_operation_has_a_readable_title() -> None:
    assert set(TITLES) == {node.operation.id for node in OPERATIONS}
    assert len({words.title for words in TITLES.values()}) == len(TITLES)
    assert len({words.zh for words in TITLES.values()}) == len(TITLES)
    for words in TITLES.values():
        plain = words.title.replace("ControlNet", "").replace("InstantID", "")
        assert not re.search("[a-z][0-9A-Z]|_", plain)


def test_every_field_has_words() -> None:
    leaves = {
        part.wire.rpartition(".")[2] for node in OPERATIONS for part in node.parts if part.way != "units"
    }
    assert leaves <= set(FIELD_WORDS), leaves - set(FIELD_WORDS)


def test_ids_are_words_in_camel_case() -> None:
    assert node_id("flux_text2image") == "ImgOpenApiFluxText2image"
    assert len({node.table.id for node in OPERATIONS}) == len(OPERATIONS) == len(Catalogue.load().runnable())


def test_pages_in_development_say_so() -> None:
    marked = {node.operation.id for node in OPERATIONS if "in development" in node.table.description}
    assert marked == {operation.id for operation in Catalogue.load().runnable() if operation.in_development}
    assert marked


def test_a_local_operation_becomes_a_node_with_its_outputs() -> None:
    file_like = {
        "id": "cut_out",
        "path": "/AIGCImgOpenServ/saas/tool/cut/out",
        "fields": [
            {"name": "businessTaskId", "type": "string", "required": True, "role": "task_id"},
            {"name": "photo", "type": "string", "required": True, "role": "picture"},
            {"name": "strength", "type": "number", "range": [0, 1], "default": 0.5},
        ],
        "response": [
            {"name": "data.cutoutUrl", "type": "string", "role": "picture"},
            {"name": "data.maskUrl", "type": "string", "role": "mask"},
        ],
        "confidence": "local",
        "task": {"mode": "async", "poll_with": ["query_tool_task"]},
    }
    from img_open.api.catalogue import Operation

    node = operation_node(Operation.model_validate(file_like))
    assert [(out.socket, out.name) for out in node.table.outputs] == [
        ("IMAGE", "images"), ("MASK", "masks"), ("STRING", "response"), ("STRING", "task_id"),
    ]  # fmt: skip
    strength = next(field for field in node.table.inputs if field.id == "strength")
    assert (strength.default, strength.minimum, strength.maximum) == (-1.0, -1.0, 1.0)
    assert "own catalogue file" in node.table.description
