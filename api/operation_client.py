"""A client that follows the tasks of one operation, whatever family it belongs to.

The sd family is asked with `queryTaskInfo` and judged by its status. Tools are asked with the caller's own id
at `/tool/{toolCode}/queryTask` and judged by their output, since their status values contradict each other.
Some replies carry the output at once, and for some operations no way of asking is published: there the reply
to the submit is all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..base.errors import ServerError, Unsupported
from .catalogue import PREFIX, Operation
from .client import Client, TaskAnswer, model_of
from .models import ImageReply, TaskInfo, ToolTask
from .operation_outputs import Outputs, is_finished, outputs_of
from .profiles import Profile
from .retry import CancelledFn, never
from .tasks import classify_tool

_SD_QUERIES = {"query_task_info_v2", "query_task_info_v1"}
_TOOL_QUERY = "query_tool_task"


class OperationClient(Client):
    """As `Client`, for the tasks of `operation`. Keeps the submit replies of this object's lifetime."""

    def __init__(self, profile: Profile, operation: Operation, **options: Any) -> None:
        super().__init__(profile, **options)
        self._operation = operation
        self._replies: dict[str, dict[str, Any]] = {}

    @property
    def _query(self) -> str:
        """Id of the operation that is asked; empty when none is published."""
        return next(iter(self._operation.task.poll_with), "")

    def accepted(self, envelope: Mapping[str, Any], task_id: str) -> str:
        if self._query in _SD_QUERIES:
            return super().accepted(envelope, task_id)
        data: Any = envelope.get("data")
        # Whatever is not an object is kept under a name, so that nothing of an answer is lost.
        self._replies[task_id] = (
            cast("dict[str, Any]", data) if isinstance(data, dict) else {"data": data} if data else {}
        )
        return task_id  # tools are asked with the caller's id, not with the server's

    def submit_path(self, operation: str) -> str:
        return (
            self._operation.url_path() if operation == self._operation.id else super().submit_path(operation)
        )

    def cancel_path(self) -> str:
        code = self._operation.tool_code
        return f"{PREFIX}/tool/{code}/cancelTask" if code else super().cancel_path()

    def task_info(
        self, task_id: str, *, archived: bool = False, patient: bool = True, cancelled: CancelledFn = never
    ) -> TaskInfo:
        if not self._query and task_id not in self._replies:
            raise ServerError(
                f"How to ask about a task of {self._operation.id} is not published.",
                "Look into your account at the server.",
            )
        return self.task_answer(task_id, archived=archived, patient=patient, cancelled=cancelled).info

    def task_answer(
        self, task_id: str, *, archived: bool = False, patient: bool = True, cancelled: CancelledFn = never
    ) -> TaskAnswer:
        if self._query in _SD_QUERIES:
            return super().task_answer(task_id, archived=archived, patient=patient, cancelled=cancelled)
        reply = self._replies.get(task_id)
        if reply is not None:
            told = self._judged(reply, task_id)
            if told.verdict == "succeeded" or not self._query:
                return told if told.verdict == "succeeded" else _reply_only(told)
        if not self._query:
            raise Unsupported(
                f"The server has task {task_id}, but its reply is gone and how to ask about a task of "
                f"{self._operation.id} is not published.",
                "Look into your account at the server; run the request again as a new task if need be.",
                task_id=task_id,
            )
        return self._judged(self._asked(task_id, patient, cancelled), task_id)

    def _asked(self, task_id: str, patient: bool, cancelled: CancelledFn) -> dict[str, Any]:
        query = self.catalogue.operation(self._query)
        field = query.field_for("task_id")
        params = {"toolCode": self._operation.tool_code or ""} if self._query == _TOOL_QUERY else {}
        body = {field.name if field else "businessTaskId": task_id}
        return self.ask(self._query, body, cancelled, patient, f"task {task_id}", **params)

    def _judged(self, data: dict[str, Any], task_id: str) -> TaskAnswer:
        """A tool's data in the words that all tasks share."""
        tool = model_of(ToolTask, data, f"the state of task {task_id}")
        verdict = classify_tool(tool, self.profile.dialect)
        if verdict == "succeeded" and not is_finished(self._operation, data):
            verdict = "pending"
        found = outputs_of(self._operation, data) if verdict == "succeeded" else Outputs()
        info = TaskInfo(
            task_id=tool.business_task_id or (task_id if tool.task_id else ""),
            status=tool.status,
            desc=tool.desc,
            temporary=tool.temporary,
            images=[ImageReply(image_url=link) for link in found.pictures + found.masks],
        )
        return TaskAnswer(info, data, verdict, verdict == "succeeded", tuple(found.audio + found.video))


def _reply_only(answer: TaskAnswer) -> TaskAnswer:
    """The submit's reply as the answer, with a word about why."""
    note = {
        "field": "task",
        "verdict": "notice",
        "message": "How to ask for the result is not published. This is the server's reply to the submit.",
    }
    info = answer.info.model_copy(update={"infos": [note]})
    return TaskAnswer(info, answer.data, "succeeded", other_output=True)
