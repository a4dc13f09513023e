# SPDX-License-Identifier: Apache-2.0
"""The demo model's networks: configurations, tokenizer, and the diffusers folder they live in.

Run ``python demo/training/networks.py --random OUT [--seed N]`` to write a complete folder with
random weights (plumbing tests), or call :func:`write_random`. Nothing is downloaded, and torch,
diffusers and transformers are imported inside the functions only.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
from pathlib import Path

PICTURE_SIZE = 128
TEXT_WIDTH = 96
TEXT_LENGTH = 77
CONTROLS = ("canny", "depth")

#: v-prediction; beta_end is higher than Stable Diffusion's 0.012, so that hardly any of the picture is
#: left at the last step (sqrt(alpha_bar) = 0.03) although sigma_max stays finite (about 31). A true
#: zero-terminal SNR would make it 4096 in diffusers, and Karras schedules waste most steps up there.
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.016,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}

UNET = {
    "sample_size": PICTURE_SIZE // 8,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (48, 64, 96),
    "layers_per_block": 1,
    "attention_head_dim": 4,  # diffusers reads this as the number of heads
    "norm_num_groups": 16,
    "cross_attention_dim": TEXT_WIDTH,
}

CONTROLNET_EMBEDDING = (8, 16, 32, 64)

VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (16, 16, 32, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "sample_size": PICTURE_SIZE,
    "mid_block_add_attention": False,
    "scaling_factor": 1.0,
}


def _vocabulary():
    """Load ``vocabulary.py`` beside this file, however this file itself was imported."""
    spec = importlib.util.spec_from_file_location(
        "img_open_demo_vocabulary", Path(__file__).with_name("vocabulary.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _byte_symbols() -> list[str]:
    """The printable stand-in of every byte value 0..255, as in GPT-2's and CLIP's byte-level BPE."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    spare = iter(range(256, 512))
    return [chr(value) if value in printable else chr(next(spare)) for value in range(256)]


def byte_pair_merges(words: list[str], characters: list[str]) -> list[tuple[str, str]]:
    """Learn merges until each English word and each Chinese character is one token.

    Ordinary BPE on running text would swallow whole Chinese phrases, because CLIP splits at spaces
    and Chinese has none. So a character is learnt alone, in two forms: inside a run and at its end.

    Returns:
        Merges in rank order; learning them in this greedy order guarantees that encoding finds them.
    """
    symbols = _byte_symbols()

    def split(text: str, end: str) -> list[str]:
        parts = [symbols[value] for value in text.encode("utf-8")]
        parts[-1] += end
        return parts

    units = [split(word, "</w>") for word in words]
    units += [split(character, end) for character in characters for end in ("", "</w>")]
    merges = []
    while True:
        counts: dict[tuple[str, str], int] = {}
        for unit in units:
            for pair in itertools.pairwise(unit):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            return merges
        best = max(sorted(counts), key=counts.get)
        merges.append(best)
        for index, unit in enumerate(units):
            merged, position = [], 0
            while position < len(unit):
                if tuple(unit[position : position + 2]) == best:
                    merged.append(best[0] + best[1])
                    position += 2
                else:
                    merged.append(unit[position])
                    position += 1
            units[index] = merged


def write_tokenizer(folder: Path) -> int:
    """Write a CLIPTokenizer's files (any transformers version reads them).

    Returns:
        The size of the vocabulary.
    """
    vocabulary = _vocabulary()
    merges = byte_pair_merges(vocabulary.english_words(), vocabulary.chinese_characters())
    symbols = _byte_symbols()
    tokens = symbols + [symbol + "</w>" for symbol in symbols] + ["".join(pair) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    encode = json.JSONEncoder(ensure_ascii=False, indent=1).encode
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    config = {
        **special,
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": TEXT_LENGTH,
        "do_lower_case": True,
        "errors": "replace",
        "add_prefix_space": False,
    }
    files = {
        "vocab.json": encode({token: index for index, token in enumerate(tokens)}),
        "merges.txt": "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]) + "\n",
        "tokenizer_config.json": encode(config),
        "special_tokens_map.json": encode(special),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return len(tokens)


def build(seed: int = 0) -> dict:
    """Make the networks with random weights, float32, on the CPU.

    Returns:
        ``{"text_encoder", "unet", "vae", "canny", "depth"}``. The ControlNets start as copies of the
        UNet's encoder with zero output convolutions, as ControlNets do.
    """
    import tempfile

    import torch
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with tempfile.TemporaryDirectory() as scratch:
        size = write_tokenizer(Path(scratch))
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=size,
                hidden_size=TEXT_WIDTH,
                intermediate_size=4 * TEXT_WIDTH,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=TEXT_LENGTH,
                projection_dim=TEXT_WIDTH,
                hidden_act="quick_gelu",
                bos_token_id=size - 2,
                eos_token_id=size - 1,
                pad_token_id=size - 1,
            )
        )
        unet = UNet2DConditionModel(**UNET)
        networks = {"text_encoder": text, "unet": unet, "vae": AutoencoderKL(**VAE)}
        for name in CONTROLS:
            networks[name] = ControlNetModel.from_unet(
                unet, conditioning_embedding_out_channels=CONTROLNET_EMBEDDING
            )
    finally:
        torch.random.set_rng_state(state)
    return networks


def save(networks: dict, folder: str | Path) -> Path:
    """Write the networks as a diffusers folder, weights in fp16 safetensors.

    Layout: ``model_index.json``, ``tokenizer/``, ``text_encoder/``, ``unet/``, ``vae/``, ``scheduler/``
    and ``controlnet/<name>/``. The networks passed in are left as they are.
    """
    import copy

    from diffusers import DDIMScheduler, __version__

    folder = Path(folder)
    write_tokenizer(folder / "tokenizer")
    DDIMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    for name, network in networks.items():
        place = folder / "controlnet" / name if name in CONTROLS else folder / name
        copy.deepcopy(network).half().save_pretrained(place, safe_serialization=True)
        # Plain from_pretrained follows the dtype in a transformers config, but loads diffusers networks as
        # float32: both must say the same or the first matrix product fails.
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        if "_name_or_path" in config:
            config["_name_or_path"] = ""
        if name == "text_encoder":
            config.pop("dtype", None)
            config["torch_dtype"] = "float32"
        (place / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": __version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes 600; the weights are as public as the code
    return folder


def load(folder: str | Path) -> dict:
    """Read the networks of a folder written by :func:`save`, float32, in evaluation mode."""
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextModel

    folder = Path(folder)
    networks = {
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder"),
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet"),
        "vae": AutoencoderKL.from_pretrained(folder / "vae"),
    }
    networks |= {name: ControlNetModel.from_pretrained(folder / "controlnet" / name) for name in CONTROLS}
    return {name: network.float().eval() for name, network in networks.items()}


def write_random(folder: str | Path, seed: int = 0) -> Path:
    """Write a complete diffusers folder with random weights; same seed, same weights.

    The ControlNets' zero convolutions get small random values, so that a control image has an effect.
    """
    import torch

    networks = build(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in CONTROLS:
            network = networks[name]
            outputs = [
                *network.controlnet_down_blocks,
                network.controlnet_mid_block,
                network.controlnet_cond_embedding.conv_out,
            ]
            for parameter in (p for module in outputs for p in module.parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return save(networks, folder)


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", metavar="OUT", required=True, help="folder to write, with random weights")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = write_random(arguments.random, arguments.seed)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"wrote {folder} ({size / 2**20:.1f} MiB)")


if __name__ == "__main__":
    main()
