"""From a link to bytes or a picture, safely.

The fetcher resolves the name itself, judges every address, and connects to the very address it judged, so
that a name cannot change between the check and the connection. Each redirect goes through the same door.
Bytes are capped while they arrive, pixels before they are decoded, and the whole fetch has one deadline.
No cookies, no credentials, no proxy (a proxy would resolve names out of our sight).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from ..base.errors import Cancelled, ImgOpenError, LinkRefused, NetworkError, PictureError, ServerError
from ..base.log import scrub, scrub_link
from .addresses import judge

if TYPE_CHECKING:
    import numpy as np
    import requests
    from numpy.typing import NDArray

MEBIBYTE = 1024 * 1024
DEFAULT_MAX_BYTES = 64 * MEBIBYTE
DEFAULT_MAX_PIXELS = 64_000_000
DEFAULT_TIMEOUT = 60.0
MAX_REDIRECTS = 5

_CONNECT_TIMEOUT = 10.0
_CHUNK = 64 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADERS = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity", "Connection": "close"}


class Fetcher:
    """Fetches links that strangers may have written. Safe to share between threads.

    Args:
        allow_private: also private, loopback and shared addresses. Link-local, multicast and reserved ones
            stay refused: no pictures live there, but cloud metadata does.
        max_bytes: largest body in bytes.
        max_pixels: largest picture, width x height.
        timeout: seconds for one whole fetch, redirects included.
        allow_origins: origins such as `http://127.0.0.1:8170` that are fetched whatever their address
            (the gateway a profile names, for its own results).
    """

    def __init__(
        self,
        allow_private: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        timeout: float = DEFAULT_TIMEOUT,
        allow_origins: Collection[str] = (),
    ) -> None:
        self.allow_private = allow_private
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self.timeout = timeout
        self.allow_origins = frozenset(_origin(_parse(origin)) for origin in allow_origins)

    def fetch_picture(self, url: str, *, cancelled: Callable[[], bool] | None = None) -> NDArray[np.uint8]:
        """The picture behind an http(s) link: uint8 (H, W) or (H, W, 3 or 4).

        Raises:
            LinkRefused: see `fetch_bytes`.
            NetworkError, ServerError: see `fetch_bytes`.
            PictureError: too large, or not a picture.
        """
        from ..base.pictures import decode_picture

        data = self.fetch_bytes(url, cancelled=cancelled)
        return decode_picture(
            data, max_bytes=self.max_bytes, max_pixels=self.max_pixels, source=scrub_link(url)
        )

    def fetch_bytes(self, url: str, *, cancelled: Callable[[], bool] | None = None) -> bytes:
        """The body behind an http(s) link.

        Args:
            url: the link.
            cancelled: asked between chunks; when it says yes the fetch ends.

        Raises:
            LinkRefused: scheme, credentials in the link, address, or too many redirects.
            NetworkError: no connection, time over, body cut off.
            ServerError: an HTTP status other than 200 (`details["http_status"]`).
            PictureError: more than `max_bytes`.
            Cancelled: `cancelled` said so.
        """
        watch = _Watch(self.timeout, cancelled)
        try:
            return self._follow(url, watch)
        except ImgOpenError:
            raise
        except Exception as error:
            raise _typed(error, url, watch) from error
        finally:
            watch.end()

    def _follow(self, url: str, watch: _Watch) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            parts = _parse(url)
            watch.trusted = _origin(parts) in self.allow_origins
            # A session for each hop: a kept connection may be a closed one, and each hop is judged anew.
            with _open_session(self, watch) as session:
                response = session.get(
                    url,
                    stream=True,
                    allow_redirects=False,
                    timeout=(_CONNECT_TIMEOUT, max(0.1, watch.left())),
                    headers=_HEADERS,
                )
                with response:
                    location = response.headers.get("Location")
                    if response.status_code not in (301, 302, 303, 307, 308) or not location:
                        return self._read(response, url, watch)
                url = urljoin(url, location)
        raise LinkRefused(
            f"The link {scrub_link(url)} redirects more than {MAX_REDIRECTS} times.",
            "Give the link of the picture itself.",
        )

    def _read(self, response: requests.Response, url: str, watch: _Watch) -> bytes:
        shown = scrub_link(url)
        if response.status_code != 200:
            raise ServerError(
                f"The link {shown} answers with HTTP status {response.status_code}.",
                "Check that it opens without a login and has not expired.",
                http_status=response.status_code,
            )
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise NetworkError(
                f"The link {shown} sends its body compressed ({encoding}), which was not asked for.",
                "Give a link that serves the picture as it is.",
            )
        declared = _declared_length(response.headers.get("Content-Length"))
        if declared is not None and declared > self.max_bytes:
            raise self._too_large(shown, f"{declared / MEBIBYTE:.0f} MiB")
        body = bytearray()
        # read1 returns what has arrived; iter_content would wait for a full chunk, deadline or not.
        while chunk := response.raw.read1(_CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                raise self._too_large(shown, "more")
            watch.check(url)
        watch.check(url)
        if declared is not None and len(body) != declared:
            raise NetworkError(
                f"The link {shown} ended after {len(body)} of {declared} bytes.", "Try again later."
            )
        return bytes(body)

    def _too_large(self, shown: str, size: str) -> PictureError:
        limit = self.max_bytes / MEBIBYTE
        return PictureError(
            f"The file behind {shown} is {size}, but at most {limit:.0f} MiB are fetched.",
            "Give a smaller picture.",
            limit_bytes=self.max_bytes,
        )


class _Watch:
    """The deadline of one fetch: cuts its connections when the time is over, whatever they are doing."""

    def __init__(self, seconds: float, cancelled: Callable[[], bool] | None) -> None:
        self.seconds = seconds
        self.trusted = False
        self.expired = False
        self._cancelled = cancelled
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self._until - time.monotonic())

    def guard(self, connection: socket.socket) -> None:
        """Keeps a second handle on a connection: TLS takes the first one away from its object."""
        with self._lock:
            self._sockets.append(connection.dup())

    def check(self, url: str) -> None:
        """Raises when the time is over or the user has cancelled."""
        if self.expired or self.left() <= 0:
            raise self.too_late(url)
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("The fetch was cancelled.")

    def too_late(self, url: str) -> NetworkError:
        """The error for a fetch that ran out of time."""
        return NetworkError(
            f"The link {scrub_link(url)} did not deliver within {self.seconds:g} seconds.",
            "Try again later or give a link to a faster server.",
        )

    def end(self) -> None:
        """Stops the clock and lets the second handles go."""
        self._timer.cancel()
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()

    def _cut(self) -> None:
        self.expired = True
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):  # the other side may have closed it already
                    connection.shutdown(socket.SHUT_RDWR)


def _parse(url: str) -> SplitResult:
    """Splits a link and refuses what is not plain http(s) without credentials."""
    try:
        parts = urlsplit(url.strip())
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise LinkRefused(f"{_shown(url)} is not a valid link: {error}.", "Check its spelling.") from error
    if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.hostname or not port_is_fine:
        raise LinkRefused(
            f"{_shown(url)} is not an http or https link.", "Only http:// and https:// links are fetched."
        )
    if parts.username is not None or parts.password is not None:
        raise LinkRefused(
            f"The link to {parts.hostname} carries a user name or password.",
            "Give a link that needs no login.",
        )
    return parts


def _shown(url: str) -> str:
    text = scrub_link(url)
    return text if len(text) <= 120 else text[:117] + "..."


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS[scheme]


def _declared_length(header: str | None) -> int | None:
    return int(header) if header is not None and header.isascii() and header.isdigit() else None


def _resolve(host: str, port: int, seconds: float) -> list[tuple[socket.AddressFamily, str, int]]:
    """All addresses of a host. In a daemon thread, since the system's resolver has no time-out of ours."""
    found: list[tuple[socket.AddressFamily, str, int]] = []
    problem: list[Exception] = []

    def look_up() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append((family, str(address[0]), port))
        except (OSError, UnicodeError) as error:
            problem.append(error)

    thread = threading.Thread(target=look_up, name="img-open-resolve", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise NetworkError(f"The name {host} could not be resolved in time.", "Check the network.")
    if problem or not found:
        raise NetworkError(f"The name {host} is unknown to the network.", "Check the link's spelling.")
    return found


def _connect(fetcher: Fetcher, watch: _Watch, host: str, port: int) -> socket.socket:
    """Resolves, judges and connects: the address that was judged is the address that is used."""
    allowed: list[tuple[socket.AddressFamily, str, int]] = []
    reason = ""
    for target in _resolve(host, port, watch.left()):
        verdict = judge(target[1])
        if watch.trusted or verdict.kind == "public" or (verdict.kind == "private" and fetcher.allow_private):
            allowed.append(target)
        else:
            reason = reason or f"{target[1]}, {verdict.reason}"
    if not allowed:
        raise LinkRefused(
            f"A link to {host} is refused: its address is not a public one ({reason}).",
            "Use a link that is reachable from the internet, or send the picture itself as a data URL.",
            host=host,
        )
    last: OSError | None = None
    for family, address, number in allowed:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.1, min(_CONNECT_TIMEOUT, watch.left())))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect((address, number))
            watch.guard(connection)
            return connection
        except OSError as error:
            connection.close()
            last = error
    raise NetworkError(f"No connection to {host}, port {port}: {last}.", "Check that the server is up.")


def _open_session(fetcher: Fetcher, watch: _Watch) -> requests.Session:
    """A session whose connections are all made by `_connect`. The classes wait for requests to be needed."""
    from http.cookiejar import DefaultCookiePolicy
    from typing import Any

    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class GuardedHTTP(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(fetcher, watch, self.host.strip("[]"), self.port)

    class GuardedHTTPS(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(fetcher, watch, self.host.strip("[]"), self.port)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = GuardedHTTP  # pyright: ignore[reportAssignmentType]

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = GuardedHTTPS  # pyright: ignore[reportAssignmentType]

    class GuardedAdapter(HTTPAdapter):
        def init_poolmanager(
            self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
        ) -> None:
            self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    session = requests.Session()
    session.trust_env = False  # no .netrc, no proxy
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = GuardedAdapter(max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _typed(error: Exception, url: str, watch: _Watch) -> ImgOpenError:
    """The pack's own error for what requests, urllib3 or the socket raised."""
    import http.client

    import requests
    import urllib3

    if watch.expired or watch.left() <= 0:
        return watch.too_late(url)
    shown = _shown(url)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError)):
        return LinkRefused(f"{shown} is not a valid link.", "Check its spelling.")
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
        return NetworkError(f"The link {shown} fell silent.", "Try again later.")
    if isinstance(error, requests.exceptions.SSLError):
        return NetworkError(f"The link {shown} has no valid certificate: {scrub(str(error))}", "")
    known = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
    if isinstance(error, known):
        return NetworkError(f"The link {shown} broke off: {scrub(str(error))}", "Try again later.")
    raise error
