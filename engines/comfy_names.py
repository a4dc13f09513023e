"""Model names of a request matched to the host's file lists."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ..base.errors import MissingModel
from .models import WEIGHT_SUFFIXES


def stem(name: str) -> str:
    """A file name without folder and weight-file extension."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    for suffix in WEIGHT_SUFFIXES:
        if base.lower().endswith(suffix):
            return base[: -len(suffix)]
    return base


def find_name(wanted: str, names: Sequence[str], word: str) -> str:
    """The list's entry for a name: the same, or one with the same stem (case does not count).

    Args:
        wanted: as the request spells it.
        names: the host's list.
        word: what it is, for the error text.

    Raises:
        MissingModel: none; the nearest names are in the text.
    """
    for name in names:
        if name == wanted or name.replace("\\", "/") == wanted.replace("\\", "/"):
            return name
    for name in names:
        if stem(name).lower() == stem(wanted).lower():
            return name
    near = difflib.get_close_matches(
        stem(wanted).lower(), [stem(name).lower() for name in names], n=3, cutoff=0.3
    )
    shown = [name for name in names if stem(name).lower() in near] or list(names[:5])
    hint = f"Nearest: {', '.join(shown)}." if shown else f"There is no {word} at all."
    raise MissingModel(f"There is no {word} named {wanted!r}.", hint, name=wanted, nearest=shown)
