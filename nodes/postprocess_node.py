"""ImgOpenPostprocess: what recolor and inpaint_only units do to the decoded pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from comfy_api.latest import io

from ..base.errors import Cancelled, InvalidRequest
from ..preprocessors.postprocess import needs_post_process, post_process
from .controlnet_apply import linked_pictures
from .host import Bar, HostRuntime, stop_node
from .local_tables import POSTPROCESS
from .schema import schema
from .units import WiredUnit, chain

if TYPE_CHECKING:
    import torch

    from ..controlnet.unit import ControlNetUnit


class ImgOpenPostprocess(io.ComfyNode):
    """Unit by unit, in their order; units without such a step change nothing."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(POSTPROCESS)

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..controlnet.unit import ControlNetUnit

        images, bar = inputs["images"], Bar(cls.hidden.unique_id)
        try:
            for wired in chain(inputs["units"]):
                unit = ControlNetUnit.from_wire(wired.body)
                if unit.enabled and needs_post_process(unit.module):
                    images = await _finished(images, unit, wired, bar)
        except Cancelled:
            raise stop_node() from None
        return io.NodeOutput(images)


async def _finished(images: torch.Tensor, unit: ControlNetUnit, wired: WiredUnit, bar: Bar) -> torch.Tensor:
    import torch

    from ..preprocessors.control import Geometry
    from .local_unit import prepare
    from .pixels import frames, masks

    image, mask = await linked_pictures(unit, wired.image, wired.mask, bar)
    pictures = frames(image, "the unit's image")
    height, width, count = int(images.shape[1]), int(images.shape[2]), int(images.shape[0])
    if len(pictures) not in (1, count):
        raise InvalidRequest(
            f"The unit's image is a batch of {len(pictures)} pictures, images one of {count}.",
            "Give one picture for all, or one per picture.",
        )
    unit_masks = [] if mask is None else masks(mask, "the unit's mask")
    made = prepare(unit, pictures, unit_masks, Geometry(width=width, height=height), HostRuntime(bar))
    # At the very size of the pictures: a generation's own size is a multiple of 8, these may have been cut.
    fitted = made.pictures.low if made.pictures.fit is None else made.pictures.fit(height, width)
    controls = np.rint(fitted.movedim(1, -1).numpy() * 255.0)
    done = [
        post_process(unit.module, one[None], controls[number % len(controls)])
        for number, one in enumerate(images[..., :3].cpu().float().numpy())
    ]
    return torch.from_numpy(np.concatenate(done))
