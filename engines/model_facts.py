"""What a model file says about itself: its base model and the picture beside it. Only headers are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

_LARGEST_HEADER = 32 * 1024 * 1024  # bytes; those of real checkpoints are well below one
_PICTURES = (".preview.png", ".png", ".preview.jpg", ".jpg", ".jpeg", ".preview.webp", ".webp")
# Metadata of kohya's trainer and of the ModelSpec standard (SAI, 2023), by what it begins with.
_SPELLINGS: tuple[tuple[str, str], ...] = (
    ("stable-diffusion-xl", "SDXL"),
    ("sdxl", "SDXL"),
    ("stable-diffusion-v1", "SD 1.5"),
    ("sd_v1", "SD 1.5"),
    ("stable-diffusion-v2", "SD 2"),
    ("sd_v2", "SD 2"),
    ("stable-diffusion-3", "SD 3"),
    ("sd3", "SD 3"),
    ("flux", "Flux"),
)
# Tensors that only one family has, for files without metadata.
_MARKS: tuple[tuple[str, str], ...] = (
    ("conditioner.embedders.1.", "SDXL"),
    ("cond_stage_model.model.", "SD 2"),
    ("cond_stage_model.transformer.", "SD 1.5"),
    ("lora_te2_", "SDXL"),
    ("double_blocks.0.", "Flux"),
    ("model.diffusion_model.double_blocks.0.", "Flux"),
    ("joint_blocks.0.", "SD 3"),
    ("model.diffusion_model.joint_blocks.0.", "SD 3"),
)


def base_model(path: Path) -> str:
    """The family of a safetensors file, such as "SD 1.5"; empty when it does not tell or is no such file."""
    try:
        state = path.stat()
    except OSError:
        return ""
    return _base_model(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _base_model(path: str, size: int, changed_ns: int) -> str:
    if not path.lower().endswith(".safetensors"):
        return ""
    header = _header(Path(path))
    told: Any = header.get("__metadata__")
    metadata: Mapping[str, Any] = cast("Mapping[str, Any]", told) if isinstance(told, dict) else {}
    for name in ("modelspec.architecture", "ss_base_model_version"):
        text = str(metadata.get(name, "")).lower()
        for start, family in _SPELLINGS:
            if text.startswith(start):
                return family
    for mark, family in _MARKS:
        if any(name.startswith(mark) for name in header):
            return family
    return ""


def _header(path: Path) -> Mapping[str, Any]:
    """The JSON header of a safetensors file; empty when it is none."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _LARGEST_HEADER:
                return {}
            value: Any = json.loads(stream.read(length))
    except (OSError, ValueError, struct.error, RecursionError):  # the last: brackets in brackets without end
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def picture_beside(path: Path) -> Path | None:
    """The cover that lies beside a model file, as the web UI and its helpers name it: `name.preview.png`,
    `name.png` and the like."""
    for suffix in _PICTURES:
        candidate = path.with_name(path.stem + suffix)
        if candidate.is_file():
            return candidate
    return None
