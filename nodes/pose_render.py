"""ImgOpenPoseRender: OpenPose JSON to control images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..base.errors import Cancelled, InvalidRequest
from .host import Bar, interrupted, stop_node
from .pose_tables import POSE_RENDER
from .schema import schema

if TYPE_CHECKING:
    import torch

    from ..preprocessors.pose import Pose


class ImgOpenPoseRender(io.ComfyNode):
    """Poses in, a batch of pictures out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(POSE_RENDER)

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..preprocessors.pose import pose_to_json, poses_from_json, unsure_points

        values = {**POSE_RENDER.defaults(), **inputs}
        given = _given(values)
        poses = poses_from_json(given)
        if not poses:
            raise InvalidRequest(
                "The pose is an empty list: there is nothing to draw.",
                "A Preprocessor gives one for modules that draw no pose, and for run_on remote.",
            )
        bar = Bar(cls.hidden.unique_id)
        try:
            pictures = _drawn(poses, values, bar)
        except Cancelled:
            raise stop_node() from None
        told: list[str] = []
        if unsure := unsure_points(given):
            told.append(f"{unsure} points have a confidence below 1 and were left out, as in the web UI.")
            bar.text("\n".join(told))
        frames = [pose_to_json(pose) for pose in poses]
        return io.NodeOutput(pictures, json.dumps(frames), frames)


def _given(values: dict[str, Any]) -> Any:
    if values["pose_keypoint"] is not None:
        return values["pose_keypoint"]
    if not values["pose"].strip():
        raise InvalidRequest(
            "There is no pose: the text is empty and pose_keypoint is not wired.",
            "Paste OpenPose JSON, or wire the pose of a Preprocessor with an openpose module.",
        )
    return values["pose"]


def _drawn(poses: list[Pose], values: dict[str, Any], bar: Bar) -> torch.Tensor:
    import numpy as np
    import torch

    from ..preprocessors.frames import write_frame
    from ..preprocessors.pose import draw_pose

    size = _size(poses, int(values["width"]), int(values["height"]))
    _check_memory(len(poses), *size)
    batch = np.empty((len(poses), *size, 3), np.float32)
    for index, pose in enumerate(poses):
        if interrupted():
            raise Cancelled("Drawing the poses was stopped.")
        made = draw_pose(pose, body=values["body"], hands=values["hands"], face=values["face"], size=size)
        write_frame(made, batch[index])
        bar.show((index + 1) / len(poses))
    return torch.from_numpy(batch)


def _check_memory(count: int, height: int, width: int) -> None:
    """Refuse a batch that would fill the machine's memory: the host would be killed for it."""
    import torch
    from comfy import model_management

    needed, free = count * height * width * 3 * 4, model_management.get_free_memory(torch.device("cpu"))
    if needed > 0.7 * free:
        raise InvalidRequest(
            f"{count} pictures of {width} x {height} need {needed / 2**30:.1f} GiB of memory, and "
            f"{free / 2**30:.1f} GiB are free.",
            "Give a smaller width and height, or fewer frames.",
        )


def _size(poses: list[Pose], width: int, height: int) -> tuple[int, int]:
    """(height, width) of every picture."""
    from ..preprocessors.frames import check_size

    canvases = {(pose.width, pose.height) for pose in poses}
    if len(canvases) > 1 and not (width and height):
        shown = ", ".join(f"{across}x{down}" for across, down in sorted(canvases)[:4])
        raise InvalidRequest(
            f"The frames have canvases of different sizes ({shown}), but a batch has one.",
            "Give width and height.",
        )
    across, down = canvases.pop()
    if width and not height:
        height = max(1, round(down * width / across))
    elif height and not width:
        width = max(1, round(across * height / down))
    size = height or down, width or across
    check_size(*size)
    return size
