"""What the commands share on a terminal: stopping politely, and saying what came out."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from ..api.journal import Journal
from ..api.profiles import Dialect
from ..base.command import command
from ..base.errors import Cancelled, ImgOpenError
from .types import Result

_SETTLE_S = 5.0  # how long a stop waits until a gateway has confirmed it
_LOOK_S = 0.1


class StopSignal:
    """Ctrl-C (and SIGTERM) as a wish that the work looks at, instead of an exception anywhere in it.

    Inside the `with` block calling the object says whether the user wants to stop. A second signal ends the
    program at once. Outside the main thread signals cannot be handled; then the wish never comes.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self._event.is_set()

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._event.is_set():
            raise KeyboardInterrupt
        self._event.set()
        try:  # print is not safe here: the signal may have come in the middle of one
            os.write(2, b"\nStopping ... (once more: at once)\n")
        except OSError:
            return


def after_stop(error: Cancelled, journal: Journal, dialect: Dialect) -> Cancelled:
    """The error with what became of the task: cancelled at the gateway, or going on and how to resume it.

    Waits up to 5 s for a gateway's confirmation, which comes in from another thread.
    """
    task_id = str(error.details.get("task_id") or "")
    if not task_id:
        return error
    end = time.monotonic() + _SETTLE_S
    while True:
        try:
            task = journal.show(task_id)
        except ImgOpenError:
            return error
        open_at_server = task.state in ("submitted", "running", "uncertain")
        if not open_at_server or dialect != "gateway" or time.monotonic() > end:
            break
        time.sleep(_LOOK_S)
    if task.state == "cancelled":
        where = "at the server" if task.sent else "before it was sent"
        return Cancelled(f"Stopped. Task {task_id} was cancelled {where}.", task_id=task_id)
    if not open_at_server:
        return error
    verb = "goes on" if task.state == "running" else "may be going on"
    return Cancelled(
        f"Stopped waiting. Task {task_id} {verb} at the server.",
        f"Resume it with `{command(f'tasks resume {task_id} --out DIR')}`, or run the same request again.",
        task_id=task_id,
    )


def print_notes(notices: Iterable[str]) -> None:
    """Say on stderr what reading the request had to say, each text once."""
    for notice in dict.fromkeys(notices):
        print(f"note: {notice}", file=sys.stderr)


def print_result(result: Result, paths: Sequence[Path], notes: Sequence[str] = ()) -> int:
    """Paths on stdout; on stderr what was not honoured exactly and what the server withholds.

    Args:
        paths: the pictures' files. notes: what `print_notes` has said already.

    Returns:
        The exit status: 1 when everything that was made is withheld, else 0.
    """
    lines = dict.fromkeys(
        f"{info.verdict}: {info.field}: {info.message}"
        for info in result.infos
        if not {info.message, f"{info.field}: {info.message}"} & set(notes)
    )
    for line in [*lines, *(f"withheld: {text}" for text in result.withheld)]:
        print(line, file=sys.stderr)
    files = [*paths, *result.media]
    for path in files:
        print(path)
    return 1 if result.withheld and not files else 0
