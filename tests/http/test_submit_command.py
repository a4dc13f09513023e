"""`img-open submit` against a server that misbehaves: stops, deadlines, withheld pictures, odd answers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from img_open.api.journal import Journal
from img_open.api.journal_rows import change
from img_open.api.profiles import Profile, profile_for_url, save_profile
from img_open.api.transport import Reply, read_envelope
from img_open.base import errors
from img_open.cli import main
from img_open.engines.remote import RemoteEngine
from img_open.engines.remote_poll import Patience
from img_open.engines.remote_results import CannotKeep

from .conftest import FAST, SHORT, FaultyServer, make_request

Shared = Callable[[str], FaultyServer]


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(make_request("a lonely boat").to_wire()), "utf-8")
    return path


def stopped_submit(server: FaultyServer, words: list[str], home: Path) -> tuple[int, str]:
    """Start the command, press Ctrl-C when the server has the task; its exit status and stderr."""
    command = [sys.executable, "-m", "img_open.cli", "submit", *words]
    process = subprocess.Popen(
        command, env={**os.environ, "IMG_OPEN_HOME": str(home)}, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    journal = Journal(home / "tasks.sqlite")
    while not journal.list(states=["running"]):
        assert process.poll() is None, process.stderr
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    return process.returncode, told


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_a_stop_cancels_at_the_gateway(shared: Shared, request_file: Path, tmp_path: Path) -> None:
    server = shared("gateway")
    server.set(work_s=60.0)
    words = [str(request_file), "--url", server.url, "--out", str(tmp_path / "out")]
    status, told = stopped_submit(server, words, tmp_path / "home")
    server.set(work_s=0.0)
    [task] = Journal(tmp_path / "home" / "tasks.sqlite").list()
    assert (status, task.state) == (130, "cancelled")
    assert f"Task {task.task_id} was cancelled at the server" in told
    assert "Traceback" not in told


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_a_stop_on_the_cloud_says_how_to_go_on(
    shared: Shared, request_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = shared("cloud")
    server.set(work_s=60.0)
    monkeypatch.setenv("IMG_OPEN_HOME", str(tmp_path / "home"))
    save_profile(Profile("paid", server.url, dialect="cloud"))
    words = [str(request_file), "--profile", "paid", "--out", str(tmp_path / "out")]
    status, told = stopped_submit(server, words, tmp_path / "home")
    server.set(work_s=0.0)
    [task] = Journal(tmp_path / "home" / "tasks.sqlite").list()
    assert (status, task.state) == (130, "running")
    assert f"img-open tasks resume {task.task_id} --out" in told
    assert main(["tasks", "resume", task.task_id, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "image_00.png").is_file()
    assert server.works() == 1


def test_the_deadline_holds_against_a_silent_server(
    shared: Shared, request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = shared("gateway")
    server.set(silence_s=30.0)
    server.script(query=["silence"] * 8)
    start = time.monotonic()
    words = ["submit", str(request_file), "--url", server.url, "--out", str(tmp_path / "out")]
    assert main([*words, "--deadline", "2"]) == 3
    took = time.monotonic() - start
    server.set(silence_s=3.0)
    assert 1.9 < took < 6.0, "two seconds, not the 60 that a call may take"
    assert "still not finished" in capsys.readouterr().err


def test_a_task_held_by_somebody_else_is_waited_for_no_longer_than_the_deadline(
    shared: Shared, journal: Journal
) -> None:
    profile = profile_for_url(shared("gateway").url)
    patience = Patience(deadline_s=0.6, poll_s=0.05, poll_most_s=0.2)
    engine = RemoteEngine(profile, journal, patience=patience, timeouts=SHORT, backoff=FAST)
    task = journal.show(engine.submit(make_request()))
    with journal._write() as db:
        change(db, task.row_id, owner="another-machine:1:abc", owner_until=time.time() + 20)
    with pytest.raises(errors.TaskTimeout, match="another program"):
        engine.run(make_request())
    with journal._write() as db:  # as written by a clock that was years ahead
        change(db, task.row_id, owner="another-machine:1:abc", owner_until=time.time() + 1e8)
    assert engine.run(make_request()).task_id == task.task_id


def test_withheld_pictures_are_printed_and_none_at_all_fails(
    shared: Shared, request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = shared("gateway")
    server.set(withhold=0)
    words = ["submit", str(request_file), "--url", server.url, "--out", str(tmp_path / "out")]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert "withheld: " in shown.err
    assert shown.out == ""
    task_id = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))["task_id"]
    assert main(["tasks", "resume", task_id, "--out", str(tmp_path / "again")]) == 1
    assert "withheld: " in capsys.readouterr().err
    server.set(withhold=None)


def test_a_blank_id_fits_no_task(shared: Shared, journal: Journal) -> None:
    engine = RemoteEngine(profile_for_url(shared("gateway").url), journal, timeouts=SHORT, backoff=FAST)
    engine.submit(make_request())
    for call in (engine.attach, engine.cancel, journal.show, lambda text: journal.purge(task_ids=[text])):
        for blank in ("", "  ", "\udcff"):
            with pytest.raises(errors.InvalidRequest, match="the task id"):
                call(blank)
    assert [task.state for task in journal.list()] == ["running"]


def test_a_word_that_cannot_be_written_is_refused(shared: Shared, journal: Journal) -> None:
    engine = RemoteEngine(profile_for_url(shared("gateway").url), journal, timeouts=SHORT, backoff=FAST)
    with pytest.raises(errors.InvalidRequest, match="the word for a new task"):
        engine.run(make_request(), nonce="\udcff")


def test_a_size_that_was_not_asked_for_is_said(shared: Shared, journal: Journal) -> None:
    engine = RemoteEngine(profile_for_url(shared("gateway").url), journal, timeouts=SHORT, backoff=FAST)
    made = engine.run(make_request(width=512, height=256))
    assert made.images[0].shape == (8, 16, 3)
    [info] = [info for info in made.infos if info.field == "width"]
    assert info.message == "512 x 256 was asked for; the server made 16 x 8."
    fitting = engine.run(make_request(width=16, height=8))
    assert not [info for info in fitting.infos if info.field == "width"]


def test_the_private_results_setting_is_named_only_where_it_helps(shared: Shared, journal: Journal) -> None:
    server = shared("gateway")
    engine = RemoteEngine(profile_for_url(server.url), journal, timeouts=SHORT, backoff=FAST)
    for number, (fault, helps) in enumerate((("private", True), ("metadata", False))):
        server.script(result=[fault] * 6)
        with pytest.raises(errors.LinkRefused) as caught:
            engine.run(make_request(seed=number))
        assert ("allow_private_results" in str(caught.value)) is helps, fault
        server.script(result=[])


def test_a_results_folder_that_is_a_file_is_named(shared: Shared, journal: Journal) -> None:
    engine = RemoteEngine(profile_for_url(shared("gateway").url), journal, timeouts=SHORT, backoff=FAST)
    journal.results_dir.parent.mkdir(parents=True, exist_ok=True)
    journal.results_dir.write_text("in the way")
    with pytest.raises(CannotKeep, match="results"):
        engine.run(make_request())
    journal.results_dir.unlink()
    assert len(engine.run(make_request()).images) == 1
    shutil.rmtree(journal.results_dir)
    journal.results_dir.write_text("in the way again, of a task that is done")
    with pytest.raises(CannotKeep, match="not lost"):
        engine.run(make_request())


def test_half_a_surrogate_pair_in_an_answer_costs_no_result() -> None:
    body = b'{"code": "200", "data": {"desc": "half \\ud800", "whole": "\\ud83d\\ude00"}}'
    data = read_envelope(Reply(200, {}, body), "the test")["data"]
    assert data == {"desc": "half \ufffd\ufffd\ufffd", "whole": "\U0001f600"}
    json.dumps(data, ensure_ascii=False).encode()
