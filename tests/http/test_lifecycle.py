"""A task's life against a real server process: crashes, restarts, stops, repeats, limits."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from img_open.api.journal import Journal
from img_open.base import errors
from img_open.base.pictures import decode_picture, from_data_url
from img_open.engines.remote import RemoteEngine
from img_open.engines.remote_intent import final_request, make_intent
from img_open.engines.remote_poll import Patience
from img_open.engines.types import Progress
from img_open.storage.pictures import Pictures

from .conftest import FaultyServer, make_request

Serve = Callable[..., FaultyServer]
Shared = Callable[[str], FaultyServer]
EngineFor = Callable[..., RemoteEngine]
DEAD = f"{os.uname().nodename if hasattr(os, 'uname') else 'host'}:999999999:dead"  # no such process


def crash_at(engine: RemoteEngine, journal: Journal, point: str) -> None:
    """Leave the journal and the server as a process leaves them that is killed at `point`."""
    request = make_request(n_iter=2)
    intent = make_intent(engine.profile, request, "")
    task = journal.begin(intent, DEAD).task
    if point == "before the submit":
        return
    journal.mark_sending(task.row_id, DEAD)
    if point == "submit never arrived":
        return
    server_id = engine.client.submit(final_request(request, task))
    if point == "after the submit, before the reply":
        return
    journal.mark_accepted(task.row_id, server_id)
    if point == "while polling":
        return
    engine.client.download(engine.client.task_info(server_id).images[0].image_url or "")
    folder = engine._store.folder(journal.get(task.row_id))
    folder.mkdir(parents=True)
    data = engine.client.download(engine.client.task_info(server_id).images[0].image_url or "")
    (folder / "image_00.png").write_bytes(data)
    (folder / "image_01.png").write_bytes(data[:40])


POINTS = [
    "before the submit",
    "submit never arrived",
    "after the submit, before the reply",
    "while polling",
    "while downloading",
]


@pytest.mark.parametrize("dialect", ["cloud", "gateway"])
@pytest.mark.parametrize("point", POINTS)
def test_the_next_run_resumes_after_a_crash(
    point: str, dialect: str, shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared(dialect)
    engine = engine_for(server)
    crash_at(engine, journal, point)
    if point == "submit never arrived" and dialect == "cloud":
        with pytest.raises(errors.TaskUncertain) as caught:
            engine.run(make_request(n_iter=2))
        assert journal.list()[0].task_id in str(caught.value)
        assert server.works() == 0
        # The user decides: submit again under the same id.
        journal.resolve(journal.list()[0].task_id, "retry")
    made = engine.run(make_request(n_iter=2))
    assert made.seeds == [7, 8]
    assert [int(image[0, 0, 0]) for image in made.images] == [7, 8]
    assert server.works() == 1
    assert len(journal.list()) == 1


def test_a_dropped_uncertain_task_becomes_a_new_one(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("cloud")
    engine = engine_for(server)
    server.script(submit=["cut"])
    with pytest.raises(errors.TaskUncertain) as caught:
        engine.run(make_request())
    first = str(caught.value.details["task_id"])
    journal.resolve(first, "drop")
    assert engine.run(make_request()).task_id != first
    assert journal.show(first).state == "lost"
    assert server.works() == 1


def test_an_uncertain_task_that_did_arrive_is_found_later(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("cloud")
    engine = engine_for(server)
    server.script(submit=["cut-after"], query=["500"] * 3)
    with pytest.raises(errors.TaskUncertain):
        engine.run(make_request())
    assert engine.run(make_request()).seeds == [7]
    assert server.works() == 1


# --- servers that go away -----------------------------------------------------------------------------


def test_a_server_restarted_in_the_middle_is_waited_for(serve: Serve, engine_for: EngineFor) -> None:
    server = serve(work_s=0.8)
    engine = engine_for(server)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.run, make_request())
        while not server.ledger()["tasks"]:
            time.sleep(0.02)
        server.stop()
        time.sleep(0.5)
        server.start()
        assert running.result(timeout=10).seeds == [7]
    assert server.works() == 1


def test_a_server_gone_for_good_ends_the_wait_in_time_and_loses_nothing(
    serve: Serve, engine_for: EngineFor, journal: Journal, timer: Callable[[], float]
) -> None:
    server = serve(work_s=0.6)
    engine = engine_for(server, patience=Patience(8.0, 0.05, 0.2, unreachable_s=0.8))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.run, make_request())
        while not server.ledger()["tasks"]:
            time.sleep(0.02)
        server.stop()
        with pytest.raises(errors.NetworkError, match="not lost"):
            running.result(timeout=10)
    assert timer() < 5
    assert journal.list()[0].state == "running"
    server.start()
    assert engine.run(make_request()).seeds == [7]
    assert server.works() == 1


def test_no_server_at_all_is_certainly_not_sent(
    serve: Serve, engine_for: EngineFor, journal: Journal, timer: Callable[[], float]
) -> None:
    server = serve()
    engine = engine_for(server)
    server.stop()
    with pytest.raises(errors.NetworkError, match="Nothing was sent") as caught:
        engine.run(make_request())
    assert caught.value.details["sent"] is False
    assert timer() < 5
    assert journal.list()[0].state == "prepared"
    server.start()
    assert engine.run(make_request()).seeds == [7]
    assert server.works() == 1


def test_a_gateway_that_forgot_a_running_task_gets_it_again(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("gateway")
    engine = engine_for(server)
    task_id = engine.submit(make_request())
    shared("gateway")  # wipes its ledger
    assert engine.run(make_request()).task_id == task_id
    assert server.works() == 1


# --- stopping -----------------------------------------------------------------------------------------


def stopped_after(engine: RemoteEngine, started: Callable[[], bool]) -> float:
    """Run, say stop once `started`, and return how long the stop took to take effect."""
    stop = threading.Event()
    raised: list[float] = []

    def run() -> None:
        with pytest.raises(errors.Cancelled):
            engine.run(make_request(), cancelled=stop.is_set)
        raised.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    while not started():
        time.sleep(0.01)
    asked = time.monotonic()
    stop.set()
    thread.join(10)
    return raised[0] - asked


def test_a_stop_while_polling_reaches_the_gateway_at_once(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("gateway")
    server.set(work_s=30)
    engine = engine_for(server)
    assert stopped_after(engine, lambda: server.ledger()["counts"].get("query", 0) > 1) < 0.5
    task = journal.list()[0]
    assert server.ledger()["cancelled"] == [task.task_id]
    assert task.state == "cancelled"
    assert not task.owner
    # Run again: a cancelled task is over, so this is a new one.
    server.set(work_s=0)
    assert engine.run(make_request()).task_id != task.task_id


def test_a_stop_on_the_cloud_only_stops_waiting(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("cloud")
    server.set(work_s=30)
    engine = engine_for(server)
    assert stopped_after(engine, lambda: server.ledger()["counts"].get("query", 0) > 1) < 0.5
    assert journal.list()[0].state == "running"
    server.set(work_s=0)
    assert engine.run(make_request()).seeds == [7]
    assert server.works() == 1  # attached again, not paid again


@pytest.mark.parametrize("moment", ["submit", "query", "result"])
def test_a_stop_takes_effect_while_the_server_is_silent(
    moment: str, shared: Shared, engine_for: EngineFor
) -> None:
    server = shared("gateway")
    server.set(silence_s=0.7)
    server.script(**{moment: ["silence"] * 9})
    engine = engine_for(server)
    assert stopped_after(engine, lambda: server.ledger()["counts"].get(moment, 0) > 0) < 0.5


def test_a_submit_stopped_in_flight_is_cancelled_when_its_answer_comes(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("gateway")
    server.set(work_s=30, slow_s=0.6)
    server.script(submit=["slow-after"])
    engine = engine_for(server)
    assert stopped_after(engine, lambda: server.works() == 1) < 0.5
    deadline = time.monotonic() + 3
    while journal.list()[0].state != "cancelled" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert journal.list()[0].state == "cancelled"
    assert len(server.ledger()["cancelled"]) == 1


def test_cancel_by_id(shared: Shared, engine_for: EngineFor, journal: Journal) -> None:
    server = shared("gateway")
    server.set(work_s=30)
    engine = engine_for(server)
    task_id = engine.submit(make_request())
    engine.cancel(task_id)
    assert server.ledger()["cancelled"] == [task_id]
    assert journal.show(task_id).state == "cancelled"
    with pytest.raises(errors.Unsupported, match="no call that cancels"):
        engine_for(shared("cloud"), name="other").cancel("some-id")


# --- the same thing again -----------------------------------------------------------------------------


def test_a_finished_request_is_returned_from_disk(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    engine = engine_for(server)
    first = engine.run(make_request())
    calls = server.ledger()["counts"]
    again = engine.run(make_request())
    assert server.ledger()["counts"] == calls
    assert again == dataclasses.replace(first, images=again.images)
    np.testing.assert_array_equal(again.images[0], first.images[0])


def test_a_nonce_makes_it_a_new_task(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    engine = engine_for(server)
    assert engine.run(make_request()).task_id != engine.run(make_request(), nonce="1").task_id
    assert server.works() == 2


def test_a_random_seed_is_drawn_once_per_nonce(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("gateway")
    engine = engine_for(server)
    first = engine.run(make_request(seed=-1))
    assert engine.run(make_request(seed=-1)).seeds == first.seeds
    other = engine.run(make_request(seed=-1), nonce="again")
    assert other.seeds != first.seeds
    sent = [body["seed"] for body in server.ledger()["bodies"]]
    assert sent == [str(first.seeds[0]), str(other.seeds[0])]
    assert server.works() == 2


def test_the_requests_own_id_is_kept_and_never_reused(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    engine = engine_for(server)
    own = {"id_task": "pro1686666"}
    assert engine.run(make_request(alwayson_scripts=own)).task_id == "pro1686666"
    other = engine.run(make_request("another prompt", alwayson_scripts=own))
    assert other.task_id == "pro1686666-2"
    assert other.infos[0].field == "alwayson_scripts.id_task"
    assert server.works() == 2


def test_files_that_are_gone_are_fetched_again_or_named(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("gateway")
    engine = engine_for(server)
    engine.run(make_request())
    for name in journal.list()[0].files:
        os.truncate(name, 10)
    assert engine.run(make_request()).seeds == [7]
    Path(journal.list()[0].files[0]).unlink()
    shared("gateway")  # the server has forgotten it too
    with pytest.raises(errors.TaskFailed, match="nonce"):
        engine.run(make_request())


def test_attach_takes_up_a_task_from_elsewhere(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    engine = engine_for(server)
    engine.client.submit(make_request(alwayson_scripts={"id_task": "from-elsewhere"}))
    assert engine.attach("from-elsewhere").seeds == [7]
    assert engine.attach("from-elsewhere").task_id == "from-elsewhere"
    with pytest.raises(errors.TaskFailed, match="no longer knows"):
        engine.attach("never-heard-of")


def test_threads_with_one_wish_make_one_task(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("cloud")
    server.set(work_s=0.2)
    engine = engine_for(server)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: engine.run(make_request()).task_id, range(6)))
    assert len(set(made)) == 1
    assert server.works() == 1


PROCESS = """
    import sys
    sys.path.insert(0, {folder!r})
    import conftest as c
    profile = c.Profile(name="test", base_url={url!r}, storage="inline", dialect="cloud")
    journal = c.Journal({journal!r})
    engine = c.RemoteEngine(profile, journal, patience=c.PATIENT, timeouts=c.SHORT, backoff=c.FAST)
    print(engine.run(c.make_request()).task_id)
"""


def test_processes_with_one_wish_make_one_task(shared: Shared, journal: Journal) -> None:
    server = shared("cloud")
    server.set(work_s=0.5)
    code = textwrap.dedent(PROCESS).format(
        folder=str(Path(__file__).parent), url=server.url, journal=str(journal.path)
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    made = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(made) == 1
    assert server.works() == 1


# --- limits and pictures ------------------------------------------------------------------------------


def test_no_more_tasks_in_flight_than_the_profile_allows(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    server.set(work_s=0.25)
    engine = engine_for(server, max_concurrent=2)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: engine.run(make_request(f"picture {number}")), range(6)))
    starts = sorted(task["at"] for task in server.ledger()["tasks"].values())
    assert all(later - earlier >= 0.24 for earlier, later in zip(starts, starts[2:], strict=False))


def test_the_spend_guard_stops_before_anything_is_sent(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("gateway")
    engine = engine_for(server, spend_limit_images=5)
    engine.run(make_request(n_iter=3))
    with pytest.raises(errors.ProfileError, match=r"3 images .* 3 more would exceed the limit of 5"):
        engine.run(make_request("another", n_iter=3))
    assert server.works() == 1
    # Repeats of what is paid already, and smaller wishes, still pass.
    assert len(engine.run(make_request(n_iter=3)).images) == 3
    engine.run(make_request("another", n_iter=2))
    # Refused submits cost nothing.
    roomy = engine_for(server, spend_limit_images=6)
    for _ in range(3):
        server.script(submit=["envelope-400"])
        with pytest.raises(errors.ServerError):
            roomy.run(make_request("disliked"))
    roomy.run(make_request("disliked"))


def test_submits_per_minute_are_waited_for(
    shared: Shared, engine_for: EngineFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("img_open.api.journal_rows.MINUTE_S", 1.0)
    server = shared("gateway")
    engine = engine_for(server, per_minute=2)
    said: list[str] = []
    for number in range(4):
        engine.run(make_request(f"picture {number}"), progress=lambda report: said.append(report.message))
    starts = sorted(task["at"] for task in server.ledger()["tasks"].values())
    assert starts[2] - starts[0] >= 0.7  # arrivals; the limit counts departures
    assert any("2 tasks a minute" in text for text in said)


def test_local_pictures_travel_inline_without_loss(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("gateway")
    pictures = Pictures()
    photo = np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    link = pictures.add(photo, "photo")
    unit = {"image_link": pictures.add(photo[:, :, 0], "map"), "module": "none", "model": "canny"}
    scripts = {"image_link": link, "controlnet": {"args": [unit, {**unit, "image_link": link}]}}
    request = make_request(alwayson_scripts=scripts)
    engine_for(server).run(request, pictures=pictures)
    sent = server.ledger()["bodies"][0]["alwayson_scripts"]
    units = sent["controlnet"]["args"]
    np.testing.assert_array_equal(decode_picture(from_data_url(sent["image_link"])), photo)
    np.testing.assert_array_equal(
        np.squeeze(decode_picture(from_data_url(units[0]["image_link"]))), photo[:, :, 0]
    )
    assert units[1]["image_link"] == sent["image_link"]
    assert link in str(journal.list()[0].request)

    with pytest.raises(errors.ProfileError, match="storage"):
        engine_for(server, storage="none", name="bare").run(request, pictures=pictures)
    assert server.works() == 1
    unsent = next(task for task in journal.list() if task.profile == "bare")
    assert (unsent.state, unsent.sent, unsent.owner) == ("prepared", False, "")
    assert "names no storage" in unsent.message, "the row says why it was never sent"


def test_progress_and_intermediate_pictures_arrive(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    server.set(work_s=0.5)
    reports: list[Progress] = []
    engine_for(server).run(make_request(), progress=reports.append)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    sampling = [report for report in reports if report.stage == "sampling"]
    assert sampling
    assert sampling[0].preview is not None
    assert sampling[0].preview.shape == (4, 4, 3)
    assert sampling[0].message == "step by step"


def test_a_withheld_picture_is_reported_as_such(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    server.set(withhold=0)
    made = engine_for(server).run(make_request(n_iter=2))
    assert made.seeds == [8]
    assert len(made.images) == 1
    assert "Picture 1" in made.withheld[0]
    assert "porn" in made.withheld[0]


def test_the_clouds_ranges_are_checked_before_anything_is_written(
    shared: Shared, engine_for: EngineFor, journal: Journal
) -> None:
    server = shared("cloud")
    with pytest.raises(errors.InvalidRequest, match="width"):
        engine_for(server).run(make_request(width=1536))
    assert journal.list() == []
    other = shared("gateway")
    engine_for(other).run(make_request(width=1536))
    assert other.works() == 1


def test_profiles_do_not_share_tasks(shared: Shared, engine_for: EngineFor) -> None:
    server = shared("gateway")
    one: Any = engine_for(server, name="one").run(make_request())
    two: Any = engine_for(server, name="two").run(make_request())
    assert one.task_id != two.task_id
