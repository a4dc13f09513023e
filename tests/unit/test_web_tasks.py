"""The journal as the sidebar sees it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from img_open.api.journal import Intent, Journal
from img_open.base.errors import ImgOpenError, InvalidRequest, ProfileError
from img_open.base.log import register_secret
from img_open.base.pictures import encode_png
from img_open.nodes import web_tasks

URL = "http://127.0.0.1:9"
CANARY = "AKCANARY-tasks-55e0"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "tasks.sqlite")


def filed(journal: Journal, name: str, state: str = "running", **request: Any) -> str:
    """A task in the journal; its row."""
    intent = Intent(name, URL, "url-127.0.0.1:9", "sd_text2image_v2", name, True, "h", "",
                    {"prompt": f"prompt of {name}", **request}, 7, 2)  # fmt: skip
    task = journal.begin(intent, "nobody").task
    journal.release(task.row_id, "nobody")
    if state != "prepared":
        journal.mark_accepted(task.row_id, name)
    if state not in ("prepared", "running"):
        journal.set_state(task.row_id, state)  # type: ignore[arg-type]
    return task.row_id


def finished(journal: Journal, name: str, files: list[str] | None = None) -> str:
    key = filed(journal, name)
    folder = journal.results_dir / name
    folder.mkdir(parents=True)
    picture = folder / "image_00.png"
    picture.write_bytes(encode_png(np.full((300, 200, 3), 90, np.uint8)))
    journal.finish(key, {"seeds": [7], "audits": [[]]}, files or [str(picture)])
    return key


def test_rows_are_newest_first_and_carry_no_request(journal: Journal) -> None:
    assert web_tasks.rows(journal) == []
    filed(journal, "one", image_link="https://a.example/x.png?Signature=abc")
    finished(journal, "two")
    found = web_tasks.rows(journal)
    assert [(row["task_id"], row["state"], row["made"]) for row in found] == [
        ("two", "done", 1),
        ("one", "running", 0),
    ]
    assert found[0]["seeds"] == [7]
    assert "Signature" not in json.dumps(found)


def test_messages_are_scrubbed(journal: Journal) -> None:
    register_secret(CANARY)
    key = filed(journal, "one")
    journal.set_state(key, "failed", f"the key {CANARY} is wrong")
    assert CANARY not in json.dumps(web_tasks.rows(journal))


def test_the_stamp_changes_with_the_journal_only(journal: Journal) -> None:
    stamps = [web_tasks.stamp(journal)]
    key = filed(journal, "one")
    stamps += [web_tasks.stamp(journal), web_tasks.stamp(journal)]
    journal.set_state(key, "failed")
    stamps.append(web_tasks.stamp(journal))
    assert stamps[1] == stamps[2]
    assert len(set(stamps)) == 3


def test_thumbnails_are_small_jpegs(journal: Journal) -> None:
    from PIL import Image

    task = journal.get(finished(journal, "one"))
    with Image.open(io.BytesIO(web_tasks.thumbnail(journal, task))) as picture:
        assert (picture.format, max(picture.size)) == ("JPEG", web_tasks.THUMBNAIL)


def test_files_outside_the_results_are_not_served(journal: Journal, tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    task = journal.get(
        finished(journal, "one", [str(outside), str(journal.results_dir / ".." / "secret.png")])
    )
    for number in (0, 1, 2, -1):
        with pytest.raises(InvalidRequest):
            web_tasks.picture_path(journal, task, number)


def test_what_people_can_do(journal: Journal) -> None:
    live = web_tasks.Live()

    def act(name: str, action: str) -> dict[str, Any]:
        return web_tasks.act(journal, live, web_tasks.find(journal, name), action)

    filed(journal, "never-sent", "prepared")
    assert act("never-sent", "cancel")["state"] == "cancelled"
    assert act("never-sent", "purge")
    kept = filed(journal, "left-here", "prepared")  # its picture could not be sent, say
    assert act("left-here", "purge") == {"purged": [kept]}
    filed(journal, "unsure", "uncertain")
    assert act("unsure", "retry")["state"] == "prepared"
    filed(journal, "forget", "uncertain")
    assert act("forget", "drop")["state"] == "lost"
    key = finished(journal, "over")
    with pytest.raises(InvalidRequest):
        act("over", "explode")
    assert act("over", "purge") == {"purged": [key]}
    filed(journal, "busy")
    with pytest.raises(InvalidRequest, match="Cancel or drop"):
        act("busy", "purge")
    with pytest.raises(ImgOpenError):
        act("busy", "cancel")  # nobody listens at that address
    assert journal.show("busy").state == "running"


def test_purging_leaves_what_is_unfinished(journal: Journal) -> None:
    assert web_tasks.purge(journal, 0) == 0
    filed(journal, "busy")
    finished(journal, "over")
    assert web_tasks.purge(journal, 1) == 0
    assert web_tasks.purge(journal, 0) == 1
    assert [row["task_id"] for row in web_tasks.rows(journal)] == ["busy"]


def test_a_profile_that_moved_is_refused(journal: Journal) -> None:
    from img_open.api.profiles import Profile, save_profile
    from img_open.engines.tasks_command import profile_of

    save_profile(Profile("mine", "http://127.0.0.1:10"))
    intent = Intent("k", URL, "mine", "sd_text2image_v2", "t", True, "h", "", {"prompt": "p"}, 7, 1)
    with pytest.raises(ProfileError, match="leads to"):
        profile_of(journal.begin(intent, "nobody").task)


def test_attaching_reports_its_end(journal: Journal) -> None:
    import time

    live = web_tasks.Live()
    key = filed(journal, "busy")
    web_tasks.act(journal, live, journal.get(key), "attach")
    until = time.monotonic() + 5
    assert live.all(journal)[key]["stage"] in ("attaching", "running", "queued", "")
    while time.monotonic() < until and not live.all(journal):
        time.sleep(0.05)
    assert key in live.all(journal)
