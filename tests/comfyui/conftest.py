"""One ComfyUI server, one gateway process and one set of tiny random models for all tests in this folder."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from comfy_gateway import Gateway
from comfy_host import Host, find, make_tiny_models

HERE = Path(__file__).parent
FOUND = find()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a checkout the tests that need one are left out, and one line says so instead of eighty."""
    if not isinstance(FOUND, str):
        return
    out = [
        item for item in items if HERE in item.path.parents and "comfyui" in getattr(item, "fixturenames", ())
    ]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if isinstance(FOUND, str):
        terminalreporter.write_line(FOUND)


@pytest.fixture(scope="session")
def comfyui() -> tuple[Path, Path]:
    """Checkout and Python."""
    assert not isinstance(FOUND, str)
    return FOUND


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """A base directory for the server. Not pytest's own: that would keep 350 MiB of models for three runs."""
    folder = Path(tempfile.mkdtemp(prefix="img-open-comfyui-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def gateway(base: Path) -> Iterator[Gateway]:
    """`img-open serve` with the demo model, and the profile `local` that leads to it."""
    server = Gateway(base / "gateway")
    try:
        server.launch()
        server.write_profile(base / "img-open-home", "local")
        yield server.wait()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def host(comfyui: tuple[Path, Path], base: Path, gateway: Gateway) -> Iterator[Host]:
    """The running server, with the tiny models made while it starts."""
    server = Host(*comfyui, base)
    (base / "custom_nodes").mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "odd_pictures.py", base / "custom_nodes")
    try:
        server.launch()
        make_tiny_models(*comfyui, base / "models")
        yield server.wait_until_up()
    finally:
        server.stop()
