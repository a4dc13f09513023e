"""The folder itself is a command: `python custom_nodes/img-open ...`, with nothing installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    """A ComfyUI folder with the pack linked under a name that is no name of a module."""
    nodes = tmp_path / "My ComfyUI" / "custom_nodes"
    nodes.mkdir(parents=True)
    try:
        (nodes / "img-open").symlink_to(ROOT, target_is_directory=True)
    except OSError as error:
        pytest.skip(f"This system makes no symbolic links here: {error}")
    return nodes


def answer(
    folder: Path, tmp_path: Path, *words: str, python: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "IMG_OPEN_HOME": str(tmp_path / "home"), "PYTHONSAFEPATH": ""}
    return subprocess.run(
        [sys.executable, *python, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )


def test_it_lists_modules_with_an_interpreter_that_has_no_such_package(
    custom_nodes: Path, tmp_path: Path
) -> None:
    """`-I`: no user site, no environment variables, no current folder, as in Windows' portable Python."""
    result = answer(custom_nodes, tmp_path, "img-open", "models", "list", python=("-I",))
    assert result.returncode == 0, result.stderr
    assert "canny                            runs" in result.stdout


def test_it_is_the_folder_that_runs_and_its_rooms_shadow_nobody(custom_nodes: Path, tmp_path: Path) -> None:
    """ComfyUI has a module `nodes` too: the pack's folder does not stay on sys.path."""
    program = (
        "import runpy, sys\n"
        "sys.argv = ['img-open', '--version']\n"
        "try:\n"
        "    runpy.run_path('img-open', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "import importlib.util, os\n"
        "print(sys.modules['img_open'].__file__)\n"
        "print(importlib.util.find_spec('nodes'))\n"
    )
    result = answer(custom_nodes, tmp_path, "-c", program)
    assert result.returncode == 0, result.stderr
    version, place, nodes = result.stdout.splitlines()
    assert version.startswith("img-open ")
    assert Path(place) == custom_nodes / "img-open" / "__init__.py"
    assert nodes == "None"


def test_importing_the_file_does_nothing(custom_nodes: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('door', 'img-open/__main__.py')\n"
        "before = (list(sys.path), set(sys.modules))\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "assert list(sys.path) == before[0]\n"
        "assert not {name for name in set(sys.modules) - before[1] if name.startswith('img_open')}\n"
    )
    result = answer(custom_nodes, tmp_path, "-c", program)
    assert result.returncode == 0, result.stderr


def test_as_a_module_of_the_installed_package(tmp_path: Path) -> None:
    result = answer(tmp_path, tmp_path, "-m", "img_open", "--version")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("img-open ")


def test_doctor_finds_the_comfyui_around_the_folder(custom_nodes: Path, tmp_path: Path) -> None:
    host = custom_nodes.parent
    (host / "comfy").mkdir()
    (host / "comfy" / "sd.py").write_text("raise SystemExit('not to be imported')\n")
    (host / "comfyui_version.py").write_text('__version__ = "0.3.1"\n')
    program = (
        "import sys; sys.argv = ['x']\n"
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('door', 'img-open/__main__.py')\n"
        "door = importlib.util.module_from_spec(spec); spec.loader.exec_module(door); door.command_line()\n"
        "from img_open.engines.doctor_facts import host_lines\n"
        "print('\\n'.join(host_lines()))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "COMFYUI_DIR"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=custom_nodes,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert f"ComfyUI 0.3.1 in {host}" in result.stdout
    assert "0.3.48 or newer" in result.stdout


@pytest.mark.parametrize("command", [("run", "request.json", "--out", "out"), ("serve", "--port", "0")])
def test_without_diffusers_one_error_says_what_to_do(
    custom_nodes: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "request.json").write_text('{"prompt": "a boat"}', "utf-8")
    program = (
        "import sys, runpy\n"
        "sys.modules['diffusers'] = None  # as where it is not installed\n"
        f"sys.argv = ['img-open', *{command!r}]\n"
        f"runpy.run_path({str(custom_nodes / 'img-open')!r}, run_name='__main__')\n"
    )
    result = answer(tmp_path, tmp_path, "-c", program)
    assert result.returncode == 1, result.stdout + result.stderr
    told = result.stderr.strip().splitlines()
    assert len(told) == 1
    assert "needs diffusers" in told[0]
    assert 'pip install ".[standalone]"' in told[0]
    assert "Never add them to ComfyUI's Python" in told[0]
