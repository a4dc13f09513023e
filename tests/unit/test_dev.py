"""`dev.py`: where torch comes from on a machine without a graphics card, and when nothing is changed."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHOICES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX")


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module; pip without any setting of this machine's, and its index on no real host."""
    spec = importlib.util.spec_from_file_location("dev_under_test", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in (*CHOICES, "CI", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null" if sys.platform != "win32" else "nul")  # none is read
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "environment_python", lambda: Path(sys.executable))
    return module


class Index(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/whl/cpu/torch/" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/whl/cpu"
        server.shutdown()


@pytest.fixture
def linux_without_card(dev: Any) -> Any:
    if not sys.platform.startswith("linux") or dev.has_nvidia_driver():
        pytest.skip("needs Linux without an NVIDIA driver: elsewhere the standard index is used")
    return dev


def test_the_index_of_cpu_builds_is_taken_where_it_answers(
    linux_without_card: Any, index: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(linux_without_card, "CPU_INDEX", index)
    assert linux_without_card.cpu_index() == index
    assert "No NVIDIA driver here" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*CHOICES, "CI"])
def test_what_the_user_or_the_machine_has_chosen_stays(
    linux_without_card: Any,
    index: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(linux_without_card, "CPU_INDEX", index)
    monkeypatch.setenv(name, "1")
    assert linux_without_card.cpu_index() is None
    assert capsys.readouterr().out == ""


def test_a_setting_in_pips_own_file_counts_too(
    linux_without_card: Any, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linux_without_card, "CPU_INDEX", index)
    (tmp_path / "pip.conf").write_text("[global]\ntimeout = 60\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    if linux_without_card.pip_knows_where():
        pytest.skip("this machine's own pip file, which is read too, sets an index")
    assert linux_without_card.cpu_index() == index
    (tmp_path / "pip.conf").write_text("[install]\nfind-links = wheels\n")
    assert linux_without_card.cpu_index() is None


def test_offline_nothing_waits_and_the_user_is_told(
    linux_without_card: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and never answers
        monkeypatch.setattr(linux_without_card, "CPU_INDEX", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert linux_without_card.cpu_index() is None
        assert time.monotonic() - started < linux_without_card.ANSWER_SECONDS + 8  # pip's own look included
    assert "--index URL" in capsys.readouterr().out


def test_an_index_without_torch_or_nobody_at_all_is_no_index(dev: Any, index: str) -> None:
    assert dev.answers(f"{index}/torch/")
    assert not dev.answers(f"{index}/elsewhere/")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert not dev.answers(f"http://127.0.0.1:{port}/")
