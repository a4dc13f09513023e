"""A client that works for long keeps nothing of the tasks it has finished."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from img_open.api.journal import Journal
from img_open.api.profiles import Profile
from img_open.engines.remote import RemoteEngine
from img_open.engines.remote_poll import Patience

from .conftest import FaultyServer, make_request

ROUND = 50
PICTURE_BYTES = 3 * 64 * 64  # what one task's result would hold at the least


def test_memory_stays_flat(serve: Callable[..., FaultyServer], tmp_path: Path) -> None:
    server = serve(dialect="gateway")
    engine = RemoteEngine(
        Profile("flat", server.url, storage="inline", dialect="gateway", spend_limit_images=0),
        Journal(tmp_path / "tasks.sqlite"),
        patience=Patience(deadline_s=30, poll_s=0.01, poll_most_s=0.05),
    )

    def held_after(first: int) -> int:
        for number in range(first, first + ROUND):
            assert engine.run(make_request(f"flat {number}", seed=number)).images
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    held_after(0)  # caches, connections and compiled patterns settle
    tracemalloc.start()
    try:
        readings = [held_after(number * ROUND) for number in range(1, 4)]
    finally:
        tracemalloc.stop()
    # What a task leaves behind is left in every round; a module imported by chance in one of them, by
    # this test or by a thread of an earlier one, is not.
    growth = min(after - before for before, after in pairwise(readings)) / ROUND
    assert growth < PICTURE_BYTES / 20, f"{growth:.0f} bytes stay per task: {readings}"
    assert len(server.ledger()["tasks"]) == 4 * ROUND
