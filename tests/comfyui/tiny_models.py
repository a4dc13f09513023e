"""Random weights with the names and shapes of SD1.5, small: two-level U-Net and ControlNet, TAESD-shaped VAE.

usage: tiny_models.py COMFYUI_DIR MODELS_DIR   (run with ComfyUI's own Python)

Shapes come from ComfyUI's own classes on the meta device, so the files load wherever the host does.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

comfyui, models = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(comfyui))
sys.argv = [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.cldm.cldm  # noqa: E402
import comfy.clip_model  # noqa: E402
import comfy.ops  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from comfy.taesd.taesd import TAESD  # noqa: E402

OPERATIONS = comfy.ops.disable_weight_init
SHAPE = {
    "use_checkpoint": False,
    "image_size": 32,
    "in_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 1],
    "transformer_depth": [1, 0],
    "transformer_depth_middle": 1,
    "use_linear_in_transformer": False,
    "context_dim": 768,
    "num_heads": 8,
    "use_spatial_transformer": True,
    "legacy": False,
    "adm_in_channels": None,
}


def fill(model: torch.nn.Module, prefix: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Values that keep activations sane; a ControlNet's exits are not zero, so that it visibly acts."""
    filled: dict[str, torch.Tensor] = {}
    for name, shape in ((name, tensor.shape) for name, tensor in model.state_dict().items()):
        if name.endswith("text_projection.weight"):
            continue  # absent from real SD1.5 checkpoints
        if name.endswith("position_ids"):
            value = torch.arange(shape[-1]).expand(shape).clone()
        elif name.endswith("bias") or name == "vae_shift":
            value = torch.zeros(shape)
        elif name == "vae_scale":
            value = torch.tensor(0.18215)
        elif len(shape) == 1:
            value = torch.ones(shape)
        elif "embedding" in name:
            value = torch.randn(shape, generator=generator) * 0.02
        else:
            gain = 0.3 if "zero_convs" in name or "middle_block_out" in name else 1.0
            value = torch.randn(shape, generator=generator) * (gain / math.sqrt(math.prod(shape[1:])))
        filled[prefix + name] = value if value.dtype == torch.int64 else value.half().contiguous()
    return filled


def main() -> None:
    clip = json.loads((comfyui / "comfy" / "sd1_clip_config.json").read_text("utf-8"))
    with torch.device("meta"):
        parts = {
            "model.diffusion_model.": UNetModel(
                **SHAPE, out_channels=4, transformer_depth_output=[1, 1, 0, 0], operations=OPERATIONS
            ),
            "cond_stage_model.transformer.": comfy.clip_model.CLIPTextModel(
                clip, torch.float32, "meta", OPERATIONS
            ),
            "first_stage_model.": TAESD(),
        }
        control = comfy.cldm.cldm.ControlNet(**SHAPE, hint_channels=3, operations=OPERATIONS)
    generator = torch.Generator().manual_seed(0)
    checkpoint: dict[str, torch.Tensor] = {}
    for prefix, part in parts.items():
        checkpoint.update(fill(part, prefix, generator))
    for folder in ("checkpoints", "controlnet"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    save_file(checkpoint, models / "checkpoints" / "tiny_sd15.safetensors", {"format": "pt"})
    weights = fill(control, "control_model.", torch.Generator().manual_seed(1))
    save_file(weights, models / "controlnet" / "tiny_control_sd15_canny.safetensors", {"format": "pt"})


main()
