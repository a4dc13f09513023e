"""Profiles: which server, which keys, how pictures travel, which limits.

A profile name is all that a canvas, a workflow or a command line ever carries. The keys behind it come
from the environment (profile `cloud`, sent to the published base URL only) or from a file that only its
owner can read; they appear in no repr, no error and no log.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit, urlunsplit

from ..base.command import command
from ..base.errors import InvalidRequest, ProfileError
from ..base.log import register_secret
from .profiles_file import profiles_path, read_entries, write_entries

__all__ = [
    "CLOUD",
    "Profile",
    "chosen_profile",
    "list_profiles",
    "load_profile",
    "profile_for_url",
    "profiles_path",
    "remove_profile",
    "save_profile",
    "set_auto_remote",
    "with_changes",
]

CLOUD = "cloud"
CLOUD_BASE_URL = "https://api.zhiqite.com"
PATH_PREFIX = "/AIGCImgOpenServ/saas"
ENV_ID = "IMG_OPEN_ACCESS_KEY_ID"
ENV_SECRET = "IMG_OPEN_ACCESS_KEY_SECRET"

URL_NAME = "url-"  # how names of profiles that were made from an address begin

Storage = Literal["none", "inline", "s3", "served"]
Dialect = Literal["cloud", "gateway"]

_STORAGE_UNSET = cast("Storage", "")  # resolved when a profile is made
_DIALECT_UNSET = cast("Dialect", "")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Profile:
    """One server with everything needed to use it.

    Attributes:
        name: what users and workflows call it.
        base_url: scheme and host, maybe a path in front of the API's own; https except on loopback.
        access_key_id, access_key_secret: both or neither; neither only on loopback. Never shown.
        storage: how a local picture becomes a link: `inline` (data URLs, for gateways), `s3`, `served`,
            or `none` (only links given as text can be sent). Unset: inline for gateways, else none.
        storage_options: settings of that way; `photo` = "png" (lossless, default) or "jpeg", `jpeg_quality`.
        deadline_s: seconds after which a pending task is left alone (it can be resumed).
        poll_s, poll_most_s: first and longest pause between two status queries, seconds.
        max_concurrent: tasks in flight at once, over all threads of a process.
        per_minute: submits in any 60 s, over all processes of this user; 0 = no limit.
        spend_limit_images: images submitted in any 24 h before the spend guard stops; 0 = no guard.
        allow_private_results: result links may point into private networks.
        auto_remote: nodes that can run here or there may choose this server by themselves.
        dialect: `cloud` = only what is published; `gateway` = our gateway's additions (failure status,
            progress, cancel, repeating a submit with the same id is safe). Unset: gateway on loopback,
            else cloud, which assumes less.
    """

    name: str
    base_url: str
    access_key_id: str = field(default="", repr=False)
    access_key_secret: str = field(default="", repr=False)
    storage: Storage = _STORAGE_UNSET
    storage_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    deadline_s: float = 1800.0
    poll_s: float = 0.5
    poll_most_s: float = 5.0
    max_concurrent: int = 16
    per_minute: int = 0
    spend_limit_images: int = 1000
    allow_private_results: bool = False
    auto_remote: bool = False
    dialect: Dialect = _DIALECT_UNSET

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", normal_base_url(self.base_url, self.name))
        if not self.dialect:
            object.__setattr__(self, "dialect", "gateway" if self.is_loopback else "cloud")
        if not self.storage:
            object.__setattr__(self, "storage", "inline" if self.dialect == "gateway" else "none")
        _check(self)
        for secret in (self.access_key_id, self.access_key_secret):
            if secret:
                register_secret(secret)

    @property
    def is_loopback(self) -> bool:
        """Whether the server runs on this very machine."""
        return is_loopback_host(urlsplit(self.base_url).hostname or "")

    @property
    def origin(self) -> str:
        """Scheme, host and port of the base URL."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def has_keys(self) -> bool:
        return bool(self.access_key_id)


def is_loopback_host(host: str) -> bool:
    """True for localhost and the loopback addresses; names are not looked up."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def normal_base_url(url: str, name: str) -> str:
    """A base URL without trailing slash and without the API's own prefix; raises ProfileError."""
    what = "--url" if name.startswith(URL_NAME) else f"Profile {name!r}"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        parts, host, port = None, "", 0
    if parts is None or parts.scheme not in ("http", "https") or not host:
        raise ProfileError(
            f"{what}: {_shown(url)} is not an http(s) address.",
            f"Use something like {CLOUD_BASE_URL} or http://127.0.0.1:8288.",
        )
    if "@" in parts.netloc + parts.path or parts.query or parts.fragment:
        raise ProfileError(
            f"{what}: the address holds a user name, a query or a fragment.",
            "Give scheme, host and port only; keys have their own fields.",
        )
    if parts.scheme == "http" and not is_loopback_host(host):
        raise ProfileError(
            f"{what}: prompts, pictures and keys would go to {host} without encryption.",
            f"Use https://, or a tunnel: keep `ssh -L {port}:127.0.0.1:{port} {host}` running and give the "
            f"address http://127.0.0.1:{port}. Plain http is accepted for this machine only.",
        )
    path = parts.path.rstrip("/")
    if path.endswith(PATH_PREFIX):
        path = path[: -len(PATH_PREFIX)]
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _shown(url: str) -> str:
    """A URL for an error text: whatever stands before an @ may be a password."""
    return repr(url.rpartition("@")[2][:80])


def _check(profile: Profile) -> None:
    """Refuse a profile that cannot work or would be unsafe; the first problem is named."""

    by_url = profile.name.startswith(URL_NAME)

    def refuse(what: str, hint: str) -> ProfileError:
        text = f"--url: {what}" if by_url else f"Profile {profile.name!r}: {what}"
        return ProfileError(text, hint, profile=profile.name)

    if not profile.name:
        raise ProfileError("A profile needs a name.", "Use letters, digits, dot, dash, underscore.")
    if bool(profile.access_key_id) != bool(profile.access_key_secret):
        raise refuse("only one half of the key pair is set.", "Set key id and key secret, or neither.")
    for part in (profile.access_key_id, profile.access_key_secret):
        if part and not re.fullmatch(r"[\x21-\x7e]+", part):
            raise refuse(
                "a key holds a blank, a line break or a non-ASCII character.",
                "Copy the key again without quotes and line ends.",
            )
    if not profile.has_keys and not profile.is_loopback:
        name = "NAME" if by_url else profile.name
        raise refuse(
            f"no access key for {urlsplit(profile.base_url).hostname}.",
            "Only servers on this machine work without keys. Add a profile with keys: Settings > Img Open, "
            f"or `{command(f'profile add {name} --url {profile.base_url}')}`.",
        )
    if profile.storage not in get_args(Storage):
        raise refuse(f"storage is {profile.storage!r}.", f"Use one of {', '.join(get_args(Storage))}.")
    if profile.dialect not in get_args(Dialect):
        raise refuse(f"dialect is {profile.dialect!r}.", f"Use one of {', '.join(get_args(Dialect))}.")
    for name in ("deadline_s", "poll_s", "poll_most_s"):
        if not 0 < getattr(profile, name) < 1e8:
            raise refuse(f"{name} is {getattr(profile, name)!r}.", "Use a positive number of seconds.")
    for name, least in (("max_concurrent", 1), ("per_minute", 0), ("spend_limit_images", 0)):
        if getattr(profile, name) < least:
            raise refuse(f"{name} is {getattr(profile, name)!r}.", f"Use a whole number from {least} up.")


# --- where profiles come from -------------------------------------------------------------------------


def load_profile(name: str) -> Profile:
    """The profile of that name. Raises ProfileError when unknown, incomplete or kept unsafely."""
    if name == CLOUD:
        return _cloud_profile()
    saved = read_entries()
    if name not in saved:
        known = ", ".join([CLOUD, *sorted(saved)])
        raise ProfileError(
            f"There is no profile {name!r}.",
            f"Known: {known}. Add one: Settings > Img Open, or `{command('profile add NAME --url URL')}`.",
            profile=name,
        )
    return _from_json(name, saved[name])


def list_profiles() -> list[str]:
    """All names, the built-in one first; never anything secret."""
    return [CLOUD, *sorted(read_entries())]


def save_profile(profile: Profile) -> Path:
    """Write a profile to the file (mode 600, replaced in one step). Returns the file's path."""
    if profile.name == CLOUD:
        raise ProfileError(
            f"{CLOUD!r} is built in: it takes its keys from {ENV_ID} and {ENV_SECRET}.",
            "Choose another name to keep keys in the profile file.",
        )
    if not _NAME.fullmatch(profile.name):
        raise ProfileError(
            f"{profile.name!r} cannot be a profile name.",
            "Use 1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or digit.",
        )
    saved = read_entries()
    saved[profile.name] = _to_json(profile)
    return write_entries(saved)


def remove_profile(name: str) -> None:
    """Take a profile out of the file; raises ProfileError when it is not there."""
    saved = read_entries()
    if name not in saved:
        raise ProfileError(
            f"There is no saved profile {name!r}.", f"Saved: {', '.join(sorted(saved)) or 'none'}."
        )
    del saved[name]
    write_entries(saved)


def set_auto_remote(name: str, allowed: bool) -> Path:
    """Say whether nodes may choose a saved profile's server by themselves. Returns the file's path."""
    return save_profile(with_changes(load_profile(name), auto_remote=allowed))


def profile_for_url(url: str, **changes: Any) -> Profile:
    """A keyless profile for a server named by its address (loopback only, keys need a saved profile).

    The dialect is the gateway's and pictures travel inline unless `changes` say otherwise.
    """
    settings: dict[str, Any] = {"storage": "inline", "dialect": "gateway", **changes}
    return Profile(name=settings.pop("name", URL_NAME + _host_of(url)), base_url=url, **settings)


def chosen_profile(url: str | None, name: str | None) -> Profile:
    """The profile behind `--url` or `--profile`; the cloud only where neither is given.

    An empty text is refused: it is a forgotten variable of a script far more often than a wish for the
    server that costs money.
    """
    for option, value in (("--url", url), ("--profile", name)):
        if value is not None and not value.strip():
            raise InvalidRequest.field(option, value, "not empty", "Leave the option out, or give its value.")
    if url is not None:
        return profile_for_url(url)
    return load_profile(CLOUD if name is None else name)


def _host_of(url: str) -> str:
    """Host and port of an address, for a name; whatever stands before an @ may be a password."""
    rest = url.rpartition("@")[2].strip()
    try:
        return urlsplit(rest if "://" in rest else f"//{rest}").netloc or "address"
    except ValueError:
        return "address"


def _cloud_profile() -> Profile:
    key_id, secret = os.environ.get(ENV_ID, "").strip(), os.environ.get(ENV_SECRET, "").strip()
    missing = [name for name, value in ((ENV_ID, key_id), (ENV_SECRET, secret)) if not value]
    if missing:
        raise ProfileError(
            f"The profile {CLOUD!r} needs {' and '.join(missing)} in the environment.",
            "Set both and start again, or keep keys in a profile of another name: Settings > Img Open, or "
            "the command `profile add NAME --url URL`.",
            profile=CLOUD,
        )
    return Profile(CLOUD, CLOUD_BASE_URL, key_id, secret)


_FIELDS = tuple(f.name for f in fields(Profile) if f.name != "name")
_TYPES: dict[str, tuple[type, ...]] = {
    "base_url": (str,),
    "access_key_id": (str,),
    "access_key_secret": (str,),
    "storage": (str,),
    "storage_options": (dict,),
    "deadline_s": (int, float),
    "poll_s": (int, float),
    "poll_most_s": (int, float),
    "max_concurrent": (int,),
    "per_minute": (int,),
    "spend_limit_images": (int,),
    "allow_private_results": (bool,),
    "auto_remote": (bool,),
    "dialect": (str,),
}


def _to_json(profile: Profile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in _FIELDS}


def _from_json(name: str, data: Mapping[str, Any]) -> Profile:
    """Build a profile from the file's values; wrong types are named without showing the value."""
    if "base_url" not in data:
        raise ProfileError(f"Profile {name!r} has no base_url.", f"Correct {profiles_path()}.", profile=name)
    for key, value in data.items():
        if key not in _TYPES:
            raise ProfileError(
                f"Profile {name!r} has an unknown setting {key!r}.",
                f"Known: {', '.join(_FIELDS)}. Correct {profiles_path()}.",
                profile=name,
            )
        wanted = _TYPES[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ProfileError(
                f"Profile {name!r}: {key} must be {' or '.join(t.__name__ for t in wanted)}.",
                f"Correct {profiles_path()}.",
                profile=name,
            )
    return Profile(name=name, **data)


def with_changes(profile: Profile, **changes: Any) -> Profile:
    """A copy of a profile with some settings changed; checked like a new one."""
    return replace(profile, **changes)
