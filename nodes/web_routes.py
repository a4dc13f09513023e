"""The pack's routes on the host's server, all below /img_open (and /api/img_open). See docs/canvas.md."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..base.errors import ImgOpenError, InvalidRequest, PictureError
from ..base.log import get_logger
from . import web_models, web_profiles, web_tasks, web_weights
from .web_guard import Handler, body_of, guarded, in_thread, reply, safely, text_of

if TYPE_CHECKING:
    from ..api.journal import Journal

_log = get_logger("nodes.web")
_live = web_tasks.Live()
_registered: set[int] = set()
# What the open route says of a module: the same on every machine.
_TOLD = ("name", "label", "aliases", "tags", "method", "sliders", "returns", "needs_mask", "model_free")


def register() -> None:
    """Add the routes to the running server, once. Without a server (tests, tools) nothing happens."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None or id(server) in _registered:
        return
    _registered.add(id(server))
    table: web.RouteTableDef = server.routes
    table.get("/img_open/modules")(_open(modules))  # nothing of this machine in it: works behind any proxy
    for method, path, handler in ROUTES:
        table.route(method, path)(guarded(handler))


def _open(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await safely(handler, request)

    return answer


# --- modules, import, export --------------------------------------------------------------------------------


async def modules(request: web.Request) -> web.Response:
    """GET: every module with its names, tags and sliders.

    Anybody may ask this: why a module cannot run is left out, for such reasons name folders and commands.
    """
    from ..preprocessors.describe import describe_modules

    told = await in_thread(describe_modules)
    return reply([{name: entry[name] for name in _TOLD} for entry in told])


async def import_text(request: web.Request) -> web.Response:
    """POST {"text": ..} or {"file": base64, ..}: a plan of nodes (see `web_import`)."""
    body = await body_of(request)
    profile = text_of(body, "profile")

    def work() -> dict[str, Any]:
        from ..api.convert import from_infotext, from_text
        from .web_import import is_web_ui, request_plan

        notices: list[str] = []
        run_on = "remote"
        if body.get("file"):
            read, run_on = from_infotext(_decoded(text_of(body, "file")), notices), "local"
        else:
            text = text_of(body, "text")
            read = from_text(text, notices)
            if is_web_ui(text):
                run_on = "local"
        plan = request_plan(read, notices, keep_picture, profile=profile, run_on=run_on)
        return {"nodes": plan.nodes, "links": plan.links, "notices": plan.notices}

    return reply(await in_thread(work))


async def export_text(request: web.Request) -> web.Response:
    """POST {"format": .., "canvas": ..} or {"format": .., "task": row}: {"text": .., "notices": [..]}."""
    body = await body_of(request)
    form = text_of(body, "format")

    def work() -> dict[str, Any]:
        from ..api.request import Request
        from .web_export import as_text, canvas_request

        notices: list[str] = []
        profile = text_of(body, "profile")
        if body.get("task"):
            task = web_tasks.find(_journal(), text_of(body, "task"))
            wanted, base_url = Request.from_wire(task.request), task.server
        else:
            canvas = body.get("canvas")
            if not isinstance(canvas, dict):
                raise InvalidRequest.field("canvas", type(canvas).__name__, "an object")
            inline = read_input if form == "web-ui" else None
            wanted, base_url = canvas_request(canvas, inline, notices), _base_url(profile)
        return {"text": as_text(wanted, form, base_url, notices), "notices": notices}

    return reply(await in_thread(work))


def _base_url(profile: str) -> str:
    """The address of a profile; the published one when the profile cannot be read."""
    from ..api.profiles import CLOUD_BASE_URL, load_profile

    try:
        return load_profile(profile).base_url if profile else CLOUD_BASE_URL
    except ImgOpenError:
        return CLOUD_BASE_URL


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InvalidRequest("The file did not arrive as base64.", "This is for the canvas.") from None


def keep_picture(link: str) -> str:
    """Write a picture (data URL, base64, http link) into the host's input folder; its name there.

    Raises:
        PictureError, LinkRefused, NetworkError: it cannot be had or is no picture.
    """
    from ..base.pictures import decode_picture, encode_png, from_data_url
    from ..storage.fetch import Fetcher

    if link.startswith("picture:"):
        raise PictureError(
            "Its picture was wired on another canvas and is not in the text.", "Wire it again."
        )
    data = Fetcher().fetch_bytes(link) if link.startswith(("http://", "https://")) else from_data_url(link)
    picture = decode_picture(data, source="the pasted picture")
    # Written anew: the bytes of a stranger may be anything besides a picture.
    return _write_input(encode_png(picture), "img_open")


def _write_input(data: bytes, prefix: str) -> str:
    import folder_paths

    name = f"{prefix}_{hashlib.sha256(data).hexdigest()[:16]}.png"
    path = Path(folder_paths.get_input_directory()) / name
    if not path.exists():
        path.write_bytes(data)
    return name


def read_input(name: str) -> str:
    """A file of the host's input folder as a data URL; raises PictureError when it is none."""
    import folder_paths

    from ..base.pictures import decode_picture, encode_png, to_data_url

    folder = Path(folder_paths.get_input_directory()).resolve()
    path = (folder / name.removesuffix(" [input]")).resolve()
    if folder not in path.parents or not path.is_file():
        raise PictureError("The picture is not in the input folder.", "Put a link of it into the text.")
    return to_data_url(encode_png(decode_picture(path.read_bytes(), source=path.name), level=6), "image/png")


# --- profiles -----------------------------------------------------------------------------------------------


async def profiles(request: web.Request) -> web.Response:
    """GET: the profiles without anything secret."""
    return reply({"profiles": await in_thread(web_profiles.all_shown)})


async def save_profile(request: web.Request) -> web.Response:
    """POST: add or change one."""
    body = await body_of(request)
    return reply({"profile": await in_thread(lambda: web_profiles.save(body))})


async def test_profile(request: web.Request) -> web.Response:
    """POST: one safe call to its server."""
    name = request.match_info["name"]
    return reply(await in_thread(lambda: web_profiles.test(name)))


async def remove_profile(request: web.Request) -> web.Response:
    """DELETE: take it out of the file."""
    name = request.match_info["name"]
    await in_thread(lambda: web_profiles.remove(name))
    return reply({"removed": name})


# --- tasks --------------------------------------------------------------------------------------------------


def _journal() -> Journal:
    from ..api.journal import Journal

    return Journal()


async def tasks(request: web.Request) -> web.StreamResponse:
    """GET: the newest rows; 304 while nothing changed."""
    journal = _journal()
    tag = f'"{web_tasks.stamp(journal)}"'
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag, "Cache-Control": "no-store"})
    found = await in_thread(lambda: web_tasks.rows(journal))
    return reply({"tasks": found}, headers={"ETag": tag})


async def task_progress(request: web.Request) -> web.Response:
    """GET: how far the unfinished tasks are."""
    journal = _journal()
    return reply(await in_thread(lambda: _live.all(journal)))


async def one_task(request: web.Request) -> web.Response:
    """GET: one row, by its key or its task id."""
    key, journal = request.match_info["key"], _journal()
    return reply(await in_thread(lambda: web_tasks.row(web_tasks.find(journal, key))))


async def task_thumbnail(request: web.Request) -> web.Response:
    """GET: a small JPEG of the first picture."""
    key, journal = request.match_info["key"], _journal()
    data = await in_thread(lambda: web_tasks.thumbnail(journal, web_tasks.find(journal, key)))
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=data, content_type="image/jpeg", headers=headers)


async def act(request: web.Request) -> web.Response:
    """POST {"action": ..}: cancel, attach, retry, drop, purge."""
    body, key, journal = await body_of(request), request.match_info["key"], _journal()
    action = text_of(body, "action")
    return reply(await in_thread(lambda: web_tasks.act(journal, _live, web_tasks.find(journal, key), action)))


async def open_result(request: web.Request) -> web.Response:
    """POST: the pictures of a task as a plan of Load Image nodes."""
    await body_of(request)
    key, journal = request.match_info["key"], _journal()

    def work() -> dict[str, Any]:
        from ..base.pictures import decode_picture, encode_png

        task = web_tasks.find(journal, key)
        made = int(web_tasks.row(task)["made"])
        nodes: list[dict[str, Any]] = []
        for number in range(min(made, 16)):
            path = web_tasks.picture_path(journal, task, number)
            name = _write_input(encode_png(decode_picture(path.read_bytes(), source=path.name)), "img_open")
            nodes.append(
                {"key": f"r{number}", "type": "LoadImage", "column": number % 4, "widgets": {"image": name}}
            )
        if not nodes:
            raise InvalidRequest(f"Task {task.task_id} has no picture here.", "Re-attach it to fetch them.")
        return {"nodes": nodes, "links": [], "notices": []}

    return reply(await in_thread(work))


async def purge(request: web.Request) -> web.Response:
    """POST {"days": number}: remove finished tasks."""
    body, journal = await body_of(request), _journal()
    days = body.get("days", 30)
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not 0 <= days < 1e5:
        raise InvalidRequest.field("days", days, "a number of days from 0 up")
    return reply({"removed": await in_thread(lambda: web_tasks.purge(journal, float(days)))})


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/img_open/import", import_text),
    ("POST", "/img_open/export", export_text),
    ("GET", "/img_open/profiles", profiles),
    ("POST", "/img_open/profiles", save_profile),
    ("POST", "/img_open/profiles/{name}/test", test_profile),
    ("DELETE", "/img_open/profiles/{name}", remove_profile),
    ("GET", "/img_open/tasks", tasks),
    ("GET", "/img_open/progress", task_progress),
    ("POST", "/img_open/tasks/purge", purge),
    ("GET", "/img_open/tasks/{key}", one_task),
    ("GET", "/img_open/tasks/{key}/thumbnail", task_thumbnail),
    ("POST", "/img_open/tasks/{key}/open", open_result),
    ("POST", "/img_open/tasks/{key}/action", act),
    *web_models.ROUTES,
    *web_weights.ROUTES,
)
