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
    from .local_unit import LocalUnit

_UNWIRED = (
    "This output of ControlNet Unit (Img Open) needs positive, negative and control_net to be wired in."
)
_NO_MODEL = "The model output of ControlNet Unit (Img Open) needs sd_model to be wired in."


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
        local = _local(unit, values)
        if not local or not unit.enabled:
            why = "The unit is switched off: there is no control image." if local else _UNWIRED
            return _outputs(values, values["positive"], values["negative"], ExecutionBlocker(why), units)
        bar = Bar(cls.hidden.unique_id)
        try:
            positive, negative, shown, model = await _run_here(unit, values, bar)
        except Cancelled:
            raise stop_node() from None
        return _outputs({**values, "sd_model": model}, positive, negative, shown, units)


def _outputs(values: dict[str, Any], positive: Any, negative: Any, shown: Any, units: Any) -> io.NodeOutput:
    """The five outputs; what was not wired in cannot be wired out."""
    sides = [ExecutionBlocker(_UNWIRED) if each is None else each for each in (positive, negative)]
    model = ExecutionBlocker(_NO_MODEL) if values["sd_model"] is None else values["sd_model"]
    return io.NodeOutput(*sides, shown, units, model)


def _local(unit: ControlNetUnit, values: dict[str, Any]) -> bool:
    """Whether the unit is to run here, and then with all that it needs."""
    from ..engines.comfy_latent import blends

    sides = [name for name in ("positive", "negative") if values[name] is not None]
    free = unit.spec.model_free
    if not sides and not (free and values["sd_model"] is not None):
        return False
    needed = {"sd_model", "vae"} if free else {"positive", "negative", "control_net"}
    if blends(unit.module):
        needed |= {"sd_model", "vae"}
    if not unit.enabled:
        needed = {"positive", "negative"} if sides else set()
    missing = sorted(name for name in needed if values[name] is None)
    if missing:
        wired = [
            name for name in ("positive", "negative", "control_net", "sd_model") if values[name] is not None
        ]
        raise InvalidRequest(
            f"Wired in: {', '.join(wired)}. Missing: {', '.join(missing)}.",
            f"Wire {', '.join(sorted(needed))} for the local path of {unit.spec.label}, or none of them.",
        )
    return True


async def _run_here(unit: ControlNetUnit, values: dict[str, Any], bar: Bar) -> tuple[Any, Any, Any, Any]:
    """Positive, negative, control image and model on this machine."""
    from ..engines.comfy_control import attach
    from ..engines.comfy_latent import blends, with_blend
    from ..engines.comfy_reference import with_reference
    from .local_unit import check_local

    check_local(unit)
    made = await _pictures(unit, values, bar)
    positive, negative, model = values["positive"], values["negative"], values["sd_model"]
    by_steps = values["window_mode"] == "steps"
    if unit.spec.model_free:
        model = with_reference(
            model, unit, made.pictures, values["vae"], by_steps=by_steps, seed=values["seed"]
        )
        return positive, negative, made.shown, model
    if blends(unit.module):
        model = with_blend(model, unit, made.pictures, values["vae"])
    positive, negative = attach(
        positive,
        negative,
        values["control_net"],
        unit,
        made.hints,
        window_mode=values["window_mode"],
        vae=values["vae"],
    )
    return positive, negative, made.shown, model


async def _pictures(unit: ControlNetUnit, values: dict[str, Any], bar: Bar) -> LocalUnit:
    """The unit's control images, and what is worth saying as a text on the node."""
    from ..engines.comfy_control import takes_union_type
    from .local_unit import check_batch, geometry_of, is_ready_map, prepare, ready, region_of, stated_notices
    from .pixels import frames, masks

    image, given_mask = await linked_pictures(unit, values["image"], values["mask"], bar)
    geometry = geometry_of(values)
    pictures = frames(image, "image")
    check_batch(len(pictures), values["latent"])
    unit_masks = [] if given_mask is None else masks(given_mask, "mask")
    told = stated_notices(unit, geometry.hires is not None)
    if unit.union_control_type.value != "Unknown" and not takes_union_type(values["control_net"]):
        told.append("union_control_type: the control model is no union model; the type is not used.")
    if is_ready_map(unit, image, unit_masks, geometry):
        made = ready(unit, image, pictures)
    else:
        runtime = HostRuntime(bar)
        made = prepare(unit, pictures, unit_masks, geometry, runtime)
        told += [*made.notices, *runtime.notices]
    region = values["effective_region_mask"]
    if region is None:
        region = await _linked_mask(unit.effective_region_mask, bar)
    if region is not None:
        made.hints.region = region_of(region, len(pictures))
    if told:
        bar.text("\n".join(told))
    return made


async def linked_pictures(unit: ControlNetUnit, image: Any, mask: Any, bar: Bar) -> tuple[Any, Any]:
    """IMAGE and MASK (or None) of a unit: the wired ones, else those behind its links."""
    image = image if image is not None else await _linked(unit.image, "image", bar)
    return image, mask if mask is not None else await _linked_mask(unit.mask, bar)


async def _linked(link: str | None, name: str, bar: Bar) -> torch.Tensor:
    """A picture behind a link, fetched without holding up the host's other nodes."""
    from .pixels import to_image

    if link is None:
        raise InvalidRequest("The unit has no picture.", "Wire image, or fill in image_link.", field=name)
    array = await _fetched(link, bar)
    if array.ndim == 3 and array.shape[2] == 4:
        from ..base.pictures import flatten_over_white

        array = flatten_over_white(array)
    return to_image([array])


async def _linked_mask(link: str | None, bar: Bar) -> torch.Tensor | None:
    """A mask behind a link that `extra_json` names, as MASK; None without one."""
    import torch

    if link is None:
        return None
    array = await _fetched(link, bar)
    gray = array if array.ndim == 2 else array[:, :, 0]
    return torch.from_numpy(gray.astype("float32") / 255.0)[None]


async def _fetched(link: str, bar: Bar) -> Any:
    from ..storage.pictures import Pictures

    return await watch(lambda progress, cancelled: Pictures().get(link), bar, "img-open-fetch")
