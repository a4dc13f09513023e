"""Several tasks at once, callbacks, model lists, and the command line, against a real server process."""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from img_open.api.journal import Journal
from img_open.api.profiles import Profile, save_profile
from img_open.base import errors, places
from img_open.engines import api_command, callbacks
from img_open.engines.model_lists import ModelLists
from img_open.engines.remote_collect import collect
from img_open.engines.remote_tools import ToolRunner
from img_open.engines.remote_wake import listening, wait_or_bell, wake
from img_open.engines.types import Progress

from .conftest import ToolServer

Tools = Callable[[str], ToolServer]
RunnerFor = Callable[..., ToolRunner]
FLUX = {"comfyTaskType": "Flux1SchnellFP8", "prompt": "blue sea", "steps": 4}


def flux(number: int) -> dict[str, Any]:
    return {**FLUX, "prompt": f"sea {number}"}


# --- collect ----------------------------------------------------------------------------------------------


def test_many_are_waited_for_at_once(tools: Tools, runner_for: RunnerFor) -> None:
    server = tools("gateway")
    server.set(work_s=0.4)
    runner = runner_for(server)
    ids = [runner.submit("flux_text2image", flux(number)) for number in range(12)]
    told: list[Progress] = []
    start = time.monotonic()
    found = collect([lambda p, c, id=id: runner.attach(id, p, c) for id in ids], told.append)
    assert time.monotonic() - start < 4
    assert [one.result.task_id for one in found if one.result is not None] == ids
    assert told[-1].message == "12/12"
    assert server.works() == 12


def test_one_failure_does_not_stop_the_others(tools: Tools, runner_for: RunnerFor) -> None:
    runner = runner_for(tools("gateway"))
    good = runner.submit("flux_text2image", flux(1))
    found = collect([lambda p, c: runner.attach("nobody", p, c), lambda p, c: runner.attach(good, p, c)])
    assert found[0].error is not None
    assert found[1].result is not None


def test_a_stop_reaches_all(tools: Tools, runner_for: RunnerFor, journal: Journal) -> None:
    server = tools("gateway")
    server.set(work_s=60)
    runner = runner_for(server)
    ids = [runner.submit("flux_text2image", flux(number)) for number in range(3)]
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()
    with pytest.raises(errors.Cancelled):
        collect([lambda p, c, id=id: runner.attach(id, p, c) for id in ids], None, stop.is_set)
    assert time.monotonic() - start < 2.0
    until = time.monotonic() + 5
    while set(server.ledger()["cancelled"]) != set(ids) and time.monotonic() < until:
        time.sleep(0.05)
    assert set(server.ledger()["cancelled"]) == set(ids)
    assert {task.state for task in journal.list()} == {"cancelled"}


def test_a_look_never_waits(tools: Tools, runner_for: RunnerFor) -> None:
    server = tools("gateway")
    server.set(work_s=0.6)
    runner = runner_for(server)
    task_id = runner.submit("flux_text2image", FLUX)
    early = runner.look(task_id)
    assert (early.state, early.result) == ("running", None)
    assert "in the queue" in early.message
    runner.attach(task_id)
    late = runner.look(task_id)
    assert late.state == "done"
    assert late.result is not None
    assert late.result.images


# --- callbacks --------------------------------------------------------------------------------------------


def test_a_bell_ends_a_pause_and_nothing_else() -> None:
    with listening("a", "b") as bell:
        assert not wake("c")
        threading.Timer(0.2, lambda: wake("b")).start()
        start = time.monotonic()
        wait_or_bell(5.0, bell, lambda: False)
        assert 0.1 < time.monotonic() - start < 1.0
        start = time.monotonic()
        wait_or_bell(0.3, bell, lambda: False)  # it has to ring anew
        assert time.monotonic() - start >= 0.3
    assert not wake("b")
    with listening("a") as bell, pytest.raises(errors.Cancelled):
        wait_or_bell(5.0, bell, lambda: True)


def test_a_callback_makes_rare_asking_quick(tools: Tools, journal: Journal) -> None:
    """Asked every 30 s, it is fetched as soon as the server calls; a stranger's call changes nothing."""
    from img_open.engines.remote_poll import Patience

    server = tools("gateway")
    server.set(work_s=0.5)
    runner = ToolRunner(
        Profile("test", server.url), journal, patience=Patience(deadline_s=60, poll_s=30, poll_most_s=30)
    )
    task_id = runner.submit("flux_text2image", FLUX)
    told = {"code": "200", "data": {"businessTaskId": task_id, "outputImageUrl": "http://169.254.169.254/x"}}

    def call() -> None:
        assert not callbacks.receive("guess", json.dumps(told).encode(), journal)
        assert not callbacks.receive(callbacks.token(), b'{"businessTaskId": "nobody"}', journal)
        assert not callbacks.receive(callbacks.token(), b"[[[", journal)
        assert callbacks.receive(callbacks.token(), json.dumps(told).encode(), journal)

    threading.Timer(1.0, call).start()
    start = time.monotonic()
    assert runner.attach(task_id).images
    assert time.monotonic() - start < 10


def test_the_callback_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert callbacks.callback_url() == ""
    monkeypatch.setenv(callbacks.ENV_URL, "https://me.example/comfy/")
    assert callbacks.callback_url() == f"https://me.example/comfy/img_open/callback/{callbacks.token()}"
    assert len(callbacks.token()) >= 40
    assert (places.data_dir() / "callback_token").stat().st_mode & 0o077 == 0
    monkeypatch.setenv(callbacks.ENV_URL, "http://me.example")
    with pytest.raises(errors.ProfileError, match="https"):
        callbacks.callback_url()


# --- model lists ------------------------------------------------------------------------------------------


def test_model_lists_are_kept_when_the_network_goes(tools: Tools, tmp_path: Path) -> None:
    server = tools("gateway")
    save_profile(Profile("one", server.url))
    lists = ModelLists(path=tmp_path / "models.json")
    assert len(lists.names("one", wait_s=10)) == 25
    save_profile(Profile("one", "http://127.0.0.1:1"))
    assert len(ModelLists(path=tmp_path / "models.json").names("one", wait_s=5)) == 25


def test_a_silent_server_costs_the_wait_and_nothing_else(tmp_path: Path) -> None:
    held = threading.Event()

    def silent(profile: str) -> list[str]:
        held.wait(20)
        return ["late"]

    lists = ModelLists(silent, tmp_path / "models.json")
    start = time.monotonic()
    assert lists.names("one", wait_s=0.3) == []
    assert time.monotonic() - start < 1.5
    held.set()
    until = time.monotonic() + 5
    while lists.names("one", wait_s=0.1) != ["late"]:
        assert time.monotonic() < until


# --- command line -----------------------------------------------------------------------------------------


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    api_command.add_arguments(parser)
    return api_command.run(parser.parse_args(words))


def test_operations_are_listed_shown_and_called(
    tools: Tools, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = tools("gateway")
    command("list", "--runnable")
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 22
    command("show", "flux_text2image")
    assert json.loads(capsys.readouterr().out)["path"].endswith("/tool/comfyui/text2image")
    (tmp_path / "body.json").write_text(json.dumps(FLUX))
    out = tmp_path / "out"
    words = ("call", "flux_text2image", str(tmp_path / "body.json"), "--url", server.url, "--out", str(out))
    assert command(*words) == 0
    assert str(out / "image_00.png") in capsys.readouterr().out
    assert command(*words) == 0
    assert server.works() == 1
    (tmp_path / "any.json").write_text('{"businessTaskId": "mine"}')
    path = "/AIGCImgOpenServ/saas/tool/brand/new"
    command("call", path, str(tmp_path / "any.json"), "--url", server.url)
    assert "server-mine" in capsys.readouterr().out
    (tmp_path / "any.json").write_text("[1]")
    with pytest.raises(errors.InvalidRequest, match="JSON object"):
        command("call", path, str(tmp_path / "any.json"), "--url", server.url)


def test_the_check_names_line_and_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("check") == 0
    assert "There is no" in capsys.readouterr().out
    file = places.config_dir() / "catalogue.yaml"
    places.ensure(file.parent)
    good = "- id: sing\n  path: /AIGCImgOpenServ/saas/tool/sing\n  fields:\n  - {name: words, type: string}\n"
    file.write_text(good)
    assert command("check") == 0
    assert "sing" in capsys.readouterr().out
    file.write_text(good.replace("type:", "tipe:"))
    assert command("check") == 1
    told = capsys.readouterr().err
    assert "line 4" in told
    assert "tipe" in told
    command("list", "--runnable")  # the published ones stay usable, and the mistake is told
    both = capsys.readouterr()
    assert len(both.out.splitlines()) == 22
    assert "not used" in both.err


def test_a_broken_catalogue_file_does_not_stop_requests(tools: Tools, runner_for: RunnerFor) -> None:
    file = places.config_dir() / "catalogue.yaml"
    places.ensure(file.parent)
    file.write_text("- id: [")
    server = tools("gateway")
    assert ToolRunner(Profile("test", server.url)).run("flux_text2image", FLUX).images
