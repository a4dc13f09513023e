"""One gateway per data folder: a second one would take the first one's running tasks for lost ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from ..base.errors import InvalidRequest
from ..base.places import ensure
from .answers import cannot_use


class FolderLock:
    """A lock that the system lets go when its process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        """Takes the lock, making the folder where it is missing.

        Raises:
            InvalidRequest: another gateway works on this folder, or the folder cannot be used.
        """
        path = ensure(self._folder) / "gateway.lock"
        try:
            file = path.open("ab")
        except OSError as error:
            raise cannot_use(path, error) from error
        try:
            _lock(file)
        except OSError as error:
            file.close()
            raise InvalidRequest(
                f"Another gateway already works on the folder {self._folder}.",
                "Stop it, or give this one its own folder with --data.",
            ) from error
        self._file = file

    def release(self) -> None:
        """Lets go; harmless when it was never taken."""
        if self._file is not None:
            self._file.close()
            self._file = None


if os.name == "nt":  # pragma: no cover
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
