"""Steps and geometry of stable-diffusion-webui's img2img and inpainting.

Pictures are numpy uint8 (H, W[, C]); masks (H, W), 255 = repaint. Boxes are (x1, y1, x2, y2), the last two
exclusive. Sizes are computed with whole numbers, rounded down, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import InvalidRequest, PictureError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Picture = NDArray[np.uint8]

Box = tuple[int, int, int, int]
_FULL_STRENGTH = 0.999


def img2img_steps(steps: int, strength: float, explicit: int | None = None) -> tuple[int, int]:
    """How many steps the schedule has, and t_enc; the last t_enc + 1 steps of the schedule are executed.

    Without `explicit` a strength below 1 executes fewer steps (20 steps at 0.5: 11 of a schedule of 20). With
    it, as the hires fix does, the schedule is lengthened so that exactly that many are executed; strength 0
    then gives an empty schedule.
    """
    strength = min(strength, _FULL_STRENGTH)
    if explicit is None:
        return steps, int(strength * steps)
    return (int(explicit / strength) if strength > 0 else 0), explicit - 1


def resize_image(mode: int, image: Picture, width: int, height: int) -> Picture:
    """The picture at width x height: 0 stretch, 1 cover and crop, 2 fit and fill, with Lanczos.

    The bars of mode 2 are the scaled picture's edge rows or columns, stretched. Modes 1 and 2 give RGB. Mode
    3 of the web UI leaves the picture as it is (its latent is resized).

    Raises:
        InvalidRequest: another mode, or a size that is not positive.
    """
    from PIL import Image

    if width < 1 or height < 1:
        raise InvalidRequest.field("width x height", f"{width} x {height}", "positive")
    if mode not in (0, 1, 2, 3):
        raise InvalidRequest.field("resize_mode", mode, "0, 1, 2 or 3")
    if mode == 3:
        return image
    picture = Image.fromarray(image)
    if mode == 0:
        return np.asarray(_lanczos(picture, width, height))
    wider_target = width * picture.height > picture.width * height
    if wider_target == (mode == 1):
        new_width, new_height = width, max(1, picture.height * width // picture.width)
    else:
        new_width, new_height = max(1, picture.width * height // picture.height), height
    scaled = _lanczos(picture, new_width, new_height)
    result = Image.new("RGB", (width, height))
    left, top = width // 2 - new_width // 2, height // 2 - new_height // 2
    result.paste(scaled, (left, top))
    if mode == 2:
        _fill_bars(result, scaled.convert("RGB"), left, top)
    return np.asarray(result)


def _lanczos(picture: Image.Image, width: int, height: int) -> Image.Image:
    from PIL import Image

    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _fill_bars(result: Image.Image, scaled: Image.Image, left: int, top: int) -> None:
    """Stretches the scaled picture's outermost rows or columns over what it leaves uncovered."""
    width, height = result.size
    bottom, right = height - top - scaled.height, width - left - scaled.width
    if top > 0:
        result.paste(scaled.resize((width, top), box=(0, 0, width, 0)), (0, 0))
    if bottom > 0:
        edge = (0, scaled.height, width, scaled.height)
        result.paste(scaled.resize((width, bottom), box=edge), (0, top + scaled.height))
    if left > 0:
        result.paste(scaled.resize((left, height), box=(0, 0, 0, height)), (0, 0))
    if right > 0:
        edge = (scaled.width, 0, scaled.width, height)
        result.paste(scaled.resize((right, height), box=edge), (left + scaled.width, 0))


def read_mask(picture: Picture, invert: bool = False) -> Picture:
    """A painted mask as (H, W), 255 = repaint: where alpha is above 128 if there is any, else the gray."""
    from PIL import Image

    if picture.ndim == 3 and picture.shape[2] == 4 and picture[:, :, 3].min() < 255:
        mask = np.where(picture[:, :, 3] > 128, 255, 0).astype(np.uint8)
    elif picture.ndim == 2:
        mask = picture
    else:
        mask = np.asarray(Image.fromarray(picture).convert("L"))
    return 255 - mask if invert else mask


def blur_mask(mask: Picture, blur_x: float, blur_y: float) -> Picture:
    """The mask blurred by a Gaussian per axis; the kernel has 2 * int(2.5 * sigma + 0.5) + 1 taps."""
    import cv2

    for axis, sigma in ((0, blur_x), (1, blur_y)):
        if sigma > 0:
            taps = 2 * int(2.5 * sigma + 0.5) + 1
            kernel = (taps, 1) if axis == 0 else (1, taps)
            mask = np.asarray(cv2.GaussianBlur(mask, kernel, sigma), dtype=np.uint8)
    return mask


def overlay_mask(mask: Picture) -> Picture:
    """The mask the result is pasted with when the whole picture was inpainted: doubled and clipped."""
    return np.clip(mask.astype(np.int32) * 2, 0, 255).astype(np.uint8)


def latent_mask(mask: Picture, width: int, height: int, rounded: bool = True) -> NDArray[np.float32]:
    """The mask at latent size (height, width), 0..1, 1 = repaint; rounded to whole numbers by default."""
    from PIL import Image

    small = np.asarray(Image.fromarray(mask).convert("RGB").resize((width, height)))[:, :, 0]
    values = small.astype(np.float32) / 255.0
    return np.around(values) if rounded else values


# Gaussian radius and how often the result is laid over itself, from far to near.
_FILL_ROUNDS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


def fill_masked(image: Picture, mask: Picture) -> Picture:
    """The picture (H, W, 3) with the masked part painted over by its blurred surroundings ("fill").

    Raises:
        PictureError: mask and picture have different sizes.
    """
    from PIL import Image, ImageFilter

    if image.shape[:2] != mask.shape[:2]:
        raise PictureError(
            f"A mask of {mask.shape[1]} x {mask.shape[0]} pixels does not fit a picture of "
            f"{image.shape[1]} x {image.shape[0]}.",
            "Give both in one size.",
        )
    picture = Image.fromarray(image).convert("RGBA")
    # Premultiplied: what is masked must not bleed its colour into the blur.
    around = Image.new("RGBa", picture.size)
    around.paste(picture.convert("RGBa"), mask=Image.fromarray(255 - mask))
    result = Image.new("RGBA", picture.size)
    for radius, repeats in _FILL_ROUNDS:
        blurred = around.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            result.alpha_composite(blurred)
    return np.asarray(result.convert("RGB"))


def crop_region(mask: Picture, padding: int = 0) -> Box:
    """The box around all that is not 0 in the mask, grown by `padding` and cut to the picture.

    An empty mask gives the whole picture.
    """
    height, width = mask.shape[:2]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return 0, 0, width, height
    return (
        max(int(columns[0]) - padding, 0),
        max(int(rows[0]) - padding, 0),
        min(int(columns[-1]) + 1 + padding, width),
        min(int(rows[-1]) + 1 + padding, height),
    )


def expand_crop_region(
    box: Box, target_width: int, target_height: int, image_width: int, image_height: int
) -> Box:
    """The box grown to the aspect of the target, moved back inside the picture, then cut to it."""
    x1, y1, x2, y2 = box
    ratio = target_width / target_height
    if (x2 - x1) / (y2 - y1) > ratio:
        y1, y2 = _grow(y1, y2, int((x2 - x1) / ratio - (y2 - y1)), image_height)
    else:
        x1, x2 = _grow(x1, x2, int((y2 - y1) * ratio - (x2 - x1)), image_width)
    return x1, y1, x2, y2


def _grow(start: int, end: int, by: int, limit: int) -> tuple[int, int]:
    start, end = start - by // 2, end + by - by // 2
    if end >= limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)
