"""A request from the text that the A1111 web UI writes into its pictures."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from ..base.errors import InvalidRequest, PictureError
from .convert_webui import join_schedule
from .request import Request
from .request_fields import CLIP_SKIP

# `Key: value` pairs of the last line; values with commas are in double quotes, with JSON's escapes.
_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"^(-?\d{1,6})x(-?\d{1,6})$")
_NEGATIVE = "Negative prompt:"


class Infotext(NamedTuple):
    """The three parts of the text."""

    prompt: str
    negative: str
    values: dict[str, str]


def from_infotext(source: bytes | str, notices: list[str] | None = None) -> Request:
    """A request from a picture's bytes (PNG, JPEG, WebP) or from the text itself.

    Raises:
        PictureError: the picture cannot be read or carries no parameters.
        InvalidRequest: the text has no parameter line, or a value of the wrong type.
    """
    text = read_picture_text(source) if isinstance(source, bytes) else source
    said: list[str] = notices if notices is not None else []
    parts = split_infotext(text)
    body: dict[str, Any] = {"prompt": parts.prompt}
    if parts.negative:
        body["negative_prompt"] = parts.negative
    inner: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    units: list[tuple[int, dict[str, Any]]] = []
    for key, value in parts.values.items():
        unit = re.fullmatch(r"ControlNet(?: (\d+))?", key)
        if unit is not None:
            units.append((int(unit[1] or 0), _unit(key, value, said)))
        elif key in _FIELDS:
            name, read = _FIELDS[key]
            body[name] = read(key, value)
        elif key in _SETTINGS:
            name, read = _SETTINGS[key]
            settings[name] = read(key, value)
        elif key in _SIZES:
            width, height = _size(key, value)
            body[_SIZES[key][0]], body[_SIZES[key][1]] = width, height
        elif key not in _HANDLED and not key.endswith(("hash", "hashes")):
            said.append(f"{key}: no field for it; left out.")
    _sampler(parts.values, body, said)
    _model(parts.values, inner)
    if any(key.startswith("Hires ") for key in parts.values):
        body["enable_hr"] = True
    elif "denoising_strength" in body:
        said.append(
            "Denoising strength: the picture comes from image-to-image; its init image is not in the text."
        )
    if settings:
        inner["override_settings"] = settings
    if units:
        inner["controlnet"] = {"args": [unit for _, unit in sorted(units, key=lambda row: row[0])]}
        said.append("ControlNet: the control pictures are not in the text; put them into image_link.")
    if inner:
        body["alwayson_scripts"] = inner
    return Request.from_wire(body, notices=said)


def split_infotext(text: str) -> Infotext:
    """Prompt, negative prompt and the values of the last line; `InvalidRequest` without such a line."""
    *lines, last = text.strip().splitlines() or [""]
    pairs = cast("list[tuple[str, str]]", _PAIR.findall(last))
    if len(pairs) < 3 or not any(key == "Steps" for key, _ in pairs):
        raise InvalidRequest(
            "The text has no line of parameters (Steps: …, Sampler: …, Seed: …).",
            "Copy all of the web UI's text, or import the picture file itself.",
        )
    positive: list[str] = []
    negative: list[str] = []
    target = positive
    for line in lines:
        stripped = line.strip()
        if target is positive and stripped.startswith(_NEGATIVE):
            target, stripped = negative, stripped[len(_NEGATIVE) :].strip()
        target.append(stripped)
    values = {key.strip(): _unquoted(value.strip()) for key, value in pairs}
    return Infotext("\n".join(positive), "\n".join(negative), values)


def read_picture_text(data: bytes) -> str:
    """The parameters text of a picture: PNG text chunk `parameters`, else the EXIF user comment.

    Raises:
        PictureError: not a picture, or nothing in it.
    """
    from PIL import Image

    try:
        picture: Any = Image.open(io.BytesIO(data))  # reads the header only
        text: object = picture.info.get("parameters")
        comment: object = picture.getexif().get_ifd(0x8769).get(0x9286) if text is None else None
    except Exception as error:  # Pillow raises many kinds for broken files, DecompressionBomb among them
        raise PictureError(
            f"The picture cannot be read: {type(error).__name__}.", "Is the file complete?"
        ) from error
    if isinstance(text, str) and text.strip():
        return text
    if isinstance(comment, bytes):
        found = _user_comment(comment)
        if found.strip():
            return found
    raise PictureError(
        "The picture carries no generation parameters.",
        "Chats and web sites often strip them; use the original file of the web UI.",
    )


def _user_comment(data: bytes) -> str:
    head, body = data[:8], data[8:]
    if head.startswith(b"UNICODE"):
        # The web UI writes big-endian; other writers follow the byte order of the file.
        big, little = body.decode("utf-16-be", "replace"), body.decode("utf-16-le", "replace")
        return big if big.count("Steps:") >= little.count("Steps:") else little
    return (body if head.startswith(b"ASCII") else data).decode("utf-8", "replace")


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            text: Any = json.loads(value)
            return str(text)
        except ValueError:
            return value[1:-1]
    return value


def _wrong(key: str, value: str, allowed: str) -> InvalidRequest:
    return InvalidRequest.field(key, value, allowed, "This is the name used in the web UI's text.")


def _whole(key: str, value: str) -> int:
    if not re.fullmatch(r"-?\d{1,19}", value):
        raise _wrong(key, value, "a whole number")
    return int(value)


def _number(key: str, value: str) -> int | float:
    try:
        number = float(value)
    except ValueError:
        raise _wrong(key, value, "a number") from None
    return int(number) if number.is_integer() else number


def _plain(_key: str, value: str) -> str:
    return value


def _yes(_key: str, value: str) -> bool:
    return value.lower() not in ("false", "none", "")


def _size(key: str, value: str) -> tuple[int, int]:
    found = _SIZE.match(value)
    if found is None:
        raise _wrong(key, value, "a size such as 512x768")
    return int(found[1]), int(found[2])


def _choice(table: dict[str, Any]) -> Callable[[str, str], Any]:
    def read(key: str, value: str) -> Any:
        if value.lower() not in table:
            raise _wrong(key, value, "one of " + ", ".join(table))
        return table[value.lower()]

    return read


_FIELDS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "Steps": ("steps", _whole),
    "CFG scale": ("cfg_scale", _number),
    "Image CFG scale": ("image_cfg_scale", _number),
    "Seed": ("seed", _whole),
    "Denoising strength": ("denoising_strength", _number),
    "Face restoration": ("restore_faces", _yes),
    "Hires upscale": ("hr_scale", _number),
    "Hires steps": ("hr_second_pass_steps", _whole),
    "Hires upscaler": ("hr_upscaler", _plain),
    "Hires prompt": ("hr_prompt", _plain),
    "Hires negative prompt": ("hr_negative_prompt", _plain),
    "Hires sampler": ("hr_sampler_name", _plain),
    "Hires schedule type": ("hr_scheduler", _plain),
    "Hires checkpoint": ("hr_checkpoint_name", _plain),
    "Mask blur": ("mask_blur", _whole),
    "Masked area padding": ("inpaint_full_res_padding", _whole),
    "Inpaint area": ("inpaint_full_res", _choice({"only masked": True, "whole picture": False})),
    "Mask mode": ("inpainting_mask_invert", _choice({"inpaint masked": 0, "inpaint not masked": 1})),
    "Masked content": (
        "inpainting_fill",
        _choice({"fill": 0, "original": 1, "latent noise": 2, "latent nothing": 3}),
    ),
    "Noise multiplier": ("initial_noise_multiplier", _number),
    "Variation seed": ("subseed", _whole),
    "Variation seed strength": ("subseed_strength", _number),
    "Tiling": ("tiling", _yes),
    "Eta": ("eta", _number),
    "Refiner": ("refiner_checkpoint", _plain),
    "Refiner switch at": ("refiner_switch_at", _number),
}
_SIZES = {
    "Size": ("width", "height"),
    "Hires resize": ("hr_resize_x", "hr_resize_y"),
    "Seed resize from": ("seed_resize_from_w", "seed_resize_from_h"),
}
_SETTINGS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "Clip skip": (CLIP_SKIP, _whole),
    "ENSD": ("eta_noise_seed_delta", _whole),
    "RNG": ("randn_source", _plain),
}
_HANDLED = frozenset(
    ["Sampler", "Schedule type", "Model", "VAE", "Version", "Batch size", "Batch pos", "User", "Hashes"]
)


def _sampler(values: dict[str, str], body: dict[str, Any], said: list[str]) -> None:
    if "Sampler" in values:
        body["sampler_index"] = join_schedule(values["Sampler"], values.get("Schedule type"), said)


def _model(values: dict[str, str], inner: dict[str, Any]) -> None:
    # Without a name the short hash still finds the file.
    checkpoint = values.get("Model") or values.get("Model hash")
    if checkpoint:
        inner["sd_model_checkpoint"] = checkpoint
    if values.get("VAE"):
        inner["sd_vae"] = values["VAE"]


_BOOLEANS = frozenset(
    ["low_vram", "pixel_perfect", "save_detected_map", "inpaint_crop_input_image", "enabled"]
)
_NUMBERS = frozenset(
    ["weight", "processor_res", "threshold_a", "threshold_b", "guidance_start", "guidance_end"]
)
_UNIT_WORDS = frozenset(
    ["module", "model", "resize_mode", "control_mode", "hr_option", "union_control_type", "pulid_mode"]
)


def _unit(key: str, text: str, said: list[str]) -> dict[str, Any]:
    """One `ControlNet N` entry: `Module: canny, …` (1.1.4xx) or `preprocessor: canny, …` (older)."""
    unit: dict[str, Any] = {"enabled": True}
    for name, value in re.findall(r"([^:,()]+):\s*(\([^)]*\)|[^,]*)(?:,\s*|$)", text):
        field = {"preprocessor": "module"}.get(name.strip().lower(), name.strip().lower().replace(" ", "_"))
        where, value = f"{key}: {name.strip()}", value.strip()
        if field == "starting/ending":
            unit["guidance_start"], unit["guidance_end"] = _numbers(where, value, 2)
        elif field == "preprocessor_params":
            unit["processor_res"], unit["threshold_a"], unit["threshold_b"] = _numbers(where, value, 3)
        elif field in _UNIT_WORDS:
            unit[field] = value
        elif value == "None":
            continue
        elif field in _BOOLEANS:
            unit[field] = _yes(where, value)
        elif field in _NUMBERS:
            unit[field] = _number(where, value)
        else:
            said.append(f"{where}: no field for it; left out.")
    return unit


def _numbers(where: str, value: str, count: int) -> list[int | float]:
    numbers = [_number(where, part.strip()) for part in value.strip("()").split(",")]
    if len(numbers) != count:
        raise _wrong(where, value, f"{count} numbers in brackets")
    return numbers
