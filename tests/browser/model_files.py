"""Model files of a host: small, with the headers that real ones have, and a cover beside one of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from model_server import cover

CONTROL = (
    "control_v11p_sd15_canny.safetensors",
    "control_sd15_canny_old.safetensors",
    "control_v11f1p_sd15_depth.safetensors",
    "t2iadapter_depth_sd15v2.safetensors",
    "control_v11p_sd15_openpose.safetensors",
)


def safetensors(path: Path, tensors: list[str], **metadata: str) -> Path:
    """A file with this header and no weights."""
    header = {name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in tensors}
    data = json.dumps({**({"__metadata__": metadata} if metadata else {}), **header}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(data)) + data)
    return path


def write_models(folder: Path) -> None:
    """Checkpoints, LoRAs, a VAE and control models below ComfyUI's `models` folder."""
    first = safetensors(
        folder / "checkpoints" / "harbour-v1.safetensors", ["cond_stage_model.transformer.text_model.x"]
    )
    first.with_suffix(".preview.png").write_bytes(cover(2))
    safetensors(folder / "checkpoints" / "big" / "comet-xl.safetensors", ["conditioner.embedders.1.model.x"])
    safetensors(folder / "loras" / "ink-lines.safetensors", ["lora_te_x"], ss_base_model_version="sd_v1")
    safetensors(folder / "loras" / "snow-xl.safetensors", ["x"], ss_base_model_version="sdxl_base_v1-0")
    safetensors(folder / "vae" / "soft.vae.safetensors", ["decoder.conv_in.weight"])
    for name in CONTROL:
        safetensors(folder / "controlnet" / name, ["input_hint_block.0.weight"])
