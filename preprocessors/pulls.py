"""Downloads of annotator weights that somebody has asked for and others watch: the canvas' button."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..base.errors import Cancelled, ImgOpenError, InvalidRequest
from . import weight_files
from .download import pull
from .weights_table import WEIGHTS, WeightFile

State = Literal["missing", "pulling", "here", "failed"]
Pull = Callable[..., Path]


@dataclass
class _One:
    """A download that runs or has ended."""

    fraction: float = 0.0
    running: bool = True
    error: ImgOpenError | None = None
    stop: threading.Event = field(default_factory=threading.Event)


class Pulls:
    """The downloads of this process, at most one per weight.

    Args:
        fetch: does the work; `download.pull` with its arguments.
    """

    def __init__(self, fetch: Pull = pull) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._known: dict[str, _One] = {}

    def status(self, key: str, folders: tuple[Path, ...] = ()) -> dict[str, Any]:
        """What a weight is and how its download stands.

        Returns:
            key, file, megabytes, licence, link, folder (where it would go), state ("missing", "pulling",
            "here" or "failed"), fraction (0..1), and the error's message and hint, empty without one.

        Raises:
            InvalidRequest: no such weight.
        """
        entry = _entry(key)
        with self._lock:
            one = self._known.get(key)
        state: State = "missing"
        if one is not None and one.running:
            state = "pulling"
        elif weight_files.find(key, folders) is not None:
            state = "here"
        elif one is not None and one.error is not None:
            state = "failed"
        error = one.error if one is not None and state == "failed" else None
        return {
            "key": key,
            "file": entry.file,
            "megabytes": entry.megabytes,
            "licence": entry.licence,
            "link": entry.link,
            "folder": str(weight_files.destination(folders)),
            "state": state,
            "fraction": one.fraction if one is not None and one.running else float(state == "here"),
            "message": error.message if error is not None else "",
            "hint": error.hint if error is not None else "",
        }

    def start(self, key: str, folders: tuple[Path, ...] = ()) -> dict[str, Any]:
        """Begin a download; nothing happens where it runs already or the weight is here. Returns `status`."""
        _entry(key)
        with self._lock:  # looked up and entered in one: two people may press the button at once
            one = self._known.get(key)
            if not (one is not None and one.running) and weight_files.find(key, folders) is None:
                self._begin(key, weight_files.destination(folders))
        return self.status(key, folders)

    def stop(self, key: str, folders: tuple[Path, ...] = ()) -> dict[str, Any]:
        """Ask a download to end; the part that is there is kept for the next one. Returns `status`."""
        with self._lock:
            one = self._known.get(key)
        if one is not None:
            one.stop.set()
        return self.status(key, folders)

    def _begin(self, key: str, target: Path) -> None:
        one = self._known[key] = _One()
        threading.Thread(
            target=self._work, args=(key, target, one), name="img-open pull", daemon=True
        ).start()

    def _work(self, key: str, folder: Path, one: _One) -> None:
        def progress(fraction: float) -> None:
            one.fraction = fraction

        try:
            self._fetch(key, folder, progress=progress, cancelled=one.stop.is_set)
        except Cancelled:
            pass
        except ImgOpenError as error:
            one.error = error
        except OSError as error:
            one.error = InvalidRequest(
                f"The file cannot be written to {folder}: {error.strerror}.",
                "Check free space and permissions.",
            )
        finally:
            one.running = False


def _entry(key: str) -> WeightFile:
    if key not in WEIGHTS:
        raise InvalidRequest.field("weight", key[:80], "the key of an annotator weight")
    return WEIGHTS[key]
