"""The openpose_* modules: estimate, then draw. Which estimator made a map is told to the runtime.

`openpose` (body only) is made by DWPose where its weights are found, else by the MoveNet that comes with the
pack. Modules that draw hands or faces need DWPose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import InvalidRequest
from ..controlnet.modules import find_module
from . import frames, pose_dw, pose_movenet, weight_files
from .pose import Point, Pose, draw_pose
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    from .frames import Frame
    from .free import Call
    from .runtime import Runtime

# What each module draws: body, hands, face.
_PARTS = {
    "openpose": (True, False, False),
    "openpose_hand": (True, True, False),
    "openpose_face": (True, False, True),
    "openpose_faceonly": (False, False, True),
    "openpose_full": (True, True, True),
    "dw_openpose_full": (True, True, True),
}
# AP-10K: eyes, nose, neck, tail root, then the four legs.
_ANIMAL_LIMBS = (
    (0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (5, 6), (6, 7), (3, 8), (8, 9), (9, 10),
    (4, 11), (11, 12), (12, 13), (4, 14), (14, 15), (15, 16),
)  # fmt: skip


def openpose(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Bodies."""
    return _maps("openpose", pictures, call)


def openpose_hand(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Bodies and hands."""
    return _maps("openpose_hand", pictures, call)


def openpose_face(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Bodies and faces."""
    return _maps("openpose_face", pictures, call)


def openpose_faceonly(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Faces."""
    return _maps("openpose_faceonly", pictures, call)


def openpose_full(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Bodies, hands and faces."""
    return _maps("openpose_full", pictures, call)


def estimate_pose(module: str, image: Frame, resolution: float, runtime: Runtime) -> Pose:
    """The pose behind a module's map, for its JSON (`pose.pose_to_json`).

    The parts that the module does not draw are None.

    Args:
        module: an openpose module, name or label.
        image: uint8 `(H, W)` or `(H, W, C)`.
        resolution: processor_res; the pose's canvas is the picture at that size.
    """
    name = find_module(module).name
    if name not in _PARTS:
        raise InvalidRequest.field("module", module, "one of " + ", ".join(_PARTS))
    return _estimate(name, frames.fit(frames.to_rgb(frames.check_frame(image)), resolution), runtime)


def _estimate(name: str, picture: Frame, runtime: Runtime) -> Pose:
    stop_if_cancelled(runtime)
    _, hands, face = _PARTS[name]
    if not (hands or face) and not _has_dwpose(runtime):
        runtime.notice(
            "The pose was made by MoveNet (comes with the pack): body only. Fetch dw_pose for DWPose."
        )
        return pose_movenet.estimate(picture, runtime)
    pose = pose_dw.estimate(picture, runtime)
    runtime.notice("The pose was made by DWPose.")
    people = [
        replace(
            person,
            left_hand=person.left_hand if hands else None,
            right_hand=person.right_hand if hands else None,
            face=person.face if face else None,
        )
        for person in pose.people
    ]
    return replace(pose, people=tuple(people))


def _has_dwpose(runtime: Runtime) -> bool:
    folders = tuple(runtime.weight_folders())
    return all(weight_files.find(key, folders) is not None for key in ("dw_detector", "dw_pose"))


def _maps(name: str, pictures: Sequence[Frame], call: Call) -> list[Frame]:
    body = _PARTS[name][0]
    poses = [_estimate(name, frames.fit(picture, call.resolution), call.runtime) for picture in pictures]
    return [draw_pose(pose, body=body) for pose in poses]


def animal_openpose(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Animals: AP-10K's 17 points, in OpenPose's colours."""
    maps: list[Frame] = []
    for picture in pictures:
        stop_if_cancelled(call.runtime)
        small = frames.fit(picture, call.resolution)
        maps.append(
            _draw_animals(pose_dw.estimate_animals(small, call.runtime), small.shape[0], small.shape[1])
        )
    return maps


def _draw_animals(animals: Sequence[Sequence[Point | None]], height: int, width: int) -> Frame:
    import colorsys

    import cv2

    canvas = np.zeros((height, width, 3), np.uint8)
    for points in animals:
        pixels = [None if p is None else (int(p[0] * width), int(p[1] * height)) for p in points]
        for index, (first, second) in enumerate(_ANIMAL_LIMBS):
            a, b = pixels[first], pixels[second]
            if a is not None and b is not None:
                colour = [c * 255 for c in colorsys.hsv_to_rgb(index / len(_ANIMAL_LIMBS), 1.0, 1.0)]
                cv2.line(canvas, a, b, colour, thickness=5)
        for pixel in pixels:
            if pixel is not None:
                cv2.circle(canvas, pixel, 4, (255, 255, 255), thickness=-1)
    return canvas
