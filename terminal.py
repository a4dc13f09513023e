"""The command line's side of a terminal: its streams, and a progress bar."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engines.types import Progress

WIDTH = 28


def prepare_streams() -> None:
    """Let every text be printed: files and pipes get UTF-8, and what cannot be written is escaped.

    Undecodable file names and halves of surrogate pairs would otherwise end a command after its work.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


def complain(text: str, status: int) -> int:
    """Print an error for people, wherever possible, and return the exit status."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
    return status


def is_about_output(error: OSError) -> bool:
    """Whether an error came from printing (disk full, reader gone); those of files name their file."""
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)


def give_up_output() -> None:
    """Send what is still to be written nowhere: the interpreter's end would complain about it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Bar:
    """One line on stderr that is rewritten in place; off where stderr is not a terminal."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled and sys.stderr is not None and sys.stderr.isatty()
        self._started = time.monotonic()
        self._length = 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")
        if self._enabled:
            with contextlib.suppress(OSError, ValueError):
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
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write("\r" + text[:110].ljust(self._length))
                sys.stderr.flush()
            self._length = len(text[:110])
