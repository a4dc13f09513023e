"""The example workflow files are what their builder makes of the nodes as they are now."""

from __future__ import annotations

import json

import pytest
from make_workflows import LOCALES, MAKERS, ROOT, text_of
from workflow_builder import Canvas
from workflow_words import WORDS

AGAIN = "run: python tests/comfyui/make_workflows.py"


@pytest.mark.parametrize("name", MAKERS)
def test_workflow_file_is_up_to_date(name: str) -> None:
    assert (ROOT / "example_workflows" / f"{name}.json").read_text("utf-8") == text_of(name), AGAIN


@pytest.mark.parametrize("locale", LOCALES)
def test_the_template_browser_says_what_the_note_says(locale: str) -> None:
    told = json.loads((ROOT / "locales" / locale / "main.json").read_text("utf-8"))["templateWorkflows"]
    for name in MAKERS:
        title, description, _ = WORDS[name][locale]
        assert told["template"]["img-open"][name] == title, AGAIN
        assert told["templateDescription"]["img-open"][name] == description, AGAIN


def test_builder_refuses_what_a_node_does_not_have() -> None:
    with pytest.raises(ValueError, match="no input wieght"):
        Canvas().add("ImgOpenControlNetApply", (0, 0), (1, 1), wieght=1.0)
    with pytest.raises(ValueError, match="does not offer 'cany'"):
        Canvas().add("ImgOpenControlNetApply", (0, 0), (1, 1), module="cany")
