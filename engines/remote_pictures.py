"""Pictures of a request on their way out: from `picture:` links and files to links the server can read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, Literal

from ..api.profiles import Profile
from ..api.sendable import Sendable
from ..storage.links import InlineLinker, Linker, NoLinker
from ..storage.pictures import Kind, Pictures, encode_for_upload

_PREFIX = "picture:"
_UPLOADS = 4  # pictures on their way at once
_TELL_S = 0.2
_LONG = 512  # a longer text may be a picture itself, not a link to one
_BASE64 = re.compile(r"[A-Za-z0-9+/_=\r\n-]+")


def linker_for(profile: Profile) -> Linker:
    """The way this profile makes links."""
    if profile.storage == "inline":
        return InlineLinker()
    if profile.storage == "s3":
        from ..storage.s3 import S3Linker, S3Options

        return S3Linker(S3Options.from_mapping(profile.storage_options))
    if profile.storage == "served":
        from ..storage.served import ServedOptions, served_linker

        return served_linker(ServedOptions.from_mapping(profile.storage_options))
    return NoLinker()


def pin_files(request: Sendable, pictures: Pictures | None) -> Sendable:
    """The request with file paths replaced by `picture:` links, so that its hash follows the contents."""
    if pictures is None:
        return request
    masks = {link for place, link in request.links() if "mask" in place.rpartition(".")[2]}

    def pin(link: str) -> str:
        if not pictures.is_local(link) or link.startswith(_PREFIX):
            return link
        kind: Kind = "mask" if link in masks else "photo"
        return pictures.add(pictures.get(link), kind)

    return request.map_links(pin)


def publish(
    request: Sendable,
    pictures: Pictures | None,
    linker: Linker,
    profile: Profile,
    told: Callable[[int, int], None],
) -> Sendable:
    """The request with every local picture replaced by a link of `linker`, each picture once.

    Several pictures are encoded and uploaded side by side. Control maps and masks travel as PNG; photographs
    too unless the profile's `storage_options` say `"photo": "jpeg"`. Links given as text pass through
    untouched.

    Args:
        told: hears how many of how many pictures are there, at least five times a second; what it raises
            ends the wait.

    Raises:
        PictureError: a `picture:` link without its picture.
        ProfileError: the profile has no storage.
    """
    source = pictures if pictures is not None else Pictures()
    options = profile.storage_options
    photo: Literal["jpg", "png"] = "jpg" if options.get("photo") in ("jpeg", "jpg") else "png"
    quality = int(options.get("jpeg_quality", 95))

    def upload(link: str) -> str:
        data, mime = encode_for_upload(
            source.get(link), source.kind(link), photo_format=photo, quality=quality
        )
        return linker.link_for(data, mime)

    found = [link for _, link in request.links()]
    local = [link for link in found if link.startswith(_PREFIX) or source.is_local(link)]
    links = _side_by_side(upload, list(dict.fromkeys(local)), told)
    return request.map_links(lambda link: links.get(link, link))


def _side_by_side(
    upload: Callable[[str], str], wanted: list[str], told: Callable[[int, int], None]
) -> dict[str, str]:
    """`upload` of each, in a few threads at once; the first error ends it."""
    if not wanted:
        return {}
    pool = ThreadPoolExecutor(min(_UPLOADS, len(wanted)), thread_name_prefix="img-open-upload")
    try:
        tasks = {pool.submit(upload, link): link for link in wanted}
        links: dict[str, str] = {}
        pending = set(tasks)
        while pending:
            told(len(links), len(wanted))
            done, pending = wait(pending, timeout=_TELL_S, return_when=FIRST_COMPLETED)
            links |= {tasks[each]: each.result() for each in done}
        return links
    finally:
        # Never waits: a user who stops is not held up by an upload that hangs.
        pool.shutdown(wait=False, cancel_futures=True)


def without_pictures(value: Any) -> Any:
    """A JSON value for the journal: inline pictures are replaced by their hash."""
    if isinstance(value, str):
        inline = value.startswith("data:") or _BASE64.fullmatch(value[:_LONG]) is not None
        if len(value) <= _LONG or not inline:
            return value
        kind = value.partition(";")[0] if value.startswith("data:") else "base64"
        return f"{kind};sha256={hashlib.sha256(value.encode()).hexdigest()}"
    if isinstance(value, dict):
        return {key: without_pictures(item) for key, item in value.items()}  # pyright: ignore
    if isinstance(value, list):
        return [without_pictures(item) for item in value]  # pyright: ignore
    return value
