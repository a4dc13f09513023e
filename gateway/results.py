"""Finished pictures on disk, and links to them that expire.

A link is `/f/<file>-<expiry>-<signature>.<ending>`: the file's name is random (128 bits), and the signature
(HMAC-SHA256 with a secret that only this server's folder holds) keeps anyone from moving the expiry.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from ..base.places import ensure
from .answers import LinkGone, UnknownTask, cannot_use

_TOKEN = re.compile(
    r"(?P<name>[0-9a-f]{32})-(?P<expires>[0-9a-f]{1,12})-(?P<mac>[0-9a-f]{32})\.(?P<end>jpg|png)"
)
_FILE = re.compile(r"[0-9a-f]{32}\.(jpg|png)")
_ORPHAN_AGE_S = 3600.0


class Results:
    """The results folder of one gateway.

    Args:
        folder: the gateway's data folder; pictures go below it, the secret beside them.
        life_s: seconds a link works.

    Raises:
        InvalidRequest: the folder or the secret in it cannot be used.
    """

    def __init__(self, folder: Path, life_s: float) -> None:
        self._folder = ensure(folder / "results")
        path = folder / "link-secret"
        try:
            self._secret = _own_secret(path)
        except OSError as error:
            raise cannot_use(path, error) from error
        self._life_s = life_s

    def save(self, data: bytes, ending: str) -> str:
        """Writes an encoded picture (`jpg` or `png`) and returns its name; never half a file."""
        name = f"{secrets.token_hex(16)}.{ending}"
        scratch = self._folder / f"{name}.part"
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._folder / name)
        return name

    def path_for(self, name: str) -> str:
        """The path part of a link that works from now on for the life of links."""
        stem, ending = name.split(".")
        expires = f"{int(time.time() + self._life_s):x}"
        return f"/f/{stem}-{expires}-{self._mac(stem, expires)}.{ending}"

    def file_behind(self, token: str) -> Path:
        """The file a link's last part names.

        Raises:
            LinkGone: its time is over, or the file was purged.
            UnknownTask: this server never made that link.
        """
        match = _TOKEN.fullmatch(token)
        if match is None or not hmac.compare_digest(self._mac(match["name"], match["expires"]), match["mac"]):
            raise UnknownTask("This is not a link of this server.", "Query the task for its links.")
        path = self._folder / f"{match['name']}.{match['end']}"
        if int(match["expires"], 16) < time.time() or not path.is_file():
            raise LinkGone("This link has expired.", "Query the task again for a fresh one.")
        return path

    def remove(self, names: Iterable[str]) -> None:
        """Deletes files by the names `save` gave; missing ones are fine."""
        for name in names:
            if _FILE.fullmatch(name):
                (self._folder / name).unlink(missing_ok=True)

    def sweep(self, known: set[str]) -> int:
        """Deletes what a crash left behind: files of no task, older than an hour. Returns how many."""
        removed = 0
        for path in self._folder.iterdir():
            old = path.stat().st_mtime < time.time() - _ORPHAN_AGE_S
            if old and path.name not in known and _FILE.match(path.name):
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _mac(self, stem: str, expires: str) -> str:
        return hmac.new(self._secret, f"{stem}-{expires}".encode(), hashlib.sha256).hexdigest()[:32]


def _own_secret(path: Path) -> bytes:
    """32 random bytes, made at the first start and readable by the owner only."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        found = path.read_bytes()
        if len(found) == 32:
            return found
        path.unlink()  # a crash cut its first writing short: no link was made with it
        return _own_secret(path)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes()
