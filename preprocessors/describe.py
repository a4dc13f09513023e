"""The modules as plain JSON values, for the command line, the server and the canvas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..controlnet.modules import LEGACY_NAMES
from .registry import PREPROCESSORS, Preprocessor, available


def describe_modules(folders: Iterable[Path] = ()) -> list[dict[str, Any]]:
    """One entry per module: names, tags, sliders, what it returns, and whether it can run on this machine.

    Args:
        folders: the host's annotator folders, looked through for weight files.
    """
    return [_describe(entry, tuple(folders)) for entry in PREPROCESSORS.values()]


def _describe(entry: Preprocessor, folders: tuple[Path, ...]) -> dict[str, Any]:
    spec = entry.spec
    ready, reason = available(entry.name, folders)
    return {
        "name": spec.name,
        "label": spec.label,
        "aliases": [old for old, name in LEGACY_NAMES.items() if name == spec.name],
        "tags": list(spec.tags),
        "method": spec.method,
        "sliders": {
            "processor_res": asdict(spec.resolution),
            "threshold_a": asdict(spec.threshold_a),
            "threshold_b": asdict(spec.threshold_b),
        },
        "returns": spec.returns,
        "needs_mask": spec.needs_mask,
        "model_free": spec.model_free,
        "available": ready,
        "reason": reason,
        "note": entry.note,
    }
