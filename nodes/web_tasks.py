"""The task journal for the sidebar: rows, pictures, live progress, and what people can do with a task."""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..api.journal import FINISHED, UNFINISHED, Journal, Task
from ..api.lease import is_held
from ..base.errors import ImgOpenError, InvalidRequest
from ..base.log import get_logger, scrub

THUMBNAIL = 96  # pixels, longer side
MOST = 1000  # rows
_PROMPT = 160  # characters of a prompt in a row
_ASK_MOST = 8  # running tasks whose server is asked for progress at once
_FRESH_S = 1.5  # how long an answer about progress counts

_log = get_logger("nodes.web")


def stamp(journal: Journal) -> str:
    """A text that changes whenever the journal may have changed, for little: sizes and times of its files."""
    parts: list[str] = []
    for path in (journal.path, journal.path.with_name(journal.path.name + "-wal")):
        try:
            info = path.stat()
        except OSError:
            continue
        parts.append(f"{info.st_mtime_ns:x}.{info.st_size:x}")
    return "-".join(parts) or "empty"


def rows(journal: Journal) -> list[dict[str, Any]]:
    """The newest tasks as the sidebar shows them, newest change first."""
    if not journal.path.exists():
        return []
    return [row(task) for task in journal.list(most=MOST)]


def row(task: Task) -> dict[str, Any]:
    """One task without its request."""
    made = len(task.files) - int(task.result.get("controls", 0)) - int(task.result.get("media", 0))
    return {
        "id": task.row_id,
        "task_id": task.task_id,
        "state": task.state,
        "profile": task.profile,
        "server": task.server,
        "operation": task.operation,
        "prompt": " ".join(str(task.request.get("prompt", "")).split())[:_PROMPT],
        "images": task.images,
        "sent": task.sent,
        "made": max(made, 0),
        "seeds": list(task.result.get("seeds", []))[:64],
        "audits": list(task.result.get("audits", []))[:64],
        "withheld": len(task.result.get("withheld", [])),
        "message": scrub(task.message)[:400],
        "created": task.created,
        "changed": task.changed,
        "held": is_held(task.owner, task.owner_until),
    }


def find(journal: Journal, key: str) -> Task:
    """A task by its row or by its id; raises InvalidRequest when there is none."""
    try:
        return journal.get(key)
    except InvalidRequest:
        return journal.show(key)


# --- pictures -----------------------------------------------------------------------------------------------


def picture_path(journal: Journal, task: Task, number: int) -> Path:
    """A result file of a task, which must lie in the journal's own folder."""
    if not 0 <= number < len(task.files):
        raise InvalidRequest(f"Task {task.task_id} has no picture {number}.", "It may have been purged.")
    path = Path(task.files[number]).resolve()
    if journal.results_dir.resolve() not in path.parents or not path.is_file():
        raise InvalidRequest(f"The file of picture {number} is gone.", "Re-attach the task to get it again.")
    return path


def thumbnail(journal: Journal, task: Task) -> bytes:
    """The first picture as a small JPEG."""
    path = picture_path(journal, task, 0)
    return _thumbnail(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _thumbnail(path: str, changed_ns: int) -> bytes:
    import io

    from PIL import Image

    with Image.open(path) as picture:
        picture.draft("RGB", (THUMBNAIL * 2, THUMBNAIL * 2))
        small = picture.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=80)
    return out.getvalue()


# --- what is going on ---------------------------------------------------------------------------------------


class Live:
    """Progress of unfinished tasks: of those this process was told to wait for, and of those on a gateway.

    The cloud's answer has no published progress, so it is not asked. One question per task in 1.5 s, and only
    while a sidebar is looking.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, dict[str, Any]] = {}
        self._asked: dict[str, tuple[float, dict[str, Any]]] = {}

    def all(self, journal: Journal) -> dict[str, dict[str, Any]]:
        """Row -> {"fraction": 0..1 or None, "stage": text, "error": text}."""
        if not journal.path.exists():
            return {}
        open_tasks = journal.list(states=("submitted", "running"), most=64)
        found: dict[str, dict[str, Any]] = {}
        for task in open_tasks[:_ASK_MOST]:
            answer = self._ask(task)
            if answer:
                found[task.row_id] = answer
        with self._lock:
            found.update({key: dict(job) for key, job in self._jobs.items()})
        return found

    def attach(self, journal: Journal, task: Task) -> None:
        """Wait for a task in the background; its pictures come into the journal's folder."""
        from ..engines.remote_tools import ToolRunner
        from ..engines.tasks_command import profile_of
        from ..engines.types import Progress

        engine = ToolRunner(profile_of(task), journal).engine_of(task.task_id)
        with self._lock:
            if task.row_id in self._jobs and not self._jobs[task.row_id]["error"]:
                return
            self._jobs[task.row_id] = {"fraction": None, "stage": "attaching", "error": ""}

        def told(report: Progress) -> None:
            with self._lock:
                self._jobs[task.row_id] = {"fraction": report.fraction, "stage": report.stage, "error": ""}

        def work() -> None:
            try:
                engine.attach(task.task_id, told)
            except ImgOpenError as error:
                self._end(task.row_id, scrub(str(error)))
            except Exception as error:
                _log.error("Attaching %s failed: %s", task.task_id, scrub(str(error)))
                self._end(task.row_id, f"The pack failed: {type(error).__name__}. See the log.")
            else:
                self._end(task.row_id, "")

        threading.Thread(target=work, name="img-open-attach", daemon=True).start()

    def _end(self, key: str, error: str) -> None:
        with self._lock:
            if error:
                self._jobs[key] = {"fraction": None, "stage": "", "error": error}
            else:
                self._jobs.pop(key, None)

    def _ask(self, task: Task) -> dict[str, Any]:
        from ..api.client import Client
        from ..api.retry import Backoff
        from ..api.transport import Timeouts
        from ..engines.tasks_command import profile_of

        when, answer = self._asked.get(task.row_id, (0.0, {}))
        if time.monotonic() - when < _FRESH_S:
            return answer
        answer = {}
        try:
            profile = profile_of(task)
            if profile.dialect == "gateway":
                client = Client(profile, timeouts=Timeouts(1.0, 2.0, 3.0), backoff=Backoff(attempts=1))
                try:
                    info = client.task_info(task.query_id, patient=False)
                finally:
                    client.close()
                if info.temporary is not None:
                    answer = {"fraction": info.temporary.progress, "stage": info.temporary.stage or ""}
                    answer["error"] = ""
        except ImgOpenError as error:
            _log.debug("No progress of %s: %s", task.task_id, error.code)
        if len(self._asked) > 256:
            self._asked.clear()
        self._asked[task.row_id] = (time.monotonic(), answer)
        return answer


# --- what people do -----------------------------------------------------------------------------------------


def act(journal: Journal, live: Live, task: Task, action: str) -> dict[str, Any]:
    """Cancel, re-attach, retry or drop; returns the row afterwards.

    Raises:
        InvalidRequest: no such action, or not in this state.
        Unsupported: the cloud has no call that cancels.
    """
    if action == "cancel":
        from ..engines.remote_tools import ToolRunner
        from ..engines.tasks_command import profile_of

        if task.state == "prepared" and not is_held(task.owner, task.owner_until):
            journal.set_state(task.row_id, "cancelled", "stopped by the user before it was sent")
        else:
            ToolRunner(profile_of(task), journal).engine_of(task.task_id).cancel(task.task_id)
    elif action == "attach":
        live.attach(journal, task)
    elif action in ("retry", "drop"):
        journal.resolve(task.task_id, "retry" if action == "retry" else "drop")
    elif action == "purge":
        if task.state in UNFINISHED:
            raise InvalidRequest(f"Task {task.task_id} is {task.state}.", "Cancel or drop it first.")
        gone = journal.purge(states=(task.state,), task_ids=(task.task_id,))
        return {"purged": [one.row_id for one in gone]}
    else:
        raise InvalidRequest.field("action", action, "cancel, attach, retry, drop or purge")
    return row(journal.get(task.row_id))


def purge(journal: Journal, days: float) -> int:
    """Remove finished tasks that did not change for so many days; how many there were."""
    if not journal.path.exists():
        return 0
    return len(journal.purge(older_than_s=max(days, 0.0) * 86400.0, states=FINISHED))
