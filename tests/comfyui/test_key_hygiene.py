"""A canary key goes to its own server and nowhere else: files, routes, logs, pictures and errors."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_host import Host
from graphs import Graph, node, write_picture
from img_open.api.profiles import Profile, save_profile

from ..http_operations.conftest import ToolServer

KEY_ID = "canary-id-1f0c72b9"
SECRET = "canary-secret-c3d94e60aa"
ROUTES = (
    "/history",
    "/queue",
    "/object_info",
    "/settings",
    "/img_open/models",
    "/img_open/models/list",
    "/img_open/models/list?source=remote&profile=locked",
    "/img_open/profiles",
    "/img_open/tasks",
)


@pytest.fixture(scope="module")
def locked(host: Host, base: Path) -> Iterator[ToolServer]:
    """A server that wants the canary key, and the profile `locked` that has it."""
    server = ToolServer(base / "locked.json", dialect="gateway", key=SECRET)
    before = os.environ.get("IMG_OPEN_HOME")
    os.environ["IMG_OPEN_HOME"] = str(base / "img-open-home")
    try:
        save_profile(Profile("locked", server.url, KEY_ID, SECRET))
        write_picture(host.base / "input" / "photo.png", 96, 80)
        yield server
    finally:
        server.stop()
        if before is None:
            del os.environ["IMG_OPEN_HOME"]
        else:
            os.environ["IMG_OPEN_HOME"] = before


def wanted(**inputs: Any) -> Graph:
    """A tool, a request and a plain call, all with the key, and what they bring back as files and texts."""
    usual: dict[str, Any] = {
        "profile": "locked", "imageCount": 1, "verticalExpansionRatio": 1.5, "horizontalExpansionRatio": 1.5,
        "prompt": f"a lighthouse named {SECRET}",
    }  # fmt: skip
    return {
        "load": node("LoadImage", image="photo.png"),
        "tool": node("ImgOpenApiImgExpand", sourceImage=["load", 0], **{**usual, **inputs}),
        "save": node("SaveImage", images=["tool", 0], filename_prefix="hygiene"),
        "answer": node("PreviewAny", source=["tool", 2]),
        "send": node("ImgOpenSubmitAsync", profile="locked", prompt="x", sd_model_checkpoint="demo", seed=3),
        "collect": node("ImgOpenCollect", tasks=["send", 0]),
        "report": node("PreviewAny", source=["collect", 3]),
        "call": node("ImgOpenApiCall", profile="locked", path="tool/echo", body="{}"),
        "echo": node("PreviewAny", source=["call", 0]),
    }


def seen_by_others(host: Host) -> dict[str, bytes]:
    """Everything people, pages and other programs can read of the host, by where it was found."""
    found: dict[str, bytes] = {}
    for route in ROUTES:
        with urllib.request.urlopen(host.url + route, timeout=30) as answer:
            found[route] = answer.read()
    for path in host.base.rglob("*"):
        if path.is_file() and path.name != "profiles.json" and path.suffix != ".safetensors":
            found[str(path.relative_to(host.base))] = path.read_bytes()
    return found


def test_the_key_is_nowhere(host: Host, locked: ToolServer) -> None:
    graph = wanted()
    # The prompt itself carries the secret as a word, as people paste things: it is not ours to hide there, so
    # it is left out of what the host is given. Everything else must be clean.
    graph["tool"]["inputs"]["prompt"] = "a lighthouse"
    locked.script(query=["echo"])  # a server that answers with the headers it was sent
    prompt_id = host.queue(graph)
    live = json.dumps(host.get("/queue"))
    result = host.wait(prompt_id)
    assert result.status == "success", result.error
    texts = [live, json.dumps(result.messages), json.dumps(result.outputs)]
    for fault in ("echo", "500-envelope", "cut", "html", "redirect", "envelope-400"):
        locked.script(submit=[fault])
        failed = host.run(wanted(prompt=f"fault {fault}"))
        texts += [failed.error, json.dumps(failed.messages)]
    assert any(texts[3:]), "no fault was reported"
    found = {**seen_by_others(host), "messages": "\n".join(texts).encode()}
    assert b"img-open" in found["server.log"].lower()
    assert any(name.endswith(".png") and b"ImgOpenApiImgExpand" in data for name, data in found.items())
    assert any("tasks.sqlite" in name for name in found)
    hits = [(name, key) for name, data in found.items() for key in (KEY_ID, SECRET) if key.encode() in data]
    assert not hits
    ledger = locked.ledger()
    assert ledger["key_leaks"] == []  # none with the downloads
    assert ledger["intranet"] == []  # none after a redirect
    assert ledger["tasks"], "the key was never used: the search proves nothing"


def test_the_profile_file_is_the_owners_alone(host: Host, locked: ToolServer) -> None:
    path = host.base / "img-open-home" / "profiles.json"
    assert SECRET in path.read_text("utf-8")
    assert path.stat().st_mode & 0o077 == 0
