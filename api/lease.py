"""Who works at a task: one owner at a time, found out again after a crash.

An owner is one run of one process. It holds a task by a lease that a heartbeat extends; a lease ends when
its time is over, or at once when its process is known to be dead.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType

LEASE_S = 30.0
_BEAT_S = LEASE_S / 3
_CLOCKS_S = 30.0  # by how much the clocks of two machines that share a journal may differ


def new_owner() -> str:
    """A name for this run: host, process and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def is_held(owner: str, until: float) -> bool:
    """Whether a lease is still good: its time is not over and its process is not known to be dead.

    A lease that ends later than anybody could have taken it was written before the clock was set back; it
    would block for as long as the clock was wrong.
    """
    return bool(owner) and 0 < until - time.time() <= LEASE_S + _CLOCKS_S and not _is_dead(owner)


def _is_dead(owner: str) -> bool:
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or os.name != "posix" or not (rest.isascii() and rest.isdigit()):
        return False  # cannot be known here; the lease's end decides
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


class Heartbeat:
    """Extends a lease from a daemon thread while a `with` block runs.

    `renew` returns False when the lease is lost; then the beating stops (the journal itself refuses to let
    a former owner send anything).
    """

    def __init__(self, renew: Callable[[], bool], every_s: float = _BEAT_S) -> None:
        self._renew = renew
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="img-open lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                if not self._renew():
                    return
            except Exception:  # a full disk must not end the work; the lease then runs out by itself
                continue
