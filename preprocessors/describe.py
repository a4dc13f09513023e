"""The modules as plain JSON values, for the command line, the server and the canvas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..controlnet.modules import LEGACY_NAMES, TAGS
from .registry import PREPROCESSORS, Preprocessor, available
from .weights_table import WEIGHTS

OWN_CODE = "this pack, Apache-2.0"


def describe_modules(folders: Iterable[Path] = ()) -> list[dict[str, Any]]:
    """One entry per module: names, tags, sliders, what it returns, and whether it can run on this machine.

    Args:
        folders: the host's annotator folders, looked through for weight files.
    """
    return [_describe(entry, tuple(folders)) for entry in PREPROCESSORS.values()]


def _describe(entry: Preprocessor, folders: tuple[Path, ...]) -> dict[str, Any]:
    spec = entry.spec
    ready, reason = available(entry.name, folders)
    weights = [WEIGHTS[key] for key in entry.weights]
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
        "control_models": control_models(entry),
        "code": code_of(entry),
        "weights": [
            {"key": each.key, "file": each.file, "megabytes": each.megabytes, "licence": each.licence}
            for each in weights
        ],
    }


def control_models(entry: Preprocessor) -> list[str]:
    """The control models usually taken with a module, one per control type it is listed under."""
    usual = [TAGS[tag].usual_model for tag in entry.spec.tags]
    return [model for model in dict.fromkeys(usual) if model]


def code_of(entry: Preprocessor) -> str:
    """Where the code comes from and its licence."""
    return entry.code or OWN_CODE
