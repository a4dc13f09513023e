"""The same request on the same weights through ComfyUI and through diffusers: two ways to one meaning.

Compared are the latents before decoding, since the tiny checkpoint's VAE has a shape that diffusers does not
know. The engines differ in the timesteps they tell the U-Net (diffusers' are whole numbers for some samplers)
and in the order of sums; measured were differences of up to 0.3 % of the latents' standard deviation.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comfy_host import Host
from graphs import CHECKPOINT, CONTROL, node, write_picture
from img_open.api.request import Request
from img_open.engines.comfy import HostFacts, expand
from img_open.engines.models import LocalModels

TOLERANCE = 0.01  # of the latents' standard deviation
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

Latents = Callable[[Request], "np.ndarray[Any, Any]"]


@pytest.fixture(scope="module")
def models(host: Host, tmp_path_factory: pytest.TempPathFactory) -> LocalModels:
    """The host's tiny files, with configurations of their shape for diffusers."""
    config = tmp_path_factory.mktemp("shapes")
    for name, shape in _SHAPES.items():
        (config / name).mkdir()
        (config / name / "config.json").write_text(json.dumps(shape), "utf-8")
    folder = host.base / "models"
    found = LocalModels().add(folder / "checkpoints" / CHECKPOINT, "checkpoint", config=config)
    return found.add(folder / "controlnet" / CONTROL, "controlnet", config=config)


@pytest.fixture(scope="module")
def by_diffusers(models: LocalModels) -> Latents:
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

    def run(request: Request) -> np.ndarray[Any, Any]:
        caught: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine._loader, "checkpoint", lambda wanted: networks)
            decode = diffusers_job.decode

            def catch(vae: Any, latents: Any) -> Any:
                caught.append(latents.numpy() / SCALE)
                return decode(vae, latents)

            patch.setattr(diffusers_job, "decode", catch)
            engine.run(request)
        return caught[-1]

    return run


@pytest.fixture(scope="module")
def by_comfy(host: Host, models: LocalModels) -> Latents:
    """Latents made by the expansion, queued as the plain graph it is."""

    def run(request: Request) -> np.ndarray[Any, Any]:
        made = expand(request, HostFacts(models=models), seed=request.seed_number)
        graph = {key: each for key, each in made.nodes.items() if each["class_type"] != "VAEDecode"}
        last = "hires" if request.enable_hr else "sample"
        graph["save"] = node("SaveLatent", samples=[last, 0], filename_prefix="agree")
        result = host.run(graph)
        assert result.status == "success", result.error or host.log[-3000:]
        data = max((host.base / "output").glob("agree_*.latent")).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])["latent_tensor"]
        first, last_byte = header["data_offsets"]
        return np.frombuffer(data[8 + length :][first:last_byte], np.float32).reshape(header["shape"])

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


@pytest.mark.parametrize("name", CASES)
def test_both_engines_agree(host: Host, by_comfy: Latents, by_diffusers: Latents, name: str) -> None:
    fields, unit = CASES[name]
    write_picture(host.base / "input" / "agree.png", 96, 80)
    picture = (host.base / "input" / "agree.png").read_bytes()
    scripts: dict[str, Any] = {"sd_model_checkpoint": CHECKPOINT}
    if unit is not None:
        link = "data:image/png;base64," + base64.b64encode(picture).decode()
        module = {"module": "canny", "threshold_a": 60, "threshold_b": 120, "pixel_perfect": True}
        one = {"enabled": True, "model": CONTROL, "image_link": link, **module, **unit}
        scripts["controlnet"] = {"args": [one]}
    body = {"prompt": "a red disc", "negative_prompt": "blurry", "sampler_index": "Euler", "cfg_scale": 5}
    sizes = {"steps": 5, "width": 64, "height": 64, "seed": 7}
    request = Request.from_wire({**body, **sizes, **fields, "alwayson_scripts": scripts})
    ours, theirs = by_comfy(request), by_diffusers(request)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TOLERANCE * theirs.std()
    if unit is not None:
        plain = by_comfy(request.with_units([]))
        assert np.abs(plain - ours).max() > 5 * np.abs(ours - theirs).max(), "the unit does nothing"
