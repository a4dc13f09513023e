"""Where the pack keeps its files. Nothing is created until something is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import InvalidRequest

_APP = "img-open"
_HINT = "Give a folder that you may write to (IMG_OPEN_HOME, or --data of img-open serve)."


def _override() -> Path | None:
    home = os.environ.get("IMG_OPEN_HOME", "").strip()
    return Path(home).expanduser() if home else None


def _from_environment(variable: str, *fallback: str) -> Path:
    value = os.environ.get(variable, "").strip()
    # The XDG rules say that a relative path is to be ignored.
    if value and Path(value).is_absolute():
        return Path(value)
    return Path.home().joinpath(*fallback)


def data_dir() -> Path:
    """Journals, gateway tasks and results. $IMG_OPEN_HOME, else the platform's place for user data."""
    override = _override()
    if override is not None:
        return override
    if sys.platform == "win32":
        return _from_environment("APPDATA", "AppData", "Roaming") / _APP
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / _APP
    return _from_environment("XDG_DATA_HOME", ".local", "share") / _APP


def config_dir() -> Path:
    """Profiles and the local catalogue. $IMG_OPEN_HOME, else the platform's place for settings."""
    override = _override()
    if override is not None:
        return override
    if sys.platform in ("win32", "darwin"):
        return data_dir()
    return _from_environment("XDG_CONFIG_HOME", ".config") / _APP


def cache_dir() -> Path:
    """Things that can be made or fetched again. $IMG_OPEN_HOME/cache, else the platform's cache directory."""
    override = _override()
    if override is not None:
        return override / "cache"
    if sys.platform == "win32":
        return _from_environment("LOCALAPPDATA", "AppData", "Local") / _APP / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / _APP
    return _from_environment("XDG_CACHE_HOME", ".cache") / _APP


def ensure(path: Path) -> Path:
    """Makes the directory and returns it; what had to be created, parents included, only its owner can read.

    (The XDG rules ask for mode 700 on missing parents too.) Directories that exist are left as they are.

    Raises:
        InvalidRequest: it cannot be made, or something else has that name; names the path.
    """
    try:
        for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        usable = path.is_dir()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InvalidRequest(f"The folder {path} cannot be made: {reason}.", _HINT) from error
    if not usable:
        raise InvalidRequest(f"{path} should be a folder, but is a file.", _HINT)
    return path
