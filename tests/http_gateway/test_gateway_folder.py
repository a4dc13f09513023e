"""The data folder: what is wrong with it is said with its path, and it does not grow for ever."""

from __future__ import annotations

import argparse
import math
import sqlite3
import time
from pathlib import Path

import pytest
from img_open.base.errors import InvalidRequest
from img_open.gateway.command import add_arguments, settings_from
from img_open.gateway.server import make_app
from img_open.gateway.settings import Settings
from img_open.gateway.tasks import TaskStore


def a_file(folder: Path) -> Path:
    folder.write_text("not a folder")
    return folder


def below_a_file(folder: Path) -> Path:
    a_file(folder)
    return folder / "below"


def in_proc(folder: Path) -> Path:
    return Path("/proc/x/y")


def garbage_tasks(folder: Path) -> Path:
    folder.mkdir()
    (folder / "tasks.sqlite3").write_bytes(b"no database " * 500)
    return folder


def foreign_tasks(folder: Path) -> Path:
    folder.mkdir()
    with sqlite3.connect(folder / "tasks.sqlite3") as db:
        db.execute("CREATE TABLE tasks (state TEXT, seq INTEGER)")
    db.close()
    return folder


def secret_folder(folder: Path) -> Path:
    (folder / "link-secret").mkdir(parents=True)
    return folder


def lock_folder(folder: Path) -> Path:
    (folder / "gateway.lock").mkdir(parents=True)
    return folder


def results_file(folder: Path) -> Path:
    folder.mkdir()
    (folder / "results").write_text("a file")
    return folder


def tasks_folder(folder: Path) -> Path:
    (folder / "tasks.sqlite3").mkdir(parents=True)
    return folder


BROKEN = {
    a_file: "data", below_a_file: "data", in_proc: "/proc/x", garbage_tasks: "tasks.sqlite3",
    foreign_tasks: "tasks.sqlite3", tasks_folder: "tasks.sqlite3", secret_folder: "link-secret",
    lock_folder: "gateway.lock", results_file: "results",
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: each.__name__)
def test_a_folder_that_cannot_be_used_is_named(tmp_path, broken) -> None:
    folder = broken(tmp_path / "data")
    with pytest.raises(InvalidRequest) as caught:
        make_app(object(), Settings(folder), previewer=object())  # type: ignore[arg-type]
    assert BROKEN[broken] in caught.value.message
    assert caught.value.hint


def test_a_refused_start_lets_the_folder_go(tmp_path) -> None:
    folder = secret_folder(tmp_path / "data")
    for _ in range(2):  # the second time it would be "another gateway"
        with pytest.raises(InvalidRequest, match="link-secret"):
            make_app(object(), Settings(folder), previewer=object())  # type: ignore[arg-type]


NUMBERS = [
    "--queue", "--connections", "--body-limit", "--body-seconds", "--picture-limit", "--fetch-seconds",
    "--link-hours", "--keep-days", "--max-side", "--max-images", "--max-steps",
]  # fmt: skip


@pytest.mark.parametrize("flag", NUMBERS)
@pytest.mark.parametrize("value", ["0", "-1", "1" + "0" * 12, "1" + "0" * 400, "inf", "-inf", "nan", "1e300"])
def test_every_number_has_finite_bounds(tmp_path, flag: str, value: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.exit_on_error = False
    try:
        args = parser.parse_args(["--data", str(tmp_path), f"{flag}={value}"])
    except argparse.ArgumentError:  # it must be a whole number
        return
    with pytest.raises(InvalidRequest) as caught:
        settings_from(args).check()
    assert caught.value.details["field"] == flag


def test_the_defaults_are_within_their_bounds(tmp_path) -> None:
    settings = Settings(tmp_path)
    settings.check()
    assert math.isfinite(time.time() + settings.link_seconds)


def filed(store: TaskStore, name: str, size: int) -> int:
    task, _ = store.submit("local", "sd", name, "sd_text2image_v2", {"prompt": "x" * size}, 100)
    assert store.claim() is not None
    return task.seq


def test_half_a_character_in_a_reason_does_not_keep_a_task_from_failing(tmp_path) -> None:
    store = TaskStore(tmp_path / "tasks.sqlite3")
    store.fail(filed(store, "one", 10), "the link \ud800 is none")
    task = store.find("local", "sd", "one")
    assert (task.state, task.description) == ("failed", "the link \\ud800 is none")


@pytest.mark.parametrize("from_before", [False, True])
def test_the_file_shrinks_when_bodies_are_gone(tmp_path, from_before: bool) -> None:
    path = tmp_path / "tasks.sqlite3"
    store = TaskStore(path)
    if from_before:  # a file of a version that kept its free pages
        db = sqlite3.connect(path)
        db.execute("PRAGMA auto_vacuum = 0")
        db.execute("VACUUM")
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
        db.close()
        store = TaskStore(path)
    for number in range(5):
        store.fail(filed(store, str(number), 2_000_000), "no")
    grown = path.stat().st_size
    assert store.purge(0) == []  # nothing is old enough, but the bodies went
    assert path.stat().st_size < grown / 10
    assert store.find("local", "sd", "3").state == "failed"
