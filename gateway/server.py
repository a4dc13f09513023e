"""The HTTP side: paths, envelopes, and nothing that takes long on the event loop."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from ..base.errors import ImgOpenError, InvalidRequest
from ..base.log import get_logger
from ..engines.types import Engine
from ..storage.fetch import Fetcher
from .answers import UnknownTask, failure, plain_failure, success
from .auth import Guard, Keys
from .bodies import Bodies
from .checks import check_request, number_field, parse_body, text_field
from .lock import FolderLock
from .previews import MapMaker
from .replies import model_rows, task_data, tool_data
from .results import Results
from .settings import MEBIBYTE, Settings
from .tasks import Family, Task, TaskStore
from .worker import Previewer, Worker

_log = get_logger("gateway.server")

PREFIX = "/AIGCImgOpenServ/saas"
CNT_PREVIEW = "cnt/preview"
SUBMITS = {
    "/sd/v2/text2image": "sd_text2image_v2",
    "/sd/v2/image2image": "sd_image2image_v2",
    "/sd/v2/controlnet": "sd_controlnet",
}
_STOP_S = 20.0
_QUESTION_BYTES = MEBIBYTE
_OPEN_PATHS = ("/healthz", "/f/")  # a link is its own key; health tells nothing about tasks

Rows = Callable[[], Sequence[dict[str, Any]]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """The handlers of one gateway and what they share."""

    def __init__(
        self, settings: Settings, guard: Guard, engine: Engine, rows: Rows, previewer: Previewer
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._engine = engine
        self._rows = rows
        self._bodies = Bodies(settings.body_limit, settings.body_seconds)
        self._store = TaskStore(settings.data_dir / "tasks.sqlite3")
        self._results = Results(settings.data_dir, settings.link_seconds)
        fetcher = Fetcher(
            allow_private=settings.allow_private,
            max_bytes=settings.picture_limit,
            max_pixels=settings.pixel_limit,
            timeout=settings.fetch_seconds,
        )
        self.worker = Worker(self._store, self._results, engine, previewer, fetcher, settings.keep_seconds)

    def routes(self) -> list[web.RouteDef]:
        """All paths."""
        submits = [web.post(PREFIX + path, self._submit(name)) for path, name in SUBMITS.items()]
        return [
            *submits,
            web.post(PREFIX + "/sd/v2/queryModelList", self.model_list),
            web.post(PREFIX + "/sd/queryTaskInfo", self.task_info_v1),
            web.post(PREFIX + "/sd/v2/queryTaskInfo", self.task_info_v2),
            web.post(PREFIX + "/sd/v2/cancelTask", self.cancel),
            web.post(PREFIX + "/tool/cnt/preview", self.submit_preview),
            web.post(PREFIX + "/tool/{code:.+}/queryTask", self.tool_task),
            web.post(PREFIX + "/tool/{code:.+}/cancelTask", self.cancel_tool),
            web.get("/f/{token}", self.result),
            web.get("/healthz", self.health),
        ]

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Checks the caller before the body is read, and turns every error into an envelope."""
        try:
            self._guard.check_host(request.headers)
            if not request.path.startswith(_OPEN_PATHS):
                request["owner"] = self._guard.owner(request.headers)
            self._bodies.check_length(request.content_length)
            return await handler(request)
        except ImgOpenError as error:
            return failure(error)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return plain_failure(error.status, f"{request.method} {request.path[:200]}: {error.reason}.")
        except (ConnectionError, web.RequestPayloadError):
            # Most often the caller is gone. Raised again, aiohttp would log it as our error.
            return plain_failure(400, "The body broke off.", {"error": "body_cut_off"})
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return plain_failure(500, "Internal error; the server's log says more.", {"error": "internal"})

    def _submit(self, operation: str) -> Handler:
        async def submit(request: web.Request) -> web.Response:
            def file(data: bytes) -> tuple[Task, bool]:
                return self._file_request(request["owner"], operation, data)

            return self._filed(*await self._bodies.read_by(request, file))

        return submit

    def _file_request(self, owner: str, operation: str, data: bytes) -> tuple[Task, bool]:
        body = parse_body(data)
        request = check_request(body, operation, self._settings)
        task_id = request.id_task or uuid.uuid4().hex
        return self._store.submit(owner, "sd", task_id, operation, body, self._settings.queue_size)

    async def submit_preview(self, request: web.Request) -> web.Response:
        """tool/cnt/preview: the map of a module with its default sliders."""

        def file(data: bytes) -> tuple[Task, bool]:
            return self._file_preview(request["owner"], data)

        return self._filed(*await self._bodies.read_by(request, file))

    def _file_preview(self, owner: str, data: bytes) -> tuple[Task, bool]:
        from ..controlnet.modules import find_module

        body = parse_body(data)
        task_id = text_field(body, "businessTaskId")
        text_field(body, "sourceImage", longest=self._settings.body_limit)
        find_module(text_field(body, "preprocessor"))
        if body.get("callbackUrl"):
            raise InvalidRequest(
                "callbackUrl is set, but this server calls nobody.",
                "Leave it out and ask tool/cnt/preview/queryTask.",
                field="callbackUrl",
            )
        return self._store.submit(owner, "tool", task_id, CNT_PREVIEW, body, self._settings.queue_size)

    def _filed(self, task: Task, is_new: bool) -> web.Response:
        if is_new:
            self.worker.wake()
            _log.info("task %d filed: %s", task.seq, task.operation)
        return success({"task_id": task.task_id if task.family == "sd" else task.server_id})

    async def task_info_v1(self, request: web.Request) -> web.Response:
        """sd/queryTaskInfo."""
        return await self._task_info(request, "task_id")

    async def task_info_v2(self, request: web.Request) -> web.Response:
        """sd/v2/queryTaskInfo."""
        return await self._task_info(request, "id_task")

    async def _task_info(self, request: web.Request, id_name: str) -> web.Response:
        task_id = await self._asked_id(request)

        def answer() -> dict[str, Any]:
            task = self._store.find(request["owner"], "sd", task_id)
            data = task_data(task, self._store, self.worker, self._links(request))
            return {id_name: task.task_id, **data}

        return success(await asyncio.to_thread(answer))

    async def tool_task(self, request: web.Request) -> web.Response:
        """tool/cnt/preview/queryTask; other tools are not made here."""
        _check_tool(request)
        task_id = await self._asked_id(request)

        def answer() -> dict[str, Any]:
            task = self._store.find(request["owner"], "tool", task_id)
            return tool_data(task, self._store, self.worker, self._links(request))

        return success(await asyncio.to_thread(answer))

    async def cancel(self, request: web.Request) -> web.Response:
        """sd/v2/cancelTask (gateway dialect): an sd task, or a tool's where no sd task has the id."""
        task_id = await self._asked_id(request)

        def answer() -> dict[str, Any]:
            try:
                task = self._stop(request, "sd", task_id)
            except UnknownTask:
                task = self._stop(request, "tool", task_id)
            data = task_data(task, self._store, self.worker, self._links(request))
            return {"id_task": task.task_id, "status": data["status"], "desc": data["desc"]}

        return success(await asyncio.to_thread(answer))

    async def cancel_tool(self, request: web.Request) -> web.Response:
        """tool/cnt/preview/cancelTask (gateway dialect)."""
        _check_tool(request)
        task_id = await self._asked_id(request)

        def answer() -> dict[str, Any]:
            task = self._stop(request, "tool", task_id)
            return tool_data(task, self._store, self.worker, self._links(request))

        return success(await asyncio.to_thread(answer))

    def _stop(self, request: web.Request, family: Family, task_id: str) -> Task:
        task = self._store.want_cancel(request["owner"], family, task_id)
        self.worker.cancel(task.seq)
        return task

    async def _asked_id(self, request: web.Request) -> str:
        return text_field(await self._question(request), "businessTaskId")

    async def _question(self, request: web.Request) -> dict[str, Any]:
        return await self._bodies.read_by(request, parse_body, most=_QUESTION_BYTES)

    async def model_list(self, request: web.Request) -> web.Response:
        """sd/v2/queryModelList."""
        body = await self._question(request)
        size = number_field(body, "pageSize", 10, 1000)
        page = number_field(body, "pageNum", 1, 1_000_000)
        rows = await asyncio.to_thread(lambda: model_rows(self._rows(), body))
        part = rows[(page - 1) * size : page * size]
        return success({"rows": part, "total": len(rows), "pageSize": size, "pageNum": page})

    async def result(self, request: web.Request) -> web.StreamResponse:
        """A finished picture."""
        path = await asyncio.to_thread(self._results.file_behind, request.match_info["token"])
        headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(path, headers=headers)

    async def health(self, request: web.Request) -> web.Response:
        """Whether the server can work; 503 when its worker is gone."""
        alive = self.worker.alive()
        unfinished = await asyncio.to_thread(self._store.unfinished)
        body = {
            "status": "ok" if alive else "worker stopped",
            "engine": self._engine.name,
            "queue": {"unfinished": unfinished, "limit": self._settings.queue_size},
        }
        return web.json_response(body, status=200 if alive else 503)

    def _links(self, request: web.Request) -> Callable[[str], str]:
        base = self._settings.public_url.rstrip("/") or f"{request.scheme}://{request.host}"
        return lambda name: base + self._results.path_for(name)


def _check_tool(request: web.Request) -> None:
    code = request.match_info["code"]
    if code != CNT_PREVIEW:
        raise InvalidRequest.field("toolCode", code, f"{CNT_PREVIEW!r}, the only tool of this server")


def make_app(
    engine: Engine, settings: Settings, *, rows: Rows | None = None, previewer: Previewer | None = None
) -> web.Application:
    """The application; it takes the data folder at start and lets it go at the end.

    Args:
        engine: makes the pictures.
        settings: see `Settings`.
        rows: the models to list: `name` and `type` each, as `LocalModels.rows` returns them.
        previewer: makes the maps of cnt/preview; the pack's preprocessors by default.

    Raises:
        InvalidRequest: settings that cannot be, or another gateway on the same folder.
        ProfileError: the keys file.
    """
    settings.check()
    guard = Guard(Keys.load(settings.keys_file) if settings.keys_file is not None else None)
    lock = FolderLock(settings.data_dir)
    lock.take()
    try:
        gateway = Gateway(settings, guard, engine, rows or list, previewer or MapMaker())
    except BaseException:
        lock.release()
        raise

    async def life(app: web.Application) -> AsyncIterator[None]:
        await asyncio.to_thread(gateway.worker.start)
        yield
        stopped = await asyncio.to_thread(gateway.worker.stop, _STOP_S)
        if not stopped:
            _log.warning("the engine did not stop in time; its task is taken up again at the next start")
        lock.release()

    app = web.Application(client_max_size=settings.body_limit, middlewares=[gateway.middleware])
    app.add_routes(gateway.routes())
    app.cleanup_ctx.append(life)
    return app
