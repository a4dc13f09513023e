"""What a body must be before it becomes a task. Every refusal names the field."""

from __future__ import annotations

import json
import re
from typing import Any

from ..api.request import Request
from ..api.request_fields import too_deep
from ..base.errors import InvalidRequest
from .settings import Settings

_LONGEST_ID = 200
_MOST_VALUES = 100_000
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")  # pairs match too; then every text is looked at


def parse_body(data: bytes) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        InvalidRequest: empty, not UTF-8, not JSON (NaN and Infinity are not), no object, nested too deeply,
            too many values, or a text with half a character.
    """
    _check_number_of_values(data)
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not JSON: {str(error)[:200]}.", "Send a JSON object, encoded as UTF-8."
        ) from error
    if not isinstance(value, dict):
        raise InvalidRequest.field("body", value, "a JSON object")
    if too_deep(value):
        raise InvalidRequest("The body is nested too deeply.", "Send a plain request.", field="body")
    if _HALF_CHARACTER.search(data):
        _check_texts(value, "")
    return value


def text_field(body: dict[str, Any], name: str, *, longest: int = _LONGEST_ID) -> str:
    """A required, non-empty text. Raises InvalidRequest."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest.field(name, value, "a text that is not empty")
    if len(value) > longest:
        raise InvalidRequest.field(name, value, f"at most {longest} characters long")
    return value


def number_field(body: dict[str, Any], name: str, default: int, largest: int) -> int:
    """A whole number from 1. Raises InvalidRequest."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise InvalidRequest.field(name, value, f"a whole number from 1 to {largest}")
    return value


def check_request(body: dict[str, Any], operation: str, settings: Settings) -> Request:
    """The request in a body, if this server is willing to make it.

    Raises:
        InvalidRequest: a field is wrong, or asks for more than the server's limits.
    """
    request = Request.from_wire(body)
    if len(request.id_task) > _LONGEST_ID:
        raise InvalidRequest.field(
            "alwayson_scripts.id_task", request.id_task, f"at most {_LONGEST_ID} characters long"
        )
    if request.id_task and not request.id_task.strip():
        raise InvalidRequest.field(
            "alwayson_scripts.id_task", request.id_task, "a text that is not blank, or left out"
        )
    if operation == "sd_image2image_v2" and not request.init_image:
        raise InvalidRequest.field(
            "alwayson_scripts.image_link", request.init_image, "the link of the picture to start from"
        )
    if operation == "sd_text2image_v2" and request.init_image:
        raise InvalidRequest(
            "alwayson_scripts.image_link is set, but text2image starts from no picture.",
            "Send it to image2image or controlnet.",
            field="alwayson_scripts.image_link",
        )
    _check_limits(request, settings)
    return request


def _check_limits(request: Request, settings: Settings) -> None:
    sides: dict[str, float] = {"width": request.width, "height": request.height}
    if request.enable_hr:
        sides["hr_resize_x"] = request.hr_resize_x
        sides["hr_resize_y"] = request.hr_resize_y
        if not (request.hr_resize_x or request.hr_resize_y):
            sides["hr_scale"] = max(request.width, request.height) * float(request.hr_scale)
    for name, side in sides.items():
        if side > settings.max_side:
            raise InvalidRequest(
                f"{name} asks for {side:.0f} pixels a side; this server makes at most {settings.max_side}.",
                "Ask for a smaller picture.",
                field=name,
            )
    if request.image_count > settings.max_images:
        raise InvalidRequest(
            f"n_iter x batch_size asks for {request.image_count} pictures; this server makes at most "
            f"{settings.max_images} per task.",
            "Split it into several tasks.",
            field="n_iter",
        )
    for name, steps in (("steps", request.steps), ("hr_second_pass_steps", request.hr_second_pass_steps)):
        if steps > settings.max_steps:
            raise InvalidRequest.field(name, steps, f"at most {settings.max_steps} on this server")


def _check_number_of_values(data: bytes) -> None:
    """Before parsing, which makes a hundred bytes out of two. Commas in prompts count too; there is room."""
    count = data.count(b",") + data.count(b"{") + data.count(b"[")
    if count > _MOST_VALUES:
        raise InvalidRequest(
            f"The body has {count} commas and brackets, at most {_MOST_VALUES} are read.",
            "Pictures belong into one text each (base64), not into lists of numbers.",
            field="body",
        )


def _check_texts(value: Any, place: str) -> None:
    """Refuses texts that cannot be written as UTF-8. Half a character (a lone surrogate) can be neither kept
    in the database nor sent on; JSON allows it as an escape. The value is known not to be deep."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key, place or "body")
            _check_texts(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_texts(item, f"{place}[{index}]")
    elif isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidRequest.field(place, value, "text without halves of characters") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
