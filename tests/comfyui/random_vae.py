"""A VAE of Stable Diffusion's own shape with random weights, in a small file.

usage: random_vae.py COMFYUI_DIR MODELS_DIR   (run with ComfyUI's own Python)

Both ComfyUI and diffusers know this shape only; see windows.py for why the file is small.
"""

from __future__ import annotations

import sys
from pathlib import Path

comfyui, models = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(comfyui))
sys.argv = [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402
import torch  # noqa: E402

comfy.options.enable_args_parsing()

from comfy.ldm.models.autoencoder import AutoencoderKL  # noqa: E402
from windows import fill  # noqa: E402

SHAPE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def main() -> None:
    with torch.device("meta"):
        vae = AutoencoderKL(embed_dim=4, ddconfig=SHAPE)
    (models / "vae").mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": fill(vae, "")}, models / "vae" / "random_vae.pt")


main()
