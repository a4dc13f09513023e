"""Write a result to a folder: pictures, control images and what there is to know about them."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..base.errors import InvalidRequest
from ..base.log import scrub_json
from ..base.pictures import encode_jpeg, encode_png

if TYPE_CHECKING:
    from .types import Result


_OURS = re.compile(r"(image|control)_\d{2,}\.(png|jpg)")


def folder_argument(text: str) -> Path:
    """For argparse: the folder for results. An empty text would mean the current folder: refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty text names no folder")
    return Path(text)


def prepare_folder(folder: Path) -> Path:
    """Make the folder and try to write into it, before anything is made or paid.

    Raises:
        InvalidRequest: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(folder: Path, error: Exception) -> InvalidRequest:
    why = error.strerror if isinstance(error, OSError) else error
    return InvalidRequest(f"{folder} cannot be written ({why}).", "Choose another folder.")


def save_result(result: Result, folder: Path, picture_format: Literal["jpg", "png"]) -> list[Path]:
    """Write `image_NN.png|jpg`, `control_NN.png` and `result.json`; returns the paths of the pictures.

    Control images are always PNG: they are maps, and JPEG would change what they mean. Pictures of an earlier
    result in the same folder (those its result.json names) are replaced, not left among the new ones.

    Raises:
        InvalidRequest: the folder cannot be written.
    """
    encode = encode_png if picture_format == "png" else encode_jpeg
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = _earlier(folder)
        images: list[Path] = []
        controls: list[Path] = []
        for number, image in enumerate(result.images):
            path = folder / f"image_{number:02d}.{picture_format}"
            path.write_bytes(encode(image))
            images.append(path)
        for number, image in enumerate(result.control_images):
            path = folder / f"control_{number:02d}.png"
            path.write_bytes(encode_png(image))
            controls.append(path)
        # Halves of surrogate pairs, which UTF-8 cannot write, become JSON's own \\udXXX.
        text = json.dumps(describe(result, images, controls), ensure_ascii=False, indent=2)
        (folder / "result.json").write_text(text, "utf-8", errors="backslashreplace")
        for path in set(old) - set(images) - set(controls):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return images


def _earlier(folder: Path) -> list[Path]:
    """The pictures of the result that was saved here before."""
    names: list[object] = []
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, RecursionError):
        before = json.loads((folder / "result.json").read_text("utf-8"))
        names = [*before.get("images", []), *before.get("control_images", [])]
    return [folder / name for name in names if isinstance(name, str) and _OURS.fullmatch(name)]


def describe(result: Result, images: list[Path], controls: list[Path]) -> dict[str, object]:
    """The result as plain JSON values, without pictures and without signatures of links."""
    return {
        "images": [path.name for path in images],
        "control_images": [path.name for path in controls],
        "seeds": result.seeds,
        "task_id": result.task_id,
        "infos": [
            {"field": info.field, "verdict": info.verdict, "message": info.message} for info in result.infos
        ],
        "audits": result.audits,
        "withheld": result.withheld,
        "response": scrub_json(result.response),
    }
