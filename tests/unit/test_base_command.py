"""The command lines that texts name work for the process that names them, on its platform's shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from img_open.base import command as lines
from img_open.base.command import PACK, command, pip, quoted, version


def bare_python(folder: Path) -> Path:
    """A Python without the `img-open` script beside it, in a folder with a blank in its name."""
    place = folder / "a portable python" / "bin"
    place.mkdir(parents=True)
    python = place / "python3"
    python.symlink_to(sys.executable)
    return python


def test_the_line_named_here_runs() -> None:
    answer = subprocess.run(
        shlex.split(command("--version")), capture_output=True, text=True, timeout=120, check=True
    )
    assert answer.stdout.strip() == f"img-open {version()}"


@pytest.mark.skipif(sys.platform == "win32", reason="makes a symbolic link to the interpreter")
def test_without_the_script_the_interpreter_and_the_folder_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = bare_python(tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(lines.sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    words = shlex.split(command("models pull hed"))
    assert words == [str(python), str(PACK), "models", "pull", "hed"]
    assert shlex.split(pip("install einops")) == [str(python), "-m", "pip", "install", "einops"]


@pytest.mark.skipif(sys.platform == "win32", reason="makes an executable file of POSIX")
def test_the_script_on_the_path_is_named_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = bare_python(tmp_path)
    script = python.with_name("img-open")
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", "/nowhere")
    lines._program.cache_clear()
    assert shlex.split(command("doctor")) == [str(script), "doctor"]
    monkeypatch.setenv("PATH", str(script.parent))
    lines._program.cache_clear()
    assert command("doctor") == "img-open doctor"
    lines._program.cache_clear()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (r"C:\ComfyUI\python_embeded\python.exe", r"C:\ComfyUI\python_embeded\python.exe"),
        (r"C:\My ComfyUI\python_embeded\python.exe", r'"C:\My ComfyUI\python_embeded\python.exe"'),
        (r"C:\A&B\python.exe", r'"C:\A&B\python.exe"'),
        (r"C:\ComfyUI (1)\python.exe", r'"C:\ComfyUI (1)\python.exe"'),
    ],
)
def test_windows_gets_double_quotes_where_it_needs_them(path: str, line: str) -> None:
    assert quoted(path, "win32") == line


@pytest.mark.parametrize("path", ["/opt/python", "/opt/my python", "/opt/it's/$HOME", "/opt/a;b"])
def test_posix_gets_back_the_very_path(path: str) -> None:
    assert shlex.split(quoted(path, "linux")) == [path]


def test_the_version_is_that_of_the_project() -> None:
    assert f'version = "{version()}"' in (PACK / "pyproject.toml").read_text("utf-8")
