"""Callbacks of the server: it may say that a task is finished, so that asking can be rare.

The published reply is `{"code": "200"}`; method, body and signature of the call are not published. So the
call is told by an unguessable address, its body is searched for ids only, and nothing in it is believed: a
known id makes the waiting side ask at once.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from ..api.journal import Journal
from ..api.profiles import is_loopback_host
from ..base import places
from ..base.errors import InvalidRequest, ProfileError
from ..base.log import register_secret
from .remote_wake import wake

ENV_URL = "IMG_OPEN_CALLBACK_URL"  # public address of this machine's server, without the path below
ROUTE = "/img_open/callback"
_ID_NAMES = ("businessTaskId", "taskId", "task_id", "id_task")


def callback_url() -> str:
    """The address to hand to the server; empty when the user has stated no public one.

    Raises:
        ProfileError: the stated one is no https address (http only on this machine).
    """
    base = os.environ.get(ENV_URL, "").strip().rstrip("/")
    if not base:
        return ""
    parts = urlsplit(base)
    if parts.scheme not in ("https", "http") or (
        parts.scheme == "http" and not is_loopback_host(parts.hostname or "")
    ):
        raise ProfileError(
            f"{ENV_URL} is no https address.", "State the public address under which the server reaches you."
        )
    return f"{base}{ROUTE}/{token()}"


def token(path: Path | None = None) -> str:
    """This installation's unguessable part of the address; made once, kept in a file of mode 600."""
    file = path or places.data_dir() / "callback_token"
    places.ensure(file.parent)
    with contextlib.suppress(FileExistsError):
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_urlsafe(32))
    found = file.read_text("ascii").strip()
    register_secret(found)  # it would otherwise stand in the journal and in logs
    return found


def receive(given_token: str, body: bytes, journal: Journal | None = None) -> bool:
    """Take a call: True when the address is ours and the body names a task of the journal."""
    if not hmac.compare_digest(given_token.encode(), token().encode()):
        return False
    journal = journal or Journal()
    for name in _ids(body):
        try:
            task = journal.show(name)
        except InvalidRequest:
            continue
        wake(task.task_id)
        wake(task.query_id)
        return True
    return False


def _ids(body: bytes) -> list[str]:
    """Texts and numbers under an id's name, at the top or one level below."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    levels: list[Any] = [value]
    if isinstance(value, Mapping):
        levels += cast("Mapping[str, Any]", value).values()
    found: list[str] = []
    for level in levels:
        if isinstance(level, Mapping):
            values = cast("Mapping[str, Any]", level)
            found += [str(values[name]) for name in _ID_NAMES if isinstance(values.get(name), str | int)]
    return [name for name in found if name]
