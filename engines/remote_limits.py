"""How many tasks a profile may have in flight at once, over all threads of this process.

The other two limits (submits per minute, images per day) live in the journal, because they must hold over
several processes and restarts.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator

from ..api.profiles import Profile
from ..api.retry import CancelledFn, wait
from ..api.transport import Timeouts
from ..base.errors import InvalidRequest

_MOST_S = 1e7
_CALL_LEAST_S = 5.0  # a call is given this long, however short the deadline

_in_flight: dict[tuple[str, str], int] = {}
_lock = threading.Lock()


def check_seconds(what: str, value: float | None) -> None:
    """Refuses what is no span of time: 0, negative, endless, not a number. None is fine: not given."""
    if value is not None and not 0 < value <= _MOST_S:
        raise InvalidRequest.field(what, value, f"more than 0 and at most {_MOST_S:.0f} seconds")


def timeouts_within(deadline_s: float | None) -> Timeouts | None:
    """The usual ones, none longer than a deadline that the caller gave (but 5 s at least)."""
    if deadline_s is None:
        return None
    most, usual = max(deadline_s, _CALL_LEAST_S), Timeouts()
    return Timeouts(min(usual.connect_s, most), min(usual.read_s, most), min(usual.total_s, most))


def _enter(key: tuple[str, str], most: int) -> bool:
    with _lock:
        if _in_flight.get(key, 0) >= most:
            return False
        _in_flight[key] = _in_flight.get(key, 0) + 1
        return True


def _leave(key: tuple[str, str]) -> None:
    with _lock:
        _in_flight[key] -= 1
        if not _in_flight[key]:
            del _in_flight[key]


@contextlib.contextmanager
def slot(
    profile: Profile, cancelled: CancelledFn, waiting: Callable[[], None]
) -> Generator[None, None, None]:
    """Hold one of the profile's `max_concurrent` places; `waiting` is told once if there is none free.

    Raises Cancelled while waiting.
    """
    key = (profile.base_url, profile.name)
    if not _enter(key, profile.max_concurrent):
        waiting()
        while not _enter(key, profile.max_concurrent):
            wait(0.05, cancelled)
    try:
        yield
    finally:
        _leave(key)
