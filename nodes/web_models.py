"""The model browser's routes: a page of models, their covers, and the control models of a module.

Models come from ComfyUI's folders (`source=here`) or from a profile's server (`source=remote`). A cover is
fetched here and not by the browser: its signed link stays in this process, its server does not learn who
looks, and the page needs no permission for foreign pictures. It leaves as a small JPEG made anew.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..base.errors import ImgOpenError, InvalidRequest, PictureError
from ..base.log import get_logger, scrub
from .web_guard import in_thread, reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..api.profiles import Profile
    from ..engines.model_shelf import Entry, Look, Place, Shelf

_log = get_logger("nodes.web")

HERE = "here"
COVER = 320  # pixels, longer side
_FOLDERS = (("checkpoints", "checkpoint"), ("loras", "lora"), ("vae", "vae"), ("controlnet", "controlnet"))
_COVER_BYTES = 12 * 1024 * 1024
_COVER_PIXELS = 40_000_000
_COVER_S = 15.0
_AT_ONCE = 4  # covers fetched side by side
_PAUSE_S = 60.0  # before a cover that could not be had is tried again
_MOST_ROWS = 200
_MOST_KEPT = 400


@lru_cache(maxsize=1)
def shelf() -> Shelf:
    """The lists of this process."""
    from ..engines.model_shelf import Shelf

    return Shelf()


# --- a page of models ---------------------------------------------------------------------------------------


async def models_page(request: web.Request) -> web.Response:
    """GET ?source=here|remote&profile=&kinds=a,b&base=&search=&page=&size=&again=1: one page.

    The answer: `rows` (key, name, title, kind, base, hash, version, bytes, cover: is there one), `found`,
    `page`, `pages`, `kinds` (how many of each), `bases`, `loading`, `missing`, `problem` (text of an error
    that cut the list short).
    """
    query = request.query
    page, size = _number(query.get("page", "1"), "page"), _number(query.get("size", "24"), "size")
    if size > _MOST_ROWS:
        raise InvalidRequest.field("size", size, f"at most {_MOST_ROWS}")
    kinds = [kind for kind in query.get("kinds", "").split(",") if kind]

    def work() -> dict[str, Any]:
        from ..engines.model_shelf import select

        search = query.get("search", "")[:200].strip()
        look = _look(
            query.get("source", HERE), query.get("profile", ""), search, again=bool(query.get("again"))
        )
        made = select(
            look.entries, search=search, kinds=kinds, base=query.get("base", ""), page=page, size=size
        )
        return {
            "rows": [_row(one) for one in made.entries],
            "found": made.found,
            "page": made.page,
            "pages": max(1, -(-made.found // size)),
            "kinds": made.kinds,
            "bases": made.bases,
            "loading": look.loading,
            "missing": look.missing,
            "problem": str(look.error) if look.error is not None else "",
        }

    return reply(await in_thread(work))


def _look(source: str, profile: str, search: str, again: bool) -> Look:
    from ..api.profiles import load_profile
    from ..engines.model_shelf import Look, search_server

    if source == HERE:
        return Look(local_entries(), False, 0, None)
    if source != "remote":
        raise InvalidRequest.field("source", source, f"{HERE} or remote")
    named = load_profile(profile)  # anew each time: it may be gone, or be another server's by now
    look = shelf().look(named, again=again)
    if search and look.missing and not look.loading:
        shelf().add(named, search_server(named, search).entries)
        look = shelf().look(named)
    return look


def local_entries() -> list[Entry]:
    """The model files in ComfyUI's folders, by the names its loaders use."""
    import folder_paths

    found: list[Entry] = []
    for folder, kind in _FOLDERS:
        if folder not in folder_paths.folder_names_and_paths:
            continue
        for name in folder_paths.get_filename_list(folder):
            path = Path(folder_paths.get_full_path(folder, name) or "")
            if not path.is_file():
                continue
            try:
                found.append(_file_entry(path, name, kind))
            except Exception:  # one odd file must not hide the others; the host's list names it as before
                _log.warning("model file %s: %s", name, scrub(traceback.format_exc()))
    _remember(found)
    return found


def _file_entry(path: Path, name: str, kind: str) -> Entry:
    from ..engines.model_facts import base_model, picture_beside
    from ..engines.model_shelf import Entry, tag_name

    cover = picture_beside(path)
    return Entry(
        name=tag_name(name) if kind == "lora" else name,
        title=tag_name(name),
        kind=kind,
        base=base_model(path),
        bytes=path.stat().st_size,
        cover=str(cover) if cover else "",
    )


_seen: dict[str, Entry] = {}  # files of former looks, so that a cover needs no look of its own


def _remember(entries: list[Entry]) -> None:
    for key in _seen.keys() - {one.key for one in entries}:
        _seen.pop(key, None)
    _seen.update({one.key: one for one in entries})


def _local(key: str) -> Entry | None:
    if key not in _seen:
        local_entries()
    return _seen.get(key)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "name": entry.name,
        "title": entry.title,
        "kind": entry.kind,
        "base": entry.base,
        "hash": entry.hash,
        "version": entry.version,
        "bytes": entry.bytes,
        "cover": bool(entry.cover),
    }


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) < 1:
        raise InvalidRequest.field(name, text[:40], "a whole number from 1 up")
    return int(text)


# --- covers -------------------------------------------------------------------------------------------------


class Covers:
    """Covers made small, kept in memory; those that could not be had are left alone for a while."""

    def __init__(self) -> None:
        self._gate = threading.Semaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Place | None, str], bytes] = OrderedDict()
        self._failed: dict[tuple[Place | None, str], float] = {}

    def get(self, profile: Profile | None, entry: Entry) -> bytes:
        """A JPEG of at most COVER pixels.

        Args:
            profile: whose rules for links count, that of its list; None for a file on this machine.
            entry: the model.

        Raises:
            LinkRefused, NetworkError, ServerError, PictureError: it cannot be had, or was not a moment ago.
        """
        from ..engines.model_shelf import place_of

        name = (place_of(profile) if profile else None, entry.cover)
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
            if time.monotonic() - self._failed.get(name, -_PAUSE_S) < _PAUSE_S:
                raise PictureError("The cover could not be fetched a moment ago.", "It is tried again later.")
        with self._gate:
            try:
                data = small_jpeg(_cover_bytes(profile, entry.cover))
            except ImgOpenError:
                with self._lock:
                    if len(self._failed) > _MOST_KEPT:
                        self._failed.clear()
                    self._failed[name] = time.monotonic()
                raise
        with self._lock:
            self._kept[name] = data
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return data


def _cover_bytes(profile: Profile | None, cover: str) -> bytes:
    if profile is None:
        path = Path(cover)
        try:
            if path.stat().st_size > _COVER_BYTES:
                raise PictureError(f"The picture {path.name} is too large for a cover.", "Make it smaller.")
            return path.read_bytes()
        except OSError:
            raise PictureError(f"The picture {path.name} cannot be read.", "Look for the file.") from None
    from ..storage.fetch import Fetcher

    fetcher = Fetcher(
        allow_private=profile.allow_private_results,
        max_bytes=_COVER_BYTES,
        timeout=_COVER_S,
        allow_origins=(profile.origin,),
    )
    return fetcher.fetch_bytes(cover)


def small_jpeg(data: bytes) -> bytes:
    """Any picture as a JPEG of at most COVER pixels, transparency over white. Raises PictureError."""
    import io

    from PIL import Image

    from ..base.pictures import decode_picture, flatten_over_white

    array = decode_picture(data, max_bytes=_COVER_BYTES, max_pixels=_COVER_PIXELS, source="the cover")
    if array.ndim == 3 and array.shape[2] == 4:
        array = flatten_over_white(array)
    picture = Image.fromarray(array).convert("RGB")
    picture.thumbnail((COVER, COVER))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82)
    return out.getvalue()


@lru_cache(maxsize=1)
def covers() -> Covers:
    """The covers of this process."""
    return Covers()


async def model_cover(request: web.Request) -> web.Response:
    """GET ?source=&profile=&key=: the cover of a row of `models_page`; 204 where there is none."""
    source, profile = request.query.get("source", HERE), request.query.get("profile", "")
    key = request.query.get("key", "")

    def work() -> bytes | None:
        from ..api.profiles import load_profile

        named = None if source == HERE else load_profile(profile)
        entry = _local(key) if named is None else shelf().find(named, key)
        if entry is None or not entry.cover:
            return None
        return covers().get(named, entry)

    try:
        data = await in_thread(work, "img-open-cover")
    except ImgOpenError as error:
        _log.debug("cover of %s: %s", source if source == HERE else profile, error)
        data = None
    if data is None:
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=data, content_type="image/jpeg", headers=headers)


# --- the control models of a module -------------------------------------------------------------------------


async def control_models(request: web.Request) -> web.Response:
    """GET ?module=&source=&profile=: {"offered": the module's own, "others": the rest, "default": name}.

    `default` is empty where the module has no tag, or no model of the tag is there.
    """
    query = request.query

    def work() -> dict[str, Any]:
        source, profile = query.get("source", HERE), query.get("profile", "")
        look = _look(source, profile, "", again=False)
        names = [one.name for one in look.entries if one.kind == "controlnet"]
        return {**offer(query.get("module", "none"), names), "loading": look.loading}

    return reply(await in_thread(work))


def offer(module: str, names: Sequence[str]) -> dict[str, Any]:
    """The models of a module's control types first, and the one the web UI would choose.

    Args:
        module: name or label; raises InvalidRequest when unknown.
        names: all control models there are.
    """
    from ..controlnet.modules import default_model, find_module, models_for_tag

    tags = find_module(module).tags if module != "none" else ()
    offered = dict.fromkeys(name for tag in tags for name in models_for_tag(tag, names) if name != "None")
    defaults = (default_model(tag, names) for tag in tags)
    return {
        "offered": list(offered),
        "others": [name for name in names if name not in offered],
        "default": next((name for name in defaults if name != "None"), ""),
    }


ROUTES = (
    ("GET", "/img_open/models/list", models_page),
    ("GET", "/img_open/models/cover", model_cover),
    ("GET", "/img_open/models/control", control_models),
)
