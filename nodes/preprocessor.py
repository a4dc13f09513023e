"""ImgOpenPreprocessor: pictures to control images."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io

from ..base.errors import Cancelled, InvalidRequest
from ..preprocessors.estimators import ESTIMATORS
from .bodies import check_choice
from .host import Bar, HostRuntime, stop_node
from .schema import schema
from .tables import PREPROCESSOR, RUN_ON
from .unit_fields import RESIZE_MODES


class ImgOpenPreprocessor(io.ComfyNode):
    """A batch of pictures in, a batch of control images out, with the poses behind them if there are any."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(PREPROCESSOR)

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..controlnet.modules import effective_sliders, find_module
        from ..preprocessors.run import run_batch
        from .pixels import check_image

        values = {**PREPROCESSOR.defaults(), **inputs}
        image = check_image(values["image"], "image")
        module = str(values["module"])
        resolution, a, b, notices = effective_sliders(
            module, values["processor_res"], values["threshold_a"], values["threshold_b"]
        )
        if values["pixel_perfect"]:
            resolution = _pixel_perfect(values, int(image.shape[1]), int(image.shape[2]))
        bar = Bar(cls.hidden.unique_id)
        check_choice("run_on", values["run_on"], RUN_ON)
        check_choice("estimator", values["estimator"], ESTIMATORS)
        if values["run_on"] == "remote":
            if values["estimator"] != ESTIMATORS[0]:
                raise InvalidRequest.field("estimator", values["estimator"], "auto: a server chooses its own")
            from .remote_preprocess import SLIDERS_ARE_THE_SERVERS, preprocess_remotely

            maps, side = await preprocess_remotely(image, find_module(module).name, values, bar)
            bar.text(SLIDERS_ARE_THE_SERVERS)
            return io.NodeOutput(maps, side, "[]", [])
        poses: list[dict[str, Any]] = []
        try:
            maps = run_batch(
                module,
                image,
                processor_res=resolution,
                threshold_a=a,
                threshold_b=b,
                seed=values["seed"],
                poses=poses,
                estimator=values["estimator"],
                runtime=(runtime := HostRuntime(bar)),
            )
        except Cancelled:
            raise stop_node() from None
        if told := [*notices, *runtime.notices]:
            bar.text("\n".join(told))
        return io.NodeOutput(maps, round(resolution), json.dumps(poses), poses)


def _pixel_perfect(values: dict[str, Any], height: int, width: int) -> int:
    """processor_res from picture and generation; a size that is not given is the picture's own."""
    from ..controlnet.sizing import pixel_perfect_resolution
    from ..controlnet.unit import ResizeMode

    check_choice("resize_mode", values["resize_mode"], RESIZE_MODES)
    target_height = values["height"] // 8 * 8 or height
    target_width = values["width"] // 8 * 8 or width
    return pixel_perfect_resolution(
        height, width, target_height, target_width, ResizeMode(values["resize_mode"])
    )
