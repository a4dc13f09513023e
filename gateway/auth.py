"""Who may ask: access keys, and without keys only programs on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..base.errors import ProfileError, Unauthorized
from ..base.log import register_secret
from .settings import is_loopback

ID_HEADER = "X-Request-req-accessKeyId"
SECRET_HEADER = "X-Request-req-accessKeySecret"
_LOCAL_KEY = "local"


class Keys:
    """The keys of a keys file, kept as digests.

    `owner` compares in constant time: every key is looked at, whatever the first ones said, and digests of
    equal length are compared, so the time tells neither which id exists nor how much of a secret was right.
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._digests = {key_id: (_digest(key_id), _digest(secret)) for key_id, secret in pairs.items()}

    @classmethod
    def load(cls, path: Path) -> Keys:
        """Reads JSON `{"keys": [{"id": ..., "secret": ...}]}` or lines `id secret` (`#` starts a comment).

        Raises:
            ProfileError: missing, readable by others (not checked on Windows), malformed or empty.
        """
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileError(f"The keys file {path} cannot be read: {error}.", "Check its path.") from error
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise ProfileError(
                f"The keys file {path} can be read by other users (mode {stat.S_IMODE(mode):o}).",
                f"Run: chmod 600 {path}",
            )
        pairs = _from_json(text, path) if text.lstrip().startswith("{") else _from_lines(text, path)
        if not pairs:
            raise ProfileError(f"The keys file {path} has no keys.", "Add a line: ID SECRET")
        for secret in pairs.values():
            register_secret(secret)
        return cls(pairs)

    def owner(self, headers: Mapping[str, str]) -> str:
        """The id of the key in the two headers.

        Raises:
            Unauthorized: missing or wrong; the text does not say which of the two it was.
        """
        given_id = _digest(headers.get(ID_HEADER, ""))
        given_secret = _digest(headers.get(SECRET_HEADER, ""))
        owner = ""
        for key_id, (id_digest, secret_digest) in self._digests.items():
            same_id = hmac.compare_digest(id_digest, given_id)
            same_secret = hmac.compare_digest(secret_digest, given_secret)
            if same_id & same_secret:
                owner = key_id
        if not owner:
            raise Unauthorized(
                "The access key was not accepted.",
                f"Send a valid pair in the headers {ID_HEADER} and {SECRET_HEADER}.",
            )
        return owner


class Guard:
    """Decides for each request whose it is."""

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Without keys: the Host header must name this machine, and a web page may not be the caller.

        A web page somewhere can make its own name resolve to 127.0.0.1 and then ask us; its name in `Host`
        gives it away. A page that asks 127.0.0.1 openly has another `Origin`.

        Raises:
            Unauthorized: with details `forbidden`.
        """
        if self._keys is not None:
            return
        host = headers.get("Host", "")
        if not is_loopback(_host_name(host)):
            raise Unauthorized(
                "This server answers only requests made to 127.0.0.1, ::1 or localhost.",
                "Start it with a keys file to serve it under another name.",
                forbidden=True,
            )
        origin = headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            raise Unauthorized(
                "This server does not answer web pages of other origins.",
                "Call it from a program, not from a page.",
                forbidden=True,
            )

    def owner(self, headers: Mapping[str, str]) -> str:
        """The key id that tasks are filed under; one fixed word without keys."""
        return _LOCAL_KEY if self._keys is None else self._keys.owner(headers)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _from_json(text: str, path: Path) -> dict[str, str]:
    try:
        rows: Any = json.loads(text)["keys"]
        pairs = [(row["id"], row["secret"]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ProfileError(
            f"The keys file {path} is not of the form {{'keys': [{{'id': ..., 'secret': ...}}]}}.",
            "Check its JSON.",
        ) from error
    for number, (key_id, secret) in enumerate(pairs, 1):
        if not (isinstance(key_id, str) and isinstance(secret, str) and key_id and secret):
            raise ProfileError(f"Key {number} of {path} has an id or secret that is no text.", "Correct it.")
    return _unique(pairs, path)


def _from_lines(text: str, path: Path) -> dict[str, str]:
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise ProfileError(
                f"Line {number} of the keys file {path} has {len(words)} words.", "Write: ID SECRET"
            )
        pairs.append((words[0], words[1]))
    return _unique(pairs, path)


def _unique(pairs: list[tuple[str, str]], path: Path) -> dict[str, str]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ProfileError(f"The keys file {path} names an id twice.", "Give each key its own id.")
    return result
