"""Other sites, and other names of this machine, do not reach the routes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from img_open.base.errors import ProfileError
from img_open.base.log import register_secret
from img_open.nodes import web_routes
from img_open.nodes.web_guard import HOSTS, body_of, guarded, own_name, refusal, reply
from img_open.preprocessors.describe import describe_modules

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8188", "localhost", "LOCALHOST:1", "[::1]:8188", "192.168.1.7:80"]
)
def test_addresses_and_localhost_are_own_names(host: str) -> None:
    assert own_name(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "["]
)
def test_names_that_strangers_can_arrange_are_not(host: str) -> None:
    assert not own_name(host)
    assert refusal("GET", {"Host": host})


def test_a_proxys_name_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS, "comfy.example, other.example")
    assert own_name("comfy.example:443")


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", {}, True),
        ("GET", {"Sec-Fetch-Site": "none"}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {"Origin": "http://evil.example"}, False),
        ("GET", {"Origin": "null"}, False),
        ("GET", {"Origin": "http://["}, False),
        ("GET", {"Origin": "http://localhost:8188"}, True),
        ("GET", {"Origin": "http://localhost:9999"}, False),
        ("POST", JSON, True),
        ("POST", {**JSON, "Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8188"}, True),
        ("POST", {**JSON, "Sec-Fetch-Site": "same-site"}, False),
        ("POST", {**JSON, "Sec-Fetch-Site": "none"}, False),
        ("POST", {"Content-Type": "text/plain"}, False),
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, False),
        ("POST", {}, False),
        ("DELETE", {}, False),
        ("DELETE", {"Content-Type": "application/json; charset=utf-8"}, True),
    ],
)
def test_only_the_own_page_may_ask(method: str, headers: dict[str, str], allowed: bool) -> None:
    assert (refusal(method, {"Host": "localhost:8188", **headers}) == "") is allowed


async def _call(handler: Any, **options: Any) -> tuple[int, Any]:
    app = web.Application()
    app.router.add_post("/x", guarded(handler))
    async with TestClient(TestServer(app)) as client:
        answer = await client.post("/x", **options)
        return answer.status, json.loads(await answer.text())


async def test_errors_become_json_without_secrets() -> None:
    register_secret("AKCANARY-guard-77ad")

    async def fails(request: web.Request) -> web.Response:
        raise ProfileError("Key AKCANARY-guard-77ad is wrong.", "Do this.")

    async def breaks(request: web.Request) -> web.Response:
        raise RuntimeError("AKCANARY-guard-77ad")

    status, told = await _call(fails, json={})
    assert (status, told["error"]["hint"]) == (400, "Do this.")
    assert "AKCANARY" not in json.dumps(told)
    status, told = await _call(breaks, json={})
    assert status == 500
    assert "AKCANARY" not in json.dumps(told)


async def test_an_origin_that_is_no_address_is_refused() -> None:
    async def never(request: web.Request) -> web.Response:
        return reply({})

    status, told = await _call(never, json={}, headers={"Origin": "http://["})
    assert (status, told["error"]["code"]) == (403, "refused")


async def test_the_open_route_says_nothing_of_this_machine() -> None:
    app = web.Application()
    app.router.add_get("/modules", web_routes.modules)
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/modules")).text()
    here = describe_modules()
    reasons = {entry["reason"] for entry in here if entry["reason"]}
    assert reasons, "some modules lack their weights on a machine for tests"
    assert [reason for reason in reasons if json.dumps(reason, ensure_ascii=False)[1:-1] in text] == []
    assert sys.executable not in text
    assert str(Path(web_routes.__file__).parents[1]) not in text
    wanted = ("name", "label", "aliases", "sliders")
    told = [{name: entry[name] for name in wanted} for entry in json.loads(text)]
    assert told == [{name: entry[name] for name in wanted} for entry in here]


async def test_bodies_are_objects() -> None:
    async def echo(request: web.Request) -> web.Response:
        return reply(await body_of(request))

    assert await _call(echo, json={"a": 1}) == (200, {"a": 1})
    for text in ("[1]", "{", "1"):
        status, told = await _call(echo, data=text, headers=JSON)
        assert (status, told["error"]["code"]) == (400, "invalid_request")
    status, _ = await _call(echo, data="{}", headers={"Content-Type": "text/plain"})
    assert status == 403
