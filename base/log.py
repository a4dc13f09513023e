"""The pack's logger, and the one place where secrets are taken out of texts.

Everything that leaves the pack as text (log lines, error texts, journal rows, PNG metadata) goes through
`scrub`. It knows two kinds of secrets: values registered by whoever loaded them (`register_secret`), and
patterns: the two key headers, bearer tokens, user info and signed queries in links.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from typing import Any
from urllib.parse import quote, urlsplit

MASK = "***"

_KEY_NAMES = (
    r"X-Request-req-accessKeyId|X-Request-req-accessKeySecret|access[_-]?key[_-]?id|access[_-]?key[_-]?secret"
    r"|IMG_OPEN_ACCESS_KEY_ID|IMG_OPEN_ACCESS_KEY_SECRET|aws_access_key_id|aws_secret_access_key|aws_session_token"
    r"|authorization|api[_-]?key|password"
)
# name: value, name=value, 'name': 'value', "name": "value"; the value ends at a quote, a comma or white
# space.
_NAMED = re.compile(
    rf"(?P<name>(?<![\w-])(?:{_KEY_NAMES})[\\]?[\"']?\s*[:=]\s*)(?P<quote>[\\]?[\"']?)(?P<value>[^\s\"',;&}}\\]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{4,}", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
_SIGNED_KEYS = re.compile(
    r"(?:^|[&?;])(?:x-amz-[a-z-]+|x-oss-[a-z-]+|x-cos-[a-z-]+|q-sign[a-z-]*|q-ak|signature|sig|token|access_token"
    r"|security-token|ossaccesskeyid|awsaccesskeyid|googleaccessid|x-goog-[a-z-]+|expires|se|sv|auth|key)=",
    re.IGNORECASE,
)

# `/f/<token>`: how the gateway and the `served` storage hand out pictures; whoever has the token has it.
_CAPABILITY = re.compile(r"(?<=/f/)[A-Za-z0-9_.~-]{24,}(?=[?#]|$)")

_secrets: set[str] = set()
_secrets_lock = threading.Lock()


def register_secret(value: str) -> None:
    """Masks `value` in every text from now on, also as Python, JSON and links write it. Values under 4
    characters would mask ordinary words: ignored.
    """
    if len(value) >= 4:
        with _secrets_lock:
            _secrets.update({value, repr(value)[1:-1], json.dumps(value)[1:-1]})
            _secrets.add(quote(value, safe="", errors="replace"))


def scrub_link(url: str) -> str:
    """The link without user info, without its query and fragment where those look like a signature, and
    without the token of a `/f/<token>` link.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.split("?", 1)[0]
    if "@" in parts.netloc:
        url = url.replace(parts.netloc, MASK + "@" + parts.netloc.rsplit("@", 1)[1], 1)
    url = _CAPABILITY.sub(MASK, url)
    if _SIGNED_KEYS.search(parts.query) or _SIGNED_KEYS.search(parts.fragment):
        return re.split(r"[?#]", url, maxsplit=1)[0] + "?" + MASK
    return url


def scrub(text: str) -> str:
    """The text with every known secret, key header, bearer token and signed query masked."""
    with _secrets_lock:
        # Longest first: a secret that contains another one must not be left in pieces.
        known = sorted(_secrets, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, MASK)
    if "://" in text:
        text = _URL.sub(lambda match: scrub_link(match.group(0)), text)
    text = _BEARER.sub(lambda match: f"{match.group(1)} {MASK}", text)
    return _NAMED.sub(_mask_named, text)


def _mask_named(match: re.Match[str]) -> str:
    value = match.group("value")
    # "$IMG_OPEN_ACCESS_KEY_ID" names a variable and is shown on purpose; "Bearer ***" is masked already.
    if value.startswith("$") or value == MASK or value.lower() in ("bearer", "basic"):
        return match.group(0)
    return match.group("name") + match.group("quote") + MASK


_SECRET_KEY = re.compile(rf"^(?:{_KEY_NAMES})$", re.IGNORECASE)


def scrub_json(value: Any) -> Any:
    """A copy of a JSON value with every string scrubbed, and values under a key's name masked whole."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {
            key: MASK if _SECRET_KEY.match(str(key)) and item else scrub_json(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [scrub_json(item) for item in value]
    return value


class _ScrubFilter(logging.Filter):
    """Rewrites a record before any handler, ours or the host's, can see it."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.msg = scrub(record.getMessage())
        except Exception:
            # A wrong format string must not stop the program; the arguments are dropped, they may be secret.
            record.msg = scrub(str(record.msg)) + " [arguments did not fit]"
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = scrub("".join(traceback.format_exception(*record.exc_info)).rstrip())
            # Handlers prefer exc_info over the text, and would print it unscrubbed.
            record.exc_info = None
        return True


def get_logger(name: str) -> logging.Logger:
    """The logger `img_open.<name>`. Handlers and levels are the host's business: none is set here."""
    logger = logging.getLogger(name if name.split(".")[0] == "img_open" else f"img_open.{name}")
    if not any(isinstance(entry, _ScrubFilter) for entry in logger.filters):
        logger.addFilter(_ScrubFilter())
    return logger
