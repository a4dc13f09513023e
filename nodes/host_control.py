"""The pack's whole touch of ComfyUI's ControlNet internals, in one place.

Used: `control_net.copy()`, `set_cond_hint`, `set_previous_controlnet`, and the two keys `control` and
`control_apply_to_uncond` of a conditioning's options. Seen working on ComfyUI 0.3.48 and 0.3.64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Conditioning = list[Any]


def attach(
    positive: Conditioning,
    negative: Conditioning,
    control_net: Any,
    hint: torch.Tensor,
    *,
    strength: float,
    window: tuple[float, float],
    vae: Any = None,
) -> tuple[Conditioning, Conditioning]:
    """Attach a control model to both sides of the conditioning, as ComfyUI's ControlNetApplyAdvanced does.

    Entries that carried the same control before share one new one, so that the host still runs both sides in
    one call.

    Args:
        positive, negative: conditioning; not changed.
        control_net: ComfyUI's CONTROL_NET.
        hint: float (B, 3, H, W), 0..1, masked pixels -1.
        strength: one factor for all residuals; 0 attaches nothing.
        window: start and end as ComfyUI's percent of the noise schedule.
        vae: for control models that take latents.
    """
    if strength == 0:
        return positive, negative
    made: dict[Any, Any] = {}

    def with_control(conditioning: Conditioning) -> Conditioning:
        attached: Conditioning = []
        for tensor, options in conditioning:
            before = options.get("control")
            if before not in made:
                made[before] = control_net.copy().set_cond_hint(hint, strength, window, vae=vae)
                made[before].set_previous_controlnet(before)
            attached.append([tensor, {**options, "control": made[before], "control_apply_to_uncond": False}])
        return attached

    return with_control(positive), with_control(negative)
