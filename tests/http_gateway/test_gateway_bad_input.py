"""Everything a client can get wrong: one clear answer, soon, and the server goes on."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

PREFIX = "/AIGCImgOpenServ/saas"
TEXT = "/sd/v2/text2image"
IMAGE = "/sd/v2/image2image"
CONTROL = "/sd/v2/controlnet"
QUERY = "/sd/v2/queryTaskInfo"

WRONG: list[tuple[str, str, dict, str]] = [
    ("steps-text", TEXT, {"steps": "many"}, "steps"),
    ("width-list", TEXT, {"width": [64]}, "width"),
    ("prompt-number", TEXT, {"prompt": 5}, "prompt"),
    ("seed-text", TEXT, {"seed": "lucky"}, "seed"),
    ("cfg-null-text", TEXT, {"cfg_scale": "x"}, "cfg_scale"),
    ("scripts-list", TEXT, {"alwayson_scripts": []}, "alwayson_scripts"),
    ("units-text", CONTROL, {"controlnet": {"args": "canny"}}, "controlnet"),
    ("unit-weight", CONTROL, {"controlnet": {"args": [{"weight": "heavy", "enabled": True}]}}, "weight"),
    ("no-image", IMAGE, {}, "image_link"),
    ("image-for-text", TEXT, {"image_link": "https://example.com/a.png"}, "image_link"),
    ("too-wide", TEXT, {"width": 8192}, "width"),
    ("too-many", TEXT, {"n_iter": 100, "batch_size": 100}, "n_iter"),
    ("too-long", TEXT, {"steps": 5000}, "steps"),
    ("hires-too-wide", TEXT, {"enable_hr": True, "width": 2048, "hr_scale": 4}, "hr_scale"),
]


@pytest.mark.parametrize(("name", "path", "fields", "field"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_fields_are_refused_by_name(
    server, body, name: str, path: str, fields: dict, field: str
) -> None:
    request = body(name)
    request.update({key: value for key, value in fields.items() if key == "alwayson_scripts"})
    if "alwayson_scripts" not in fields:
        request = body(name, **fields)
    envelope = server.refused(400, path, request)
    assert field in envelope["msg"]
    assert field in envelope["data"]["field"]
    server.refused(404, QUERY, {"businessTaskId": name})  # no task was filed


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"prompt": NaN}', b"[" * 100_000,
     b'{"a": ' + b"9" * 6000 + b"}"],
    ids=["empty", "cut", "list", "null", "bytes", "nan", "deep", "long-number"],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(server, data: bytes) -> None:
    for path in (TEXT, QUERY, "/sd/v2/queryModelList", "/tool/cnt/preview"):
        response = server.session.post(server.url + PREFIX + path, data=data, timeout=5)
        assert response.status_code == 400, response.text
        assert response.json()["code"] == "400"


@pytest.mark.parametrize("value", [None, 5, "", ["a"], {"a": 1}, "x" * 5000])
def test_an_id_must_be_a_text(server, value: object) -> None:
    for path in (QUERY, "/sd/queryTaskInfo", "/sd/v2/cancelTask", "/tool/cnt/preview/queryTask"):
        assert server.refused(400, path, {"businessTaskId": value})["data"]["field"] == "businessTaskId"


def test_unknown_tasks_paths_and_methods_are_told_apart(server) -> None:
    assert server.refused(404, QUERY, {"businessTaskId": "never-was"})["data"]["error"] == "unknown_task"
    assert server.refused(404, "/sd/v9/text2image", {})["data"] is None
    response = server.session.get(server.url + PREFIX + TEXT, timeout=5)
    assert (response.status_code, response.json()["code"]) == (405, "400")


LINKS = [
    ("loopback", "http://127.0.0.1:9/a.png", "not a public one"),
    ("name", "http://localhost:9/a.png", "not a public one"),
    ("metadata", "http://169.254.169.254/latest/meta-data/", "not a public one"),
    ("decimal", "http://2130706433/a.png", "not a public one"),
    ("mapped", "http://[::ffff:127.0.0.1]/a.png", "not a public one"),
    ("file", "file:///etc/passwd", "link"),
    ("path", "/etc/hostname", "base64"),
    ("no-picture", "data:image/png;base64,bm90IGEgcGljdHVyZQ==", "picture"),
    ("no-base64", "data:image/png;base64,***", "base64"),
    ("cut-png", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA", "picture"),
    ("foreign", "picture:00000000000000000000000000000000", "not among the pictures"),
]


@pytest.mark.parametrize(("name", "link", "text"), LINKS, ids=[row[0] for row in LINKS])
def test_a_bad_picture_fails_its_task_with_the_reason(server, body, name: str, link: str, text: str) -> None:
    start = time.monotonic()
    server.post(IMAGE, body(f"link-{name}", image_link=link))
    data = server.wait(f"link-{name}")
    assert data["status"] == -1
    assert text in data["desc"]
    assert "root:" not in json.dumps(data)
    assert time.monotonic() - start < 5


def test_a_body_of_two_gigabytes_is_refused_by_its_header(server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        head = f"POST {PREFIX}{TEXT} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {2 * 1024**3}\r\n\r\n"
        connection.sendall(head.encode() + b"{")
        answer = connection.recv(65536).decode()
    assert " 413 " in answer
    assert '"code": "400"' in answer
    assert "64 MiB" in answer


class HugePicture(BaseHTTPRequestHandler):
    """Says 2 GB, or says nothing and never ends."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        if "header" in self.path:
            self.send_header("Content-Length", str(2 * 1024**3))
        self.end_headers()
        block = b"x" * 65536
        try:
            while True:
                self.wfile.write(block)
        except OSError:
            pass


def test_links_to_private_addresses_where_allowed_still_have_limits(launch, body) -> None:
    pictures = HTTPServer(("127.0.0.1", 0), HugePicture)
    threading.Thread(target=pictures.serve_forever, daemon=True).start()
    server = launch("--allow-private", "--picture-limit", "2", "--fetch-seconds", "5", "--body-limit", "1")
    for kind in ("header", "stream"):
        link = f"http://127.0.0.1:{pictures.server_port}/{kind}.png?token=canary"
        server.post(IMAGE, body(kind, image_link=link))
        data = server.wait(kind)
        assert data["status"] == -1
        assert "at most 2 MiB" in data["desc"]
        assert "canary" not in data["desc"]
    server.post(IMAGE, body("metadata", image_link="http://169.254.169.254/latest/"))
    assert "not a public one" in server.wait("metadata")["desc"]
    a_body_that_never_ends_is_cut(server)
    pictures.shutdown()
    pictures.server_close()
    server.kill()


def a_body_that_never_ends_is_cut(server) -> None:
    def endless():
        while True:
            yield b"x" * 65536

    # Either the answer arrives, or the server hangs up while we are still sending, which is as good.
    with contextlib.suppress(OSError):
        response = server.session.post(server.url + PREFIX + TEXT, data=endless(), timeout=10)
        assert response.status_code == 413
    assert server.session.get(server.url + "/healthz", timeout=5).ok


def test_an_engine_that_breaks_fails_its_task_and_tells_no_secret(server, body) -> None:
    server.post(TEXT, body("broken", prompt="explode"))
    data = server.wait("broken")
    assert data["status"] == -1
    assert "internal error, RuntimeError" in data["desc"]
    assert "canary" not in data["desc"]
    server.post(TEXT, body("empty", prompt="nothing"))
    assert server.wait("empty")["status"] == -1
    server.post(TEXT, body("no-model", sd_model_checkpoint="missing.safetensors"))
    assert "There are: tiny." in server.wait("no-model")["desc"]
    server.post(TEXT, body("after-all"))
    assert server.wait("after-all")["status"] == 2
