"""reference_only, reference_adain and reference_adain+attn inside ComfyUI, after sd-webui-controlnet 1.1.455.

No control model: at every model call the U-Net first runs on the reference picture's latent, noised to the
current step, and what its layers see is kept ("write"); then it runs on the picture itself, whose
self-attention may look at the kept tokens as well, or whose block outputs take over the kept mean and
variance ("read"). That first run makes a step cost twice.

Used of the host: the DIFFUSION_MODEL wrapper, the attention patches, and forward hooks on the U-Net's
blocks for the time of one call. Tested on ComfyUI 0.3.48 and 0.3.64. SD1.5, SD2 and SDXL only.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base.errors import Unsupported
from ..controlnet.unit import ControlMode, ControlNetUnit
from ..controlnet.weights import acts_in_pass
from .comfy_latent import Latents
from .comfy_rules import POSITIVE, Maps, window_at

if TYPE_CHECKING:
    import torch

Place = tuple[str, int, int]  # part of the U-Net, block in it, transformer in the block
_KEY = "img_open_reference"
_NO_CHANGE = 1e-5
_VARIANCE_FLOOR = 1e-6
_ADAIN_SD15 = ((4, 5, 7, 8, 10, 11), (0, 1, 2, 3, 4, 5, 6, 7))
_ADAIN_SDXL = ((4, 5, 7, 8), (0, 1, 2, 3, 4, 5))


def with_reference(
    model: Any, unit: ControlNetUnit, pictures: Maps, vae: Any, *, by_steps: bool, seed: int = 0
) -> Any:
    """The MODEL with a reference unit on it; further units join those it already has.

    Args:
        model: ComfyUI's MODEL; not changed.
        unit: module, style fidelity (threshold_a), weight, control mode, window and hr_option count.
        pictures: the reference picture as a map, values 0..1.
        vae: the checkpoint's.
        by_steps: the window counts steps; otherwise it is ComfyUI's percent of the noise schedule.
        seed: of the noise that is added to the reference.

    Raises:
        Unsupported: the model is not a U-Net of SD1.5, SD2 or SDXL.
    """
    from comfy.patcher_extension import WrappersMP

    network = model.model.diffusion_model
    if not all(hasattr(network, name) for name in ("input_blocks", "middle_block", "output_blocks")):
        raise Unsupported(
            f"{unit.module} works inside the U-Net of SD1.5, SD2 or SDXL; this model has another network.",
            "Use a checkpoint of one of these families.",
            field="module",
        )
    before = model.get_wrappers(WrappersMP.DIFFUSION_MODEL, _KEY)
    references = [
        *(before[0].references if before else []),
        _Reference(unit, Latents(pictures, vae), by_steps),
    ]
    patched = model.clone()
    patched.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, _KEY)
    wrapper = _Reader(references, model.model, seed)
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, _KEY, wrapper)
    return patched


@dataclass
class _Reference:
    unit: ControlNetUnit
    latents: Latents
    by_steps: bool

    def acts(self, model: Any, options: dict[str, Any], high: bool) -> bool:
        unit = self.unit
        if unit.weight <= 0 or not acts_in_pass(unit.hr_option, high):
            return False
        if (unit.guidance_start, unit.guidance_end) == (0, 1):
            return True
        sigma = float(options["sigmas"][0])
        if self.by_steps:
            return window_at(unit, options, sigma)
        to_sigma = model.model_sampling.percent_to_sigma
        return to_sigma(unit.guidance_end) <= sigma <= to_sigma(unit.guidance_start)

    def fidelity(self, sdxl: bool, high: bool) -> float:
        """How far the unconditional rows keep to themselves: 1 = wholly."""
        if self.unit.control_mode is ControlMode.CONTROL:
            return 1.0
        if self.unit.control_mode is ControlMode.PROMPT or high:
            return 0.0
        style = min(max(self.unit.sliders()[1], 0.0), 1.0)
        return style**3 if sdxl else style


@dataclass
class _Bank:
    """What the writing runs of one model call kept."""

    tokens: dict[Place, list[torch.Tensor]] = field(default_factory=dict)
    token_fidelity: dict[Place, list[float]] = field(default_factory=dict)
    moments: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = field(default_factory=dict)
    moment_fidelity: dict[int, list[float]] = field(default_factory=dict)


class _Reader:
    """The wrapper around the U-Net."""

    def __init__(self, references: list[_Reference], model: Any, seed: int) -> None:
        self.references, self.seed = references, seed
        self._model, network = model, model.diffusion_model
        self._sdxl = getattr(network, "num_classes", None) is not None
        self._ranks = attention_ranks(network)
        self._blocks = adain_blocks(network, self._sdxl)

    def __call__(
        self,
        executor: Any,
        x: Any,
        timesteps: Any = None,
        context: Any = None,
        y: Any = None,
        control: Any = None,
        transformer_options: Any = None,
        **more: Any,
    ) -> Any:
        options = transformer_options or {}
        bank = _Bank()
        for number, reference in enumerate(self.references):
            latent, _, high = reference.latents.choose(self._model, x)
            if not reference.acts(self._model, options, high):
                continue
            noised = self._noised(latent, x, timesteps, number)
            fidelity = reference.fidelity(self._sdxl, high)
            with ExitStack() as hooks:
                writing = self._write(bank, reference.unit, fidelity, options, hooks)
                executor(noised, timesteps, context, y, None, writing, **more)
        with ExitStack() as hooks:
            reading = self._read(bank, options, int(x.shape[0]), hooks)
            return executor(x, timesteps, context, y, control, reading, **more)

    def _noised(self, latent: Any, x: Any, timesteps: Any, number: int) -> Any:
        """The reference at the noise level of this call, scaled as the U-Net's input is."""
        import torch

        sampling = self._model.model_sampling
        sigma = sampling.sigma(timesteps[:1].float().round()).to(x).reshape(1, 1, 1, 1)
        # New noise at each call, the same whenever this call is made again.
        generator = torch.Generator().manual_seed(
            (self.seed * 1000003 + int(timesteps[0] * 1000) + number) % 2**63
        )
        noise = torch.randn(latent.shape, generator=generator).to(x)
        noised = (latent + sigma * noise) / (sigma**2 + 1).sqrt()
        noised = noised.repeat(x.shape[0] // noised.shape[0], 1, 1, 1)
        if x.shape[1] == noised.shape[1]:
            return noised
        # An inpaint checkpoint: nothing is masked in the reference.
        nothing = torch.zeros_like(noised)[:, :1]
        return torch.cat([noised, nothing, latent.repeat(x.shape[0] // latent.shape[0], 1, 1, 1)], dim=1)

    def _write(
        self, bank: _Bank, unit: ControlNetUnit, fidelity: float, options: dict[str, Any], hooks: ExitStack
    ) -> dict[str, Any]:
        def keep_tokens(n: Any, context: Any, value: Any, extra: dict[str, Any]) -> tuple[Any, Any, Any]:
            place = (*extra["block"], extra["block_index"])
            if unit.weight > self._ranks.get(place, float("inf")):
                bank.tokens.setdefault(place, []).append(n.detach().clone())
                bank.token_fidelity.setdefault(place, []).append(fidelity)
            return n, context, value

        def keep_moments(number: int) -> Any:
            def hook(module: Any, inputs: Any, output: Any) -> None:
                import torch

                var, mean = torch.var_mean(output, dim=(2, 3), keepdim=True, correction=0)
                bank.moments.setdefault(number, []).append((var, mean))
                bank.moment_fidelity.setdefault(number, []).append(fidelity)

            return hook

        if "adain" in unit.module:
            for number, (module, rank) in enumerate(self._blocks):
                if unit.weight > rank:
                    hooks.callback(module.register_forward_hook(keep_moments(number)).remove)
        with_tokens = unit.module in ("reference_only", "reference_adain+attn")
        return with_patch(options, keep_tokens) if with_tokens else dict(options)

    def _read(self, bank: _Bank, options: dict[str, Any], rows: int, hooks: ExitStack) -> dict[str, Any]:
        sides = options.get("cond_or_uncond", [POSITIVE])
        chunk = rows // len(sides)
        own = [
            chunk * place + row
            for place, side in enumerate(sides)
            if side != POSITIVE
            for row in range(chunk)
        ]

        def share(n: Any, context: Any, value: Any, extra: dict[str, Any]) -> tuple[Any, Any, Any]:
            kept = bank.tokens.get((*extra["block"], extra["block_index"]))
            if kept is None:
                return n, context, value
            import torch

            tokens = torch.cat([n, *kept], dim=1)
            return n, tokens, tokens

        def attend(place: Place) -> Any:
            fidelity = _mean(bank.token_fidelity[place])

            def attention(q: Any, k: Any, v: Any, extra: dict[str, Any]) -> Any:
                from comfy.ldm.modules.attention import optimized_attention

                shared = optimized_attention(q, k, v, extra["n_heads"])
                if own and fidelity > _NO_CHANGE:
                    length = q.shape[1]
                    alone = optimized_attention(
                        q[own], k[own][:, :length], v[own][:, :length], extra["n_heads"]
                    )
                    shared[own] = fidelity * alone + (1 - fidelity) * shared[own]
                return shared

            return attention

        for number, moments in bank.moments.items():
            module, _ = self._blocks[number]
            hook = _matched(moments, _mean(bank.moment_fidelity[number]), own)
            hooks.callback(module.register_forward_hook(hook).remove)
        if not bank.tokens:
            return options
        reading = with_patch(options, share)
        replaced = {**options.get("patches_replace", {})}
        replaced["attn1"] = {**replaced.get("attn1", {}), **{place: attend(place) for place in bank.tokens}}
        return {**reading, "patches_replace": replaced}


def _matched(moments: list[tuple[Any, Any]], fidelity: float, own: list[int]) -> Any:
    """A hook that gives a block's output the mean and variance of the reference."""

    def hook(module: Any, inputs: Any, output: Any) -> Any:
        import torch

        var, mean = torch.var_mean(output, dim=(2, 3), keepdim=True, correction=0)
        std = var.clamp_min(_VARIANCE_FLOOR).sqrt()
        wanted_var = torch.stack([each[0] for each in moments]).mean(0)
        wanted_mean = torch.stack([each[1] for each in moments]).mean(0)
        matched = (output - mean) / std * wanted_var.clamp_min(_VARIANCE_FLOOR).sqrt() + wanted_mean
        if own and fidelity > _NO_CHANGE:
            matched[own] = fidelity * output[own] + (1 - fidelity) * matched[own]
        return matched.to(output.dtype)

    return hook


def attention_ranks(network: Any) -> dict[Place, float]:
    """The rank of each transformer, 0 (widest) up to 1: a unit acts where its weight is above."""
    found: list[tuple[int, Place]] = []
    parts = (
        ("input", network.input_blocks),
        ("middle", [network.middle_block]),
        ("output", network.output_blocks),
    )
    for part, blocks in parts:
        for index, block in enumerate(blocks):
            transformers = [one for layer in block for one in getattr(layer, "transformer_blocks", ())]
            found += [
                (int(one.norm1.normalized_shape[0]), (part, index, number))
                for number, one in enumerate(transformers)
            ]
    ordered = sorted(found, key=lambda each: -each[0])
    return {place: position / len(ordered) for position, (_, place) in enumerate(ordered)}


def adain_blocks(network: Any, sdxl: bool) -> list[tuple[Any, float]]:
    """(last layer of the block, rank) of the blocks whose output reference_adain matches."""
    inputs, outputs = _ADAIN_SDXL if sdxl else _ADAIN_SD15
    found = [(network.middle_block[-1], 0.0)]
    # A smaller network has fewer blocks; those it has keep their rank.
    for place, index in enumerate(inputs):
        if index < len(network.input_blocks):
            found.append((network.input_blocks[index][-1], 2 * (1 - place / len(inputs))))
    for place, index in enumerate(outputs):
        if index < len(network.output_blocks):
            found.append((network.output_blocks[index][-1], 2 * place / len(outputs)))
    return found


def with_patch(options: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The transformer options with one more patch of the self-attention's inputs."""
    patches = dict(options.get("patches", {}))
    patches["attn1_patch"] = [*patches.get("attn1_patch", []), patch]
    return {**options, "patches": patches}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
