"""The inpaint modules: pictures that carry their mask as a fourth channel, uint8 `(H, W, 4)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.command import command
from ..base.errors import MissingDependency
from . import frames, weight_files
from .networks import read_state
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    from .frames import Frame
    from .free import Call
    from .runtime import Runtime

_LAMA_SIDE = 256  # LaMa was trained at this size


def identity(image: Frame, call: Call) -> Frame:
    """Picture and mask as they are; the work is done while sampling."""
    return image


def lama(image: Frame, call: Call) -> Frame:
    """The masked part filled in by LaMa at a short side of 256, blended over the picture by the soft mask."""
    import cv2
    import torch

    stop_if_cancelled(call.runtime)
    height, width = image.shape[:2]
    padded, kept = frames.fit_padded(image, _LAMA_SIDE)
    made = call.runtime.load("preprocessor/lama", lambda: _build(call.runtime))
    with torch.inference_mode():
        pixels = torch.from_numpy(padded).to(call.runtime.device).permute(2, 0, 1)[None].float() / 255.0
        mask = (pixels[:, 3:] > 0.5).float()
        colour = pixels[:, :3] * (1 - mask)
        filled = made(colour, mask) * mask + colour
        small = (filled[0] * 255.0).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    full = cv2.resize(frames.cut(small, kept), (width, height), interpolation=cv2.INTER_LINEAR)
    alpha = image[:, :, 3:].astype(np.float32) / 255.0
    blended = full.astype(np.float32) * alpha + image[:, :, :3].astype(np.float32) * (1.0 - alpha)
    return np.concatenate([blended.clip(0, 255).astype(np.uint8), image[:, :, 3:]], axis=2)


def _build(runtime: Runtime) -> Any:
    path = weight_files.require("lama", runtime)
    state = _under_spandrels_names(read_state(path))
    try:
        import torch
        from spandrel import ModelLoader  # pyright: ignore[reportMissingImports]  # ComfyUI brings it

        with torch.inference_mode(False):  # as in networks.network
            made = ModelLoader(device="cpu").load_from_state_dict(state).model
            return made.float().eval().requires_grad_(False)
    except Exception as error:
        raise MissingDependency(
            f"spandrel cannot make LaMa from {path}: {type(error).__name__}: {str(error)[:200]}",
            f"Update spandrel. If the message is about torchvision, run `{command('doctor')}`.",
            package="spandrel",
        ) from error


def _under_spandrels_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """The generator's tensors under the prefix by which spandrel recognises LaMa (`model.model.`)."""
    landmark = "1.bn_l.running_mean"
    prefix = next(
        (key[: -len(landmark)] for key in state if key.endswith(f".{landmark}") or key == landmark), None
    )
    if prefix is None:
        return dict(state)  # let spandrel say what it is
    return {
        f"model.model.{key.removeprefix(prefix)}": value
        for key, value in state.items()
        if key.startswith(prefix)
    }
