"""A bell for those who wait for a task: somebody else (a callback of the server) may know sooner.

Optional on both sides. Who rings is not believed: the waiting side only asks the server earlier.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator

from ..api.retry import LOOK_S, CancelledFn, wait

_bells: dict[str, set[threading.Event]] = {}
_lock = threading.Lock()


def wake(task_id: str) -> bool:
    """Ring for a task, by its own or the server's id; True when somebody in this process waits for it."""
    with _lock:
        bells = list(_bells.get(task_id, ()))
    for bell in bells:
        bell.set()
    return bool(bells)


@contextlib.contextmanager
def listening(*task_ids: str) -> Generator[threading.Event, None, None]:
    """A bell for these ids while the block lasts."""
    bell = threading.Event()
    names = {name for name in task_ids if name}
    with _lock:
        for name in names:
            _bells.setdefault(name, set()).add(bell)
    try:
        yield bell
    finally:
        with _lock:
            for name in names:
                _bells[name].discard(bell)
                if not _bells[name]:
                    del _bells[name]


def wait_or_bell(seconds: float, bell: threading.Event, cancelled: CancelledFn) -> None:
    """Sleep until the time is over or the bell rings; raises Cancelled within 0.2 s of the wish."""
    end = time.monotonic() + seconds
    while not bell.is_set():
        left = end - time.monotonic()
        if left <= 0:
            break
        wait(0.0, cancelled)
        bell.wait(min(LOOK_S, left))
    wait(0.0, cancelled)
    bell.clear()
