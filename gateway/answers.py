"""The envelope of every answer, and errors as answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web

from ..base.errors import Busy, ImgOpenError, InvalidRequest, MissingModel, PictureError, Unauthorized
from ..base.log import scrub

OK = "200"
FAILED = "400"
RETRY_AFTER_S = 5


class TaskConflict(InvalidRequest):
    """The task id is in use for another request."""

    code = "task_conflict"


class UnknownTask(InvalidRequest):
    """No task of this key has that id: never submitted, or purged."""

    code = "unknown_task"


class TooLarge(InvalidRequest):
    """The request body is over the limit."""

    code = "body_too_large"


class TooSlow(InvalidRequest):
    """The request body did not arrive in time."""

    code = "body_too_slow"


class LinkGone(InvalidRequest):
    """A result link whose time is over."""

    code = "link_expired"


_STATUS: tuple[tuple[type[ImgOpenError], int], ...] = (
    (Busy, 429),
    (Unauthorized, 401),
    (TaskConflict, 409),
    (UnknownTask, 404),
    (TooLarge, 413),
    (TooSlow, 408),
    (LinkGone, 410),
    (InvalidRequest, 400),
    (PictureError, 400),
    (MissingModel, 400),
)


def cannot_use(path: Path, error: Exception) -> InvalidRequest:
    """The error for a file of the data folder that is not what it should be, or may not be touched."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InvalidRequest(
        f"{path} cannot be used: {reason}.",
        "Check its permissions, move it away, or give the gateway another folder with --data.",
    )


def success(data: dict[str, Any]) -> web.Response:
    """`{"code": "200", "msg": "success", "data": data}` with HTTP 200."""
    return web.json_response({"code": OK, "msg": "success", "data": data})


def failure(error: ImgOpenError) -> web.Response:
    """The envelope `"400"` with the HTTP status that fits, and the error's word and field in `data`."""
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
    if error.details.get("forbidden"):
        status = 403
    data: dict[str, Any] = {"error": error.code}
    for name in ("field", "allowed"):
        if isinstance(error.details.get(name), str):
            data[name] = error.details[name]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 429 else {}
    return plain_failure(status, scrub(str(error)), data, headers)


def plain_failure(
    status: int, text: str, data: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """The envelope `"400"` for what is no error of ours (unknown path, method, internal trouble)."""
    body = {"code": FAILED, "msg": text, "data": data}
    return web.json_response(body, status=status, headers=headers)
