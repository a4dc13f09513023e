"""Blocking work of an async node: in a daemon thread of the pack's own, watched from the prompt's event loop.

Not in asyncio's executor: `asyncio.run` waits for the executor's threads at the end of every prompt, so one
hanging connection would hold the host. A daemon thread that is left behind holds nobody.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

from ..base.errors import Cancelled, ImgOpenError
from ..base.log import get_logger, scrub
from ..engines.types import Progress, ProgressFn
from .host import Bar, interrupted, stop_node

T = TypeVar("T")
Work = Callable[[ProgressFn, Callable[[], bool]], T]

POLL_SECONDS = 0.1
# How long an interrupted node waits for the remote side to hear of it. Afterwards the thread goes on alone.
GRACE_SECONDS = 0.25

_log = get_logger("nodes")


class Job(Generic[T]):
    """One piece of work in its own thread."""

    def __init__(self, work: Work[T], name: str) -> None:
        self._work = work
        self._stop = threading.Event()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._latest: Progress | None = None
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to stop. It cancels what it began on the other side and ends by itself."""
        self._stop.set()

    def done(self) -> bool:
        """Whether the work has ended, one way or the other."""
        return self._done.is_set()

    def news(self) -> Progress | None:
        """The latest report, once."""
        with self._lock:
            latest, self._latest = self._latest, None
        return latest

    def result(self) -> T:
        """What the work returned; raises what it raised. Only after `done`."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._work(self._report, self._stop.is_set))
        except ImgOpenError as error:
            self._error = error
        except BaseException as error:
            # Not one of ours: a fault of the pack. The text is scrubbed, and the original is not chained,
            # since the host prints chains to its log and sends texts to clients.
            _log.error("%s", scrub(traceback.format_exc()))
            self._error = ImgOpenError(
                f"The pack failed unexpectedly: {type(error).__name__}: {scrub(str(error))}",
                "This is a fault of Img Open; the log has the details for a report.",
            )
        finally:
            self._done.set()

    def _report(self, progress: Progress) -> None:
        with self._lock:
            kept = self._latest.preview if self._latest is not None else None
            if progress.preview is None and kept is not None:
                progress = Progress(progress.fraction, progress.stage, progress.message, kept)
            self._latest = progress


async def watch(work: Work[T], bar: Bar, name: str = "img-open") -> T:
    """Run blocking work and show its progress; stop it when the user, or a sibling's failure, says so.

    Args:
        work: called as `work(progress, cancelled)` in a thread; stops soon after `cancelled()` says so.
        bar: the node's bar.
        name: of the thread.

    Raises:
        InterruptProcessingException: the user's interrupt, within half a second of it.
        asyncio.CancelledError: the host tears the prompt down (a sibling failed); passed on.
        ImgOpenError: whatever the work raised.
    """
    job = Job(work, name)
    job.start()
    started = time.monotonic()
    try:
        while not job.done():
            if interrupted():
                raise stop_node()
            _show(job.news(), bar, started)
            await asyncio.sleep(POLL_SECONDS)
        _show(job.news(), bar, started)
        return job.result()
    except Cancelled:
        if interrupted():
            raise stop_node() from None
        raise
    finally:
        if not job.done():
            job.stop()
            await _grace(job)


async def _grace(job: Job[T]) -> None:
    """Give the work a moment to end properly; when the host itself is cancelling, none."""
    until = time.monotonic() + GRACE_SECONDS
    while not job.done() and time.monotonic() < until:
        await asyncio.sleep(0.02)


def _show(news: Progress | None, bar: Bar, started: float) -> None:
    if news is None:
        return
    bar.show(news.fraction, news.preview)
    parts = [news.stage, f"{news.fraction:.0%}", f"{time.monotonic() - started:.0f} s", news.message]
    bar.text(" · ".join(part for part in parts if part))
