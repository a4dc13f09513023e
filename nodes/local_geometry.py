"""Pictures and masks on their way into and out of image to image, with the web UI's geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from comfy_api.latest import io

from ..a1111 import img2img
from ..base.errors import InvalidRequest, PictureError
from .background import watch
from .bodies import check_choice, index
from .host import Bar
from .local_tables import CROP, FILL, MASK, PASTE, PICTURE, RESIZE
from .pixels import frames, masks, single, to_image
from .request_fields import REQUEST_RESIZE_MODES
from .schema import schema
from .unit_fields import RESIZE_MODES

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

LATENT_ONLY = 3  # the resize mode that leaves the picture alone


class ImgOpenPicture(io.ComfyNode):
    """A picture by its link, fetched without holding up the host's other nodes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(PICTURE)

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..base.pictures import flatten_over_white
        from ..storage.pictures import PREFIX, Pictures
        from .picture_store import STORE

        link = str(inputs["link"]).strip()
        if link.startswith(PREFIX):
            array = STORE.get(link)
        else:
            bar = Bar(cls.hidden.unique_id)
            array = await watch(lambda progress, cancelled: Pictures().get(link), bar, "img-open-fetch")
        colour = flatten_over_white(array) if array.ndim == 3 and array.shape[2] == 4 else array
        return io.NodeOutput(to_image([colour]), to_mask([img2img.read_mask(array)]))


class ImgOpenResize(io.ComfyNode):
    """The web UI's resize modes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(RESIZE)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        values = {**RESIZE.defaults(), **inputs}
        mode = index("resize_mode", values["resize_mode"], REQUEST_RESIZE_MODES)
        width, height = values["width"], values["height"]
        pictures = [colour(each) for each in frames(values["image"], "image")]
        resized = [img2img.resize_image(mode, each, width, height) for each in pictures]
        if values["mask"] is None:
            blank = np.zeros(resized[0].shape[:2], np.uint8)
            return io.NodeOutput(to_image(resized), to_mask([blank]))
        # A mask has no latent of its own: it is stretched where the picture is left alone.
        mask_mode = 0 if mode == LATENT_ONLY else mode
        sized = [sized_mask(mask_mode, each, width, height) for each in masks(values["mask"], "mask")]
        return io.NodeOutput(to_image(resized), to_mask(sized))


class ImgOpenMask(io.ComfyNode):
    """Inverted and blurred."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(MASK)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        values = {**MASK.defaults(), **inputs}
        given = masks(values["mask"], "mask")
        if values["image"] is not None:
            check_same_size(given[0], values["image"])
        soft = [
            img2img.blur_mask(
                img2img.read_mask(each, bool(values["invert"])), values["blur_x"], values["blur_y"]
            )
            for each in given
        ]
        return io.NodeOutput(to_mask(soft))


class ImgOpenMaskFill(io.ComfyNode):
    """Masked content: fill."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(FILL)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        pictures, holes = frames(inputs["image"], "image"), masks(inputs["mask"], "mask")
        filled = [
            img2img.fill_masked(colour(each), hole)
            for each, hole in zip(pictures, one_each(holes, pictures), strict=True)
        ]
        return io.NodeOutput(to_image(filled))


class ImgOpenCropMasked(io.ComfyNode):
    """Only masked, the way in."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(CROP)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        values = {**CROP.defaults(), **inputs}
        check_choice("resize_mode", values["resize_mode"], RESIZE_MODES)
        mode = RESIZE_MODES.index(values["resize_mode"])
        width, height = values["width"], values["height"]
        mask = single(masks(values["mask"], "mask"), "mask")
        if not mask.any():
            raise InvalidRequest(
                "The mask is empty, so there is nothing to repaint with inpaint_full_res (only masked).",
                "Paint the part to change white, or invert the mask, or repaint the whole picture.",
                field="alwayson_scripts.mask_link",
            )
        box = img2img.crop_region(mask, values["padding"])
        left, top, right, bottom = img2img.expand_crop_region(
            box, width, height, mask.shape[1], mask.shape[0]
        )
        parts: list[Picture] = []
        for picture in frames(values["image"], "image"):
            rgb = colour(picture)
            if rgb.shape[:2] != mask.shape:
                rgb = img2img.resize_image(mode, rgb, mask.shape[1], mask.shape[0])
            part = np.ascontiguousarray(rgb[top:bottom, left:right])
            parts.append(img2img.resize_image(2, part, width, height))
        part_mask = sized_mask(2, np.ascontiguousarray(mask[top:bottom, left:right]), width, height)
        region = (left, top, right - left, bottom - top)
        return io.NodeOutput(to_image(parts), to_mask([part_mask]), region)


class ImgOpenPasteMasked(io.ComfyNode):
    """The repainted part laid over the original."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(PASTE)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        values = {**PASTE.defaults(), **inputs}
        original = colour(single(frames(values["original"], "original"), "original"))
        mask = single(masks(values["mask"], "mask"), "mask")
        if mask.shape != original.shape[:2]:
            raise PictureError(
                f"mask is {mask.shape[1]}x{mask.shape[0]}, original {original.shape[1]}x{original.shape[0]}.",
                "Both must have the same size.",
            )
        pasted = [
            paste(colour(each), original, mask, values["region"])
            for each in frames(values["images"], "images")
        ]
        return io.NodeOutput(to_image(pasted))


def paste(
    made: Picture, original: Picture, mask: Picture, region: tuple[int, int, int, int] | None
) -> Picture:
    """A repainted picture over the original, uint8 (H, W, 3), softly along the mask.

    With a region the picture is that part of the original; without one it is the whole, and the mask is
    doubled, as the web UI does.
    """
    height, width = original.shape[:2]
    base = np.zeros_like(original)
    if region is None:
        mask = img2img.overlay_mask(mask)
        base = made if made.shape[:2] == (height, width) else img2img.resize_image(1, made, width, height)
    else:
        left, top, part_width, part_height = region
        part = img2img.resize_image(1, made, part_width, part_height)
        base[top : top + part_height, left : left + part_width] = part
    new = mask[:, :, None].astype(np.float32) / 255.0
    return np.rint(original * (1.0 - new) + base * new).astype(np.uint8)


def colour(picture: Picture) -> Picture:
    """Any picture as uint8 (H, W, 3), transparency laid over white."""
    from ..base.pictures import flatten_over_white

    return np.ascontiguousarray(flatten_over_white(picture))


def to_mask(arrays: list[Picture]) -> torch.Tensor:
    """Arrays uint8 (H, W) of one size as MASK (B, H, W)."""
    import torch

    return torch.from_numpy(np.stack(arrays).astype(np.float32) / 255.0)


def sized_mask(mode: int, mask: Picture, width: int, height: int) -> Picture:
    """A mask uint8 (H, W) brought to a size as the web UI brings its picture to it."""
    sized = img2img.resize_image(mode, mask, width, height)
    return np.ascontiguousarray(sized if sized.ndim == 2 else sized[:, :, 0])


def check_same_size(mask: Picture, image: torch.Tensor) -> None:
    """Refuse a mask uint8 (H, W) that is not of the size of an IMAGE. Raises PictureError."""
    height, width = (int(each) for each in image.shape[1:3])
    if mask.shape != (height, width):
        raise PictureError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]}, the init image {width}x{height}.",
            "With inpaint_full_res (only masked) both must have the same size.",
        )


def one_each(holes: list[Picture], pictures: list[Picture]) -> list[Picture]:
    """One mask per picture; a single one serves all."""
    if len(holes) not in (1, len(pictures)):
        raise PictureError(
            f"mask is a batch of {len(holes)}, image one of {len(pictures)}.",
            "Give one mask, or one per picture.",
        )
    return holes * len(pictures) if len(holes) == 1 else holes
