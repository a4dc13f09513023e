# SPDX-License-Identifier: Apache-2.0
"""Simple measures of a generated picture: hue, overlap, edges, kind of shape. No network is asked.

All take uint8 RGB pictures ``(128, 128, 3)`` and bool masks ``(128, 128)``.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import scenes
import vocabulary


def mean_hue(picture: np.ndarray, mask: np.ndarray) -> float:
    """Circular mean hue inside a mask, in degrees 0..360, weighted by chroma (grey has no hue).

    Returns:
        nan where the mask is empty or holds nothing but grey.
    """
    pixels = picture[mask].astype(np.float64)
    if not len(pixels):
        return float("nan")
    # Hue is the angle of the projection along the grey axis; its length is the chroma.
    alpha = pixels[:, 0] - (pixels[:, 1] + pixels[:, 2]) / 2
    beta = np.sqrt(3) / 2 * (pixels[:, 1] - pixels[:, 2])
    if np.hypot(alpha, beta).mean() < 4:
        return float("nan")
    return float(np.degrees(np.arctan2(beta.sum(), alpha.sum())) % 360)


def colour_name(hue: float) -> str | None:
    """The vocabulary's colour with the nearest hue; None for nan."""
    if np.isnan(hue):
        return None
    return min(
        vocabulary.COLOURS, key=lambda name: abs((hue - vocabulary.COLOURS[name][1] + 180) % 360 - 180)
    )


def shrink(mask: np.ndarray, pixels: int = 2) -> np.ndarray:
    """The mask without its rim, or the mask itself where nothing else would be left."""
    smaller = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=pixels).astype(bool)
    return smaller if smaller.any() else mask


def outside(mask: np.ndarray, pixels: int = 3) -> np.ndarray:
    """What lies away from the mask."""
    return ~cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=pixels).astype(bool)


def segment(picture: np.ndarray) -> np.ndarray:
    """Objects against background: distance from the border's median colour, thresholded after Otsu.

    The distance is taken at right angles to the background's colour, so that its ramps and textures,
    which only change the brightness, do not count.

    Returns:
        A bool mask, empty where the picture has no contrast (largest distance below 30 of 255).
    """
    pixels = picture.astype(np.float32)
    border = [pixels[:3], pixels[-3:], pixels[:, :3].swapaxes(0, 1), pixels[:, -3:].swapaxes(0, 1)]
    background = np.median(np.concatenate([strip.reshape(-1, 3) for strip in border]), 0)
    background /= np.linalg.norm(background) + 1e-6
    distance = np.linalg.norm(pixels - (pixels @ background)[..., None] * background, axis=2)
    distance = np.clip(cv2.GaussianBlur(distance, (0, 0), 0.5), 0, 255)
    if distance.max() < 30:
        return np.zeros(picture.shape[:2], bool)
    threshold, _ = cv2.threshold(distance.astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # At most 70: beside a strong contrast, Otsu would drop an object of a weaker one.
    return distance > np.clip(threshold, 15, 70)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks, 0..1; 0 for two empty ones."""
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 0.0


def edge_distance(picture: np.ndarray, edges: np.ndarray, limit: float = 16) -> float:
    """Mean distance in pixels from the asked edges to the nearest edge of the picture, 0..limit.

    Args:
        edges: control image, uint8 ``(128, 128)``, lines above 127.
        limit: distances count no further than this; also the value for a picture without edges.
    """
    found = cv2.Canny(picture, 50, 120)
    if not found.any() or not (edges > 127).any():
        return limit
    distance = cv2.distanceTransform((found == 0).astype(np.uint8), cv2.DIST_L2, 5)
    return float(np.minimum(distance[edges > 127], limit).mean())


def _normalised(mask: np.ndarray, size: int = 40) -> np.ndarray | None:
    """The mask's largest piece, moved to its centre of mass and scaled to equal area, ``(size, size)``."""
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return None
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    scale = size * 0.45 / np.sqrt(stats[best, cv2.CC_STAT_AREA])
    move = np.array(
        [[scale, 0, size / 2 - scale * centres[best][0]], [0, scale, size / 2 - scale * centres[best][1]]]
    )
    return cv2.warpAffine((labels == best).astype(np.float32), move, (size, size)) > 0.5


@functools.cache
def _templates() -> list[tuple[str, np.ndarray]]:
    """Every shape in every rotation the scenes know, in steps of 6 degrees."""
    found = []
    for shape in vocabulary.SHAPES:
        widest = scenes.ROTATION[shape]
        for angle in np.arange(-widest, widest + 1, 6) if widest else [0]:
            found.append((shape, _normalised(scenes.coverage(shape, 64, 64, 40, float(angle)) > 0.5)))
    return found


def shape_name(mask: np.ndarray) -> str | None:
    """The vocabulary's shape that overlaps best with the mask's largest piece; None for an empty mask."""
    piece = _normalised(mask)
    if piece is None:
        return None
    return max(_templates(), key=lambda entry: overlap(piece, entry[1]))[0]
