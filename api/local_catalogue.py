"""The catalogue as this user has it: the published operations and those of the user's own file.

A mistake in that file must not stop anything that worked without it: the published operations stay usable,
and the mistake is told where somebody looks (the log, `img-open api check`).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..base.errors import ImgOpenError
from ..base.log import get_logger
from .catalogue import Catalogue, local_catalogue_files

_log = get_logger("api")


def check_local_catalogue() -> tuple[Catalogue, str]:
    """The catalogue and, where the user's file has a mistake, the text that names its line and key.

    With a mistake none of the file's operations is taken: half a file would hide the other half.
    """
    try:
        return Catalogue.load(local_catalogue_files()), ""
    except ImgOpenError as error:
        return Catalogue.load(), str(error)
    except OSError as error:
        return Catalogue.load(), f"The local catalogue file cannot be read ({error.strerror})."


def user_catalogue() -> Catalogue:
    """As `check_local_catalogue`; reads the file again only when it has changed, and logs a mistake once."""
    return _read(tuple((str(path), _stamp(path)) for path in local_catalogue_files()))


def _stamp(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@lru_cache(maxsize=2)
def _read(files: tuple[tuple[str, float], ...]) -> Catalogue:
    catalogue, problem = check_local_catalogue()
    if problem:
        _log.error("The local catalogue file is not used: %s", problem)
    return catalogue
