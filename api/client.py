"""The client of the Img Open API: calls, and what their failures mean.

Only the operations a task's life needs have methods; every other one goes through `call`. Repeats are made
where a repeat is harmless (queries, downloads, cancel). A submit is sent once: when its fate is unknown the
caller gets `TaskUncertain` with the id, and looks it up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urljoin

from pydantic import BaseModel, ValidationError

from ..base.errors import (
    Busy,
    ImgOpenError,
    NetworkError,
    ServerError,
    TaskUncertain,
    Unsupported,
)
from .catalogue import PREFIX, Catalogue
from .local_catalogue import user_catalogue
from .models import ModelListReply, TaskInfo, ToolTask
from .profiles import Profile
from .retry import Backoff, CancelledFn, interruptible, never, repeat
from .tasks import Verdict, classify
from .transport import Reply, Timeouts, Transport, read_envelope

if TYPE_CHECKING:
    from .sendable import Sendable

# Gateway dialect only; the published API names no such call.
CANCEL_PATH = f"{PREFIX}/sd/v2/cancelTask"

DOWNLOAD_S = 600.0  # one result file, whatever the downloader's own limits are

M = TypeVar("M", bound=BaseModel)


class Downloader(Protocol):
    """What fetches result links: without keys, and safe against links into private networks."""

    def fetch_bytes(self, url: str) -> bytes: ...


@dataclass(frozen=True)
class TaskAnswer:
    """What a server says about a task: as typed values, and the `data` object as it came.

    Attributes:
        verdict: what it means.
        other_output: whether there may be output besides pictures (texts of tools), so that an answer
            without pictures is a result as well.
        media: links of sounds and films.
    """

    info: TaskInfo
    data: dict[str, Any]
    verdict: Verdict
    other_output: bool = False
    media: tuple[str, ...] = ()


class Client:
    """Calls to one profile's server. Safe to use from several threads; one HTTP session.

    Args:
        profile: server and keys.
        timeouts: see `Timeouts`.
        backoff: pauses and attempts of calls that are safe to repeat.
        downloader: fetches result links (`storage.fetch.Fetcher`); without one `download` refuses.
        catalogue: the operations; default: the published ones and the user's local file.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        timeouts: Timeouts | None = None,
        backoff: Backoff | None = None,
        downloader: Downloader | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.profile = profile
        self._transport = Transport(profile, timeouts)
        self._backoff = backoff or Backoff()
        self._once = Backoff(attempts=1)
        self._downloader = downloader
        self._catalogue = catalogue

    def close(self) -> None:
        """Let the connections go."""
        self._transport.close()

    # --- submit -----------------------------------------------------------------------------------------

    def submit(
        self,
        request: Sendable | str,
        body: Mapping[str, Any] | None = None,
        *,
        task_id: str = "",
        cancelled: CancelledFn = never,
        abandoned: Callable[[str | None], None] | None = None,
    ) -> str:
        """Submit once. Returns the id to ask the server about.

        Args:
            request: a request, or the id of an operation with its `body`.
            task_id: our id for error texts and as the fallback when the reply names none; default: the one
                in the request or body.
            abandoned: called from another thread, after `Cancelled`, with the server's id once the reply is
                there after all (None if it never came).

        Raises:
            NetworkError: certainly nothing was sent (`details["sent"]` is False).
            Unauthorized, Busy, InvalidRequest, ServerError: the server answered no; there is no task.
            TaskUncertain: it may or may not have arrived; `details["task_id"]`.
            Cancelled: the user's wish; the submit may still arrive.
        """
        operation, values = _operation_and_body(request, body)
        task_id = task_id or _own_task_id(values)
        what = f"the submit of task {task_id}" if task_id else "the submit"

        def hand_over(reply: Reply | None) -> None:
            if abandoned is None:
                return
            try:
                abandoned(None if reply is None else self.accepted(read_envelope(reply, what), task_id))
            except ImgOpenError:
                abandoned(None)

        try:
            reply = self._transport.post(
                self.submit_path(operation), values, cancelled=cancelled, what=what, abandoned=hand_over
            )
            return self.accepted(read_envelope(reply, what), task_id)
        except (NetworkError, ServerError) as error:
            if not _fate_unknown(error):
                raise
            raise TaskUncertain(
                f"Nobody knows whether task {task_id or '(without id)'} reached the server: {error.message}",
                "It may be running and cost money. Look it up by its id before submitting again.",
                task_id=task_id,
                cause=error.code,
            ) from error

    # --- questions (safe to repeat) ---------------------------------------------------------------------

    def task_info(
        self, task_id: str, *, archived: bool = False, patient: bool = True, cancelled: CancelledFn = never
    ) -> TaskInfo:
        """State of an sd task: the live query (current month) or the older one for archived tasks.

        `patient=False` asks once, for callers with their own way of repeating.
        """
        return self.task_answer(task_id, archived=archived, patient=patient, cancelled=cancelled).info

    def task_answer(
        self, task_id: str, *, archived: bool = False, patient: bool = True, cancelled: CancelledFn = never
    ) -> TaskAnswer:
        """As `task_info`, with the answer's own JSON."""
        operation = "query_task_info_v1" if archived else "query_task_info_v2"
        data = self.ask(operation, {"businessTaskId": task_id}, cancelled, patient, f"task {task_id}")
        info = model_of(TaskInfo, data, f"the state of task {task_id}")
        return TaskAnswer(info, data, classify(info, self.profile.dialect))

    def tool_task(
        self, tool_code: str, task_id: str, *, patient: bool = True, cancelled: CancelledFn = never
    ) -> ToolTask:
        """State of a tool's task; `tool_code` is the path after `tool/` and may hold a slash."""
        data = self.ask(
            "query_tool_task",
            {"businessTaskId": task_id},
            cancelled,
            patient,
            f"task {task_id}",
            toolCode=tool_code,
        )
        return model_of(ToolTask, data, f"the state of task {task_id}")

    def model_list(
        self,
        page: int = 1,
        size: int = 50,
        *,
        checkpoint: str = "",
        name: str = "",
        cancelled: CancelledFn = never,
    ) -> ModelListReply:
        """One page of the server's models; `page` counts from 1."""
        body: dict[str, Any] = {"pageSize": size, "pageNum": page}
        if checkpoint:
            body["sdModelCheckpoint"] = checkpoint
        if name:
            body["sdModelName"] = name
        data = self.ask("query_model_list", body, cancelled, True, "the model list")
        return model_of(ModelListReply, data, "the model list")

    def cnt_preview(
        self, task_id: str, image_link: str, module: str, *, cancelled: CancelledFn = never, **more: Any
    ) -> str:
        """Submit a preprocessor preview; poll it with `tool_task("cnt/preview", task_id)`. Like `submit`."""
        body = {"businessTaskId": task_id, "sourceImage": image_link, "preprocessor": module, **more}
        return self.submit("cnt_preview", body, task_id=task_id, cancelled=cancelled)

    def cancel(self, task_id: str, *, cancelled: CancelledFn = never) -> TaskInfo:
        """Ask the server to stop a task. Raises Unsupported where the server has no such call (the cloud)."""
        if self.profile.dialect != "gateway":
            raise Unsupported(
                "The published API has no call that cancels a task.",
                "Waiting can be stopped; the task itself runs to its end and can be attached again.",
            )
        what = f"the cancel of task {task_id}"

        def ask() -> dict[str, Any]:
            body = {"businessTaskId": task_id}
            return read_envelope(
                self._transport.post(self.cancel_path(), body, cancelled=cancelled, what=what), what
            )

        return model_of(TaskInfo, _data(repeat(ask, self._backoff, cancelled), what), what)

    def cancel_path(self) -> str:
        """Where a gateway is asked to stop a task (see docs/gateway.md)."""
        return CANCEL_PATH

    def download(self, url: str, *, cancelled: CancelledFn = never) -> bytes:
        """The bytes behind a result link (relative ones belong to the base URL). Never carries keys.

        Raises: LinkRefused, NetworkError, PictureError (too large), Cancelled.
        """

        def get() -> bytes:
            return interruptible(
                lambda: self.download_once(url), cancelled, bound_s=DOWNLOAD_S, what="the download"
            )

        return repeat(get, self._backoff, cancelled)

    def download_once(self, url: str) -> bytes:
        """As `download`, without repeats and not interruptible."""
        if self._downloader is None:
            raise Unsupported("This client was made without a downloader.", "Hand one in (storage.fetch).")
        return self._downloader.fetch_bytes(urljoin(self.profile.base_url + "/", url))

    def call(
        self, operation: str, body: Mapping[str, Any], *, cancelled: CancelledFn = never, **params: str
    ) -> dict[str, Any]:
        """Post any operation of the catalogue, or any path that begins with `/`, once. Returns the envelope.

        Raises: as `submit`, except that a broken call is a plain NetworkError (`details["sent"]`).
        """
        path = operation if operation.startswith("/") else self.path(operation, **params)
        what = f"the call of {operation}"
        return read_envelope(self._transport.post(path, body, cancelled=cancelled, what=what), what)

    # --- inside -----------------------------------------------------------------------------------------

    def path(self, operation: str, **params: str) -> str:
        """The URL path of an operation; raises InvalidRequest when it is not published."""
        return self.catalogue.operation(operation).url_path(**params)

    def accepted(self, envelope: Mapping[str, Any], task_id: str) -> str:
        """The id to ask the server about, from the reply to the submit of `task_id`."""
        return _submitted_id(envelope, task_id)

    def submit_path(self, operation: str) -> str:
        """Where an operation is submitted to."""
        return self.path(operation)

    @property
    def catalogue(self) -> Catalogue:
        """The operations this client knows."""
        return self._catalogue if self._catalogue is not None else user_catalogue()

    def ask(
        self,
        operation: str,
        body: Mapping[str, Any],
        cancelled: CancelledFn,
        patient: bool,
        about: str,
        **params: str,
    ) -> dict[str, Any]:
        """The `data` object of a question; repeated while its failure may pass, unless not `patient`."""
        what = f"the question about {about}"
        path = self.path(operation, **params)

        def ask() -> dict[str, Any]:
            return read_envelope(self._transport.post(path, body, cancelled=cancelled, what=what), what)

        return _data(repeat(ask, self._backoff if patient else self._once, cancelled), what)


def _operation_and_body(
    request: Sendable | str, body: Mapping[str, Any] | None
) -> tuple[str, Mapping[str, Any]]:
    if isinstance(request, str):
        return request, body or {}
    return request.operation, request.to_wire()


def _own_task_id(body: Mapping[str, Any]) -> str:
    """The caller's id inside a body: `alwayson_scripts.id_task` (sd) or `businessTaskId` (tools)."""
    scripts: Any = body.get("alwayson_scripts")
    inner = cast("Mapping[str, Any]", scripts).get("id_task") if isinstance(scripts, Mapping) else None
    return str(inner or body.get("businessTaskId") or "")


def _submitted_id(envelope: Mapping[str, Any], task_id: str) -> str:
    """The id in a submit reply; ours when it names none."""
    data: Any = envelope.get("data")
    if isinstance(data, Mapping):
        values = cast("Mapping[str, Any]", data)
        for name in ("task_id", "taskId", "id_task"):
            if isinstance(values.get(name), (str, int)) and _usable_id(str(values[name])):
                return str(values[name])
    if not task_id:
        raise ServerError("The server accepted the submit but named no task id.", "Ask its operator.")
    return task_id


def _usable_id(text: str) -> bool:
    """Whether one can ask by it: nothing that was replaced in reading, no blanks around it, not endless."""
    return 0 < len(text) <= 256 and text.isprintable() and "\ufffd" not in text and text == text.strip()


def _fate_unknown(error: ImgOpenError) -> bool:
    """Broken off after the connection stood, or HTTP 5xx that no application wrote."""
    if isinstance(error, NetworkError):
        return bool(error.details.get("sent", True))
    if isinstance(error, Busy):  # a load balancer's "later" (503 with Retry-After) was passed on to nobody
        return False
    return int(error.details.get("http_status") or 0) >= 500 and error.details.get("envelope_code") is None


def is_unknown_task(error: ImgOpenError) -> bool:
    """Whether a gateway says, in an envelope, that it has no such task (HTTP or code 404).

    A bare 404 does not count: it may come from anything between here and there.
    """
    details = error.details
    if details.get("envelope_code") is None or details.get("server_error") not in (None, "unknown_task"):
        return False
    return details.get("http_status") == 404 or details.get("envelope_code") == "404"


def _data(envelope: Mapping[str, Any], what: str) -> dict[str, Any]:
    data: Any = envelope.get("data")
    if not isinstance(data, dict):
        raise ServerError(
            f"The answer to {what} holds no data object.",
            "The server may not know the task, or does not speak the Img Open API.",
            http_status=200,
            envelope_code=str(envelope.get("code")),
        )
    return cast("dict[str, Any]", data)


def model_of(kind: type[M], data: Mapping[str, Any], what: str) -> M:
    """A reply as a model; what does not fit is a server error that names the fields, not the values."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        fields = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors()[:5])
        raise ServerError(
            f"The answer about {what} has an unexpected shape ({fields}).",
            "The server may speak another version of the API; report this with the field names.",
            http_status=200,
        ) from None
