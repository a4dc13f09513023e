"""The task journal: what was asked of which server, committed before it is asked.

SQLite in WAL mode, one connection per operation. A row is one *attempt* at one *intent* (server, profile,
request, nonce); the database's own unique keys keep two threads, processes or crashed predecessors from
working at the same one. States:

    prepared   written down, certainly not sent
    submitted  being sent, or sent without an answer so far: after a crash the fate is unknown
    running    the server has it
    done       results are on disk
    failed     the server refused it, or made nothing of it
    cancelled  stopped by the user, confirmed by the server or never sent
    uncertain  sent, no answer, and looking it up said nothing: the user decides
    lost       the server no longer knows it, or the user dropped it

Only `submitted`, `running` and `uncertain` can cost money unseen; they are never purged by age.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ..base import places
from ..base.errors import ImgOpenError, InvalidRequest
from ..base.log import scrub
from .journal_keeper import keep
from .journal_rows import (
    DAY_S,
    FINISHED,
    SCHEMA,
    SCHEMA_VERSION,
    UNFINISHED,
    Claim,
    Intent,
    State,
    Task,
    change,
    check_id,
    check_spend,
    remove_files,
    seconds_until_free,
    take,
    task_of,
)
from .lease import LEASE_S, is_held

__all__ = ["FINISHED", "UNFINISHED", "Claim", "Intent", "Journal", "State", "Task"]


class Journal:
    """The journal at `path` (default: tasks.sqlite in the data directory). Creating one touches no file."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else places.data_dir() / "tasks.sqlite"

    @property
    def results_dir(self) -> Path:
        """Where result files live: beside the journal."""
        return self.path.parent / "results"

    # --- one intent, from the wish to the end ---------------------------------------------------------

    def begin(self, intent: Intent, owner: str) -> Claim:
        """Find or write the row of an intent and take its lease, in one transaction.

        A predecessor that ended without result (failed, cancelled, lost) leads to a new attempt under a new
        id; one that the server never took leaves its place and id to the new row.
        """
        with self._write(durable=True) as db:
            row = db.execute(
                "SELECT * FROM task WHERE intent = ? ORDER BY attempt DESC LIMIT 1", (intent.key,)
            ).fetchone()
            last = task_of(row) if row is not None else None
            if last is None:
                return Claim("new", self._insert(db, intent, 1, owner))
            if last.state == "done":
                return Claim("done", last)
            if last.state in UNFINISHED:
                if last.owner != owner and is_held(last.owner, last.owner_until):
                    return Claim("elsewhere", last)
                take(db, last.row_id, owner)
                return Claim("resume", self._row(db, last.row_id))
            if not last.sent:
                db.execute("DELETE FROM task WHERE row_id = ?", (last.row_id,))
                return Claim("new", self._insert(db, intent, last.attempt, owner))
            return Claim("new", self._insert(db, intent, last.attempt + 1, owner))

    def adopt(self, server: str, profile: str, task_id: str, owner: str) -> Claim:
        """Take the lease of a known task by its id, or write down one that was submitted elsewhere."""
        check_id(task_id)
        with self._write(durable=True) as db:
            row = self._find(db, task_id, server, profile)
            if row is None:
                key = f"attached {server} {profile} {task_id}"
                intent = Intent(key, server, profile, "", task_id, True, "", "", {}, -1, 0)
                made = self._insert(db, intent, 1, owner)
                db.execute("UPDATE task SET state = 'running', sent = 1 WHERE row_id = ?", (made.row_id,))
                return Claim("resume", self._row(db, made.row_id))
            task = task_of(row)
            if task.state == "done":
                return Claim("done", task)
            if task.owner != owner and is_held(task.owner, task.owner_until):
                return Claim("elsewhere", task)
            take(db, task.row_id, owner)
            return Claim("resume", self._row(db, task.row_id))

    def renew(self, row_id: str, owner: str) -> bool:
        """Extend a lease; False when somebody else has it now."""
        with self._write() as db:
            changed = db.execute(
                "UPDATE task SET owner_until = ? WHERE row_id = ? AND owner = ?",
                (time.time() + LEASE_S, row_id, owner),
            )
            return changed.rowcount == 1

    def release(self, row_id: str, owner: str) -> None:
        """Give a lease back (no error when it is lost already)."""
        with self._write() as db:
            db.execute(
                "UPDATE task SET owner = '', owner_until = 0 WHERE row_id = ? AND owner = ?", (row_id, owner)
            )

    def mark_sending(self, row_id: str, owner: str, *, spend_limit: int = 0, per_minute: int = 0) -> float:
        """Commit, durably, that the submit leaves now; the last gate before money is spent.

        Returns 0.0 when the submit may leave, else the seconds to wait for the per-minute limit.

        Raises:
            ProfileError: the spend guard stops it.
            InvalidRequest: the row is not ours to send (lease lost, or state changed by somebody else).
        """
        now = time.time()
        with self._write(durable=True) as db:
            task = self._row(db, row_id)
            if task.owner != owner or task.state not in ("prepared", "submitted"):
                raise InvalidRequest(
                    f"Task {task.task_id} was taken over by another process (state {task.state}).",
                    "Run the same request again: it will wait for that one or return its result.",
                    task_id=task.task_id,
                )
            paid = db.execute("SELECT 1 FROM spend WHERE row_id = ?", (row_id,)).fetchone() is not None
            if not paid:
                wait_s = seconds_until_free(db, task, now, per_minute)
                if wait_s > 0:
                    return wait_s
                check_spend(db, task, now, spend_limit)
                db.execute(
                    "INSERT INTO spend VALUES (?, ?, ?, ?, ?)",
                    (row_id, task.server, task.profile, now, task.images),
                )
                db.execute("DELETE FROM spend WHERE at < ?", (now - 2 * DAY_S,))
            change(db, row_id, state="submitted", sent=1)
        return 0.0

    def mark_not_sent(self, row_id: str, state: State, message: str = "") -> None:
        """The submit certainly did not arrive or was refused: back to `prepared`, or `failed`; no cost."""
        with self._write(durable=True) as db:
            db.execute("DELETE FROM spend WHERE row_id = ?", (row_id,))
            change(db, row_id, state=state, sent=0, message=scrub(message))

    def mark_accepted(self, row_id: str, server_task_id: str) -> None:
        """The server has the task."""
        with self._write(durable=True) as db:
            change(db, row_id, state="running", sent=1, server_task_id=server_task_id, message="")

    def mark_arrived_late(self, row_id: str, server_task_id: str) -> bool:
        """The reply to a submit came after everybody had stopped waiting.

        True when nobody has taken the task up meanwhile (it is `running` now, and may be cancelled).
        """
        with self._write(durable=True) as db:
            task = self._row(db, row_id)
            if task.state != "submitted" or is_held(task.owner, task.owner_until):
                return False
            change(db, row_id, state="running", sent=1, server_task_id=server_task_id, message="")
            return True

    def set_state(self, row_id: str, state: State, message: str = "") -> None:
        """Any other change of state; `message` is scrubbed."""
        with self._write(durable=True) as db:
            change(db, row_id, state=state, message=scrub(message))

    def finish(self, row_id: str, result: Mapping[str, Any], files: Sequence[str]) -> None:
        """The results are on disk: `done`."""
        with self._write(durable=True) as db:
            change(
                db,
                row_id,
                state="done",
                sent=1,
                message="",
                result=json.dumps(result),
                files=json.dumps(list(files)),
            )

    # --- looking and tidying ----------------------------------------------------------------------------

    def get(self, row_id: str) -> Task:
        """The row of that key; KeyError never: a purged row is an `InvalidRequest`."""
        with self._read() as db:
            return self._row(db, row_id)

    def list(
        self, *, states: Iterable[str] = (), profile: str = "", server: str = "", most: int = 1000
    ) -> list[Task]:
        """Tasks, newest change first, filtered by states, profile and server where given."""
        wanted = tuple(states)
        where = ["1"]
        values: list[Any] = []
        if wanted:
            where.append(f"state IN ({','.join('?' * len(wanted))})")
            values += wanted
        for column, value in (("profile", profile), ("server", server)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        with self._read() as db:
            rows = db.execute(
                f"SELECT * FROM task WHERE {' AND '.join(where)} ORDER BY changed DESC LIMIT ?",
                (*values, most),
            ).fetchall()
        return [task_of(row) for row in rows]

    def show(self, task_id: str, *, server: str = "", profile: str = "") -> Task:
        """The newest task of that id (ours or the server's). Raises InvalidRequest when there is none."""
        check_id(task_id)
        with self._read() as db:
            row = self._find(db, task_id, server, profile)
        if row is None:
            raise InvalidRequest(
                f"The journal {self.path} knows no task {task_id!r}.", "Check the id and the profile."
            )
        return task_of(row)

    def resolve(self, task_id: str, choice: Literal["retry", "drop"]) -> Task:
        """The user's word about an uncertain task.

        `retry`: the next run of the same request submits it again under the same id. `drop`: it counts as
        lost; the next run is a new task. (To attach instead, use `RemoteEngine.attach`.)
        """
        task = self.show(task_id)
        if task.state not in ("uncertain", "submitted"):
            raise InvalidRequest(
                f"Task {task_id} is {task.state}, not uncertain.", "There is nothing to decide about it."
            )
        if choice == "retry":
            self.mark_not_sent(task.row_id, "prepared", "the user chose to submit again")
        else:
            self.set_state(task.row_id, "lost", "dropped by the user")
        return self.get(task.row_id)

    def purge(
        self, *, older_than_s: float = 0.0, states: Iterable[str] = FINISHED, task_ids: Iterable[str] = ()
    ) -> list[Task]:
        """Remove rows and their result files; by default every finished one. Returns what was removed.

        Args:
            older_than_s: only rows that did not change for so long.
            states: which states; unfinished ones must be named on purpose.
            task_ids: only these ids, if any are given.
        """
        named = {check_id(task_id) for task_id in task_ids}
        limit = time.time() - older_than_s
        gone = [
            task
            for task in self.list(states=states, most=-1)
            if task.changed <= limit
            and (not named or named & {task.task_id, task.server_task_id})
            and not is_held(task.owner, task.owner_until)
        ]
        with self._write() as db:
            db.executemany("DELETE FROM task WHERE row_id = ?", [(task.row_id,) for task in gone])
        for task in gone:
            remove_files(self.results_dir, task.files)
        return gone

    # --- SQLite -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _open(self, durable: bool) -> Generator[sqlite3.Connection, None, None]:
        self._make_file()
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=30.0, isolation_level=None)) as db:
                db.row_factory = sqlite3.Row
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._check_schema(db)
                keep(self.path)
                yield db
        except sqlite3.Error as error:
            raise ImgOpenError(
                f"The task journal {self.path} cannot be used: {error}.",
                "Close other programs that use it, check free space and permissions; if it is damaged, move "
                "it away (unfinished tasks can still be attached by id).",
            ) from error

    def _make_file(self) -> None:
        """The empty file, if there is none yet; only its owner can read it."""
        try:
            places.ensure(self.path.parent)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise ImgOpenError(
                f"The task journal {self.path} cannot be made: {error.strerror}.",
                "Its folder must be a folder you can write to; IMG_OPEN_HOME names another one.",
            ) from error

    def _check_schema(self, db: sqlite3.Connection) -> None:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version == SCHEMA_VERSION:
            return
        if version > SCHEMA_VERSION:
            raise ImgOpenError(
                f"The task journal {self.path} was written by a newer version of the pack.",
                "Update the pack, or move the file away.",
            )
        db.executescript(f"BEGIN IMMEDIATE;{SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    @contextlib.contextmanager
    def _read(self) -> Generator[sqlite3.Connection, None, None]:
        with self._open(durable=False) as db:
            yield db

    @contextlib.contextmanager
    def _write(self, durable: bool = False) -> Generator[sqlite3.Connection, None, None]:
        with self._open(durable) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _row(self, db: sqlite3.Connection, row_id: str) -> Task:
        row = db.execute("SELECT * FROM task WHERE row_id = ?", (row_id,)).fetchone()
        if row is None:
            raise InvalidRequest("The task was removed from the journal meanwhile.", "Run the request again.")
        return task_of(row)

    def _find(self, db: sqlite3.Connection, task_id: str, server: str, profile: str) -> sqlite3.Row | None:
        return db.execute(
            "SELECT * FROM task WHERE (task_id = :id OR (server_task_id = :id AND server_task_id != ''))"
            " AND (:server = '' OR server = :server) AND (:profile = '' OR profile = :profile)"
            " ORDER BY changed DESC LIMIT 1",
            {"id": task_id, "server": server, "profile": profile},
        ).fetchone()

    def _insert(self, db: sqlite3.Connection, intent: Intent, attempt: int, owner: str) -> Task:
        """Write a `prepared` row, under a free id: an id the request brings is kept while it is free."""
        row_id = uuid.uuid4().hex
        now = time.time()
        db.execute(
            "INSERT INTO task (row_id, intent, attempt, server, profile, operation, task_id, request_hash,"
            " nonce, request, seed, images, state, created, changed, owner, owner_until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'prepared', ?, ?, ?, ?)",
            (
                row_id,
                intent.key,
                attempt,
                intent.server,
                intent.profile,
                intent.operation,
                self._free_id(db, intent),
                intent.request_hash,
                intent.nonce,
                json.dumps(intent.request, ensure_ascii=False),
                intent.seed,
                intent.images,
                now,
                now,
                owner,
                now + LEASE_S,
            ),
        )
        return self._row(db, row_id)

    def _free_id(self, db: sqlite3.Connection, intent: Intent) -> str:
        number = 1
        while True:
            candidate = intent.task_id if number == 1 else f"{intent.task_id}-{number}"
            row = self._find(db, candidate, intent.server, intent.profile)
            if row is None:
                return candidate
            held = task_of(row)
            if held.state in FINISHED and not held.sent:  # it never became a task at the server
                db.execute("DELETE FROM task WHERE row_id = ?", (held.row_id,))
                return candidate
            number += 1
