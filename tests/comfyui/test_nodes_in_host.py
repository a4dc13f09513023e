"""What the host says about the pack: nodes, words, help pages, workflows, imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from comfy_host import PACK, ROOT, Host, environment
from img_open.nodes.fields import NodeTable
from img_open.nodes.published import NODES

HEAVY = ("cv2", "diffusers", "transformers", "controlnet_aux", "matplotlib", "boto3")


@pytest.fixture(scope="module")
def info(host: Host) -> dict[str, Any]:
    return host.get("/object_info")


def test_every_node_and_no_other_is_there(info: dict[str, Any]) -> None:
    assert {name for name in info if name.startswith("ImgOpen")} == {table.id for table in NODES}
    assert all(info[table.id]["python_module"] == f"custom_nodes.{PACK}" for table in NODES)


@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_the_host_shows_what_the_tables_say(info: dict[str, Any], table: NodeTable) -> None:
    shown = info[table.id]
    assert (shown["display_name"], shown["category"]) == (table.title, table.category)
    assert not shown["api_node"]
    order = shown["input_order"]
    assert order["required"] + order.get("optional", []) == [field.id for field in sort_required(table)]
    for field in table.inputs:
        kind, options = shown["input"]["required" if field.required else "optional"][field.id]
        assert options["tooltip"] == field.tooltip
        assert kind == (
            field.socket or {"int": "INT", "float": "FLOAT", "bool": "BOOLEAN"}.get(field.kind, kind)
        )
        if field.kind != "socket":
            assert options["default"] == field.default
        if field.kind == "combo":
            assert field.default in options["options"]
    assert shown["output"] == [out.socket for out in table.outputs]
    assert shown["output_name"] == [out.name for out in table.outputs]
    assert all(shown["output_tooltips"])


def sort_required(table: NodeTable) -> list[Any]:
    return sorted(table.inputs, key=lambda field: not field.required)


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_locales_cover_object_info(host: Host, info: dict[str, Any], locale: str) -> None:
    served = host.get("/i18n")[locale]
    for table in NODES:
        shown, words = info[table.id], served["nodeDefs"][table.id]
        ids = [name for part in ("required", "optional") for name in shown["input"].get(part, {})]
        assert set(words["inputs"]) == set(ids)
        assert list(words["outputs"]) == [str(number) for number in range(len(shown["output"]))]
        for part in shown["category"].split("/"):
            assert part in served["nodeCategories"]
    assert "IMGOPEN_UNITS" in served["dataTypes"]


@pytest.mark.parametrize("locale", ["en", "zh"])
@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_help_pages_are_served(host: Host, table: NodeTable, locale: str) -> None:
    with urllib.request.urlopen(
        f"{host.url}/extensions/{PACK}/docs/{table.id}/{locale}.md", timeout=10
    ) as answer:
        assert answer.read().decode() == (ROOT / "web" / "docs" / table.id / f"{locale}.md").read_text(
            "utf-8"
        )


def test_workflows_are_offered_with_thumbnails(host: Host) -> None:
    offered = host.get("/workflow_templates")[PACK]
    assert set(offered) == {path.stem for path in (ROOT / "example_workflows").glob("*.json")}
    for name in offered:
        with urllib.request.urlopen(
            f"{host.url}/api/workflow_templates/{PACK}/{urllib.parse.quote(name)}.jpg", timeout=10
        ) as picture:
            assert picture.read(3) == b"\xff\xd8\xff"


@pytest.fixture(scope="module")
def probe(comfyui: tuple[Path, Path], base: Path) -> dict[str, Any]:
    """The pack loaded by path in a Python that has loaded the host's modules and nothing else."""
    folder, python = comfyui
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("pack_probe.py")), str(folder), str(ROOT)],
        cwd=folder,
        env=environment(base),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_only_the_v3_door_is_open(probe: dict[str, Any]) -> None:
    assert probe["ids"] == [table.id for table in NODES]
    assert not probe["has_v1"]


def test_importing_the_root_imports_nothing_else(probe: dict[str, Any]) -> None:
    assert set(probe["after_import"]) <= {"imported_pack"}


def test_the_nodes_bring_nothing_heavy(probe: dict[str, Any]) -> None:
    roots = {name.partition(".")[0] for name in probe["after_entrypoint"]}
    assert not roots & set(HEAVY)


def test_the_root_is_importable_without_comfyui() -> None:
    code = "import img_open, sys; assert 'comfy_api' not in sys.modules; print(img_open.WEB_DIRECTORY)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert done.stdout.strip() == "./web", done.stderr
