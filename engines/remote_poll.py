"""Waiting for a submitted task: asks, backs off, rides out trouble, reports progress."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from ..api.client import Client, TaskAnswer, is_unknown_task
from ..api.models import TaskInfo, TemporaryImage
from ..api.profiles import Dialect
from ..api.retry import CancelledFn, interruptible, may_pass, pause_after
from ..api.tasks import failure, said
from ..base.errors import Cancelled, ImgOpenError, NetworkError, ServerError, TaskTimeout, Unauthorized
from ..base.log import get_logger, scrub
from ..base.pictures import decode_picture, flatten_over_white, from_data_url
from .remote_wake import listening, wait_or_bell
from .types import Progress, ProgressFn, Stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = get_logger("engines.remote")
_GROWTH = 1.25
_REFUSALS = 6  # answers such as "no such task" in a row before they are believed
_LAST_WORD_S = 0.5  # a question that is asked just before the deadline gets this long
_PREVIEW_S = 10.0
_PREVIEW_BYTES = 16 * 1024 * 1024
# Shares of the progress bar: before the server has the task, while it works, while results are fetched.
SUBMITTED, WORKED = 0.03, 0.94


class UnknownTask(ServerError):
    """A gateway says that it does not have a task which it once accepted."""

    code = "unknown_task"


@dataclass(frozen=True)
class Patience:
    """How long a task is waited for, in seconds.

    Attributes:
        deadline_s: until a pending task is left alone, from the start of this wait.
        poll_s, poll_most_s: first and longest pause between two questions.
        unreachable_s: until a server that does not answer at all is given up on.
    """

    deadline_s: float = 1800.0
    poll_s: float = 0.5
    poll_most_s: float = 5.0
    unreachable_s: float = 120.0


class Poller:
    """Waits for one task of one server."""

    def __init__(self, client: Client, patience: Patience, dialect: Dialect, report: ProgressFn) -> None:
        self._client = client
        self._patience = patience
        self._dialect: Dialect = dialect
        self._previews = Previews(client, report)

    def wait_for(self, task_id: str, query_id: str, cancelled: CancelledFn) -> TaskAnswer:
        """The answer of a succeeded task.

        Args:
            task_id: our id, for people. query_id: the id the server is asked about.

        Raises:
            TaskFailed: the server says so. TaskTimeout: pending at the deadline.
            NetworkError: unreachable for too long. UnknownTask: a gateway lost it.
            ServerError, Unauthorized: the server refuses to tell.
            Cancelled: within 0.2 s of the wish.
        """
        with listening(task_id, query_id) as bell:
            return self._wait_for(task_id, query_id, bell, cancelled)

    def _wait_for(
        self, task_id: str, query_id: str, bell: threading.Event, cancelled: CancelledFn
    ) -> TaskAnswer:
        end = time.monotonic() + self._patience.deadline_s

        def left() -> float:
            return end - time.monotonic()

        pause = self._patience.poll_s
        trouble = _Trouble(task_id, self._patience.unreachable_s)
        last = "no answer yet"
        while True:
            asked_pause = 0.0
            try:
                # The cloud's live query forgets past months; what it refuses the older one may know.
                archived = self._dialect == "cloud" and trouble.refusals % 2 == 1
                answer = self._ask(query_id, archived, left(), cancelled)
            except ImgOpenError as error:
                self._judge(error, trouble)
                asked_pause = pause_after(error, 0.0)
            else:
                trouble.over()
                info = answer.info
                if answer.verdict == "succeeded":
                    return answer
                if answer.verdict == "failed":
                    raise failure(task_id, info)
                last = said(info)
                self._previews.show(info, cancelled, left())
            if left() <= 0:
                raise TaskTimeout(
                    f"Task {task_id} is still not finished after {self._patience.deadline_s:g} s "
                    f"(server: {last}).",
                    "It is not lost and goes on at the server: run the same request again to wait on, "
                    f"or attach to it by its id {task_id}.",
                    task_id=task_id,
                )
            wait_or_bell(min(max(pause, asked_pause), left()), bell, cancelled)
            pause = min(pause * _GROWTH, max(self._patience.poll_most_s, self._patience.poll_s))

    def _ask(self, query_id: str, archived: bool, left_s: float, cancelled: CancelledFn) -> TaskAnswer:
        """One question, however the server keeps silent: the deadline holds, but for a last word."""
        return interruptible(
            lambda: self._client.task_answer(query_id, archived=archived, patient=False, cancelled=cancelled),
            cancelled,
            bound_s=max(left_s, _LAST_WORD_S),
            what=f"the question about task {query_id}",
        )

    def _judge(self, error: ImgOpenError, trouble: _Trouble) -> None:
        """Return to ask again, or raise what ends the wait."""
        if isinstance(error, Unauthorized):
            raise error
        if self._dialect == "gateway" and is_unknown_task(error):
            raise UnknownTask(error.message, error.hint, **error.details) from error
        if may_pass(error):
            trouble.unreachable(error)
            return
        if not isinstance(error, ServerError) and error.code != "invalid_request":
            raise error
        trouble.refused(error)


class _Trouble:
    """Counts what goes wrong between two good answers."""

    def __init__(self, task_id: str, unreachable_s: float) -> None:
        self._task_id = task_id
        self._unreachable_s = unreachable_s
        self.over()

    def over(self) -> None:
        self._since = math.inf
        self.refusals = 0

    def unreachable(self, error: ImgOpenError) -> None:
        now = time.monotonic()
        self._since = min(self._since, now)
        if now - self._since >= self._unreachable_s:
            raise NetworkError(
                f"The server did not answer for {self._unreachable_s:g} s while task {self._task_id} was "
                f"running there. Last: {error.message}",
                "The task is not lost: run the same request again when the server is back.",
                task_id=self._task_id,
            ) from error

    def refused(self, error: ImgOpenError) -> None:
        self.refusals += 1
        if self.refusals >= _REFUSALS:
            raise ServerError(
                f"The server does not tell about task {self._task_id}: {error.message}",
                "The task stays in the journal: run the same request again later, or ask the server's "
                f"operator with the id {self._task_id}.",
                **{**error.details, "task_id": self._task_id},
            ) from error


class Previews:
    """Turns the gateway's `temporaryImageDto` into progress reports."""

    def __init__(self, client: Client, report: ProgressFn) -> None:
        self._client = client
        self._report = report
        self._reached = SUBMITTED
        self._link = ""
        self._picture: NDArray[np.uint8] | None = None

    def show(self, info: TaskInfo, cancelled: CancelledFn, within_s: float = _PREVIEW_S) -> None:
        """Report one answer of a pending task; the fraction never goes back.

        Args:
            within_s: seconds that fetching the intermediate picture may take, 10 at most.
        """
        state = info.temporary or TemporaryImage()
        if state.progress is not None:
            self._reached = max(self._reached, SUBMITTED + (WORKED - SUBMITTED) * state.progress)
        if state.image and state.image != self._link:
            self._link = state.image
            self._picture = self._load(state.image, cancelled, within_s)
        words = scrub(info.desc)[:200]
        self._report(Progress(self._reached, _stage(state.stage), words, self._picture))

    def _load(self, link: str, cancelled: CancelledFn, within_s: float) -> NDArray[np.uint8] | None:
        """The intermediate picture; a broken one is no reason to stop a paid task."""

        def load() -> NDArray[np.uint8]:
            inline = link.startswith("data:")
            data = from_data_url(link) if inline else self._client.download_once(link)
            return flatten_over_white(decode_picture(data, max_bytes=_PREVIEW_BYTES, source="preview"))

        try:
            bound_s = max(0.0, min(_PREVIEW_S, within_s))
            return interruptible(load, cancelled, bound_s=bound_s, what="the intermediate picture")
        except Cancelled:
            raise
        except (ImgOpenError, OSError, ValueError) as error:
            _log.debug("intermediate picture left out: %s", error)
            return None


def _stage(word: str) -> Stage:
    """The server's word where it is one of ours, else `running`."""
    return next((stage for stage in get_args(Stage) if stage == word and word != "done"), "running")
