"""The modules that need no weights, after what sd-webui-controlnet 1.1.455 computes.

Every function takes an RGB frame uint8 `(H, W, 3)` and a `Call`, and returns the map as uint8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import frames
from .estimators import AUTO
from .pose import pose_to_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .pose import Pose
    from .runtime import Runtime


@dataclass(frozen=True)
class Call:
    """The settings of one module call, sliders already brought into their bounds.

    Attributes:
        resolution: processor_res, pixels of the short side.
        threshold_a, threshold_b: the module's two sliders.
        seed, subseed: of the image the map is for; only `shuffle` and `mobile_sam` use them. -1 subseed
            means "as seed".
        runtime: device, weights, cancel.
        poses: where the pose modules leave the OpenPose JSON behind each map; None: nobody wants it.
        estimator: who finds the people of the openpose modules, see `estimators`.
    """

    resolution: float
    threshold_a: float
    threshold_b: float
    seed: int
    subseed: int
    runtime: Runtime
    poses: list[dict[str, Any]] | None = None
    estimator: str = AUTO

    def keep_pose(self, pose: Pose) -> None:
        """Leave the pose of the next map, in the order of the maps."""
        if self.poses is not None:
            self.poses.append(pose_to_json(pose))


def identity(image: Frame, call: Call) -> Frame:
    """The picture as it is (none, reference_*, tile_colorfix*, which work in the sampler)."""
    return image


def canny(image: Frame, call: Call) -> Frame:
    """OpenCV's Canny on three channels, 3x3, L1; A low and B high threshold, truncated to int."""
    import cv2

    padded, kept = frames.fit_padded(image, call.resolution)
    edges = cv2.Canny(padded, int(call.threshold_a), int(call.threshold_b))
    return frames.gray_to_rgb(frames.cut(edges, kept))


def invert(image: Frame, call: Call) -> Frame:
    """255 - x at the input's size."""
    import cv2

    return cv2.bitwise_not(image)


def threshold(image: Frame, call: Call) -> Frame:
    """White where the smallest channel is above A."""
    import cv2

    padded, kept = frames.fit_padded(image, call.resolution)
    darkest = frames.cut(frames.channel_min(padded), kept)
    # x > a for whole numbers x is x > floor(a), also for a slider value with a fraction.
    _, white = cv2.threshold(darkest, float(np.floor(call.threshold_a)), 255, cv2.THRESH_BINARY)
    return frames.gray_to_rgb(white)


def scribble_xdog(image: Frame, call: Call) -> Frame:
    """XDoG: the difference of two Gaussians (0.5 and 5.0), A as threshold.

    The doubling wraps at 256 in the original's uint8 arithmetic; kept, because it shapes the map.
    """
    import cv2

    padded, kept = frames.fit_padded(image, call.resolution)
    x = padded.astype(np.float32)
    fine = cv2.GaussianBlur(x, (0, 0), 0.5)
    coarse = cv2.GaussianBlur(x, (0, 0), 5.0)
    difference = frames.channel_min(cv2.subtract(coarse, fine))
    dog = (255 - difference).clip(0, 255).astype(np.uint8)
    doubled = (255 - dog) << 1
    drawn = np.where(doubled > call.threshold_a, np.uint8(255), np.uint8(0))
    return frames.gray_to_rgb(frames.cut(drawn, kept))


def line_intensity(padded: Frame, sigma: float = 6.0, floor: float = 8.0) -> Frame:
    """How much darker a pixel is than what is around it, by the picture's own median: uint8 `(H, W)`."""
    import cv2

    x = padded.astype(np.float32)
    blurred = cv2.GaussianBlur(x, (0, 0), sigma)
    intensity = frames.channel_min(cv2.subtract(blurred, x)).clip(0, 255)
    lines = intensity[intensity > floor]
    scale = max(16.0, float(np.median(lines))) if lines.size else 16.0
    intensity /= np.float32(scale)
    intensity *= np.float32(127)
    return intensity.clip(0, 255).astype(np.uint8)


def lineart_standard(image: Frame, call: Call) -> Frame:
    """White lines of a dark-on-white drawing, without a network. A flat picture gives black."""
    padded, kept = frames.fit_padded(image, call.resolution)
    return frames.gray_to_rgb(frames.cut(line_intensity(padded), kept))


def _gamma(gray: Frame, gamma: float) -> Frame:
    curve = (np.arange(256, dtype=np.float32) / np.float32(255.0)) ** np.float32(gamma)
    table = (curve * np.float32(255.0)).clip(0, 255).astype(np.uint8)
    return frames.gray_to_rgb(table[gray])


def recolor_luminance(image: Frame, call: Call) -> Frame:
    """L of Lab, gamma A. Red and blue are swapped in the conversion, as in the original."""
    import cv2

    return _gamma(cv2.cvtColor(image, cv2.COLOR_BGR2LAB)[:, :, 0], call.threshold_a)


def recolor_intensity(image: Frame, call: Call) -> Frame:
    """V of HSV, gamma A."""
    import cv2

    return _gamma(cv2.cvtColor(image, cv2.COLOR_BGR2HSV)[:, :, 2], call.threshold_a)


def tile_resample(image: Frame, call: Call) -> Frame:
    """Input size divided by A (area average); below 1.1 unchanged."""
    import cv2

    if call.threshold_a < 1.1:
        return image
    height = max(1, int(image.shape[0] / call.threshold_a))
    width = max(1, int(image.shape[1] / call.threshold_a))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def blur_gaussian(image: Frame, call: Call) -> Frame:
    """Gaussian blur of sigma A pixels at processor_res, without padding."""
    import cv2

    return cv2.GaussianBlur(frames.fit(image, call.resolution), (0, 0), call.threshold_a)


def color(image: Frame, call: Call) -> Frame:
    """Blocks of 64 pixels at processor_res, the T2I adapter's colour grid."""
    import cv2

    height, width = frames.working_shape(image.shape[0], image.shape[1], call.resolution)
    sized = frames.resize_to(image, height, width, cv2.INTER_AREA)
    grid = cv2.resize(sized, (max(1, width // 64), max(1, height // 64)), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_NEAREST)


def shuffle_seed(seed: int, subseed: int) -> int:
    """The numpy seed of `shuffle`: seed + subseed modulo 2^32, -1 meaning the image seed, negative 0.

    So with the default subseed the number is twice the image seed, as in sd-webui-controlnet 1.1.455.
    """
    first = 0 if seed < 0 else seed
    second = first if subseed == -1 else max(0, subseed)
    return (first + second) % 2**32


def _noise_field(random: np.random.RandomState, height: int, width: int, grain: int = 256) -> NDArray[Any]:
    import cv2

    noise = random.uniform(0.0, 1.0, (height // grain + 2, width // grain + 2, 1))
    noise = cv2.resize(noise, (width + 2 * grain, height + 2 * grain), interpolation=cv2.INTER_CUBIC)
    noise = noise[grain : grain + height, grain : grain + width]
    noise = noise - noise.min()
    largest = noise.max()
    return noise / largest if largest > 0 else noise


def shuffle(image: Frame, call: Call) -> Frame:
    """The picture's content moved along two smooth random fields; seeded, never cached.

    The numbers are those of numpy's legacy generator, drawn from a generator of our own: the global one of
    the process is left alone.
    """
    import cv2

    # The module has no resolution slider: 0 is what its hidden one lets through (bounds 0..1).
    sized = frames.fit(image, call.resolution if call.resolution > 1 else 512)
    height, width = sized.shape[:2]
    random = np.random.RandomState(shuffle_seed(call.seed, call.subseed))
    x = _noise_field(random, height, width) * float(width - 1)
    y = _noise_field(random, height, width) * float(height - 1)
    return cv2.remap(sized, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
