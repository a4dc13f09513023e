"""A misbehaving server as a real process, and engines with scaled-down patience."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from img_open.api.journal import Journal
from img_open.api.profiles import Profile
from img_open.api.request import Request
from img_open.api.retry import Backoff
from img_open.api.transport import Timeouts
from img_open.engines.remote import RemoteEngine
from img_open.engines.remote_poll import Patience

SERVER = Path(__file__).with_name("faulty_server.py")
FAST = Backoff(first_s=0.05, most_s=0.2, attempts=4)
SHORT = Timeouts(connect_s=1.0, read_s=0.8, total_s=4.0)
PATIENT = Patience(deadline_s=8.0, poll_s=0.05, poll_most_s=0.2, unreachable_s=3.0)


class FaultyServer:
    """The process and its control calls."""

    def __init__(self, state: Path, **options: Any) -> None:
        self.state = state
        self.options = options
        self.port = 0
        self.start()

    def start(self) -> None:
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in self.options.items()]
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(SERVER), f"--state={self.state}", f"--port={self.port}", *arguments],
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        ports = json.loads(self.process.stdout.readline())
        self.port, self.intranet = ports["port"], ports["intranet"]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, **faults: list[str]) -> None:
        self._post("/_script", faults)

    def set(self, **settings: Any) -> None:
        self._post("/_set", settings)

    def ledger(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_ledger", timeout=10) as answer:
            return json.load(answer)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        call = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), method="POST")
        urllib.request.urlopen(call, timeout=10).close()

    def works(self) -> int:
        """How many tasks were worked at: what somebody would have to pay."""
        return sum(task["works"] for task in self.ledger()["tasks"].values())


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, FaultyServer]]:
    folder = tmp_path_factory.mktemp("ledgers")
    servers = {name: FaultyServer(folder / f"{name}.json", dialect=name) for name in ("cloud", "gateway")}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def shared(_shared: dict[str, FaultyServer]) -> Callable[[str], FaultyServer]:
    """`shared(dialect)`: a server process of that dialect, started once, with an empty ledger."""

    def fresh(dialect: str) -> FaultyServer:
        _shared[dialect]._post("/_reset", {})
        return _shared[dialect]

    return fresh


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., FaultyServer]]:
    """`serve(dialect="gateway", **options)` starts a server process that ends with the test."""
    servers: list[FaultyServer] = []

    def start(**options: Any) -> FaultyServer:
        servers.append(FaultyServer(tmp_path / f"ledger-{len(servers)}.json", **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "data" / "tasks.sqlite")


@pytest.fixture
def engine_for(journal: Journal) -> Callable[..., RemoteEngine]:
    """An engine on a server, with short times; keyword arguments go into the profile."""

    def make(server: FaultyServer, patience: Patience = PATIENT, **settings: Any) -> RemoteEngine:
        settings.setdefault("dialect", server.options.get("dialect", "gateway"))
        settings.setdefault("storage", "inline")
        profile = Profile(name=settings.pop("name", "test"), base_url=server.url, **settings)
        return RemoteEngine(profile, journal, patience=patience, timeouts=SHORT, backoff=FAST)

    return make


def make_request(prompt: str = "a lighthouse at dawn", seed: int = 7, **more: Any) -> Request:
    scripts = {"sd_model_checkpoint": "demo", **more.pop("alwayson_scripts", {})}
    return Request.from_wire({
        "prompt": prompt, "seed": str(seed), "steps": 4, "batch_size": 1, "width": 128, "height": 128,
        "cfg_scale": 7, "sampler_index": "Euler", "resize_mode": 0, "alwayson_scripts": scripts, **more,
    })  # fmt: skip


@pytest.fixture
def timer() -> Callable[[], float]:
    start = time.monotonic()
    return lambda: time.monotonic() - start
