"""The openpose_* modules: estimate, then draw. Which estimator made a map is told to the runtime.

Unless told otherwise (`estimators`), `openpose` (body only) is made by DWPose where its weights are found,
else by the MoveNet that comes with the pack; modules that draw hands or faces need DWPose. OpenPose's own
networks are for non-commercial use and make a map only when they are asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..base.errors import InvalidRequest
from ..controlnet.modules import find_module
from . import frames, pose_dw, pose_movenet, pose_openpose, tensors, weight_files
from .estimators import AUTO, DWPOSE, MOVENET, OPENPOSE, check_estimator, made_by
from .pose import Person, Points, Pose, draw_pose
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


def estimate_pose(
    module: str, image: Frame, resolution: float, runtime: Runtime, estimator: str = AUTO
) -> Pose:
    """The pose behind a module's map, for its JSON (`pose.pose_to_json`).

    The parts that the module does not draw are None.

    Args:
        module: an openpose module, name or label.
        image: uint8 `(H, W)` or `(H, W, C)`.
        resolution: processor_res; the pose's canvas is the picture at that size.
        estimator: one of `estimators.ESTIMATORS` that the module takes, else `InvalidRequest`.
    """
    name = find_module(module).name
    if name not in _PARTS:
        raise InvalidRequest.field("module", module, "one of " + ", ".join(_PARTS))
    check_estimator(name, estimator)
    picture = frames.to_rgb(frames.check_frame(image))
    if estimator == OPENPOSE:
        poses, kept = _openpose(name, [picture], resolution, runtime)
        return _on_canvas(poses[0], kept)
    return _estimate(name, frames.fit(picture, resolution), runtime, estimator)


def _estimate(name: str, picture: Frame, runtime: Runtime, estimator: str) -> Pose:
    stop_if_cancelled(runtime)
    _, hands, face = _PARTS[name]
    body_only = not (hands or face)
    if estimator == MOVENET or (estimator == AUTO and body_only and not _has_dwpose(runtime)):
        runtime.notice(made_by(name, MOVENET))
        return pose_movenet.estimate(picture, runtime)
    pose = pose_dw.estimate(picture, runtime)
    runtime.notice(made_by(name, DWPOSE))
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


def _openpose(
    name: str, pictures: Sequence[Frame], resolution: float, runtime: Runtime
) -> tuple[list[Pose], tuple[int, int]]:
    """Poses on canvases with the padding the original makes, and the height and width without it."""
    _, hands, face = _PARTS[name]
    inputs, kept = tensors.padded(pictures, resolution, runtime)
    poses = pose_openpose.estimate(inputs, runtime, hands=hands, face=face)
    runtime.notice(made_by(name, OPENPOSE))
    return poses, kept


def _on_canvas(pose: Pose, kept: tuple[int, int]) -> Pose:
    """The same places on a canvas without the padding."""
    height, width = kept
    across, down = pose.width / width, pose.height / height

    def moved(points: Points | None) -> Points | None:
        if points is None:
            return None
        return tuple(None if p is None else (p[0] * across, p[1] * down) for p in points)

    people = tuple(
        Person(moved(p.body) or p.body, moved(p.left_hand), moved(p.right_hand), moved(p.face))
        for p in pose.people
    )
    return Pose(people, width, height)


def _has_dwpose(runtime: Runtime) -> bool:
    folders = tuple(runtime.weight_folders())
    return all(weight_files.find(key, folders) is not None for key in ("dw_detector", "dw_pose"))


def _maps(name: str, pictures: Sequence[Frame], call: Call) -> list[Frame]:
    body = _PARTS[name][0]
    maps: list[Frame] = []
    if call.estimator == OPENPOSE:
        poses, kept = _openpose(name, pictures, call.resolution, call.runtime)
        for pose in poses:
            call.keep_pose(_on_canvas(pose, kept))
            maps.append(frames.cut(draw_pose(pose, body=body), kept))
        return maps
    for picture in pictures:
        pose = _estimate(name, frames.fit(picture, call.resolution), call.runtime, call.estimator)
        call.keep_pose(pose)
        maps.append(draw_pose(pose, body=body))
    return maps


def animal_openpose(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Animals: lines between AP-10K's 17 points."""
    maps: list[Frame] = []
    for picture in pictures:
        stop_if_cancelled(call.runtime)
        small = frames.fit(picture, call.resolution)
        found = tuple(pose_dw.estimate_animals(small, call.runtime))
        pose = Pose((), small.shape[1], small.shape[0], found)
        call.keep_pose(pose)
        maps.append(draw_pose(pose))
    return maps
