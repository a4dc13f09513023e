"""The tasks in SQLite: whatever happens to the process, none is lost.

A connection per operation, write-ahead log, full synchronisation: when a submit was answered, its row is on
the disk. One gateway works on a folder at a time (see `FolderLock`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..base.errors import Busy
from .answers import TaskConflict, UnknownTask, cannot_use

State = Literal["queued", "running", "done", "failed", "cancelled"]
Family = Literal["sd", "tool"]
MAX_STARTS = 3
_INCREMENTAL = 2  # SQLite's number for auto_vacuum = INCREMENTAL

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key_id TEXT NOT NULL,
    family TEXT NOT NULL,
    task_id TEXT NOT NULL,
    server_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    body TEXT,
    state TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    cancel_wanted INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    finished REAL,
    output TEXT NOT NULL DEFAULT '{}',
    UNIQUE (key_id, family, task_id)
);
CREATE INDEX IF NOT EXISTS tasks_by_state ON tasks (state, seq);
"""
_COLUMNS = (
    "seq, key_id, family, task_id, server_id, operation, body_hash, state, description, cancel_wanted, output"
)


@dataclass(frozen=True)
class Output:
    """What a finished task made.

    Attributes:
        images: per picture `file` (name in the results folder), `seed`, `audit` (list of entries).
        control_files: names of the control images.
        infos: `field`, `verdict`, `message` each.
        withheld: one text per picture that is not handed out.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    control_files: list[str] = field(default_factory=list)
    infos: list[dict[str, str]] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    def files(self) -> list[str]:
        """All files this output keeps alive."""
        return [str(image["file"]) for image in self.images] + self.control_files


@dataclass(frozen=True)
class Task:
    """One row, without its body."""

    seq: int
    key_id: str
    family: Family
    task_id: str
    server_id: str
    operation: str
    body_hash: str
    state: State
    description: str
    cancel_wanted: bool
    output: Output


class TaskStore:
    """All tasks of one gateway. Every method is one transaction and may be called from any thread.

    Raises:
        InvalidRequest: the file cannot be used, or is no task file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.touch(mode=0o600)  # requests are their owners' business, whatever the folder's mode
            with self._connection() as db:
                _let_it_shrink(db)
                db.executescript(_SCHEMA)
                db.execute(f"SELECT {_COLUMNS}, body, created, finished, starts FROM tasks LIMIT 0")
        except (OSError, sqlite3.Error) as error:
            raise cannot_use(path, error) from error

    def submit(
        self, key_id: str, family: Family, task_id: str, operation: str, body: dict[str, Any], limit: int
    ) -> tuple[Task, bool]:
        """Files a task, or finds the one that was filed for the same id and body.

        Returns:
            The task, and whether it is new.

        Raises:
            TaskConflict: the id is in use for another body.
            Busy: `limit` tasks are waiting or running.
        """
        digest = body_digest(operation, body)
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            found = _one(db, "key_id = ? AND family = ? AND task_id = ?", key_id, family, task_id)
            if found is not None:
                if found.body_hash == digest:
                    return found, False
                raise TaskConflict(
                    f"The task id {task_id!r} is already in use for another request.",
                    "Send a new id with a new request; the same id only with the very same body.",
                    field="id_task" if family == "sd" else "businessTaskId",
                )
            unfinished = "SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')"
            (open_tasks,) = db.execute(unfinished).fetchone()
            if open_tasks >= limit:
                raise Busy(
                    f"The server is busy: {open_tasks} tasks are waiting or running, which is its limit.",
                    "Send the same request again in a while.",
                )
            db.execute(
                "INSERT INTO tasks"
                " (key_id, family, task_id, server_id, operation, body_hash, body, created, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued')",
                (key_id, family, task_id, uuid.uuid4().hex, operation, digest, json.dumps(body), time.time()),
            )
            task = _one(db, "key_id = ? AND family = ? AND task_id = ?", key_id, family, task_id)
            db.execute("COMMIT")
        return _present(task), True

    def find(self, key_id: str, family: Family, task_id: str) -> Task:
        """The task. Raises UnknownTask if this key has none of that id."""
        with self._connection() as db:
            task = _one(db, "key_id = ? AND family = ? AND task_id = ?", key_id, family, task_id)
        if task is None:
            raise UnknownTask(
                f"There is no task {task_id!r}.", "It was never submitted with this key, or it was purged."
            )
        return task

    def get(self, seq: int) -> Task:
        """The row of a number that is known to exist."""
        with self._connection() as db:
            return _present(_one(db, "seq = ?", seq))

    def ahead_of(self, seq: int) -> int:
        """How many unfinished tasks come before this one."""
        with self._connection() as db:
            query = "SELECT count(*) FROM tasks WHERE state IN ('queued', 'running') AND seq < ?"
            (number,) = db.execute(query, (seq,)).fetchone()
        return int(number)

    def unfinished(self) -> int:
        """How many tasks are waiting or running."""
        with self._connection() as db:
            (number,) = db.execute(
                "SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')"
            ).fetchone()
        return int(number)

    def claim(self) -> tuple[Task, dict[str, Any]] | None:
        """Takes the oldest waiting task to work on, with its body; None if nothing waits."""
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            task = _one(db, "state = 'queued' ORDER BY seq LIMIT 1")
            if task is None:
                return None
            db.execute("UPDATE tasks SET state = 'running', starts = starts + 1 WHERE seq = ?", (task.seq,))
            (body,) = db.execute("SELECT body FROM tasks WHERE seq = ?", (task.seq,)).fetchone()
            db.execute("COMMIT")
        return task, json.loads(body)

    def finish(self, seq: int, output: Output) -> None:
        """The task is done. Its body goes; its hash stays, so that the id keeps its meaning."""
        self._close(seq, "done", "success", output)

    def fail(self, seq: int, description: str) -> None:
        """The task failed, for the reason given (already scrubbed)."""
        self._close(seq, "failed", description, Output())

    def cancelled(self, seq: int) -> None:
        """The task was stopped because its owner asked."""
        self._close(seq, "cancelled", "cancelled", Output())

    def put_back(self, seq: int) -> None:
        """The server stops before the task is done: it waits for the next start, which is not its fault."""
        with self._connection() as db:
            db.execute("UPDATE tasks SET state = 'queued', starts = starts - 1 WHERE seq = ?", (seq,))

    def want_cancel(self, key_id: str, family: Family, task_id: str) -> Task:
        """Notes the wish to cancel; a waiting task ends at once, a running one is the worker's to stop.

        Raises:
            UnknownTask: see `find`.
        """
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            task = _one(db, "key_id = ? AND family = ? AND task_id = ?", key_id, family, task_id)
            if task is not None:
                db.execute("UPDATE tasks SET cancel_wanted = 1 WHERE seq = ?", (task.seq,))
                _end(db, task.seq, "cancelled", "cancelled", Output(), "queued")
            db.execute("COMMIT")
        return self.find(key_id, family, task_id)

    def recover(self) -> tuple[int, int]:
        """After a start: what was running waits again, unless it was cancelled or keeps killing the server.

        Returns:
            How many wait again, and how many were given up.
        """
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            rows = db.execute(
                "SELECT seq, starts, cancel_wanted FROM tasks WHERE state = 'running'"
            ).fetchall()
            given_up = 0
            for seq, starts, cancel_wanted in rows:
                if cancel_wanted:
                    _end(db, seq, "cancelled", "cancelled", Output(), "running")
                elif starts >= MAX_STARTS:
                    text = f"given up: the server ended {starts} times while it worked on this task"
                    _end(db, seq, "failed", text, Output(), "running")
                else:
                    db.execute("UPDATE tasks SET state = 'queued' WHERE seq = ?", (seq,))
                    continue
                given_up += 1
            db.execute("COMMIT")
        return len(rows) - given_up, given_up

    def purge(self, before: float) -> list[str]:
        """Forgets tasks that ended before a time (seconds since 1970) and returns their files."""
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            rows = db.execute("SELECT output FROM tasks WHERE finished < ?", (before,)).fetchall()
            db.execute("DELETE FROM tasks WHERE finished < ?", (before,))
            db.execute("COMMIT")
            # Bodies that went left free pages behind, whether or not a task was old enough.
            # (`execute` would take one step of it, a page.)
            db.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")
        return [name for (text,) in rows for name in _output(text).files()]

    def known_files(self) -> set[str]:
        """Every file that some task keeps alive."""
        with self._connection() as db:
            rows = db.execute("SELECT output FROM tasks WHERE state = 'done'").fetchall()
        return {name for (text,) in rows for name in _output(text).files()}

    def _close(self, seq: int, state: State, description: str, output: Output) -> None:
        with self._connection() as db:
            _end(db, seq, state, description, output, "running")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")  # a body that went is gone from the file too
            yield db
        finally:
            db.close()  # an open transaction is rolled back


def _let_it_shrink(db: sqlite3.Connection) -> None:
    """Lets free pages be given back to the disk; a file of an earlier version is rewritten once."""
    (mode,) = db.execute("PRAGMA auto_vacuum").fetchone()
    if mode != _INCREMENTAL:
        db.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        db.execute("VACUUM")


def body_digest(operation: str, body: dict[str, Any]) -> str:
    """Equal for equal JSON values sent to the same operation; `1` and `1.0` are one value."""
    text = json.dumps([operation, _normal(body)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    return value


def _one(db: sqlite3.Connection, where: str, *values: object) -> Task | None:
    # `where` is one of this file's own texts, never a caller's.
    row = db.execute(f"SELECT {_COLUMNS} FROM tasks WHERE {where}", values).fetchone()
    if row is None:
        return None
    *plain, cancel_wanted, output = row
    return Task(*plain, cancel_wanted=bool(cancel_wanted), output=_output(output))


def _present(task: Task | None) -> Task:
    if task is None:
        raise UnknownTask("The task was purged in the meantime.", "Submit it again.")
    return task


def _output(text: str) -> Output:
    return Output(**json.loads(text))


def _end(
    db: sqlite3.Connection, seq: int, state: State, description: str, output: Output, only_from: State
) -> None:
    # An error may quote anything; a lone surrogate is no text that SQLite takes, and the task must end.
    description = description.encode("utf-8", "backslashreplace").decode("utf-8")
    db.execute(
        "UPDATE tasks SET state = ?, description = ?, output = ?, finished = ?, body = NULL"
        " WHERE seq = ? AND state = ?",
        (state, description, json.dumps(output.__dict__), time.time(), seq, only_from),
    )
