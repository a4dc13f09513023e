"""web/js against the front-end's published types; for development, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TYPES = Path(__file__).parent / "types"
HOW = (
    "web/js is not type-checked: npm install --prefix tests/browser/types brings TypeScript and the "
    "front-end's types."
)


def test_tsc_finds_nothing() -> None:
    node, tsc = shutil.which("node"), TYPES / "node_modules" / "typescript" / "bin" / "tsc"
    if node is None or not tsc.is_file():
        pytest.skip(HOW)
    command = [node, str(tsc), "-p", str(TYPES / "jsconfig.json")]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.stdout == ""
    assert told.returncode == 0
