"""The same request on the same weights through ComfyUI and through diffusers: two ways to one meaning.

Compared are the latents before decoding, since the tiny checkpoint's VAE has a shape that diffusers does not
know; where an init picture has to be encoded both use a VAE of the full shape, and the finished pictures are
compared too. The engines differ in the timesteps they tell the U-Net (diffusers' are whole numbers for some
samplers) and in the order of sums; measured were differences of up to 0.3 % of the latents' standard
deviation where timesteps are rounded, of 0.024 % where they are whole, and of up to 2 of 255 levels of the
pictures.
"""

from __future__ import annotations

import base64
import json
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host, environment
from graphs import CHECKPOINT, CONTROL, node, write_picture
from img_open.api.request import Request
from img_open.engines.comfy import HostFacts, expand
from img_open.engines.models import LocalModels

TOLERANCE = 0.01  # of the latents' standard deviation
WHOLE_STEPS = 0.001  # the same, on whole timesteps
LEVELS = 2  # of 255, a picture's
VAE = "random_vae.pt"
SCALE = 0.18215
_LEVELS = {"block_out_channels": [320, 320], "layers_per_block": 1, "attention_head_dim": 8}
_SHAPES: dict[str, dict[str, Any]] = {
    "unet": {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 8,
        "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        **_LEVELS,
    },
    "controlnet": {
        "_class_name": "ControlNetModel",
        "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        **_LEVELS,
    },
}
_VAE = {
    "block_out_channels": [16] * 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "norm_num_groups": 8,
}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Made:
    """What an engine made: latents before decoding, and the first finished picture, uint8 (H, W, 3)."""

    latents: Array
    picture: Array


Engine = Callable[[Request], Made]


@pytest.fixture(scope="module")
def models(host: Host, tmp_path_factory: pytest.TempPathFactory) -> LocalModels:
    """The host's tiny files, with configurations of their shape for diffusers."""
    config = tmp_path_factory.mktemp("shapes")
    for name, shape in _SHAPES.items():
        (config / name).mkdir()
        (config / name / "config.json").write_text(json.dumps(shape), "utf-8")
    folder = host.base / "models"
    script = Path(__file__).with_name("random_vae.py")
    command = [str(host.python), str(script), str(host.folder), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment(host.base))
    found = LocalModels().add(folder / "checkpoints" / CHECKPOINT, "checkpoint", config=config)
    found.add(folder / "vae" / VAE, "vae")
    return found.add(folder / "controlnet" / CONTROL, "controlnet", config=config)


@pytest.fixture(scope="module")
def by_diffusers(models: LocalModels) -> Engine:
    """Latents made by the diffusers engine, caught on their way to the decoder."""
    pytest.importorskip("diffusers")
    import torch
    from img_open.engines import diffusers_job, diffusers_load
    from img_open.engines.diffusers import DiffusersEngine
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    file = models.find_checkpoint(CHECKPOINT)
    shipped = diffusers_load.SD15
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTokenizer

    weights = {name: value.float() for name, value in load_file(file.path).items()}
    networks = diffusers_load.Networks(
        unet=diffusers_load._single(UNet2DConditionModel, weights, file.config, "unet", file),
        vae=AutoencoderKL.from_config(_VAE),
        text_encoder=diffusers_load._clip_from_ldm(weights, shipped / "text_encoder", file),
        tokenizer=CLIPTokenizer.from_pretrained(shipped / "tokenizer"),
        scheduler=json.loads((shipped / "scheduler" / "scheduler_config.json").read_text("utf-8")),
    )
    engine = DiffusersEngine(models, device="cpu")

    def run(request: Request) -> Made:
        caught: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine._loader, "checkpoint", lambda wanted: networks)
            decode = diffusers_job.decode

            def catch(vae: Any, latents: Any) -> Any:
                caught.append(latents.numpy() / SCALE)
                return decode(vae, latents)

            patch.setattr(diffusers_job, "decode", catch)
            result = engine.run(request)
        return Made(caught[-1], result.images[0])

    return run


@pytest.fixture(scope="module")
def by_comfy(host: Host, models: LocalModels) -> Engine:
    """Made by the expansion, queued as the plain graph it is."""
    from img_open.base.pictures import decode_picture

    def run(request: Request) -> Made:
        made = expand(request, HostFacts(models=models), seed=request.seed_number)
        last = "hires" if request.enable_hr else "sample"
        graph = {
            **made.nodes,
            "save": node("SaveLatent", samples=[last, 0], filename_prefix="agree"),
            "show": node("SaveImage", images=made.images, filename_prefix="agree"),
        }
        result = host.run(graph)
        assert result.status == "success", result.error or host.log[-3000:]
        data = max((host.base / "output").glob("agree_*.latent")).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])["latent_tensor"]
        first, last_byte = header["data_offsets"]
        latents = np.frombuffer(data[8 + length :][first:last_byte], np.float32).reshape(header["shape"])
        name = result.outputs["show"]["images"][0]["filename"]
        return Made(latents, decode_picture((host.base / "output" / name).read_bytes()))

    return run


HIRES = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6, "hr_second_pass_steps": 3}
WORDS = "a (red:1.4) [disc] BREAK on a [table:chair:0.5] :0.7 AND a [blue|green] ring :0.6"
CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "ancestral": ({"sampler_index": "Euler a"}, None),
    "karras": ({"sampler_index": "DPM++ 2M Karras"}, None),
    "words": ({"prompt": WORDS}, None),
    "unit in a window": (
        {"sampler_index": "Heun"},
        {"control_mode": "My prompt is more important", "guidance_start": 0.2, "guidance_end": 0.6},
    ),
    "unit and hires": (HIRES, {"weight": 0.8}),
}


MASKED = {"denoising_strength": 0.7, "mask_blur": 3, "inpaint_full_res_padding": 6}
WHOLE = {**MASKED, "inpaint_full_res": False, "width": 64, "height": 48}
#: Fields, whether there is a mask.
PICTURES: dict[str, tuple[dict[str, Any], bool]] = {
    "image to image": ({"denoising_strength": 0.6, "resize_mode": 2, "sampler_index": "Euler a"}, False),
    "latent resize": ({"denoising_strength": 0.6, "resize_mode": 3}, False),
    "only masked, fill": ({**MASKED, "inpainting_fill": 0}, True),
    "only masked, latent noise": ({**MASKED, "inpainting_fill": 2, "inpaint_full_res_padding": 0}, True),
    "whole picture, original": ({**WHOLE, "inpainting_fill": 1, "resize_mode": 1}, True),
    "whole picture, latent nothing": ({**WHOLE, "inpainting_fill": 3, "inpainting_mask_invert": 1}, True),
    "hires through pictures": (
        {**HIRES, "hr_upscaler": "Lanczos", "denoising_strength": 0.5, "hr_second_pass_steps": 2},
        False,
    ),
}


def request_of(fields: dict[str, Any], **scripts: Any) -> Request:
    body = {"prompt": "a red disc", "negative_prompt": "blurry", "sampler_index": "Euler", "cfg_scale": 5}
    sizes = {"steps": 5, "width": 64, "height": 64, "seed": 7}
    scripts = {"sd_model_checkpoint": CHECKPOINT, **scripts}
    return Request.from_wire({**body, **sizes, **fields, "alwayson_scripts": scripts})


def link_of(host: Host, name: str) -> str:
    data = base64.b64encode((host.base / "input" / name).read_bytes()).decode()
    return f"data:image/png;base64,{data}"


def check(ours: Made, theirs: Made, tolerance: float) -> None:
    assert ours.latents.shape == theirs.latents.shape
    assert np.abs(ours.latents - theirs.latents).max() <= tolerance * theirs.latents.std()


@pytest.mark.parametrize("name", CASES)
def test_both_engines_agree(host: Host, by_comfy: Engine, by_diffusers: Engine, name: str) -> None:
    fields, unit = CASES[name]
    write_picture(host.base / "input" / "agree.png", 96, 80)
    scripts: dict[str, Any] = {}
    if unit is not None:
        module = {"module": "canny", "threshold_a": 60, "threshold_b": 120, "pixel_perfect": True}
        one = {"enabled": True, "model": CONTROL, "image_link": link_of(host, "agree.png"), **module, **unit}
        scripts["controlnet"] = {"args": [one]}
    request = request_of(fields, **scripts)
    ours, theirs = by_comfy(request), by_diffusers(request)
    check(ours, theirs, TOLERANCE)
    if unit is not None:
        plain = by_comfy(request.with_units([])).latents
        difference = np.abs(ours.latents - theirs.latents).max()
        assert np.abs(plain - ours.latents).max() > 5 * difference, "the unit does nothing"


@pytest.mark.parametrize("name", PICTURES)
def test_both_engines_agree_on_pictures(
    host: Host, by_comfy: Engine, by_diffusers: Engine, name: str
) -> None:
    """Init picture, mask and VAE included: geometry, fill, noise, steps, crop and paste are the same."""
    fields, masked = PICTURES[name]
    write_picture(host.base / "input" / "agree.png", 96, 80)
    scripts: dict[str, Any] = {"sd_vae": VAE}
    if "enable_hr" not in fields:
        scripts["image_link"] = link_of(host, "agree.png")
    if masked:
        write_mask(host.base / "input" / "agree-mask.png")
        scripts["mask_link"] = link_of(host, "agree-mask.png")
    # Four steps of the uniform schedule lie on whole timesteps (999, 666, 333, 0).
    request = request_of({"steps": 4, **fields}, **scripts)
    ours, theirs = by_comfy(request), by_diffusers(request)
    check(ours, theirs, WHOLE_STEPS)
    assert ours.picture.shape == theirs.picture.shape
    assert np.abs(ours.picture.astype(int) - theirs.picture).max() <= LEVELS
    assert ours.picture.std() > 10


def write_mask(path: Path) -> None:
    """White in the middle of 96 x 80."""
    from img_open.base.pictures import encode_png

    mask = np.zeros((80, 96), np.uint8)
    mask[24:52, 30:62] = 255
    path.write_bytes(encode_png(mask))
