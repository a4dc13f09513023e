"""A server process with tools, and runners with scaled-down patience."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from img_open.api.catalogue import Catalogue
from img_open.api.journal import Journal
from img_open.api.profiles import Profile
from img_open.engines.remote_tools import ToolRunner

from ..http import conftest as faulty
from ..http.conftest import FAST, PATIENT, SHORT, FaultyServer


class ToolServer(FaultyServer):
    """As the server of tests/http, started from the file that knows tools."""

    def start(self) -> None:
        usual = faulty.SERVER
        faulty.SERVER = Path(__file__).with_name("tool_server.py")
        try:
            super().start()
        finally:
            faulty.SERVER = usual


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ToolServer]]:
    folder = tmp_path_factory.mktemp("tool-ledgers")
    servers = {name: ToolServer(folder / f"{name}.json", dialect=name) for name in ("cloud", "gateway")}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def tools(_servers: dict[str, ToolServer]) -> Callable[[str], ToolServer]:
    """`tools(dialect)`: the server of that dialect with an empty ledger."""

    def fresh(dialect: str) -> ToolServer:
        _servers[dialect]._post("/_reset", {})
        return _servers[dialect]

    return fresh


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "data" / "tasks.sqlite")


@pytest.fixture
def runner_for(journal: Journal) -> Callable[..., ToolRunner]:
    """A runner on a server, with short times; a new one stands for a restarted program."""

    def make(server: FaultyServer, catalogue: Catalogue | None = None, **settings: Any) -> ToolRunner:
        settings.setdefault("dialect", server.options.get("dialect", "gateway"))
        settings.setdefault("storage", "inline")
        profile = Profile(name="test", base_url=server.url, **settings)
        return ToolRunner(
            profile,
            journal,
            catalogue=catalogue or Catalogue.load(),
            patience=PATIENT,
            timeouts=SHORT,
            backoff=FAST,
        )

    return make
