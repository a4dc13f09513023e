"""Pictures in a bucket, against a real S3 server process (moto's) on loopback."""

from __future__ import annotations

import datetime
import importlib.util
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from img_open.base.errors import NetworkError, ProfileError
from img_open.storage.s3 import S3Linker, S3Options

# Looked up, not imported: moto alone takes seconds.
if importlib.util.find_spec("boto3") is None or importlib.util.find_spec("moto") is None:
    pytest.skip("needs boto3 and moto[server,s3]", allow_module_level=True)


class Counting:
    """A proxy in front of the storage that writes down what passes."""

    def __init__(self, upstream: str) -> None:
        self.calls: list[tuple[str, int]] = []
        self.date: Callable[[], str] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def relay(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = requests.request(
                    self.command, upstream + self.path, data=body, headers=dict(self.headers), timeout=10
                )
                outer.calls.append((self.command, len(body)))
                self.send_response_only(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in ("date", "transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                self.send_header(
                    "Content-Length", str(len(answer.content)) if self.command != "HEAD" else "0"
                )
                self.send_header("Date", outer.date() if outer.date else self.date_time_string())
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_HEAD = do_PUT = relay

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def uploads(self) -> list[int]:
        return [size for method, size in self.calls if method == "PUT"]


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            requests.put(f"{url}/pictures", timeout=5)
            break
        except requests.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield url
    process.kill()
    process.wait()


@pytest.fixture
def proxy(storage: str) -> Iterator[Counting]:
    made = Counting(storage)
    yield made
    made.server.shutdown()
    made.server.server_close()


def linker(url: str, **changes: object) -> S3Linker:
    options = {
        "bucket": "pictures", "endpoint_url": url, "region": "us-east-1", "path_style": True,
        "access_key_id": "canary-id", "secret_access_key": "canary-secret", **changes,
    }  # fmt: skip
    return S3Linker(S3Options.from_mapping(options))


def test_a_picture_goes_up_and_its_link_works_without_a_login(proxy: Counting) -> None:
    link = linker(proxy.url).link_for(b"first picture", "image/png")
    response = requests.get(link, timeout=5)
    assert (response.status_code, response.content) == (200, b"first picture")
    assert response.headers["Content-Type"] == "image/png"
    assert "X-Amz-Expires=86400" in link
    assert "canary-secret" not in link


def test_ten_tasks_with_one_picture_upload_it_once(proxy: Counting) -> None:
    data = b"shared picture " * 1000
    shared = linker(proxy.url)
    with ThreadPoolExecutor(8) as pool:
        links = list(pool.map(lambda _: shared.link_for(data, "image/png"), range(10)))
    linker(proxy.url).link_for(data, "image/png")  # another process finds it too
    assert proxy.uploads() == [len(data)]
    assert len({link.split("?")[0] for link in links}) == 1
    assert requests.get(links[-1], timeout=5).content == data


def test_a_missing_bucket_is_told(proxy: Counting) -> None:
    with pytest.raises(ProfileError, match="no bucket 'elsewhere'"):
        linker(proxy.url, bucket="elsewhere").link_for(b"x", "image/png")


@pytest.mark.parametrize("minutes", [-30, 45])
def test_a_wrong_clock_is_told_before_a_dead_link_is_made(proxy: Counting, minutes: int) -> None:
    shifted = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)
    proxy.date = lambda: shifted.strftime("%a, %d %b %Y %H:%M:%S GMT")
    with pytest.raises(ProfileError, match="ahead" if minutes > 0 else "behind"):
        linker(proxy.url).link_for(b"clock", "image/png")
    assert proxy.uploads() == []


class Denying(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)) if self.command == "PUT" else "0")
        self.end_headers()
        if self.command == "PUT":
            self.wfile.write(body)

    do_HEAD = do_PUT


def test_a_bucket_without_rights_is_told() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Denying)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with pytest.raises(ProfileError, match="does not accept these keys") as caught:
        linker(f"http://127.0.0.1:{server.server_port}").link_for(b"x", "image/png")
    assert "canary" not in str(caught.value)
    server.shutdown()
    server.server_close()


def test_a_storage_that_is_away_is_a_network_error() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(NetworkError, match="does not answer"):
        linker(f"http://127.0.0.1:{port}").link_for(b"x", "image/png")


def test_missing_keys_are_told(storage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ProfileError, match="no keys"):
        linker(storage, access_key_id="", secret_access_key="").link_for(b"x", "image/png")


@pytest.mark.parametrize(
    ("change", "name"),
    [({"bucket": ""}, "bucket"), ({"bucket": 5}, "bucket"), ({"link_seconds": 10**9}, "link_seconds"),
     ({"link_seconds": "1"}, "link_seconds"), ({"endpoint_url": "host:9000"}, "endpoint_url"),
     ({"secret_access_key": ""}, "secret_access_key"), ({"path_style": "yes"}, "path_style")],
)  # fmt: skip
def test_wrong_options_are_named(change: dict, name: str) -> None:
    with pytest.raises(ProfileError, match=name) as caught:
        linker("http://127.0.0.1:1", **change)
    assert "canary" not in str(caught.value)


def test_options_do_not_show_their_secret() -> None:
    options = S3Options(bucket="b", access_key_id="canary-id", secret_access_key="canary-secret")
    assert "canary" not in repr(options)
