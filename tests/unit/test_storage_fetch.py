"""The fetcher against a real server on loopback that behaves as badly as the internet can."""

from __future__ import annotations

import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from img_open.base.errors import Cancelled, ImgOpenError, LinkRefused, NetworkError, PictureError, ServerError
from img_open.base.pictures import encode_png
from img_open.storage.fetch import Fetcher

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def bomb_png(width: int, height: int) -> bytes:
    """A PNG header that claims a size; no pixels needed, since nobody should get that far."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


class Misbehaving(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, dict[str, str]]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        self.close_connection = True
        name = self.path.split("?")[0].strip("/").split("/")[0]
        getattr(self, f"serve_{name}", self.serve_missing)()

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def serve_missing(self) -> None:
        self.reply(b"no", 404)

    def serve_picture(self) -> None:
        self.reply(encode_png(PICTURE), Set_Cookie="a=b")

    def serve_html(self) -> None:
        self.reply(b"<html>log in first</html>", Content_Type="text/html")

    def serve_half(self) -> None:
        self.reply(encode_png(PICTURE)[:40], Content_Length="4000")

    def serve_bomb(self) -> None:
        self.reply(bomb_png(60_000, 60_000))

    def serve_gzip(self) -> None:
        self.reply(b"\x1f\x8b", Content_Encoding="gzip")

    def serve_huge(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(2 * 1024**3))
        self.end_headers()
        self.server.sent = 0  # type: ignore[attr-defined]

    def serve_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        block = b"x" * 65536
        try:
            while True:
                self.wfile.write(block)
        except OSError:
            pass

    def serve_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def serve_slowheader(self) -> None:
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for n in range(200):
                self.wfile.write(b"X-%d: 1\r\n" % n)
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def serve_cut(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nabc")

    def serve_notes(self) -> None:
        self.reply(b"", 302, Location="/notes")

    def serve_once(self) -> None:
        self.reply(b"", 302, Location="/picture")

    def serve_inward(self) -> None:
        self.reply(b"", 302, Location=f"http://localhost:{self.server.server_port}/picture")  # type: ignore[attr-defined]

    def serve_metadata(self) -> None:
        self.reply(b"", 301, Location="http://169.254.169.254/latest/meta-data/")

    def serve_file(self) -> None:
        self.reply(b"", 302, Location="file:///etc/passwd")


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Misbehaving)
    httpd.daemon_threads = True
    httpd.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def base(server: ThreadingHTTPServer) -> str:
    server.seen.clear()  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{server.server_port}"


def allowing(**changes: object) -> Fetcher:
    return Fetcher(allow_private=True, **changes)  # type: ignore[arg-type]


def test_a_picture_comes_back_pixel_for_pixel(base: str) -> None:
    assert np.array_equal(allowing().fetch_picture(f"{base}/picture"), PICTURE)


def test_redirects_are_followed(base: str) -> None:
    assert np.array_equal(allowing().fetch_picture(f"{base}/once"), PICTURE)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"],
)
def test_loopback_in_every_spelling_is_refused_without_a_connection(
    server: ThreadingHTTPServer, base: str, host: str
) -> None:
    with pytest.raises((LinkRefused, NetworkError)) as caught:
        Fetcher().fetch_bytes(f"http://{host}:{server.server_port}/picture")
    # A spelling the system's resolver does not know is an unknown name, which is as good as refused.
    assert isinstance(caught.value, LinkRefused) or "unknown" in str(caught.value)
    assert server.seen == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("fetcher", [Fetcher(timeout=3), Fetcher(allow_private=True, timeout=3)])
@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "[fe80::1]", "224.0.0.1"])
def test_metadata_and_the_like_are_refused_even_when_private_is_allowed(fetcher: Fetcher, host: str) -> None:
    with pytest.raises(LinkRefused, match="not a public one"):
        fetcher.fetch_bytes(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.com/a", "gopher://x", "http://", "//host/x", "http://a:b@example.com/",
     "http://[::1/", "http://host:99999/", "javascript:1"],
)  # fmt: skip
def test_only_plain_web_links_are_followed(url: str) -> None:
    with pytest.raises(LinkRefused):
        Fetcher().fetch_bytes(url)


def test_an_allowed_origin_is_exact(server: ThreadingHTTPServer, base: str) -> None:
    fetcher = Fetcher(allow_origins=[base])
    assert fetcher.fetch_bytes(f"{base}/picture")
    with pytest.raises(LinkRefused):
        fetcher.fetch_bytes(f"http://localhost:{server.server_port}/picture")
    with pytest.raises(LinkRefused):
        fetcher.fetch_bytes(f"http://127.0.0.1:{server.server_port + 1}/picture")


def test_every_redirect_is_checked_again(server: ThreadingHTTPServer, base: str) -> None:
    fetcher = Fetcher(allow_origins=[base])
    for path in ("inward", "metadata", "file"):
        with pytest.raises(LinkRefused):
            fetcher.fetch_bytes(f"{base}/{path}")
    assert [path for path, _ in server.seen] == ["/inward", "/metadata", "/file"]  # type: ignore[attr-defined]


def test_endless_redirects_end(server: ThreadingHTTPServer, base: str) -> None:
    with pytest.raises(LinkRefused, match="redirects more than 5"):
        allowing().fetch_bytes(f"{base}/notes")
    assert len(server.seen) == 6  # type: ignore[attr-defined]


def test_a_name_that_changes_between_check_and_connection_does_not_help(
    server: ThreadingHTTPServer, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: one look-up per connection, and what was judged is what is connected to."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    asked: list[str] = []
    connected: list[str] = []

    def rebinding(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(NetworkError):
        Fetcher().fetch_bytes(f"http://rebind.test:{server.server_port}/picture")
    assert asked == ["rebind.test"]
    assert connected == ["93.184.216.34"]


def test_no_credentials_cookies_or_proxies_leave(
    server: ThreadingHTTPServer, base: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"  # type: ignore[operator]
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    fetcher = allowing()
    fetcher.fetch_bytes(f"{base}/picture")
    fetcher.fetch_bytes(f"{base}/once")
    for _, headers in server.seen:  # type: ignore[attr-defined]
        assert not {"authorization", "cookie"} & {key.lower() for key in headers}


BAD: list[tuple[str, type[ImgOpenError], str]] = [
    ("missing", ServerError, "404"),
    ("html", PictureError, "picture"),
    ("half", NetworkError, "of 4000 bytes|broke off"),
    ("bomb", PictureError, "pixels"),
    ("gzip", NetworkError, "compressed"),
    ("huge", PictureError, "2048 MiB"),
    ("endless", PictureError, "at most 1 MiB"),
    ("drip", NetworkError, "within 1 seconds"),
    ("slowheader", NetworkError, "within 1 seconds"),
    ("cut", NetworkError, "broke off"),
]


@pytest.mark.parametrize(("path", "kind", "text"), BAD, ids=[row[0] for row in BAD])
def test_bad_answers_end_soon_in_one_clear_error(
    base: str, path: str, kind: type[ImgOpenError], text: str
) -> None:
    start = time.monotonic()
    with pytest.raises(kind, match=text):
        allowing(max_bytes=2**20, timeout=1.0).fetch_picture(f"{base}/{path}?token=canary")
    assert time.monotonic() - start < 2.5


def test_errors_do_not_repeat_a_signed_query(base: str) -> None:
    with pytest.raises(ServerError) as caught:
        allowing().fetch_bytes(f"{base}/missing?X-Amz-Signature=canary&token=canary")
    assert "canary" not in str(caught.value)


def test_silence_and_closed_ports_are_network_errors() -> None:
    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen()
        with pytest.raises(NetworkError, match=r"within|silent"):
            allowing(timeout=0.4).fetch_bytes(f"http://127.0.0.1:{quiet.getsockname()[1]}/")
        port = quiet.getsockname()[1]
    with pytest.raises(NetworkError, match="No connection"):
        allowing().fetch_bytes(f"http://127.0.0.1:{port}/")


def test_a_fetch_can_be_cancelled(base: str) -> None:
    calls: Callable[[], bool] = iter([False, False, True]).__next__
    with pytest.raises(Cancelled):
        allowing().fetch_bytes(f"{base}/drip", cancelled=calls)
