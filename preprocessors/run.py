"""Make the map of a module: of one picture, or of a batch.

`run_module` is what a unit, the server's detect call and the command line use; `run_batch` is what the canvas
uses. Both call the same functions, so frame k of a batch equals the picture alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InvalidRequest, PictureError, Unsupported
from . import frames
from .estimators import AUTO, OPENPOSE, check_estimator, made_by
from .free import Call
from .registry import Preprocessor, find_preprocessor, function_of
from .runtime import ResultCache, Runtime, stop_if_cancelled

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame

Maker = Callable[[Sequence["Frame"]], "list[Frame]"]

_CPU_CHUNK = 1  # frames per forward pass without a GPU: two take more than twice as long (caches)
_GPU_CHUNK = 64


def run_module(
    name: str,
    image: Frame,
    *,
    processor_res: float,
    threshold_a: float,
    threshold_b: float,
    seed: int = 0,
    subseed: int = -1,
    mask: Frame | None = None,
    estimator: str = AUTO,
    runtime: Runtime,
) -> Frame:
    """The map of one picture.

    Args:
        name: module name or label.
        image: uint8 `(H, W)` or `(H, W, 1, 3 or 4)`. Alpha is laid over white; for the inpaint modules the
        4th
            channel is the mask (255 = repaint).
        processor_res, threshold_a, threshold_b: as `controlnet.modules.effective_sliders` returns them, or
            processor_res from pixel perfect.
        seed, subseed: of the image the map is for, resolved (not -1); only the
            seeded modules (`shuffle`, `mobile_sam`) use them.
        mask: uint8 `(H, W)` of the picture's size, for the inpaint modules only.
        estimator: who finds the people, for the openpose modules only, see `estimators`.
        runtime: device, weights, cancel.

    Returns:
        uint8 `(h, w, 3)`, for inpaint modules `(h, w, 4)`.

    Raises:
        InvalidRequest: unknown module, or a mask or an estimator for a module that takes none such.
        PictureError: wrong shape, dtype or size.
        Unsupported: an embedding module, or one this pack cannot make.
        MissingModel, MissingDependency: what is not there, and how to get it.
        Cancelled: the runtime was asked to stop.
    """
    entry = find_preprocessor(name)
    _check_mask(entry, mask is not None)
    check_estimator(entry.name, estimator)
    frame = _inpaint_frame(entry, image, mask) if entry.kind == "inpaint" else _plain_frame(image)
    call = Call(processor_res, threshold_a, threshold_b, seed, subseed, runtime, estimator=estimator)
    make = _maker(entry, call)
    stop_if_cancelled(runtime)
    if not entry.cached:
        return make([frame])[0]
    return _from_cache(entry, call, [frame])[0]


def run_batch(
    name: str,
    images: torch.Tensor,
    *,
    processor_res: float,
    threshold_a: float,
    threshold_b: float,
    seed: int = 0,
    subseed: int = -1,
    masks: torch.Tensor | None = None,
    poses: list[dict[str, Any]] | None = None,
    estimator: str = AUTO,
    runtime: Runtime,
) -> torch.Tensor:
    """The maps of a batch: float `(B, H, W, C)` in 0..1 to float `(B, h, w, 3)` on the CPU.

    Works chunk by chunk (networks: one forward pass per chunk, sized by free memory; OpenCV steps: frames
    over threads), asks for a cancel and reports progress between chunks, and holds no more than one chunk
    beside input and output. `masks` `(B or 1, H, W)`, 1 = repaint, is for the inpaint modules, which return 4
    channels. Modules that draw poses append the OpenPose JSON behind every map to `poses`; others leave it
    as it is. `estimator` and errors as `run_module`; a batch of no pictures is a `PictureError`.
    """
    import torch

    entry = find_preprocessor(name)
    if images.ndim != 4 or images.shape[0] == 0:
        raise PictureError(f"The batch's shape is {tuple(images.shape)}: there is no picture in it.")
    _check_mask(entry, masks is not None)
    check_estimator(entry.name, estimator)
    wanted = poses if entry.gives_poses else None
    call = Call(processor_res, threshold_a, threshold_b, seed, subseed, runtime, wanted, estimator)
    make = _maker(entry, call)
    total = int(images.shape[0])
    maps = _Maps(total)
    for part in frames.chunks(total, _chunk_size(entry, call, int(images.shape[1]), int(images.shape[2]))):
        stop_if_cancelled(runtime)
        if entry.kind == "frame":
            _write_frames(entry, call, images[part], maps, part.start)
        else:
            made = _batch_part(entry, make, call, images[part], _mask_part(masks, part))
            frames.over_frames(
                lambda pair: maps.write(*pair), list(enumerate(made, part.start)), runtime.threads
            )
        runtime.progress(part.stop / total)
    return torch.from_numpy(maps.values)


class _Maps:
    """The maps of a batch as floats 0..1; the first one tells the size of all. Written to from threads."""

    def __init__(self, total: int) -> None:
        self.values = np.empty(0, np.float32)
        self._total = total
        self._lock = threading.Lock()

    def write(self, index: int, made: Frame) -> None:
        """Put a map into its place."""
        with self._lock:
            if self.values.size == 0:
                self.values = np.empty((self._total, *made.shape), np.float32)
        frames.write_frame(made, self.values[index])


def _write_frames(entry: Preprocessor, call: Call, images: torch.Tensor, maps: _Maps, start: int) -> None:
    """Every picture from its floats to the floats of its map in one go, so that it stays in the cache."""
    function = function_of(entry, call.runtime.weight_folders())

    def make(numbered: tuple[int, NDArray[Any]]) -> None:
        index, values = numbered
        maps.write(index, function(_plain_frame(frames.to_pixels(values)), call))

    frames.over_frames(make, list(enumerate(frames.arrays_of(images), start)), call.runtime.threads)


def _batch_part(
    entry: Preprocessor, make: Maker, call: Call, images: torch.Tensor, masks: torch.Tensor | None
) -> list[Frame]:
    pixels = frames.frames_from_batch(images, call.runtime.threads)
    if entry.kind == "inpaint":
        mask_frames: list[Any] = [None] * len(pixels)
        if masks is not None:
            mask_frames = [mask[:, :, 0] for mask in frames.frames_from_batch(masks[..., None])]
            mask_frames = mask_frames * len(pixels) if len(mask_frames) == 1 else mask_frames
        return make([_inpaint_frame(entry, f, m) for f, m in zip(pixels, mask_frames, strict=True)])
    plain = [_plain_frame(frame) for frame in pixels]
    if not entry.cached:
        return make(plain)
    return _from_cache(entry, call, plain)


def _from_cache(entry: Preprocessor, call: Call, plain: list[Frame]) -> list[Frame]:
    settings = (entry.name, call.resolution, call.threshold_a, call.threshold_b, call.estimator)
    if entry.seeded:
        settings += (call.seed, call.subseed)
    keys = [ResultCache.key(settings, frame) for frame in plain]
    found = [_look_up(call, key) for key in keys]
    missing = [index for index, one in enumerate(found) if one is None]
    if missing:
        noted: list[dict[str, Any]] = []
        made = _maker(entry, replace(call, poses=noted))([plain[index] for index in missing])
        for index, pair in zip(missing, zip(made, noted or [None] * len(made), strict=True), strict=True):
            found[index] = pair
            _keep(call, keys[index], *pair)
    known = [one for one in found if one is not None]
    if len(missing) < len(plain) and (text := made_by(entry.name, call.estimator)):
        call.runtime.notice(text)  # the map is from the cache, its origin still worth telling
    if call.poses is not None:
        call.poses.extend(pose for _, pose in known if pose is not None)
    return [made for made, _ in known]


_POSE = b"pose"  # what the key of a map's pose ends with


def _look_up(call: Call, key: bytes) -> tuple[Frame, dict[str, Any] | None] | None:
    made = call.runtime.cache.get(key)
    if made is None or call.poses is None:
        return None if made is None else (made, None)
    text = call.runtime.cache.get(key + _POSE)
    return None if text is None else (made, json.loads(text.tobytes()))


def _keep(call: Call, key: bytes, made: Frame, pose: dict[str, Any] | None) -> None:
    call.runtime.cache.put(key, made)
    if pose is not None:
        call.runtime.cache.put(key + _POSE, np.frombuffer(json.dumps(pose).encode(), np.uint8))


def _mask_part(masks: torch.Tensor | None, part: slice) -> torch.Tensor | None:
    if masks is None or masks.shape[0] == 1:
        return masks
    return masks[part]


def _maker(entry: Preprocessor, call: Call) -> Maker:
    """A function of a list of frames of one size, whatever the module's own function takes."""
    if entry.kind == "embedding":
        raise Unsupported(
            f"The module {entry.spec.label} gives an embedding, not a picture.",
            "Use it in a ControlNet Unit wired to Generate.",
        )
    if call.estimator == OPENPOSE:
        entry = replace(entry, packages=())  # its networks are torch's, those of the others ONNX files
    function = function_of(entry, call.runtime.weight_folders())
    if entry.kind in ("frame", "inpaint"):
        return lambda pictures: frames.over_frames(
            lambda picture: function(picture, call), pictures, call.runtime.threads
        )
    return lambda pictures: function(list(pictures), call)


def _check_mask(entry: Preprocessor, given: bool) -> None:
    if given and entry.kind != "inpaint":
        raise InvalidRequest(
            f"The module {entry.spec.label} takes no mask.",
            "Only the inpaint modules do; leave the mask away.",
            module=entry.name,
        )


def _plain_frame(image: Frame) -> Frame:
    return frames.to_rgb(frames.check_frame(image))


def _inpaint_frame(entry: Preprocessor, image: Frame, mask: Frame | None) -> Frame:
    frame = frames.check_frame(image)
    if mask is None:
        if frame.shape[2] == 4:
            return frame
        mask = np.zeros(frame.shape[:2], np.uint8)
    alpha = frames.check_frame(mask)[:, :, :1]
    if alpha.shape[:2] != frame.shape[:2]:
        raise PictureError(
            f"The mask is {frames.size_text(alpha)}, the picture {frames.size_text(frame)}.",
            f"{entry.spec.label} needs both at the same size.",
        )
    return np.concatenate([frames.to_rgb(frame), alpha], axis=2)


def _chunk_size(entry: Preprocessor, call: Call, height: int, width: int) -> int:
    runtime = call.runtime
    if entry.kind != "batch":
        return 4 * max(1, runtime.threads)
    if not runtime.device.startswith("cuda"):
        return _CPU_CHUNK
    rows, columns = frames.working_shape(height, width, call.resolution)
    per_frame = max(1, (rows + 64) * (columns + 64) * entry.pixel_bytes)
    return max(1, min(_GPU_CHUNK, runtime.free_memory() // per_frame))
