"""Import and export: Img Open JSON, a pasted curl command, a web-UI payload, a web-UI picture's text.

Nothing that is imported keeps a key, and nothing that is exported contains one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from ..base.errors import InvalidRequest
from ..base.log import scrub, scrub_link
from .catalogue import BASE_URL, Catalogue
from .convert_infotext import from_infotext
from .convert_shell import Curl, parse_curl, quote_posix
from .convert_webui import (
    WEBUI_STEPS,
    from_webui,
    looks_like_webui,
    to_webui,
    unit_to_img_open,
    webui_marks,
    webui_path,
)
from .request import Request
from .request_fields import BODY, too_deep

__all__ = [
    "from_curl",
    "from_infotext",
    "from_json",
    "from_text",
    "from_webui",
    "json_text",
    "shareable",
    "signed_links",
    "to_curl",
    "to_img_open",
    "to_webui",
    "webui_path",
    "without_logins",
]

# Names under which a key could sit in a body; such fields are dropped on import.
_KEY_FIELD = re.compile(
    r"^(x-request-req-)?access[_-]?key[_-]?(id|secret)$|^authorization$|^api[_-]?key$|^(secret|password)$"
    r"|^((access|auth|api|bearer|refresh|session|security)[_-]?)?token$",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_OPERATIONS = ("sd_controlnet", "sd_text2image_v2", "sd_image2image_v2")


def from_text(text: str, notices: list[str] | None = None) -> Request:
    """A request from any text that people copy: JSON (both dialects), curl, the web UI's parameter text.

    Args:
        text: what was pasted.
        notices: receives what could not be mapped.

    Raises:
        InvalidRequest: the text is none of these, or its values cannot be used.
    """
    stripped = text.strip().lstrip("\ufeff")
    if stripped.startswith(("{", "[")):
        return from_json(_json(stripped, notices), notices)
    if re.match(r"(\$ |> |sudo )?\S*curl(\.exe)?[\s\"']", stripped, re.IGNORECASE):
        return from_curl(stripped, notices)
    if re.search(r"^Steps: \d+,", stripped, re.MULTILINE):
        return from_infotext(stripped, notices)
    raise InvalidRequest(
        "The text is neither JSON nor a curl command nor the web UI's parameter text.",
        "Paste all of it, from the first `{` or `curl` to the end.",
    )


def from_json(payload: object, notices: list[str] | None = None) -> Request:
    """A request from a JSON body in either dialect; which one is told by its fields."""
    if not isinstance(payload, Mapping):
        raise InvalidRequest.field("the request", payload, "a JSON object")
    body = _without_keys(cast("Mapping[str, Any]", payload), notices)
    if looks_like_webui(body):
        if notices is not None:
            notices.append(_read_as_webui(body))
        return from_webui(body, notices)
    if not any(name in BODY for name in body):
        raise InvalidRequest(
            "The JSON has none of a request's fields (prompt, steps, alwayson_scripts …).",
            "Give the body of sd controlnet, text2image or image2image (a ComfyUI workflow is none).",
        )
    return Request.from_wire(body, notices=notices)


def _read_as_webui(body: Mapping[str, Any]) -> str:
    marks = ", ".join(webui_marks(body))
    text = f"Read as a payload of the web UI, because it holds {marks}."
    if body.get("steps") is not None:
        return text
    return f"{text} It names no steps: {WEBUI_STEPS} there, where Img Open would take {Request().steps}."


def from_curl(text: str, notices: list[str] | None = None) -> Request:
    """A request from a curl command (bash or Windows cmd). Header values and the URL's query are dropped."""
    command = parse_curl(text)
    payload = _json(command.body, notices)
    if "/sdapi/v1/" in command.url:
        if not isinstance(payload, Mapping):
            raise InvalidRequest.field("the request", payload, "a JSON object")
        return from_webui(_without_keys(cast("Mapping[str, Any]", payload), notices), notices)
    _refuse_other_operations(command)
    request = from_json(payload, notices)
    if notices is not None:
        sent_to = Catalogue.load().for_path(_path(command.url))
        if sent_to is not None and sent_to.id != request.operation:
            notices.append(
                f"The command calls {sent_to.id}; by its content the request is {request.operation}."
            )
    return request


def to_img_open(request: Request) -> dict[str, Any]:
    """The request as Img Open's JSON body: units' pictures under `image_link`, whatever they were called."""
    if not any(
        name in unit.to_wire() for unit in request.units for name in ("image", "input_image", "mask_image")
    ):
        return request.to_wire()
    wire = request.to_wire()
    script = wire["alwayson_scripts"][request.alwayson_scripts.script_name]
    script["args"] = [unit_to_img_open(unit) for unit in request.units]
    return wire


def to_curl(
    request: Request, operation: str | None = None, base_url: str = BASE_URL, notices: list[str] | None = None
) -> str:
    """The request as a curl command for a POSIX shell.

    The keys are shown as the variables $IMG_OPEN_ACCESS_KEY_ID and $IMG_OPEN_ACCESS_KEY_SECRET; signed
    queries are cut from links, and what looks like a secret elsewhere is masked.

    Args:
        request: what to send.
        operation: id in the catalogue; default: the one that fits the request.
        base_url: scheme and host of the server.
        notices: receives which links were cut or cannot be fetched by a server.
    """
    facts = Catalogue.load().operation(operation or request.operation)
    url = re.sub(r"//[^/@]*@", "//", base_url.rstrip("/")) + facts.url_path()
    body = json_text(to_img_open(shareable(request, notices)), indent=4)
    lines = [
        f"curl --location --request POST {quote_posix(url)}",
        '--header "X-Request-req-accessKeyId: $IMG_OPEN_ACCESS_KEY_ID"',
        '--header "X-Request-req-accessKeySecret: $IMG_OPEN_ACCESS_KEY_SECRET"',
        "--header 'Content-Type: application/json'",
        f"--data-raw {quote_posix(body)}",
    ]
    # Whatever was registered as a secret does not get out, wherever in the body it might have slipped in.
    return scrub(" \\\n".join(lines))


def json_text(body: Mapping[str, Any], indent: int = 2) -> str:
    """A body as JSON text. Raises InvalidRequest for numbers that JSON has no word for."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError:
        raise InvalidRequest(
            "The request contains an infinite number or nan, which JSON cannot write.", "Correct it."
        ) from None


def shareable(request: Request, notices: list[str] | None = None) -> Request:
    """The same request without signatures in its links: to be shown to others, not to be sent."""
    said = notices if notices is not None else []
    for place, link in request.links():
        if link.startswith(("http://", "https://")) and scrub_link(link) != link:
            said.append(f"{place}: the link carried a signature, which was cut; it will not open any more.")
        elif not link.startswith(("http://", "https://", "data:")):
            said.append(f"{place}: {link[:60]} is known on this machine only; a server cannot fetch it.")
    return request.map_links(_cut)


def signed_links(request: Request) -> list[str]:
    """A notice for each link that carries a signature, for texts that keep it because they are to be sent."""
    return [
        f"{place}: the link carries a signature and stands in full; whoever gets this text can open the "
        "picture until it expires. --to curl cuts it."
        for place, link in request.links()
        if link.startswith(("http://", "https://")) and scrub_link(link) != link
    ]


def without_logins(request: Request, notices: list[str] | None = None) -> Request:
    """The same request without user names and passwords in its links (`https://user:word@host/...`)."""
    found = [place for place, link in request.links() if _LOGIN.match(link)]
    if not found:
        return request
    if notices is not None:
        notices += [f"{place}: the link carried a user name or password, which was cut." for place in found]
    return request.map_links(lambda link: _LOGIN.sub(r"\1", link, count=1))


def _cut(link: str) -> str:
    if not link.startswith(("http://", "https://")):
        return link
    return scrub_link(link).removesuffix("?***")


def _json(text: str, notices: list[str] | None = None) -> Any:
    doubled: list[str] = []

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            doubled.extend(name for name in found if names.count(name) > 1)
        return found

    try:
        # strict=False: line ends inside texts, as some shells' quoting leaves them.
        value: Any = json.loads(
            text,
            strict=False,
            parse_constant=_no_constant,
            parse_float=_finite,
            object_pairs_hook=fields,
        )
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The JSON is broken at line {error.lineno}, column {error.colno}: {error.msg}.",
            "Was all of it copied? Long texts are often cut at the end.",
        ) from None
    except ValueError:  # Python refuses to read integers of thousands of digits
        raise InvalidRequest("The JSON contains a number that is far too long.", "Correct it.") from None
    except RecursionError:
        raise _nested() from None
    if too_deep(value):
        raise _nested()
    if notices is not None:
        for name in dict.fromkeys(doubled):
            shown = name.encode("utf-8", "backslashreplace").decode()[:80]
            notices.append(f"{shown}: given more than once in the same object; the last one counts.")
    return value


def _nested() -> InvalidRequest:
    return InvalidRequest("The JSON is nested too deeply.", "A request needs six levels.")


def _no_constant(name: str) -> Any:
    raise InvalidRequest(
        f"The JSON contains {name}, which is not a JSON number.", "Write a number or leave it out."
    )


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidRequest(f"The JSON contains the number {text[:40]}, which is too large.", "Correct it.")
    return number


def _without_keys(body: Mapping[str, Any], notices: list[str] | None) -> dict[str, Any]:
    """The body with fields that name an access key taken out, at every level."""
    dropped: list[str] = []

    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(item) for item in cast("list[Any]", value)]
        if not isinstance(value, Mapping):
            return value
        fields = cast("Mapping[str, Any]", value)
        dropped.extend(name for name in fields if _KEY_FIELD.match(str(name)))
        return {name: clean(item) for name, item in fields.items() if not _KEY_FIELD.match(str(name))}

    cleaned: dict[str, Any] = clean(body)
    if dropped and notices is not None:
        notices.append("An access key or token was in the body; it was dropped. Keys belong into a profile.")
    return cleaned


def _path(url: str) -> str:
    return re.sub(r"^\w+://[^/]*", "", url)


def _refuse_other_operations(command: Curl) -> None:
    facts = Catalogue.load().for_path(_path(command.url))
    if facts is not None and facts.id not in _OPERATIONS:
        raise InvalidRequest(
            f"The command calls {facts.id}, which is not one of {', '.join(_OPERATIONS)}.",
            "Other operations have nodes of their own; any of them can be called with its own body.",
        )
