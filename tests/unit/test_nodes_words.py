"""Locales and help pages are complete, up to date, and safe for the front-end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from img_open.nodes import help_pages
from img_open.nodes.fields import NodeTable
from img_open.nodes.published import NODES

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ("en", "zh")


def words(locale: str, name: str = "nodeDefs") -> dict[str, Any]:
    return json.loads((ROOT / "locales" / locale / f"{name}.json").read_text("utf-8"))


def leaves(value: Any, place: str = "") -> dict[str, str]:
    """Every text by its dotted place."""
    if isinstance(value, dict):
        return {
            key: text
            for name, inner in value.items()
            for key, text in leaves(inner, f"{place}.{name}").items()
        }
    assert isinstance(value, str), place
    return {place: value}


def test_english_is_what_the_tables_say() -> None:
    assert words("en") == help_pages.english(), "run img_open.nodes.help_pages.refresh()"


@pytest.mark.parametrize("name", ["main", "nodeDefs", "settings", "commands"])
def test_both_languages_have_the_same_keys(name: str) -> None:
    assert set(leaves(words("en", name))) == set(leaves(words("zh", name)))


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", ["main", "nodeDefs", "settings", "commands"])
def test_no_text_is_empty_or_read_as_a_pattern(locale: str, name: str) -> None:
    """The front-end's translator gives { } @ | a meaning and would break or cut such a text."""
    for place, text in leaves(words(locale, name)).items():
        assert text.strip(), place
        assert not set(text) & set("{}@|"), place


def test_chinese_is_chinese() -> None:
    for place, text in leaves(words("zh")).items():
        if place.endswith((".tooltip", ".description", ".display_name")):
            assert re.search(r"[\u4e00-\u9fff]", text), place


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_help_page_is_up_to_date(table: NodeTable, locale: str) -> None:
    text = help_pages.page(table, locale).read_text("utf-8")
    expected = help_pages.parameters(table, words(locale)[table.id], locale)
    assert expected in text, "run img_open.nodes.help_pages.refresh()"
    assert text == help_pages.complete(text, table, words(locale)[table.id], locale)
    assert text.startswith("# ")
    assert len(text.replace(expected, "")) > 300, "the page explains nothing"


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_help_page_reads_from_the_top_in_a_narrow_sidebar(table: NodeTable, locale: str) -> None:
    """Picture, what the node does, an example, the parameters; no table, which is cut off there."""
    text = help_pages.page(table, locale).read_text("utf-8")
    lines = text.split("\n")
    if help_pages.page(table, locale).with_suffix(".png").is_file():
        assert lines[2] == f"![{words(locale)[table.id]['display_name']}]({table.id}/{locale}.png)"
        assert text.count(f"({table.id}/{locale}.png)") == 1
    assert not [line for line in lines if line.startswith("|")]
    heads = [line[3:] for line in lines if line.startswith("## ")]
    assert heads[:2] == (["Example", "Parameters"] if locale == "en" else ["示例", "参数"])


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_help_page_names_inputs_as_the_canvas_does(table: NodeTable, locale: str) -> None:
    page = help_pages.page(table, locale).read_text("utf-8")
    bullets = [line for line in page.split("\n") if line.startswith("- **")]
    for field in table.inputs:
        label = words(locale)[table.id]["inputs"][field.id]["name"]
        if field.socket == "IMGOPEN_TASK":
            continue  # several alike are told in one line
        assert f"**{label}**" in page, field.id
        if label != field.id:
            assert any(f"**{label}**" in line and f"`{field.id}`" in line for line in bullets), field.id
        if field.kind == "combo" and isinstance(field.options, tuple):
            line = next(one for one in bullets if f"**{label}**" in one)
            assert all(f"`{choice}`" in line for choice in field.options), field.id


@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_both_languages_say_as_much(table: NodeTable) -> None:
    """The same sections and as many points under each: what one language tells, the other tells too."""

    def outline(locale: str) -> list[int]:
        text = help_pages.page(table, locale).read_text("utf-8")
        return [section.count("\n- ") for section in re.split(r"(?m)^##+ ", text)]

    assert outline("en") == outline("zh")


@pytest.mark.parametrize("locale", LOCALES)
def test_workflows_have_titles_and_descriptions(locale: str) -> None:
    names = {path.stem for path in (ROOT / "example_workflows").glob("*.json")}
    templates = words(locale, "main")["templateWorkflows"]
    assert names
    assert set(templates["template"]["img-open"]) == names
    assert set(templates["templateDescription"]["img-open"]) == names
    for name in names:
        assert (ROOT / "example_workflows" / f"{name}.jpg").is_file(), f"{name} has no thumbnail"


def test_menu_categories_have_words() -> None:
    parts = {part for table in NODES for part in table.category.split("/")}
    for locale in LOCALES:
        assert parts <= set(words(locale, "main")["nodeCategories"])
