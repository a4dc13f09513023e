"""Sizes of control pictures: pixel perfect, the size a preprocessor works at, and how a map meets its target.

Pictures are numpy arrays (H, W[, C]), uint8 unless said otherwise. The rules are those of sd-webui-controlnet
1.1.455; rounding is Python's, half to even, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InvalidRequest, PictureError
from ..base.pictures import flatten_over_white
from .hires import HiresPlan, hires_target
from .modules import find_module
from .resizing import high_quality_resize
from .spelling import ResizeMode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[Any]

__all__ = [
    "HiresPlan",
    "ResizeMode",
    "detectmap_proc",
    "high_quality_resize",
    "hires_target",
    "pixel_perfect_resolution",
    "resize_image_with_pad",
    "target_size",
    "to_hint",
    "working_size",
]

_PAD_TO = 64


def target_size(width: int, height: int) -> tuple[int, int]:
    """Size of the control picture for a request of width x height: (width, height) cut to multiples of 8."""
    if width < 8 or height < 8:
        raise InvalidRequest.field("width x height", f"{width} x {height}", "at least 8 x 8 pixels")
    return width // 8 * 8, height // 8 * 8


def pixel_perfect_resolution(
    image_h: int, image_w: int, target_h: int, target_w: int, resize_mode: ResizeMode
) -> int:
    """The processor_res whose map needs no enlarging: the picture's short side after the resize.

    It replaces the unit's processor_res without a range check. With the hires fix the low-res target counts.
    """
    if min(image_h, image_w) < 1:
        raise PictureError(
            f"A control picture has {image_w} x {image_h} pixels.", "Give a picture that is not empty."
        )
    scale_h, scale_w = target_h / image_h, target_w / image_w
    scale = min(scale_h, scale_w) if resize_mode is ResizeMode.FILL else max(scale_h, scale_w)
    return round(scale * min(image_h, image_w))


def working_size(image_h: int, image_w: int, resolution: float) -> tuple[int, int]:
    """(height, width) at which a preprocessor looks at the picture: the short side is `resolution`."""
    scale = resolution / min(image_h, image_w)
    return round(image_h * scale), round(image_w * scale)


def resize_image_with_pad(
    image: NDArray[np.uint8], resolution: float
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The picture at its working size, padded right and bottom to multiples of 64 by repeating the edge.

    Gray and RGBA are flattened to three channels first. Returns the padded (H, W, 3) and the unpadded
    (height, width): cut what the preprocessor gives back to it.

    Raises:
        PictureError: the picture is empty, or so small or narrow that nothing is left of it.
    """
    import cv2

    color = flatten_over_white(image)
    if color.size == 0:
        raise PictureError(
            f"A control picture has the shape {image.shape}.", "Give a picture that is not empty."
        )
    height, width = working_size(color.shape[0], color.shape[1], resolution)
    if height < 1 or width < 1:
        raise PictureError(
            f"At processor_res {resolution:g} a picture of {color.shape[1]} x {color.shape[0]} vanishes.",
            "Use a processor_res of 64 or more.",
        )
    grows = resolution > min(color.shape[:2])
    resized = cv2.resize(
        np.ascontiguousarray(color),
        (width, height),
        interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA,
    ).astype(np.uint8)
    padding = ((0, -height % _PAD_TO), (0, -width % _PAD_TO), (0, 0))
    return np.pad(resized, padding, mode="edge"), (height, width)


def detectmap_proc(detected: Picture, module: str, resize_mode: ResizeMode, h: int, w: int) -> Picture:
    """What a preprocessor gave, brought to the target of h x w pixels: uint8 (h, w, 3).

    For inpaint modules (H, W, 4) stays so, mask last, and the result is float32 0..255 (bicubic overshoot is
    not clipped). `module` is a name or a label.

    Raises:
        PictureError: not a picture, or an empty one; InvalidRequest: unknown module.
    """
    if find_module(module).is_inpaint:
        picture: Picture = detected.astype(np.float32)
        if picture.ndim != 3 or picture.shape[2] not in (3, 4):
            raise PictureError(
                f"The control picture of module {module} has the shape {detected.shape}.",
                "Inpaint modules need (H, W, 4): colour and mask.",
            )
    else:
        picture = flatten_over_white(detected)
    if picture.size == 0:
        raise PictureError(
            f"The control picture has the shape {detected.shape}.", "Give one that is not empty."
        )
    if resize_mode is ResizeMode.JUST:
        return high_quality_resize(picture, (w, h))
    scale_h, scale_w = h / picture.shape[0], w / picture.shape[1]
    if resize_mode is ResizeMode.CROP:
        return _crop(_scale(picture, max(scale_h, scale_w)), h, w)
    return _fill(picture, _scale(picture, min(scale_h, scale_w)), h, w)


def _scale(picture: Picture, factor: float) -> Picture:
    # A very long and thin picture would round to nothing, which the original's resize refuses too.
    height, width = max(1, round(picture.shape[0] * factor)), max(1, round(picture.shape[1] * factor))
    return high_quality_resize(picture, (width, height))


def _crop(picture: Picture, h: int, w: int) -> Picture:
    top = max(0, (picture.shape[0] - h) // 2)
    left = max(0, (picture.shape[1] - w) // 2)
    return picture[top : top + h, left : left + w]


def _fill(original: Picture, picture: Picture, h: int, w: int) -> Picture:
    """The scaled picture in the middle of a ground that has the median colour of the original's border."""
    border = np.concatenate([original[0], original[-1], original[:, 0], original[:, -1]], axis=0)
    color = np.median(border, axis=0).astype(picture.dtype)
    if color.shape[0] == 4:
        # What lies outside the picture is to be painted.
        color[3] = 255
    ground = np.tile(color[None, None], (h, w, 1))
    top = max(0, (h - picture.shape[0]) // 2)
    left = max(0, (w - picture.shape[1]) // 2)
    ground[top : top + picture.shape[0], left : left + picture.shape[1]] = picture[: h - top, : w - left]
    return ground


def to_hint(control: Picture) -> NDArray[np.float32]:
    """A control picture (h, w, 3) or (h, w, 4), 0..255, as what a control model gets: float32 (1, 3, h, w).

    Values are 0..1; with a mask as 4th channel the masked pixels are -1 in all channels.
    """
    values = np.moveaxis(control.astype(np.float32) / 255.0, 2, 0)[None]
    color, mask = values[:, :3], values[:, 3:]
    if mask.shape[1]:
        masked = (mask > 0.5).astype(np.float32)
        color = color * (1 - masked) - masked
    return np.ascontiguousarray(color)
