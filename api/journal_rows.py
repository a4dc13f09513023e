"""The rows of the task journal: their columns, states, and the small steps on them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ..base.command import command
from ..base.errors import ImgOpenError, InvalidRequest, ProfileError
from .lease import LEASE_S
from .request_fields import text_problems

State = Literal["prepared", "submitted", "running", "done", "failed", "cancelled", "uncertain", "lost"]
UNFINISHED: tuple[State, ...] = ("prepared", "submitted", "running", "uncertain")
FINISHED: tuple[State, ...] = ("done", "failed", "cancelled", "lost")

DAY_S = 86400.0
MINUTE_S = 60.0
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS task (
    row_id TEXT PRIMARY KEY,
    intent TEXT NOT NULL, attempt INTEGER NOT NULL,
    server TEXT NOT NULL, profile TEXT NOT NULL, operation TEXT NOT NULL,
    task_id TEXT NOT NULL, server_task_id TEXT NOT NULL DEFAULT '',
    request_hash TEXT NOT NULL, nonce TEXT NOT NULL, request TEXT NOT NULL,
    seed INTEGER NOT NULL, images INTEGER NOT NULL,
    state TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL, changed REAL NOT NULL,
    owner TEXT NOT NULL DEFAULT '', owner_until REAL NOT NULL DEFAULT 0,
    files TEXT NOT NULL DEFAULT '[]', result TEXT NOT NULL DEFAULT '{}',
    UNIQUE (intent, attempt), UNIQUE (server, profile, task_id)
);
CREATE INDEX IF NOT EXISTS task_changed ON task (changed);
CREATE TABLE IF NOT EXISTS spend (
    row_id TEXT PRIMARY KEY, server TEXT NOT NULL, profile TEXT NOT NULL,
    at REAL NOT NULL, images INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS spend_at ON spend (server, profile, at);
"""


@dataclass(frozen=True)
class Intent:
    """What the user wants, independent of how often it was tried.

    Attributes:
        key: the unique key (server, profile, request, nonce), see `engines.remote_submit`.
        task_id: the id the request brings, or the one to use if it brings none.
        own_id: whether `task_id` comes from the request.
        request: the request as JSON, without secrets and without inline pictures.
        seed: what a seed of -1 becomes; kept with the row so that a resumed task keeps it.
        images: how many pictures it asks for.
    """

    key: str
    server: str
    profile: str
    operation: str
    task_id: str
    own_id: bool
    request_hash: str
    nonce: str
    request: Mapping[str, Any]
    seed: int
    images: int


@dataclass(frozen=True)
class Task:
    """One row.

    Attributes:
        sent: whether the server may know the id; False again after it refused the submit.
        files: paths of results.
        created, changed, owner_until: seconds since the epoch.
    """

    row_id: str
    intent: str
    attempt: int
    server: str
    profile: str
    operation: str
    task_id: str
    server_task_id: str
    request_hash: str
    nonce: str
    request: dict[str, Any]
    seed: int
    images: int
    state: State
    sent: bool
    message: str
    created: float
    changed: float
    owner: str
    owner_until: float
    files: list[str]
    result: dict[str, Any]

    @property
    def query_id(self) -> str:
        """The id to ask the server about."""
        return self.server_task_id or self.task_id


@dataclass(frozen=True)
class Claim:
    """What `Journal.begin` found: a `new` row, one to `resume`, one `done`, or one held `elsewhere`."""

    kind: Literal["new", "resume", "done", "elsewhere"]
    task: Task


def take(db: sqlite3.Connection, row_id: str, owner: str) -> None:
    db.execute(
        "UPDATE task SET owner = ?, owner_until = ? WHERE row_id = ?", (owner, time.time() + LEASE_S, row_id)
    )


def change(db: sqlite3.Connection, row_id: str, **values: Any) -> None:
    columns = ", ".join(f"{name} = ?" for name in values)
    db.execute(
        f"UPDATE task SET {columns}, changed = ? WHERE row_id = ?", (*values.values(), time.time(), row_id)
    )


def seconds_until_free(db: sqlite3.Connection, task: Task, now: float, per_minute: int) -> float:
    if per_minute <= 0:
        return 0.0
    times = [
        float(row[0])
        for row in db.execute(
            "SELECT at FROM spend WHERE server = ? AND profile = ? AND at > ? ORDER BY at DESC LIMIT ?",
            (task.server, task.profile, now - MINUTE_S, per_minute),
        )
    ]
    if len(times) < per_minute:
        return 0.0
    return min(MINUTE_S, max(0.0, times[-1] + MINUTE_S - now))  # a clock set back must not block for hours


def check_spend(db: sqlite3.Connection, task: Task, now: float, limit: int) -> None:
    if limit <= 0:
        return
    spent = int(
        db.execute(
            "SELECT COALESCE(SUM(images), 0) FROM spend WHERE server = ? AND profile = ? AND at > ?",
            (task.server, task.profile, now - DAY_S),
        ).fetchone()[0]
    )
    if spent + task.images > limit:
        raise ProfileError(
            f"The spend guard of profile {task.profile!r} stops here: {spent} images were submitted in the "
            f"last 24 hours, {task.images} more would exceed the limit of {limit}.",
            "Nothing was sent. Raise spend_limit_images in the profile (0 turns the guard off) or wait.",
            spent=spent,
            limit=limit,
        )


def check_id(task_id: str) -> str:
    """The id; a blank one is refused, it would fit every row that has no server id yet."""
    if not task_id.strip() or text_problems(task_id):
        raise InvalidRequest.field(
            "the task id",
            task_id,
            "a text, not empty",
            f"See the sidebar Img Open tasks, or `{command('tasks list')}`.",
        )
    return task_id


def task_of(row: sqlite3.Row) -> Task:
    """The row as a `Task`. Raises ImgOpenError, naming the row, when its JSON is damaged."""
    values: dict[str, Any] = {name: row[name] for name in row.keys()}  # noqa: SIM118  # a Row is no mapping
    values["sent"] = bool(values["sent"])
    for name in ("request", "files", "result"):
        wanted: type = list if name == "files" else dict
        try:
            values[name] = json.loads(cast("str", values[name]))
        except (TypeError, ValueError, RecursionError):
            values[name] = None
        if not isinstance(values[name], wanted):
            raise ImgOpenError(
                f"The task journal's row of task {values['task_id']} is damaged: its {name!r} is not JSON.",
                "Remove the row with any SQLite tool (DELETE FROM task WHERE row_id = "
                f"'{values['row_id']}'), or move the journal tasks.sqlite away.",
                task_id=str(values["task_id"]),
            )
    return Task(**values)


def remove_files(results_dir: Path, files: Iterable[str]) -> None:
    """Delete result files that lie inside the results directory, and their folder when it is empty."""
    root = results_dir.resolve()
    for name in files:
        path = Path(name)
        if root not in path.resolve().parents:
            continue
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
