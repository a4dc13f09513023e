"""Two routes on the host's server: the models for a choice on the canvas, and the server's callbacks."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from aiohttp import web

from .task_tables import MODELS_ROUTE
from .web_guard import guarded, in_thread, reply

if TYPE_CHECKING:
    from ..engines.model_lists import ModelLists

CALLBACK_ROUTE = "/img_open/callback"  # the engines' `callbacks.ROUTE`
_LARGEST_BODY = 1024 * 1024
_registered: set[int] = set()


def register() -> None:
    """Add the routes to the running server, once. Without a server (tests, tools) nothing happens."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None or id(server) in _registered:
        return
    _registered.add(id(server))
    server.routes.get(MODELS_ROUTE)(guarded(models))
    # Called from outside through a public address: its unguessable part is the guard.
    server.routes.post(CALLBACK_ROUTE + "/{token}")(callback)


async def models(request: web.Request) -> web.Response:
    """GET ?profile=NAME: names of models; without a profile those of all. Answers within two seconds."""
    profile = request.query.get("profile", "")
    return reply(await in_thread(lambda: _lists().names(profile)))


@lru_cache(maxsize=1)
def _lists() -> ModelLists:
    from ..engines.model_lists import ModelLists

    return ModelLists()


async def callback(request: web.Request) -> web.Response:
    """POST from the API's server; `{"code": "200"}` when it is about a task of ours, else 404."""
    from ..engines import callbacks

    data = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > _LARGEST_BODY:
            return reply({"code": "413", "msg": "too large"}, 413)
    known = await in_thread(lambda: callbacks.receive(request.match_info["token"], bytes(data)))
    return reply(
        {"code": "200" if known else "404", "msg": "success" if known else "unknown"}, 200 if known else 404
    )
