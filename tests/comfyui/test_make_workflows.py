"""The example workflow files are what their builder makes of the nodes as they are now, and can be read."""

from __future__ import annotations

import json

import pytest
from make_workflows import LOCALES, MAKERS, ROOT, path_of, text_of
from workflow_builder import MODELS, Canvas
from workflow_layout import Box, boxes, hidden, overlaps, wires
from workflow_words import WORDS, file_name

AGAIN = "run: python tests/comfyui/make_workflows.py"
FOLDER = ROOT / "example_workflows"
LARGEST = 40 * 1024


def test_there_is_no_other_file() -> None:
    names = {file_name(name) for name in MAKERS}
    assert (
        {path.stem for path in FOLDER.glob("*.json")} == names == {path.stem for path in FOLDER.glob("*.jpg")}
    )


def test_names_are_in_order_and_travel_everywhere() -> None:
    names = [file_name(name) for name in MAKERS]
    assert names == sorted(names)
    assert [int(name[:2]) for name in names] == list(range(1, len(names) + 1))
    # The front-end shows the name as title and, with "-" and "_" replaced, again as description.
    assert all(name.isascii() and not set(name) & set('-_<>:"/\\|?*%#&+') for name in names)


@pytest.mark.parametrize("name", MAKERS)
def test_workflow_file_is_up_to_date(name: str) -> None:
    assert path_of(name).read_text("utf-8") == text_of(name), AGAIN


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_covers_anything(name: str) -> None:
    workflow = json.loads(path_of(name).read_text("utf-8"))
    found = boxes(workflow)
    assert overlaps(found) == []
    assert hidden(found, wires(workflow)) == []


@pytest.mark.parametrize("name", MAKERS)
def test_every_node_but_the_note_is_in_one_group(name: str) -> None:
    workflow = json.loads(path_of(name).read_text("utf-8"))
    assert len(workflow["groups"]) >= 2
    assert len({group["title"] for group in workflow["groups"]}) == len(workflow["groups"])
    for box, node in zip(boxes(workflow), workflow["nodes"], strict=True):
        around = [group["title"] for group in workflow["groups"] if _holds(group["bounding"], box)]
        assert len(around) == (0 if node["type"] == "MarkdownNote" else 1), (node["type"], around)


def _holds(bounding: list[float], box: Box) -> bool:
    left, top, width, height = bounding
    return left < box.left and top < box.top and box.right < left + width and box.bottom < top + height


@pytest.mark.parametrize("name", MAKERS)
def test_models_can_be_fetched_and_the_note_says_from_where(name: str) -> None:
    workflow = json.loads(path_of(name).read_text("utf-8"))
    (note,) = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    offered = [row for node in workflow["nodes"] for row in node["properties"].get("models", [])]
    assert bool(offered) == (WORDS[name]["needs"] in ("models", "both"))
    for row in offered:
        assert MODELS[row["name"]] == (row["directory"], row["url"])
        assert row["url"] in note
    named = {str(value) for node in workflow["nodes"] for value in node.get("widgets_values") or []}
    files = {value for value in named if value.endswith(".safetensors")}
    assert files == {row["name"] for row in offered}, "a model that nobody can fetch"


@pytest.mark.parametrize("name", MAKERS)
def test_no_widget_holds_a_picture(name: str) -> None:
    assert "base64" not in path_of(name).read_text("utf-8")


@pytest.mark.parametrize("name", MAKERS)
def test_the_thumbnail_is_small(name: str) -> None:
    from PIL import Image

    path = path_of(name).with_suffix(".jpg")
    assert path.stat().st_size < LARGEST
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (400, 300)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_template_browser_says_what_the_note_says(locale: str) -> None:
    told = json.loads((ROOT / "locales" / locale / "main.json").read_text("utf-8"))["templateWorkflows"]
    for name in MAKERS:
        title, description, _ = WORDS[name][locale]
        assert told["template"]["img-open"][file_name(name)] == title, AGAIN
        assert told["templateDescription"]["img-open"][file_name(name)] == description, AGAIN


def test_builder_refuses_what_a_node_does_not_have() -> None:
    with pytest.raises(ValueError, match="no input wieght"):
        Canvas().add("ImgOpenControlNetApply", wieght=1.0)
    with pytest.raises(ValueError, match="does not offer 'cany'"):
        Canvas().add("ImgOpenControlNetApply", module="cany")


def test_the_check_finds_what_covers_something() -> None:
    left, right, between = Box(1, 0, 0, 100, 100), Box(2, 400, 0, 500, 100), Box(3, 200, 40, 300, 140)
    wire = (1, 2, (100.0, 50.0), (400.0, 50.0))
    assert hidden([left, right, between], [wire]) == [(1, 2, 3)]
    assert hidden([left, right], [wire]) == []
    assert overlaps([left, right, between]) == []
    assert overlaps([left, Box(4, 90, 90, 150, 150)]) == [(1, 4)]
