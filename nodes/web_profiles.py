"""Profiles for the settings page: shown, added, tested, removed. A key goes in and never comes out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..api import profiles
from ..base.errors import ImgOpenError, InvalidRequest, ProfileError

_LIMITS = (
    "deadline_s",
    "poll_s",
    "poll_most_s",
    "max_concurrent",
    "per_minute",
    "spend_limit_images",
    "allow_private_results",
    "auto_remote",
)
_SETTINGS = ("storage", "dialect", *_LIMITS)
_BUCKET_KEYS = ("access_key_id", "secret_access_key")
# What a page may see of storage_options; anything else in there might be a key.
_OPTIONS = (
    "bucket", "endpoint_url", "region", "prefix", "path_style", "link_seconds", "public_url", "host", "port",
    "photo", "jpeg_quality",
)  # fmt: skip
_ACCEPTED = frozenset(["name", "base_url", "key_id", "key_secret", "storage_options", *_SETTINGS])


def shown(name: str) -> dict[str, Any]:
    """One profile as the page may see it: no key, and of the storage options only known, harmless ones."""
    entry: dict[str, Any] = {"name": name, "built_in": name == profiles.CLOUD}
    try:
        profile = profiles.load_profile(name)
    except ProfileError as error:
        base_url = profiles.CLOUD_BASE_URL if name == profiles.CLOUD else ""
        return {**entry, "base_url": base_url, "ready": False, "problem": str(error), "has_keys": False}
    entry.update(base_url=profile.base_url, ready=True, problem="", has_keys=profile.has_keys)
    entry.update({setting: getattr(profile, setting) for setting in _SETTINGS})
    options = profile.storage_options
    entry["storage_options"] = {name: options[name] for name in _OPTIONS if name in options}
    entry["has_bucket_keys"] = any(options.get(name) for name in _BUCKET_KEYS)
    return entry


def all_shown() -> list[dict[str, Any]]:
    """Every profile, the built-in one first. An unreadable file leaves the built-in one and says why."""
    try:
        names = profiles.list_profiles()
    except ProfileError as error:
        broken = {"name": "", "built_in": False, "base_url": "", "ready": False, "has_keys": False}
        return [shown(profiles.CLOUD), {**broken, "problem": str(error)}]
    return [shown(name) for name in names]


def save(body: Mapping[str, Any]) -> dict[str, Any]:
    """Add a profile or change one; returns it as `shown`.

    Empty keys keep the saved ones, but only for the same server: otherwise a changed address would carry
    them to somebody else.

    Raises:
        InvalidRequest, ProfileError: a value that cannot be used; nothing was written.
    """
    unknown = set(body) - _ACCEPTED
    if unknown:
        raise InvalidRequest(f"A profile has no setting {', '.join(sorted(unknown))}.", "Leave it out.")
    texts = {name: body.get(name, "") for name in ("name", "base_url", "key_id", "key_secret")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"{name} must be a text.", "This is for the settings page.")
    name = texts["name"].strip()
    key_id, secret = texts["key_id"].strip(), texts["key_secret"].strip()
    before = _saved(name)
    changes = {setting: body[setting] for setting in _SETTINGS if body.get(setting) not in (None, "")}
    _check_types(changes)
    base_url = profiles.normal_base_url(texts["base_url"], name)
    if before is not None and not key_id and not secret and before.has_keys:
        if before.base_url != base_url:
            raise ProfileError(
                f"The address of {name!r} changes, so its keys are needed again.",
                "Keys saved for one server are never sent to another.",
                profile=name,
            )
        key_id, secret = before.access_key_id, before.access_key_secret
    profile = profiles.Profile(
        name=name,
        base_url=base_url,
        access_key_id=key_id,
        access_key_secret=secret,
        storage_options=_storage_options(body, before if _same_server(before, base_url) else None),
        **changes,
    )
    profiles.save_profile(profile)
    return shown(name)


def _same_server(before: profiles.Profile | None, base_url: str) -> bool:
    return before is not None and before.base_url == base_url


def _storage_options(body: Mapping[str, Any], before: profiles.Profile | None) -> dict[str, Any]:
    """The options to save: what the page sends, and what it cannot see and therefore does not send.

    Raises:
        InvalidRequest: no object. ProfileError: the bucket's saved keys would go to another storage.
    """
    kept = dict(before.storage_options) if before is not None else {}
    given = body.get("storage_options")
    if given is None:
        return kept
    if not isinstance(given, Mapping):
        raise InvalidRequest("storage_options must be an object.", "See docs/storage.md.")
    options = {str(name): value for name, value in given.items() if value not in (None, "")}
    unseen = {name: value for name, value in kept.items() if name not in _OPTIONS}
    if any(options.get(name) for name in _BUCKET_KEYS):
        unseen = {name: value for name, value in unseen.items() if name not in _BUCKET_KEYS}
    elif any(unseen.get(name) for name in _BUCKET_KEYS) and any(
        kept.get(name, "") != options.get(name, "") for name in ("endpoint_url", "bucket")
    ):
        raise ProfileError(
            "The bucket changes, so its keys are needed again.",
            "Keys saved for one storage are never sent to another.",
            profile=str(body.get("name", "")),
        )
    return {**unseen, **options}


def remove(name: str) -> None:
    """Take a profile out of the file; raises ProfileError for the built-in one or an unknown name."""
    if name == profiles.CLOUD:
        raise ProfileError(
            "cloud is built in.",
            f"Its keys are {profiles.ENV_ID} and {profiles.ENV_SECRET}.",
        )
    profiles.remove_profile(name)


def test(name: str) -> dict[str, Any]:
    """Ask the server for one row of its model list: address, keys and answer in one safe call.

    Returns:
        {"ok": bool, "seconds": float, "models": how many, "message": text, "hint": text}.
    """
    from ..api.client import Client
    from ..api.retry import Backoff
    from ..api.transport import Timeouts

    profile = profiles.load_profile(name)
    client = Client(profile, timeouts=Timeouts(5.0, 15.0, 20.0), backoff=Backoff(attempts=1))
    started = time.monotonic()
    try:
        reply = client.model_list(1, 1)
    except ImgOpenError as error:
        return {"ok": False, "seconds": _since(started), "message": error.message, "hint": error.hint}
    finally:
        client.close()
    total = reply.total if reply.total is not None else len(reply.rows)
    return {"ok": True, "seconds": _since(started), "models": total, "message": "", "hint": ""}


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _saved(name: str) -> profiles.Profile | None:
    if name == profiles.CLOUD or name not in profiles.list_profiles():
        return None
    try:
        return profiles.load_profile(name)
    except ProfileError:
        return None  # broken by hand: what is saved now replaces it


def _check_types(changes: Mapping[str, Any]) -> None:
    for setting, value in changes.items():
        wanted: tuple[type, ...] = (int, float)
        if setting in ("storage", "dialect"):
            wanted = (str,)
        elif setting in ("allow_private_results", "auto_remote"):
            wanted = (bool,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise InvalidRequest.field(setting, type(value).__name__, " or ".join(t.__name__ for t in wanted))
