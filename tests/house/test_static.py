"""The house rules: style, types, the direction of imports, and what the registry reads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - Python 3.10 ships no TOML reader; pip vendors one
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def tool(name: str) -> str:
    """The tool inside the environment that runs the tests."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is missing: run python3 dev.py test, which installs it"
    return found


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["lint-imports"], ["pyright"]],
    ids=lambda command: command[0],
)
def test_checker(command: list[str]) -> None:
    result = subprocess.run(
        [tool(command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


def test_requirements_file_says_the_same_as_the_project() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").split()
    assert sorted(lines) == sorted(PROJECT["project"]["dependencies"])


def test_every_package_folder_is_listed() -> None:
    """setuptools gets an explicit list (the root itself is a package): a new folder must join it."""
    skipped = {"tests", "benchmarks", "build", "docs"}
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    found = {"img_open"}
    for name in tracked:
        parts = Path(name).parts
        if len(parts) > 1 and parts[0] not in skipped and parts[-1] == "__init__.py":
            found.add(".".join(["img_open", *parts[:-1]]))
    assert found <= set(PROJECT["tool"]["setuptools"]["packages"])


def test_nothing_of_the_host_is_pinned() -> None:
    host = {"torch", "numpy", "safetensors", "pydantic", "aiohttp", "pillow", "scipy", "transformers", "av"}
    for line in PROJECT["project"]["dependencies"]:
        assert re.split(r"[<>=!~\[; ]", line)[0].lower() not in host


def test_registry_rules() -> None:
    name = PROJECT["project"]["name"]
    assert "comfyui" not in name.lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["project"]["version"])
    assert PROJECT["tool"]["comfy"]["requires-comfyui"] == ">=0.3.48"
    assert set(PROJECT["project"]["optional-dependencies"]) >= {"standalone", "aux", "s3", "dev"}


def test_no_machine_path_and_no_registry_host_is_committed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    forbidden = re.compile(
        r"/(?:root|work|home)/[a-z]|pypi\.org|registry\.npmjs|deb\.debian|files\.pythonhosted"
    )
    hits = []
    for name in filter(None, tracked):
        path = ROOT / name
        if path == Path(__file__).resolve() or path.suffix not in {
            ".py",
            ".md",
            ".toml",
            ".json",
            ".yaml",
            ".js",
            ".txt",
        }:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if forbidden.search(line):
                hits.append(f"{name}:{number}: {line[:120]}")
    assert not hits, "\n".join(hits)
