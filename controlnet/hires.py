"""Sizes of the hires fix, as stable-diffusion-webui 1.7/1.8 computes them."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.errors import InvalidRequest


@dataclass(frozen=True)
class HiresPlan:
    """All pairs are (width, height).

    Attributes:
        upscale_to: size in pixels that the first pass is upscaled to.
        truncate: how many latent columns and rows are then cut off: n // 2 of them left or top, the rest
        right
            or bottom.
        final_latent: latent size of the second pass.
        final_image: pixel size of the result, 8 times that.
    """

    upscale_to: tuple[int, int]
    truncate: tuple[int, int]
    final_latent: tuple[int, int]
    final_image: tuple[int, int]


def hires_target(
    width: int, height: int, hr_scale: float = 2.0, hr_resize_x: int = 0, hr_resize_y: int = 0
) -> HiresPlan:
    """Where the hires fix goes from a first pass of width x height pixels.

    Both resize values 0: the scale counts. One of them 0: it follows from the aspect (the ControlNet
    extension itself takes 0 here, which breaks; this is the web UI's own rule). Both given: upscaled to
    cover, then cut.

    Raises:
        InvalidRequest: a size that is not positive, or a target without a single latent pixel.
    """
    for field, value, least in (
        ("width", width, 8),
        ("height", height, 8),
        ("hr_resize_x", hr_resize_x, 0),
        ("hr_resize_y", hr_resize_y, 0),
    ):
        if value < least:
            raise InvalidRequest.field(field, value, f"{least} or more")
    if hr_resize_x == 0 and hr_resize_y == 0:
        upscale_to = (int(width * hr_scale), int(height * hr_scale))
        cut_to = upscale_to
    elif hr_resize_y == 0:
        upscale_to = (hr_resize_x, hr_resize_x * height // width)
        cut_to = upscale_to
    elif hr_resize_x == 0:
        upscale_to = (hr_resize_y * width // height, hr_resize_y)
        cut_to = upscale_to
    else:
        cut_to = (hr_resize_x, hr_resize_y)
        if width / height < hr_resize_x / hr_resize_y:
            upscale_to = (hr_resize_x, hr_resize_x * height // width)
        else:
            upscale_to = (hr_resize_y * width // height, hr_resize_y)
    truncate = ((upscale_to[0] - cut_to[0]) // 8, (upscale_to[1] - cut_to[1]) // 8)
    latent = (upscale_to[0] // 8 - truncate[0], upscale_to[1] // 8 - truncate[1])
    if min(latent) < 1:
        raise InvalidRequest(
            f"The hires fix of {width} x {height} would end at {cut_to[0]} x {cut_to[1]} pixels.",
            "Set hr_scale, or hr_resize_x and hr_resize_y, to a greater size.",
            field="hr_scale",
        )
    return HiresPlan(upscale_to, truncate, latent, (latent[0] * 8, latent[1] * 8))
