"""What recolor_* and inpaint_only do to the finished pictures, after sd-webui-controlnet 1.1.455."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PictureError
from ..controlnet.modules import find_module
from . import frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_BLEND = 7  # pixels the repainted part reaches beyond its mask, and the width of the soft edge


def needs_post_process(module: str) -> bool:
    """Whether `post_process` does anything for this module."""
    return find_module(module).name in {
        "recolor_luminance",
        "recolor_intensity",
        "inpaint_only",
        "inpaint_only+lama",
    }


def post_process(
    module: str, images: NDArray[Any], control: NDArray[Any], *, threads: int = 1
) -> NDArray[np.float32]:
    """The step after decoding.

    Args:
        module: name or label; modules without such a step give the pictures back unchanged.
        images: float `(B, H, W, 3)` RGB, 0..1.
        control: the unit's control image at the same size, hires one if there is one: uint8 `(H, W, 3)`, or
            `(H, W, 4)` (uint8 or float of 0..255, mask last) for the inpaint modules.
        threads: pictures worked on at once.

    Returns:
        float32 `(B, H, W, 3)`. Raises `PictureError` if the sizes differ or the mask is missing.
    """
    name = find_module(module).name
    pictures = np.asarray(images, dtype=np.float32)
    if not needs_post_process(name):
        return pictures
    if pictures.ndim != 4 or pictures.shape[1:3] != control.shape[:2]:
        raise PictureError(
            f"The control image is {frames.size_text(control)}, the pictures' shape is {pictures.shape}.",
            "Both need the same size; pass the unit's control image at the size of the result.",
        )
    if name.startswith("inpaint"):
        return _keep_outside(pictures, control)
    step = _luminance if name == "recolor_luminance" else _intensity
    return np.stack(frames.over_frames(_with_channel(step, control), list(pictures), threads))


def _keep_outside(pictures: NDArray[np.float32], control: NDArray[Any]) -> NDArray[np.float32]:
    import cv2

    if control.ndim != 3 or control.shape[2] != 4:
        raise PictureError(f"inpaint_only needs a control image with a mask (H, W, 4), not {control.shape}.")
    values = control.astype(np.float32) / np.float32(255.0)
    kernel = np.ones((_BLEND, _BLEND), np.uint8)
    mask = cv2.dilate(values[:, :, 3], kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    # Beyond the border counts as zero, as in torch's average pooling.
    mask = cv2.blur(mask, (_BLEND, _BLEND), borderType=cv2.BORDER_CONSTANT)[None, :, :, None]
    blended = mask * pictures.clip(0, 1) + (1 - mask) * values[None, :, :, :3]
    return np.asarray(blended, np.float32)


def _with_channel(
    step: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]], control: NDArray[Any]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    gray = np.ascontiguousarray(control[:, :, 0]).astype(np.uint8)

    def one(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        pixels = (picture * 255.0).clip(0, 255).astype(np.uint8)
        return np.asarray(step(pixels, gray) / np.float32(255.0), np.float32)

    return one


def _luminance(pixels: NDArray[Any], gray: NDArray[Any]) -> NDArray[Any]:
    import cv2

    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = gray
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _intensity(pixels: NDArray[Any], gray: NDArray[Any]) -> NDArray[Any]:
    import cv2

    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[:, :, 2] = gray
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
