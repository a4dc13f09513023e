"""The routes behind "pull weights" on a node: what a missing weight is, its download, and stopping it.

A download begins only by the POST that the user's consent sends; it takes published files of the table alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..base.errors import InvalidRequest
from .web_guard import body_of, in_thread, reply

if TYPE_CHECKING:
    from pathlib import Path

    from ..preprocessors.pulls import Pulls


@lru_cache(maxsize=1)
def pulls() -> Pulls:
    """The downloads of this process."""
    from ..preprocessors.pulls import Pulls

    return Pulls()


def _folders() -> tuple[Path, ...]:
    """The host's folders for annotator weights, the same that its nodes look into."""
    from .host import annotator_folders

    return annotator_folders()


async def status(request: web.Request) -> web.Response:
    """GET: see `Pulls.status`."""
    key = request.match_info["key"]
    return reply(await in_thread(lambda: pulls().status(key, _folders())))


async def pull(request: web.Request) -> web.Response:
    """POST {"consent": true}: begin the download; the answer is `Pulls.status`."""
    body, key = await body_of(request), request.match_info["key"]
    if body.get("consent") is not True:
        raise InvalidRequest(
            "A download needs the user's consent.", "Ask, and send consent: true with the answer."
        )

    def work() -> dict[str, Any]:
        return pulls().start(key, _folders())

    return reply(await in_thread(work))


async def stop(request: web.Request) -> web.Response:
    """POST: end the download; what is there is kept."""
    await body_of(request)
    key = request.match_info["key"]
    return reply(await in_thread(lambda: pulls().stop(key, _folders())))


ROUTES = (
    ("GET", "/img_open/weights/{key}", status),
    ("POST", "/img_open/weights/{key}/pull", pull),
    ("POST", "/img_open/weights/{key}/stop", stop),
)
