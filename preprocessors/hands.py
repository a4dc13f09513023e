"""Depth of hands rebuilt as meshes (MeshGraphormer), by the package handrefinerportable.

That package brings the MANO hand model, which is for non-commercial use only; nothing of it is in this pack.
What is around it follows sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..base.command import command
from ..base.errors import MissingDependency, MissingModel
from . import frames, tensors, weight_files
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    from .frames import Frame
    from .free import Call
    from .runtime import Runtime

_BOX_PADDING = 30
_WEIGHTS = ("hand_refiner", "hand_refiner_backbone")


def hand_refiner(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Depth of up to two hands on black, near is bright. A picture without hands gives black, and is told."""
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    made = call.runtime.load("preprocessor/hand_refiner", lambda: _detector(call.runtime))
    maps: list[Frame] = []
    for picture in inputs:
        stop_if_cancelled(call.runtime)
        depth, _, found = made(
            picture,
            output_type="np",
            detect_resolution=call.resolution,
            mask_bbox_padding=_BOX_PADDING,
        )
        if found is None:
            call.runtime.notice("depth_hand_refiner found no hand in a picture: its map is black.")
        maps.append(frames.cut(depth, kept))
    return maps


def _detector(runtime: Runtime) -> Any:
    """The package's detector with this machine's weight files.

    Raises `MissingDependency` if the package, or one it needs, cannot be imported, and `MissingModel`.
    """
    import torch

    files = [weight_files.require(key, runtime) for key in _WEIGHTS]
    with _untouched(), contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng():
        try:
            from hand_refiner import MeshGraphormerDetector  # pyright: ignore[reportMissingImports]
            from hand_refiner.pipeline import (  # pyright: ignore[reportMissingImports]
                MeshGraphormerMediapipe,
                args,
            )
        except Exception as error:
            raise MissingDependency(
                f"handrefinerportable cannot be imported: {type(error).__name__}: {error}.",
                "It needs mediapipe, trimesh, rtree, torchvision, and transformers 4 (it ran with 4.38.2).",
                package="hand_refiner",
            ) from error
        args.resume_checkpoint, args.hrnet_checkpoint = (str(file) for file in files)
        args.device = runtime.device
        try:
            return MeshGraphormerDetector(MeshGraphormerMediapipe(args))
        except Exception as error:  # a broken file shows in many ways, and so do packages that do not fit
            raise MissingModel(
                f"handrefinerportable cannot build its networks from {files[0]} and {files[1]}: "
                f"{str(error)[:200]}",
                "If a file is damaged, delete it and fetch it again: the node's download button, or "
                f"`{command('models pull ' + ' '.join(_WEIGHTS))}`. If not, mediapipe, protobuf or "
                "transformers are of another version than the package knows (it ran with 0.10.21, 4.25.9 and "
                "4.38.2).",
                file=str(files[0]),
            ) from error


@contextlib.contextmanager
def _untouched() -> Iterator[None]:
    """Put the environment and numpy's and Python's random numbers back: the package sets all three."""
    import random

    import numpy as np

    environment, drawn, legacy = dict(os.environ), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(drawn)
        np.random.set_state(legacy)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
