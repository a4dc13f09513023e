"""What the two README files promise: commands, files, node titles and numbers, in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from img_open.cli import build_parser
from img_open.preprocessors.registry import PREPROCESSORS

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"en": "README.md", "zh": "README.zh-CN.md"}
HOST = {"transformers", "spandrel"}  # come with ComfyUI
ONE_LINE = {"controlnet_aux", "onnxruntime"}  # what the line under "More preprocessors" adds


def text(language: str) -> str:
    return (ROOT / PAGES[language]).read_text("utf-8")


@pytest.fixture(params=PAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_files_that_are_named_are_there(language: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", text(language))
    assert len(links) > 10
    for link in links:
        assert (ROOT / link).is_file(), link


def test_the_first_words_are_the_two_commands(language: str) -> None:
    page = text(language)
    first = re.search(r"```\n(.*?)```", page, re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].splitlines()] == [
        "python3 dev.py demo",
        "python3 dev.py test",
    ]
    order = [page.index(part) for part in ("dev.py demo", "parameters.png", "git clone", "`ImgOpenGenerate`")]
    assert order == sorted(order)


def test_every_command_that_is_shown_exists(language: str) -> None:
    """Each line of the command block is taken by the parser, with a value for each word in capitals."""
    lines = [line for line in text(language).splitlines() if line.startswith("img-open ")]
    assert len(lines) > 8
    for line in lines:
        words = line.split("#")[0].split()[1:]
        assert build_parser().parse_args(words).handler, line


def test_node_titles_are_those_of_the_canvas(language: str) -> None:
    nodes = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text("utf-8"))
    named = re.findall(r"\*\*([^*]+)\*\* ?`(ImgOpen\w+)`", text(language))
    assert len(named) > 10
    for title, node in named:
        assert re.split(r" ?[(（]", nodes[node]["display_name"])[0] == title, node


def test_the_numbers_of_modules(language: str) -> None:
    at_once = after_weights = after_packages = 0
    for entry in PREPROCESSORS.values():
        needs = set(entry.packages) - HOST
        at_once += not needs and not entry.weights
        after_weights += not needs and bool(entry.weights)
        after_packages += bool(needs) and needs <= ONE_LINE
    total = len(PREPROCESSORS)
    section = text(language).split("\n### ")[1]
    told = [int(number) for number in re.findall(r"(?<![\d.=])\d+(?![\d.=])", section.split("```")[0])]
    expected = [at_once, total, after_weights, after_packages, at_once + after_weights + after_packages]
    assert sorted(told) == sorted(expected)
    others = [name for name, entry in PREPROCESSORS.items() if set(entry.packages) - HOST - ONE_LINE]
    assert sorted(re.findall(r"`([\w-]+)`", re.split("four|四个", section)[1].split("###")[0])) == sorted(
        others
    )


def test_both_say_the_same_commands() -> None:
    def commands(language: str) -> list[str]:
        blocks = re.findall(r"```\n(.*?)```", text(language), re.DOTALL)
        return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]

    assert commands("en") == commands("zh")
    for words in ('pip install ".[standalone]"', "demo/request.json", "custom_nodes/img-open doctor"):
        assert words in text("en")
        assert words in text("zh")
    assert "img-open[standalone]" not in text("en") + text("zh")
