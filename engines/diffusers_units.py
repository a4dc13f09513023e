# pyright: basic
"""From the request's units to what the sampling loop needs: control images, control models, latent blends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..a1111.img2img import read_mask
from ..base.errors import InvalidRequest, Unsupported
from ..base.pictures import flatten_over_white
from ..controlnet.modules import find_module
from ..controlnet.sizing import to_hint
from ..preprocessors.control import Geometry, UnitControl, control_for_unit
from ..preprocessors.postprocess import needs_post_process, post_process
from .diffusers_control import PreparedUnit
from .diffusers_load import Loader
from .diffusers_pictures import encode
from .models import LocalModels, ModelFile
from .types import Info

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..api.request import Request
    from ..controlnet.unit import ControlNetUnit
    from ..preprocessors.runtime import Runtime
    from ..storage.pictures import Pictures

_NO_MODEL = ("", "none")


@dataclass
class ReadyUnit:
    """A unit with everything made: what samples, and what its module left to do elsewhere."""

    prepared: PreparedUnit
    control: UnitControl


def unit_place(index: int) -> str:
    """Wire name of the unit at `index`."""
    return f"alwayson_scripts.controlnet.args[{index}]"


def unit_files(request: Request, models: LocalModels) -> list[tuple[int, ControlNetUnit, ModelFile]]:
    """The enabled units with their model files, checked before anything is loaded.

    Raises:
        InvalidRequest: a unit names no model.
        MissingModel: its model is not there.
        Unsupported: a module that works without or beside a ControlNet (reference, IP-Adapter, revision ...).
    """
    found: list[tuple[int, ControlNetUnit, ModelFile]] = []
    for index, unit in enumerate(request.units):
        if not unit.enabled:
            continue
        spec = find_module(unit.module)
        if spec.model_free or spec.returns == "embedding":
            raise Unsupported(
                f"{unit_place(index)}: the module {spec.label} is not available in this engine.",
                "Run the request in ComfyUI or on a server that has it, or leave the unit out.",
                field=f"{unit_place(index)}.module",
            )
        if unit.model.strip().lower() in _NO_MODEL:
            names = ", ".join(models.names("controlnet")[:8]) or "none installed"
            raise InvalidRequest(
                f"{unit_place(index)}.model is {unit.model!r}, but {spec.label} needs a control model.",
                f"Control models here: {names}.",
                field=f"{unit_place(index)}.model",
            )
        found.append((index, unit, models.find_controlnet(unit.model)))
    return found


def geometry_of(request: Request, seed: int, hires: bool) -> Geometry:
    """The fields of a request that decide a control image."""
    blur_x, blur_y = request.mask_blur_xy
    return Geometry(
        width=request.width,
        height=request.height,
        enable_hr=hires,
        hr_scale=request.hr_scale,
        hr_resize_x=request.hr_resize_x,
        hr_resize_y=request.hr_resize_y,
        resize_mode=request.resize_mode,
        mask_blur_x=blur_x,
        mask_blur_y=blur_y,
        inpainting_mask_invert=request.inpainting_mask_invert,
        inpaint_full_res=request.inpaint_full_res,
        inpaint_full_res_padding=request.inpaint_full_res_padding,
        seed=seed,
    )


def make_unit(
    index: int,
    unit: ControlNetUnit,
    network: Any,
    *,
    pictures: Pictures,
    init_image: Any,
    init_mask: Any,
    geometry: Geometry,
    runtime: Runtime,
) -> ReadyUnit:
    """Run the unit's module once and bring its map to the size of each pass."""
    import torch

    control = control_for_unit(
        unit,
        image=pictures.get(unit.image) if unit.image else None,
        mask=pictures.get(unit.mask) if unit.mask else None,
        init_image=init_image,
        init_mask=init_mask,
        geometry=geometry,
        runtime=runtime,
    )
    if control.low is None:
        raise Unsupported(f"{unit_place(index)}: the module {unit.module} gives no control picture.")
    region = None
    if unit.effective_region_mask:
        gray = read_mask(pictures.get(unit.effective_region_mask)).astype(np.float32) / 255.0
        region = torch.from_numpy(gray)[None, None]
    high = None if control.high is None else torch.from_numpy(to_hint(control.high))
    low = torch.from_numpy(to_hint(control.low))
    return ReadyUnit(PreparedUnit(index, unit, network, low, high, region), control)


def load_units(
    files: list[tuple[int, ControlNetUnit, ModelFile]], loader: Loader, width: int
) -> list[tuple[int, ControlNetUnit, Any]]:
    """The units' control models; `width` is that of the checkpoint's text vectors. Raises Unsupported."""
    loaded: list[tuple[int, ControlNetUnit, Any]] = []
    for index, unit, file in files:
        network = loader.controlnet(file)
        if network.config.cross_attention_dim != width:
            raise Unsupported(
                f"{unit_place(index)}: {file.name} belongs to another family of checkpoints.",
                f"It takes vectors of width {network.config.cross_attention_dim}, the checkpoint's {width}.",
                field=f"{unit_place(index)}.model",
            )
        loaded.append((index, unit, network))
    return loaded


def unit_notices(ready: ReadyUnit, device: str) -> list[Info]:
    """What is worth saying about a unit that ran."""
    place = unit_place(ready.prepared.index)
    infos = [Info(place, "notice", text) for text in ready.control.notices]
    if ready.prepared.unit.low_vram and device != "cuda":
        infos.append(
            Info(f"{place}.low_vram", "notice", f"Nothing to save on {device}; the result is the same.")
        )
    return infos


def shown_maps(ready: ReadyUnit) -> list[NDArray[np.uint8]]:
    """The maps to hand out, uint8 (H, W, 3): the second pass's first. None if the unit says so."""
    if not ready.prepared.unit.save_detected_map:
        return []
    control = ready.control
    passes = [each for each in (control.high, control.low) if each is not None]
    return [flatten_over_white(control.saved_map(each)) for each in passes]


def latent_blend(ready: ReadyUnit, vae: Any, latent_height: int) -> Callable[[Any], Any] | None:
    """What the unit's module does to the predicted picture at every model call; None for most modules.

    inpaint_only keeps the unmasked part, tile_colorfix the colours of the control image. Neither heeds the
    step window or hr_option (sd-webui-controlnet 1.1.455). Both are linear, so doing it once after guidance
    equals doing it on each row before.
    """
    control, unit = ready.control, ready.prepared.unit
    _, high = ready.prepared.hint_for(latent_height)
    picture = control.high if high else control.low
    if picture is None:
        return None
    weight = min(max(unit.weight, 0.0), 1.0)
    if control.module.startswith("inpaint_only"):
        return _keep_unmasked(picture, vae, weight)
    if control.module.startswith("tile_colorfix"):
        radius = int(unit.sliders()[1]) * (2 if high else 1)
        return _keep_colours(picture, vae, weight, radius)
    return None


def _keep_unmasked(picture: Any, vae: Any, weight: float) -> Callable[[Any], Any]:
    import torch
    import torch.nn.functional as functional

    colours = encode(vae, picture[:, :, :3].clip(0, 255).astype(np.uint8))
    soft = torch.from_numpy(np.ascontiguousarray(picture[:, :, 3]).astype(np.float32) / 255.0)[None, None]
    mask = functional.max_pool2d(soft, (10, 10), stride=(8, 8), padding=1).to(colours.device)

    def blend(predicted: Any) -> Any:
        return predicted + weight * ((predicted * mask + colours * (1.0 - mask)) - predicted)

    return blend


def _keep_colours(picture: Any, vae: Any, weight: float, radius: int) -> Callable[[Any], Any]:
    import torch.nn.functional as functional

    def blurred(latents: Any) -> Any:
        padded = functional.pad(latents, (radius,) * 4, mode="replicate")
        return functional.avg_pool2d(padded, 2 * radius + 1, stride=1)

    reference = blurred(encode(vae, flatten_over_white(picture)))

    def blend(predicted: Any) -> Any:
        return predicted + weight * (reference - blurred(predicted))

    return blend


def finish(pictures: list[NDArray[np.uint8]], ready: list[ReadyUnit]) -> list[NDArray[np.uint8]]:
    """What recolor and inpaint_only do after decoding."""
    for each in ready:
        control = each.control
        if not needs_post_process(control.module):
            continue
        shown = control.low if control.high is None else control.high
        if shown is None:
            continue
        batch = np.stack(pictures).astype(np.float32) / np.float32(255.0)
        done = post_process(control.module, batch, shown)
        pictures = [(one.clip(0, 1) * 255.0).astype(np.uint8) for one in done]
    return pictures
