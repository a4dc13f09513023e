"""The remote engine: a request runs on the Img Open cloud or on any gateway, and nothing paid is lost.

    journal row -> submit -> poll -> fetch -> Result

Every step can be interrupted by a crash; the next run of the same request goes on where it stopped. Finished
requests are returned from disk. A `nonce` makes the same request a new task.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from ..api.client import Client, TaskAnswer
from ..api.journal import UNFINISHED, Claim, Journal, Task
from ..api.journal_rows import check_id
from ..api.lease import Heartbeat, new_owner
from ..api.profiles import Profile, load_profile
from ..api.request import Request
from ..api.request_cloud import check_cloud_ranges
from ..api.retry import Backoff, CancelledFn, never, wait
from ..api.sendable import Sendable
from ..api.transport import Timeouts
from ..base.errors import (
    Cancelled,
    ImgOpenError,
    InvalidRequest,
    LinkRefused,
    ServerError,
    TaskFailed,
    TaskTimeout,
    TaskUncertain,
)
from ..storage.fetch import Fetcher
from ..storage.links import Linker
from ..storage.pictures import Pictures
from .remote_intent import final_request, make_intent
from .remote_limits import check_seconds, slot, timeouts_within
from .remote_notices import refused_result_link, with_notices
from .remote_pictures import linker_for, pin_files, publish
from .remote_poll import SUBMITTED, WORKED, Patience, Poller, UnknownTask
from .remote_results import CannotKeep, ResultStore
from .remote_submit import Submitter
from .types import Progress, ProgressFn, Result, Stage

_Begin = Callable[[], Claim]
_Send = Callable[[Task], Task]
_CANCEL_GRACE_S = 0.3  # how long a stop waits for the server to hear of it
_GONE = (401, 403, 404, 410)  # HTTP statuses of a result link whose time is over


def _silent(report: Progress) -> None:
    """The progress callback of callers that want none."""


def result_fetcher(profile: Profile) -> Fetcher:
    """Fetches result links: public addresses, the profile's own server, more only if the profile says so."""
    return Fetcher(allow_private=profile.allow_private_results, allow_origins=(profile.origin,))


@dataclass(frozen=True)
class _Job:
    """What the steps of one run share."""

    owner: str
    report: ProgressFn
    cancelled: CancelledFn
    submitter: Submitter


class RemoteEngine:
    """Runs requests on the server of a profile.

    Args:
        profile: a `Profile` or its name.
        journal: where tasks are written down; default: the user's journal.
        linker: turns pictures into links; default: what the profile's storage says.
        deadline_s, poll_s: instead of the profile's (seconds).
        patience: all of the polling times at once.
        timeouts: of single calls. backoff: of repeats.
        client: instead of one made from the profile.
    """

    name = "remote"

    def __init__(
        self,
        profile: Profile | str,
        journal: Journal | None = None,
        linker: Linker | None = None,
        *,
        deadline_s: float | None = None,
        poll_s: float | None = None,
        patience: Patience | None = None,
        timeouts: Timeouts | None = None,
        backoff: Backoff | None = None,
        client: Client | None = None,
    ) -> None:
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.journal = journal if journal is not None else Journal()
        self._linker = linker
        check_seconds("the deadline", deadline_s)
        check_seconds("the pause between questions", poll_s)
        self._patience = patience or Patience(
            deadline_s=self.profile.deadline_s if deadline_s is None else deadline_s,
            poll_s=self.profile.poll_s if poll_s is None else poll_s,
            poll_most_s=self.profile.poll_most_s,
        )
        self._backoff = backoff or Backoff()
        self.client = client or Client(
            self.profile,
            timeouts=timeouts or timeouts_within(deadline_s),
            backoff=self._backoff,
            downloader=result_fetcher(self.profile),
        )
        self._store = ResultStore(self.journal, self.client, self._backoff)

    # --- the whole way ----------------------------------------------------------------------------------

    def run(
        self,
        request: Sendable,
        *,
        pictures: Pictures | None = None,
        progress: ProgressFn | None = None,
        cancelled: CancelledFn | None = None,
        nonce: str = "",
    ) -> Result:
        """The pictures of a request: made now, awaited from an earlier run, or returned from disk.

        Args:
            nonce: any other text makes the same request a new task (and draws a new seed for -1).

        Raises:
            InvalidRequest, ProfileError, PictureError: nothing was sent.
            TaskUncertain: sent, fate unknown; the user decides (see `Journal.resolve` and `attach`).
            TaskTimeout, NetworkError, Cancelled: the task is not lost, run again to go on.
            TaskFailed, ServerError, Unauthorized, Busy, LinkRefused: as their texts say.
        """
        request = self._ready(request, pictures)
        intent = make_intent(self.profile, request, nonce)
        job = self._job(progress, cancelled)
        claim = self._claim(job, lambda: self.journal.begin(intent, job.owner))
        with self._holding(claim, job):
            stored = self._store.load(claim.task) if claim.kind == "done" else None
            if stored is not None:
                return with_notices(stored, claim.task, intent, request)

            def send(task: Task) -> Task:
                return job.submitter.ensure(
                    task, job.owner, lambda: self._outgoing(request, task, pictures, job), job.cancelled
                )

            with slot(
                self.profile, job.cancelled, lambda: self._tell(job, "queued", "other tasks run first")
            ):
                result = self._run_claimed(claim, job, send)
            return with_notices(result, claim.task, intent, request)

    def submit(
        self,
        request: Sendable,
        pictures: Pictures | None = None,
        *,
        progress: ProgressFn | None = None,
        cancelled: CancelledFn | None = None,
        nonce: str = "",
    ) -> str:
        """Bring a request to the server and return its task id at once; `attach` gets the result.

        A request that is there already, unfinished or done, is not sent again. Raises as `run`.
        """
        request = self._ready(request, pictures)
        intent = make_intent(self.profile, request, nonce)
        job = self._job(progress, cancelled)
        claim = self._claim(job, lambda: self.journal.begin(intent, job.owner))
        with self._holding(claim, job):
            if claim.kind != "done":
                job.submitter.ensure(
                    claim.task,
                    job.owner,
                    lambda: self._outgoing(request, claim.task, pictures, job),
                    job.cancelled,
                )
        return claim.task.task_id

    def attach(
        self, task_id: str, progress: ProgressFn | None = None, cancelled: CancelledFn | None = None
    ) -> Result:
        """The result of a task by its id: from disk, or awaited. Ids from elsewhere are taken up.

        Raises: as `run`; InvalidRequest for a task that was never sent.
        """
        job = self._job(progress, cancelled)
        claim = self._claim(
            job,
            lambda: self.journal.adopt(self.profile.base_url, self.profile.name, task_id, job.owner),
        )
        with self._holding(claim, job):
            stored = self._store.load(claim.task) if claim.kind == "done" else None
            if stored is not None:
                return stored
            return self._run_claimed(claim, job, lambda task: self._known_to_server(task, job))

    def cancel(self, task_id: str) -> None:
        """Stop a task at the server (gateways only) and write it down. A finished task is left as it is.

        Raises: Unsupported on the cloud, NetworkError, ServerError (the server does not know the id).
        """
        check_id(task_id)
        rows = self.journal.list(server=self.profile.base_url, profile=self.profile.name, most=-1)
        task = next((row for row in rows if task_id in (row.task_id, row.server_task_id)), None)
        if task is None:
            self.client.cancel(task_id)
            return
        if task.state not in UNFINISHED:
            return
        if task.state != "prepared":
            self.client.cancel(task.query_id)
        self.journal.set_state(task.row_id, "cancelled", "stopped by the user")

    # --- steps ------------------------------------------------------------------------------------------

    def _ready(self, request: Sendable, pictures: Pictures | None) -> Sendable:
        """The request with files read and, for the cloud, its ranges checked: before anything is written."""
        if self.profile.dialect == "cloud" and isinstance(request, Request):
            check_cloud_ranges(request)
        return pin_files(request, pictures)

    def _job(self, progress: ProgressFn | None, cancelled: CancelledFn | None) -> _Job:
        report = progress or _silent
        submitter = Submitter(
            self.client,
            self.journal,
            self.profile,
            self._backoff,
            busy_s=self._patience.deadline_s,
            told=lambda text: report(Progress(0.0, "queued", text)),
        )
        return _Job(new_owner(), report, cancelled or never, submitter)

    def _tell(self, job: _Job, stage: Stage, text: str, fraction: float = 0.0) -> None:
        job.report(Progress(fraction, stage, text))

    def _claim(self, job: _Job, begin: _Begin) -> Claim:
        """Take the row; while another thread or process works at the same intent, wait for that one."""
        end = time.monotonic() + self._patience.deadline_s
        while True:
            claim = begin()
            if claim.kind != "elsewhere":
                return claim
            task_id = claim.task.task_id
            if time.monotonic() > end:
                raise TaskTimeout(
                    f"Task {task_id} is still being worked at by another program after "
                    f"{self._patience.deadline_s:g} s.",
                    "It is not lost: run the same request again, or stop the other program.",
                    task_id=task_id,
                )
            self._tell(job, "queued", f"task {task_id} is already being worked at")
            wait(0.25, job.cancelled)

    @contextlib.contextmanager
    def _holding(self, claim: Claim, job: _Job) -> Generator[None, None, None]:
        """Keep the lease alive inside the block; on the way out pass the user's stop on to the server."""
        row_id = claim.task.row_id
        try:
            with Heartbeat(lambda: self.journal.renew(row_id, job.owner)):
                yield
        except Cancelled as error:
            self._pass_on_cancel(row_id, job)
            error.details.setdefault("task_id", claim.task.task_id)
            raise
        finally:
            self.journal.release(row_id, job.owner)

    def _pass_on_cancel(self, row_id: str, job: _Job) -> None:
        """Ask the server to stop, without waiting longer than a moment for its answer."""
        task = self.journal.get(row_id)
        if task.state != "running":
            return
        helper = threading.Thread(
            target=job.submitter.cancel_at_server, args=(task,), name="img-open cancel", daemon=True
        )
        helper.start()
        helper.join(_CANCEL_GRACE_S)

    def _outgoing(self, request: Sendable, task: Task, pictures: Pictures | None, job: _Job) -> Sendable:
        """The request as it is sent: id, seed, and links instead of pictures."""
        if self._linker is None:
            self._linker = linker_for(self.profile)
        linker = self._linker

        def told(done: int, total: int) -> None:
            if job.cancelled():
                raise Cancelled("Stopped while pictures were prepared.")
            self._tell(job, "uploading", f"{done} of {total} pictures")

        return publish(final_request(request, task), pictures, linker, self.profile, told)

    def _run_claimed(self, claim: Claim, job: _Job, send: _Send) -> Result:
        """From any state of a row to the result."""
        task = claim.task
        if claim.kind == "done":  # its files are gone: the server may still have them
            return self._fetch_again(task, job)
        task = send(task)
        try:
            return self._await(task, job)
        except UnknownTask as error:
            if not task.request:  # only an id was given, so there is nothing to send again
                raise self._lost(task, error) from error
        # A gateway that forgot the task does not work at it; the same id makes it the same task there.
        self.journal.mark_not_sent(task.row_id, "prepared", "the server had forgotten it")
        task = send(self.journal.get(task.row_id))
        try:
            return self._await(task, job)
        except UnknownTask as error:
            raise self._lost(task, error) from error

    def _await(self, task: Task, job: _Job) -> Result:
        """Poll and fetch; what the server says about the end is written down."""
        poller = Poller(self.client, self._patience, self.profile.dialect, job.report)
        self._tell(job, "running", "", SUBMITTED)

        def told(done: int, total: int) -> None:
            share = WORKED + (1.0 - WORKED) * (done / max(total, 1))
            self._tell(job, "downloading", f"{done}/{total}", share)

        try:
            answer = poller.wait_for(task.task_id, task.query_id, job.cancelled)
            try:
                result = self._store.collect(task, answer, told, job.cancelled)
            except ServerError as error:
                if error.details.get("http_status") not in _GONE:
                    raise
                answer = self.client.task_answer(task.query_id, cancelled=job.cancelled)  # fresh links
                result = self._store.collect(task, answer, told, job.cancelled)
        except TaskFailed as error:
            if self.journal.get(task.row_id).state == "cancelled":  # by another thread or process
                raise Cancelled(f"Task {task.task_id} was cancelled.", task_id=task.task_id) from error
            self.journal.set_state(task.row_id, "failed", error.message)
            raise
        except LinkRefused as error:
            raise refused_result_link(error, task) from error
        self._tell(job, "done", "", 1.0)
        return result

    def _fetch_again(self, task: Task, job: _Job) -> Result:
        """Results that are done but no longer on disk, from the server if it still has them."""
        try:
            answer = self._ask_anywhere(task, job)
            if answer.verdict == "succeeded":
                return self._store.collect(task, answer, lambda done, total: None, job.cancelled)
            why = f"the server says status {answer.info.status}"
        except (Cancelled, CannotKeep):
            raise
        except ImgOpenError as error:
            why = error.message
        raise TaskFailed(
            f"Task {task.task_id} was finished, but its files are gone and cannot be fetched again: {why}",
            "Use another nonce (run again) to make the pictures anew.",
            task_id=task.task_id,
        )

    def _ask_anywhere(self, task: Task, job: _Job) -> TaskAnswer:
        """The live query, and the older one for tasks that the cloud has archived."""
        try:
            return self.client.task_answer(task.query_id, cancelled=job.cancelled)
        except (ServerError, InvalidRequest):
            if self.profile.dialect != "cloud":
                raise
            return self.client.task_answer(task.query_id, archived=True, cancelled=job.cancelled)

    def _known_to_server(self, task: Task, job: _Job) -> Task:
        """For `attach`: the row, if the server has it; nothing is ever sent."""
        if task.state == "prepared":
            raise InvalidRequest(
                f"Task {task.task_id} was never sent.", "Run its request to submit it.", task_id=task.task_id
            )
        if task.state == "running":
            return task
        if job.submitter.look_up(task, job.cancelled) is True:
            return self.journal.get(task.row_id)
        raise TaskUncertain(
            f"The server says nothing about task {task.task_id}.",
            "Try again later, or ask the server's operator with this id.",
            task_id=task.task_id,
        )

    def _lost(self, task: Task, error: ImgOpenError) -> TaskFailed:
        self.journal.set_state(task.row_id, "lost", error.message)
        return TaskFailed(
            f"The server no longer knows task {task.task_id}: {error.message}",
            "Run the request again to make it anew.",
            task_id=task.task_id,
        )
