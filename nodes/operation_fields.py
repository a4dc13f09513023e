"""From a field of the catalogue to widgets, and from widget values back to a body. Plain data, no ComfyUI.

"Not sent" has a form for every kind of widget, so that what the user does not touch stays out of the body:

    text, list, JSON   empty
    choice             "not sent" (only choices that must be sent lack it)
    yes or no          the choice "not sent"
    number             -1, or one less where -1 itself means something; the tooltip says so
    picture            neither wired nor linked
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..api.catalogue import Operation
from ..api.catalogue_fields import FieldSpec
from ..base.errors import InvalidRequest
from .bodies import check_choice, json_object
from .fields import Field, combo, integer, line, number, socket, text
from .operation_words import FIELD_WORDS

NOT_SENT = "not sent"
UNITS_TYPE = "IMGOPEN_UNITS"
_LARGEST = 4294967295
_LONG_TEXTS = ("prompt", "negative_prompt", "negativePrompt", "sourcePrompt", "raw_prompt")
_LINK_ENDINGS = ("UrlList", "Url", "_link", "_url")
_SWITCH: dict[str, tuple[Any, ...]] = {"True": ("on", "开"), "False": ("off", "关")}
_TAKEN = ("profile", "extra_json", "deadline", "run_again")

Way = Literal["text", "number", "choice", "yesno", "lines", "json", "picture", "units"]


@dataclass(frozen=True)
class Binding:
    """One wire field and the inputs that fill it.

    Attributes:
        wire: dotted place in the body.
        way: how the value is read.
        field: the widget (for pictures: the link's).
        wired: the IMAGE or MASK input of a picture, or the units socket.
        choices: wire values of a choice, by what the widget shows.
    """

    wire: str
    way: Way
    field: Field | None
    wired: Field | None = None
    choices: tuple[tuple[str, Any], ...] = ()
    unset: float | None = None
    many: bool = False

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The node's inputs for this field."""
        return tuple(one for one in (self.wired, self.field) if one is not None)


def bindings(operation: Operation) -> tuple[Binding, ...]:
    """All fields of an operation that widgets can fill, in the catalogue's order.

    Objects whose inner fields are listed are filled through those; lists of objects without a node of their
    own are JSON texts.
    """
    specs = operation.fields or ()
    names = [spec.name for spec in specs]
    found: list[Binding] = [_path_binding(name) for name in operation.path_params]
    used = set(_TAKEN) | {one.id for made in found for one in made.inputs}
    for spec in specs:
        if spec.name == "alwayson_scripts.controlnet.args":
            made = Binding(spec.name, "units", None, socket("units", UNITS_TYPE, tooltip(spec, "units")))
        elif "[]" in spec.name or _has_inner(spec, names):
            continue
        else:
            made = _binding(_with_example(spec, operation), _free(spec.name.rpartition(".")[2], used))
        found.append(made)
        used |= {one.id for one in made.inputs}
    return tuple(found)


def body_from(
    parts: tuple[Binding, ...], values: Mapping[str, Any], pictures: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The body that the widgets' values mean, without what is not sent.

    Args:
        values: by input id.
        pictures: links of wired pictures by the id of the input they came in at; complete unit bodies are
            not among them (the caller puts them in).

    Raises:
        InvalidRequest: a value that cannot be read; a picture both wired and linked.
    """
    body: dict[str, Any] = {}
    for part in parts:
        value = _value(part, values, pictures)
        if value is not None:
            _put(body, part.wire.split("."), value)
    return body


def check_pictures(operation: Operation, parts: tuple[Binding, ...], body: Mapping[str, Any]) -> None:
    """Refuse a body without a picture that must be there, by the names that the node shows.

    Raises:
        InvalidRequest: it is neither wired nor linked; the text names socket and field.
    """
    specs = {spec.name: spec for spec in operation.fields or ()}
    for part in parts:
        spec = specs.get(part.wire)
        if part.wired is None or part.field is None or spec is None or spec.required is not True:
            continue
        if part.way == "picture" and not _at(body, part.wire):
            socket, field = part.wired.id, part.field.id
            raise InvalidRequest(
                f"{socket} is not wired and {field} is empty: this picture must be given.",
                f"Wire a picture to {socket}, or put its link into {field}.",
                field=part.wire,
            )


def _at(body: Any, place: str) -> Any:
    """What stands at a dotted place, or None."""
    for name in place.split("."):
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def tooltip(spec: FieldSpec, name: str, unset: str = "") -> str:
    """What a field means, what it may be, what happens when it is left alone. English."""
    words = FIELD_WORDS.get(name)
    meaning = (words.en if words else "") or spec.meaning or name.replace("_", " ")
    parts = [meaning[:1].upper() + meaning[1:]]
    if spec.unit == "px":
        parts.append("In pixels")
    if spec.range is not None or spec.multiple_of is not None:
        parts.append("Allowed: " + spec.allowed)
    if _says(spec.default):
        parts.append(f"The server's default is {_SWITCH.get(str(spec.default), (spec.default,))[0]}")
    if spec.example is not None and not isinstance(spec.example, dict | list):
        parts.append(f"Example: {spec.example}")
    if spec.required is True and spec.role not in ("task_id",):
        parts.append("Must be given")
    if unset:
        parts.append(unset)
    return _plain(". ".join(part.rstrip(". ") for part in parts) + ".")


def tooltip_zh(spec: FieldSpec, name: str, unset: str = "") -> str:
    """As `tooltip`, in Chinese."""
    words = FIELD_WORDS.get(name)
    parts = [(words.zh if words else f"字段 {name}").rstrip("。")]
    low, high = spec.range or (None, None)
    if low is not None or high is not None:
        parts.append(f"范围 {'' if low is None else low}–{'' if high is None else high}")
    if _says(spec.default):
        parts.append(f"服务器默认值为 {_SWITCH.get(str(spec.default), (spec.default,))[-1]}")
    if spec.example is not None and not isinstance(spec.example, dict | list):
        parts.append(f"示例：{spec.example}")
    if spec.required is True and spec.role not in ("task_id",):
        parts.append("必填")
    if unset:
        parts.append(unset)
    return _plain("。".join(parts) + "。")


def _says(default: Any) -> bool:
    """Whether a default is worth telling; the page writes None where the server decides."""
    return default is not None and str(default) != "None"


def _plain(words: str) -> str:
    """Without the signs that the front-end's translator would read as a pattern."""
    return words.translate(str.maketrans({"{": "(", "}": ")", "@": " at ", "|": "/"}))


def _has_inner(spec: FieldSpec, names: list[str]) -> bool:
    return (
        any(name.startswith((spec.name + ".", spec.name + "[].")) for name in names) and spec.type == "object"
    )


def _free(name: str, used: set[str]) -> str:
    while name in used:
        name += "_"
    return name


def _with_example(spec: FieldSpec, operation: Operation) -> FieldSpec:
    """A required field with the value of the page's example, where the field has none of its own."""
    shown = (operation.example or {}).get(spec.name)
    if spec.required is not True or spec.example is not None or not isinstance(shown, int | float):
        return spec
    return spec.model_copy(update={"example": shown})


def _path_binding(name: str) -> Binding:
    spec = FieldSpec(name=name, type="string", required=True)
    return Binding(name, "text", line(name, tooltip(spec, name)))


def _binding(spec: FieldSpec, id: str) -> Binding:
    leaf = spec.name.rpartition(".")[2]
    if spec.role == "picture":
        return _picture(spec, id, leaf)
    if spec.enum is not None:
        return _choice(spec, id, leaf)
    if spec.types == ("boolean",):
        field = combo(id, (NOT_SENT, "true", "false"), NOT_SENT, tooltip(spec, leaf))
        return Binding(spec.name, "yesno", field)
    if spec.types in (("integer",), ("number",)):
        return _number(spec, id, leaf)
    if spec.type == "array[string]":
        field = text(id, tooltip(spec, leaf, "One per line; empty: not sent"))
        return Binding(spec.name, "lines", field)
    if spec.type == "object" or spec.type.startswith("array["):
        field = text(id, tooltip(spec, leaf, "As JSON; empty: not sent"))
        return Binding(spec.name, "json", field)
    usual = "Empty: a new one is made" if spec.role == "task_id" else "Empty: not sent"
    kind = text if leaf in _LONG_TEXTS or spec.role == "text" else line
    words = tooltip(spec, leaf, "" if spec.required is True and spec.role != "task_id" else usual)
    return Binding(spec.name, "text", kind(id, words))


def _picture(spec: FieldSpec, id: str, leaf: str) -> Binding:
    base = next((id.removesuffix(end) for end in _LINK_ENDINGS if id.endswith(end)), id)
    many = spec.type == "array[string]"
    kind = "MASK" if "mask" in leaf.lower() else "IMAGE"
    batch = "The pictures of a batch are sent one by one" if many else "One picture"
    wired = socket(base, kind, tooltip(spec, leaf, f"{batch}; wire it, or fill in the link instead"))
    link_id = id if base != id else f"{id}_link"
    make = text if many else line
    field = make(
        link_id,
        tooltip(spec, leaf, ("As links, one per line" if many else "As a link") + ", instead of a wire"),
    )
    return Binding(spec.name, "picture", field, wired, many=many)


def _choice(spec: FieldSpec, id: str, leaf: str) -> Binding:
    choices = tuple((str(value), value) for value in spec.enum or ())
    shown = tuple(word for word, _ in choices)
    if spec.required is not True:
        shown = (NOT_SENT, *shown)
    return Binding(spec.name, "choice", combo(id, shown, shown[0], tooltip(spec, leaf)), choices=choices)


def _number(spec: FieldSpec, id: str, leaf: str) -> Binding:
    low, high = spec.bounds
    whole = spec.types == ("integer",)
    step = 1 if whole else (spec.precision or 0.01)
    most = high if high is not None else (_LARGEST if whole else 10000.0)
    if spec.required is True:
        given = spec.default if spec.default is not None else spec.example
        usual = given if isinstance(given, int | float) else max(low or 0, 1)
        field = _number_field(
            id, usual, low if low is not None else 0, most, tooltip(spec, leaf), step, whole
        )
        return Binding(spec.name, "number", field)
    negative = (low is not None and low < 0) or leaf == "seed"
    unset = (math.floor(low) if low is not None else -1) - 1 if negative else -1
    words = tooltip(spec, leaf, f"{unset}: not sent")
    return Binding(
        spec.name, "number", _number_field(id, unset, unset, most, words, step, whole), unset=float(unset)
    )


def _number_field(
    id: str, usual: float, low: float, high: float, words: str, step: float, whole: bool
) -> Field:
    if whole:
        return integer(id, int(usual), int(low), int(high), words)
    return number(id, float(usual), float(low), float(high), words, float(step))


def _value(part: Binding, values: Mapping[str, Any], pictures: Mapping[str, list[str]]) -> Any:
    """The JSON value of one field; None when it is not sent."""
    if part.way == "picture":
        return _picture_value(part, values, pictures)
    if part.field is None:
        return None
    name, value = part.field.id, values.get(part.field.id)
    if value is None:
        return None
    if part.way == "number":
        return _number_value(part, name, value)
    if part.way == "yesno":
        check_choice(name, value, part.field.options if isinstance(part.field.options, tuple) else ())
        return None if value == NOT_SENT else value == "true"
    if part.way == "choice":
        check_choice(name, value, tuple(part.field.choices()))
        return dict(part.choices).get(value)
    words = str(value).strip()
    if not words:
        return None
    if part.way == "lines":
        return [one.strip() for one in words.splitlines() if one.strip()]
    return _json_value(name, words) if part.way == "json" else str(value)


def _number_value(part: Binding, name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRequest.field(name, value, "a finite number")
    if part.unset is not None and value == part.unset:
        return None
    return int(value) if float(value).is_integer() else value


def _picture_value(part: Binding, values: Mapping[str, Any], pictures: Mapping[str, list[str]]) -> Any:
    wired = pictures.get(part.wired.id, []) if part.wired is not None else []
    link = str(values.get(part.field.id) or "").strip() if part.field is not None else ""
    if wired and link:
        names = " and ".join(one.id for one in part.inputs)
        raise InvalidRequest(f"{names} are both given: two pictures for one place.", "Keep one of the two.")
    links = wired or [one.strip() for one in link.splitlines() if one.strip()]
    if not links:
        return None
    return links if part.many else links[0]


def _json_value(name: str, words: str) -> Any:
    if words.startswith("{"):
        return json_object(name, words)
    try:
        return json.loads(words)
    except ValueError as error:
        raise InvalidRequest(f"{name} is not JSON: {error}.", "Write an object or a list.") from None


def _put(body: dict[str, Any], steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        body = body.setdefault(step, {})
    if isinstance(value, dict) and isinstance(body.get(steps[-1]), dict):
        body[steps[-1]] = {**value, **body[steps[-1]]}
    else:
        body[steps[-1]] = value


def chinese(part: Binding, spec: FieldSpec | None) -> dict[str, dict[str, str]]:
    """Label and tooltip of every input of a field, in Chinese."""
    leaf = "units" if part.way == "units" else part.wire.rpartition(".")[2]
    spec = spec or FieldSpec(name=leaf, type="string", required=True)
    label = FIELD_WORDS[leaf].label if leaf in FIELD_WORDS else leaf
    unset = {
        "picture": "接上图片，或在下面填写链接",
        "lines": "每行一个；留空则不发送",
        "json": "JSON 格式；留空则不发送",
        "number": f"{int(part.unset)}：不发送" if part.unset is not None else "",
        "choice": "",
        "yesno": "",
        "units": "",
        "text": "" if spec.required is True else "留空则不发送",
    }[part.way]
    found: dict[str, dict[str, str]] = {}
    for one in part.inputs:
        is_link = part.way == "picture" and one is part.field
        words = tooltip_zh(spec, leaf, "以链接给出，代替连线" if is_link else unset)
        found[one.id] = {"name": label + ("（链接）" if is_link else ""), "tooltip": words}
    return found
