"""The registry: every module of the table has an entry that can be found, used and explained."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from img_open import cli
from img_open.controlnet.modules import MODULES, TAGS
from img_open.preprocessors import module_page
from img_open.preprocessors.describe import describe_modules
from img_open.preprocessors.registry import PREPROCESSORS, available, find_preprocessor
from img_open.preprocessors.runtime import PlainRuntime


def test_every_module_has_one_entry():
    assert set(PREPROCESSORS) == set(MODULES)
    assert len(PREPROCESSORS) == 72


@pytest.mark.parametrize("entry", PREPROCESSORS.values(), ids=lambda entry: entry.name)
def test_entries_agree_with_the_table(entry):
    returns = {"frame": "rgb", "batch": "rgb", "inpaint": "inpaint", "embedding": "embedding"}
    if entry.kind in returns and entry.spec.returns != "none":
        assert entry.spec.returns == returns[entry.kind]
    file, _, function = entry.make.partition(":")
    assert callable(getattr(importlib.import_module(f"img_open.preprocessors.{file}"), function))


def test_labels_find_the_same_entry():
    assert find_preprocessor("softedge_hed") is find_preprocessor("hed")


def test_availability_is_a_reason_or_nothing():
    for name in PREPROCESSORS:
        runs, reason = available(name)
        assert runs == (not reason)


def test_modules_without_weights_or_packages_always_run():
    for name, entry in PREPROCESSORS.items():
        if not entry.weights and not entry.packages:
            assert available(name) == (True, "")


def test_the_docs_page_is_up_to_date():
    page = Path(module_page.__file__).parents[1] / "docs" / "modules.md"
    assert page.read_text(encoding="utf-8") == module_page.markdown()


def test_the_page_names_every_module_and_weight():
    page = module_page.markdown()
    for name, spec in MODULES.items():
        assert f"| `{name}` |" in page
        assert spec.label in page


def row_of(name: str) -> list[str]:
    line = next(line for line in module_page.markdown().splitlines() if line.startswith(f"| `{name}` |"))
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def test_the_page_tells_the_control_model_and_both_licences():
    assert "`control_v11p_sd15_canny`" in row_of("canny")
    assert {"`control_v11p_sd15_softedge`", "controlnet-aux 0.0.10, Apache-2.0"} <= set(row_of("pidinet"))
    assert "research only (PiDiNet)" in row_of("pidinet")
    assert any("non-commercial" in cell for cell in row_of("depth_anything_v2"))


@pytest.mark.parametrize("row", describe_modules(), ids=lambda row: row["name"])
def test_every_module_says_whose_code_and_weights_it_uses(row):
    entry = PREPROCESSORS[row["name"]]
    assert row["code"]
    assert [each["key"] for each in row["weights"]] == list(entry.weights)
    assert all(each["licence"].strip() for each in row["weights"])
    usual = {TAGS[tag].usual_model for tag in row["tags"]} - {""}
    assert set(row["control_models"]) == usual


def test_contact_sheet_of_what_runs(golden, monkeypatch):
    few = {name: PREPROCESSORS[name] for name in ("canny", "inpaint_only", "hed", "clip_vision")}
    monkeypatch.setattr(module_page, "PREPROCESSORS", few)
    sheet = module_page.contact_sheet(golden.load("inputs/tiny_16.png"), PlainRuntime("cpu"))
    assert sheet.shape == (252, 6 * 208, 3)
    assert (sheet[:, 3 * 208 :] == 255).all()  # photograph, canny, inpaint_only; HED has no weights here


def test_the_command_line_tells_the_same(capsys):
    assert cli.main(["modules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith("pidinet "))
    assert "control_v11p_sd15_softedge" in lines[place + 1]
    assert "research only (PiDiNet)" in lines[place + 1]
