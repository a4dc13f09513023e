"""The task journal for the sidebar: rows, pictures, live progress, and what people can do with a task."""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.journal import FINISHED, UNFINISHED, Journal, Task
from ..api.lease import is_held
from ..base.errors import ImgOpenError, InvalidRequest
from ..base.log import get_logger, scrub

if TYPE_CHECKING:
    from ..api.models import TaskInfo

THUMBNAIL = 96  # pixels, longer side
MOST = 1000  # rows
_PROMPT = 160  # characters of a prompt in a row
_ASK_MOST = 8  # running tasks whose server is asked for progress at once
# How long an answer about progress counts. The cloud tells no percentage: it is asked less often.
_FRESH_S = {"gateway": 1.5, "cloud": 6.0}
_LARGEST_PICTURE = 400_000  # characters of an intermediate picture; a gateway of ours sends about 40 000

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
    """Progress of unfinished tasks, asked of their servers, and of those this process was told to wait for.

    One question per task in `_FRESH_S`, and only while a sidebar is looking.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, dict[str, Any]] = {}
        self._asked: dict[str, tuple[float, dict[str, Any]]] = {}

    def all(self, journal: Journal) -> dict[str, dict[str, Any]]:
        """Row -> how the task stands.

        Each has `elapsed` (seconds since it was filed), and as far as the server tells: `fraction` (0..1 or
        None), `stage`, `desc` (its own words), `picture` (a data URL or an empty text), `error`.
        """
        if not journal.path.exists():
            return {}
        open_tasks = journal.list(states=("submitted", "running"), most=64)
        now = time.time()
        found = {task.row_id: {**_NOTHING, "elapsed": max(now - task.created, 0.0)} for task in open_tasks}
        for task in open_tasks[:_ASK_MOST]:
            found[task.row_id].update(self._ask(journal, task))
        with self._lock:
            for key, job in self._jobs.items():
                told = {name: value for name, value in job.items() if value or name == "error"}
                found[key] = {**_NOTHING, **found.get(key, {}), **told}
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

    def _ask(self, journal: Journal, task: Task) -> dict[str, Any]:
        from ..api.retry import Backoff
        from ..api.transport import Timeouts
        from ..engines.remote_tools import ToolRunner
        from ..engines.tasks_command import profile_of

        until, answer = self._asked.get(task.row_id, (0.0, {}))
        if time.monotonic() < until:
            return answer
        answer, fresh = {}, _FRESH_S["cloud"]
        try:
            profile = profile_of(task)
            fresh = _FRESH_S[profile.dialect]
            runner = ToolRunner(
                profile, journal, timeouts=Timeouts(1.0, 2.0, 3.0), backoff=Backoff(attempts=1)
            )
            client = runner.engine_of(task.task_id).client
            try:
                answer = _told(client.task_info(task.query_id, patient=False))
            finally:
                client.close()
        except ImgOpenError as error:
            _log.debug("No progress of %s: %s", task.task_id, error.code)
        if len(self._asked) > 256:
            self._asked.clear()
        self._asked[task.row_id] = (time.monotonic() + fresh, answer)
        return answer


_NOTHING: dict[str, Any] = {"fraction": None, "stage": "", "desc": "", "picture": "", "error": ""}


def _told(info: TaskInfo) -> dict[str, Any]:
    """What an answer says about a task that is not finished."""
    state = info.temporary
    picture = (state.image or "") if state is not None else ""
    if not picture.startswith("data:image/") or len(picture) > _LARGEST_PICTURE:
        picture = ""  # the page fetches nothing from elsewhere
    return {
        "fraction": state.progress if state is not None else None,
        "stage": (state.stage or "") if state is not None else "",
        "desc": scrub(info.desc or "")[:200],
        "picture": picture,
    }


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
        # What was prepared and is in nobody's hands was never sent: nothing is lost with its row.
        unsent = task.state == "prepared" and not is_held(task.owner, task.owner_until)
        if task.state in UNFINISHED and not unsent:
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
