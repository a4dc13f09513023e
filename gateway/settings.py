"""What a gateway may do, in one immutable value."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import InvalidRequest

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8170
MEBIBYTE = 1024 * 1024
_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S


@dataclass(frozen=True)
class Settings:
    """Settings of one gateway.

    Attributes:
        data_dir: tasks, results and the server's own secret live here; one gateway at a time.
        host, port: where to listen; port 0 takes a free one.
        keys_file: access keys; without it only loopback is served.
        public_url: base of result links when the server stands behind a proxy or a tunnel; empty means the
            address the client asked.
        queue_size: tasks waiting or running at once, over all keys; beyond it the answer is "busy".
        body_limit: largest request body in bytes.
        picture_limit: largest fetched picture in bytes.
        pixel_limit: largest picture in pixels.
        body_seconds: time for a request body to arrive.
        connections: open connections at once; further ones are closed as they come.
        fetch_seconds: time for one link.
        link_seconds: life of a result link, from the query that hands it out.
        keep_seconds: how long finished tasks and their results are kept.
        allow_private: whether picture links may lead to private addresses.
        max_side: largest width or height asked for, hires pass included, in pixels.
        max_images: most pictures of one task (n_iter x batch_size).
        max_steps: most sampling steps.
    """

    data_dir: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    keys_file: Path | None = None
    public_url: str = ""
    queue_size: int = 32
    body_limit: int = 64 * MEBIBYTE
    picture_limit: int = 64 * MEBIBYTE
    pixel_limit: int = 64_000_000
    body_seconds: float = 120.0
    connections: int = 256
    fetch_seconds: float = 60.0
    link_seconds: float = 24 * 3600.0
    keep_seconds: float = 7 * 24 * 3600.0
    allow_private: bool = False
    max_side: int = 4096
    max_images: int = 64
    max_steps: int = 150

    def check(self) -> None:
        """Refuses settings that would not do what their user expects.

        Raises:
            InvalidRequest: names the setting.
        """
        if self.keys_file is None and not is_loopback(self.host):
            raise InvalidRequest.field(
                "--host",
                self.host,
                "a loopback address (127.0.0.1, ::1 or localhost) as long as there is no keys file",
                "Add --keys FILE to serve other machines.",
            )
        if not 0 <= self.port <= 65535:
            raise InvalidRequest.field("--port", self.port, "0 (any free one) to 65535")
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            raise InvalidRequest.field("--public-url", self.public_url, "an http:// or https:// address")
        # In the units of the command line, whose names these are.
        bounded: dict[str, tuple[float, float]] = {
            "--queue": (self.queue_size, 10_000),
            "--connections": (self.connections, 10_000),
            "--body-limit": (-(-self.body_limit // MEBIBYTE), 1024),
            "--body-seconds": (self.body_seconds, _HOUR_S),
            "--picture-limit": (-(-self.picture_limit // MEBIBYTE), 1024),
            "pixel_limit": (self.pixel_limit, 1_000_000_000),
            "--fetch-seconds": (self.fetch_seconds, _HOUR_S),
            "--link-hours": (self.link_seconds / _HOUR_S, 24 * 366),
            "--keep-days": (self.keep_seconds / _DAY_S, 10 * 366),
            "--max-side": (self.max_side, 16_384),
            "--max-images": (self.max_images, 10_000),
            "--max-steps": (self.max_steps, 10_000),
        }
        for name, (value, most) in bounded.items():
            if not 0 < value <= most:  # NaN is neither
                raise InvalidRequest.field(name, value, f"more than 0, at most {most}")


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only; names other than localhost do not."""
    name = host.strip().strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
