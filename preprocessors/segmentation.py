"""Semantic segmentation in the data sets' colours: OneFormer (network from transformers), UniFormer, and the
parts of a drawn face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.command import command
from ..base.errors import MissingModel
from . import frames, tensors, weight_files
from .aux_library import aux_class
from .depth import normalise
from .hub_models import hub_model
from .networks import network
from .palettes import ANIME_FACE, COCO_PANOPTIC

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call
    from .runtime import Runtime


_CLASSES_AT_ONCE = 25  # of UniFormer's 150 enlarged at the same time
_FACE_SIDE = 512  # short side of what the anime face network looks at


def _ade20k() -> NDArray[np.uint8]:
    return np.array(aux_class("util", "ade_palette")(), np.uint8)


def oneformer_ade20k(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """ADE20K's 150 classes; the picture is looked at with a short side of 640."""
    return _paint(pictures, call, "oneformer_ade20k", _ade20k(), 640, 2560)


def oneformer_coco(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """COCO's 133 panoptic classes; the picture is looked at with a short side of 800."""
    return _paint(pictures, call, "oneformer_coco", np.array(COCO_PANOPTIC, np.uint8), 800, 1333)


def _paint(
    pictures: Sequence[Frame], call: Call, key: str, colours: NDArray[np.uint8], short: int, long: int
) -> list[Frame]:
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    height, width = inputs[0].shape[:2]
    sized = _looked_at(inputs, short, long)
    made = hub_model(key, "OneFormerForUniversalSegmentation", call.runtime)
    task = _task_tokens(key, call.runtime)
    with torch.inference_mode():
        pixels = normalise(tensors.to_device(sized, call.runtime) / 255.0)
        tokens = torch.from_numpy(task).to(pixels.device).expand(pixels.shape[0], -1)
        labels = _labels(made(pixel_values=pixels, task_inputs=tokens), (height, width)).cpu().numpy()
    return [frames.cut(colours[each.clip(0, len(colours) - 1)], kept) for each in labels]


def _looked_at(inputs: Sequence[Frame], short: int, long: int) -> list[Frame]:
    """As large as fits a short side of `short` and a long one of `long`, bilinear."""
    import cv2

    height, width = inputs[0].shape[:2]
    k = min(short / min(height, width), long / max(height, width))
    size = max(1, int(width * k + 0.5)), max(1, int(height * k + 0.5))
    return [cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR) for picture in inputs]


def _labels(output: Any, size: tuple[int, int]) -> torch.Tensor:
    """Class of every pixel `(B, H, W)`: the queries' masks weighed by their class probabilities."""
    import torch
    from torch.nn.functional import interpolate

    classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]  # the last one is "nothing"
    masks = interpolate(
        output.masks_queries_logits, size=size, mode="bilinear", align_corners=False
    ).sigmoid()
    return torch.einsum("bqc,bqhw->bchw", classes, masks).argmax(dim=1)


def _task_tokens(key: str, runtime: Runtime) -> NDArray[np.int64]:
    """The sentence that tells OneFormer what to do, as token numbers `(1, 77)`."""
    folder = weight_files.require(key, runtime)
    try:
        from transformers import CLIPTokenizer

        tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        tokens = tokenizer(["the task is semantic"], padding="max_length", max_length=77, truncation=True)
    except Exception as error:
        raise MissingModel(
            f"The tokenizer in {folder} cannot be loaded: {str(error).strip().splitlines()[0][:200]}",
            "Delete the folder and fetch it again: the node's download button, or "
            f"`{command(f'models pull {key}')}`.",
            folder=str(folder),
        ) from error
    return np.array(tokens["input_ids"], np.int64)


def uniformer_ade20k(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """ADE20K's 150 classes by UniFormer-S; the picture is looked at with a short side of 512, at most 2048
    long.
    """
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    # The original hands RGB to a pipeline that takes it for BGR and reverses it: kept.
    sized = [picture[:, :, ::-1] for picture in _looked_at(inputs, 512, 2048)]
    made = network("uniformer", call.runtime)
    colours = _ade20k()
    with torch.inference_mode():
        scores = made(normalise(tensors.to_device(sized, call.runtime).contiguous() / 255.0))
        labels = _best_class(scores, sized[0].shape[:2], inputs[0].shape[:2]).cpu().numpy()
    return [frames.cut(colours[each], kept) for each in labels]


def _best_class(scores: torch.Tensor, *sizes: tuple[int, ...]) -> torch.Tensor:
    """The class with the highest score `(B, H, W)` after bringing `(B, C, h, w)` to every size in turn."""
    import torch
    from torch.nn.functional import interpolate

    rows, columns = sizes[-1]
    best = scores.new_full((scores.shape[0], rows, columns), -torch.inf)
    label = torch.zeros_like(best, dtype=torch.int64)
    for start in range(0, scores.shape[1], _CLASSES_AT_ONCE):  # all of them at once would be gigabytes
        part = scores[:, start : start + _CLASSES_AT_ONCE]
        for size in sizes:
            part = interpolate(part, size=size, mode="bilinear", align_corners=False)
        value, index = part.max(dim=1)
        label = torch.where(value > best, index + start, label)
        best = torch.maximum(best, value)
    return label


def anime_face(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Background, hair, eyes, mouth, face, skin and clothes of a drawn character.

    The network looks at a short side of 512, and so large is its map. The original cuts it at the working
    size as if it were the same, which is so for a processor_res of 512 only: kept, with a notice.
    """
    import torch
    from PIL import Image

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    size = _short_side(inputs[0].shape[1], inputs[0].shape[0])
    if min(kept) != _FACE_SIDE:
        call.runtime.notice(
            f"seg_anime_face always works at a short side of {_FACE_SIDE}; at a processor_res of "
            f"{call.resolution:g} the map does not lie over the picture. Use {_FACE_SIDE}."
        )
    sized = [
        np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)) for picture in inputs
    ]
    made = network("anime_face", call.runtime)
    colours = np.array(ANIME_FACE, np.uint8)
    with torch.inference_mode():
        chances = made(tensors.to_device(sized, call.runtime).contiguous() / 255.0)
        labels = chances.argmax(dim=1).cpu().numpy()
    return [frames.cut(colours[each], kept) for each in labels]


def _short_side(width: int, height: int) -> tuple[int, int]:
    """Width and height with the short side at 512, the long one rounded down."""
    if width <= height:
        return _FACE_SIDE, int(_FACE_SIDE * height / width)
    return int(_FACE_SIDE * width / height), _FACE_SIDE
