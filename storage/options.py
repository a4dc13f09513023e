"""Reading a profile's `storage_options` into a dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..base.errors import ProfileError

_KINDS = {"str": str, "int": int, "bool": bool}


def typed_options(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a dataclass of plain fields knows, checked for their type; others are left alone.

    Raises:
        ProfileError: names the option and the type it must have.
    """
    known: dict[str, Any] = {}
    for each in fields(kind):
        if each.name not in options:
            continue
        value = options[each.name]
        wanted = _KINDS[str(each.type)]
        if type(value) is not wanted:
            raise ProfileError(
                f"The storage option {each.name} has the type {type(value).__name__}.",
                f"It must be {wanted.__name__}.",
            )
        known[each.name] = value
    return known
