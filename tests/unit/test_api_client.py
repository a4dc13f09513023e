"""The client below the engine: where keys go, what answers mean, what is certain about a broken call."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from img_open.api import transport
from img_open.api.client import Client
from img_open.api.profiles import Profile, profile_for_url
from img_open.api.retry import Backoff, interruptible, repeat, retry_after_s, wait
from img_open.api.transport import Reply, Timeouts, Transport, read_envelope
from img_open.base import errors
from img_open.base.errors import (
    Busy,
    Cancelled,
    ImgOpenError,
    InvalidRequest,
    NetworkError,
    ServerError,
    TaskUncertain,
    Unauthorized,
    Unsupported,
)

GOOD = {"code": "200", "msg": "success", "data": {"task_id": "t1"}}


class Peer:
    """A socket that answers each connection with fixed bytes and remembers what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(5)
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += connection.recv(65536)
                    head, _, rest = data.partition(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    while len(rest) < length:
                        rest += connection.recv(65536)
                    self.received.append(head + b"\r\n\r\n" + rest)
                    connection.sendall(self.answer)

    def close(self) -> None:
        self._socket.close()


def http(body: object, status: str = "200 OK", **headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


@pytest.fixture
def peer() -> Iterator[Callable[[bytes], Peer]]:
    peers: list[Peer] = []

    def make(answer: bytes) -> Peer:
        peers.append(Peer(answer))
        return peers[-1]

    yield make
    for one in peers:
        one.close()


def client_for(peer: Peer, **settings: Any) -> Client:
    profile = Profile("test", f"http://127.0.0.1:{peer.port}", "the-key-id", "the-secret", **settings)
    return Client(profile, timeouts=Timeouts(1.0, 1.0, 3.0), backoff=Backoff(0.01, 0.02, attempts=2))


def test_a_call_carries_both_headers_and_json(peer: Callable[[bytes], Peer]) -> None:
    one = peer(http(GOOD))
    assert client_for(one).call("/AIGCImgOpenServ/saas/any/path", {"prompt": "灯塔"}) == GOOD
    sent = one.received[0].decode()
    assert sent.startswith("POST /AIGCImgOpenServ/saas/any/path HTTP/1.1")
    assert "X-Request-req-accessKeyId: the-key-id" in sent
    assert "X-Request-req-accessKeySecret: the-secret" in sent
    assert '{"prompt":"灯塔"}' in sent


def test_keys_of_a_netrc_are_not_sent(
    peer: Callable[[bytes], Peer], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hidden")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    one = peer(http(GOOD))
    # As for a far server, where the environment (proxies, certificates) counts.
    monkeypatch.setattr(Profile, "is_loopback", False)
    monkeypatch.setattr("img_open.api.profiles._check", lambda profile: None)
    client_for(one).call("/x", {})
    assert b"Authorization" not in one.received[0]


@pytest.mark.parametrize(
    "path", ["//evil.example.com/x", "http://e.com", "/a/../../b", "/a b", "x", "/\r\nHost: evil", "/a?b=c"]
)
def test_a_path_cannot_lead_to_another_host(path: str) -> None:
    with pytest.raises(InvalidRequest, match="path is"):
        Transport(profile_for_url("http://127.0.0.1:1")).post(path, {})


def test_redirects_are_not_followed(peer: Callable[[bytes], Peer]) -> None:
    target = peer(http(GOOD))
    one = peer(http(b"", "307 Temporary Redirect", Location=f"http://127.0.0.1:{target.port}/x"))
    with pytest.raises(ServerError, match="redirects"):
        client_for(one).call("/x", {})
    assert target.received == []


def test_values_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        Transport(profile_for_url("http://127.0.0.1:1")).post("/x", {"a": float("nan")})


# --- what answers mean --------------------------------------------------------------------------------


def reply(status: int, body: object, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def no(code: str = "400", msg: str = "no", data: object = None) -> dict[str, object]:
    return {"code": code, "msg": msg, "data": data}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply(200, no()), ServerError, "code 400"),
        (reply(200, no("96", "odd")), ServerError, "code 96.*odd"),
        (reply(200, no("429", "later")), Busy, "later"),
        (reply(200, no("401", "who")), Unauthorized, "who"),
        (reply(200, b""), NetworkError, "empty"),
        (reply(200, b'{"code": "200", "da'), NetworkError, "not the JSON"),
        (reply(200, [1]), NetworkError, "not the JSON"),
        (reply(200, {"data": 1}), NetworkError, "not the JSON"),
        (reply(200, b"\xff\xfe\x00"), NetworkError, "not the JSON"),
        (reply(200, b"[" * 100_000), NetworkError, "not the JSON"),
        (reply(200, b"<html><title>Log in</title>"), NetworkError, "HTML page titled 'Log in'"),
        (reply(400, no(msg="width")), InvalidRequest, "width"),
        (reply(409, no()), InvalidRequest, "HTTP 409"),
        (reply(413, b"too large"), InvalidRequest, "smaller pictures"),
        (reply(401, b""), Unauthorized, "access key"),
        (reply(403, no()), Unauthorized, "HTTP 403"),
        (reply(404, no()), ServerError, "HTTP 404"),
        (reply(429, b""), Busy, "HTTP 429"),
        (reply(503, b"", Retry_After="7"), Busy, "503"),
        (reply(503, b""), ServerError, "503"),
        (reply(500, no("200", "lies")), ServerError, "HTTP 500"),
        (reply(302, b"", Location="https://x.example.com/?token=abc"), ServerError, r"\?\*\*\*"),
    ],
)
def test_each_answer_has_its_error(answer: Reply, kind: type[ImgOpenError], words: str) -> None:
    with pytest.raises(ImgOpenError, match=words) as caught:
        read_envelope(answer, "the call")
    assert type(caught.value) is kind


def test_success_is_the_text_200_and_a_number_is_forgiven() -> None:
    assert read_envelope(reply(200, GOOD), "x") == GOOD
    assert read_envelope(reply(200, {**GOOD, "code": 200}), "x")["code"] == 200


def test_the_servers_words_are_scrubbed() -> None:
    with pytest.raises(ServerError) as caught:
        read_envelope(reply(200, no(msg="see https://e.com/x?X-Amz-Signature=abcdef")), "x")
    assert "abcdef" not in str(caught.value)


def test_a_gateways_field_reaches_the_details() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope(reply(400, no(data={"error": "invalid_request", "field": "steps"})), "x")
    assert caught.value.details["field"] == "steps"
    assert caught.value.details["server_error"] == "invalid_request"


# --- what is certain about a broken submit ------------------------------------------------------------


def test_refused_connections_and_unknown_names_are_certainly_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    closed = Client(profile_for_url(f"http://127.0.0.1:{port}"), timeouts=Timeouts(1, 1, 3))
    unknown = Client(Profile("far", "https://no-such-host.invalid", "idid", "secretsecret"))
    for client in (closed, unknown):
        with pytest.raises(NetworkError, match="Nothing was sent") as caught:
            client.submit("sd_text2image_v2", {"prompt": "x"}, task_id="t1")
        assert caught.value.details["sent"] is False


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        http(GOOD)[:-10],
        http(b"<html>oops", "502 Bad Gateway"),
        http(b"<html>log in"),
        http(b'{"code": "200", "da'),
    ],
)
def test_a_submit_without_an_answer_is_uncertain_and_carries_the_id(
    answer: bytes, peer: Callable[[bytes], Peer]
) -> None:
    one = peer(answer)
    with pytest.raises(TaskUncertain, match="t1") as caught:
        client_for(one).submit("sd_text2image_v2", {"alwayson_scripts": {"id_task": "t1"}})
    assert caught.value.details["task_id"] == "t1"
    assert len(one.received) == 1, "a submit is never repeated blindly"


def test_a_submit_that_is_refused_is_not_uncertain(peer: Callable[[bytes], Peer]) -> None:
    for answer, kind in (
        (http(no(), "400 Bad Request"), InvalidRequest),
        (http(no(), "500 Oops"), ServerError),
        (http(b"", "503 Busy", Retry_After="3"), Busy),
    ):
        one = peer(answer)
        with pytest.raises(ImgOpenError) as caught:
            client_for(one).submit("sd_text2image_v2", {"businessTaskId": "t1"})
        assert type(caught.value) is kind
        assert len(one.received) == 1
    assert caught.value.details["retry_after_s"] == 3.0


def test_the_reply_names_the_id_or_ours_counts(peer: Callable[[bytes], Peer]) -> None:
    assert client_for(peer(http(GOOD))).submit("sd_text2image_v2", {}, task_id="ours") == "t1"
    silent = http({"code": "200", "msg": "", "data": None})
    assert client_for(peer(silent)).submit("sd_text2image_v2", {}, task_id="ours") == "ours"


@pytest.mark.parametrize("named", ["\ud800", "x" * 100_000, " t1", "a\nb"])
def test_an_id_that_cannot_be_asked_by_is_not_taken_over(named: str, peer: Callable[[bytes], Peer]) -> None:
    odd = http({"code": "200", "msg": "", "data": {"task_id": named}})
    assert client_for(peer(odd)).submit("sd_text2image_v2", {}, task_id="ours") == "ours"


def test_questions_are_repeated_and_read(peer: Callable[[bytes], Peer]) -> None:
    flaky = peer(http(b"<html>", "502 Bad Gateway"))
    with pytest.raises(ServerError, match="502"):
        client_for(flaky).task_info("t1")
    assert len(flaky.received) == 2
    good = peer(http({"code": "200", "msg": "", "data": {"id_task": "t1", "status": "2", "new": 1}}))
    assert client_for(good).task_info("t1").status == 2
    assert b'{"businessTaskId":"t1"}' in good.received[0]
    assert b"POST /AIGCImgOpenServ/saas/sd/v2/queryTaskInfo" in good.received[0]
    client_for(good).task_info("t1", archived=True)
    assert b"POST /AIGCImgOpenServ/saas/sd/queryTaskInfo" in good.received[1]
    client_for(good).tool_task("cnt/preview", "t1")
    assert b"POST /AIGCImgOpenServ/saas/tool/cnt/preview/queryTask" in good.received[2]


def test_answers_of_another_shape_name_the_fields(peer: Callable[[bytes], Peer]) -> None:
    odd = peer(http({"code": "200", "msg": "", "data": {"status": "two", "differentialImageRspList": 7}}))
    with pytest.raises(ServerError, match="status") as caught:
        client_for(odd).task_info("t1")
    assert "differentialImageRspList" in str(caught.value)
    with pytest.raises(ServerError, match="no data object"):
        client_for(peer(http({"code": "200", "msg": "", "data": None}))).task_info("t1")


def test_the_model_list_and_the_preview(peer: Callable[[bytes], Peer]) -> None:
    rows = peer(http({"code": "200", "data": {"rows": [{"sdModelCheckpoint": "a.safetensors"}], "total": 1}}))
    assert client_for(rows).model_list(2, 10, name="a").rows[0].checkpoint == "a.safetensors"
    assert b'{"pageSize":10,"pageNum":2,"sdModelName":"a"}' in rows.received[0]
    preview = peer(http(GOOD))
    assert client_for(preview).cnt_preview("b1", "https://e.com/a.png", "canny") == "t1"
    assert b'"preprocessor":"canny"' in preview.received[0]


def test_the_cloud_has_no_cancel(peer: Callable[[bytes], Peer]) -> None:
    with pytest.raises(Unsupported):
        client_for(peer(http(GOOD)), dialect="cloud").cancel("t1")
    gateway = peer(http({"code": "200", "data": {"id_task": "t1", "status": -1, "desc": "cancelled"}}))
    assert client_for(gateway, dialect="gateway").cancel("t1").status == -1
    assert b"POST /AIGCImgOpenServ/saas/sd/v2/cancelTask" in gateway.received[0]


def test_an_answer_that_is_too_large_is_dropped(
    peer: Callable[[bytes], Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "REPLY_MOST_BYTES", 1000)
    with pytest.raises(NetworkError, match="larger than"):
        client_for(peer(http(b"x" * 2000))).call("/x", {})


# --- waiting ------------------------------------------------------------------------------------------


def test_a_stop_ends_a_silent_call_at_once() -> None:
    stop = threading.Event()
    release = threading.Event()
    late: list[int | None] = []

    def silent() -> int:
        release.wait(5)
        return 7

    threading.Timer(0.1, stop.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        interruptible(silent, stop.is_set, bound_s=5, what="a test", abandoned=late.append)
    assert time.monotonic() - start < 0.4
    release.set()
    deadline = time.monotonic() + 2
    while not late and time.monotonic() < deadline:
        time.sleep(0.01)
    assert late == [7]


def test_a_trickling_call_has_a_bound() -> None:
    with pytest.raises(NetworkError, match=r"within 0.2 s"):
        interruptible(lambda: time.sleep(3), bound_s=0.2, what="a test")
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, bound_s=1, what="a test")


def test_waits_are_interruptible() -> None:
    start = time.monotonic()
    with pytest.raises(Cancelled):
        wait(5, lambda: time.monotonic() - start > 0.1)
    assert time.monotonic() - start < 0.4


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "12"}, 12.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "\xb2"}, None),
        (
            {"Retry-After": "Mon, 01 Jan 2024 10:00:09 GMT", "Date": "Mon, 01 Jan 2024 10:00:00 GMT"},
            9.0,
        ),
        ({"Retry-After": "Mon, 01 Jan 2024 09:00:00 GMT", "Date": "Mon, 01 Jan 2024 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 01 Jan 2024 10:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_by_the_servers_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (NetworkError("x"), 3),
        (Busy("x", retry_after_s=0.01), 3),
        (ServerError("x", http_status=502), 3),
        (ServerError("x", http_status=404), 1),
        (InvalidRequest("x"), 1),
        (errors.LinkRefused("x"), 1),
    ],
)
def test_only_what_may_pass_is_repeated(error: ImgOpenError, calls: int) -> None:
    made: list[int] = []

    def call() -> None:
        made.append(1)
        raise error

    with pytest.raises(type(error)):
        repeat(call, Backoff(0.001, 0.002, attempts=3))
    assert len(made) == calls


def test_pauses_grow_to_a_limit_with_jitter() -> None:
    backoff = Backoff(first_s=1, most_s=4, factor=2, jitter=0.25)
    for attempt, plain in enumerate((1, 2, 4, 4)):
        pauses = [backoff.pause(attempt) for _ in range(50)]
        assert all(0.75 * plain <= pause <= 1.25 * plain for pause in pauses)
        assert len(set(pauses)) > 10
    assert backoff.pause(10**6) <= 5
