"""Waiting for several tasks at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..api.retry import CancelledFn, never, wait
from ..base.errors import Cancelled, ImgOpenError
from .types import Progress, ProgressFn, Result

Attach = Callable[[ProgressFn, CancelledFn], Result]
_AT_ONCE = 16
_LOOK_S = 0.1


@dataclass
class Collected:
    """What became of one task: exactly one of both is set."""

    result: Result | None = None
    error: ImgOpenError | None = None


def collect(
    waits: Sequence[Attach], progress: ProgressFn | None = None, cancelled: CancelledFn | None = None
) -> list[Collected]:
    """Wait for all of them, at most 16 at a time, and return what became of each, in their order.

    One that fails does not stop the others: they are paid, and their results are kept.

    Args:
        waits: call each as `wait(progress, cancelled)`, for example `ToolRunner.attach` of one task.
        progress: hears the mean of all fractions, and the latest intermediate picture.

    Raises:
        Cancelled: the user's stop; every task was told.
    """
    stop = cancelled or never
    found = [Collected() for _ in waits]
    shares = [0.0] * len(waits)
    todo = list(range(len(waits)))
    lock, telling = threading.Lock(), threading.Lock()

    def report(index: int, told: Progress) -> None:
        shares[index] = told.fraction
        if progress is None:
            return
        with telling:  # in the order of what they count
            done = sum(1 for one in found if one.result is not None or one.error is not None)
            text = f"{done}/{len(waits)}" + (f" · {told.message}" if told.message else "")
            progress(Progress(sum(shares) / len(shares), told.stage, text, told.preview))

    def work() -> None:
        while True:
            with lock:
                if not todo:
                    return
                index = todo.pop(0)
            try:
                found[index].result = waits[index](lambda told, index=index: report(index, told), stop)
            except ImgOpenError as error:
                found[index].error = error
            except BaseException as error:
                found[index].error = ImgOpenError(f"Waiting failed: {type(error).__name__}: {error}")
            report(index, Progress(1.0, "done"))

    threads = [
        threading.Thread(target=work, name="img-open collect", daemon=True)
        for _ in range(min(_AT_ONCE, len(waits)))
    ]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            wait(_LOOK_S, stop)
    except Cancelled:
        for thread in threads:  # each passes the stop on to its server; that takes a moment
            thread.join(_LOOK_S)
        raise
    for one in found:
        if isinstance(one.error, Cancelled) and stop():
            raise one.error
    return found
