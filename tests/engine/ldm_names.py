"""diffusers' weight names to those of single-file checkpoints ("LDM"), for small test models."""

from __future__ import annotations

import re

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_PLAIN = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}


def _inner(kind: str, rest: str) -> str:
    if kind == "attentions":
        return rest
    name, ending = rest.rsplit(".", 1)
    return f"{_RESNET[name]}.{ending}"


def unet_name(name: str, layers: int) -> str:
    """One weight of a U-Net or ControlNet with `layers` resnets per block."""
    stem, ending = name.rsplit(".", 1)
    if stem in _PLAIN:
        return f"{_PLAIN[stem]}.{ending}"
    if found := re.fullmatch(r"controlnet_down_blocks\.(\d+)", stem):
        return f"zero_convs.{found[1]}.0.{ending}"
    if found := re.fullmatch(r"controlnet_cond_embedding\.blocks\.(\d+)", stem):
        return f"input_hint_block.{2 + 2 * int(found[1])}.{ending}"
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name):
        place = 1 if found[1] == "attentions" else 2 * int(found[2])
        return f"middle_block.{place}.{_inner(found[1], found[3])}"
    if found := re.fullmatch(r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.+)", name):
        index = 1 + int(found[1]) * (layers + 1) + int(found[3])
        return f"input_blocks.{index}.{int(found[2] == 'attentions')}.{_inner(found[2], found[4])}"
    if found := re.fullmatch(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.+)", name):
        return f"input_blocks.{(int(found[1]) + 1) * (layers + 1)}.0.op.{found[2]}"
    if found := re.fullmatch(r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.+)", name):
        index = int(found[1]) * (layers + 1) + int(found[3])
        return f"output_blocks.{index}.{int(found[2] == 'attentions')}.{_inner(found[2], found[4])}"
    found = re.fullmatch(r"up_blocks\.(\d)\.upsamplers\.0\.conv\.(.+)", name)
    assert found is not None, name
    # All up blocks of the test model that have an upsampler have attention before it.
    return f"output_blocks.{int(found[1]) * (layers + 1) + layers}.2.conv.{found[2]}"


def vae_name(name: str, levels: int) -> str:
    """One weight of a VAE."""
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    name = name.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
    name = re.sub(r"encoder\.down_blocks\.(\d)\.resnets", r"encoder.down.\1.block", name)
    name = re.sub(r"encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample", name)
    flip = lambda found: f"decoder.up.{levels - 1 - int(found[1])}."  # noqa: E731
    name = re.sub(r"decoder\.up_blocks\.(\d)\.", flip, name)
    return re.sub(r"(decoder\.up\.\d)\.upsamplers\.0", r"\1.upsample", name.replace(".resnets.", ".block."))
