"""Write a result to a folder: pictures, control images and what there is to know about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..base.errors import InvalidRequest
from ..base.log import scrub_json
from ..base.pictures import encode_jpeg, encode_png

if TYPE_CHECKING:
    from .types import Result


def save_result(result: Result, folder: Path, picture_format: Literal["jpg", "png"]) -> list[Path]:
    """Write `image_NN.png|jpg`, `control_NN.png` and `result.json`; returns the paths of the pictures.

    Control images are always PNG: they are maps, and JPEG would change what they mean.

    Raises:
        InvalidRequest: the folder cannot be written.
    """
    encode = encode_png if picture_format == "png" else encode_jpeg
    try:
        folder.mkdir(parents=True, exist_ok=True)
        images: list[Path] = []
        for number, image in enumerate(result.images):
            path = folder / f"image_{number:02d}.{picture_format}"
            path.write_bytes(encode(image))
            images.append(path)
        for number, image in enumerate(result.control_images):
            (folder / f"control_{number:02d}.png").write_bytes(encode_png(image))
        (folder / "result.json").write_text(
            json.dumps(describe(result, images), ensure_ascii=False, indent=2), "utf-8"
        )
    except OSError as error:
        raise InvalidRequest(
            f"{folder} cannot be written ({error.strerror}).", "Choose another folder."
        ) from error
    return images


def describe(result: Result, images: list[Path]) -> dict[str, object]:
    """The result as plain JSON values, without pictures and without signatures of links."""
    return {
        "images": [path.name for path in images],
        "seeds": result.seeds,
        "task_id": result.task_id,
        "infos": [
            {"field": info.field, "verdict": info.verdict, "message": info.message} for info in result.infos
        ],
        "audits": result.audits,
        "withheld": result.withheld,
        "response": scrub_json(result.response),
    }
