"""The one file that may hold keys: profiles.json, readable by its owner only."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..base import places
from ..base.errors import ProfileError

_FILE_VERSION = 1


def profiles_path() -> Path:
    """Where the file is."""
    return places.config_dir() / "profiles.json"


def read_entries() -> dict[str, Any]:
    """The profiles in the file by name, each as the JSON object that was saved; empty without a file.

    Raises:
        ProfileError: the file cannot be read, is open to others, or is not what `write_entries` writes.
    """
    path = profiles_path()
    try:
        info = path.stat()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error) from None
    if os.name == "posix" and stat.S_IMODE(info.st_mode) & 0o077:
        raise ProfileError(
            f"{path} has mode {stat.S_IMODE(info.st_mode):03o}: others on this machine could read the keys.",
            f"Run `chmod 600 {path}`, and consider the keys in it as seen.",
        )
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        # The decoder's message shows no content, only a position; the content may hold keys.
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "its encoding"
        raise ProfileError(f"{path} is not valid JSON ({where}).", "Correct or remove it.") from None
    entries: Any = content.get("profiles") if isinstance(content, dict) else None  # pyright: ignore
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):  # pyright: ignore
        raise ProfileError(
            f'{path} does not have the form {{"profiles": {{name: {{...}}}}}}.', "Correct or remove it."
        )
    return cast("dict[str, Any]", entries)


def write_entries(entries: Mapping[str, Any]) -> Path:
    """Replace the file in one step, mode 600 from the start. Returns its path.

    Raises:
        ProfileError: the folder or the file cannot be written.
    """
    path = profiles_path()
    try:
        places.ensure(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".profiles-")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"version": _FILE_VERSION, "profiles": entries}, out, indent=2, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _unreadable(path: Path, error: OSError) -> ProfileError:
    return ProfileError(f"{path} cannot be read: {error.strerror}.", "Check its owner and mode.")


def _unwritable(path: Path, error: OSError) -> ProfileError:
    return ProfileError(
        f"{path} cannot be written: {error.strerror}.", "Check IMG_OPEN_HOME, the folder and free space."
    )
