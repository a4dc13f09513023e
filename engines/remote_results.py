"""Results of remote tasks: fetched, checked, kept on disk, and read back.

Each picture is written to its file before the next one is fetched, so that nothing is fetched twice and
nothing that was made is lost when the line breaks in between.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.client import DOWNLOAD_S, Client, TaskAnswer
from ..api.journal import Journal, Task
from ..api.retry import Backoff, CancelledFn, interruptible, repeat
from ..api.tasks import ResultEntry, entries
from ..base import places
from ..base.errors import ImgOpenError, NetworkError, PictureError, TaskFailed
from ..base.log import scrub, scrub_json
from ..base.pictures import decode_picture, flatten_over_white, from_data_url
from .remote_pictures import without_pictures
from .types import Info, Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_INFO_KEYS = {"field", "verdict", "message"}
_KINDS = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpg"), (b"RIFF", "webp"), (b"GIF8", "gif"))


class BrokenPicture(NetworkError):
    """A result file that arrived whole but is no picture: fetched again before giving up."""

    code = "bad_picture"


class CannotKeep(ImgOpenError):
    """A result is there, but this machine has no place for it: no reason to have it made again."""

    code = "cannot_keep"


class ResultStore:
    """Fetches and keeps the results of one journal's tasks, in `results/<task id>/` beside the journal."""

    def __init__(self, journal: Journal, client: Client, backoff: Backoff) -> None:
        self._journal = journal
        self._client = client
        self._backoff = backoff

    def folder(self, task: Task) -> Path:
        """The folder of a task's files. Ids that are no plain file name get a plain one."""
        name = task.task_id if _SAFE_ID.fullmatch(task.task_id) else f"task-{task.intent[:16]}"
        return self._journal.results_dir / f"{name}-{task.row_id[:8]}"

    def collect(
        self, task: Task, answer: TaskAnswer, told: Callable[[int, int], None], cancelled: CancelledFn
    ) -> Result:
        """Fetch every picture of a finished task, mark the task done, and return the result.

        Args:
            told: called with (pictures so far, pictures in all).

        Raises:
            TaskFailed: the server made a list without entries.
            LinkRefused, NetworkError, PictureError: one picture cannot be had; those before it are kept and
                the task stays open, so that the next run tries the rest again.
        """
        info = answer.info
        found = entries(info)
        if not found and not answer.other_output and not withheld_elsewhere(answer):
            raise TaskFailed(
                f"Task {task.task_id} finished with an empty result list.",
                "The server made no picture, or removed it. Ask its operator with this id; run the request "
                "again as a new task if you want to pay for another try.",
                task_id=task.task_id,
            )
        folder = self._made_folder(task)
        kept: list[tuple[ResultEntry, Path | None]] = []
        pictures: list[NDArray[np.uint8]] = []
        for index, entry in enumerate(found):
            told(index, len(found))
            if entry.withheld:
                kept.append((entry, None))
                continue
            path, picture = self._picture(folder, f"image_{index:02d}", entry.link, cancelled)
            kept.append((entry, path))
            pictures.append(picture)
        control: list[tuple[Path, NDArray[np.uint8]]] = [
            self._picture(folder, f"control_{index:02d}", link, cancelled)
            for index, link in enumerate(info.control_image_urls)
        ]
        media = [
            self._medium(folder, f"media_{index:02d}", link, cancelled)
            for index, link in enumerate(answer.media)
        ]
        told(len(found), len(found))
        described = _describe(task, kept, answer)
        described |= {"controls": len(control), "other_output": answer.other_output, "media": len(media)}
        files = [path for _, path in kept if path is not None] + [path for path, _ in control] + media
        self._journal.finish(task.row_id, described, [str(path) for path in files])
        return _result(described, pictures + [picture for _, picture in control], media)

    def _made_folder(self, task: Task) -> Path:
        folder = self.folder(task)
        try:
            return places.ensure(folder)
        except (OSError, ImgOpenError) as error:
            raise _cannot_keep(folder, error) from error

    def load(self, task: Task) -> Result | None:
        """The stored result of a `done` task, or None when a file is gone or damaged."""
        pictures: list[NDArray[np.uint8]] = []
        paths = [Path(name) for name in task.files]
        count = len(paths) - int(task.result.get("media", 0))
        if not all(path.is_file() for path in paths[count:]):
            return None
        for path in paths[:count]:
            picture = _read(path)
            if picture is None:
                return None
            pictures.append(picture)
        if not pictures and not task.result.get("withheld") and not task.result.get("other_output"):
            return None
        return _result(task.result, pictures, paths[count:])

    def _medium(self, folder: Path, name: str, link: str, cancelled: CancelledFn) -> Path:
        """One sound or film, as the file it is."""
        for path in sorted(folder.glob(f"{name}.*")):
            return path

        def fetch() -> bytes:
            return interruptible(
                lambda: self._client.download_once(link),
                cancelled,
                bound_s=DOWNLOAD_S,
                what="the download of a result",
            )

        ending = re.search(r"\.([A-Za-z0-9]{1,5})$", link.partition("?")[0])
        data = repeat(fetch, self._backoff, cancelled)
        return _write(folder / f"{name}.{ending[1].lower() if ending else 'bin'}", data)

    def _picture(
        self, folder: Path, name: str, link: str, cancelled: CancelledFn
    ) -> tuple[Path, NDArray[np.uint8]]:
        """One picture: from its file if it was fetched before, else from its link."""
        for path in sorted(folder.glob(f"{name}.*")):
            picture = _read(path)
            if picture is not None:
                return path, picture

        def get() -> bytes:
            return from_data_url(link) if link.startswith("data:") else self._client.download_once(link)

        def fetch() -> tuple[bytes, NDArray[np.uint8]]:
            data = interruptible(get, cancelled, bound_s=DOWNLOAD_S, what="the download of a result")
            try:
                return data, _rgb(decode_picture(data, source=f"result {name}"))
            except PictureError as error:
                raise BrokenPicture(error.message, error.hint, **error.details) from error

        try:
            data, picture = repeat(fetch, self._backoff, cancelled)
        except BrokenPicture as error:
            raise PictureError(
                f"The server's result is not usable: {error.message}",
                "The task is not lost: run the same request again to fetch the picture once more.",
            ) from error
        return _write(folder / f"{name}.{_ending(data)}", data), picture


def withheld_elsewhere(answer: TaskAnswer) -> list[str]:
    """Gateway dialect: pictures that were made but are not in the list, one text each."""
    texts: Any = answer.data.get("withheld")
    return [scrub(text) for text in texts if isinstance(text, str)] if isinstance(texts, list) else []  # pyright: ignore[reportUnknownVariableType]


def _describe(task: Task, kept: list[tuple[ResultEntry, Path | None]], answer: TaskAnswer) -> dict[str, Any]:
    """What the journal keeps of a result, as JSON."""
    made = [(index, entry) for index, (entry, path) in enumerate(kept) if path is not None]
    return {
        "seeds": [_seed(entry, task, i) for i, entry in made if not answer.other_output],
        "audits": [list(entry.audits) for _, entry in made],
        "withheld": [entry.withheld for entry, path in kept if path is None] + withheld_elsewhere(answer),
        "task_id": task.task_id,
        "infos": [one for one in scrub_json(answer.info.infos) if one.keys() >= _INFO_KEYS],
        "response": scrub_json(without_pictures(answer.data)),
    }


def _seed(entry: ResultEntry, task: Task, index: int) -> int:
    """What the server says, else what follows from the request. (Answers of tools name no seeds.)"""
    return entry.seed if entry.seed is not None else max(task.seed, 0) + index


def _result(described: dict[str, Any], pictures: list[NDArray[np.uint8]], media: list[Path]) -> Result:
    """A result from its description and its files; of the pictures the control images come last."""
    made = len(pictures) - int(described.get("controls", 0))
    return Result(
        images=pictures[:made],
        control_images=pictures[made:],
        infos=[
            Info(str(one["field"]), one["verdict"], str(one["message"]))
            for one in described.get("infos", [])
            if one["verdict"] in ("notice", "approximated", "refused")
        ],
        seeds=[int(seed) for seed in described.get("seeds", [])],
        task_id=str(described.get("task_id", "")),
        audits=list(described.get("audits", [])),
        withheld=list(described.get("withheld", [])),
        response=dict(described.get("response", {})),
        media=media,
    )


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if picture.ndim == 3 and picture.shape[2] == 3 else flatten_over_white(picture)


def _read(path: Path) -> NDArray[np.uint8] | None:
    """A picture from its file; None when the file is gone, damaged or cut."""
    try:
        return _rgb(decode_picture(path.read_bytes(), source=path.name))
    except (OSError, PictureError):
        return None


def _ending(data: bytes) -> str:
    return next((ending for start, ending in _KINDS if data.startswith(start)), "bin")


def _write(path: Path, data: bytes) -> Path:
    """Write a file in one step: whoever finds it finds all of it, after a crash too."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as error:
        raise _cannot_keep(path, error) from error
    return path


def _cannot_keep(path: Path, error: OSError | ImgOpenError) -> CannotKeep:
    why = error.strerror if isinstance(error, OSError) else error.message.rstrip(".")
    return CannotKeep(
        f"The result cannot be kept: {path} cannot be written ({why}).",
        "Its folder must be a folder you can write to, with free space. The task is not lost: run the same "
        "request again afterwards.",
    )
