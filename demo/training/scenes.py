# SPDX-License-Identifier: Apache-2.0
"""Synthetic scenes for the demo model: picture, masks, depth and canny maps, captions.

A scene is a function of its seed alone. Training uses seeds below :data:`UNSEEN`, the evaluation
seeds from there on, so the two never meet. ``python demo/training/scenes.py SHEET.png`` draws a sheet.
"""

from __future__ import annotations

import colorsys
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent))
import vocabulary

SIZE = 128
#: First seed of the scenes kept for evaluation and tests.
UNSEEN = 1_000_000_000
#: Thresholds of the pack's canny module; the training maps must look like the maps at inference.
CANNY_THRESHOLDS = (100, 200)
#: Largest rotation to either side, degrees. A turned square would be a diamond, a turned cross an X.
ROTATION = {
    "circle": 0,
    "square": 20,
    "triangle": 25,
    "star": 36,
    "heart": 25,
    "cross": 20,
    "ring": 0,
    "moon": 180,
    "arrow": 180,
}
_SUPERSAMPLING = 4


@dataclass(frozen=True)
class Thing:
    """One object: what the caption says of it, and where it is.

    ``x``, ``y`` and ``radius`` are in pixels, ``rotation`` in degrees; ``mask`` is bool ``(SIZE, SIZE)``.
    """

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    rotation: float
    mask: np.ndarray


@dataclass(frozen=True)
class Scene:
    """A picture and everything that is known about it.

    ``picture`` is uint8 RGB ``(SIZE, SIZE, 3)``; ``depth`` is uint8 ``(SIZE, SIZE)``, near = bright.
    """

    seed: int
    things: tuple[Thing, ...]
    background: str
    picture: np.ndarray
    depth: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Union of the objects' masks, bool ``(SIZE, SIZE)``."""
        return np.any([thing.mask for thing in self.things], axis=0)

    @property
    def canny(self) -> np.ndarray:
        """Edges as the pack's canny module draws them, uint8 ``(SIZE, SIZE)``, 0 or 255."""
        return cv2.Canny(self.picture, *CANNY_THRESHOLDS)

    def caption(self, language: str = "en", template: int = 0) -> str:
        """The scene in words; see :func:`vocabulary.caption`."""
        objects = [(thing.colour, thing.shape) for thing in self.things]
        return vocabulary.caption(objects, self.background, language, template)


def outline(shape: str) -> list[np.ndarray]:
    """Closed polygons, float ``(n, 2)``, of a shape of radius about 1 (even-odd filled).

    Raises:
        KeyError: a shape outside the vocabulary.
    """
    turn = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)

    def regular(count: int, inner: float | None = None) -> np.ndarray:
        points = count * (2 if inner else 1)
        angle = np.arange(points) * 2 * math.pi / points - math.pi / 2
        radius = np.where(np.arange(points) % 2, inner or 1, 1)
        return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], 1)

    if shape == "circle":
        return [circle * 0.92]
    if shape == "ring":
        return [circle, circle * 0.5]
    if shape == "square":
        return [np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.8]
    if shape == "triangle":
        return [regular(3) * 1.1 + [0, 0.2]]
    if shape == "star":
        return [regular(5, 0.42) * 1.1]
    if shape == "heart":
        x = 16 * np.sin(turn) ** 3
        y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
        return [np.stack([x, -y - 2], 1) / 16]
    if shape == "cross":
        a, b = 1.0, 0.36
        return [
            np.array(
                [
                    [-b, -a],
                    [b, -a],
                    [b, -b],
                    [a, -b],
                    [a, b],
                    [b, b],
                    [b, a],
                    [-b, a],
                    [-b, b],
                    [-a, b],
                    [-a, -b],
                    [-b, -b],
                ]
            )
        ]
    if shape == "moon":
        # Outer arc of the unit circle, inner arc of a circle of radius 0.85 centred at (0.5, 0).
        tip = math.acos((1 + 0.5**2 - 0.85**2) / (2 * 0.5))
        inner = math.atan2(math.sin(tip), math.cos(tip) - 0.5)
        far, near = np.linspace(tip, 2 * math.pi - tip, 48), np.linspace(2 * math.pi - inner, inner, 48)
        points = np.concatenate(
            [
                np.stack([np.cos(far), np.sin(far)], 1),
                np.stack([0.5 + 0.85 * np.cos(near), 0.85 * np.sin(near)], 1),
            ]
        )
        return [points + np.array([0.25, 0])]
    if shape == "arrow":
        return [
            np.array([[-1, -0.3], [0.1, -0.3], [0.1, -0.75], [1.05, 0], [0.1, 0.75], [0.1, 0.3], [-1, 0.3]])
        ]
    raise KeyError(f"unknown shape {shape!r}: use one of {', '.join(vocabulary.SHAPES)}")


def coverage(shape: str, x: float, y: float, radius: float, rotation: float) -> np.ndarray:
    """How much of each pixel a shape covers: float32 ``(SIZE, SIZE)``, 0..1, anti-aliased."""
    angle = math.radians(rotation)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    canvas = np.zeros((SIZE * _SUPERSAMPLING, SIZE * _SUPERSAMPLING), np.uint8)
    polygons = [
        np.round((polygon @ turn * radius + [x, y]) * _SUPERSAMPLING * 16).astype(np.int32)
        for polygon in outline(shape)
    ]
    cv2.fillPoly(canvas, polygons, 255, shift=4)
    return cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _rgb(random: np.random.Generator, colour: str) -> np.ndarray:
    """A shade of a named colour: float32 ``(3,)``, 0..1, hue within 5 degrees of its nominal hue."""
    _, hue, saturation, value = vocabulary.COLOURS[colour]
    shade = colorsys.hsv_to_rgb(
        (hue + random.uniform(-5, 5)) / 360 % 1, random.uniform(*saturation), random.uniform(*value)
    )
    return np.array(shade, np.float32)


def _texture(random: np.random.Generator) -> np.ndarray:
    """Brightness of the background, float32 ``(SIZE, SIZE)``, about 0.75..1: a ramp and maybe a pattern.

    Patterns stay mostly below canny's thresholds: in the map the objects count.
    """
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    angle = random.uniform(0, 2 * math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    brightness = 0.93 + random.uniform(0, 0.12) * (along - along.mean())
    kind = random.choice(["plain", "stripes", "checks", "dots", "clouds"])
    amplitude, period = random.uniform(0.02, 0.06), random.uniform(0.08, 0.2)
    wave = np.sin(2 * math.pi * along / period)
    across = np.sin(2 * math.pi * (y * math.cos(angle) - x * math.sin(angle)) / period)
    if kind == "stripes":
        brightness += amplitude * wave
    elif kind == "checks":
        brightness += amplitude * np.tanh(3 * wave * across)
    elif kind == "dots":
        brightness -= amplitude * (wave + across > 1.2)
    elif kind == "clouds":
        noise = random.normal(size=(8, 8)).astype(np.float32)
        brightness += amplitude * cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(brightness, 0.7, 1.03).astype(np.float32)


def _places(random: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """Centres and radii, in pixels, of ``count`` objects that do not touch."""
    low, high = {1: (26, 44), 2: (20, 29), 3: (17, 23)}[count]
    while True:
        radii = [random.uniform(low, high) for _ in range(count)]
        for _ in range(40):
            centres = [
                (
                    random.uniform(r * 1.1 + 3, SIZE - r * 1.1 - 3),
                    random.uniform(r * 1.1 + 3, SIZE - r * 1.1 - 3),
                )
                for r in radii
            ]
            pairs = [(i, j) for i in range(count) for j in range(i)]
            if all(math.dist(centres[i], centres[j]) > 1.1 * (radii[i] + radii[j]) + 3 for i, j in pairs):
                return [(x, y, r) for (x, y), r in zip(centres, radii, strict=False)]


def make_scene(seed: int, count: int | None = None) -> Scene:
    """Make one scene.

    Args:
        seed: 0 or more; the same seed and count give the same scene.
        count: number of objects, 1..3; None draws it (one: 60 %, two: 25 %, three: 15 %).

    Raises:
        ValueError: a count outside 1..3 or a negative seed.
    """
    if seed < 0 or count not in (None, 1, 2, 3):
        raise ValueError(f"seed must be >= 0 and count 1..3 or None, not {seed!r} and {count!r}")
    random = np.random.default_rng([seed, count or 0])
    count = count or int(random.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))
    background, *colours = random.permutation(list(vocabulary.COLOURS))[: count + 1].tolist()
    backdrop = _rgb(random, background)
    picture = backdrop * _texture(random)[..., None]
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    far = random.uniform(0, 50)
    depth = far + random.uniform(0, 30) * y / SIZE
    things = []
    for colour, (cx, cy, radius) in zip(colours, _places(random, count), strict=False):
        shape = str(random.choice(list(vocabulary.SHAPES)))
        rotation = float(random.uniform(-ROTATION[shape], ROTATION[shape]))
        cover = coverage(shape, cx, cy, radius, rotation)
        light = random.uniform(0, 2 * math.pi)
        relative = ((x - cx) * math.cos(light) + (y - cy) * math.sin(light)) / radius
        bulge = 1 - ((x - cx) ** 2 + (y - cy) ** 2) / (1.2 * radius) ** 2
        shade = 0.93 + random.uniform(0, 0.12) * relative + random.uniform(0, 0.1) * (bulge - 0.5)
        shades = [_rgb(random, colour) for _ in range(4)]
        # Of a few shades the one that stands out most: a dark purple thing on dark blue teaches nothing.
        stands_out = max(
            shades[:1] if np.linalg.norm(shades[0] - backdrop) > 0.5 else shades,
            key=lambda one: float(np.linalg.norm(one - backdrop)),
        )
        paint = stands_out * np.clip(shade, 0.65, 1.05)[..., None]
        picture = picture * (1 - cover[..., None]) + paint * cover[..., None]
        near = random.uniform(140, 230) + random.uniform(0, 25) * np.clip(bulge, 0, 1)
        depth = depth * (1 - cover) + near * cover
        things.append(Thing(shape, colour, cx, cy, radius, rotation, cover > 0.5))
    return Scene(
        seed,
        tuple(things),
        background,
        np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8),
        np.clip(depth + 0.5, 0, 255).astype(np.uint8),
    )


def sheet(seeds, columns: int = 8) -> np.ndarray:
    """Pictures above their canny and depth maps, uint8 RGB, for the eye."""
    tiles = []
    for seed in seeds:
        scene = make_scene(seed)
        maps = [np.repeat(one[..., None], 3, 2) for one in (scene.canny, scene.depth)]
        tiles.append(np.concatenate([scene.picture, *maps], 0))
    return np.concatenate(
        [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)], 0
    )


if __name__ == "__main__":
    cv2.imwrite(sys.argv[1], cv2.cvtColor(sheet(range(16)), cv2.COLOR_RGB2BGR))
