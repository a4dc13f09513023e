"""Runs the scripts named inside_* with ComfyUI's own Python, once each, and hands on what they found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "comfyui"))

from comfy_host import environment, find  # noqa: E402

_REPORTED: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _REPORTED:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def comfyui() -> tuple[Path, Path]:
    """Checkout and Python; skips with the line that says how to enable these tests."""
    found = find()
    if isinstance(found, str):
        if found not in _REPORTED:
            _REPORTED.append(found)
        pytest.skip(found)
    return found


def _facts(comfyui: tuple[Path, Path], script: str, home: Path) -> dict[str, Any]:
    folder, python = comfyui
    tables = HERE.parent / "golden" / "controlnet" / "tables.json"
    command = [str(python), str(HERE / script), str(folder), str(HERE.parents[1]), str(tables)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment(home))
    lines = [line for line in done.stdout.splitlines() if line.startswith("FACTS ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-4000:]}")
    return json.loads(lines[-1][6:])


@pytest.fixture(scope="session")
def facts(comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What inside_control.py found out."""
    return _facts(comfyui, "inside_control.py", tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def patch_facts(comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What inside_patches.py found out."""
    return _facts(comfyui, "inside_patches.py", tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def sampler_facts(comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What inside_samplers.py found out."""
    return _facts(comfyui, "inside_samplers.py", tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def text_facts(comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What inside_text.py found out."""
    return _facts(comfyui, "inside_text.py", tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def host_facts(comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What inside_host.py found out."""
    return _facts(comfyui, "inside_host.py", tmp_path_factory.mktemp("home"))
