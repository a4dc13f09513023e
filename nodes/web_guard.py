"""Who may call the pack's routes, and in which form answers and errors leave.

The routes speak about profiles, prompts and tasks, and some of them cost money. A page of another site must
not reach them through the user's browser, neither directly (Origin, Sec-Fetch-Site, the content type that
needs a preflight) nor under a name that it has pointed at this machine (Host).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from ..base.errors import ImgOpenError, InvalidRequest
from ..base.log import get_logger, scrub, scrub_json

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOSTS = "IMG_OPEN_HOSTS"  # further names of this machine, separated by commas; for reverse proxies
LARGEST_BODY = 64 * 1024 * 1024  # bytes; a web-UI payload may hold pictures

_log = get_logger("nodes.web")


def refusal(method: str, headers: Mapping[str, str]) -> str:
    """Why a request is refused, or an empty text.

    Args:
        method: GET, POST or DELETE.
        headers: of the request, names in any case.
    """
    given = {name.lower(): value for name, value in headers.items()}
    host = given.get("host", "")
    if not own_name(host):
        return (
            f"This server does not answer under the name {host[:80]!r}. Open it by its address or "
            f"localhost, or set {HOSTS} to the name."
        )
    origin = given.get("origin")
    if origin is not None and not _same_place(origin, host):
        return "Requests of other sites are refused."
    if given.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "Requests of other sites are refused."
    if method == "GET":
        return ""
    if given.get("sec-fetch-site") == "none":
        return "This address is for the canvas, not for the address bar."
    if given.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return "The content type must be application/json."
    return ""


def _same_place(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # such as an address with half a bracket
        return False


def own_name(host: str) -> bool:
    """Whether a Host header names this machine in a way no stranger can arrange: an address, localhost, the
    machine's own name, or a name from the environment."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".").lower()
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        pass
    mine = socket.gethostname().lower()
    further = {part.strip().lower() for part in os.environ.get(HOSTS, "").split(",") if part.strip()}
    return bool(name) and name in {"localhost", mine, f"{mine}.local", *further}


def guarded(handler: Handler) -> Handler:
    """The handler behind the checks above; the pack's errors become JSON, others are logged and scrubbed."""

    async def answer(request: web.Request) -> web.StreamResponse:
        why = refusal(request.method, request.headers)
        if why:
            return reply({"error": {"code": "refused", "message": why, "hint": ""}}, 403)
        return await safely(handler, request)

    return answer


async def safely(handler: Handler, request: web.Request) -> web.StreamResponse:
    """The handler's answer; an error of any kind becomes a JSON answer without secrets."""
    try:
        return await handler(request)
    except ImgOpenError as error:
        told = {"code": error.code, "message": scrub(error.message), "hint": scrub(error.hint)}
        task = error.details.get("task_id")
        if task:
            told["task_id"] = str(task)
        return reply({"error": told}, 400)
    except web.HTTPException:
        raise
    except Exception as error:
        _log.error("%s", scrub(traceback.format_exc()))
        told = {
            "code": "fault",
            "message": f"The pack failed: {type(error).__name__}.",
            "hint": "See the log.",
        }
        return reply({"error": told}, 500)


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer that nobody keeps, with known secrets masked wherever they might have slipped in."""
    text = json.dumps(scrub_json(value), ensure_ascii=False)
    return web.Response(
        text=text,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
    )


async def body_of(request: web.Request) -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        InvalidRequest: too large, no JSON, or no object.
    """
    data = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > LARGEST_BODY:
            raise InvalidRequest("The text is larger than 64 MiB.", "Send pictures as links or files.")
    try:
        value: Any = json.loads(bytes(data) or b"{}")
    except (ValueError, RecursionError):
        raise InvalidRequest("The request is not JSON.", "This is for the canvas.") from None
    if not isinstance(value, dict):
        raise InvalidRequest.field("the request", type(value).__name__, "a JSON object")
    return value


def text_of(body: Mapping[str, Any], name: str, default: str = "") -> str:
    """A text of a JSON body; raises InvalidRequest when it is something else."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise InvalidRequest.field(name, type(value).__name__, "a text")
    return value


async def in_thread(work: Callable[[], T], name: str = "img-open-web") -> T:
    """Blocking work in a daemon thread, so that neither the server's loop nor its end waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: list[T], error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result[0])

    def run() -> None:
        result: list[T] = []
        error: BaseException | None = None
        try:
            result.append(work())
        except Exception as caught:
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
