"""How strongly each residual of a control model counts: control modes, soft weights, layer weights.

A residual is one of the tensors a control model adds to the U-Net: first encoder output first, middle block
last. The numbers are those of sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ..base.errors import InvalidRequest
from .modules import find_module
from .spelling import ControlMode, HrOption

Family = Literal["sd15", "sdxl", "t2i", "t2i_sdxl"]

_SOFT = 0.825
_SD15_RESIDUALS = 13
_SDXL_RESIDUALS = 10
_ADAPTER_SOFT = (0.25, 0.62, 0.825, 1.0)

# After which encoder output (index from 0) an adapter's feature is added; -1 = after the middle block.
ADAPTER_PLACES: dict[Family, tuple[int, ...]] = {"t2i": (2, 5, 8, 11), "t2i_sdxl": (3, 5, 8, -1)}


def residual_scales(
    control_mode: ControlMode,
    weight: float,
    family: Family,
    count: int | None = None,
    advanced_weighting: Sequence[float] | None = None,
    high_res_soft: bool = False,
    *,
    global_average_pooling: bool = False,
) -> list[tuple[float, float]]:
    """The factors (conditional rows, unconditional rows) of each residual, middle block last.

    Args:
        control_mode: "My prompt" softens the early residuals; "ControlNet" does the same and leaves the
            unconditional rows alone.
        weight: of the unit.
        family: "sd15" (12 + 1 residuals), "sdxl" (9 + 1), "t2i" / "t2i_sdxl" (4 adapter features).
        count: number of residuals of a model that is smaller than its family.
        advanced_weighting: factors that replace the weight and the soft factors.
        high_res_soft: this is the high-res pass of a module that is always soft there
        (`is_soft_in_high_res`).
        global_average_pooling: the model's residuals are one value per channel ("shuffle"): never on the
            unconditional rows.

    Raises:
        InvalidRequest: advanced_weighting has another number of factors than there are residuals.
    """
    if advanced_weighting is not None:
        factors = _checked(advanced_weighting, family, count)
    elif control_mode is ControlMode.BALANCED and not high_res_soft:
        factors = [weight] * residual_count(family, count)
    else:
        factors = [weight * factor for factor in soft_factors(family, count)]
    conditional_only = global_average_pooling or control_mode is ControlMode.CONTROL
    return [(factor, 0.0 if conditional_only else factor) for factor in factors]


def residual_count(family: Family, count: int | None = None) -> int:
    """How many residuals a model of the family has, unless it says otherwise."""
    if count is not None:
        return count
    return {"sd15": _SD15_RESIDUALS, "sdxl": _SDXL_RESIDUALS}.get(family, len(_ADAPTER_SOFT))


def soft_factors(family: Family, count: int | None = None) -> list[float]:
    """The soft weights: early residuals (composition) count less than late ones (detail).

    SDXL gets the first ten of SD1.5's thirteen, so its middle block has 0.825^3, not 1: the original does so.
    Smaller SD1.5-like models get the last ones, middle block 1.
    """
    number = residual_count(family, count)
    if family in ("t2i", "t2i_sdxl"):
        return list(_ADAPTER_SOFT[-number:])
    if family == "sdxl" and number == _SDXL_RESIDUALS:
        return [_SOFT ** (_SD15_RESIDUALS - 1 - index) for index in range(number)]
    return [_SOFT ** (number - 1 - index) for index in range(number)]


def _checked(advanced_weighting: Sequence[float], family: Family, count: int | None) -> list[float]:
    number = residual_count(family, count)
    factors = [float(factor) for factor in advanced_weighting]
    if len(factors) != number or not all(math.isfinite(factor) for factor in factors):
        raise InvalidRequest.field(
            "advanced_weighting",
            list(advanced_weighting),
            f"a list of {number} numbers for this model ({family})",
        )
    return factors


def is_soft_in_high_res(module: str) -> bool:
    """True for canny and mlsd: their residuals are soft in the high-res pass, whatever the control mode."""
    return find_module(module).takes_soft_high_res


def acts_in_pass(hr_option: HrOption, high_res: bool) -> bool:
    """Whether a unit's residuals count in this pass of a hires fix (without one hr_option is moot)."""
    return hr_option is HrOption.BOTH or (hr_option is HrOption.HIGH) == high_res
