"""Every text of the canvas exists in both languages, and the settings and commands are in locales/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from img_open.engines.types import Stage
from img_open.nodes.published import NODES
from img_open.preprocessors.describe import describe_modules

ROOT = Path(__file__).parents[2]
JS = sorted((ROOT / "web" / "js").glob("*.js"))
TRANSLATED = ("words.js", "choices.js")  # for translators: characters, no escapes
SOURCES = {path.name: path.read_text("utf-8") for path in JS}


# Labels of the form of a profile: ["name in the profile", "label", "kind" or choices
FORM = re.compile(r'\["\w+", "([^"]+)", (?:"(?:text|number|switch|secret)"|\[)')


def chinese() -> dict[str, str]:
    """The table of words.js; its entries are one per line or two."""
    table = SOURCES["words.js"].partition("const ZH = {")[2].partition("\n};")[0]
    found = re.findall(r'^  (?:"([^"]+)"|([\w-]+)):\s*"([^"]*)",$', table, re.MULTILINE)
    return {plainly(quoted or plain): plainly(text) for quoted, plain, text in found}


def plainly(text: str) -> str:
    """A string literal's text, escapes read."""
    return json.loads(f'"{text}"')


def test_every_text_of_the_panels_has_a_chinese_one() -> None:
    words = chinese()
    used = {plainly(text) for name, source in SOURCES.items() if name != "words.js"
            for text in re.findall(r'\bt\("((?:[^"\\]|\\.)+)"', source)}  # fmt: skip
    used |= set(re.findall(r'\badd\("([^"]+)"', SOURCES["tasks.js"]))
    states = re.search(r"const OPEN = \[(.*?)\];\nconst STATES = \[...OPEN, (.*?)\];", SOURCES["tasks.js"])
    assert states is not None
    used |= set(re.findall(r'"(\w+)"', states[0]))
    used |= set(get_args(Stage)) | set(FORM.findall(SOURCES["profile_form.js"]))
    for table in ("WAYS", "DIALECTS"):
        entries = re.search(rf"const {table} = \{{(.*?)\}};", SOURCES["profile_form.js"], re.DOTALL)
        assert entries is not None
        used |= set(re.findall(r': "([^"]+)"', entries[1]))
    assert len(used) > 90
    assert used - set(words) == set()
    assert all(any(ord(letter) > 127 for letter in text) for text in words.values())


def test_every_slider_label_has_a_chinese_one() -> None:
    labels = {
        slider["label"]
        for entry in describe_modules()
        for slider in entry["sliders"].values()
        if slider["visible"]
    }
    assert labels - set(chinese()) == set()


def test_every_choice_of_a_combo_has_a_chinese_one() -> None:
    table = SOURCES["choices.js"].partition("export const ZH = {")[2].partition("\n};")[0]
    entries = re.findall(r'^  (?:"([^"]+)"|(\w+)): "', table, re.MULTILINE)
    words = {quoted or plain for quoted, plain in entries}
    named = re.search(r"NAMED = \[(.*?)\]", SOURCES["choices.js"], re.DOTALL)
    assert named is not None
    names = set(re.findall(r'"(\w+)"', named[1]))
    choices: set[str] = set()
    for node in NODES:
        for field in node.inputs:
            if field.kind == "combo" and field.id not in names:
                choices |= set(field.options() if callable(field.options) else field.options)
    assert len(choices) > 30
    assert {choice for choice in choices if not choice.isdecimal()} - words == set()


def test_placeholders_are_the_same_in_both_languages() -> None:
    for text, translated in chinese().items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", translated)), text


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_locales_hold_every_setting_and_command(locale: str) -> None:
    settings = set(re.findall(r'^      id: "(ImgOpen\.\w+)"', SOURCES["settings.js"], re.MULTILINE))
    commands = set(re.findall(r'\{ id: "(ImgOpen\.\w+)"', SOURCES["imgopen.js"]))
    assert settings
    assert commands
    for name, ids, parts in (("settings", settings, {"name", "tooltip"}), ("commands", commands, {"label"})):
        words = json.loads((ROOT / "locales" / locale / f"{name}.json").read_text("utf-8"))
        assert set(words) == {one.replace(".", "_") for one in ids}
        assert all(parts <= set(entry) for entry in words.values())


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_groups_of_the_settings_have_names(locale: str) -> None:
    words = json.loads((ROOT / "locales" / locale / "main.json").read_text("utf-8"))["settingsCategories"]
    groups = set(re.findall(r'category: \[CATEGORY, "([^"]+)"', SOURCES["settings.js"]))
    assert set(words) == {"Img Open", *groups}


def test_english_locale_says_what_the_code_says() -> None:
    words = json.loads((ROOT / "locales" / "en" / "settings.json").read_text("utf-8"))
    for key, entry in words.items():
        assert f'name: "{entry["name"]}"' in SOURCES["settings.js"], key
        assert f'"{entry["tooltip"]}"' in SOURCES["settings.js"], key


@pytest.mark.parametrize("path", JS, ids=lambda path: path.name)
def test_modules_are_small_and_plain(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.isascii() or path.name in TRANSLATED
    assert len(text.splitlines()) <= 300
    for word in ("eval(", "innerHTML", "localStorage", "sessionStorage", "document.write"):
        assert word not in text, word
