"""What the sidebar tells about unfinished tasks, asked of a real gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from img_open.api.journal import Journal
from img_open.api.models import TaskInfo
from img_open.api.profiles import Profile, save_profile
from img_open.api.request import Request
from img_open.base.pictures import encode_png, to_data_url
from img_open.engines.remote import RemoteEngine
from img_open.engines.remote_tools import ToolRunner
from img_open.nodes import web_tasks


def until(look: Callable[[], dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while not wanted(told := look()):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    return told


def test_stage_percentage_picture_and_time_of_every_kind_of_task(server, body, tmp_path: Path) -> None:
    profile = Profile("live", server.url)
    save_profile(profile)
    journal, live = Journal(tmp_path / "tasks.sqlite"), web_tasks.Live()
    assert live.all(journal) == {}
    task = RemoteEngine(profile, journal).submit(Request.from_wire(body("watched", steps=120)))
    image = to_data_url(encode_png(np.zeros((64, 64, 3), np.uint8)), "image/png")
    wanted = {"sourceImage": image, "preprocessor": "canny"}
    preview = ToolRunner(profile, journal).submit("cnt_preview", wanted)
    rows = {one.task_id: one.row_id for one in journal.list()}

    # The first picture may come with the first call's 0 %.
    told = until(
        lambda: live.all(journal),
        lambda all_: bool(all_[rows[task]]["picture"]) and all_[rows[task]]["fraction"] > 0,
    )
    running, waiting = told[rows[task]], told[rows[preview]]
    assert running["stage"] == "sampling"
    assert 0 < running["fraction"] < 1
    assert running["picture"].startswith("data:image/jpeg;base64,")
    assert running["elapsed"] > 0
    assert (waiting["stage"], waiting["desc"], waiting["picture"]) == ("queued", "queued, 1 ahead", "")
    later = until(lambda: live.all(journal)[rows[task]], lambda one: one["fraction"] > running["fraction"])
    assert later["elapsed"] > running["elapsed"]

    for task_id in (preview, task):
        ToolRunner(profile, journal).cancel(task_id)
    assert live.all(journal) == {}


def test_pictures_from_elsewhere_are_not_handed_to_the_page() -> None:
    large = "data:image/png;base64," + "A" * 500_000
    for link in ("https://elsewhere.example/x.jpg", "data:text/html,<b>", large):
        info = TaskInfo.model_validate({"status": 1, "desc": "on", "temporaryImageDto": {"image": link}})
        assert web_tasks._told(info)["picture"] == ""
        assert web_tasks._told(info)["desc"] == "on"


def test_a_server_that_tells_no_progress_is_shown_with_its_own_words() -> None:
    told = web_tasks._told(TaskInfo.model_validate({"status": 1, "desc": "processing"}))
    assert told == {"fraction": None, "stage": "", "desc": "processing", "picture": ""}
