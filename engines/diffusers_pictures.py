# pyright: basic
"""Pictures to latents and back, previews, and the latents' own resizing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import TaskFailed
from .diffusers_load import SMALL_VAE
from .types import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Stable Diffusion 1.x latents (scaled) to RGB in -1..1: a linear fit well known among its users.
_LATENT_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)
#: The web UI's latent upscalers: name -> (torch mode, antialias).
LATENT_UPSCALERS: dict[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
#: Upscalers of pictures that need no weights: name -> Pillow filter.
PICTURE_UPSCALERS: dict[str, str] = {"None": "LANCZOS", "Lanczos": "LANCZOS", "Nearest": "NEAREST"}


def encode(vae: Any, picture: NDArray[np.uint8]) -> Any:
    """uint8 (H, W, 3) to scaled latents, float32 (1, 4, H/8, W/8): the mean of the encoder's distribution."""
    import torch

    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[
        None
    ]  # a copy: Pillow gives read-only arrays
    pixels = (pixels.to(vae.device, torch.float32) / 127.5 - 1.0).to(vae.dtype)
    latents = vae.encode(pixels).latent_dist.mode().float()
    return latents * vae.config.scaling_factor


def decode(vae: Any, latents: Any) -> list[NDArray[np.uint8]]:
    """Scaled latents (B, 4, h, w) to uint8 pictures (8h, 8w, 3), one at a time.

    Raises:
        TaskFailed: the VAE produced values that are not numbers.
    """
    pictures: list[NDArray[np.uint8]] = []
    for one in latents.split(1):
        pixels = vae.decode((one / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0].float()
        if not bool(pixels.isfinite().all()):
            raise TaskFailed(
                "The VAE produced values that are not numbers (NaN).", "Use another VAE (sd_vae)."
            )
        pixels = (pixels[0].permute(1, 2, 0) * 0.5 + 0.5).clamp(0, 1)
        # Cut, not rounded: the web UI and ComfyUI both do so.
        pictures.append((pixels.cpu().numpy() * 255.0).astype(np.uint8))
    return pictures


def upscale_latents(latents: Any, upscaler: str, size: tuple[int, int], truncate: tuple[int, int]) -> Any:
    """Resize latents for the second pass of the hires fix.

    Args:
        latents: (B, 4, h, w).
        upscaler: a key of `LATENT_UPSCALERS`.
        size: (width, height) in pixels to resize to.
        truncate: (x, y) latent columns and rows to cut off, half on each side.
    """
    import torch.nn.functional as functional

    mode, antialias = LATENT_UPSCALERS[upscaler]
    resized = functional.interpolate(
        latents, size=(size[1] // 8, size[0] // 8), mode=mode, antialias=antialias
    )
    return cut_latents(resized, truncate)


def cut_latents(latents: Any, truncate: tuple[int, int]) -> Any:
    """Cut `truncate` (x, y) columns and rows off, the smaller half of them at the left and the top."""
    x, y = truncate
    height, width = latents.shape[2:]
    return latents[:, :, y // 2 : height - (y + 1) // 2, x // 2 : width - (x + 1) // 2]


def upscale_picture(picture: NDArray[np.uint8], upscaler: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture with an upscaler of `PICTURE_UPSCALERS` to (width, height)."""
    from PIL import Image

    method = Image.Resampling[PICTURE_UPSCALERS[upscaler]]
    return np.asarray(Image.fromarray(picture).resize(size, method))


class Previews:
    """Progress with an intermediate picture about once a second.

    Args:
        progress: where reports go; None for nobody.
        vae: decodes previews where it is small; a linear fit stands in for a large one.
        calls: model calls of the whole request.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        progress: Callable[[Progress], None] | None,
        vae: Any,
        calls: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._vae, self._calls, self._clock = progress, vae, max(calls, 1), clock
        self._done = 0
        self._last = float("-inf")
        self._small = sum(each.numel() for each in vae.decoder.parameters()) < SMALL_VAE

    def __call__(self, latents: Any) -> None:
        """One model call is done; `latents` is the picture it predicts."""
        self._done += 1
        if self._progress is None:
            return
        picture = None
        now = self._clock()
        if now - self._last >= 1.0:
            self._last = now
            picture = self._picture(latents[:1])
        fraction = 0.1 + 0.85 * min(self._done / self._calls, 1.0)
        self._progress(Progress(fraction, "sampling", f"{self._done}/{self._calls}", picture))

    def _picture(self, latents: Any) -> NDArray[np.uint8] | None:
        import torch

        if not bool(latents.isfinite().all()):
            return None
        if self._small:
            return decode(self._vae, latents.to(self._vae.device))[0]
        factors = torch.tensor(_LATENT_RGB, device=latents.device)
        colours = torch.einsum("bchw,cr->bhwr", latents.float(), factors)[0]
        small = ((colours * 0.5 + 0.5).clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
        return np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)
