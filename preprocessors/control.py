"""From a unit and the pictures around it to the control image: sd-webui-controlnet 1.1.455's whole path.

Which picture the unit gets, the crop of an "only masked" inpainting, pixel perfect, the module, and the map
at the size of the low-res and the high-res pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..a1111 import img2img
from ..base.errors import InvalidRequest, PictureError
from ..controlnet.modules import MODULES, effective_sliders
from ..controlnet.sizing import detectmap_proc, hires_target, pixel_perfect_resolution, target_size
from ..controlnet.unit import ControlNetUnit, ResizeMode
from . import frames
from .registry import find_preprocessor
from .run import run_module

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .runtime import Runtime

# What the request's own resize_mode means for a unit that uses the init image; 3 (latent resize) stretches.
_REQUEST_MODES = (ResizeMode.JUST, ResizeMode.CROP, ResizeMode.FILL, ResizeMode.JUST)
_MODE_NUMBERS = {ResizeMode.JUST: 0, ResizeMode.CROP: 1, ResizeMode.FILL: 2}
_CLIP_MODULES = frozenset({"clip_vision", "revision_clipvision", "revision_ignore_prompt"})


@dataclass(frozen=True)
class Geometry:
    """The fields of a request that decide a control image.

    Attributes:
        width, height: of the request; the target is floored to multiples of 8.
        enable_hr, hr_scale, hr_resize_x, hr_resize_y: the hires fix.
        resize_mode: of an img2img request, 0 to 3.
        mask_blur_x, mask_blur_y: sigma of the img2img mask's blur, pixels.
        inpainting_mask_invert: 1 inverts the img2img mask.
        inpaint_full_res: "only masked".
        inpaint_full_res_padding: pixels around the mask.
        seed, subseed: of the first image, resolved; -1 subseed means "as seed".
    """

    width: int
    height: int
    enable_hr: bool = False
    hr_scale: float = 2.0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    resize_mode: int = 0
    mask_blur_x: float = 4
    mask_blur_y: float = 4
    inpainting_mask_invert: int = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    seed: int = 0
    subseed: int = -1

    @property
    def target(self) -> tuple[int, int]:
        """(height, width) of the first pass."""
        width, height = target_size(self.width, self.height)
        return height, width

    @property
    def hires(self) -> tuple[int, int] | None:
        """(height, width) of the hires pass, or None."""
        if not self.enable_hr:
            return None
        plan = hires_target(self.width, self.height, self.hr_scale, self.hr_resize_x, self.hr_resize_y)
        # Exactly the asked size where both sides are given, floored; the latent rounds elsewhere.
        both = self.hr_resize_x > 0 and self.hr_resize_y > 0
        width, height = (self.hr_resize_x, self.hr_resize_y) if both else plan.upscale_to
        return height // 8 * 8, width // 8 * 8


@dataclass
class UnitControl:
    """What a unit's picture became.

    Attributes:
        module: internal name of the module that acts (inpaint_only becomes inpaint where an img2img mask is).
        detected: the module's own map, uint8 `(h, w, 3 or 4)`; for embedding modules the input picture.
        low: the map at the target size, uint8 `(H, W, 3)`, or float32 `(H, W, 4)` of 0..255 for inpaint
            modules; None for embedding modules.
        high: the same for the hires pass; None without hires fix.
        resolution: the processor_res that was used.
        resize_mode: the one that was used (that of the request where the init image stands in).
        notices: what the user should know.
    """

    module: str
    detected: Frame
    low: NDArray[Any] | None
    high: NDArray[Any] | None
    resolution: float
    resize_mode: ResizeMode
    notices: list[str] = field(default_factory=list)

    def saved_map(self, pass_: NDArray[Any] | None = None) -> Frame:
        """The map as it is shown among the results: uint8; a mask becomes alpha = 255 - mask // 2."""
        shown = self.low if pass_ is None else pass_
        if shown is None:
            return self.detected
        pixels = shown.clip(0, 255).astype(np.uint8)
        if pixels.shape[2] == 4:
            pixels[:, :, 3] = 255 - pixels[:, :, 3] // 2
        return pixels


def control_for_unit(
    unit: ControlNetUnit,
    *,
    image: Frame | None = None,
    mask: Frame | None = None,
    init_image: Frame | None = None,
    init_mask: Frame | None = None,
    geometry: Geometry,
    runtime: Runtime,
) -> UnitControl:
    """Make the control images of one unit.

    Args:
        unit: the unit; its module, sliders, pixel_perfect, resize_mode and inpaint_crop_input_image count.
        image, mask: the unit's own picture and mask, uint8, decoded; None where it has none.
        init_image, init_mask: of an img2img request; the picture stands in for a missing `image`.
        geometry: sizes, masks and seed of the request.
        runtime: device, weights, cancel.

    Raises:
        InvalidRequest: there is no picture at all, or one that the module cannot take.
        and what `run_module` raises.
    """
    unit = _settle_module(unit, init_image, init_mask)
    picture, mode = _choose(unit, image, mask, init_image, init_mask, geometry)
    if init_image is not None and init_mask is not None and _follows_crop(unit, geometry):
        picture = _crop_only_masked(picture, _soft_mask(init_mask, geometry), mode, geometry)
    if unit.module == "inpaint_only+lama" and mode is ResizeMode.FILL:
        picture = _extended(picture, geometry)
    height, width = geometry.target
    resolution, a, b, notices = effective_sliders(
        unit.module, unit.processor_res, unit.threshold_a, unit.threshold_b
    )
    if unit.pixel_perfect:
        resolution = pixel_perfect_resolution(picture.shape[0], picture.shape[1], height, width, mode)
    if find_preprocessor(unit.module).kind == "embedding":
        return UnitControl(unit.module, picture, None, None, resolution, mode, notices)
    detected = run_module(
        unit.module,
        picture,
        processor_res=resolution,
        threshold_a=a,
        threshold_b=b,
        seed=geometry.seed,
        subseed=geometry.subseed,
        runtime=cast("Runtime", _Listening(runtime, notices)),
    )
    low = detectmap_proc(detected, unit.module, mode, height, width)
    hires = geometry.hires
    high = None if hires is None else detectmap_proc(detected, unit.module, mode, *hires)
    return UnitControl(unit.module, detected, low, high, resolution, mode, notices)


class _Listening:
    """The runtime, with what it is told about the map kept for the unit too."""

    def __init__(self, runtime: Runtime, notices: list[str]) -> None:
        self._runtime = runtime
        self._notices = notices

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def notice(self, text: str) -> None:
        self._notices.append(text)
        self._runtime.notice(text)


def choose_picture(module: str, image: Frame, mask: Frame | None) -> Frame:
    """The picture a unit works on, from its own image and mask (uint8).

    Inpaint and CLIP modules get the mask as 4th channel (zeros without one). For all others a mask that is
    neither empty nor full **replaces** the picture: what was painted is a scribble.
    """
    rgb = frames.to_rgb(frames.check_frame(image))
    alpha = np.zeros(rgb.shape[:2], np.uint8) if mask is None else frames.check_frame(mask)[:, :, 0]
    if alpha.shape[:2] != rgb.shape[:2]:
        raise PictureError(
            f"The unit's mask is {frames.size_text(alpha)}, its image {frames.size_text(rgb)}.",
            "Both must have the same size.",
        )
    if _takes_mask(module):
        return np.dstack([rgb, alpha])
    if mask is None or bool((alpha <= 5).all()) or bool((alpha >= 250).all()):
        return rgb
    return frames.gray_to_rgb(np.ascontiguousarray(alpha))


def _takes_mask(module: str) -> bool:
    if MODULES[module].is_inpaint or module in _CLIP_MODULES:
        return True
    return module.startswith("ip-adapter") and "face_id" not in module


def _settle_module(unit: ControlNetUnit, init_image: Frame | None, init_mask: Frame | None) -> ControlNetUnit:
    # The img2img mask already repaints only its inside: blending a second time would fight with it.
    if unit.module == "inpaint_only" and init_image is not None and init_mask is not None:
        return unit.replace(module="inpaint")
    return unit


def _choose(
    unit: ControlNetUnit,
    image: Frame | None,
    mask: Frame | None,
    init_image: Frame | None,
    init_mask: Frame | None,
    geometry: Geometry,
) -> tuple[Frame, ResizeMode]:
    if image is not None:
        return choose_picture(unit.module, image, mask), unit.resize_mode
    if init_image is None:
        raise InvalidRequest(
            f"The ControlNet unit ({unit.module}) is enabled, but there is no picture for it.",
            "Give the unit an image, or the request an init image.",
            field="image",
        )
    rgb = frames.to_rgb(frames.check_frame(init_image))
    if not 0 <= geometry.resize_mode < len(_REQUEST_MODES):
        raise InvalidRequest.field("resize_mode", geometry.resize_mode, "0, 1, 2 or 3")
    mode = _REQUEST_MODES[geometry.resize_mode]
    if not MODULES[unit.module].is_inpaint:
        return rgb, mode
    alpha = np.zeros(rgb.shape[:2], np.uint8) if init_mask is None else _soft_mask(init_mask, geometry)
    if alpha.shape[:2] != rgb.shape[:2]:
        raise PictureError(
            f"The init mask is {frames.size_text(alpha)}, the init image {frames.size_text(rgb)}.",
            "Both must have the same size for an inpaint unit.",
        )
    return np.dstack([rgb, alpha]), mode


def _soft_mask(mask: Frame, geometry: Geometry) -> Frame:
    """The img2img mask as gray, inverted if asked, blurred per axis: uint8 `(H, W)`."""
    painted = frames.check_frame(mask)
    painted = painted[:, :, 0] if painted.shape[2] == 1 else painted
    gray = img2img.read_mask(painted, bool(geometry.inpainting_mask_invert))
    return img2img.blur_mask(gray, geometry.mask_blur_x, geometry.mask_blur_y)


def _follows_crop(unit: ControlNetUnit, geometry: Geometry) -> bool:
    return geometry.inpaint_full_res and unit.inpaint_crop_input_image and "reference" not in unit.module


def _crop_only_masked(picture: Frame, mask: Frame, mode: ResizeMode, geometry: Geometry) -> Frame:
    """The part of the control picture that an "only masked" inpainting looks at, at the request's size."""
    height, width = mask.shape
    region = img2img.crop_region(mask, geometry.inpaint_full_res_padding)
    left, top, right, bottom = img2img.expand_crop_region(
        region, geometry.width, geometry.height, width, height
    )

    def crop(part: Frame) -> Frame:
        sized = img2img.resize_image(_MODE_NUMBERS[mode], part, width, height)
        cropped = np.ascontiguousarray(sized[top:bottom, left:right])
        return img2img.resize_image(_MODE_NUMBERS[ResizeMode.FILL], cropped, geometry.width, geometry.height)

    if picture.shape[2] == 3:
        return crop(picture)
    # The mask apart from the colours: as alpha it would be multiplied into them while resampling.
    colour, alpha = (
        np.ascontiguousarray(picture[:, :, :3]),
        frames.gray_to_rgb(np.ascontiguousarray(picture[:, :, 3])),
    )
    return np.dstack([crop(colour), crop(alpha)[:, :, 0]])


def _extended(picture: Frame, geometry: Geometry) -> Frame:
    """The picture in the middle of the final target, what lies around it masked: LaMa fills that too."""
    final = geometry.hires or geometry.target
    extended = detectmap_proc(picture, "inpaint_only+lama", ResizeMode.FILL, *final)
    return extended.clip(0, 255).astype(np.uint8)


def with_seed(geometry: Geometry, seed: int, subseed: int = -1) -> Geometry:
    """The same geometry for another image of the request."""
    return replace(geometry, seed=seed, subseed=subseed)
