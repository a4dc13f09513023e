"""A unit on this machine: what it can be, its control images, its hint. The host is in `host_control`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InvalidRequest, PictureError, Unsupported
from ..controlnet.sizing import to_hint
from ..controlnet.unit import ControlMode, ControlNetUnit, HrOption
from ..preprocessors.control import Geometry, UnitControl, control_for_unit

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ..preprocessors.runtime import Runtime

LATENT_FACTOR = 8  # pixels per latent cell, for every model a unit can be used with


def check_local(unit: ControlNetUnit, window_mode: str) -> None:
    """Refuse what the local path cannot do exactly, naming the field and the way out.

    Raises:
        Unsupported: the first field that cannot be honoured.
    """
    if unit.control_mode is not ControlMode.BALANCED:
        raise _not_here(
            "control_mode",
            unit.control_mode.value,
            "Choose Balanced, or send the unit with a remote request.",
        )
    if window_mode == "steps" and (unit.guidance_start, unit.guidance_end) != (0, 1):
        raise _not_here(
            "window_mode",
            f"steps with the window {unit.guidance_start:g} to {unit.guidance_end:g}",
            "Choose window_mode sigma (ComfyUI's reading), the whole window 0 to 1, or a remote request.",
        )
    if unit.hr_option is not HrOption.BOTH:
        raise _not_here(
            "hr_option", unit.hr_option.value, "Choose Both, or send the unit with a remote request."
        )
    for name, given in (
        ("advanced_weighting", unit.advanced_weighting),
        ("effective_region_mask", unit.effective_region_mask),
        ("ipadapter_input", unit.ipadapter_input),
    ):
        if given is not None:
            raise _not_here(name, "given", "Leave it empty, or send the unit with a remote request.")
    if unit.union_control_type.value != "Unknown":
        raise _not_here(
            "union_control_type",
            unit.union_control_type.value,
            "Put ComfyUI's SetUnionControlNetType before this node and leave Unknown here.",
        )
    if unit.spec.model_free:
        raise _not_here(
            "module", unit.module, "It changes the model's attention; send the unit with a remote request."
        )


def _not_here(field: str, value: str, hint: str) -> Unsupported:
    return Unsupported(f"{field} ({value}) cannot be honoured on this machine yet.", hint, field=field)


def generation_size(latent: dict[str, Any] | None, width: int, height: int) -> tuple[int, int]:
    """(width, height) in pixels of what will be sampled: from the latent, or from the two numbers.

    Raises:
        InvalidRequest: neither is given, only one number is, or the two ways disagree.
    """
    stated = (width // 8 * 8, height // 8 * 8)
    if latent is not None:
        samples = latent["samples"]
        found = (int(samples.shape[-1]) * LATENT_FACTOR, int(samples.shape[-2]) * LATENT_FACTOR)
        if (width or height) and stated != found:
            raise InvalidRequest(
                f"width x height is {width}x{height}, but the wired latent is {found[0]}x{found[1]}.",
                "Set both to 0 to use the latent's size.",
            )
        return found
    if not all(stated):
        raise InvalidRequest(
            "The size of the generation is not known: the control image must fit it.",
            "Wire the latent that will be sampled, or set width and height.",
            field="latent",
        )
    return stated


def check_batch(frame_count: int, latent: dict[str, Any] | None) -> None:
    """One control image serves every picture of a batch; several must be as many as there are pictures."""
    if latent is None or frame_count == 1:
        return
    pictures = int(latent["samples"].shape[0])
    if frame_count != pictures:
        raise InvalidRequest(
            f"image is a batch of {frame_count} pictures, but the latent is a batch of {pictures}.",
            "Give one picture for all, or one per latent (RepeatLatentBatch makes the batch larger).",
        )


def hints(
    unit: ControlNetUnit,
    images: list[NDArray[np.uint8]],
    masks: list[NDArray[np.uint8]],
    size: tuple[int, int],
    runtime: Runtime,
) -> tuple[torch.Tensor, list[NDArray[np.uint8]], list[str]]:
    """The hint of every frame, the maps to show, and what the user should know.

    Args:
        unit: the unit, accepted by `check_local`.
        images: its pictures, uint8.
        masks: none, one for all frames, or one per frame.
        size: (width, height) of the generation.
        runtime: the preprocessors' runtime.

    Returns:
        hint float32 (B, 3, height, width), maps uint8 (height, width, 3), notices.
    """
    import torch

    if masks and len(masks) not in (1, len(images)):
        raise PictureError(
            f"mask is a batch of {len(masks)}, image one of {len(images)}.",
            "Give one mask, or one per picture.",
        )
    geometry = Geometry(width=size[0], height=size[1])
    made: list[NDArray[np.float32]] = []
    shown: list[NDArray[np.uint8]] = []
    notices: list[str] = []
    for number, image in enumerate(images):
        mask = masks[number % len(masks)] if masks else None
        control = control_for_unit(unit, image=image, mask=mask, geometry=geometry, runtime=runtime)
        made.append(to_hint(_low(control)))
        shown.append(_shown(made[-1]))
        notices.extend(text for text in control.notices if text not in notices)
        runtime.progress((number + 1) / len(images))
    return torch.from_numpy(np.concatenate(made)), shown, notices


def is_ready_map(
    unit: ControlNetUnit, image: torch.Tensor, masks: list[NDArray[np.uint8]], size: tuple[int, int]
) -> bool:
    """Whether the picture is a control image of the right size already and must pass untouched."""
    fits = (int(image.shape[2]), int(image.shape[1])) == size and image.shape[3] == 3
    return unit.module == "none" and fits and not masks


def _low(control: UnitControl) -> NDArray[Any]:
    if control.low is None:
        raise Unsupported(
            f"The module {control.module} gives an embedding, which the local path cannot use yet.",
            "Send the unit with a remote request.",
            field="module",
        )
    return control.low


def _shown(hint: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A hint as a picture; masked pixels (-1) are black."""
    return np.rint(np.clip(np.moveaxis(hint[0], 0, 2), 0, 1) * 255).astype(np.uint8)
