"""CLIP image embeddings for IP-Adapter, Revision and the style adapter; network from transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PictureError, Unsupported
from . import frames
from .hub_models import hub_model
from .registry import find_preprocessor, function_of

if TYPE_CHECKING:
    import torch

    from .frames import Frame
    from .runtime import Runtime

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


@dataclass(frozen=True)
class ImageEmbedding:
    """What CLIP says of a picture, on the CPU, float32.

    Attributes:
        image_embeds: `(1, D)`, projected.
        last_hidden: `(1, tokens, width)`, after the last layer.
        penultimate: `(1, tokens, width)`, after the last but one; IP-Adapter Plus takes this.
    """

    image_embeds: torch.Tensor
    last_hidden: torch.Tensor
    penultimate: torch.Tensor


def run_embedding(name: str, image: Frame, *, mask: Frame | None = None, runtime: Runtime) -> ImageEmbedding:
    """The embedding of one picture by an embedding module.

    Args:
        name: module, name or label.
        image: uint8 `(H, W)` or `(H, W, C)`; a 4th channel is the mask, not alpha.
        mask: uint8 `(H, W)` of the picture's size; masked (white) means removed.
        runtime: device and weights.
    """
    entry = find_preprocessor(name)
    if entry.kind != "embedding":
        function_of(entry)  # an unavailable module says why first
        raise Unsupported(
            f"The module {entry.spec.label} gives a picture, not an embedding.", "Use run_module."
        )
    return function_of(entry)(entry.weights[0], image, mask, runtime)


def clip(key: str, image: Frame, mask: Frame | None, runtime: Runtime) -> ImageEmbedding:
    """CLIP's vision tower over the picture brought to its size."""
    import torch

    made = hub_model(key, "CLIPVisionModelWithProjection", runtime)
    pixels = _prepare(image, mask, int(made.config.image_size))
    with torch.inference_mode():
        output = made(pixel_values=torch.from_numpy(pixels).to(runtime.device), output_hidden_states=True)
    return ImageEmbedding(
        output.image_embeds.float().cpu(),
        output.last_hidden_state.float().cpu(),
        output.hidden_states[-2].float().cpu(),
    )


def _prepare(image: Frame, mask: Frame | None, side: int) -> Any:
    """Stretched to a square, normalised, the masked part multiplied away: `(1, 3, side, side)`."""
    import cv2

    frame = frames.check_frame(image)
    if mask is None and frame.shape[2] == 4:
        mask = np.ascontiguousarray(frame[:, :, 3])
        frame = np.ascontiguousarray(frame[:, :, :3])
    small = cv2.resize(frames.to_rgb(frame), (side, side), interpolation=cv2.INTER_AREA)
    values = (small.astype(np.float32) / 255.0 - _MEAN) / _STD
    if mask is not None:
        alpha = frames.check_frame(mask)[:, :, 0]
        if alpha.shape != frame.shape[:2]:
            raise PictureError(
                f"The mask is {frames.size_text(alpha)}, the picture {frames.size_text(frame)}.",
                "Both must have the same size.",
            )
        kept = 255 - cv2.resize(np.ascontiguousarray(alpha), (side, side), interpolation=cv2.INTER_AREA)
        values *= kept[:, :, None].astype(np.float32) / 255.0
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])
