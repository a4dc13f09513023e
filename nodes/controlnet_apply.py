"""ImgOpenControlNetApply: one ControlNet unit, for this machine, for a remote request, or for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..base.errors import Cancelled, InvalidRequest
from .background import watch
from .bodies import unit_body
from .host import Bar, HostRuntime, stop_node
from .schema import schema
from .tables import CONTROLNET_APPLY
from .units import WiredUnit, chain

if TYPE_CHECKING:
    import torch

    from ..controlnet.unit import ControlNetUnit

_UNWIRED = (
    "This output of ControlNet Unit (Img Open) needs positive, negative and control_net to be wired in."
)


class ImgOpenControlNetApply(io.ComfyNode):
    """What runs depends on what is wired in: conditioning starts the local path, nothing else does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(CONTROLNET_APPLY)

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..controlnet.unit import ControlNetUnit

        values = {**CONTROLNET_APPLY.defaults(), **inputs}
        unit = ControlNetUnit.from_wire(body := unit_body(values))
        if values["image"] is not None and unit.image is not None:
            raise InvalidRequest(
                "image is wired and image_link is filled in: two pictures for one unit.",
                "Keep one of the two.",
            )
        wired = WiredUnit(body, values["image"], values["mask"], values["effective_region_mask"])
        units = (*chain(values["units"]), wired)
        if not _local(values):
            blocked = ExecutionBlocker(_UNWIRED)
            return io.NodeOutput(blocked, blocked, blocked, units)
        if not unit.enabled:
            blocked = ExecutionBlocker("The unit is switched off: there is no control image.")
            return io.NodeOutput(values["positive"], values["negative"], blocked, units)
        bar = Bar(cls.hidden.unique_id)
        try:
            positive, negative, shown = await _run_here(unit, values, bar)
        except Cancelled:
            raise stop_node() from None
        return io.NodeOutput(positive, negative, shown, units)


def _local(values: dict[str, Any]) -> bool:
    """Whether conditioning is wired in, and then completely."""
    sides = [name for name in ("positive", "negative") if values[name] is not None]
    if not sides:
        return False
    missing = {"positive", "negative"} - set(sides)
    if values["control_net"] is None and values["enabled"]:
        missing.add("control_net")
    if missing:
        raise InvalidRequest(
            f"{' and '.join(sides)} is wired in, but {' and '.join(sorted(missing))} is not.",
            "Wire positive, negative and control_net for the local path, or none of them.",
        )
    return True


async def _run_here(unit: ControlNetUnit, values: dict[str, Any], bar: Bar) -> tuple[Any, Any, torch.Tensor]:
    """Control image and conditioning on this machine."""
    from .host_control import attach
    from .local_unit import check_batch, check_local, generation_size, hints, is_ready_map
    from .pixels import frames, masks, to_image

    check_local(unit, values["window_mode"])
    if values["effective_region_mask"] is not None:
        check_local(unit.replace(effective_region_mask="wired"), values["window_mode"])
    image = values["image"] if values["image"] is not None else await _linked(unit, bar)
    size = generation_size(values["latent"], values["width"], values["height"])
    pictures = frames(image, "image")
    check_batch(len(pictures), values["latent"])
    unit_masks = masks(values["mask"], "mask") if values["mask"] is not None else []
    if is_ready_map(unit, image, unit_masks, size):
        hint, shown = image.movedim(-1, 1), image
    else:
        runtime = HostRuntime(bar)
        hint, maps, notices = hints(unit, pictures, unit_masks, size, runtime)
        shown = to_image(maps)
        if told := [*notices, *runtime.notices]:
            bar.text("\n".join(told))
    positive, negative = attach(
        values["positive"],
        values["negative"],
        values["control_net"],
        hint,
        strength=unit.weight,
        window=(unit.guidance_start, unit.guidance_end),
        vae=values["vae"],
    )
    return positive, negative, shown


async def _linked(unit: ControlNetUnit, bar: Bar) -> torch.Tensor:
    """The unit's picture behind its link, fetched without holding up the host's other nodes."""
    from ..storage.pictures import Pictures
    from .pixels import to_image

    link = unit.image
    if link is None:
        raise InvalidRequest("The unit has no picture.", "Wire image, or fill in image_link.", field="image")
    array = await watch(lambda progress, cancelled: Pictures().get(link), bar, "img-open-fetch")
    if array.ndim == 3 and array.shape[2] == 4:
        from ..base.pictures import flatten_over_white

        array = flatten_over_white(array)
    return to_image([array])
