"""`img-open tasks`: the journal in the user's hands."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from img_open.api.journal import Journal
from img_open.api.profiles import Profile, profile_for_url, save_profile, with_changes
from img_open.base import errors
from img_open.engines import tasks_command
from img_open.engines.remote import RemoteEngine

from .conftest import FAST, PATIENT, SHORT, FaultyServer, make_request


def command(journal: Journal, *words: str) -> int:
    parser = argparse.ArgumentParser()
    tasks_command.add_arguments(parser)
    return tasks_command.run(parser.parse_args(words), journal)


def engine_on(profile: Profile, journal: Journal) -> RemoteEngine:
    return RemoteEngine(profile, journal, patience=PATIENT, timeouts=SHORT, backoff=FAST)


def test_a_task_is_listed_shown_resumed_and_purged(
    shared: Callable[[str], FaultyServer],
    journal: Journal,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    server = shared("gateway")
    task_id = engine_on(profile_for_url(server.url), journal).submit(make_request("a red boat"))
    command(journal, "list")
    assert f"{task_id} running" in " ".join(capsys.readouterr().out.split())
    command(journal, "show", task_id)
    assert json.loads(capsys.readouterr().out)["request"]["prompt"] == "a red boat"
    command(journal, "resume", task_id, "--out", str(tmp_path / "out"))
    assert (tmp_path / "out" / "image_00.png").is_file()
    assert server.works() == 1
    command(journal, "purge", "--days", "0")
    command(journal, "list")
    assert "No tasks." in capsys.readouterr().out


def test_the_user_decides_about_an_uncertain_task(
    shared: Callable[[str], FaultyServer], journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    server = shared("cloud")
    profile = Profile("paid", server.url, dialect="cloud")
    save_profile(profile)
    engine = engine_on(profile, journal)
    server.script(submit=["cut", "cut"])
    with pytest.raises(errors.TaskUncertain, match="tasks retry") as caught:
        engine.run(make_request())
    task_id = str(caught.value.details["task_id"])
    command(journal, "retry", task_id)
    with pytest.raises(errors.TaskUncertain):
        engine.run(make_request())
    command(journal, "drop", task_id)
    assert "is lost now" in capsys.readouterr().out
    assert engine.run(make_request()).task_id != task_id
    assert server.works() == 1
    with pytest.raises(errors.Unsupported):
        command(journal, "cancel", engine.submit(make_request("another")))


def test_a_profile_that_moved_is_not_asked(
    shared: Callable[[str], FaultyServer], journal: Journal, tmp_path: Path
) -> None:
    profile = Profile("mine", shared("gateway").url)
    save_profile(profile)
    task_id = engine_on(profile, journal).submit(make_request())
    save_profile(with_changes(profile, base_url="http://127.0.0.1:1"))
    with pytest.raises(errors.ProfileError, match="leads to"):
        command(journal, "resume", task_id, "--out", str(tmp_path))
    with pytest.raises(errors.InvalidRequest, match="knows no task"):
        command(journal, "show", "never")
