"""The real front-end in Chromium: every node is placed and photographed in both languages, one workflow runs.

Pictures go to the folder named by IMG_OPEN_SCREENSHOTS, if it is set: look at them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "comfyui"))

from comfy_host import ROOT, Host, find
from img_open.nodes.tables import NODES

HOW = (
    "Browser tests skipped: {missing}. To enable them install Chromium and Node.js, run `npm install "
    "playwright-core` in any folder and set PLAYWRIGHT_CORE to its node_modules/playwright-core."
)
LOCALES = ("en", "zh")
# What the front-end asks for and does not find, and its look-up of the vendor's releases, without a network.
FRONT_END = (
    "status of 404",
    "ERR_NAME_NOT_RESOLVED",
    "ERR_INTERNET_DISCONNECTED",
    "net::ERR",
    "reading 'id'",
)


def tools() -> dict[str, str] | str:
    """Where Node.js, Chromium and playwright-core are, or the line that says what is missing."""
    browser = os.environ.get("CHROMIUM") or next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        "",
    )
    library = os.environ.get("PLAYWRIGHT_CORE", "")
    missing = [
        name
        for name, there in (
            ("Node.js", shutil.which("node")),
            ("Chromium", browser),
            ("playwright-core", library and Path(library).is_dir()),
        )
        if not there
    ]
    if missing:
        return HOW.format(missing=", ".join(missing) + " not found")
    return {"CHROMIUM": browser, "PLAYWRIGHT_CORE": library}


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, dict[str, Any]]]:
    """What the browser saw, by language."""
    environment, comfyui = tools(), find()
    for found in (environment, comfyui):
        if isinstance(found, str):
            pytest.skip(found)
    folder = Path(tempfile.mkdtemp(prefix="img-open-browser-"))
    host = Host(*comfyui, folder / "host")
    try:
        host.launch()
        shutil.copy(host.folder / "input" / "example.png", host.base / "input")
        host.wait_until_up()
        yield {locale: look(host, folder, locale, dict(environment)) for locale in LOCALES}
    finally:
        host.stop()
        if kept := os.environ.get("IMG_OPEN_SCREENSHOTS"):
            for picture in folder.glob("*.png"):
                shutil.copy(picture, kept)
        shutil.rmtree(folder, ignore_errors=True)


def look(host: Host, folder: Path, locale: str, environment: dict[str, str]) -> dict[str, Any]:
    nodes = folder / "nodes.json"
    nodes.write_text(json.dumps([table.id for table in NODES]), "utf-8")
    script = Path(__file__).with_name("canvas.mjs")
    workflow = ROOT / "example_workflows" / "preprocess.json"
    done = subprocess.run(
        ["node", str(script), host.url, locale, str(folder), str(nodes), str(workflow)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("locale", LOCALES)
def test_nodes_carry_the_words_of_the_language(seen: dict[str, dict[str, Any]], locale: str) -> None:
    words = json.loads((ROOT / "locales" / locale / "nodeDefs.json").read_text("utf-8"))
    for table in NODES:
        placed, said = seen[locale]["placed"][table.id], words[table.id]
        assert placed["title"] == said["display_name"]
        widgets = [field for field in table.inputs if field.kind != "socket"]
        assert [name for name, _, _ in placed["widgets"]] == [field.id for field in sort_required(widgets)]
        for name, label, _ in placed["widgets"]:
            assert label == said["inputs"][name]["name"]
        for number, (_, label) in enumerate(placed["outputs"]):
            assert label == said["outputs"][str(number)]["name"]


def sort_required(fields: list[Any]) -> list[Any]:
    return sorted(fields, key=lambda field: not field.required)


def test_new_nodes_have_the_defaults_of_the_tables(seen: dict[str, dict[str, Any]]) -> None:
    for table in NODES:
        defaults = table.defaults()
        for name, _, value in seen["en"]["placed"][table.id]["widgets"]:
            assert value == defaults[name], name


@pytest.mark.parametrize("locale", LOCALES)
def test_a_workflow_runs_from_the_canvas(seen: dict[str, dict[str, Any]], locale: str) -> None:
    assert seen[locale]["ended"] == ["execution_success"]


@pytest.mark.parametrize("locale", LOCALES)
def test_the_console_stays_clean(seen: dict[str, dict[str, Any]], locale: str) -> None:
    own = [line for line in seen[locale]["errors"] if not any(known in line for known in FRONT_END)]
    assert not own
    assert not [line for line in seen[locale]["errors"] if "/extensions/img-open" in line]
