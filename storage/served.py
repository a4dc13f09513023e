"""Pictures served by this process itself, under an address that the user has made public (a tunnel).

The listener answers `GET /f/<token>` and nothing else: no listing, no paths, no files. Tokens cannot be
guessed (256 random bits) and expire. Pictures are held in memory, so links end with the process.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..base.errors import ProfileError
from .options import typed_options

_DAY_S = 24 * 3600
_MOST_BYTES = 512 * 1024 * 1024
_CONNECTION_S = 30
_PREFIX = "/f/"


@dataclass(frozen=True)
class ServedOptions:
    """Where the listener is, and where the world finds it.

    Attributes:
        public_url: what links begin with; the tunnel must lead from there to host and port.
        host, port: where to listen. Port 0 takes a free one.
        link_seconds: life of a link, from 60; longer than a task may take. Default: a day.
    """

    public_url: str
    host: str = "127.0.0.1"
    port: int = 8171
    link_seconds: int = _DAY_S

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> ServedOptions:
        """From a profile's `storage_options`; keys that are not ours are left alone.

        Raises:
            ProfileError: names the option.
        """
        known = typed_options(cls, options)
        if not str(known.get("public_url", "")).startswith(("http://", "https://")):
            raise ProfileError(
                "The storage option public_url is missing or no http(s) address.",
                "Give the address under which the other side reaches this machine (a tunnel's, for example).",
            )
        made = cls(**known)
        if made.link_seconds < 60 or not 0 <= made.port <= 65535:
            raise ProfileError(
                f"The storage options link_seconds {made.link_seconds} and port {made.port} cannot be used.",
                "link_seconds must be at least 60, port 0 to 65535.",
            )
        return made


@dataclass
class _Entry:
    data: bytes
    mime: str
    digest: str
    until: float


class ServedLinker:
    """Holds pictures and serves them until their links expire. Safe to use from several threads.

    The listener starts with the first picture. When more than 512 MiB are held, the oldest pictures go.
    """

    def __init__(self, options: ServedOptions) -> None:
        self._options = options
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._listener: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first picture."""
        return 0 if self._listener is None else int(self._listener.server_address[1])

    def link_for(self, data: bytes, mime: str) -> str:
        """A link to the picture; the same one again while at least half of its life is left.

        Raises:
            ProfileError: the port is taken.
        """
        digest = hashlib.sha256(mime.encode() + b"\0" + data).hexdigest()
        now = time.monotonic()
        with self._lock:
            self._start()
            self._forget(now, len(data))
            for token, entry in self._entries.items():
                if entry.digest == digest and entry.until - now > self._options.link_seconds / 2:
                    return self._link(token)
            token = secrets.token_urlsafe(32)
            self._entries[token] = _Entry(data, mime, digest, now + self._options.link_seconds)
        return self._link(token)

    def close(self) -> None:
        """Stops serving and forgets all pictures."""
        with self._lock:
            listener, self._listener = self._listener, None
            self._entries.clear()
        if listener is not None:
            listener.shutdown()
            listener.server_close()

    def find(self, token: str) -> tuple[bytes, str] | None:
        """The picture and MIME type behind a token that is still good."""
        with self._lock:
            entry = self._entries.get(token)
            if entry is None or entry.until <= time.monotonic():
                return None
            return entry.data, entry.mime

    def _link(self, token: str) -> str:
        return self._options.public_url.rstrip("/") + _PREFIX + token

    def _forget(self, now: float, coming: int) -> None:
        for token in [token for token, entry in self._entries.items() if entry.until <= now]:
            del self._entries[token]
        held = sum(len(entry.data) for entry in self._entries.values())
        while self._entries and held + coming > _MOST_BYTES:
            oldest = next(iter(self._entries))
            held -= len(self._entries.pop(oldest).data)

    def _start(self) -> None:
        if self._listener is not None:
            return
        try:
            listener = ThreadingHTTPServer((self._options.host, self._options.port), _handler_for(self))
        except OSError as error:
            raise ProfileError(
                f"The storage cannot listen on {self._options.host}, port {self._options.port}: "
                f"{error.strerror}.",
                "Choose another port in the profile's storage_options, or end the program that uses it.",
            ) from error
        listener.daemon_threads = True
        self._listener = listener
        threading.Thread(
            target=listener.serve_forever, kwargs={"poll_interval": 0.1}, name="img-open-served", daemon=True
        ).start()


_linkers: dict[ServedOptions, ServedLinker] = {}
_linkers_lock = threading.Lock()


def served_linker(options: ServedOptions) -> ServedLinker:
    """The one linker of this process for these options: a port can be listened on only once."""
    with _linkers_lock:
        return _linkers.setdefault(options, ServedLinker(options))


def _handler_for(linker: ServedLinker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CONNECTION_S

        def log_message(self, format: str, *args: Any) -> None:
            """Not logged: the paths are keys to pictures."""

        def version_string(self) -> str:
            return "img-open"

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            self._answer(code, b"", "text/plain")

        def do_GET(self) -> None:
            self._serve()

        def do_HEAD(self) -> None:
            self._serve()

        def _serve(self) -> None:
            # Unknown, expired and misspelt look the same from outside.
            found = linker.find(self.path[len(_PREFIX) :]) if self.path.startswith(_PREFIX) else None
            if found is None:
                self._answer(404, b"", "text/plain")
            else:
                self._answer(200, *found)

        def _answer(self, status: int, data: bytes, mime: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", mime)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "private, no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

    return Handler
