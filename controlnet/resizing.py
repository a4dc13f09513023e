"""The resizing that keeps control pictures what they are: edges thin, labels pure, depth steps flat.

The rules are those of sd-webui-controlnet 1.1.455: it looks at the picture (how many colours, black and white
only, one-pixel lines?) and chooses how to resize it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[Any]

# A pixel must be on (1), off (-1) or may be anything (0): Golay's L pair for thinning, turned four times ...
_THINNING = (
    ((-1, -1, -1), (0, 1, 0), (1, 1, 1)),
    ((0, -1, -1), (1, 1, -1), (0, 1, 0)),
)
# ... and the pair that recognises the ends of lines, for pruning.
_PRUNING = (
    ((-1, -1, -1), (-1, 1, -1), (0, 0, -1)),
    ((-1, -1, -1), (-1, 1, -1), (-1, 0, 0)),
)
_THINNING_ROUNDS = 32
_FEW_COLORS = 200


def high_quality_resize(image: Picture, size: tuple[int, int]) -> Picture:
    """The picture (H, W, 3 or 4), uint8 or float 0..255, at `size` = (width, height).

    Pictures of 3 to 199 colours (label maps, coarse depth) are resized without mixing; black and white ones
    stay black and white, and lines of one pixel stay one pixel wide. Everything else: area when shrinking,
    bicubic when growing. A 4th channel is a mask: resized the same way, then 0 or 255. A picture that has the
    size already is returned unchanged but for that. Float pictures may leave 0..255 by bicubic overshoot, as
    in the original.
    """
    import cv2

    color, mask = image[:, :, :3], image[:, :, 3] if image.shape[2] == 4 else None
    width, height = size
    if image.shape[:2] != (height, width):
        grows = width * height > image.shape[0] * image.shape[1]
        shrinks = width * height < image.shape[0] * image.shape[1]
        colors = count_colors(color, _FEW_COLORS)
        binary = colors == 2 and color.min() < 16 and color.max() > 240
        if 2 < colors < _FEW_COLORS:
            interpolation = cv2.INTER_NEAREST
        elif shrinks:
            interpolation = cv2.INTER_AREA
        else:
            interpolation = cv2.INTER_CUBIC
        resized = cv2.resize(np.ascontiguousarray(color), (width, height), interpolation=interpolation)
        if mask is not None:
            mask = cv2.resize(np.ascontiguousarray(mask), (width, height), interpolation=interpolation)
        if binary:
            resized = _to_two_levels(resized, thin=has_one_pixel_lines(color), prune=grows)
        color = resized
    if mask is None:
        return color
    two_levels = np.where(mask > 127, 255, 0).astype(np.uint8)
    # In a float picture the mask becomes float with the rest.
    return np.concatenate([color, two_levels[:, :, None]], axis=2)


def count_colors(image: Picture, limit: int) -> int:
    """The number of colours of an (H, W, 3) picture, or any number >= `limit` if there are so many."""
    rows: Picture = np.reshape(image, (-1, 3))
    if rows.dtype != np.uint8:
        whole = rows.astype(np.uint8)
        if not np.array_equal(whole, rows):
            return int(np.unique(rows, axis=0).shape[0])
        rows = whole
    # A few thousand pixels usually settle it: photographs have hundreds of colours in any sample.
    sample = rows[:: max(1, rows.shape[0] // 4096)]
    found = int(np.unique(_packed(sample)).size)
    if found >= limit:
        return found
    seen = np.zeros(1 << 24, np.bool_)
    seen[_packed(rows)] = True
    return int(np.count_nonzero(seen))


def _packed(rows: Picture) -> Picture:
    wide = rows.astype(np.uint32)
    return (wide[:, 0] << 16) | (wide[:, 1] << 8) | wide[:, 2]


def has_one_pixel_lines(image: Picture) -> bool:
    """True if most of the white of a black and white picture is so thin that a 3x3 opening removes it."""
    import cv2

    image = np.ascontiguousarray(image)
    opened = cv2.morphologyEx(image, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    removed = int(np.count_nonzero(opened < image))
    return removed * 2 > int(np.count_nonzero(image > 127))


def _to_two_levels(image: Picture, thin: bool, prune: bool) -> NDArray[np.uint8]:
    """A resized black and white picture made black and white again; (H, W, 3) uint8."""
    import cv2

    gray = image.astype(np.float32).mean(axis=2).clip(0, 255).astype(np.uint8)
    if thin:
        gray = non_maximum_suppression(gray)
    _, levels = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    gray = levels.astype(np.uint8)
    if thin:
        gray = thin_lines(gray, prune)
    return np.repeat(gray[:, :, None], 3, axis=2)


def non_maximum_suppression(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keeps the pixels that are the greatest in one of the four directions of their 3x3 window."""
    import cv2

    kept = np.zeros_like(gray)
    for line in (
        ((0, 0, 0), (1, 1, 1), (0, 0, 0)),
        ((0, 1, 0), (0, 1, 0), (0, 1, 0)),
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    ):
        peak = cv2.dilate(gray, np.array(line, np.uint8)) == gray
        np.copyto(kept, gray, where=peak)
    return kept


def thin_lines(gray: NDArray[np.uint8], prune: bool) -> NDArray[np.uint8]:
    """Lines of a 0/255 picture thinned to one pixel; with `prune` their outermost pixels go too."""
    for _ in range(_THINNING_ROUNDS):
        gray, changed = _peel(gray, _THINNING)
        if not changed:
            break
    if prune:
        gray, _ = _peel(gray, _PRUNING)
    return gray


def _peel(
    gray: NDArray[np.uint8], kernels: tuple[tuple[tuple[int, int, int], ...], ...]
) -> tuple[NDArray[np.uint8], bool]:
    """Takes away what each kernel recognises, in each of its four positions; the order matters."""
    import cv2

    changed = False
    for turns in range(4):
        for kernel in kernels:
            turned = np.ascontiguousarray(np.rot90(np.array(kernel, np.int32), turns))
            hits = cv2.morphologyEx(gray, cv2.MORPH_HITMISS, turned) > 127
            if hits.any():
                changed = True
                gray = np.where(hits, 0, gray).astype(np.uint8)
    return gray, changed
