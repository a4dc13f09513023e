"""200 tasks, 16 at once, every tenth call faulty, the client killed five times: none lost, none twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from img_open.api.journal import Journal

from .conftest import FaultyServer
from .faulty_server import color_of

TASKS = 200
WORKERS = 16
KILLS = 5
BOUND_S = 100.0  # on a busy machine; alone it takes a quarter of that


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_nothing_is_lost_and_nothing_is_made_twice(
    serve: Callable[..., FaultyServer], tmp_path: Path
) -> None:
    server = serve(dialect="gateway", chaos=0.1, work_s=0.1, silence_s=1.2)
    journal, out = tmp_path / "data" / "tasks.sqlite", tmp_path / "out.txt"
    command = [
        sys.executable,
        str(Path(__file__).with_name("soak_client.py")),
        server.url,
        str(journal),
        str(out),
        str(TASKS),
        str(WORKERS),
    ]
    start = time.monotonic()

    def finished() -> int:
        return len(server.ledger()["tasks"])

    for kill in range(1, KILLS + 1):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while finished() < kill * TASKS // (KILLS + 1):  # spread over the whole run
            assert process.poll() is None, "the client ended by itself"
            assert time.monotonic() - start < BOUND_S
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    last = subprocess.run(command, timeout=BOUND_S, stderr=subprocess.PIPE, text=True)
    assert last.returncode == 0, last.stderr[-2000:]
    took = time.monotonic() - start

    ledger = server.ledger()["tasks"]
    assert len(ledger) == TASKS
    assert sorted(task["seed"] for task in ledger.values()) == list(range(TASKS)), "a request was made twice"
    assert all(task["works"] == 1 and task["same"] for task in ledger.values())
    made: dict[int, str] = {}
    for line in out.read_text().splitlines():
        number, task_id, pixel = line.split()
        assert made.setdefault(int(number), task_id) == task_id, "one request, two tasks"
        assert pixel == ",".join(str(value) for value in color_of(int(number))), "somebody else's picture"
        assert task_id in ledger
    assert sorted(made) == list(range(TASKS))
    rows = Journal(journal).list(most=-1)
    assert [row.state for row in rows] == ["done"] * TASKS
    assert took < BOUND_S
