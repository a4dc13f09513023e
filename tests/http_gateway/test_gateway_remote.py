"""The pack's own remote engine against the gateway: both sides of the dialect mean the same."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from img_open.api.journal import Journal
from img_open.api.profiles import Profile
from img_open.api.request import Request
from img_open.base.errors import Cancelled, TaskFailed, Unauthorized
from img_open.engines.remote import RemoteEngine
from img_open.storage.pictures import Pictures


@pytest.fixture
def engine(server, tmp_path: Path) -> RemoteEngine:
    profile = Profile(name="here", base_url=server.url, storage="inline", dialect="gateway", poll_s=0.05)
    return RemoteEngine(profile, Journal(tmp_path / "journal.sqlite3"))


def test_a_request_with_local_pictures_comes_back_as_pictures(engine, body) -> None:
    pictures = Pictures()
    link = pictures.add(np.full((24, 32, 3), 99, np.uint8))
    unit = {"enabled": True, "module": "none", "model": "canny", "image_link": link}
    request = Request.from_wire(
        body("remote-1", seed=40, batch_size=2, steps=30, restore_faces=True, controlnet={"args": [unit]})
    )
    seen = []
    result = engine.run(request, pictures=pictures, progress=seen.append)
    assert result.seeds == [40, 41]
    assert [image.shape for image in result.images] == [(48, 64, 3)] * 2
    assert [int(image[0, 0, 0]) for image in result.images] == [40, 41]
    assert "restore_faces" in [info.field for info in result.infos]
    assert result.control_images[0].shape == (8, 8, 3)
    assert any(report.preview is not None for report in seen)
    fractions = [report.fraction for report in seen]
    assert fractions == sorted(fractions)


def test_cancel_reaches_the_server(engine, server, body) -> None:
    stop = threading.Event()
    request = Request.from_wire(body("remote-2", steps=140))
    ids = []

    def progress(report) -> None:
        if report.preview is not None:
            stop.set()

    with pytest.raises(Cancelled) as caught:
        engine.run(request, progress=progress, cancelled=stop.is_set)
    ids = [line for line in server.ledger.read_text().split() if line]
    task_id = str(caught.value.details.get("task_id") or ids[-1])
    assert server.wait(task_id)["desc"] == "cancelled"


def test_a_failed_task_says_why(engine, body) -> None:
    request = Request.from_wire(body("remote-3", image_link="http://169.254.169.254/latest/"))
    with pytest.raises(TaskFailed, match="not a public one"):
        engine.run(request)


def test_a_wrong_key_is_told(launch, keys_file: Path, tmp_path: Path, body) -> None:
    server = launch("--keys", str(keys_file))
    profile = Profile(
        name="locked", base_url=server.url, storage="inline", dialect="gateway",
        access_key_id="alice", access_key_secret="wrong-secret",
    )  # fmt: skip
    engine = RemoteEngine(profile, Journal(tmp_path / "journal.sqlite3"))
    with pytest.raises(Unauthorized) as caught:
        engine.run(Request.from_wire(body("remote-4")))
    assert "wrong-secret" not in str(caught.value)
    server.kill()
