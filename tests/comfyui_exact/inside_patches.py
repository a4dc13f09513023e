"""Runs inside ComfyUI's own Python and prints facts about the MODEL patches of the free modules.

usage: inside_patches.py COMFYUI_DIR PACK_ROOT TABLES_JSON [probe ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import inside_models as tiny

WANTED = sys.argv[4:]
tiny.start(Path(sys.argv[1]), Path(sys.argv[2]))

import torch  # noqa: E402
import torch.nn.functional as functional  # noqa: E402
from img_open.controlnet.unit import ControlNetUnit  # noqa: E402
from img_open.engines import comfy_reference  # noqa: E402
from img_open.engines.comfy_latent import with_blend  # noqa: E402
from img_open.engines.comfy_reference import with_reference  # noqa: E402
from img_open.engines.comfy_rules import Maps  # noqa: E402

MODEL = tiny.unet("sd15")
TEXT = (tiny.conditioning("sd15", 6), tiny.conditioning("sd15", 7))
PICTURE = tiny.picture(64, 64)


class Vae:
    """Stands in for a VAE: the mean of 8x8 pixels, four channels."""

    def encode(self, pixels: Any) -> Any:
        small = functional.avg_pool2d(pixels.movedim(-1, 1), 8) * 2 - 1
        return torch.cat([small, small[:, :1]], dim=1)


def unit(module: str, **fields: Any) -> ControlNetUnit:
    return ControlNetUnit.from_wire({"enabled": True, "module": module, **fields})


def latent_of(picture: Any) -> Any:
    return Vae().encode(picture[:, :3].movedim(1, -1)) * 0.18215


def predictions(model: Any, blend: Any) -> tuple[Any, Any, Any]:
    """Both sides' predictions of the last call before the patch, and the run's latents in the same scale."""
    seen: list[Any] = []

    def keep(args: dict[str, Any]) -> Any:
        seen.append([each.clone() for each in args["conds_out"]])
        return args["conds_out"]

    watched = model.clone()
    watched.set_model_sampler_pre_cfg_function(keep)
    latents = tiny.sample(blend(watched), *TEXT, steps=2) * 0.18215
    return seen[-1][0], seen[-1][1], latents


def box(latents: Any, radius: int) -> Any:
    """Mean over a square, cell by cell, the edge repeated."""
    height, width = latents.shape[2:]
    out = torch.zeros_like(latents)
    for y in range(height):
        for x in range(width):
            rows = [min(max(row, 0), height - 1) for row in range(y - radius, y + radius + 1)]
            columns = [min(max(column, 0), width - 1) for column in range(x - radius, x + radius + 1)]
            out[:, :, y, x] = latents[:, :, rows][:, :, :, columns].mean(dim=(2, 3))
    return out


def colorfix() -> dict[str, float]:
    """Distance from the formula, written out once more."""
    out: dict[str, float] = {}
    reference = latent_of(PICTURE)
    for name, module, weight, high in (
        ("plain", "tile_colorfix", 1.0, False),
        ("weight 0.4", "tile_colorfix", 0.4, False),
        ("sharp", "tile_colorfix+sharp", 1.0, False),
        ("high-res pass", "tile_colorfix", 1.0, True),
    ):
        maps = Maps(tiny.picture(32, 32), high=PICTURE) if high else Maps(PICTURE)
        given = unit(
            module, weight=weight, threshold_a=3, threshold_b=2, guidance_start=0.9, hr_option="Low res only"
        )
        cond, uncond, latents = predictions(
            MODEL, lambda model, maps=maps, given=given: with_blend(model, given, maps, Vae())
        )
        radius = 6 if high else 3
        sides = []
        for side, x0 in enumerate((cond, uncond)):
            fixed = x0 - box(x0, radius) + box(reference, radius)
            if "sharp" in name and side == 1:
                fixed = 0.02 * box(fixed, radius) + 0.98 * fixed
            sides.append(weight * fixed + (1 - weight) * x0)
        expected = sides[1] + (sides[0] - sides[1]) * 3.0
        out[name] = float((latents - expected).abs().max() / expected.abs().max())
    return out


def inpaint() -> dict[str, float]:
    """inpaint_only: outside the mask the result is the picture's own latent, inside it is the model's."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, 24:40, 16:48] = 1
    picture = torch.cat([PICTURE, mask], dim=1)
    given = unit("inpaint_only")
    cond, uncond, latents = predictions(MODEL, lambda model: with_blend(model, given, Maps(picture), Vae()))
    free = uncond + (cond - uncond) * 3.0
    reference = latent_of(picture)
    # A 10x10 window around each 8x8 cell: the cells next to the mask belong to it.
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 1:7] = True
    return {
        "outside": float((latents - reference).abs()[:, :, ~inside].max()),
        "inside": float((latents - free).abs()[:, :, inside].max() / free.abs().max()),
    }


class Oracle:
    """The web UI's way in the most direct form: every self-attention and block output watched by hand."""

    def __init__(self, network: Any, module: str, weight: float, fidelity: float, uncond: list[int]) -> None:
        self.mode, self.fidelity, self.uncond = "off", fidelity, uncond
        self.bank: dict[int, Any] = {}
        self.undo: list[Any] = []
        transformers = [one for one in network.modules() if type(one).__name__ == "BasicTransformerBlock"]
        ordered = sorted(transformers, key=lambda one: -one.norm1.normalized_shape[0])
        for rank, one in enumerate(ordered):
            if weight > rank / len(ordered) and module != "reference_adain":
                self.undo.append((one.attn1, one.attn1.forward))
                one.attn1.forward = self.attention(one.attn1, one.attn1.forward)
        blocks = [(network.middle_block[-1], 0.0)]
        blocks += [(network.input_blocks[i][-1], 2 - 2 * n / 6) for n, i in enumerate((4, 5, 7, 8, 10, 11))]
        blocks += [(network.output_blocks[i][-1], 2 * n / 8) for n, i in enumerate(range(8))]
        for layer, rank in blocks:
            if weight > rank and "adain" in module:
                self.undo.append((layer, layer.forward))
                layer.forward = self.normal(layer, layer.forward)

    def attention(self, layer: Any, forward: Any) -> Any:
        def call(x: Any, context: Any = None, value: Any = None, **more: Any) -> Any:
            if self.mode == "write":
                self.bank[id(layer)] = x.clone()
            if self.mode != "read":
                return forward(x, context=context, value=value, **more)
            shared = forward(x, context=torch.cat([x, self.bank[id(layer)]], dim=1))
            kept = shared.clone()
            kept[self.uncond] = forward(x[self.uncond], context=x[self.uncond])
            return self.fidelity * kept + (1 - self.fidelity) * shared

        return call

    def normal(self, layer: Any, forward: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            x = forward(*args, **more)
            var, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
            if self.mode == "write":
                self.bank[id(layer)] = (var, mean)
            if self.mode != "read":
                return x
            other_var, other_mean = self.bank[id(layer)]
            shared = (x - mean) / var.clamp(min=1e-6) ** 0.5 * other_var.clamp(min=1e-6) ** 0.5 + other_mean
            kept = shared.clone()
            kept[self.uncond] = x[self.uncond]
            return self.fidelity * kept + (1 - self.fidelity) * shared

        return call

    def restore(self) -> None:
        for layer, forward in self.undo:
            layer.forward = forward


def reference() -> dict[str, Any]:
    """One model call of each module against the oracle."""
    from comfy.patcher_extension import WrappersMP

    out: dict[str, Any] = {}
    network = MODEL.model.diffusion_model
    cases = (
        ("reference_only", "Balanced", 1.0, 0.5, 0.5),
        ("reference_only", "ControlNet is more important", 0.6, 0.5, 1.0),
        ("reference_only", "My prompt is more important", 1.0, 0.5, 0.0),
        ("reference_adain", "Balanced", 1.5, 0.8, 0.8),
        ("reference_adain+attn", "Balanced", 1.0, 0.3, 0.3),
    )
    for module, mode, weight, threshold, fidelity in cases:
        given = unit(module, control_mode=mode, weight=weight, threshold_a=threshold)
        patched = with_reference(MODEL, given, Maps(PICTURE), Vae(), by_steps=True)
        (reader,) = patched.get_wrappers(WrappersMP.DIFFUSION_MODEL, "img_open_reference")
        x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
        times = torch.tensor([500.0, 500.0])
        context = torch.cat([TEXT[1][0][0], TEXT[0][0][0]])
        with torch.inference_mode():
            options = {
                "cond_or_uncond": [1, 0],
                "sigmas": MODEL.model.model_sampling.sigma(times[:1]),
                "wrappers": {WrappersMP.DIFFUSION_MODEL: {"k": [reader]}},
            }
            ours = network(x, times, context=context, transformer_options=options)
            oracle = Oracle(network, module, weight, fidelity, [0])
            try:
                noised = reader._noised(latent_of(PICTURE), x, times, 0)
                oracle.mode = "write"
                network(noised, times, context=context, transformer_options={})
                oracle.mode = "read"
                theirs = network(x, times, context=context, transformer_options={})
            finally:
                oracle.restore()
            plain = network(x, times, context=context, transformer_options={})
        scale = theirs.abs().max()
        out[f"{module} {mode}"] = {
            "error": float((ours - theirs).abs().max() / scale),
            "cond moved": float((ours[1] - plain[1]).abs().max() / scale),
            "uncond moved": float((ours[0] - plain[0]).abs().max() / scale),
        }
    return out


def runs() -> dict[str, Any]:
    """Whole runs: weight 0, the window, two units, the same run twice, hooks gone afterwards."""
    given = unit("reference_adain+attn", guidance_end=0.5)
    plain = tiny.sample(MODEL, *TEXT, steps=4)
    patched = with_reference(MODEL, given, Maps(PICTURE), Vae(), by_steps=True)
    first, second = (tiny.sample(patched, *TEXT, steps=4) for _ in range(2))
    nothing = with_reference(MODEL, unit("reference_only", weight=0), Maps(PICTURE), Vae(), by_steps=True)
    closed = with_reference(
        MODEL, unit("reference_only", guidance_start=1.0), Maps(PICTURE), Vae(), by_steps=True
    )
    two = with_reference(
        patched, unit("reference_only"), Maps(tiny.picture(64, 64, seed=21)), Vae(), by_steps=True
    )
    hooks = sum(len(module._forward_hooks) for module in MODEL.model.diffusion_model.modules())
    count = {"calls": 0}

    def counted(module: Any, inputs: Any, output: Any) -> None:
        count["calls"] += 1

    handle = MODEL.model.diffusion_model.input_blocks[0][0].register_forward_hook(counted)
    tiny.sample(patched, *TEXT, steps=4)
    handle.remove()
    return {
        "weight 0 changes nothing": bool(torch.equal(tiny.sample(nothing, *TEXT, steps=4), plain)),
        "closed window changes nothing": bool(torch.equal(tiny.sample(closed, *TEXT, steps=4), plain)),
        "acts": not bool(torch.equal(first, plain)),
        "repeatable": bool(torch.equal(first, second)),
        "two units differ from one": not bool(torch.equal(tiny.sample(two, *TEXT, steps=4), first)),
        "model untouched": bool(torch.equal(tiny.sample(MODEL, *TEXT, steps=4), plain)),
        "no hooks left": hooks == 0,
        "network runs": count["calls"],
        "ranks": sorted(comfy_reference.attention_ranks(MODEL.model.diffusion_model).values())[:3],
    }


def main() -> None:
    facts: dict[str, Any] = {}
    for probe in (colorfix, inpaint, reference, runs):
        if not WANTED or probe.__name__ in WANTED:
            facts[probe.__name__] = probe()
    print("FACTS " + json.dumps(facts))


main()
