"""A progress bar for the command line."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engines.types import Progress

WIDTH = 28


class Bar:
    """One line on stderr that is rewritten in place; off where stderr is not a terminal."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._started = time.monotonic()
        self._length = 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")
        if self._enabled:
            sys.stderr.write("\r")
            sys.stderr.flush()

    def update(self, progress: Progress) -> None:
        """Show a report of `engines.types.Progress`."""
        filled = int(WIDTH * min(max(progress.fraction, 0.0), 1.0))
        seconds = time.monotonic() - self._started
        bar = "#" * filled + "." * (WIDTH - filled)
        text = f"[{bar}] {progress.fraction:4.0%} {seconds:5.1f} s  {progress.stage} {progress.message}"
        self._write(text.rstrip())

    def _write(self, text: str) -> None:
        if self._enabled:
            sys.stderr.write("\r" + text[:110].ljust(self._length))
            sys.stderr.flush()
            self._length = len(text[:110])
