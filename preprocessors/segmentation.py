"""Semantic segmentation by OneFormer, network from transformers, in the data sets' colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import MissingModel
from . import frames, tensors, weight_files
from .aux_library import aux_class
from .depth import normalise
from .hub_models import hub_model
from .palettes import COCO_PANOPTIC

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call
    from .runtime import Runtime


def oneformer_ade20k(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """ADE20K's 150 classes; the picture is looked at with a short side of 640."""
    colours = np.array(aux_class("util", "ade_palette")(), np.uint8)
    return _paint(pictures, call, "oneformer_ade20k", colours, 640, 2560)


def oneformer_coco(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """COCO's 133 panoptic classes; the picture is looked at with a short side of 800."""
    return _paint(pictures, call, "oneformer_coco", np.array(COCO_PANOPTIC, np.uint8), 800, 1333)


def _paint(
    pictures: Sequence[Frame], call: Call, key: str, colours: NDArray[np.uint8], short: int, long: int
) -> list[Frame]:
    import cv2
    import torch

    inputs, kept = tensors.padded(pictures, call.resolution, call.runtime)
    height, width = inputs[0].shape[:2]
    k = min(short / min(height, width), long / max(height, width))
    size = max(1, int(width * k + 0.5)), max(1, int(height * k + 0.5))
    sized = [cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR) for picture in inputs]
    made = hub_model(key, "OneFormerForUniversalSegmentation", call.runtime)
    task = _task_tokens(key, call.runtime)
    with torch.inference_mode():
        pixels = normalise(tensors.to_device(sized, call.runtime) / 255.0)
        tokens = torch.from_numpy(task).to(pixels.device).expand(pixels.shape[0], -1)
        labels = _labels(made(pixel_values=pixels, task_inputs=tokens), (height, width)).cpu().numpy()
    return [frames.cut(colours[each.clip(0, len(colours) - 1)], kept) for each in labels]


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
            f"Delete the folder and fetch it again: img-open models pull {key}",
            folder=str(folder),
        ) from error
    return np.array(tokens["input_ids"], np.int64)
