"""From a journal row to a task that the server has: exactly one, whatever breaks in between.

    prepared                 never left: send it
    submitted, uncertain     may have arrived: look it up by its id first
    running                  arrived

The row is committed as `submitted` before the first byte leaves. Only where repeating is safe (the gateway
dialect: same id, same task) is an unanswered submit sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..api.client import Client, is_unknown_task
from ..api.journal import Journal, Task
from ..api.models import TaskInfo
from ..api.profiles import Profile
from ..api.retry import Backoff, CancelledFn, interruptible, pause_after, wait
from ..api.sendable import Sendable
from ..base.command import command
from ..base.errors import (
    Busy,
    Cancelled,
    ImgOpenError,
    InvalidRequest,
    NetworkError,
    ServerError,
    TaskUncertain,
)
from ..base.log import get_logger

_log = get_logger("engines.remote")
_LOOK_UPS = 3
_LOOK_UP_MOST_S = 60.0
_LAST_WORD_S = 0.5


class Submitter:
    """Brings rows of one journal to one server.

    Args:
        busy_s: how long a server that answers "busy", or not at all, is tried again.
        told: receives short texts for the progress line.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        profile: Profile,
        backoff: Backoff,
        *,
        busy_s: float,
        told: Callable[[str], None],
    ) -> None:
        self._client = client
        self._journal = journal
        self._profile = profile
        self._backoff = backoff
        self._busy_s = busy_s
        self._told = told

    @property
    def _repeat_is_safe(self) -> bool:
        return self._profile.dialect == "gateway"

    def ensure(self, task: Task, owner: str, body: Callable[[], Sendable], cancelled: CancelledFn) -> Task:
        """The row, after the server has certainly accepted it.

        Args:
            body: makes the request as it is sent (uploads pictures); called only when something is sent.

        Raises:
            TaskUncertain: sent, unanswered, and not found; the row says `uncertain`.
            NetworkError: certainly not sent; the row stays `prepared`.
            Busy, Unauthorized, InvalidRequest, ServerError: refused; ProfileError: spend guard, no storage.
            Cancelled.
        """
        if task.state == "running":
            return task
        if task.state in ("submitted", "uncertain"):
            self._told("looking up a submit without an answer")
            if self.look_up(task, cancelled) is True:
                return self._journal.get(task.row_id)
            if not self._repeat_is_safe:
                raise self._uncertain(task, "it was sent earlier, and the server says nothing about its id.")
            if task.state == "uncertain":
                self._journal.set_state(task.row_id, "submitted")
        try:
            return self._send(task, owner, body(), cancelled)
        except Cancelled as error:
            if error.details.get("in_flight"):
                raise
            # Nothing is on its way; a row that was sent before the wish keeps its state.
            if self._journal.get(task.row_id).state == "prepared":
                self._journal.set_state(task.row_id, "cancelled", "stopped before it was sent")
            raise
        except ImgOpenError as error:
            # No picture's link, no place in the limits ...: the row says why it was never sent.
            if self._journal.get(task.row_id).state == "prepared":
                self._journal.mark_not_sent(task.row_id, "prepared", error.message)
            raise

    def look_up(self, task: Task, cancelled: CancelledFn) -> bool | None:
        """Whether the server has the task: True (the row says `running` then), False, None = cannot tell.

        False comes from gateways only: how the cloud answers about an unknown id is not published.
        """
        end = time.monotonic() + min(_LOOK_UP_MOST_S, self._busy_s)
        for attempt in range(_LOOK_UPS):
            try:
                # What the cloud has archived (before this month) only the older query knows.
                archived = not self._repeat_is_safe and attempt + 1 == _LOOK_UPS
                info = self._ask(task, archived, end - time.monotonic(), cancelled)
            except (NetworkError, ServerError, InvalidRequest) as error:
                if self._repeat_is_safe and is_unknown_task(error):
                    return False
                _log.info("look-up of task %s: %s", task.task_id, error)
                pause = pause_after(error, self._backoff.pause(attempt))
            else:
                if info.task_id in (task.task_id, task.query_id) or (
                    not info.task_id and info.status is not None
                ):
                    self._journal.mark_accepted(task.row_id, task.server_task_id)
                    return True
                pause = self._backoff.pause(attempt)
            if attempt + 1 == _LOOK_UPS or time.monotonic() + pause > end:
                return None
            wait(pause, cancelled)
        return None

    def _ask(self, task: Task, archived: bool, left_s: float, cancelled: CancelledFn) -> TaskInfo:
        return interruptible(
            lambda: self._client.task_info(
                task.query_id, archived=archived, patient=False, cancelled=cancelled
            ),
            cancelled,
            bound_s=max(left_s, _LAST_WORD_S),
            what=f"the question about task {task.query_id}",
        )

    def _send(self, task: Task, owner: str, request: Sendable, cancelled: CancelledFn) -> Task:
        """Submit, and repeat what is certainly safe to repeat."""
        give_up = time.monotonic() + self._busy_s
        attempt = 0
        while True:
            self._pass_limits(task, owner, cancelled)
            try:
                server_id = self._submit_once(task, request, cancelled)
            except Busy as error:
                self._journal.mark_not_sent(task.row_id, "prepared", error.message)
                pause = pause_after(error, self._backoff.pause(attempt))
                if time.monotonic() + pause > give_up:
                    raise
                self._told("the server is busy; waiting for a place in its queue")
                wait(pause, cancelled)
            except NetworkError as error:
                self._journal.mark_not_sent(task.row_id, "prepared", error.message)
                if attempt + 1 >= self._backoff.attempts or time.monotonic() > give_up:
                    raise
                self._told("the server cannot be reached; trying again")
                wait(self._backoff.pause(attempt), cancelled)
            except TaskUncertain as error:
                if self.look_up(task, cancelled) is True:
                    return self._journal.get(task.row_id)
                tired = attempt + 1 >= self._backoff.attempts or time.monotonic() > give_up
                if not self._repeat_is_safe or tired:
                    raise self._uncertain(task, error.message) from error
                self._told("no answer to the submit; sending it again under the same id")
                wait(self._backoff.pause(attempt), cancelled)
            except ServerError as error:
                # An application that answers 5xx may still have taken the task: asking costs nothing.
                found = False
                if int(error.details.get("http_status") or 0) >= 500:
                    found = self.look_up(task, cancelled)
                if found is True:
                    return self._journal.get(task.row_id)
                tired = attempt + 1 >= self._backoff.attempts or time.monotonic() > give_up
                if found is None and self._repeat_is_safe and not tired:
                    # Nobody knows: given up now, the next run would make a second task under a new id.
                    wait(self._backoff.pause(attempt), cancelled)
                    attempt += 1
                    continue
                self._journal.mark_not_sent(task.row_id, "failed", error.message)
                raise
            except InvalidRequest as error:
                self._journal.mark_not_sent(task.row_id, "failed", error.message)
                raise
            else:
                self._journal.mark_accepted(task.row_id, server_id)
                return self._journal.get(task.row_id)
            attempt += 1

    def _pass_limits(self, task: Task, owner: str, cancelled: CancelledFn) -> None:
        """Commit the row as `submitted`, after the profile's limits let it pass."""
        while True:
            wait(0.0, cancelled)
            pause = self._journal.mark_sending(
                task.row_id,
                owner,
                spend_limit=self._profile.spend_limit_images,
                per_minute=self._profile.per_minute,
            )
            if pause <= 0:
                return
            self._told(f"waiting {pause:.0f} s: the profile allows {self._profile.per_minute} tasks a minute")
            wait(min(pause, 1.0), cancelled)

    def _submit_once(self, task: Task, request: Sendable, cancelled: CancelledFn) -> str:
        """One submit. A stop while it is in flight leaves a helper behind that tells the journal its fate."""

        def late(server_id: str | None) -> None:
            if server_id is not None and self._journal.mark_arrived_late(task.row_id, server_id):
                self.cancel_at_server(self._journal.get(task.row_id))

        try:
            return self._client.submit(request, task_id=task.task_id, cancelled=cancelled, abandoned=late)
        except Cancelled as error:
            if not error.details.get("started", True):
                self._journal.mark_not_sent(task.row_id, "prepared")
                raise
            raise Cancelled(error.message, error.hint, in_flight=True, task_id=task.task_id) from error

    def cancel_at_server(self, task: Task) -> bool:
        """Ask a gateway to stop a task; True (and the row says so) when it did. Raises no network error."""
        if not self._repeat_is_safe:
            return False
        try:
            self._client.cancel(task.query_id)
        except ImgOpenError as error:
            _log.info("cancel of task %s: %s", task.task_id, error)
            return False
        self._journal.set_state(task.row_id, "cancelled", "stopped by the user")
        return True

    def _uncertain(self, task: Task, why: str) -> TaskUncertain:
        self._journal.set_state(task.row_id, "uncertain", why)
        return TaskUncertain(
            f"Task {task.task_id} may or may not be running at {task.server}: {why}",
            "It is not submitted again by itself. You decide, in the sidebar Img Open tasks or by command: "
            f"`{command(f'tasks resume {task.task_id} --out DIR')}` (or running the request again) looks it "
            "up once more; `tasks retry` has it submitted again, which may be paid twice; `tasks drop` "
            "forgets it.",
            task_id=task.task_id,
        )
