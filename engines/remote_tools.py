"""Any operation of the catalogue, as safe as a picture request.

Journal, submitter, poller and result store are those of `remote.py`; only the client knows how an operation's
family is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..api.catalogue import Catalogue, Operation, TaskFacts
from ..api.client import Client
from ..api.journal import Journal, Task
from ..api.local_catalogue import user_catalogue
from ..api.operation_client import OperationClient
from ..api.operation_request import OperationRequest
from ..api.profiles import Profile, load_profile
from ..api.request import Request
from ..api.retry import Backoff, CancelledFn, never
from ..api.sendable import Sendable
from ..api.tasks import said
from ..api.transport import Timeouts
from ..base.errors import InvalidRequest
from ..base.log import scrub_json
from ..storage.links import Linker
from ..storage.pictures import Pictures
from .remote import RemoteEngine, result_fetcher
from .remote_pictures import linker_for, publish, without_pictures
from .remote_poll import Patience
from .types import ProgressFn, Result

SD_V2 = ("sd_controlnet", "sd_text2image_v2", "sd_image2image_v2")
CALL = "api_call"  # how the journal names a plain call
_VERDICTS = {"pending": "running", "failed": "failed"}


@dataclass(frozen=True)
class Look:
    """How a task stands.

    Attributes:
        state: the journal's word (running, done, failed, uncertain ...).
        progress: 0..1, as far as the server tells.
        message: the server's or the journal's words.
        result: of a finished task.
    """

    state: str
    progress: float
    message: str
    result: Result | None = None


class ToolRunner:
    """Runs operations on the server of a profile.

    Args:
        profile: a `Profile` or its name.
        journal, linker, deadline_s, patience, timeouts, backoff: see `RemoteEngine`.
        catalogue: the operations; default: the published ones and the user's own file.
    """

    def __init__(
        self,
        profile: Profile | str,
        journal: Journal | None = None,
        linker: Linker | None = None,
        *,
        catalogue: Catalogue | None = None,
        deadline_s: float | None = None,
        patience: Patience | None = None,
        timeouts: Timeouts | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.journal = journal if journal is not None else Journal()
        self.catalogue = catalogue if catalogue is not None else user_catalogue()
        self._linker = linker
        self._deadline_s = deadline_s
        self._patience = patience
        self._timeouts = timeouts
        self._backoff = backoff

    def run(
        self,
        operation_id: str,
        body: Mapping[str, Any],
        *,
        pictures: Pictures | None = None,
        progress: ProgressFn | None = None,
        cancelled: CancelledFn | None = None,
        nonce: str = "",
    ) -> Result:
        """Submit a body, wait, and return what came out; `result.response` is the answer's `data`.

        Operations that only ask (lists, states) are called and not written down. All others go through the
        journal: the same body with the same nonce is one task, through crashes and restarts too.

        Args:
            body: JSON values by wire name; pictures may be `picture:` links. Parameters of the path
                (`toolCode`) are taken from it. The task id is filled in where it is missing.

        Raises: as `RemoteEngine.run`; InvalidRequest for an unknown operation or a body that the catalogue
            does not allow.
        """
        operation = self.catalogue.operation(operation_id)
        if operation.task.mode == "sync":
            return self._ask(operation, body, pictures, cancelled or never)
        return self.engine(operation).run(
            self.request(operation, body),
            pictures=pictures,
            progress=progress,
            cancelled=cancelled,
            nonce=nonce,
        )

    def submit(
        self,
        operation_id: str,
        body: Mapping[str, Any],
        *,
        pictures: Pictures | None = None,
        progress: ProgressFn | None = None,
        cancelled: CancelledFn | None = None,
        nonce: str = "",
    ) -> str:
        """As `run`, but return the task id as soon as the server has the task; `attach` gets the result."""
        operation = self.catalogue.operation(operation_id)
        if not operation.task.poll_with:
            raise InvalidRequest(
                f"{operation.id} cannot be followed by its id: how to ask about it is not published.",
                "Run it and wait for its reply instead.",
            )
        return self.engine(operation).submit(
            self.request(operation, body), pictures, progress=progress, cancelled=cancelled, nonce=nonce
        )

    def attach(
        self, task_id: str, progress: ProgressFn | None = None, cancelled: CancelledFn | None = None
    ) -> Result:
        """The result of any task of the journal by its id; unknown ids are taken for the sd family's."""
        return self.engine_of(task_id).attach(task_id, progress, cancelled)

    def look(self, task_id: str, cancelled: CancelledFn | None = None) -> Look:
        """How a task stands now, without waiting; a finished one with its result.

        Raises: as `RemoteEngine.attach`, where the server has to be asked.
        """
        task = self._row(task_id)
        if task is not None and task.state not in ("running", "done"):
            return Look(task.state, 0.0, task.message)
        engine = self.engine_of(task_id)
        if task is None or task.state == "running":
            query_id = task.query_id if task is not None else task_id
            answer = engine.client.task_answer(query_id, cancelled=cancelled or never)
            if answer.verdict != "succeeded":
                progress = answer.info.temporary.progress if answer.info.temporary is not None else None
                return Look(_VERDICTS[answer.verdict], progress or 0.0, said(answer.info))
        return Look("done", 1.0, "", engine.attach(task_id, cancelled=cancelled))

    def operation_of(self, task_id: str) -> Operation:
        """The operation of a task in the journal; unknown ids are taken for the sd family's."""
        task = self._row(task_id)
        known = task is not None and task.operation in self.catalogue
        return self.catalogue.operation(task.operation if task is not None and known else SD_V2[0])

    def cancel(self, task_id: str) -> None:
        """Stop a task at the server where that is possible. See `RemoteEngine.cancel`."""
        self.engine_of(task_id).cancel(task_id)

    def call(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        progress: ProgressFn | None = None,
        cancelled: CancelledFn | None = None,
        nonce: str = "",
    ) -> Result:
        """Post any body to any path of the server, once; the reply is the result.

        The journal treats it as a task without a way to ask about it: an unchanged call is not posted twice,
        and one whose fate is unknown is `uncertain`.
        """
        operation = Operation(id=CALL, path=path, fields=(), confidence="local", task=TaskFacts())
        request = OperationRequest.checked(operation, body)
        return self.engine(operation).run(request, progress=progress, cancelled=cancelled, nonce=nonce)

    def request(self, operation: Operation, body: Mapping[str, Any]) -> Sendable:
        """A body as something that can be submitted; raises InvalidRequest when the catalogue forbids it."""
        if operation.id not in SD_V2:
            return OperationRequest.checked(operation, body)
        request = Request.from_wire(body)
        if request.operation != operation.id:
            raise InvalidRequest(
                f"This body is one for {request.operation}, not for {operation.id}.",
                "sd_controlnet needs an enabled unit, sd_image2image_v2 an image_link and no unit.",
            )
        return request

    def engine(self, operation: Operation) -> RemoteEngine:
        """The engine that follows tasks of this operation."""
        client = None
        if operation.id not in SD_V2:
            client = OperationClient(
                self.profile,
                operation,
                timeouts=self._timeouts,
                backoff=self._backoff,
                downloader=result_fetcher(self.profile),
                catalogue=self.catalogue,
            )
        return RemoteEngine(
            self.profile,
            self.journal,
            self._linker,
            deadline_s=self._deadline_s,
            patience=self._patience,
            timeouts=self._timeouts,
            backoff=self._backoff,
            client=client,
        )

    def engine_of(self, task_id: str) -> RemoteEngine:
        """The engine for a task that is in the journal (or the sd family's, if it is not)."""
        return self.engine(self.operation_of(task_id))

    def _row(self, task_id: str) -> Task | None:
        try:
            return self.journal.show(task_id, server=self.profile.base_url, profile=self.profile.name)
        except InvalidRequest:
            return None

    def _ask(
        self, operation: Operation, body: Mapping[str, Any], pictures: Pictures | None, cancelled: CancelledFn
    ) -> Result:
        """An operation that only asks: one call, nothing written down."""
        values = dict(body)
        params = {name: str(values.pop(name, "")) for name in operation.path_params}
        request = OperationRequest(operation, values)
        operation.validate_body(values)
        linker = self._linker or linker_for(self.profile)
        sent = publish(request, pictures, linker, self.profile, lambda done, total: None)
        client = Client(
            self.profile, timeouts=self._timeouts, backoff=self._backoff, catalogue=self.catalogue
        )
        try:
            envelope = client.call(operation.id, sent.to_wire(), cancelled=cancelled, **params)
        finally:
            client.close()
        data: Any = envelope.get("data")
        found = cast("dict[str, Any]", data) if isinstance(data, dict) else {"data": data}
        return Result(response=scrub_json(without_pictures(found)))
