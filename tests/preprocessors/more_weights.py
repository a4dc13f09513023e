"""Pseudo-random weights of the networks in `test_more_networks.py`, as files of their publishers' shape.

The same recipe made the golden data in `tests/golden/learned/more_networks`: every number follows from the
tag and the parameter's name (`random_weights.random_state`); for MobileSAM a few are then moved, since with
random ones alone no mask is good enough to be kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from random_weights import random_state

TAGS = ("uniformer", "anime_face", "mobile_sam")
_LAST = "mask_decoder.output_upscaling.3"  # the layer before the masks


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """RGB `(height, width, 3)`: twelve plain rectangles and discs on a soft gradient."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    made = np.stack([255 * x // width, 255 * y // height, 255 - 255 * x // width], axis=2).astype(np.uint8)
    for index in range(12):
        colour = random.randint(0, 256, 3)
        row, column = random.randint(0, height), random.randint(0, width)
        size = random.randint(min(height, width) // 10 + 1, min(height, width) // 3 + 2)
        if index % 2:
            made[(y - row) ** 2 + (x - column) ** 2 < (size // 2) ** 2] = colour
        else:
            made[row : row + size, column : column + size] = colour
    return made


def state(tag: str) -> dict[str, torch.Tensor]:
    """The tensors of one network."""
    from img_open.preprocessors.networks import BUILDERS

    made = random_state(tag, BUILDERS[tag](), 1.0)
    if tag == "mobile_sam":
        made["mask_decoder.iou_prediction_head.layers.2.bias"] += 0.88  # about half of the masks are good
        made[f"{_LAST}.weight"] *= 40  # steep borders: what the network sees as an object is stable
    return made


def unused(tag: str) -> dict[str, torch.Tensor]:
    """Tensors of the published file that nothing needs."""
    if tag == "uniformer":
        return {"auxiliary_head.conv_seg.weight": torch.zeros(150, 256, 1, 1)}
    if tag == "mobile_sam":
        return {
            "image_encoder.norm_head.weight": torch.ones(320),
            "image_encoder.head.bias": torch.zeros(1000),
        }
    return {}


def write(tag: str, folder: Path) -> Path:
    """Write the checkpoint of one network, wrapped and named as its publisher does."""
    from img_open.preprocessors.weights_table import WEIGHTS

    path = folder / Path(WEIGHTS[tag].file).name
    if not path.is_file():
        tensors = {**state(tag), **unused(tag)}
        if tag == "anime_face":
            tensors = {f"module.{key}": value for key, value in tensors.items()}
        torch.save({"meta": {}, "state_dict": tensors} if tag == "uniformer" else tensors, path)
    return path


class StandIn(torch.nn.Module):
    """What DensePose's file does, without its network: a uint8 picture to boxes and part scores.

    Every box is found twice, so that the operators of torchvision have something to do.
    """

    def __init__(self, people: int = 3) -> None:
        super().__init__()
        random = np.random.RandomState(7)
        corners = random.uniform(0.05, 0.6, (people, 2))
        sizes = random.uniform(0.25, 0.35, (people, 2))
        boxes = np.concatenate([corners, corners + sizes], axis=1)
        self.register_buffer("boxes", torch.from_numpy(np.repeat(boxes, 2, axis=0)).float())
        self.register_buffer("scores", torch.linspace(0.9, 0.4, 2 * people))
        self.coarse = torch.nn.Conv2d(3, 2, 3, padding=1)
        self.fine = torch.nn.Conv2d(3, 25, 3, padding=1)
        shaped = random_state("densepose", self, 1.0)
        self.load_state_dict({key: shaped[key] for key in shaped if "." in key}, strict=False)

    def forward(self, image: torch.Tensor):
        height, width = image.shape[1], image.shape[2]
        boxes = self.boxes * torch.tensor([width, height, width, height], dtype=torch.float)
        boxes = boxes[torch.ops.torchvision.nms(boxes, self.scores, 0.5)]
        rois = torch.cat([torch.zeros(boxes.shape[0], 1), boxes], dim=1)
        pixels = image[None].float() / 32 - 4
        seen = torch.ops.torchvision.roi_align(pixels, rois, 1.0, 28, 28, 2, True)
        fine = self.fine(seen)
        return boxes, self.coarse(seen), fine, fine * 0.5, fine * 0.25


def write_densepose(folder: Path, people: int = 3) -> Path:
    """Write the stand-in as TorchScript under the published name."""
    from img_open.preprocessors import vision_ops
    from img_open.preprocessors.weights_table import WEIGHTS

    vision_ops.provide()
    path = folder / WEIGHTS["densepose"].file
    torch.jit.script(StandIn(people).eval()).save(str(path))
    return path


def discs(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Made-up answers of SAM to points `(N, 2)`: logits `(N, 3, 256, 256)`, qualities `(N, 3)`.

    A small, a middle and a large disc around places that neighbouring points share, so that there are
    duplicates; some of low quality, some with borders too soft to be stable.
    """
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    masks, qualities = [], []
    for place_x, place_y in points.double().tolist():
        for cell, radius in ((96, 9.0), (192, 24.0), (384, 55.0)):
            column, row = (int(place) // cell * cell // 4 + cell // 8 for place in (place_x, place_y))
            number = (column * 7 + row * 13 + cell) % 101
            steep = 0.05 if number % 5 == 0 else 4.0
            reach = radius * (0.6 + number / 150)
            masks.append((reach - ((x - column) ** 2 + (y - row) ** 2).sqrt()) * steep)
            qualities.append(0.85 + number / 1000 + (int(place_x) % 7) / 10000)
    count = len(points)
    return torch.stack(masks).view(count, 3, 256, 256), torch.tensor(qualities).view(count, 3)
