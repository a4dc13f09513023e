"""Inputs that several families of nodes share."""

from __future__ import annotations

from .fields import combo
from .tables import CLOUD, profiles

PROFILE = combo(
    "profile",
    profiles,
    CLOUD,
    "Which server, and which stored key. Profiles are made in Settings > Img Open; no key ever enters a "
    "workflow.",
    required=True,
)
