"""Runs inside ComfyUI's own Python: small random models of both families, and a recorder of what is sampled.

The models have the real depth (12 + 1 residuals for SD1.5, 9 + 1 for SDXL) and a tenth of the width.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

SD15 = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "use_linear_in_transformer": False,
    "context_dim": 768,
    "num_heads": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "adm_in_channels": None,
    "use_temporal_attention": False,
}
SDXL = {
    **SD15,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "use_linear_in_transformer": True,
    "context_dim": 2048,
    "num_heads": -1,
    "num_head_channels": 32,
    "adm_in_channels": 2816,
    "num_classes": "sequential",
}


def start(comfyui: Path, root: Path) -> None:
    """Import ComfyUI on the CPU, one thread, and the pack under its installed name."""
    sys.path.insert(0, str(comfyui))
    sys.argv = [sys.argv[0], "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import torch

    torch.set_num_threads(1)
    import comfy.sample

    spec = importlib.util.spec_from_file_location(
        "img_open", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["img_open"] = module
    spec.loader.exec_module(module)


def fill(model: Any, seed: int) -> Any:
    """Values that keep activations sane; a control model's exits are not zero, so that it acts."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("bias"):
                tensor.zero_()
            elif tensor.ndim == 1:
                tensor.fill_(1)
            elif tensor.is_floating_point():
                scale = 1 / math.sqrt(math.prod(tensor.shape[1:]))
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
    return model


def unet(family: str) -> Any:
    """A ComfyUI MODEL of the family, "sd15" or "sdxl"."""
    import comfy.model_patcher
    import comfy.supported_models
    import torch

    shape, kind = (
        (SD15, comfy.supported_models.SD15) if family == "sd15" else (SDXL, comfy.supported_models.SDXL)
    )
    config = kind(dict(shape))
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    fill(model.diffusion_model, 1)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def control_net(family: str, *, pooled: bool = False, union: bool = False, seed: int = 2) -> Any:
    """A CONTROL_NET of the family."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    import torch

    shape = {
        key: value for key, value in (SD15 if family == "sd15" else SDXL).items() if key != "out_channels"
    }
    more = {"union_controlnet_num_control_type": 6} if union else {}
    network = comfy.cldm.cldm.ControlNet(
        **{key: value for key, value in shape.items() if key != "transformer_depth_output"},
        **more,
        hint_channels=3,
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    cpu = torch.device("cpu")
    return comfy.controlnet.ControlNet(fill(network, seed), global_average_pooling=pooled, load_device=cpu)


def union_control_net() -> Any:
    """A union CONTROL_NET of SDXL. The host's code for them is written for the first width 320."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    import torch

    cut = {"model_channels": 320, "num_head_channels": 64, "channel_mult": [1, 1, 1]}
    cut |= {"transformer_depth": [0, 0, 1, 1, 1, 1], "transformer_depth_middle": 1}
    network = comfy.cldm.cldm.ControlNet(
        **{key: value for key, value in {**SDXL, **cut}.items() if "out" not in key},
        union_controlnet_num_control_type=6,
        hint_channels=3,
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    return comfy.controlnet.ControlNet(fill(network, 15), load_device=torch.device("cpu"))


def control_lora(family: str) -> Any:
    """A ControlLoRA: it borrows the U-Net's weights for all but the hint block and the exits."""
    import comfy.controlnet

    whole = control_net(family).control_model.state_dict()
    own = ("input_hint_block.", "zero_convs.", "middle_block_out.")
    return comfy.controlnet.ControlLora(
        {name: value for name, value in whole.items() if name.startswith(own)}
    )


def adapter(family: str, channels_in: int = 3) -> Any:
    """A T2I adapter of the family, as a CONTROL_NET."""
    import comfy.controlnet
    import comfy.t2i_adapter.adapter

    xl = family == "sdxl"
    # The widths that the small U-Net has where an adapter's features go.
    widths = [32, 64, 128, 128]
    cin = channels_in * (256 if xl else 64)
    network = comfy.t2i_adapter.adapter.Adapter(
        channels=widths, nums_rb=2, cin=cin, ksize=1, sk=True, use_conv=False, xl=xl
    )
    return comfy.controlnet.T2IAdapter(fill(network, 3), network.input_channels, 8, "nearest-exact")


def conditioning(family: str, seed: int) -> list[Any]:
    """Text vectors of the family's width."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    width = 768 if family == "sd15" else 2048
    vectors = torch.randn(1, 77, width, generator=generator)
    return [[vectors, {"pooled_output": torch.randn(1, 1280, generator=generator)}]]


def picture(height: int, width: int, seed: int = 4, count: int = 1) -> Any:
    """Random hints, float32 (count, 3, height, width)."""
    import torch

    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


class Recorder:
    """Wraps a MODEL and keeps, per model call: sigma, sides, and a copy of the residuals.

    With `cheap` the U-Net itself does not run: its input stands in for the prediction. The control models do.
    """

    def __init__(self, model: Any, keep_residuals: bool = False, cheap: bool = False) -> None:
        self.calls: list[dict[str, Any]] = []
        self.model = model.clone()
        self.keep_residuals, self.cheap = keep_residuals, cheap
        self.model.set_model_unet_function_wrapper(self._call)

    def _call(self, apply_model: Any, given: dict[str, Any]) -> Any:
        control = given["c"].get("control")
        call: dict[str, Any] = {
            "sigma": float(given["timestep"][0]),
            "sides": list(given["cond_or_uncond"]),
            "sigmas": given["c"]["transformer_options"]["sample_sigmas"].tolist(),
            "controlled": control is not None,
        }
        if self.keep_residuals and control is not None:
            call["control"] = {
                key: [None if value is None else value.clone() for value in values]
                for key, values in control.items()
            }
        self.calls.append(call)
        if self.cheap:
            return given["input"] * 0.9
        return apply_model(given["input"], given["timestep"], **given["c"])


def sample(model: Any, positive: Any, negative: Any, **options: Any) -> Any:
    """Latents after a run of KSampler's own function."""
    import comfy.sample
    import torch

    settings = {"steps": 2, "sampler": "euler", "scheduler": "normal", "batch": 1, "size": (8, 8), "cfg": 3.0}
    settings |= options
    height, width = settings["size"]
    noise = settings.get("noise")
    if noise is None:
        shape = (settings["batch"], 4, height, width)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        return comfy.sample.sample(
            model,
            noise,
            settings["steps"],
            settings["cfg"],
            settings["sampler"],
            settings["scheduler"],
            positive,
            negative,
            torch.zeros_like(noise),
            seed=5,
            disable_pbar=True,
            callback=settings.get("callback"),
        )


def host_apply(
    positive: Any, negative: Any, control: Any, hint: Any, strength: float, window: Any
) -> tuple[Any, Any]:
    """ComfyUI's own ControlNetApplyAdvanced, whose picture is (B, H, W, 3)."""
    import nodes

    image = hint.movedim(1, -1)
    return nodes.ControlNetApplyAdvanced().apply_controlnet(
        positive, negative, control, image, strength, *window
    )
