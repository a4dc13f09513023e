"""Request bodies on their way in: each has a size, a time, and a share of the memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from ..base.errors import Busy
from .answers import TooLarge, TooSlow
from .settings import MEBIBYTE

_SMALL = 64 * 1024
_AT_ONCE = 2  # large bodies looked into at the same time: a parsed one takes several times its size
_HELD_LEAST = 256 * MEBIBYTE
_HELD_LIMITS = 4

T = TypeVar("T")


class Bodies:
    """Takes in the bodies of all requests.

    Args:
        limit: largest body in bytes, unpacked.
        seconds: time for one body to arrive. All bodies at hand together may take 256 MiB, or four times
            the limit if that is more.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._budget = max(_HELD_LEAST, _HELD_LIMITS * limit)
        self._held = 0
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def check_length(self, declared: int | None) -> None:
        """Refuses a body by its header, before any of it is read. Raises TooLarge."""
        if (declared or 0) > self._limit:
            raise _too_large(self._limit)

    async def read_by(
        self, request: web.Request, reader: Callable[[bytes], T], *, most: int | None = None
    ) -> T:
        """What `reader` makes of the body, in a thread. Large bodies wait for each other.

        Args:
            request: its body has not been read yet.
            reader: gets the whole body.
            most: a lower limit in bytes, for calls that carry no pictures.

        Raises: what `reader` raises, and
            TooLarge: more than the limit.
            TooSlow: it did not arrive in time.
            Busy: the bodies of other requests take up the memory.
        """
        body = bytearray()
        try:
            limit = self._limit if most is None else min(most, self._limit)
            await self._fill_in_time(body, request, limit)
            if len(body) <= _SMALL:
                return await asyncio.to_thread(reader, bytes(body))
            async with self._turn:
                return await asyncio.to_thread(reader, bytes(body))
        finally:
            self._held -= len(body)

    async def _fill_in_time(self, body: bytearray, request: web.Request, limit: int) -> None:
        try:
            await asyncio.wait_for(self._fill(body, request, limit), self._seconds)
        except asyncio.TimeoutError as error:
            raise TooSlow(
                f"The body did not arrive within {self._seconds:g} seconds.",
                "Send it again, over a faster line or with smaller pictures.",
            ) from error

    async def _fill(self, body: bytearray, request: web.Request, limit: int) -> None:
        async for chunk in request.content.iter_any():
            body += chunk
            self._held += len(chunk)
            if len(body) > limit:
                raise _too_large(limit)
            if self._held > self._budget:
                # At once: until the error is out, all the others would run into the same limit.
                self._held -= len(body)
                body.clear()
                raise Busy("The server is busy with other large requests.", "Send it again in a while.")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than this server takes here ({limit / MEBIBYTE:g} MiB).",
        "Send smaller pictures, or links instead of data URLs.",
    )
