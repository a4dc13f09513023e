"""From nodes on the canvas to text that people share: curl, Img Open JSON, web-UI JSON. Never with a key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base.errors import ImgOpenError, InvalidRequest
from ..base.log import scrub
from .bodies import request_body, unit_body
from .tables import CONTROLNET_APPLY, GENERATE, REMOTE_SUBMIT
from .workflow_values import with_notes

if TYPE_CHECKING:
    from ..api.request import Request

FORMATS = ("curl", "img-open", "web-ui")
# Stands where a wired picture has no link of its own.
WIRED = "LINK_OF_THE_PICTURE_WIRED_TO_{}"

# Sockets of a unit and where their pictures stand in its body.
_UNIT_PICTURES = {"image": "image_link", "mask": "mask", "effective_region_mask": "effective_region_mask"}

# Gives a file of the host's input folder as a data URL, or raises one of the pack's errors.
ReadInput = Callable[[str], str]


def canvas_request(canvas: Mapping[str, Any], inline: ReadInput | None, notices: list[str]) -> Request:
    """The request that a Generate or Remote Submit node and the units before it would send.

    Args:
        canvas: {"type": the node's, "widgets": values by name, "wired": names of wired inputs, "pictures":
            input -> file name of a Load Image node, "notes": of `web_import`, "units": the same for each
            unit, first one first}.
        inline: puts pictures of Load Image nodes into the text; None: a placeholder stands for them.
        notices: receives what the text does not carry.

    Raises:
        InvalidRequest: values that the node would refuse too.
    """
    from ..api.request import Request

    units = canvas.get("units", [])
    if not isinstance(units, Sequence) or isinstance(units, str) or len(units) > 64:
        raise InvalidRequest.field("units", units, "a list of units")
    bodies: list[dict[str, Any]] = []
    for number, unit in enumerate(units, 1):
        values = {**CONTROLNET_APPLY.defaults(), **_widgets(unit)}
        body = with_notes(unit_body(values), _notes(unit))
        for wire, name in _UNIT_PICTURES.items():
            link = _wired(unit, wire, inline, f"{wire} of unit {number}", notices)
            if link:
                body[name] = link
        bodies.append(body)
    table = GENERATE if canvas.get("type") == GENERATE.id else REMOTE_SUBMIT
    values = {**table.defaults(), **_widgets(canvas)}
    image = _wired(canvas, "init_image", inline, "init_image", notices)
    mask = _wired(canvas, "init_mask", inline, "init_mask", notices)
    body = request_body(values, init_image=image, init_mask=mask, units=tuple(bodies))
    return Request.from_wire(with_notes(body, _notes(canvas)))


def as_text(request: Request, form: str, base_url: str, notices: list[str]) -> str:
    """The request in one of `FORMATS`. Signatures are cut from links, keys are variables of the shell."""
    from ..api.convert import shareable, to_curl, to_img_open, to_webui

    if form not in FORMATS:
        raise InvalidRequest.field("format", form, "one of " + ", ".join(FORMATS))
    if form == "curl":
        return to_curl(request, base_url=base_url, notices=notices)
    shown = shareable(request, notices)
    body = to_img_open(shown) if form == "img-open" else to_webui(shown, notices)
    return scrub(json.dumps(body, ensure_ascii=False, indent=4))


def _widgets(part: Any) -> dict[str, Any]:
    values = part.get("widgets") if isinstance(part, Mapping) else None
    if not isinstance(values, Mapping):
        raise InvalidRequest.field("widgets", values, "an object with the node's values")
    return {str(name): value for name, value in values.items()}


def _notes(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the request said otherwise than the widgets; anything that is no such note is left out."""
    notes = part.get("notes")
    if not isinstance(notes, list):
        return []
    return [
        note
        for note in notes
        if isinstance(note, dict) and isinstance(note.get("at"), list) and note["at"] and _texts(note["at"])
    ]


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _wired(part: Any, wire: str, inline: ReadInput | None, what: str, notices: list[str]) -> str:
    """The link of a wired picture: its data, or a placeholder. Empty when nothing is wired."""
    if wire not in (part.get("wired") or ()):
        return ""
    file = (part.get("pictures") or {}).get(wire)
    if inline is not None and isinstance(file, str) and file:
        try:
            return inline(file)
        except ImgOpenError as error:
            notices.append(f"{what}: {error.message}")
    notices.append(f"{what} is wired on the canvas: put a link of it into the text.")
    return WIRED.format(wire)
