"""Random weights in the shapes that the packs of IP-Adapter and InstantID load.

usage: tiny_adapters.py MODELS_DIR   (run with ComfyUI's own Python, after tiny_models.py)

The vision tower is a full ViT-L, the smallest that ComfyUI knows, in 8-bit floats; the face networks are the
test doubles of tests/golden/learned.
"""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

models = Path(sys.argv[1])
learned = Path(__file__).parents[1] / "golden" / "learned"
generator = torch.Generator().manual_seed(5)


def normal(*shape: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    """Values that keep activations at their size."""
    values = torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]) or 1)
    return values.to(dtype)


def ones(size: int) -> torch.Tensor:
    return torch.ones(size, dtype=torch.float16)


def zeros(size: int) -> torch.Tensor:
    return torch.zeros(size, dtype=torch.float16)


def vision_tower() -> dict[str, torch.Tensor]:
    """CLIP ViT-L; its layers share their values, which is enough for pictures to differ."""
    width, wide, small = 1024, 4096, torch.float8_e4m3fn
    tower = {
        "embeddings.class_embedding": normal(width),
        "embeddings.patch_embedding.weight": normal(width, 3, 14, 14),
        "embeddings.position_embedding.weight": normal(257, width),
        "pre_layrnorm.weight": ones(width),
        "pre_layrnorm.bias": zeros(width),
        "post_layernorm.weight": ones(width),
        "post_layernorm.bias": zeros(width),
    }
    square, up, down = (
        normal(width, width, dtype=small),
        normal(wide, width, dtype=small),
        normal(width, wide, dtype=small),
    )
    for number in range(24):
        layer = f"encoder.layers.{number}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            tower[f"{layer}self_attn.{part}.weight"] = square.clone()
            tower[f"{layer}self_attn.{part}.bias"] = zeros(width)
        for part in ("layer_norm1", "layer_norm2"):
            tower[f"{layer}{part}.weight"], tower[f"{layer}{part}.bias"] = ones(width), zeros(width)
        tower[f"{layer}mlp.fc1.weight"], tower[f"{layer}mlp.fc1.bias"] = up.clone(), zeros(wide)
        tower[f"{layer}mlp.fc2.weight"], tower[f"{layer}mlp.fc2.bias"] = down.clone(), zeros(width)
    named = {f"vision_model.{name}": value for name, value in tower.items()}
    return {**named, "visual_projection.weight": normal(768, width)}


def ip_adapter() -> dict[str, torch.Tensor]:
    """The plain IP-Adapter for SD1.5: four tokens from the projected embedding."""
    weights = {
        "image_proj.proj.weight": normal(4 * 768, 768),
        "image_proj.proj.bias": zeros(4 * 768),
        "image_proj.norm.weight": ones(768),
        "image_proj.norm.bias": zeros(768),
    }
    for number in range(16):
        for part in ("k", "v"):
            weights[f"ip_adapter.{2 * number + 1}.to_{part}_ip.weight"] = normal(320, 768)
    return weights


def instant_id() -> dict[str, torch.Tensor]:
    """InstantID's resampler, and the attention of the blocks of the tiny U-Net that its patch reaches."""
    dim = 1280
    weights = {
        "latents": normal(1, 16, dim),
        "proj_in.weight": normal(dim, 512),
        "proj_in.bias": zeros(dim),
        "proj_out.weight": normal(768, dim),
        "proj_out.bias": zeros(768),
        "norm_out.weight": ones(768),
        "norm_out.bias": zeros(768),
    }
    for number in range(4):
        for part, shape in (("to_q", (dim, dim)), ("to_kv", (2 * dim, dim)), ("to_out", (dim, dim))):
            weights[f"layers.{number}.0.{part}.weight"] = normal(*shape)
        for part in ("norm1", "norm2"):
            weights[f"layers.{number}.0.{part}.weight"] = ones(dim)
            weights[f"layers.{number}.0.{part}.bias"] = zeros(dim)
        weights[f"layers.{number}.1.0.weight"], weights[f"layers.{number}.1.0.bias"] = ones(dim), zeros(dim)
        weights[f"layers.{number}.1.1.weight"] = normal(4 * dim, dim)
        weights[f"layers.{number}.1.3.weight"] = normal(dim, 4 * dim)
    named = {f"image_proj.{name}": value for name, value in weights.items()}
    for key in (1, 89, 109, 121):  # the first tells the width; then two output blocks and the middle
        for part in ("k", "v"):
            named[f"ip_adapter.{key}.to_{part}_ip.weight"] = normal(320, 768)
    return named


def main() -> None:
    for folder in ("ipadapter", "clip_vision", "instantid"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    save_file(ip_adapter(), models / "ipadapter" / "ip-adapter_sd15.safetensors")
    save_file(vision_tower(), models / "clip_vision" / "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors")
    # bigG would be 1.8 billion numbers: stand_in_tower.py answers in its place.
    save_file({"nothing": zeros(1)}, models / "clip_vision" / "clip_vision_g.safetensors")
    save_file(instant_id(), models / "instantid" / "ip-adapter.safetensors")
    shutil.copy(
        models / "controlnet" / "tiny_control_sd15_canny.safetensors",
        models / "controlnet" / "control_instant_id_sdxl.safetensors",
    )
    faces = models / "insightface" / "models" / "antelopev2"
    faces.mkdir(parents=True)
    shutil.copy(learned / "face_detector.onnx", faces / "scrfd_10g_bnkps.onnx")
    shutil.copy(learned / "face_describer.onnx", faces / "glintr100.onnx")


main()
