"""The listener that serves pictures to the other side, and nothing else to anyone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import requests
from img_open.base.errors import ProfileError
from img_open.storage import served
from img_open.storage.served import ServedLinker, ServedOptions, served_linker


@pytest.fixture
def linker() -> Iterator[ServedLinker]:
    made = ServedLinker(ServedOptions(public_url="https://tunnel.example.com/", port=0))
    yield made
    made.close()


def local(linker: ServedLinker, link: str) -> str:
    return link.replace("https://tunnel.example.com", f"http://127.0.0.1:{linker.port}")


def test_a_picture_is_served_under_the_public_address(linker: ServedLinker) -> None:
    link = linker.link_for(b"picture bytes", "image/png")
    assert link.startswith("https://tunnel.example.com/f/")
    assert len(link.rsplit("/", 1)[1]) >= 43  # 256 bits
    response = requests.get(local(linker, link), timeout=5)
    assert (response.status_code, response.content) == (200, b"picture bytes")
    assert response.headers["Content-Type"] == "image/png"
    head = requests.head(local(linker, link), timeout=5)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", "13")


def test_the_same_picture_keeps_its_link_and_others_get_their_own(linker: ServedLinker) -> None:
    link = linker.link_for(b"a", "image/png")
    assert linker.link_for(b"a", "image/png") == link
    assert linker.link_for(b"b", "image/png") != link
    assert linker.link_for(b"a", "image/jpeg") != link


@pytest.mark.parametrize(
    "path", ["/", "/f/", "/f", "/f/guess", "/view?filename=a.png", "/f/../../etc/passwd"]
)
def test_nothing_else_is_there(linker: ServedLinker, path: str) -> None:
    linker.link_for(b"a", "image/png")
    response = requests.get(f"http://127.0.0.1:{linker.port}{path}", timeout=5)
    assert (response.status_code, response.content) == (404, b"")
    assert "Python" not in response.headers["Server"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_can_only_be_read(linker: ServedLinker, method: str) -> None:
    link = local(linker, linker.link_for(b"a", "image/png"))
    assert requests.request(method, link, timeout=5).status_code == 501


def test_links_expire(linker: ServedLinker, monkeypatch: pytest.MonkeyPatch) -> None:
    link = linker.link_for(b"a", "image/png")
    start = served.time.monotonic()
    monkeypatch.setattr(served.time, "monotonic", lambda: start + 24 * 3600 + 1)
    assert requests.get(local(linker, link), timeout=5).status_code == 404
    assert linker.link_for(b"a", "image/png") != link


def test_memory_is_bounded(linker: ServedLinker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_MOST_BYTES", 100)
    links = [linker.link_for(bytes([n]) * 40, "image/png") for n in range(4)]
    status = [requests.get(local(linker, link), timeout=5).status_code for link in links]
    assert status == [404, 404, 200, 200]


def test_threads_share_one_listener(linker: ServedLinker) -> None:
    links: list[str] = []
    threads = [
        threading.Thread(target=lambda: links.append(linker.link_for(b"x", "image/png"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(links)) == 1


def test_one_linker_per_address_in_a_process() -> None:
    options = ServedOptions.from_mapping({"public_url": "https://a.example.com", "port": 0, "photo": "jpeg"})
    assert served_linker(options) is served_linker(options)


def test_a_taken_port_is_told(linker: ServedLinker) -> None:
    linker.link_for(b"a", "image/png")
    second = ServedLinker(ServedOptions(public_url="https://x.example.com", port=linker.port))
    with pytest.raises(ProfileError, match=str(linker.port)):
        second.link_for(b"a", "image/png")


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "public_url"), ({"public_url": "tunnel"}, "public_url"), ({"public_url": 5}, "public_url"),
     ({"public_url": "https://x", "port": "80"}, "port"),
     ({"public_url": "https://x", "port": 70000}, "port"),
     ({"public_url": "https://x", "link_seconds": 1}, "link_seconds")],
)  # fmt: skip
def test_wrong_options_are_named(options: dict, name: str) -> None:
    with pytest.raises(ProfileError, match=name):
        ServedOptions.from_mapping(options)
