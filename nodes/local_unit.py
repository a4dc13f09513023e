"""A unit on this machine: what it can be, and its control images at every size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InvalidRequest, MissingDependency, PictureError, Unsupported
from ..controlnet.sizing import detectmap_proc, to_hint
from ..controlnet.unit import ControlNetUnit, HrOption
from ..engines.comfy_owners import RUN_HERE, elsewhere
from ..engines.comfy_rules import Maps
from ..preprocessors.control import Geometry, UnitControl, control_for_unit

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ..preprocessors.runtime import Runtime

LATENT_FACTOR = 8  # pixels per latent cell, for every model a unit can be used with


@dataclass(frozen=True)
class LocalUnit:
    """A unit's pictures, ready for the host.

    Attributes:
        hints: what the control model sees.
        pictures: the same as plain pictures 0..1, a mask as 4th channel: for what works in latent space.
        shown: the control images, IMAGE.
        notices: what the user should know.
    """

    hints: Maps
    pictures: Maps
    shown: torch.Tensor
    notices: list[str] = field(default_factory=list)


def check_local(unit: ControlNetUnit) -> None:
    """Refuse what is other nodes' work, naming what runs it.

    Raises:
        MissingDependency: the module is an adapter of another kind.
        Unsupported: a field for such adapters is filled in.
    """
    found = elsewhere(unit.module)
    if found is not None and found[0] in RUN_HERE:
        raise MissingDependency(
            f"{unit.spec.label} is {found[0]}, which this node does not run by itself.",
            f"Wire the units output to Generate (Img Open): it runs the unit through {found[1]}. Or use "
            "those nodes yourself.",
            field="module",
        )
    if found is not None:
        raise MissingDependency(
            f"{unit.spec.label} is {found[0]}, which is not run on this machine.",
            f"Use {found[1]} in a graph of your own, or send the request to a server.",
            field="module",
        )
    if unit.ipadapter_input is not None:
        raise Unsupported(
            "ipadapter_input (given) cannot be honoured on this machine.",
            "Leave it empty, or send the unit with a remote request.",
            field="ipadapter_input",
        )


def stated_notices(unit: ControlNetUnit, has_second_pass: bool) -> list[str]:
    """What should be said about settings that are easily misread here."""
    told: list[str] = []
    if unit.hr_option is HrOption.HIGH and not has_second_pass:
        told.append("hr_option: the unit acts only in passes that are higher than the generation.")
    if unit.module == "inpaint_only+lama":
        told.append(
            "inpaint_only+lama: LaMa's picture is part of the noise of Web-UI Sampler; other samplers start "
            "without it."
        )
    return told


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


def geometry_of(values: dict[str, Any]) -> Geometry:
    """Sizes and seed of the generation, and of its second pass if one is stated."""
    width, height = generation_size(values["latent"], values["width"], values["height"])
    stated = values["hr_scale"] > 0 or values["hr_resize_x"] > 0 or values["hr_resize_y"] > 0
    return Geometry(
        width=width,
        height=height,
        enable_hr=stated,
        hr_scale=values["hr_scale"] or 1.0,
        hr_resize_x=values["hr_resize_x"],
        hr_resize_y=values["hr_resize_y"],
        seed=values["seed"],
    )


def check_batch(frame_count: int, latent: dict[str, Any] | None, name: str = "image") -> None:
    """One control image serves every picture of a batch; several must be as many as there are pictures."""
    if latent is None or frame_count == 1:
        return
    pictures = int(latent["samples"].shape[0])
    if frame_count != pictures:
        raise InvalidRequest(
            f"{name} is a batch of {frame_count} pictures, but the latent is a batch of {pictures}.",
            "Give one picture for all, or one per latent (RepeatLatentBatch makes the batch larger).",
        )


def prepare(
    unit: ControlNetUnit,
    images: list[NDArray[np.uint8]],
    masks: list[NDArray[np.uint8]],
    geometry: Geometry,
    runtime: Runtime,
) -> LocalUnit:
    """The unit's maps for every frame: annotated once, fitted to any size afterwards.

    Args:
        unit: the unit, accepted by `check_local`.
        images: its pictures, uint8.
        masks: none, one for all frames, or one per frame.
        geometry: sizes and seed of the generation.
        runtime: the preprocessors' runtime.
    """
    if masks and len(masks) not in (1, len(images)):
        raise PictureError(
            f"mask is a batch of {len(masks)}, image one of {len(images)}.",
            "Give one mask, or one per picture.",
        )
    controls: list[UnitControl] = []
    for number, image in enumerate(images):
        mask = masks[number % len(masks)] if masks else None
        controls.append(control_for_unit(unit, image=image, mask=mask, geometry=geometry, runtime=runtime))
        runtime.progress((number + 1) / len(images))
    notices = list(dict.fromkeys(text for control in controls for text in control.notices))

    def fit(height: int, width: int) -> list[NDArray[Any]]:
        return [
            detectmap_proc(each.detected, each.module, each.resize_mode, height, width) for each in controls
        ]

    low = [_map(control.low, control.module) for control in controls]
    high = None if geometry.hires is None else [_map(each.high, each.module) for each in controls]
    hints = _maps(low, high, fit, to_hint)
    return LocalUnit(hints, _maps(low, high, fit, _plain), _shown(hints.low), notices)


def ready(unit: ControlNetUnit, image: torch.Tensor, frames: list[NDArray[np.uint8]]) -> LocalUnit:
    """A control image of the right size already: it passes untouched, and is fitted only to other sizes."""
    low = image.movedim(-1, 1)

    def fit(height: int, width: int) -> torch.Tensor:
        fitted = [detectmap_proc(frame, unit.module, unit.resize_mode, height, width) for frame in frames]
        return _stacked(fitted, to_hint)

    maps = Maps(low, fit=fit)
    return LocalUnit(maps, maps, image)


def is_ready_map(
    unit: ControlNetUnit, image: torch.Tensor, masks: list[NDArray[np.uint8]], geometry: Geometry
) -> bool:
    """Whether the picture is a control image of the right size already and must pass untouched."""
    fits = (int(image.shape[1]), int(image.shape[2])) == geometry.target and image.shape[3] == 3
    return unit.module == "none" and fits and not masks and geometry.hires is None


def region_of(mask: torch.Tensor, frame_count: int) -> torch.Tensor:
    """An effective region mask, MASK (B, H, W) or (H, W), as the engine wants it: (B, 1, H, W).

    Raises:
        PictureError: another number of masks than one, or one per picture.
    """
    batch = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    if batch.shape[0] not in (1, frame_count):
        raise PictureError(
            f"effective_region_mask is a batch of {batch.shape[0]}, image one of {frame_count}.",
            "Give one mask, or one per picture.",
        )
    return batch


def _maps(
    low: list[NDArray[Any]],
    high: list[NDArray[Any]] | None,
    fit: Callable[[int, int], list[NDArray[Any]]],
    make: Callable[[NDArray[Any]], NDArray[np.float32]],
) -> Maps:
    return Maps(
        _stacked(low, make),
        None if high is None else _stacked(high, make),
        lambda height, width: _stacked(fit(height, width), make),
    )


def _stacked(maps: list[NDArray[Any]], make: Callable[[NDArray[Any]], NDArray[np.float32]]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.concatenate([make(each) for each in maps]))


def _plain(control: NDArray[Any]) -> NDArray[np.float32]:
    return np.moveaxis(control.astype(np.float32) / 255.0, 2, 0)[None]


def _map(control: NDArray[Any] | None, module: str) -> NDArray[Any]:
    if control is None:
        raise Unsupported(
            f"The module {module} gives an embedding, which this node cannot use on this machine.",
            "Send the unit with a remote request.",
            field="module",
        )
    return control


def _shown(hints: torch.Tensor) -> torch.Tensor:
    """Hints as IMAGE; masked pixels (-1) are black."""
    return ((hints.clamp(0, 1) * 255).round() / 255).movedim(1, -1)
