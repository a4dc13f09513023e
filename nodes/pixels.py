"""ComfyUI's IMAGE and MASK tensors to and from the 8-bit arrays of the other rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import PictureError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


def frames(image: torch.Tensor, name: str) -> list[NDArray[np.uint8]]:
    """IMAGE (B, H, W, C), 0..1, as B arrays uint8 (H, W, C).

    Rounded to the nearest level, so that an 8-bit picture survives the way through floats.

    Raises:
        PictureError: not a batch of pictures, an empty one, or NaN/infinity in it.
    """
    return [_levels(one) for one in check_image(image, name)]


def check_image(image: torch.Tensor, name: str) -> torch.Tensor:
    """The IMAGE itself, if it is one: (B, H, W, 1, 3 or 4), not empty, finite.

    Raises:
        PictureError: it is not.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise PictureError(
            f"{name} has the shape {tuple(image.shape)}, but must be (batch, height, width, 1, 3 or 4), not "
            f"empty.",
            "Wire the output of an image node.",
        )
    return _finite(image, name)


def masks(mask: torch.Tensor, name: str) -> list[NDArray[np.uint8]]:
    """MASK (B, H, W) or (H, W), 0..1, as B arrays uint8 (H, W), 255 = repaint."""
    batch = mask.unsqueeze(0) if mask.ndim == 2 else mask
    if batch.ndim == 4 and batch.shape[1] == 1:
        batch = batch[:, 0]
    if batch.ndim != 3 or 0 in batch.shape:
        raise PictureError(
            f"{name} has the shape {tuple(mask.shape)}, but must be (batch, height, width), not empty.",
            "Wire the output of a mask node.",
        )
    return [_levels(one) for one in _finite(batch, name)]


def single(arrays: list[NDArray[np.uint8]], name: str) -> NDArray[np.uint8]:
    """The one picture of a batch, where a request has room for one only."""
    if len(arrays) != 1:
        raise PictureError(
            f"{name} is a batch of {len(arrays)} pictures, but a request takes one.",
            "Pick one with ImageFromBatch, or send one request per picture.",
        )
    return arrays[0]


def to_image(arrays: list[NDArray[np.uint8]]) -> torch.Tensor:
    """Arrays uint8 (H, W) or (H, W, 3) as IMAGE (B, H, W, 3).

    Pictures of different sizes get one batch as well: the smaller ones lie in the upper left corner on black.
    """
    import torch

    height = max(array.shape[0] for array in arrays)
    width = max(array.shape[1] for array in arrays)
    batch = np.zeros((len(arrays), height, width, 3), np.float32)
    for place, array in zip(batch, arrays, strict=True):
        colour = array[:, :, None] if array.ndim == 2 else array[:, :, :3]
        np.divide(colour, np.float32(255.0), out=place[: array.shape[0], : array.shape[1]])
    return torch.from_numpy(batch)


def _finite(tensor: torch.Tensor, name: str) -> torch.Tensor:
    import torch

    if not bool(torch.isfinite(tensor).all()):
        raise PictureError(
            f"{name} contains NaN or infinite values.", "Look at the node before: its result is broken."
        )
    return tensor


def _levels(tensor: torch.Tensor) -> NDArray[np.uint8]:
    array = tensor.detach().cpu().float().numpy()
    return np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
