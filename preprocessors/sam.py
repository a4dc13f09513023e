"""Everything in a picture, every object in a colour of its own: MobileSAM asked at a grid of points.

The way from points to masks is that of "Segment Anything" (Kirillov et al., ICCV 2023, section "automatic
mask generation") with its published settings; sizes and colours follow sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PictureError
from . import frames, tensors, vision_ops
from .free import shuffle_seed
from .networks import network
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from .frames import Frame
    from .free import Call
    from .runtime import Runtime

    _Packed = NDArray[np.uint8]  # masks (N, H, W / 8), eight pixels to a byte: there can be thousands

_POINTS = 32  # points per side of the grid
_AT_ONCE = 64  # points per pass of the mask decoder
_ENLARGED_AT_ONCE = 32  # masks brought to the picture's size at once, 4 MB each
_QUALITY = 0.88  # masks the network itself rates lower are dropped
_STABILITY = 0.95  # and those that change more when the threshold moves by 1
_OVERLAP = 0.7  # of two boxes that overlap more the better stays
_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def mobile_sam(pictures: Sequence[Frame], call: Call) -> list[Frame]:
    """Random colours from the unit's seed; black where no object is. The size is in multiples of 64.

    The colours are numpy's legacy numbers, three per object from the largest to the smallest, from the seed
    that `shuffle` uses (`free.shuffle_seed`): the original draws them from the process-wide generator, which
    it seeds so before every unit. Every frame of a batch starts anew. Raises `PictureError` if no object is
    found, where the original breaks off.
    """
    import torch

    inputs = [_to_multiples(picture, call.resolution) for picture in pictures]
    made: Any = network("mobile_sam", call.runtime)
    maps = []
    with torch.inference_mode():
        embeddings = made.image_encoder(_squares(inputs, call.runtime))
        for index, picture in enumerate(inputs):
            masks = _masks(made, embeddings[index : index + 1], _size(picture), call.runtime)
            maps.append(_paint(masks, _size(picture), shuffle_seed(call.seed, call.subseed)))
    return [_to_multiples_again(painted, call.resolution) for painted in maps]


def _size(picture: Frame) -> tuple[int, int]:
    return int(picture.shape[0]), int(picture.shape[1])


def _multiples(height: int, width: int, resolution: float) -> tuple[int, int]:
    """The size with the short side at `resolution`, both sides rounded to multiples of 64."""
    k = float(resolution) / min(height, width)
    rows, columns = (max(1, int(np.round(side * k / 64.0))) * 64 for side in (height, width))
    frames.check_size(rows, columns)
    return rows, columns


def _to_multiples(picture: Frame, resolution: float) -> Frame:
    import cv2

    height, width = _size(picture)
    rows, columns = _multiples(height, width, resolution)
    grows = float(resolution) / min(height, width) > 1
    return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_LANCZOS4 if grows else cv2.INTER_AREA)


def _to_multiples_again(painted: Frame, resolution: float) -> Frame:
    """The same rule on the map's own size, which changes it where `resolution` is no multiple of 64."""
    import cv2

    rows, columns = _multiples(*_size(painted), resolution)
    return frames.resize_to(painted, rows, columns, cv2.INTER_LINEAR)


def _longest(height: int, width: int, side: int) -> tuple[int, int]:
    """The size with the long side at `side`."""
    k = side / max(height, width)
    return int(height * k + 0.5), int(width * k + 0.5)


def _squares(inputs: Sequence[Frame], runtime: Runtime) -> torch.Tensor:
    """Frames to what the encoder takes: long side 1024, normalised, zeros to the right and below."""
    from PIL import Image
    from torch.nn.functional import pad

    from .sam_networks import SIDE

    rows, columns = _longest(*_size(inputs[0]), SIDE)
    sized = [
        np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR))
        for picture in inputs
    ]
    pixels = tensors.to_device(sized, runtime)
    mean, deviation = (pixels.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
    return pad((pixels - mean) / deviation, (0, SIDE - columns, 0, SIDE - rows)).contiguous()


def _masks(made: Any, embedding: torch.Tensor, size: tuple[int, int], runtime: Runtime) -> _Packed:
    """The picture's objects, packed, the best mask first, duplicates dropped."""
    import torch

    packed: list[_Packed] = []
    boxes: list[torch.Tensor] = []
    rated: list[torch.Tensor] = []
    for points in torch.split(_grid(size, embedding.device), _AT_ONCE):
        stop_if_cancelled(runtime)
        logits, qualities = made.point_masks(embedding, points)
        good = qualities > _QUALITY
        for masks, quality in _stable(logits[good], qualities[good], size):
            packed.append(np.packbits(masks.cpu().numpy(), axis=-1))
            boxes.append(_boxes(masks))
            rated.append(quality)
    if not packed:
        return np.zeros((0, size[0], 0), np.uint8)
    kept = vision_ops.nms(torch.cat(boxes), torch.cat(rated), _OVERLAP)
    return np.concatenate(packed)[kept.cpu().numpy()]


def _grid(size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """32 x 32 points over the picture, row by row, `(1024, 2)` as x and y in pixels of the 1024 square."""
    import torch

    from .sam_networks import SIDE

    height, width = size
    rows, columns = _longest(height, width, SIDE)
    places = np.linspace(1 / (2 * _POINTS), 1 - 1 / (2 * _POINTS), _POINTS)
    x, y = np.meshgrid(places * width * (columns / width), places * height * (rows / height))
    points = torch.from_numpy(np.stack([x, y], axis=-1).reshape(-1, 2))
    return points.to(device, torch.float32 if device.type == "mps" else torch.float64)


def _stable(
    logits: torch.Tensor, qualities: torch.Tensor, size: tuple[int, int]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Masks at the picture's size that hardly depend on the threshold, and their qualities."""
    import torch

    for part, quality in zip(
        torch.split(logits, _ENLARGED_AT_ONCE), torch.split(qualities, _ENLARGED_AT_ONCE), strict=True
    ):
        enlarged = _enlarged(part, size)
        narrow, wide = ((enlarged > offset).sum(dim=(1, 2)) for offset in (1.0, -1.0))
        stable = narrow / wide >= _STABILITY  # 0 / 0, a mask of nothing, is not
        if bool(stable.any()):
            yield enlarged[stable] > 0, quality[stable]


def _enlarged(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Logits `(N, 256, 256)` of the square to `(N, H, W)` of the picture."""
    from torch.nn.functional import interpolate

    from .sam_networks import SIDE

    if len(logits) == 0:
        return logits.new_zeros(0, *size)
    rows, columns = _longest(*size, SIDE)
    square = interpolate(logits[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)
    whole = interpolate(square[:, :, :rows, :columns], size, mode="bilinear", align_corners=False)
    return whole[:, 0]


def _boxes(masks: torch.Tensor) -> torch.Tensor:
    """First and last column and row of every mask, `(N, 4)` as x0, y0, x1, y1; none of them is empty."""
    import torch

    across, down = masks.any(dim=1).int(), masks.any(dim=2).int()
    first = [each.argmax(dim=1) for each in (across, down)]
    last = [each.shape[1] - 1 - each.flip(1).argmax(dim=1) for each in (across, down)]
    return torch.stack([*first, *last], dim=1).float()


def _paint(packed: _Packed, size: tuple[int, int], seed: int) -> Frame:
    """Every object in three random numbers below 255, small ones over large ones."""
    if len(packed) == 0:
        raise PictureError(
            f"MobileSAM finds no object in the picture (looked at as {size[1]}x{size[0]} pixels).",
            "Use a picture with more in it, a larger processor_res, or another segmentation module.",
        )
    random = np.random.RandomState(seed)
    painted = np.zeros((*size, 3), np.uint8)
    areas = np.array([np.count_nonzero(_unpacked(each, size)) for each in packed])
    for index in np.argsort(-areas, kind="stable"):
        painted[_unpacked(packed[index], size)] = [random.randint(255, dtype=np.uint8) for _ in range(3)]
    return painted


def _unpacked(packed: _Packed, size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.unpackbits(packed, axis=-1, count=size[1]).astype(np.bool_)
