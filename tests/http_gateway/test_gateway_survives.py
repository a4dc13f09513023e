"""Kills, restarts, a full queue, and time passing."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from img_open.base.errors import Busy
from img_open.gateway.answers import UnknownTask
from img_open.gateway.results import Results
from img_open.gateway.tasks import MAX_STARTS, Output, TaskStore

TEXT = "/sd/v2/text2image"
CANCEL = "/sd/v2/cancelTask"


def test_a_killed_server_loses_nothing(launch, body) -> None:
    server = launch()
    server.post(TEXT, body("before"))
    before = server.wait("before")["differentialImageRspList"][0]["image_url"]
    server.post(TEXT, body("running", steps=40, seed=11))
    server.post(TEXT, body("to-cancel", steps=2))
    server.post(TEXT, body("behind", seed=12))
    server.wait("running", lambda data: data["temporaryImageDto"]["stage"] == "sampling")
    server.post(CANCEL, {"businessTaskId": "to-cancel"})
    server.kill()

    server.start()
    assert server.info("before")["status"] == 2
    old_path = before.split("/f/")[1]
    assert (server.picture(f"{server.url}/f/{old_path}")[:, :, 0] == 7).all()  # an old link still works
    for task_id, seed in (("running", 11), ("behind", 12)):
        done = server.wait(task_id)
        assert done["status"] == 2
        url = done["differentialImageRspList"][0]["image_url"]
        assert (server.picture(url)[:, :, 0] == seed).all()
    assert server.info("to-cancel")["status"] == -1
    assert server.runs("running") == 2  # started over, and told so by one result only
    assert server.runs("behind") == 1
    assert server.runs("to-cancel") == 0
    assert server.post(TEXT, body("behind", seed=12)) == {"task_id": "behind"}
    assert server.runs("behind") == 1
    server.kill()


def test_a_stopped_server_puts_its_task_back_and_ends_soon(launch, body) -> None:
    server = launch()
    server.post(TEXT, body("long", steps=40))
    server.wait("long", lambda data: data["temporaryImageDto"]["stage"] == "sampling")
    start = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - start < 5
    with sqlite3.connect(server.folder / "data" / "tasks.sqlite3") as db:
        assert db.execute("SELECT state, starts FROM tasks").fetchall() == [("queued", 0)]
    db.close()
    server.start()
    assert server.wait("long")["status"] == 2
    assert server.stop() == 0
    assert "Traceback" not in server.log()


def test_a_full_queue_says_busy_and_takes_known_tasks(launch, body) -> None:
    server = launch("--queue", "2", "--link-hours", str(1 / 3600))
    first = body("a", steps=80)
    server.post(TEXT, first)
    server.post(TEXT, body("b"))
    response = server.raw(TEXT, body("c"))
    envelope = response.json()
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert envelope["code"] == "400"
    assert "busy" in envelope["msg"]
    assert envelope["data"]["error"] == "busy"
    assert server.post(TEXT, first) == {"task_id": "a"}  # a repeat is no new task
    server.refused(404, "/sd/v2/queryTaskInfo", {"businessTaskId": "c"})
    server.post(CANCEL, {"businessTaskId": "a"})
    server.wait("b")
    server.post(TEXT, body("c"))
    url = server.wait("c")["differentialImageRspList"][0]["image_url"]
    # This server's links live a second.
    assert server.session.get(url, timeout=5).ok
    time.sleep(1.6)
    gone = server.session.get(url, timeout=5)
    assert (gone.status_code, gone.json()["data"]["error"]) == (410, "link_expired")
    fresh = server.info("c")["differentialImageRspList"][0]["image_url"]
    assert server.session.get(fresh, timeout=5).ok
    server.kill()


def test_a_task_that_keeps_killing_the_server_is_given_up(tmp_path: Path) -> None:
    store = TaskStore(tmp_path / "tasks.sqlite3")
    task, _ = store.submit("k", "sd", "poison", "op", {"a": 1}, 5)
    for _ in range(MAX_STARTS - 1):
        assert store.claim() is not None
        assert store.recover() == (1, 0)
    assert store.claim() is not None
    assert store.recover() == (0, 1)
    assert store.claim() is None
    found = store.get(task.seq)
    assert found.state == "failed"
    assert "given up" in found.description


def test_a_wish_to_cancel_survives_a_kill(tmp_path: Path) -> None:
    store = TaskStore(tmp_path / "tasks.sqlite3")
    store.submit("k", "sd", "t", "op", {}, 5)
    store.claim()
    assert store.want_cancel("k", "sd", "t").state == "running"
    assert store.recover() == (0, 1)
    assert store.find("k", "sd", "t").state == "cancelled"


def test_a_finished_tasks_body_leaves_the_disk(tmp_path: Path) -> None:
    store = TaskStore(tmp_path / "tasks.sqlite3")
    task, _ = store.submit("k", "sd", "t", "op", {"picture": "canary" * 5000}, 5)
    store.claim()
    assert any(b"canary" in path.read_bytes() for path in tmp_path.iterdir())
    store.finish(task.seq, Output())
    assert not any(b"canary" in path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / "tasks.sqlite3").stat().st_mode & 0o077 == 0


def test_the_limit_counts_unfinished_tasks_only(tmp_path: Path) -> None:
    store = TaskStore(tmp_path / "tasks.sqlite3")
    task, _ = store.submit("k", "sd", "1", "op", {}, 1)
    with pytest.raises(Busy):
        store.submit("other", "sd", "2", "op", {}, 1)
    store.claim()
    store.finish(task.seq, Output())
    assert store.submit("other", "sd", "2", "op", {}, 1)[1]


def test_old_tasks_and_their_files_go(tmp_path: Path) -> None:
    store = TaskStore(tmp_path / "tasks.sqlite3")
    results = Results(tmp_path, 60)
    names = {}
    for task_id in ("old", "new"):
        task, _ = store.submit("k", "sd", task_id, "op", {}, 5)
        store.claim()
        names[task_id] = results.save(b"picture", "png")
        store.finish(task.seq, Output(images=[{"file": names[task_id], "seed": 1, "audit": []}]))
        if task_id == "old":
            limit = time.time()
            time.sleep(0.01)
    link = results.path_for(names["old"])
    results.remove(store.purge(limit))
    with pytest.raises(UnknownTask):
        store.find("k", "sd", "old")
    assert store.find("k", "sd", "new").output.images[0]["file"] == names["new"]
    with pytest.raises(Exception, match="expired"):
        results.file_behind(link.removeprefix("/f/"))
    assert [path.name for path in (tmp_path / "results").iterdir()] == [names["new"]]


def test_what_a_crash_left_behind_is_swept_but_nothing_in_use(tmp_path: Path) -> None:
    import os

    results = Results(tmp_path, 60)
    kept, orphan, young = (results.save(b"x", "png") for _ in range(3))
    stranger = tmp_path / "results" / "notes.txt"
    stranger.write_text("mine")
    for path in (kept, orphan):
        os.utime(tmp_path / "results" / path, (1, 1))
    os.utime(stranger, (1, 1))
    assert results.sweep({kept}) == 1
    left = {path.name for path in (tmp_path / "results").iterdir()}
    assert left == {kept, young, "notes.txt"}


def test_results_are_written_whole_and_read_back(tmp_path: Path) -> None:
    results = Results(tmp_path, 60)
    data = np.random.default_rng(0).bytes(1000)
    name = results.save(data, "jpg")
    token = results.path_for(name).removeprefix("/f/")
    assert Results(tmp_path, 60).file_behind(token).read_bytes() == data  # after a restart too
    assert (tmp_path / "link-secret").stat().st_mode & 0o077 == 0
