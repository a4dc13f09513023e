"""The built wheel: it carries every room and its data, and works away from this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the tracked files, unpacked as an installer would."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(wheels),
        str(source),
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    return target


def run(unpacked: Path, tmp_path: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "IMG_OPEN_HOME": str(tmp_path / "home")}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_it_is_the_wheel_that_is_imported(unpacked: Path, tmp_path: Path) -> None:
    place = run(unpacked, tmp_path, "-c", "import img_open; print(img_open.__file__)").strip()
    assert Path(place).is_relative_to(unpacked)


def test_data_files_travel(unpacked: Path) -> None:
    package = unpacked / "img_open"
    for name in ("api/catalogue.yaml", "engines/configs/sd15/tokenizer/vocab.json", "demo/picture.png"):
        assert (package / name).is_file(), name
    assert not (package / "tests").exists()


def test_every_module_of_every_room_imports(unpacked: Path, tmp_path: Path) -> None:
    """All but what needs ComfyUI, and the files that define a network; nothing heavy comes along."""
    networks = ("anime_face", "dsine", "manga_line", "openpose_networks", "sam_networks", "uniformer")
    program = (
        "import importlib, pathlib, sys, img_open\n"
        "root = pathlib.Path(img_open.__file__).parent\n"
        "rooms = ['base', 'controlnet', 'a1111', 'preprocessors', 'api', 'storage', 'engines', 'gateway']\n"
        "for room in rooms:\n"
        "    for file in sorted((root / room).glob('*.py')):\n"
        f"        if not file.stem.startswith('comfy_') and file.stem not in {networks}:\n"
        "            importlib.import_module(f'img_open.{room}.{file.stem}')\n"
        "heavy = {'torch', 'cv2', 'diffusers', 'transformers', 'controlnet_aux', 'matplotlib', 'boto3'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert run(unpacked, tmp_path, "-c", program).strip() == "[]"
    assert not (tmp_path / "home").exists()


def test_the_command_works(unpacked: Path, tmp_path: Path) -> None:
    rows = json.loads(run(unpacked, tmp_path, "-m", "img_open.cli", "modules", "--json"))
    assert len(rows) == 72
    page = unpacked / "img_open" / "demo" / "page_request.json"
    again = json.loads(
        run(unpacked, tmp_path, "-m", "img_open.cli", "convert", str(page), "--to", "img-open")
    )
    assert again == json.loads(page.read_text("utf-8"))
