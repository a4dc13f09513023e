"""Fetch annotator weights from the hub or a mirror: on the user's word only, resumable, checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..base.errors import Cancelled, InvalidRequest, MissingModel, NetworkError
from ..base.log import get_logger
from .weights_table import WEIGHTS, WeightFile

_log = get_logger("preprocessors.download")
_BLOCK = 2**20
_TIMEOUT = (10, 60)  # seconds to connect, and between two blocks

Progress = Callable[[float], None]


def pull(
    key: str,
    folder: Path,
    *,
    progress: Progress = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Fetch one weight into `folder` and return where it is: the file, or the folder of a transformers model.

    A download that broke off goes on where it stopped (`*.part`). The finished file is compared with the
    checksum of the table, else with the one the hub declares. `HF_ENDPOINT` names a mirror.

    Raises:
        InvalidRequest: an unknown key, an HF_ENDPOINT that is no http(s) address, or a file that this or
            another process downloads already.
        NetworkError: no connection, cut off, or not of the size that the server gave; calling again resumes.
        MissingModel: the server does not have the file, wants an account, or sent something else.
        Cancelled: asked to stop; the part stays.
    """
    if key not in WEIGHTS:
        raise InvalidRequest.field("weight", key, "one of " + ", ".join(sorted(WEIGHTS)))
    entry = WEIGHTS[key]
    if not entry.is_folder:
        return _fetch(entry, entry.file, folder / Path(entry.file).name, progress, cancelled)
    root = folder / entry.repo.split("/")[-1]
    for extra in entry.extra:
        _fetch_extra(entry, extra, root, cancelled)
    return _fetch(entry, entry.file, root / entry.file, progress, cancelled).parent


def _fetch_extra(entry: WeightFile, extra: str, root: Path, cancelled: Callable[[], bool]) -> None:
    name = extra.strip("()")
    if (root / name).is_file():
        return
    try:
        _fetch(entry, name, root / name, lambda _: None, cancelled)
    except MissingModel:
        if extra == name:
            raise
        _log.debug("%s has no %s; it is not needed.", entry.repo, name)


def _fetch(
    entry: WeightFile, name: str, target: Path, progress: Progress, cancelled: Callable[[], bool]
) -> Path:
    import requests

    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    address = f"{_endpoint()}/{entry.repo}/resolve/{entry.revision}/{name}"
    with _alone(part):
        try:
            with requests.Session() as client:
                _write(client, address, part, progress, cancelled)
                declared = (
                    entry.sha256 if name == entry.file and entry.sha256 else _declared_sha256(client, address)
                )
        except requests.RequestException as error:
            raise NetworkError(
                f"The download of {name} from {_shown(_endpoint())} broke off: {type(error).__name__}.",
                f"Call it again: it goes on where it stopped. Or fetch the file by hand: {entry.link}",
            ) from error
        _check(part, declared, address)
        part.replace(target)
    progress(1.0)
    return target


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Hold `<part>.lock` so that no other thread or process writes the part.

    The lock is the operating system's and ends with its process: a file left behind by a crash is free.
    """
    lock = part.with_name(part.name + ".lock")
    with lock.open("a+b") as file:
        if not (_locked(file.fileno()) and _is_at(file.fileno(), lock)):
            raise InvalidRequest(
                f"{part.stem} is already being downloaded to {part.parent}.",
                "Wait until that download, perhaps of another program, has ended.",
            )
        try:
            yield
        finally:
            if sys.platform != "win32":
                lock.unlink(missing_ok=True)  # before it is let go: nobody can lock a file that is then gone
    if sys.platform == "win32":
        with contextlib.suppress(OSError):  # open files cannot be deleted there: the next one has it
            lock.unlink()


def _locked(handle: int) -> bool:
    """Lock an open file without waiting. False if somebody has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:  # some network drives have no locks; without one it works as well as alone
        _log.warning("Files cannot be locked in this folder (%s): start one download only.", error.strerror)
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one at this path: its holder deletes it at the end."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _endpoint() -> str:
    address = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"
    if not address.startswith(("https://", "http://")):
        raise InvalidRequest.field("HF_ENDPOINT", _shown(address), "an http or https address")
    return address


def _shown(address: str) -> str:
    """The address for texts: without the name and password that may stand before the host."""
    start, mark, rest = address.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{start}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _write(client: Any, address: str, part: Path, progress: Progress, cancelled: Callable[[], bool]) -> None:
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"}  # sizes are of the file itself
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as reply:
        if have and reply.status_code == 416:  # nothing left to send: the part is the whole file, or too long
            _check_size(part, have, _ranged(reply.headers) or _size_at(client, address))
            return
        _raise_for_status(reply, address)
        resumed = have > 0 and reply.status_code == 206
        done = have if resumed else 0
        total = _total(reply.headers, done)
        with part.open("ab" if resumed else "wb") as file:
            for block in _blocks(reply, cancelled):
                file.write(block)
                done += len(block)
                if total > 0:
                    progress(min(0.999, done / total))
    _check_size(part, done, total)


def _ranged(headers: Mapping[str, str]) -> int:
    """Bytes of the whole file by Content-Range; 0 if it does not say."""
    whole = re.fullmatch(r"bytes .*/(\d+)", headers.get("Content-Range", "").strip())
    return int(whole[1]) if whole else 0


def _total(headers: Mapping[str, str], done: int) -> int:
    """Bytes of the whole file by the headers of a reply of which `done` were here; 0 if they do not say."""
    length = int(headers.get("Content-Length") or 0)
    if headers.get("Content-Encoding", "identity") != "identity" or not length:
        return _ranged(headers)
    return _ranged(headers) or done + length


def _size_at(client: Any, address: str) -> int:
    reply = client.head(
        address, headers={"Accept-Encoding": "identity"}, allow_redirects=True, timeout=_TIMEOUT
    )
    return _total(reply.headers, 0) if reply.status_code == 200 else 0


def _check_size(part: Path, have: int, total: int) -> None:
    if not total or have == total:
        return
    if have < total:
        raise NetworkError(
            f"The download of {part.stem} ended after {have} of {total} bytes.",
            "Call it again: it goes on there.",
        )
    part.unlink()
    raise NetworkError(
        f"The download of {part.stem} has {have} bytes, but the file has {total}.",
        "It was deleted. Call it again: it starts anew.",
    )


def _blocks(reply: Any, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    for block in reply.iter_content(_BLOCK):
        if cancelled():
            raise Cancelled("The download was stopped; the part that is there is kept.")
        yield block


def _raise_for_status(reply: Any, address: str) -> None:
    if reply.status_code in (200, 206):
        return
    if reply.status_code in (401, 403):
        why = "wants an account that has accepted the licence"
    elif reply.status_code == 404:
        why = "does not have it"
    else:
        raise NetworkError(f"{_shown(address)} answered {reply.status_code}.", "Try again later.")
    raise MissingModel(
        f"{_shown(address)} {why} (status {reply.status_code}).", "Fetch the file by hand or use a mirror."
    )


def _declared_sha256(client: Any, address: str) -> str:
    """The checksum the hub states for a large file before it redirects; empty if it states none."""
    reply = client.head(address, allow_redirects=False, timeout=_TIMEOUT)
    return _sha256_in(reply.headers)


def _sha256_in(headers: Mapping[str, str]) -> str:
    tag = headers.get("X-Linked-Etag", "").strip('"').lower()
    return tag if len(tag) == 64 and all(c in "0123456789abcdef" for c in tag) else ""


def _check(part: Path, declared: str, address: str) -> None:
    if not declared:
        return
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != declared:
        part.unlink()
        raise MissingModel(
            f"What came from {_shown(address)} is not the published file: its checksum is "
            f"{digest.hexdigest()}, but should be {declared}.",
            "It was deleted. Try again, or another mirror.",
        )
