"""Inputs that several families of nodes share."""

from __future__ import annotations

from .fields import combo
from .tables import CLOUD, profiles

PROFILE = combo(
    "profile",
    profiles,
    CLOUD,
    "Which server, and which stored key. Profiles are made with `img-open profile add`; no key ever enters a "
    "workflow.",
    required=True,
)
