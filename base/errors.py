"""The pack's one family of errors.

Every error says what happened, with which value, and what to do about it. The text is safe to show to
anybody: callers never put a secret into it, and `base.log.scrub` runs over what comes from outside.
"""

from __future__ import annotations

from typing import Any


class ImgOpenError(Exception):
    """Base of all errors the pack raises on purpose.

    Attributes:
        code: stable machine-readable word, lower_snake_case.
        message: what happened, with the value concerned.
        hint: what the user can do; may be empty when the message already says it.
        details: plain JSON values for programs (field names, ids); never secrets.
    """

    code = "error"

    def __init__(self, message: str, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only details would be lost by the default pickling of exceptions (process pools use it).
        return (_rebuild, (type(self), self.message, self.hint, self.details))


def _rebuild(kind: type[ImgOpenError], message: str, hint: str, details: dict[str, Any]) -> ImgOpenError:
    return kind(message, hint, **details)


class InvalidRequest(ImgOpenError):
    """A field of a request, a unit or a setting has a value that cannot be used."""

    code = "invalid_request"

    @classmethod
    def field(cls, field: str, value: object, allowed: str, hint: str = "") -> InvalidRequest:
        """The usual wording: which field, which value, what is allowed."""
        shown = repr(value)
        if len(shown) > 120:
            shown = shown[:117] + "..."
        return cls(f"{field} is {shown}, but must be {allowed}.", hint, field=field, allowed=allowed)


class PictureError(ImgOpenError):
    """A picture cannot be read, is too large, or has the wrong size or shape."""

    code = "bad_picture"


class LinkRefused(ImgOpenError):
    """A link may not be fetched: private address, wrong scheme, too many redirects."""

    code = "link_refused"


class MissingModel(ImgOpenError):
    """A checkpoint, control model, VAE or annotator weight file is not there."""

    code = "missing_model"


class MissingDependency(ImgOpenError):
    """An optional Python package or another node pack is not installed."""

    code = "missing_dependency"


class Unsupported(ImgOpenError):
    """This engine cannot do what the request asks; another one may."""

    code = "unsupported"


class ProfileError(ImgOpenError):
    """A profile is unknown, incomplete or kept unsafely."""

    code = "bad_profile"


class NetworkError(ImgOpenError):
    """No usable answer came: refused, timed out, cut off, not JSON."""

    code = "network"


class ServerError(ImgOpenError):
    """The server answered with an error (HTTP status or envelope code)."""

    code = "server"


class Unauthorized(ServerError):
    """The server did not accept the access key."""

    code = "unauthorized"


class Busy(ServerError):
    """The server's queue is full or a rate limit was hit; the same call may go through later."""

    code = "busy"


class TaskFailed(ImgOpenError):
    """The server says that a task failed, or that it has no usable result."""

    code = "task_failed"


class TaskTimeout(ImgOpenError):
    """A task is still pending at the deadline. It is not lost: it can be attached again by its id."""

    code = "task_timeout"


class TaskUncertain(ImgOpenError):
    """Nobody knows whether a submit reached the server. The user decides: attach, retry or drop."""

    code = "task_uncertain"


class Cancelled(ImgOpenError):
    """The user asked to stop."""

    code = "cancelled"
