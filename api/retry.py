"""Waiting, repeating and being interrupted, for everything that talks to a server.

Nothing here knows HTTP or tasks. Every wait looks at the `cancelled` callback at least five times a
second, so that a user's stop takes effect at once although a socket is still silent.
"""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timezone
from typing import Any, Generic, TypeVar

from ..base.errors import Busy, Cancelled, ImgOpenError, NetworkError, ServerError

T = TypeVar("T")
CancelledFn = Callable[[], bool]

LOOK_S = 0.1  # how often a wait looks whether the user wants to stop
RETRY_AFTER_MOST_S = 600.0  # a server asking for more is not obeyed blindly


@dataclass(frozen=True)
class Backoff:
    """Growing pauses between repeats: first, first*factor, ... up to most, each spread by ±jitter.

    Attributes:
        first_s, most_s: seconds. factor: >= 1. jitter: 0..1, share of the pause that is random.
        attempts: how often a call is made in all, at least 1.
    """

    first_s: float = 0.5
    most_s: float = 8.0
    factor: float = 2.0
    jitter: float = 0.25
    attempts: int = 4

    def pause(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (0 is the first)."""
        plain = min(self.most_s, self.first_s * self.factor ** min(attempt, 64))
        return plain * (1.0 + self.jitter * random.uniform(-1.0, 1.0))


def never() -> bool:
    """The `cancelled` callback of callers that cannot be interrupted."""
    return False


def wait(seconds: float, cancelled: CancelledFn = never) -> None:
    """Sleep, but raise `Cancelled` within 0.2 s of the user's wish."""
    end = time.monotonic() + seconds
    while True:
        if cancelled():
            raise Cancelled("Stopped while waiting for the server.")
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(LOOK_S, left))


class _Outcome(Generic[T]):
    """Hands a value or an exception from a worker thread to the one that waits."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.value: T | None = None
        self.error: BaseException | None = None


def interruptible(
    call: Callable[[], T],
    cancelled: CancelledFn = never,
    *,
    bound_s: float,
    what: str,
    abandoned: Callable[[T | None], None] | None = None,
) -> T:
    """Run a blocking call so that neither a silent socket nor a trickling one can hold the caller.

    The call runs in a daemon thread; the interpreter does not wait for it at exit.

    Args:
        call: the blocking work.
        bound_s: seconds in all; then `NetworkError` is raised although the call may still run.
        what: names the call in the error text.
        abandoned: after `Cancelled` only: called in the worker thread with the value (None after an
            error) once the call has ended.

    Raises:
        Cancelled: within 0.2 s of the wish; the call itself goes on unattended.
        NetworkError: the bound was reached (`details["timed_out"]` is true).
    """
    outcome: _Outcome[T] = _Outcome()
    lock = threading.Lock()
    left_alone = False

    def work() -> None:
        try:
            outcome.value = call()
        except BaseException as error:
            outcome.error = error
        with lock:
            outcome.ready.set()
            alone = left_alone
        if alone and abandoned is not None:
            abandoned(outcome.value)

    def leave() -> bool:
        """True when the result came in the very last moment after all."""
        nonlocal left_alone
        with lock:
            left_alone = not outcome.ready.is_set()
        return not left_alone

    if cancelled():
        raise Cancelled(f"Stopped before {what}.", started=False)
    end = time.monotonic() + bound_s
    threading.Thread(target=work, name=f"img-open {what}", daemon=True).start()
    while not outcome.ready.wait(LOOK_S):
        if cancelled() and not leave():
            raise Cancelled(f"Stopped during {what}.", started=True)
        if time.monotonic() > end and not outcome.ready.is_set():
            raise NetworkError(
                f"No complete answer to {what} within {bound_s:g} s.",
                "Check the connection and whether the server is overloaded, then try again.",
                timed_out=True,
            )
    if outcome.error is not None:
        raise outcome.error
    return outcome.value  # type: ignore[return-value]  # a call returning None is T = None


def may_pass(error: ImgOpenError) -> bool:
    """Whether the same question may get an answer later: network trouble, busy, HTTP 5xx."""
    if isinstance(error, (NetworkError, Busy)):
        return True
    return isinstance(error, ServerError) and int(error.details.get("http_status") or 0) >= 500


def pause_after(error: ImgOpenError, planned_s: float) -> float:
    """The pause before a repeat: what the server asked for (Retry-After) if that is longer."""
    asked = error.details.get("retry_after_s")
    if isinstance(asked, (int, float)):
        return max(planned_s, min(float(asked), RETRY_AFTER_MOST_S))
    return planned_s


def repeat(call: Callable[[], T], backoff: Backoff, cancelled: CancelledFn = never) -> T:
    """Make a call that is safe to repeat, again while its error may pass; raise the last error."""
    for attempt in range(max(1, backoff.attempts)):
        try:
            return call()
        except ImgOpenError as error:
            if attempt + 1 >= backoff.attempts or not may_pass(error):
                raise
            wait(pause_after(error, backoff.pause(attempt)), cancelled)
    raise AssertionError("unreachable")


def retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """Seconds that a Retry-After header asks for; None when absent or unreadable.

    A date is compared with the server's own Date header, so that two clocks that disagree do no harm.
    """
    text = str(headers.get("Retry-After") or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
        sent = headers.get("Date")
        now = email.utils.parsedate_to_datetime(str(sent)) if sent else email.utils.localtime()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=timezone.utc)
    if now.tzinfo is None:
        now = now.replace(tzinfo=timezone.utc)
    return max(0.0, (until - now).total_seconds())
