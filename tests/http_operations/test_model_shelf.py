"""The model browser's lists and covers, fetched from a real server process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from img_open.api.models import ModelRow
from img_open.api.profiles import Profile, load_profile, remove_profile, save_profile
from img_open.base.errors import LinkRefused, PictureError, ServerError
from img_open.engines.model_shelf import Entry, Shelf, _entry, fetch_entries
from img_open.nodes import web_models
from img_open.nodes.web_guard import guarded

SCRIPT = Path(__file__).parents[1] / "browser" / "model_server.py"


class Shop:
    """The server of tests/browser/model_server.py."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, str(SCRIPT), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def set(self, **settings: Any) -> None:
        data = json.dumps(settings).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_set", data), timeout=10).close()

    def questions(self) -> list[dict[str, Any]]:
        """The bodies of the list's questions."""
        with urllib.request.urlopen(f"{self.url}/_ledger", timeout=10) as answer:
            lines = [line for line in json.loads(answer.read()) if "queryModelList" in line]
        return [json.loads(line.partition(" ")[2]) for line in lines]


@pytest.fixture(scope="module")
def server() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.process.kill()
    shop.process.wait(10)
    assert shop.process.stdout is not None
    shop.process.stdout.close()


@pytest.fixture
def shop(server: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The server as profile `shop` (a cloud) and `hut` (a gateway), nothing remembered of other tests."""
    monkeypatch.setenv("IMG_OPEN_HOME", str(tmp_path))
    for name, dialect in (("shop", "cloud"), ("hut", "gateway")):
        save_profile(Profile(name, server.url, dialect=dialect))
    for kept in (web_models.shelf, web_models.covers):
        kept.cache_clear()
    yield server
    server.set(fault="", pause=0.0, copies=1)


def everything(profile: str) -> list[Entry]:
    return [entry for batch in fetch_entries(load_profile(profile)) for entry in batch.entries]


def test_the_whole_list_of_a_cloud_with_published_fields_alone(shop: Shop) -> None:
    before = len(shop.questions())
    found = everything("shop")
    asked = shop.questions()[before:]
    assert len(found) == 121 + 3
    assert {
        kind: sum(one.kind == kind for one in found) for kind in ("checkpoint", "lora", "controlnet")
    } == {
        "checkpoint": 100,
        "lora": 13,
        "controlnet": 11,
    }
    assert asked == [{"pageSize": 100, "pageNum": page} for page in (1, 2)]
    lora = next(one for one in found if one.kind == "lora")
    assert not lora.name.endswith(".safetensors")
    assert found[0].name.endswith(".safetensors")
    assert (found[0].base, found[0].version, len(found[0].hash)) == ("SD 1.5", "v1", 64)
    assert found[0].cover.startswith(shop.url + "/cover/")


def test_a_gateway_is_asked_type_by_type(shop: Shop) -> None:
    before = len(shop.questions())
    everything("hut")
    kinds = [body["modelType"] for body in shop.questions()[before:]]
    assert list(dict.fromkeys(kinds)) == ["checkpoint", "lora", "vae", "controlnet"]


def test_a_lora_list_that_the_local_catalogue_names(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "catalogue.yaml").write_text(
        "operations:\n- id: query_lora_list\n  path: /AIGCImgOpenServ/saas/sd/v2/someLoraList\n", "utf-8"
    )
    found = everything("shop")
    assert [one.name for one in found[-3:]] == ["stroke-0", "stroke-1", "stroke-2"]
    assert {one.kind for one in found[-3:]} == {"lora"}


def test_what_the_server_says_is_told(shop: Shop) -> None:
    shop.set(fault="500")
    with pytest.raises(ServerError, match="the shelf fell over"):
        Shelf().look(load_profile("shop"))


async def _page(**query: Any) -> dict[str, Any]:
    app = web.Application()
    app.router.add_get("/list", web_models.models_page)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/list", params={"source": "remote", "profile": "shop", **query})
        assert answer.status == 200
        return json.loads(await answer.text())


async def _complete(**query: Any) -> dict[str, Any]:
    until = time.monotonic() + 60
    while (told := await _page(**query))["loading"] and time.monotonic() < until:
        time.sleep(0.05)
    return told


async def test_a_page_says_nothing_of_links(shop: Shop) -> None:
    told = await _complete(size=10, page=2)
    assert (told["found"], told["page"], told["pages"], len(told["rows"])) == (124, 2, 13, 10)
    assert "http" not in json.dumps(told)
    assert {row["cover"] for row in (await _complete(size=24))["rows"]} == {True, False}


async def test_a_removed_or_moved_profile_shows_nothing_of_before(shop: Shop) -> None:
    key = (await _complete(size=1))["rows"][0]["key"]
    app = web.Application()
    app.router.add_get("/list", guarded(web_models.models_page))
    app.router.add_get("/cover", web_models.model_cover)
    wanted = {"source": "remote", "profile": "shop", "key": key}
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/cover", params=wanted)).status == 200
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
        save_profile(Profile("shop", nobody, dialect="cloud"))
        assert (await client.get("/cover", params=wanted)).status == 204
        save_profile(Profile("shop", shop.url, dialect="cloud"))
        assert (await client.get("/cover", params=wanted)).status == 200  # the very list of before
        remove_profile("shop")
        assert (await client.get("/cover", params=wanted)).status == 204
        answer = await client.get("/list", params=wanted)
        assert (answer.status, json.loads(await answer.text())["error"]["code"]) == (400, "bad_profile")


def test_a_cover_link_that_is_none_costs_no_row() -> None:
    rows = [ModelRow(checkpoint="a.ckpt", cover_url=link) for link in ("http://[", "/b.png", " ")]
    made = [_entry(row, "http://127.0.0.1:9") for row in rows]
    assert [one.cover for one in made] == ["", "http://127.0.0.1:9/b.png", ""]


async def test_a_very_long_list_is_searched_by_the_server(shop: Shop) -> None:
    """More rows than are fetched: the last ones are found all the same."""
    shop.set(copies=45)
    told = await _complete(search="no such thing at all")
    assert (told["found"], told["rows"]) == (0, [])
    assert told["missing"] == 121 * 45 + 3 - 5000
    found = await _complete(search="Harbour Light No 44")
    assert "Harbour Light No 44" in [row["title"] for row in found["rows"]]


def test_covers_follow_the_rules_for_links(shop: Shop) -> None:
    shelf, covers = web_models.shelf(), web_models.Covers()
    named = load_profile("shop")
    look = shelf.look(named)
    assert covers.get(named, look.entries[0])[:3] == b"\xff\xd8\xff"
    with pytest.raises(LinkRefused):  # cloud metadata
        covers.get(named, look.entries[7])
    with pytest.raises(PictureError, match="12 MiB"):
        covers.get(named, look.entries[8])
    elsewhere = Entry("x", "x", "checkpoint", cover=look.entries[0].cover.replace("127.0.0.1", "127.0.0.2"))
    with pytest.raises(LinkRefused):  # loopback, but not the profile's own server
        covers.get(named, elsewhere)
