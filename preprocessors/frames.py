"""Frames: the pictures every module of this room takes and gives, and how a batch of them is cut and joined.

A frame is a numpy array, uint8, `(H, W, 3)` RGB unless a function says otherwise. A batch is ComfyUI's IMAGE:
a torch float tensor `(B, H, W, C)`, 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..base.errors import PictureError
from ..base.pictures import flatten_over_white
from ..controlnet.sizing import working_size

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Frame = NDArray[Any]  # always uint8, which the types of OpenCV do not say

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_WHITE: Any = 255.0
MAX_PIXELS = 8192 * 8192  # the largest picture a module accepts, and the largest map it makes


def check_frame(image: Any) -> Frame:
    """Return `image` as uint8 `(H, W, C)`, C of 1, 3 or 4, contiguous.

    `(H, W)` becomes `(H, W, 1)`. Raises `PictureError` for another shape, another dtype, no pixels or too
    many.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise PictureError(
            f"A preprocessor takes uint8 pictures, not {kind}.", "Scale to 0..255 and round first."
        )
    array = image[:, :, None] if image.ndim == 2 else image
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise PictureError(f"The picture's shape is {image.shape}, but must be (H, W) or (H, W, 1, 3 or 4).")
    check_size(array.shape[0], array.shape[1])
    return np.ascontiguousarray(array)


def check_size(height: int, width: int) -> None:
    """Raise `PictureError` if a picture has no pixels or more than `MAX_PIXELS`."""
    if height < 1 or width < 1:
        raise PictureError(f"The picture is {width}x{height} pixels: there is nothing in it.")
    if height * width > MAX_PIXELS:
        limit = f"{MAX_PIXELS / 1e6:.0f} million pixels"
        raise PictureError(
            f"The picture is (or would become) {width}x{height} pixels; a module takes {limit}.",
            "Scale it down, choose a smaller processor_res, or crop a very long picture.",
        )


def size_text(array: NDArray[Any]) -> str:
    """`width`x`height` of a picture or mask, for messages."""
    return f"{array.shape[1]}x{array.shape[0]}"


def to_rgb(image: Frame) -> Frame:
    """Gray becomes three equal channels; RGBA is laid over white. RGB is returned as it is, not copied."""
    if image.ndim == 2 or image.shape[2] == 1:
        return gray_to_rgb(image)  # several times faster than numpy's repeat
    return flatten_over_white(image)


def gray_to_rgb(gray: Frame) -> Frame:
    """`(H, W)` to three equal channels `(H, W, 3)`."""
    import cv2

    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)


def channel_min(image: NDArray[Any]) -> NDArray[Any]:
    """Smallest channel of every pixel, `(H, W)`. Several times faster than numpy's `min(axis=2)`."""
    return np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])


def working_shape(height: int, width: int, resolution: float) -> tuple[int, int]:
    """Size with the short side at `resolution`, both sides rounded half to even, at least 1.

    Raises `PictureError` when that would be more than `MAX_PIXELS` (a very long strip at a large resolution).
    """
    if resolution < 1:
        raise PictureError(f"processor_res is {resolution:g}, but must be at least 1 pixel.")
    rows, columns = working_size(height, width, resolution)
    shape = max(1, rows), max(1, columns)
    check_size(*shape)
    return shape


def resize_to(image: NDArray[Any], height: int, width: int, interpolation: int) -> NDArray[Any]:
    """OpenCV resize that leaves a picture of the right size alone."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=interpolation)


def fit(image: Frame, resolution: float) -> Frame:
    """Short side to `resolution`, aspect kept: bicubic when it grows, area when it shrinks. No padding."""
    import cv2

    height, width = working_shape(image.shape[0], image.shape[1], resolution)
    grows = resolution > min(image.shape[:2])
    return resize_to(image, height, width, cv2.INTER_CUBIC if grows else cv2.INTER_AREA)


def fit_padded(image: Frame, resolution: float) -> tuple[Frame, tuple[int, int]]:
    """`fit`, then right and bottom edges repeated up to multiples of 64.

    Returns the padded picture and the height and width to cut the map back to (`cut`).
    """
    import cv2

    small = fit(image, resolution)
    height, width = small.shape[:2]
    below, right = -height % 64, -width % 64
    if below or right:
        small = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return small, (height, width)


def cut(image: NDArray[Any], kept: tuple[int, int]) -> NDArray[Any]:
    """The upper left `kept` = (height, width) of a map, contiguous."""
    if image.shape[:2] == kept:
        return image
    return np.ascontiguousarray(image[: kept[0], : kept[1]])


def over_frames(work: Callable[[_In], _Out], frames: Sequence[_In], threads: int) -> list[_Out]:
    """Apply `work` to every frame, on up to `threads` threads (OpenCV lets go of Python's lock)."""
    if threads <= 1 or len(frames) <= 1:
        return [work(frame) for frame in frames]
    with ThreadPoolExecutor(max_workers=min(threads, len(frames))) as pool:
        return list(pool.map(work, frames))


def chunks(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `range(total)`."""
    for start in range(0, total, max(1, size)):
        yield slice(start, min(start + max(1, size), total))


def frames_from_batch(images: torch.Tensor, threads: int = 1) -> list[Frame]:
    """Batch `(B, H, W, C)`, float 0..1 or uint8, to uint8 frames: rounded, values outside clamped.

    Raises `PictureError` for NaN or infinity, which have no pixel value.
    """
    return over_frames(to_pixels, arrays_of(images), threads)


def arrays_of(images: torch.Tensor) -> list[NDArray[Any]]:
    """The pictures of a batch `(B, H, W, C)` as arrays, float32 or uint8, for `to_pixels`."""
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise PictureError(f"The batch's shape is {tuple(images.shape)}, but must be (B, H, W, 1, 3 or 4).")
    check_size(int(images.shape[1]), int(images.shape[2]))
    values = images.detach().cpu()
    # numpy and OpenCV from here on: torch's own threads wait for each other on a busy machine.
    return list(values.numpy() if str(values.dtype) == "torch.uint8" else values.float().numpy())


def to_pixels(values: NDArray[Any]) -> Frame:
    """One picture of a batch, 0..1 or uint8, as a uint8 frame; see `frames_from_batch`."""
    import cv2

    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    flat = np.ascontiguousarray(values).reshape(values.shape[0], -1)
    # A sum is faster than looking at every value: NaN and infinity stay in it.
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = not np.isfinite(flat.sum())
    if doubtful and not cv2.checkRange(flat)[0]:
        raise PictureError(
            "A picture of the batch holds NaN or infinity.",
            "Look at what makes it: usually a VAE in half precision. Decode in fp32 or bf16.",
        )
    low, high = cv2.minMaxLoc(flat)[:2]
    if low < 0 or high > 1:
        flat = flat.clip(0, 1)
    return cv2.convertScaleAbs(flat, alpha=_WHITE).reshape(values.shape)  # three times as fast as multiply


def write_frame(made: Frame, place: NDArray[np.float32]) -> None:
    """A uint8 map as floats 0..1 into its place in the result."""
    np.divide(made, np.float32(255.0), out=place, dtype=np.float32)
