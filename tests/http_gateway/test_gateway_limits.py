"""Callers that send half a request, too much, or text that is none; and the silence they may keep."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path

import pytest
from aiohttp import web
from img_open.base.errors import Busy
from img_open.gateway import bodies, door
from img_open.gateway.settings import Settings

PREFIX = "/AIGCImgOpenServ/saas"
TEXT = "/sd/v2/text2image"
IMAGE = "/sd/v2/image2image"
CONTROL = "/sd/v2/controlnet"
QUERY = "/sd/v2/queryTaskInfo"
PREVIEW = "/tool/cnt/preview"
HALF = "half \ud800 a character"


def connect(server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def head(length: int, path: str = TEXT) -> bytes:
    return f"POST {PREFIX}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


def test_half_a_character_is_refused_by_its_field(server, body) -> None:
    unit = {"enabled": True, "image_link": HALF}
    cases = [
        (QUERY, {"businessTaskId": HALF}, "businessTaskId"),
        ("/sd/queryTaskInfo", {"businessTaskId": HALF}, "businessTaskId"),
        ("/sd/v2/cancelTask", {"businessTaskId": HALF}, "businessTaskId"),
        (PREVIEW + "/queryTask", {"businessTaskId": HALF}, "businessTaskId"),
        (TEXT, body(HALF), "alwayson_scripts.id_task"),
        (TEXT, body("half-prompt", prompt=HALF), "prompt"),
        (IMAGE, body("half-link", image_link="http://127.0.0.1/\ud800"), "alwayson_scripts.image_link"),
        (CONTROL, body("half-unit", controlnet={"args": [unit]}), "controlnet.args[0].image_link"),
        (PREVIEW, {"businessTaskId": "half", "sourceImage": HALF, "preprocessor": "canny"}, "sourceImage"),
        (TEXT, {**body("half-key"), HALF: 1}, "body"),
    ]
    for path, sent, field in cases:
        envelope = server.refused(400, path, sent)
        assert envelope["data"]["field"].endswith(field), envelope
    for name in ("half-prompt", "half-link", "half-unit"):
        server.refused(404, QUERY, {"businessTaskId": name})


def test_whole_characters_beyond_the_first_plane_are_welcome(server, body) -> None:
    sent = json.dumps(body("lantern \U0001f3ee", prompt="\U0001f3ee"), ensure_ascii=True)
    assert "\\ud83c" in sent
    assert server.session.post(server.url + PREFIX + TEXT, data=sent, timeout=10).status_code == 200
    assert server.wait("lantern \U0001f3ee")["status"] == 2


def test_a_blank_id_is_refused_before_it_is_a_task_nobody_can_ask_for(server, body) -> None:
    for blank in (" ", "\t\n"):
        assert server.refused(400, TEXT, body(blank))["data"]["field"].endswith("id_task")
    assert server.post(TEXT, body(""))["task_id"].strip()


@pytest.mark.parametrize("unit", [b"{},", b"[],", b"1,"])
def test_millions_of_values_are_refused_without_reading_them(server, unit: bytes) -> None:
    data = b'{"prompt": "x", "many": [' + unit * 2_000_000 + b"1]}"
    start = time.monotonic()
    response = server.session.post(server.url + PREFIX + TEXT, data=data, timeout=20)
    assert (response.status_code, response.json()["data"]["field"]) == (400, "body")
    assert time.monotonic() - start < 10


def test_a_question_is_no_place_for_pictures(server) -> None:
    sent = {"businessTaskId": "x", "image": "A" * 2_000_000}
    for path in (QUERY, "/sd/v2/queryModelList", "/sd/v2/cancelTask"):
        assert server.refused(413, path, sent)["data"]["error"] == "body_too_large"


@pytest.mark.parametrize("path", [PREVIEW, QUERY, TEXT, "/sd/v2/queryModelList"])
@pytest.mark.parametrize("levels", [40, 800, 5000])
def test_deep_nesting_is_refused_everywhere(server, path: str, levels: int) -> None:
    data = b'{"businessTaskId": "deep", "sourceImage": "data:,", "preprocessor": "canny", "x": '
    data += b"[" * levels + b"]" * levels + b"}"
    response = server.session.post(server.url + PREFIX + path, data=data, timeout=10)
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("link", ["/etc/passwd", "nosuchpicture", "/etc/ssh/sshd"])
def test_a_path_is_called_what_it_is(server, body, link: str) -> None:
    name = f"path {link}"
    server.post(IMAGE, body(name, image_link=link))
    desc = server.wait(name)["desc"]
    assert "names a file that does not exist or may not be read here" in desc
    assert "cannot be read as a picture" not in desc
    server.post(IMAGE, body(f"{name} url", image_link="data:image/png;base64,AAAA"))
    assert server.wait(f"{name} url")["desc"].startswith("The picture inside the request")


def test_half_a_body_is_not_waited_for(launch, body) -> None:
    server = launch("--body-seconds", "1")
    with connect(server) as connection:
        connection.sendall(head(100) + b"{")
        start = time.monotonic()
        answer = connection.recv(65536).decode()
        assert " 408 " in answer
        assert '"error": "body_too_slow"' in answer
        while connection.recv(65536):  # and hangs up
            pass
        assert time.monotonic() - start < 8
    server.post(TEXT, body("after the slow one"))
    assert server.wait("after the slow one")["status"] == 2
    for sent in (head(100) + b"{", b"no HTTP at all\r\n\r\n", head(100)[:40]):
        with connect(server) as connection:
            connection.sendall(sent)
    time.sleep(0.5)
    server.raw(QUERY, {"businessTaskId": "x"})
    assert "Traceback" not in server.log()
    server.kill()


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


def served(tmp_path: Path, check, **settings) -> None:
    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", hello)
        async with door.listening(app, Settings(tmp_path, port=0, **settings)) as port:
            await check(port)

    asyncio.run(main())


def test_silent_connections_are_closed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(door, "_SILENCE_S", 0.5)
    beginnings = [b"", b"GET / HTTP/1.1\r\nHost: x\r\nA:", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]

    async def check(port: int) -> None:
        for beginning in beginnings:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(beginning)
            answer = await asyncio.wait_for(reader.read(), 5)  # until the server hangs up
            assert answer.endswith(b"hello") == beginning.endswith(b"\r\n\r\n")
            writer.close()

    served(tmp_path, check)


def test_no_more_connections_than_allowed(tmp_path) -> None:
    async def check(port: int) -> None:
        held = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await reader.readline()
            held.append(writer)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert b" 503 " in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        held.pop().close()
        await asyncio.sleep(0.2)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 5)
        for each in (writer, *held):
            each.close()

    served(tmp_path, check, connections=3)


class Arriving:
    """The body of a request that comes in many pieces, as fast as it is read."""

    def __init__(self, pieces: int) -> None:
        self.content = self
        self._pieces = pieces

    async def iter_any(self):
        for _ in range(self._pieces):
            await asyncio.sleep(0)
            yield b"x" * 1000


def test_bodies_together_have_a_limit_and_the_first_ones_get_through(monkeypatch) -> None:
    monkeypatch.setattr(bodies, "_HELD_LEAST", 0)  # four bodies of the full size, then
    intake = bodies.Bodies(100_000, 10)

    async def all_at_once() -> None:
        for _ in range(2):  # what was held is given back
            reads = [intake.read_by(Arriving(100), len) for _ in range(8)]  # type: ignore[arg-type]
            answers = await asyncio.gather(*reads, return_exceptions=True)
            assert answers.count(100_000) >= 3
            assert {type(each) for each in answers} == {int, Busy}

    asyncio.run(all_at_once())
