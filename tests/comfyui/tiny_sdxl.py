"""Random weights with the names and shapes of SDXL, in a small file: checkpoint and ControlNet as .ckpt.

usage: tiny_sdxl.py COMFYUI_DIR MODELS_DIR   (run with ComfyUI's own Python)

ComfyUI knows SDXL by its first width (320), its transformer depths and its text widths, so the networks
themselves cannot be small: the U-Net is cut to one width and to no transformers on its way up, and both text
models have their full size. The files are small all the same, see windows.py.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

comfyui, models = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(comfyui))
sys.argv = [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402
import torch  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.cldm.cldm  # noqa: E402
import comfy.ops  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from comfy.taesd.taesd import TAESD  # noqa: E402
from windows import fill, window  # noqa: E402

OPERATIONS = comfy.ops.disable_weight_init
SHAPE = {
    "use_checkpoint": False,
    "image_size": 32,
    "in_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 1, 1],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_middle": 1,
    "use_linear_in_transformer": True,
    "context_dim": 2048,
    "num_heads": -1,
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "legacy": False,
    "adm_in_channels": 2816,
    "num_classes": "sequential",
}
CLIP_L = {"width": 768, "layers": 12, "prefix": "conditioner.embedders.0.transformer.text_model."}
CLIP_G = {"width": 1280, "layers": 32, "prefix": "conditioner.embedders.1.model."}
TOKENS, PLACES = 49408, 77


def linear(into: dict[str, torch.Tensor], name: str, rows: int, columns: int, dot: str = ".") -> None:
    """Weight and bias of one layer."""
    into[f"{name}{dot}weight"] = window(name, (rows, columns), 1 / math.sqrt(columns))
    into[f"{name}{dot}bias"] = torch.zeros(rows, dtype=torch.float16)


def norm(into: dict[str, torch.Tensor], name: str, width: int) -> None:
    """Weight and bias of a layer norm."""
    into[f"{name}.weight"] = torch.ones(width, dtype=torch.float16)
    into[f"{name}.bias"] = torch.zeros(width, dtype=torch.float16)


def clip_l() -> dict[str, torch.Tensor]:
    """SDXL's smaller text model, by the names of transformers."""
    width, prefix, made = CLIP_L["width"], CLIP_L["prefix"], {}
    made[f"{prefix}embeddings.token_embedding.weight"] = window("l tokens", (TOKENS, width), 0.02)
    made[f"{prefix}embeddings.position_embedding.weight"] = window("l places", (PLACES, width), 0.02)
    for layer in range(CLIP_L["layers"]):
        name = f"{prefix}encoder.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(made, f"{name}self_attn.{part}", width, width)
        norm(made, f"{name}layer_norm1", width)
        norm(made, f"{name}layer_norm2", width)
        linear(made, f"{name}mlp.fc1", 4 * width, width)
        linear(made, f"{name}mlp.fc2", width, 4 * width)
    norm(made, f"{prefix}final_layer_norm", width)
    return made


def clip_g() -> dict[str, torch.Tensor]:
    """SDXL's larger text model, by the names of open_clip."""
    width, prefix, made = CLIP_G["width"], CLIP_G["prefix"], {}
    made[f"{prefix}token_embedding.weight"] = window("g tokens", (TOKENS, width), 0.02)
    made[f"{prefix}positional_embedding"] = window("g places", (PLACES, width), 0.02)
    for layer in range(CLIP_G["layers"]):
        name = f"{prefix}transformer.resblocks.{layer}."
        linear(made, f"{name}attn.in_proj", 3 * width, width, "_")
        linear(made, f"{name}attn.out_proj", width, width)
        norm(made, f"{name}ln_1", width)
        norm(made, f"{name}ln_2", width)
        linear(made, f"{name}mlp.c_fc", 4 * width, width)
        linear(made, f"{name}mlp.c_proj", width, 4 * width)
    norm(made, f"{prefix}ln_final", width)
    made[f"{prefix}text_projection"] = window("g projection", (width, width), 1 / math.sqrt(width))
    return made


def main() -> None:
    with torch.device("meta"):
        parts = {
            "model.diffusion_model.": UNetModel(
                **SHAPE, out_channels=4, transformer_depth_output=[0] * 9, operations=OPERATIONS
            ),
            "first_stage_model.": TAESD(),
        }
        control = comfy.cldm.cldm.ControlNet(**SHAPE, hint_channels=3, operations=OPERATIONS)
    checkpoint: dict[str, torch.Tensor] = {**clip_g(), **clip_l()}
    for prefix, part in parts.items():
        checkpoint.update(fill(part, prefix))
    for folder in ("checkpoints", "controlnet"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": checkpoint}, models / "checkpoints" / "tiny_sdxl.ckpt")
    weights = fill(control, "control_model.")
    torch.save({"state_dict": weights}, models / "controlnet" / "tiny_control_sdxl_canny.ckpt")


main()
