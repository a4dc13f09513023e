"""Made-up people, and what OpenPose's networks would answer about them: stand-ins of the networks.

The golden data of `tests/golden/learned/openpose.json` was made by running the original code with these very
functions in place of its networks, so that finding people, hands and faces can be compared without weights.
A picture says by the brightness of its blue channel which scene it shows.
"""

from __future__ import annotations

import numpy as np
import torch

# Joints of a standing person in 0..1 of their box, OpenPose's order.
_STANDING = np.array(
    [
        (0.50, 0.10), (0.50, 0.22), (0.33, 0.23), (0.22, 0.38), (0.15, 0.52), (0.67, 0.23), (0.78, 0.38),
        (0.85, 0.52), (0.40, 0.55), (0.38, 0.75), (0.37, 0.95), (0.60, 0.55), (0.62, 0.75), (0.63, 0.95),
        (0.46, 0.07), (0.54, 0.07), (0.41, 0.09), (0.59, 0.09),
    ]
)  # fmt: skip
_LIMBS = (
    (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0), (8, 9, 2), (9, 10, 4),
    (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30), (14, 16, 34), (0, 15, 32), (15, 17, 36),
    (2, 16, 18), (5, 17, 26),
)  # fmt: skip
_BOXES = (
    ((0.05, 0.05, 0.45, 0.9), (0.5, 0.1, 0.45, 0.85)),  # two people side by side
    ((0.1, 0.05, 0.5, 0.9), (0.28, 0.12, 0.5, 0.85), (0.62, 0.4, 0.3, 0.5)),  # three, two of them crossing
    (),  # nobody
    ((-0.1, 0.3, 0.5, 1.0), (0.55, -0.05, 0.5, 0.6)),  # cut off by the edge
)
SCENES = len(_BOXES)


def picture(scene: int, height: int, width: int) -> np.ndarray:
    """A picture that stands for a scene: red and green run across and down, blue says which one it is."""
    y, x = np.mgrid[:height, :width]
    flat = np.full((height, width), 40 * scene + 20)
    return np.stack([x * 255 // width, y * 255 // height, flat], axis=2).astype(np.uint8)


def people(scene: int) -> list[list[tuple[float, float] | None]]:
    """The joints of everybody, some of them missing."""
    random = np.random.default_rng(100 + scene)
    found: list[list[tuple[float, float] | None]] = []
    for x, y, w, h in _BOXES[scene]:
        places = _STANDING * (w, h) + (x, y) + random.normal(0, 0.01, _STANDING.shape)
        seen = random.random(len(places)) > (0.12 if scene else 0)
        inside = ((places > 0.01) & (places < 0.99)).all(axis=1)
        found.append([tuple(p) if s else None for p, s in zip(places, seen & inside, strict=True)])
    return found


def _segment(a: np.ndarray, b: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """How near to the segment each pixel is (0..1), and the segment's direction."""
    y, x = np.mgrid[:height, :width] + 0.5
    way = b - a
    along = np.clip(((x - a[0]) * way[0] + (y - a[1]) * way[1]) / max(way @ way, 1e-9), 0, 1)
    away = np.hypot(x - a[0] - along * way[0], y - a[1] - along * way[1])
    return np.clip(1.5 - away, 0, 1), way / max(np.hypot(*way), 1e-9)


def body_maps(scene: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Fields (38, h, w) and heat maps (19, h, w), with some noise and false peaks."""
    random = np.random.default_rng(scene)
    size = np.array([width, height])
    heat = np.abs(random.normal(0, 0.02, (19, height, width)))
    fields = random.normal(0, 0.02, (38, height, width))
    y, x = np.mgrid[:height, :width] + 0.5
    for joints in people(scene):
        for index, place in enumerate(joints):
            if place is not None:
                cx, cy = np.array(place) * size
                heat[index] = np.maximum(heat[index], np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 2))
        for first, second, channel in _LIMBS:
            if joints[first] is None or joints[second] is None:
                continue
            near, way = _segment(
                np.array(joints[first]) * size, np.array(joints[second]) * size, height, width
            )
            for axis in (0, 1):
                fields[channel + axis] = np.where(near > 0.3, near * way[axis], fields[channel + axis])
    for index in range(0, 18, 4):  # false peaks
        row, column = random.integers(0, height), random.integers(0, width)
        heat[index, row, column] = 0.8
    return fields.astype(np.float32), heat.astype(np.float32)


def point_maps(count: int, height: int, width: int, seed: int) -> np.ndarray:
    """Heat maps (count, h, w) of blobs; some channels have two, some none."""
    random = np.random.default_rng(seed)
    y, x = (np.mgrid[:height, :width] + 0.5) / np.array([height, width])[:, None, None]
    maps = []
    for _ in range(count):
        (cx, cy, ox, oy), strength = random.random(4), random.choice([0.02, 0.5, 0.9])
        blob = strength * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.004)
        maps.append(np.maximum(blob, 0.3 * strength * np.exp(-((x - ox) ** 2 + (y - oy) ** 2) / 0.02)))
    return np.stack(maps).astype(np.float32)


def body(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In place of the body network: (B, 3, H, W), BGR in -0.5..0.5, to fields and heat maps at 1/8."""
    rows, columns = pixels.shape[2] // 8, pixels.shape[3] // 8
    blue = (pixels[:, 0, 0, 0] + 0.5) * 256
    scenes = [int((value.item() - 20) / 40 + 0.5) for value in blue]
    maps = [body_maps(scene, rows, columns) for scene in scenes]
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*maps, strict=True))


def hand(pixels: torch.Tensor) -> torch.Tensor:
    """In place of the hand network."""
    maps = point_maps(22, pixels.shape[2] // 8, pixels.shape[3] // 8, 7)
    return torch.from_numpy(maps)[None].expand(len(pixels), -1, -1, -1)


def face(pixels: torch.Tensor) -> torch.Tensor:
    """In place of the face network."""
    maps = point_maps(71, pixels.shape[2] // 8, pixels.shape[3] // 8, 8)
    return torch.from_numpy(maps)[None].expand(len(pixels), -1, -1, -1)
