"""One POST with a JSON body: keys to the right host only, bounded in time and size, errors told apart.

The difference that matters for money is *where* a call broke off. `NetworkError.details["sent"]` says it:
False = certainly nothing reached the server (no connection was made), True = it may have.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..base.command import command
from ..base.errors import Busy, InvalidRequest, NetworkError, ServerError, Unauthorized
from ..base.log import scrub, scrub_link
from .profiles import Profile
from .retry import CancelledFn, interruptible, never, retry_after_s

if TYPE_CHECKING:
    import requests

HEADER_ID = "X-Request-req-accessKeyId"
HEADER_SECRET = "X-Request-req-accessKeySecret"

MEBIBYTE = 1024 * 1024
REPLY_MOST_BYTES = 32 * MEBIBYTE
_IDLE_S = 4.0  # a pooled connection that rested longer may have been closed by the other side
_UPLOAD_BYTES_PER_S = 64 * 1024  # the slowest upload that a time bound still allows for
_SHOWN = 200
# What OpenSSL says when no common ground was found: before any byte of the call was sent.
_HANDSHAKE = {
    "WRONG_VERSION_NUMBER",
    "UNSUPPORTED_PROTOCOL",
    "NO_PROTOCOLS_AVAILABLE",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
}

_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect, of silence while sending or reading, and for one call in all."""

    connect_s: float = 10.0
    read_s: float = 60.0
    total_s: float = 120.0


@dataclass(frozen=True)
class Reply:
    """A complete HTTP answer. `headers` ignores the case of names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """One `requests.Session` for one profile. Safe to use from several threads."""

    def __init__(self, profile: Profile, timeouts: Timeouts | None = None) -> None:
        self._profile = profile
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._last_use = 0.0

    def close(self) -> None:
        """Let the connections go. The transport can be used again afterwards."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        cancelled: CancelledFn = never,
        what: str = "the call",
        abandoned: Callable[[Reply | None], None] | None = None,
    ) -> Reply:
        """Send `body` as JSON to `path` (absolute, below the base URL) and read the whole answer.

        Raises:
            InvalidRequest: the body is not JSON, or the path leads elsewhere.
            NetworkError: no complete answer; `details["sent"]` as said above.
            Cancelled: the user's wish; the call may still reach the server.
        """
        url = self._url(path)
        data = _encode(body)
        bound_s = self._timeouts.total_s + len(data) / _UPLOAD_BYTES_PER_S
        try:
            return interruptible(
                lambda: self._post(url, data, what),
                cancelled,
                bound_s=bound_s,
                what=what,
                abandoned=abandoned,
            )
        except NetworkError as error:
            error.details.setdefault("sent", True)
            raise

    def _url(self, path: str) -> str:
        if not _PATH.fullmatch(path) or "/../" in path + "/":
            raise InvalidRequest.field("path", path, "an absolute path such as /AIGCImgOpenServ/saas/...")
        return self._profile.base_url + path

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "img-open",
        }
        if self._profile.has_keys:
            headers[HEADER_ID] = self._profile.access_key_id
            headers[HEADER_SECRET] = self._profile.access_key_secret
        return headers

    def _ready_session(self) -> requests.Session:
        """The session, with pooled connections dropped after a rest.

        A server closes resting connections; a submit written to a dying one has an unknown fate, and
        that is worth a new handshake.
        """
        with self._lock:
            if self._session is None:
                self._session = _new_session(self._profile)
            elif time.monotonic() - self._last_use > _IDLE_S:
                for adapter in set(self._session.adapters.values()):
                    cast("Any", adapter).poolmanager.clear()
            self._last_use = time.monotonic()
            return self._session

    def _post(self, url: str, data: bytes, what: str) -> Reply:
        import requests
        import urllib3

        timeouts = (self._timeouts.connect_s, self._timeouts.read_s)
        try:
            with self._ready_session().post(
                url, data=data, headers=self._headers(), timeout=timeouts, stream=True, allow_redirects=False
            ) as response:
                body = _read_capped(response, what)
                return Reply(response.status_code, response.headers, body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            raise _network_error(error, self._profile, what) from None
        finally:
            self._last_use = time.monotonic()


def _new_session(profile: Profile) -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.auth = lambda request: request  # else requests adds what a .netrc holds for the host
    session.trust_env = not profile.is_loopback  # a proxy has no business between two local processes
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=64, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"The request cannot be written as JSON: {error}.",
            "Use texts, finite numbers, booleans, lists and objects only.",
        ) from None


def _read_capped(response: requests.Response, what: str) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(64 * 1024):
        body += chunk
        if len(body) > REPLY_MOST_BYTES:
            raise NetworkError(
                f"The answer to {what} is larger than {REPLY_MOST_BYTES // MEBIBYTE} MiB and was dropped.",
                "This does not look like the Img Open API; check the profile's base URL.",
                sent=True,
            )
    return bytes(body)


def _never_sent(error: BaseException) -> bool:
    """Whether the call failed before a connection stood: refused, unknown name, bad certificate, bad URL."""
    import requests
    import urllib3

    early = (
        requests.exceptions.ConnectTimeout,
        requests.exceptions.ProxyError,  # the tunnel was not built; keys and body go through a tunnel only
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidHeader,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.LocationParseError,
        ssl.SSLCertVerificationError,
        UnicodeError,
    )
    todo: list[Any] = [error]
    for _ in range(12):  # the libraries wrap three or four deep
        if not todo:
            return False
        current = todo.pop()
        if isinstance(current, early) or getattr(current, "reason", None) in _HANDSHAKE:
            return True
        if isinstance(current, BaseException):
            todo += [getattr(current, "reason", None), current.__cause__, *current.args[:2]]
    return False


def _network_error(error: BaseException, profile: Profile, what: str) -> NetworkError:
    import requests

    where = profile.origin
    if _never_sent(error):
        return NetworkError(
            f"No connection to {where} for {what}: {_reason(error)}.",
            "Check that the server runs, the address in the profile and the network. Nothing was sent.",
            sent=False,
        )
    if isinstance(error, requests.exceptions.Timeout):
        return NetworkError(
            f"{where} fell silent during {what}.",
            "The server may be overloaded; try again later.",
            sent=True,
            timed_out=True,
        )
    return NetworkError(
        f"The connection to {where} broke off during {what}: {_reason(error)}.",
        "The server may have been restarted; try again.",
        sent=True,
    )


def _reason(error: BaseException) -> str:
    """The innermost cause in one short line: the libraries wrap it in their objects' reprs."""
    current: Any = error
    for _ in range(6):
        inner = getattr(current, "reason", None) or next(
            (arg for arg in getattr(current, "args", ()) if isinstance(arg, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        current = inner
    text = re.sub(r"<[^<>]*>[:,]?\s*|^\w*Connection\([^()]*\):?\s*", "", str(current))
    return scrub(text)[:_SHOWN].rstrip(". ") or type(current).__name__


# --- the envelope ---------------------------------------------------------------------------------------


def read_envelope(reply: Reply, what: str) -> dict[str, Any]:
    """The envelope of a good answer: HTTP 200, JSON object, `code` "200".

    Raises:
        NetworkError: HTTP 200, but no envelope (HTML of a proxy, JSON that was cut); `sent` is True.
        Unauthorized, Busy, InvalidRequest, ServerError: the server said no; the details carry
            `http_status`, `envelope_code` (text or None) and maybe `retry_after_s`.
    """
    envelope = _parse(reply)
    if 200 <= reply.status < 300:
        if envelope is None:
            raise NetworkError(
                f"The answer to {what} is not the JSON that was expected: {_glimpse(reply)}",
                "A proxy or login page may stand in between, or the answer was cut; check the base URL.",
                sent=True,
            )
        if str(envelope.get("code")) == "200":
            return envelope
    raise _refusal(reply, envelope, what)


def _parse(reply: Reply) -> dict[str, Any] | None:
    try:
        value: Any = _writable(json.loads(reply.body))
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) and "code" in value else None


def _writable(value: Any) -> Any:
    """The same JSON value with halves of surrogate pairs (`\\ud800`) as U+FFFD, as a decoder would do.

    Such a text can be neither printed nor stored; refusing the whole answer for it would lose a paid result.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, list):
        return [_writable(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_writable(name): _writable(item) for name, item in cast("dict[str, Any]", value).items()}
    return value


def _glimpse(reply: Reply) -> str:
    """A few words of an unexpected answer, cleaned."""
    text = " ".join(reply.body[:2000].decode("utf-8", "replace").split())
    if re.match(r"\s*<(!doctype|html)", text, re.IGNORECASE):
        title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE)
        return f"an HTML page{' titled ' + repr(scrub(title[1])[:80]) if title else ''}."
    return (repr(scrub(text)[:80]) if text else "empty") + "."


def _refusal(
    reply: Reply, envelope: dict[str, Any] | None, what: str
) -> InvalidRequest | ServerError | NetworkError:
    """The error class for an answer that says no."""
    code = None if envelope is None else str(envelope.get("code"))
    said = "" if envelope is None else scrub(str(envelope.get("msg") or ""))[:500]
    details: dict[str, Any] = {"http_status": reply.status, "envelope_code": code}
    data: Any = None if envelope is None else envelope.get("data")
    if isinstance(data, dict):  # our gateway names the kind of error and the field
        values = cast("dict[str, Any]", data)
        details |= {
            ours: scrub(values[theirs])[:_SHOWN]
            for ours, theirs in (("server_error", "error"), ("field", "field"), ("allowed", "allowed"))
            if isinstance(values.get(theirs), str)
        }
    number = f"HTTP {reply.status}" if code is None or reply.status >= 400 else f"code {code}"
    text = f"The server refused {what} ({number}): {said or _glimpse(reply)}"
    asked_s = retry_after_s(reply.headers)
    status = reply.status
    if 300 <= status < 400:
        target = scrub_link(str(reply.headers.get("Location") or "nowhere"))[:_SHOWN]
        return ServerError(
            f"The server redirects {what} to {target}.",
            "Keys are never sent along a redirect: put the final address into the profile.",
            **details,
        )
    if status in (401, 403) or code in ("401", "403"):
        line = command("profile list")
        hint = f"Check the access key of the profile: Settings > Img Open, or `{line}`."
        return Unauthorized(text, hint, **details)
    if status == 429 or code == "429" or (status == 503 and (envelope is not None or asked_s is not None)):
        details["retry_after_s"] = asked_s
        return Busy(text, "The same request can go through later.", **details)
    if status == 413:
        return InvalidRequest(text, "Send smaller pictures, or links instead of inline pictures.", **details)
    if status in (400, 409, 422):
        return InvalidRequest(text, "Correct the request.", **details)
    if status >= 500:
        return ServerError(text, "The fault is on the server's side; try again later.", **details)
    return ServerError(text, "", **details)
