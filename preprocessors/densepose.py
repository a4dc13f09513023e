"""DensePose: which part of the body every pixel shows, in the colours of a scale.

The network is a TorchScript file, so it brings its own code: a program of tensor operations, which is run,
not only read. What is done with its answer follows sd-webui-controlnet 1.1.455; the meaning of the answer is
detectron2's (projects/DensePose).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.command import command
from ..base.errors import MissingModel
from . import frames, tensors, weight_files
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call
    from .runtime import Runtime

_PARTS = 24  # parts of the body, numbered from 1
_KEY = "densepose"
_GROUND = (68, 1, 84)  # viridis at 0


def viridis(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Parts in viridis on its darkest violet, as MagicAnimate's ControlNet was trained."""
    import cv2

    return [_on_violet(made) for made in _coloured(pictures, call, cv2.COLORMAP_VIRIDIS)]


def parula(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Parts in parula on black."""
    import cv2

    return _coloured(pictures, call, cv2.COLORMAP_PARULA)


def _on_violet(made: Frame) -> Frame:
    """Zeros replaced channel by channel, as the original does it."""
    return np.where(made == 0, np.array(_GROUND, np.uint8), made)


def _coloured(pictures: Sequence[Frame], call: Call, colours: int) -> list[Frame]:
    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    made: list[Frame] = []
    for picture in inputs:  # the file takes one picture a time
        stop_if_cancelled(call.runtime)
        parts = _parts(_people(picture, call.runtime), picture.shape[0], picture.shape[1])
        made.append(frames.cut(_paint(parts, colours), kept))
    return made


def _people(picture: Frame, runtime: Runtime) -> list[torch.Tensor]:
    """The file's answer for an RGB frame: boxes `(N, 4)`, then per person coarse and fine part scores."""
    import torch

    made = _network(runtime)
    with torch.inference_mode():
        pixels = torch.from_numpy(picture).to(runtime.device).permute(2, 0, 1)
        try:
            boxes, coarse, fine, *_ = made(pixels)
        except (ValueError, TypeError) as error:
            path = weight_files.require(_KEY, runtime)
            raise _unusable(f"{path} does not answer as a DensePose network", str(path)) from error
    return [boxes, coarse, fine]


def _parts(people: list[torch.Tensor], height: int, width: int) -> NDArray[np.uint8]:
    """Part of every pixel `(H, W)`, 0 for none; where people overlap the last one is in front."""
    boxes, coarse, fine = people
    parts = np.zeros((height, width), np.uint8)
    for index in range(len(boxes)):
        x0, y0, x1, y1 = boxes[index].float().cpu().numpy()
        x, y, across, down = int(x0), int(y0), int(x1 - x0), int(y1 - y0)
        if across <= 0 or down <= 0:
            continue
        labels = _labels(coarse[index : index + 1], fine[index : index + 1], (down, across))
        seen = parts[max(y, 0) : y + down, max(x, 0) : x + across]
        labels = labels[max(-y, 0) :, max(-x, 0) :][: seen.shape[0], : seen.shape[1]]
        np.copyto(seen, labels, where=labels > 0)
    return parts


def _labels(coarse: torch.Tensor, fine: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The best part of every pixel of a person's box, 0 where the coarse scores say background."""
    import torch
    from torch.nn.functional import interpolate

    body = interpolate(coarse, size, mode="bilinear", align_corners=False).argmax(dim=1) > 0
    part = interpolate(fine, size, mode="bilinear", align_corners=False).argmax(dim=1)
    return (part * body)[0].to(torch.uint8).cpu().numpy()


def _paint(parts: NDArray[np.uint8], colours: int) -> Frame:
    """RGB: part k in the colour of k / 24 on the scale, black where there is none."""
    import cv2

    levels = (parts.astype(np.float32) * (255.0 / _PARTS)).clip(0, 255).astype(np.uint8)
    painted = cv2.cvtColor(cv2.applyColorMap(levels, colours), cv2.COLOR_BGR2RGB)
    painted[parts == 0] = 0
    return painted


def _network(runtime: Runtime) -> Any:
    """The TorchScript module. Raises `MissingModel` for a missing or unreadable file."""
    import torch

    from . import vision_ops

    @torch.inference_mode(False)  # as in networks.network
    def build() -> Any:
        path = weight_files.require(_KEY, runtime)
        vision_ops.provide()
        try:
            return torch.jit.load(str(path), map_location="cpu").eval()
        except Exception as error:  # RuntimeError for most damages, but not for all
            why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise _unusable(f"{path} cannot be read: {why}", str(path)) from error

    return runtime.load(f"preprocessor/{_KEY}", build)


def _unusable(what: str, path: str) -> MissingModel:
    return MissingModel(
        f"The weight file {what}.",
        f"Delete it and fetch it again: the node's download button, or `{command('models pull MODULE')}`.",
        file=path,
    )
