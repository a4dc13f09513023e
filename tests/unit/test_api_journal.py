"""The journal: one owner per intent, states that survive, limits that hold over processes, tidy purging."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from img_open.api import lease
from img_open.api.journal import FINISHED, UNFINISHED, Intent, Journal, State
from img_open.api.lease import Heartbeat, new_owner
from img_open.base.errors import ImgOpenError, InvalidRequest, ProfileError

WISH = Intent(
    key="wish",
    server="http://127.0.0.1:1",
    profile="test",
    operation="sd_text2image_v2",
    task_id="io-1",
    own_id=False,
    request_hash="hash",
    nonce="",
    request={"prompt": "灯塔"},
    seed=7,
    images=2,
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "deep" / "tasks.sqlite")


def wish(key: str, **changes: object) -> Intent:
    return dataclasses.replace(WISH, key=key, **{"task_id": f"io-{key}", **changes})


def test_making_a_journal_touches_no_file(journal: Journal) -> None:
    assert not journal.path.parent.exists()
    assert journal.list() == []
    if os.name == "posix":
        assert journal.path.stat().st_mode & 0o777 == 0o600
        assert journal.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_row_keeps_everything(journal: Journal) -> None:
    claim = journal.begin(WISH, new_owner())
    assert claim.kind == "new"
    task = journal.show("io-1")
    assert task == claim.task
    assert (task.request, task.seed, task.images, task.state) == ({"prompt": "灯塔"}, 7, 2, "prepared")
    journal.mark_accepted(task.row_id, "server-9")
    assert journal.show("server-9").query_id == "server-9"
    journal.finish(task.row_id, {"seeds": [7, 8]}, ["a.png", "b.png"])
    done = journal.begin(WISH, new_owner())
    assert (done.kind, done.task.files, done.task.result) == ("done", ["a.png", "b.png"], {"seeds": [7, 8]})


def test_the_row_before_a_submit_is_synchronised_to_the_disk(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """synchronous=FULL (2) and WAL are in force on the very connection that writes the row."""
    seen: list[tuple[int, str]] = []
    insert = Journal._insert

    def spy(self: Journal, db: sqlite3.Connection, *rest: object) -> object:
        modes = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
        seen.append((modes[0], modes[1]))
        return insert(self, db, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "_insert", spy)
    journal.begin(WISH, new_owner())
    assert seen == [(2, "wal")]


def test_a_held_intent_is_elsewhere_until_released_expired_or_dead(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = new_owner(), new_owner()
    row_id = journal.begin(WISH, first).task.row_id
    assert journal.begin(WISH, second).kind == "elsewhere"
    journal.release(row_id, first)
    assert journal.begin(WISH, second).kind == "resume"
    assert not journal.renew(row_id, first)
    assert journal.renew(row_id, second)

    later = time.time() + lease.LEASE_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert journal.begin(WISH, first).kind == "resume"


@pytest.mark.skipif(os.name != "posix", reason="elsewhere only the lease's end tells")
def test_a_dead_process_holds_nothing(journal: Journal) -> None:
    owner = new_owner()
    dead = owner.replace(f":{os.getpid()}:", ":999999999:")
    assert journal.begin(WISH, dead).kind == "new"
    assert journal.begin(WISH, owner).kind == "resume"


def test_a_former_owner_cannot_send(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = new_owner(), new_owner()
    row_id = journal.begin(WISH, first).task.row_id
    later = time.time() + lease.LEASE_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert journal.begin(WISH, second).kind == "resume"
    with pytest.raises(InvalidRequest, match="taken over"):
        journal.mark_sending(row_id, first)
    assert journal.mark_sending(row_id, second) == 0.0
    with pytest.raises(InvalidRequest, match="taken over"):
        journal.mark_accepted(row_id, "") or journal.mark_sending(row_id, second)


@pytest.mark.parametrize("state", ["failed", "cancelled", "lost"])
def test_what_ended_badly_is_a_new_attempt_under_a_new_id(state: State, journal: Journal) -> None:
    row_id = journal.begin(WISH, new_owner()).task.row_id
    journal.mark_sending(row_id, journal.get(row_id).owner)
    journal.set_state(row_id, state)
    again = journal.begin(WISH, new_owner())
    assert (again.kind, again.task.attempt, again.task.task_id) == ("new", 2, "io-1-2")
    assert len(journal.list()) == 2


def test_an_id_that_was_refused_is_free_again(journal: Journal) -> None:
    row_id = journal.begin(WISH, new_owner()).task.row_id
    journal.mark_not_sent(row_id, "failed", "refused")
    assert journal.begin(WISH, new_owner()).task.task_id == "io-1"
    corrected = journal.begin(wish("corrected", task_id="io-1"), new_owner())
    assert corrected.task.task_id == "io-1-2", "while it is prepared for another intent it is taken"
    journal.mark_not_sent(journal.show("io-1").row_id, "failed")
    assert journal.begin(wish("third", task_id="io-1"), new_owner()).task.task_id == "io-1"


def test_a_late_answer_counts_only_while_nobody_has_taken_the_task_up(journal: Journal) -> None:
    owner = new_owner()
    row_id = journal.begin(WISH, owner).task.row_id
    journal.mark_sending(row_id, owner)
    assert not journal.mark_arrived_late(row_id, "s"), "its owner still works at it"
    journal.release(row_id, owner)
    assert journal.mark_arrived_late(row_id, "s")
    assert not journal.mark_arrived_late(row_id, "s")
    assert journal.get(row_id).query_id == "s"


def test_sixteen_threads_and_one_intent(journal: Journal) -> None:
    barrier = threading.Barrier(16)

    def begin(_: int) -> str:
        barrier.wait()
        return journal.begin(WISH, new_owner()).kind

    with ThreadPoolExecutor(16) as pool:
        kinds = sorted(pool.map(begin, range(16)))
    assert kinds == ["elsewhere"] * 15 + ["new"]
    assert len(journal.list()) == 1


def test_processes_make_the_journal_together(tmp_path: Path) -> None:
    """Four processes open a journal that does not exist yet, at once; none fails and one gets the row."""
    path = tmp_path / "new" / "tasks.sqlite"
    code = textwrap.dedent("""
        import sys
        from img_open.api.journal import Intent, Journal
        from img_open.api.lease import new_owner
        wish = Intent("k", "s", "p", "o", "id", False, "h", "", {}, 1, 1)
        sys.stdin.readline()
        print(Journal(sys.argv[1]).begin(wish, new_owner()).kind)
        sys.stdout.flush()
        sys.stdin.readline()
    """)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    kinds = sorted(process.stdout.readline().strip() for process in processes if process.stdout is not None)
    for process in processes:
        process.communicate("end\n", timeout=30)
    assert kinds == ["elsewhere", "elsewhere", "elsewhere", "new"]


def test_the_spend_guard_counts_over_rows_and_gives_refused_ones_back(journal: Journal) -> None:
    owner = new_owner()
    rows = [journal.begin(wish(str(number)), owner).task.row_id for number in range(3)]
    journal.mark_sending(rows[0], owner, spend_limit=4)
    journal.mark_sending(rows[0], owner, spend_limit=4)  # the same task again costs nothing
    journal.mark_sending(rows[1], owner, spend_limit=4)
    with pytest.raises(ProfileError, match=r"4 images .* 2 more .* limit of 4") as caught:
        journal.mark_sending(rows[2], owner, spend_limit=4)
    assert "0 turns the guard off" in str(caught.value)
    assert journal.get(rows[2]).state == "prepared"
    journal.mark_not_sent(rows[1], "failed")
    journal.mark_sending(rows[2], owner, spend_limit=4)
    other = journal.begin(wish("elsewhere", profile="other"), owner).task.row_id
    journal.mark_sending(other, owner, spend_limit=4)  # profiles count for themselves


def test_purging_does_not_reset_the_spend_guard(journal: Journal) -> None:
    owner = new_owner()
    row_id = journal.begin(WISH, owner).task.row_id
    journal.mark_sending(row_id, owner)
    journal.finish(row_id, {}, [])
    journal.release(row_id, owner)
    assert [task.task_id for task in journal.purge()] == ["io-1"]
    second = journal.begin(wish("second"), owner).task.row_id
    with pytest.raises(ProfileError, match="spend guard"):
        journal.mark_sending(second, owner, spend_limit=3)


def test_per_minute_says_how_long_to_wait(journal: Journal) -> None:
    owner = new_owner()
    rows = [journal.begin(wish(str(number)), owner).task.row_id for number in range(3)]
    assert journal.mark_sending(rows[0], owner, per_minute=2) == 0
    assert journal.mark_sending(rows[1], owner, per_minute=2) == 0
    assert 55 < journal.mark_sending(rows[2], owner, per_minute=2) <= 60
    assert journal.get(rows[2]).state == "prepared"


def test_purge_removes_finished_rows_and_only_their_own_files(journal: Journal, tmp_path: Path) -> None:
    keep = tmp_path / "not-ours.png"
    keep.write_bytes(b"x")
    folder = journal.results_dir / "io-done"
    folder.mkdir(parents=True)
    (folder / "image_00.png").write_bytes(b"x")
    for number, state in enumerate((*UNFINISHED, *FINISHED)):
        owner = new_owner()
        task = journal.begin(wish(state, task_id=f"{number}-{state}"), owner).task
        journal.set_state(task.row_id, state)
        if state == "done":
            journal.finish(task.row_id, {}, [str(folder / "image_00.png"), str(keep)])
        journal.release(task.row_id, owner)
    assert journal.purge(older_than_s=60) == []
    assert {task.state for task in journal.purge()} == set(FINISHED)
    assert {task.state for task in journal.list()} == set(UNFINISHED)
    assert keep.exists()
    assert not folder.exists()
    assert [task.state for task in journal.purge(states=["uncertain"])] == ["uncertain"]


def test_list_filters_and_show_explains(journal: Journal) -> None:
    for key in ("a", "b"):
        journal.begin(wish(key, profile=key), new_owner())
    assert [task.profile for task in journal.list(profile="a")] == ["a"]
    assert journal.list(states=["done"]) == []
    with pytest.raises(InvalidRequest, match="knows no task 'nope'"):
        journal.show("nope")
    with pytest.raises(InvalidRequest, match="prepared, not uncertain"):
        journal.resolve("io-a", "drop")


def test_messages_are_scrubbed(journal: Journal) -> None:
    row_id = journal.begin(WISH, new_owner()).task.row_id
    journal.set_state(row_id, "failed", "see https://e.com/x.png?X-Amz-Signature=abc&y=1")
    assert "abc" not in journal.get(row_id).message


def test_a_damaged_or_newer_journal_is_refused_with_advice(journal: Journal) -> None:
    journal.list()
    with sqlite3.connect(journal.path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ImgOpenError, match="newer version"):
        journal.list()
    for name in journal.path.parent.iterdir():
        name.write_bytes(b"this is no database, whatever its name says" * 50)
    with pytest.raises(ImgOpenError, match="move it away"):
        journal.begin(WISH, new_owner())


def test_a_heartbeat_beats_until_the_lease_is_lost() -> None:
    beats: list[float] = []

    def renew() -> bool:
        beats.append(time.monotonic())
        return len(beats) < 3

    with Heartbeat(renew, every_s=0.02):
        time.sleep(0.3)
    assert len(beats) == 3


def test_a_lease_from_a_clock_that_was_ahead_does_not_block(journal: Journal) -> None:
    task = journal.begin(WISH, "another-machine:1:a").task
    assert journal.begin(WISH, "another-machine:2:b").kind == "elsewhere"
    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE task SET owner_until = ?", (time.time() + 365 * 86400,))
    taken = journal.begin(WISH, "another-machine:2:b")
    assert (taken.kind, taken.task.row_id) == ("resume", task.row_id)


def test_a_blank_id_fits_no_row(journal: Journal) -> None:
    journal.begin(WISH, new_owner())
    for blank in ("", " "):
        with pytest.raises(InvalidRequest, match="the task id"):
            journal.show(blank)
        with pytest.raises(InvalidRequest, match="the task id"):
            journal.adopt(WISH.server, WISH.profile, blank, new_owner())
        with pytest.raises(InvalidRequest, match="the task id"):
            journal.resolve(blank, "drop")


@pytest.mark.parametrize(("column", "text"), [("request", "{broken"), ("files", "{}"), ("result", "[1]")])
def test_a_damaged_row_is_named(journal: Journal, column: str, text: str) -> None:
    journal.begin(WISH, new_owner())
    with sqlite3.connect(journal.path) as db:
        db.execute(f"UPDATE task SET {column} = ?", (text,))
    with pytest.raises(ImgOpenError, match=f"io-1.*{column}"):
        journal.list()


def test_a_home_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImgOpenError, match="file"):
        Journal(tmp_path / "file" / "tasks.sqlite").list()
