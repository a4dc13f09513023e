"""Between frames and a network: one tensor in, one tensor out, for the whole list of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import frames

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame
    from .runtime import Runtime


def padded(
    pictures: Sequence[Frame], resolution: float, runtime: Runtime
) -> tuple[list[Frame], tuple[int, int]]:
    """`frames.fit_padded` of every picture (all have one size), over threads."""
    done = frames.over_frames(
        lambda picture: frames.fit_padded(picture, resolution), pictures, runtime.threads
    )
    return [picture for picture, _ in done], done[0][1]


def to_device(pictures: Sequence[NDArray[Any]], runtime: Runtime) -> torch.Tensor:
    """Frames `(H, W, C)` or `(H, W)` of one size to float `(B, C, H, W)`, values unchanged.

    Channels stay last in memory, which most convolutions on a CPU like; call `contiguous` where they do not.
    """
    import torch

    stacked = np.stack(pictures)
    tensor = torch.from_numpy(stacked).to(runtime.device)
    if tensor.ndim == 3:
        return tensor[:, None].float()
    return tensor.permute(0, 3, 1, 2).float()


def to_gray(values: torch.Tensor) -> list[Frame]:
    """`(B, H, W)` of 0..1 to uint8 frames `(H, W)`: times 255, clipped, truncated."""
    import torch

    return list((values * 255.0).clamp_(0, 255).to(torch.uint8).cpu().numpy())
