"""Collecting what is wrong with a body, so that a user sees all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..base.errors import InvalidRequest


@dataclass(frozen=True)
class Problem:
    """One field that cannot be used.

    Attributes:
        field: wire name, dotted below the top level (`alwayson_scripts.id_task`).
        value: the value found; `None` with `missing` set when the field is absent.
        allowed: what would be accepted, as a phrase that follows "must be".
        missing: the field is required and absent.
    """

    field: str
    value: object
    allowed: str
    missing: bool = False

    def error(self) -> InvalidRequest:
        """The problem as the pack's usual error."""
        if self.missing:
            return InvalidRequest(
                f"{self.field} is missing; it must be {self.allowed}.", field=self.field, allowed=self.allowed
            )
        return InvalidRequest.field(self.field, self.value, self.allowed)


def raise_problems(problems: Sequence[Problem], hint: str = "") -> None:
    """Raise one `InvalidRequest` that names every problem; do nothing when there is none."""
    raise_errors([problem.error() for problem in problems], hint)


def raise_errors(errors: Sequence[InvalidRequest], hint: str = "") -> None:
    """Raise several findings as one error: their texts, their hints once each; do nothing when there is none.

    `details` are the first one's, plus `problems`: the details of all.
    """
    if not errors:
        return
    hints = " ".join(dict.fromkeys(text for text in (hint, *(error.hint for error in errors)) if text))
    if len(errors) == 1:
        raise InvalidRequest(errors[0].message, hints, **errors[0].details)
    text = " ".join(f"({number}) {error.message}" for number, error in enumerate(errors, start=1))
    details = {**errors[0].details, "problems": [dict(error.details) for error in errors]}
    raise InvalidRequest(f"{len(errors)} fields cannot be used: {text}", hints, **details)
