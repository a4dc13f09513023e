# pyright: basic
"""The init image and its mask, prepared and pasted back as the web UI's img2img tab does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..a1111 import img2img
from ..base.errors import InvalidRequest, PictureError
from ..base.pictures import flatten_over_white

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..api.request import Request

Frame = Any  # NDArray[np.uint8]; spelt once so that the signatures below stay readable


@dataclass
class InitPicture:
    """What img2img starts from.

    Attributes:
        picture: uint8 (H, W, 3), what is encoded; of the request's size unless `resize_latent`.
        mask: uint8 (h, w), 255 = repaint, soft, of the request's size; None without a mask.
        overlay: uint8 (H0, W0, 4) that is laid over the result, alpha 255 = keep; None without a mask.
        paste: (x, y, width, height) of the result inside the overlay ("only masked"), or None.
        resize_latent: the latents are resized, not the picture (resize_mode 3).
        fill: inpainting_fill: 0 fill, 1 original, 2 latent noise, 3 latent nothing.
    """

    picture: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    overlay: NDArray[np.uint8] | None
    paste: tuple[int, int, int, int] | None
    resize_latent: bool
    fill: int


def prepare_init(request: Request, picture: Frame, mask: Frame | None, size: tuple[int, int]) -> InitPicture:
    """Bring init image and mask to the request's size.

    Args:
        request: its resize_mode, mask blur, inversion, fill and "only masked" fields count.
        picture: uint8 (H, W[, C]); transparency is flattened over white.
        mask: uint8 (H, W[, C]), white = repaint, or None.
        size: (width, height) of the result, multiples of 8.

    Raises:
        PictureError: "only masked" with a mask of another size than the picture.
        InvalidRequest: "only masked" with an empty mask.
    """
    width, height = size
    rgb = flatten_over_white(picture)
    latent = request.resize_mode == 3
    if mask is None:
        if not latent:
            rgb = img2img.resize_image(request.resize_mode, rgb, width, height)
        return InitPicture(rgb, None, None, None, latent, 1)
    soft = soft_mask(mask, request)
    if request.inpaint_full_res:
        return _only_masked(request, rgb, soft, size)
    if not latent:
        rgb = img2img.resize_image(request.resize_mode, rgb, width, height)
    soft = _sized_mask(0 if latent else request.resize_mode, soft, width, height)
    base = rgb if not latent else img2img.resize_image(0, rgb, width, height)
    overlay = np.dstack([base, 255 - img2img.overlay_mask(soft)])
    return InitPicture(_filled(request, rgb, soft), soft, overlay, None, latent, request.inpainting_fill)


def _only_masked(request: Request, rgb: Frame, soft: Frame, size: tuple[int, int]) -> InitPicture:
    if soft.shape != rgb.shape[:2]:
        raise PictureError(
            f"The mask is {soft.shape[1]}x{soft.shape[0]}, the init image {rgb.shape[1]}x{rgb.shape[0]}.",
            "With inpaint_full_res (only masked) both must have the same size.",
        )
    if not soft.any():
        raise InvalidRequest(
            "The mask is empty, so there is nothing to repaint with inpaint_full_res (only masked).",
            "Paint the part to change white, or set inpainting_mask_invert, or inpaint_full_res to false.",
            field="alwayson_scripts.mask_link",
        )
    width, height = size
    region = img2img.crop_region(soft, request.inpaint_full_res_padding)
    left, top, right, bottom = img2img.expand_crop_region(region, width, height, soft.shape[1], soft.shape[0])
    part = np.ascontiguousarray(rgb[top:bottom, left:right])
    part_mask = np.ascontiguousarray(soft[top:bottom, left:right])
    part = img2img.resize_image(2, part, width, height)
    part_mask = _sized_mask(2, part_mask, width, height)
    overlay = np.dstack([rgb, 255 - soft])
    paste = (left, top, right - left, bottom - top)
    return InitPicture(
        _filled(request, part, part_mask), part_mask, overlay, paste, False, request.inpainting_fill
    )


def _filled(request: Request, picture: Frame, mask: Frame) -> Frame:
    # Everything but "original" starts from surroundings smeared into the hole, also what later becomes noise.
    if request.inpainting_fill == 1 or picture.shape[:2] != mask.shape:
        return picture
    return img2img.fill_masked(picture, mask)


def soft_mask(mask: Frame, request: Request) -> NDArray[np.uint8]:
    """The mask as gray uint8 (H, W), inverted if asked and blurred per axis."""
    gray = img2img.read_mask(mask, invert=bool(request.inpainting_mask_invert))
    return np.ascontiguousarray(img2img.blur_mask(gray, *request.mask_blur_xy))


def _sized_mask(mode: int, mask: Frame, width: int, height: int) -> NDArray[np.uint8]:
    sized = img2img.resize_image(mode, mask, width, height)
    return np.ascontiguousarray(sized if sized.ndim == 2 else sized[:, :, 0])


def paste_back(result: NDArray[np.uint8], init: InitPicture) -> NDArray[np.uint8]:
    """The finished picture with what was to be kept laid over it: uint8 (H0, W0, 3)."""
    if init.overlay is None:
        return result
    height, width = init.overlay.shape[:2]
    base = np.zeros((height, width, 3), np.uint8)
    if init.paste is None:
        base = (
            result if result.shape[:2] == (height, width) else img2img.resize_image(1, result, width, height)
        )
    else:
        x, y, paste_width, paste_height = init.paste
        base[y : y + paste_height, x : x + paste_width] = img2img.resize_image(
            1, result, paste_width, paste_height
        )
    keep = init.overlay[:, :, 3:].astype(np.float32) / 255.0
    mixed = init.overlay[:, :, :3] * keep + base * (1.0 - keep)
    return np.rint(mixed).astype(np.uint8)
