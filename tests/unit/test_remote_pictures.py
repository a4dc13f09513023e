"""Pictures on their way out: side by side, each once, and never in the way of a stop."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from img_open.api.profiles import Profile
from img_open.api.request import Request
from img_open.base.errors import Cancelled, NetworkError
from img_open.engines.remote_pictures import publish
from img_open.storage.pictures import Pictures

PROFILE = Profile(name="here", base_url="http://127.0.0.1:1")


def request_with(links: list[str]) -> Request:
    units = [{"enabled": True, "module": "none", "image_link": link} for link in links]
    return Request.from_wire({"prompt": "a", "alwayson_scripts": {"controlnet": {"args": units}}})


def pictures(count: int) -> tuple[Pictures, list[str]]:
    kept = Pictures()
    return kept, [kept.add(np.full((4, 4, 3), value, np.uint8), "map") for value in range(count)]


class Meeting:
    """A linker whose uploads only come through when two of them are on their way at once."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)
        self.sent: list[bytes] = []

    def link_for(self, data: bytes, mime: str) -> str:
        self.barrier.wait(20)
        self.sent.append(data)
        return f"https://files.example/{hash(data)}.png"


def test_pictures_travel_side_by_side_and_each_once() -> None:
    kept, links = pictures(4)
    linker, told = Meeting(), []
    text = "https://elsewhere.example/a.png"
    request = request_with([*links, links[0], text])
    sent = publish(request, kept, linker, PROFILE, lambda done, total: told.append((done, total)))
    out = [link for _, link in sent.links()]
    assert len(linker.sent) == len(set(linker.sent)) == 4
    assert all(link.startswith("https://files.example/") for link in out[:5])
    assert len(set(out[:4])) == 4
    assert out[4] == out[0]
    assert out[5] == text
    assert told[0] == (0, 4)
    assert sorted(told) == told


def test_a_stop_does_not_wait_for_an_upload_that_hangs() -> None:
    kept, links = pictures(1)
    release, begun = threading.Event(), threading.Event()

    class Hanging:
        def link_for(self, data: bytes, mime: str) -> str:
            begun.set()
            release.wait(60)
            return "https://files.example/late.png"

    def told(done: int, total: int) -> None:
        if begun.is_set():
            raise Cancelled("Stopped.")

    try:
        with pytest.raises(Cancelled):
            publish(request_with(links), kept, Hanging(), PROFILE, told)
        assert not release.is_set()  # the upload still hangs, and we are back
    finally:
        release.set()


def test_the_first_error_is_the_answer() -> None:
    kept, links = pictures(3)

    class Broken:
        def link_for(self, data: bytes, mime: str) -> str:
            raise NetworkError("The bucket is gone.")

    with pytest.raises(NetworkError, match="bucket is gone"):
        publish(request_with(links), kept, Broken(), PROFILE, lambda done, total: None)
