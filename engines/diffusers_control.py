# pyright: basic
"""ControlNet units while sampling: which hint, which calls, and how strongly each residual acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..controlnet.unit import ControlNetUnit
from ..controlnet.weights import acts_in_pass, is_soft_in_high_res, residual_scales
from ..controlnet.window import calls_active

Scales = list[tuple[float, float]]


@dataclass
class PreparedUnit:
    """One unit, ready for sampling.

    Attributes:
        index: place among the request's units.
        unit: what was asked.
        network: diffusers' `ControlNetModel`.
        low: hint for the first pass, float32 (1, 3, H, W), 0..1 (masked pixels -1).
        high: hint for the second pass of the hires fix, or None.
        region: effective region mask, float32 (1, 1, H, W), 0..1, or None.
    """

    index: int
    unit: ControlNetUnit
    network: Any
    low: Any
    high: Any = None
    region: Any = None

    def hint_for(self, latent_height: int) -> tuple[Any, bool]:
        """The hint whose height is nearer to the latent's, and whether it is the high-resolution one.

        A tie counts as high-resolution, as in sd-webui-controlnet: with `hr_scale` 1 every call is.
        """
        if self.high is None:
            return self.low, False
        height = latent_height * 8
        high = abs(height - self.high.shape[2]) <= abs(height - self.low.shape[2])
        return (self.high, True) if high else (self.low, False)


class ControlPass:
    """All units during one sampling run.

    Args:
        units: the prepared units.
        latent_size: (h, w) of the latents.
        calls_per_step: how many model calls each executed step makes.
        device, dtype: where and in which precision the control models run.
        offload: move each control model off the device after each call (`low_vram` on CUDA).
        check: raises Cancelled when the user wants to stop.
    """

    def __init__(
        self,
        units: list[PreparedUnit],
        *,
        latent_size: tuple[int, int],
        calls_per_step: list[int],
        device: Any,
        dtype: Any,
        offload: bool,
        check: Callable[[], None],
    ) -> None:
        self._device, self._dtype, self._offload, self._check = device, dtype, offload, check
        self._units: list[tuple[PreparedUnit, Any, list[bool], Scales, Any]] = []
        for prepared in units:
            hint, high = prepared.hint_for(latent_size[0])
            # Without a second pass hr_option means nothing.
            if prepared.high is not None and not acts_in_pass(prepared.unit.hr_option, high):
                continue
            unit, steps = prepared.unit, len(calls_per_step)
            calls = calls_active(unit.guidance_start, unit.guidance_end, calls_per_step, steps)
            scales = unit_scales(prepared, high)
            hint = hint.to(device, dtype)
            self._units.append((prepared, hint, calls, scales, prepared.region))

    def residuals(
        self, call: int, sample: Any, timestep: Any, context: Any, uncond: list[bool]
    ) -> tuple[list[Any] | None, Any]:
        """The sum of the active units' residuals at one model call.

        Args:
            call: 0-based index of the model call in this run.
            sample: the U-Net's input, (rows, 4, h, w).
            timestep: as for the U-Net.
            context: text vectors, (rows, tokens, width).
            uncond: per row, whether it is an unconditional one.

        Returns:
            (one tensor per skip connection, the middle one) with all rows; (None, None) if no unit acts.
        """
        total: list[Any] | None = None
        for prepared, hint, calls, scales, region in self._units:
            if not _active(calls, call):
                continue
            self._check()
            own = self._unit_residuals(prepared.network, hint, scales, sample, timestep, context, uncond)
            if own is None:
                continue
            if region is not None:
                own = [_masked(each, region) for each in own]
            total = own if total is None else [a + b for a, b in zip(total, own, strict=True)]
        return (None, None) if total is None else (total[:-1], total[-1])

    def _unit_residuals(
        self,
        network: Any,
        hint: Any,
        scales: Scales,
        sample: Any,
        timestep: Any,
        context: Any,
        uncond: list[bool],
    ) -> list[Any] | None:
        import torch

        # Rows on which every scale is zero need no run; the others give the same values without them.
        sides = [
            any(scale[1] for scale in scales) if row else any(scale[0] for scale in scales) for row in uncond
        ]
        rows = [index for index, wanted in enumerate(sides) if wanted]
        if not rows:
            return None
        if self._offload:
            network.to(self._device)
        chosen = torch.tensor(rows, device=sample.device)
        down, middle = network(
            sample.index_select(0, chosen),
            timestep,
            encoder_hidden_states=context.index_select(0, chosen),
            controlnet_cond=hint.expand(len(rows), -1, -1, -1),
            conditioning_scale=1.0,
            return_dict=False,
        )
        if self._offload:
            network.to("cpu")
        out: list[Any] = []
        for residual, (cond, without) in zip([*down, middle], scales, strict=True):
            factors = torch.tensor([without if uncond[row] else cond for row in rows], device=residual.device)
            scaled = residual * factors.to(residual.dtype)[:, None, None, None]
            if len(rows) < len(uncond):
                whole = scaled.new_zeros((len(uncond), *scaled.shape[1:]))
                scaled = whole.index_copy(0, chosen, scaled)
            out.append(scaled)
        return out


def unit_scales(prepared: PreparedUnit, high: bool) -> Scales:
    """Factors (conditional rows, unconditional rows) per residual, the middle one last."""
    unit, network = prepared.unit, prepared.network
    return residual_scales(
        unit.control_mode,
        unit.weight,
        "sd15",
        count=len(network.controlnet_down_blocks) + 1,
        advanced_weighting=unit.advanced_weighting,
        high_res_soft=high and is_soft_in_high_res(unit.module),
        global_average_pooling=bool(network.config.global_pool_conditions),
    )


def _active(calls: list[bool], call: int) -> bool:
    # A scheduler with more calls than planned: the counter stays at its last value.
    return bool(calls) and calls[min(call, len(calls) - 1)]


def _masked(residual: Any, region: Any) -> Any:
    """A residual times the region mask, brought to its size."""
    import torch.nn.functional as functional

    if residual.shape[2:] == (1, 1):
        return residual
    mask = functional.interpolate(region.to(residual.device), size=residual.shape[2:], mode="bilinear")
    return residual * mask.to(residual.dtype)
