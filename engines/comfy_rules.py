"""What a unit means for ComfyUI's residuals, maps and sigmas, without a line of ComfyUI in it.

ComfyUI hands a control model's work around as `{"input": [...], "middle": [...], "output": [...]}`, lists
of tensors (rows, channels, h, w) or None. A ControlNet fills `output` (the encoder's outputs, first one
first) and `middle`; a T2I adapter fills `input` (last one first) and, for SDXL, `middle`.
"""

# pyright: basic

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import Unsupported
from ..controlnet.unit import ControlMode, ControlNetUnit
from ..controlnet.weights import Family, is_soft_in_high_res, residual_scales
from ..controlnet.window import is_active

if TYPE_CHECKING:
    import torch

Control = dict[str, list[Any]]
Scales = list[tuple[float, float]]

# Of transformer_options: (step counter, steps of the run), where a sampler of this pack tells them.
STEP = "img_open_step"
POSITIVE = 0  # how ComfyUI numbers the positive conditioning in `cond_or_uncond`
SDXL_RESIDUALS = 10
_PIXELS = 8  # per latent cell
_SAME_SIGMA = 1e-4  # relative; a sampler's own arithmetic moves a sigma by less, its next step by more


@dataclass
class Maps:
    """The control images of one unit.

    Attributes:
        low: hint for the size of the generation, float (1 or B, 3, H, W), 0..1, masked pixels -1.
        high: hint for the second pass, if its size was stated.
        fit: makes the hint for any (height, width), so that a pass nobody announced gets its own too.
        region: effective region mask, float (1 or B, 1, H, W), any size.
    """

    low: torch.Tensor
    high: torch.Tensor | None = None
    fit: Callable[[int, int], torch.Tensor] | None = None
    region: torch.Tensor | None = None

    def __post_init__(self) -> None:
        self._fitted: torch.Tensor | None = None

    def choose(self, latent_height: int, latent_width: int) -> tuple[torch.Tensor, bool]:
        """The hint for a pass over latents of this size, and whether it is the high-resolution pass.

        With a stated second pass: the map whose height is nearer, a tie counts as high-resolution (so with
        hr_scale 1 every pass is). Otherwise: every pass higher than the generation is.
        """
        height, width = latent_height * _PIXELS, latent_width * _PIXELS
        if self.high is None:
            chosen, is_high = self.low, height > self.low.shape[2]
        else:
            is_high = abs(height - self.high.shape[2]) <= abs(height - self.low.shape[2])
            chosen = self.high if is_high else self.low
        if self.fit is None or tuple(chosen.shape[2:]) == (height, width):
            return chosen, is_high
        if self._fitted is None or tuple(self._fitted.shape[2:]) != (height, width):
            self._fitted = self.fit(height, width)
        return self._fitted, is_high


def counter_at(sigmas: Sequence[float], sigma: float) -> int:
    """The web UI's step counter at a model call, from where the call's sigma lies among the run's own.

    The counter lags by one call: at the first call of step i it is i - 1 (step 0: 0), at further calls of
    the step i. A further call looks ahead to a sigma below that of its step and not below that of the next,
    so the number of the run's sigmas above it tells both apart, without a memory that an interrupt could
    spoil.

    Args:
        sigmas: of the run, falling, the final one included.
        sigma: of the call.
    """
    above = sum(1 for each in sigmas if each > sigma * (1 + _SAME_SIGMA))
    return max(min(above, len(sigmas) - 2) - 1, 0)


def sigmas_of(options: Mapping[str, Any]) -> torch.Tensor:
    """The run's own sigmas, from ComfyUI's transformer_options.

    Raises:
        Unsupported: the sampler does not tell them.
    """
    sigmas = options.get("sample_sigmas")
    if sigmas is None:
        raise Unsupported(
            "This sampler does not tell the sigmas of its run, so its steps cannot be counted.",
            "Set window_mode to sigma on the ControlNet unit.",
            field="window_mode",
        )
    return sigmas


def window_is_open(unit: ControlNetUnit, sigmas: Sequence[float], sigma: float) -> bool:
    """Whether the unit acts at a model call, its window read in steps of this run."""
    return is_active(unit.guidance_start, unit.guidance_end, counter_at(sigmas, sigma), len(sigmas) - 1)


def window_at(unit: ControlNetUnit, options: Mapping[str, Any], sigma: float) -> bool:
    """Whether the unit acts at a model call: by the sampler's own counter, or by its sigmas.

    Raises:
        Unsupported: the sampler tells neither.
    """
    if STEP in options:
        return is_active(unit.guidance_start, unit.guidance_end, *options[STEP])
    return window_is_open(unit, sigmas_of(options).tolist(), sigma)


def conditional_only(unit: ControlNetUnit, pooled: bool) -> bool:
    """Whether the unit leaves the unconditional rows alone: by its mode, or because its model is pooled."""
    return pooled or unit.control_mode is ControlMode.CONTROL


def one_factor(unit: ControlNetUnit, high: bool) -> bool:
    """Whether the same factor counts for all residuals; the host can then multiply it in itself."""
    soft = high and is_soft_in_high_res(unit.module)
    return unit.advanced_weighting is None and unit.control_mode is ControlMode.BALANCED and not soft


def scales_of(unit: ControlNetUnit, control: Control, *, high: bool, pooled: bool) -> Scales:
    """The factors (conditional rows, unconditional rows) per residual, in the order of `places`.

    Raises:
        Unsupported: the model is neither a ControlNet of SD1.5, SD2 or SDXL nor a T2I adapter.
        InvalidRequest: advanced_weighting has another number of factors.
    """
    family = family_of(control)
    if family is None:
        raise not_defined()
    soft = high and is_soft_in_high_res(unit.module)
    count = sum(tensor is not None for _, _, tensor in places(control))
    return residual_scales(
        unit.control_mode,
        unit.weight,
        family,
        count,
        unit.advanced_weighting,
        soft,
        global_average_pooling=pooled,
    )


def not_defined() -> Unsupported:
    """The refusal for control models of other kinds."""
    return Unsupported(
        "Control modes and layer weights are defined for ControlNets of SD1.5, SD2 and SDXL and for T2I "
        "adapters. The wired control model is neither.",
        "Choose Balanced and leave advanced_weighting empty.",
        field="control_mode",
    )


def family_of(control: Control) -> Family | None:
    """What kind of model made these residuals; None for those the control modes are not defined for."""
    filled = {key for key, values in control.items() if any(value is not None for value in values)}
    if filled == {"output", "middle"}:
        return "sdxl" if len(control["output"]) == SDXL_RESIDUALS - 1 else "sd15"
    if "input" in filled and "output" not in filled and any(value is None for value in control["input"]):
        return "t2i_sdxl" if "middle" in filled else "t2i"
    return None


def places(control: Control) -> list[tuple[str, int, Any]]:
    """(list, index, tensor or None) in the order of the scales: first residual first, middle last."""
    found: list[tuple[str, int, Any]] = []
    found += [("input", index, value) for index, value in reversed(list(enumerate(control.get("input", []))))]
    found += [("output", index, value) for index, value in enumerate(control.get("output", []))]
    found += [("middle", index, value) for index, value in enumerate(control.get("middle", []))]
    return found


def scale(control: Control, scales: Scales, sides: Sequence[int], rows: int) -> None:
    """Multiply each residual in place, row by row.

    Args:
        control: freshly made residuals.
        scales: of `scales_of`.
        sides: which conditioning each chunk of the batch belongs to (`cond_or_uncond`).
        rows: of the whole batch.
    """
    filled = [place for place in places(control) if place[2] is not None]
    for (key, index, tensor), (conditional, unconditional) in zip(filled, scales, strict=True):
        control[key][index] = _scaled(tensor, conditional, unconditional, sides, rows)


def _scaled(
    tensor: torch.Tensor, conditional: float, unconditional: float, sides: Sequence[int], rows: int
) -> torch.Tensor:
    if conditional == unconditional:
        return tensor if conditional == 1 else tensor.mul_(conditional)
    chunk = rows // len(sides)
    tensor = _with_rows(tensor, rows)
    for place, side in enumerate(sides):
        part = tensor[place * chunk : (place + 1) * chunk]
        factor = conditional if side == POSITIVE else unconditional
        if factor == 0:
            part.zero_()
        elif factor != 1:
            part.mul_(factor)
    return tensor


def _with_rows(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    """The same residual for `rows` rows: an adapter gives one for all, or what it gave for another batch."""
    if tensor.shape[0] == rows:
        return tensor
    if tensor.shape[0] > rows:
        return tensor[:rows].clone()
    return tensor.repeat(rows // tensor.shape[0], 1, 1, 1)


def mask_region(control: Control, region: torch.Tensor, chunks: int) -> None:
    """Multiply each residual by the region mask, brought to its size bilinearly."""
    import torch.nn.functional as functional

    made: dict[tuple[int, int], torch.Tensor] = {}
    for key, index, tensor in places(control):
        if tensor is None:
            continue
        size = (int(tensor.shape[2]), int(tensor.shape[3]))
        if size not in made:
            sized = functional.interpolate(region.float(), size=size, mode="bilinear")
            rows = sized if sized.shape[0] == 1 else sized.repeat(chunks, 1, 1, 1)
            made[size] = rows.to(tensor.device, tensor.dtype)
        control[key][index] = tensor * made[size]


def resize_features(control: Control, low: tuple[int, int], high: tuple[int, int]) -> None:
    """Bring an adapter's features, made for latents of size `low`, to a pass over latents of size `high`.

    Nearest, as the web UI does: there an adapter runs once, in the low-resolution pass.
    """
    import torch.nn.functional as functional

    for key, index, tensor in places(control):
        if tensor is None:
            continue
        size, made = high, low
        while made[0] > tensor.shape[2] or made[1] > tensor.shape[3]:
            made = ((made[0] + 1) // 2, (made[1] + 1) // 2)
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        control[key][index] = functional.interpolate(tensor, size=size, mode="nearest")


def add(before: Control, own: Control) -> Control:
    """The sum of two units' residuals, list by list; None where both have none."""
    total: Control = {}
    for key in ("input", "middle", "output"):
        first, second = before.get(key, []), own.get(key, [])
        length = max(len(first), len(second))
        pairs = zip(_padded(first, length), _padded(second, length), strict=True)
        total[key] = [b if a is None else a if b is None else a + b for a, b in pairs]
    return total


def _padded(values: list[Any], length: int) -> list[Any]:
    return [*values, *[None] * (length - len(values))]
