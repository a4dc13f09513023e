"""The two operators of torchvision that networks here need, for machines where torchvision is absent.

Greedy non-maximum suppression and RoIAlign ("Mask R-CNN", He et al., ICCV 2017), with torchvision's meaning
and names. A TorchScript file that calls `torchvision::nms` or `torchvision::roi_align` loads and runs after
`provide()`.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.command import command
from ..base.errors import MissingDependency

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align": "(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
}
_lock = threading.Lock()
_libraries: list[Any] = []  # torch forgets operators whose library object is gone


def provide() -> None:
    """Make `torchvision::nms` and `torchvision::roi_align` callable in this process.

    By importing torchvision where it is installed; what has no kernel afterwards gets the functions below.
    Operators that work are left alone. Raises `MissingDependency` if torchvision is installed but broken:
    defining its operators then could change what other packages do.
    """
    with _lock:
        _import_torchvision()
        for name in _SCHEMAS:
            _provide(name)


def _import_torchvision() -> None:
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        raise MissingDependency(
            f"torchvision is installed but cannot be imported: {str(error).strip().splitlines()[0][:200]}",
            f"Run `{command('doctor')}`: it says what to do. Without torchvision the module works too.",
            package="torchvision",
        ) from error


def _provide(name: str) -> None:
    import torch

    qualified = f"torchvision::{name}"
    if not _known(qualified):
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define(name + _SCHEMAS[name])
        _libraries.append(library)
    keys = ("CPU", "CUDA", "CompositeImplicitAutograd", "CompositeExplicitAutograd")
    if any(torch._C._dispatch_has_kernel_for_dispatch_key(qualified, key) for key in keys):
        return
    library = torch.library.Library("torchvision", "IMPL")
    library.impl(name, {"nms": nms, "roi_align": roi_align}[name], "CompositeExplicitAutograd")
    _libraries.append(library)


def _known(qualified: str) -> bool:
    import torch

    try:
        torch._C._dispatch_has_kernel_for_dispatch_key(qualified, "CPU")
    except RuntimeError:  # no such operator
        return False
    return True


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes to keep, best score first; of two that overlap more than the threshold the better.

    Args:
        dets: `(N, 4)` as x0, y0, x1, y1.
        scores: `(N,)`.
        iou_threshold: overlap is intersection over union; exactly this much is still kept.
    """
    import torch

    order = torch.sort(scores, descending=True, stable=True).indices
    sorted_boxes = dets.detach()[order].float().cpu().numpy()
    kept = torch.from_numpy(_keep(sorted_boxes, iou_threshold))
    return order[kept.to(order.device)]


def _keep(boxes: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Rows of boxes, best first, that no better kept one covers."""
    x0, y0, x1, y1 = (np.ascontiguousarray(column) for column in boxes.T)
    areas = (x1 - x0) * (y1 - y0)
    alive = np.ones(len(boxes), bool)
    with np.errstate(divide="ignore", invalid="ignore"):  # boxes without area overlap nothing
        for row in range(len(boxes)):
            if not alive[row]:
                continue
            rest = slice(row + 1, None)
            width = np.maximum(0, np.minimum(x1[row], x1[rest]) - np.maximum(x0[row], x0[rest]))
            height = np.maximum(0, np.minimum(y1[row], y1[rest]) - np.maximum(y0[row], y0[rest]))
            shared = width * height
            alive[rest] &= ~((shared / (areas[row] + areas[rest] - shared)).astype(np.float64) > threshold)
    return np.flatnonzero(alive)


def roi_align(
    input: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """Every region of a feature map averaged into `pooled_height` x `pooled_width` cells.

    Args:
        input: `(B, C, H, W)`.
        rois: `(K, 5)`: picture number, then x0, y0, x1, y1 in the picture's pixels.
        spatial_scale: pixels of `input` per pixel of the picture.
        sampling_ratio: samples per cell and side; 0 or less: as many as the cell has pixels.
        aligned: whether pixel centres are at half numbers (detectron2) or at whole ones.

    Returns:
        `(K, C, pooled_height, pooled_width)`.
    """
    height, width = int(input.shape[2]), int(input.shape[3])
    made = input.new_zeros(len(rois), input.shape[1], pooled_height, pooled_width)
    shift = 0.5 if aligned else 0.0
    for index, (picture, *corners) in enumerate(rois.tolist()):
        x0, y0, x1, y1 = (corner * spatial_scale - shift for corner in corners)
        least = 0.0 if aligned else 1.0
        down = _axis(y0, max(y1 - y0, least), pooled_height, height, sampling_ratio)
        across = _axis(x0, max(x1 - x0, least), pooled_width, width, sampling_ratio)
        if down is None or across is None:
            continue
        (top, rows), (left, columns) = down, across
        part = input[int(picture), :, top : top + rows.shape[1], left : left + columns.shape[1]]
        weights = [_like(each, input) for each in (rows, columns)]
        # Bilinear samples and their mean are linear in both directions: two small products.
        made[index] = weights[0] @ part @ weights[1].T
    return made


def _axis(
    start: float, length: float, cells: int, size: int, ratio: int
) -> tuple[int, NDArray[np.float64]] | None:
    """How much every pixel of one axis counts in every cell.

    Returns the first pixel that counts and the weights `(cells, pixels)`; None if none does.
    """
    count = ratio if ratio > 0 else int(np.ceil(length / cells))
    if count < 1:
        return None
    places = start + (np.arange(cells * count) + 0.5) * (length / (cells * count))
    inside = (places >= -1.0) & (places <= size)
    if not inside.any():
        return None
    places = places.clip(0, size - 1)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    first, last = int(low[inside].min()), int(high[inside].max())
    weights = np.zeros((cells, last - first + 1))
    cell = np.arange(cells * count) // count
    near = places - low
    np.add.at(weights, (cell[inside], (low - first)[inside]), ((1 - near) / count)[inside])
    np.add.at(weights, (cell[inside], (high - first)[inside]), (near / count)[inside])
    return first, weights


def _like(weights: NDArray[np.float64], other: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.from_numpy(weights).to(device=other.device, dtype=other.dtype)
