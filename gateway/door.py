"""The listening socket: how many come in, how long they may stay silent, and what of it is logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..base.errors import InvalidRequest
from ..base.log import get_logger
from .settings import Settings

_SHUTDOWN_S = 3.0
_LINGER_S = 1.0  # how long a refused body is still read, so that its sender sees the answer
_SILENCE_S = 30.0  # for a request line with its headers, and between two requests of a connection
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
)


@asynccontextmanager
async def listening(app: web.Application, settings: Settings) -> AsyncIterator[int]:
    """Serves an application inside the block.

    Yields:
        The port it listens on.

    Raises:
        InvalidRequest: the port is taken, or the host is not this machine's.
    """
    # The access log would show result links, which are keys to pictures.
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_quiet_logger(),
        keepalive_timeout=_SILENCE_S,
        shutdown_timeout=_SHUTDOWN_S,
        lingering_time=_LINGER_S,
    )
    await runner.setup()
    try:
        server = await _open(runner, settings)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()


async def _open(runner: web.AppRunner, settings: Settings) -> asyncio.Server:
    inside = runner.server
    assert inside is not None  # since setup

    def welcome() -> asyncio.Protocol:
        return inside() if len(inside.connections) < settings.connections else _TurnedAway()

    try:
        return await asyncio.get_running_loop().create_server(
            welcome, settings.host, settings.port, reuse_address=True
        )
    except OSError as error:
        raise InvalidRequest.field(
            "--port", settings.port, f"free to listen on at {settings.host} ({error.strerror or error})"
        ) from error


class _TurnedAway(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: Any) -> None:
        transport.write(_FULL)
        transport.close()


def _quiet_logger() -> logging.Logger:
    logger = get_logger("gateway.http")
    if not any(isinstance(each, _ClientsFault) for each in logger.filters):
        logger.addFilter(_ClientsFault())
    return logger


class _ClientsFault(logging.Filter):
    """Keeps out the tracebacks of requests that are no HTTP or break off: they were answered."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, (HttpProcessingError, web.RequestPayloadError, ConnectionError))
