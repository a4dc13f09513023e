"""The servers' models for choices on the canvas: kept, fetched in the background, never waited for long."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ..api.client import Client
from ..api.profiles import list_profiles, load_profile
from ..api.transport import Timeouts
from ..base import places
from ..base.errors import ImgOpenError
from ..base.log import get_logger

_log = get_logger("engines.models")
_PAGE = 100
_MOST_PAGES = 20
_QUICK = Timeouts(connect_s=5.0, read_s=15.0, total_s=30.0)

Fetch = Callable[[str], list[str]]


def fetch_models(profile: str) -> list[str]:
    """All checkpoints of a profile's server, page by page. Raises the pack's errors."""
    client = Client(load_profile(profile), timeouts=_QUICK)
    found: list[str] = []
    try:
        for page in range(1, _MOST_PAGES + 1):
            reply = client.model_list(page, _PAGE)
            found += [row.checkpoint for row in reply.rows if row.checkpoint]
            if not reply.rows or len(found) >= (reply.total or 0):
                break
    finally:
        client.close()
    return list(dict.fromkeys(found))


class ModelLists:
    """The lists by profile, also on disk so that they are there after a restart without network.

    Args:
        fetch: gets one profile's list; blocking.
        path: the file; default: models.json in the cache folder.
    """

    def __init__(self, fetch: Fetch = fetch_models, path: Path | None = None) -> None:
        self._fetch = fetch
        self._path = path
        self._lock = threading.Lock()
        self._running: dict[str, threading.Event] = {}
        self._lists: dict[str, list[str]] | None = None

    def names(self, profile: str = "", wait_s: float = 2.0) -> list[str]:
        """The models of one profile, or of all, each once.

        Starts a fetch in the background and waits for it at most `wait_s`; what is known by then is
        returned. A server that does not answer costs that wait and nothing else. Raises nothing.
        """
        profiles = [profile] if profile else _profiles()
        fetches = [self._start(name) for name in profiles]
        for done in fetches:
            done.wait(max(wait_s, 0.0) / max(len(fetches), 1))
        with self._lock:
            known = self._known()
            return list(dict.fromkeys(name for one in profiles for name in known.get(one, [])))

    def _start(self, profile: str) -> threading.Event:
        with self._lock:
            if profile in self._running:
                return self._running[profile]
            done = self._running[profile] = threading.Event()
        threading.Thread(target=self._work, args=(profile, done), name="img-open models", daemon=True).start()
        return done

    def _work(self, profile: str, done: threading.Event) -> None:
        try:
            found = self._fetch(profile)
        except ImgOpenError as error:
            _log.info("model list of %s: %s", profile, error)
        else:
            with self._lock:
                self._known()[profile] = found
                self._save()
        finally:
            with self._lock:
                self._running.pop(profile, None)
            done.set()

    @property
    def _file(self) -> Path:
        return self._path or places.cache_dir() / "models.json"

    def _known(self) -> dict[str, list[str]]:
        if self._lists is None:
            self._lists = _read(self._file)
        return self._lists

    def _save(self) -> None:
        part = self._file.with_name(f".{self._file.name}.{os.getpid()}.part")
        try:
            places.ensure(self._file.parent)
            part.write_text(json.dumps(self._known(), ensure_ascii=False), "utf-8")
            part.replace(self._file)
        except (OSError, ImgOpenError) as error:
            _log.info("the model list is not kept: %s", error)


def _profiles() -> list[str]:
    try:
        return list_profiles()
    except ImgOpenError as error:
        _log.info("profiles: %s", error)
        return []


def _read(path: Path) -> dict[str, list[str]]:
    try:
        value: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {
        str(name): [str(one) for one in cast("list[Any]", names)]
        for name, names in cast("dict[Any, Any]", value).items()
        if isinstance(names, list)
    }
