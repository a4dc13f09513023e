"""Large networks in small files: every weight is a window into a few rows of random numbers.

torch's own format (.ckpt, .pt) keeps such windows as they are, so a file is as large as the rows.
"""

from __future__ import annotations

import math
import zlib

import torch

STRIDE = 67  # between the windows of two rows; odd, so that they do not fall on each other
_ROWS: dict[float, torch.Tensor] = {}


def window(name: str, shape: tuple[int, ...], scale: float) -> torch.Tensor:
    """A tensor of this shape with normal values times `scale`, sharing its storage with others."""
    columns = math.prod(shape[1:])
    first = zlib.crc32(name.encode()) % 9973
    needed = first + (shape[0] - 1) * STRIDE + columns
    row = _ROWS.get(scale)
    if row is None or row.numel() < needed:
        # Room for the largest of them at once: a second row would double the file.
        size = max(needed, 9973 + 10240 * STRIDE + 20000)
        generator = torch.Generator().manual_seed(len(_ROWS))
        row = _ROWS[scale] = (torch.randn(size, generator=generator) * scale).half()
    steps = [STRIDE]
    for index in range(1, len(shape)):
        steps.append(math.prod(shape[index + 1 :]))
    return row.as_strided(shape, steps, first)


def fill(model: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    """Values that keep activations sane; a ControlNet's exits are not zero, so that it visibly acts."""
    filled: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        shape = tuple(tensor.shape)
        if name.endswith("bias") or name == "vae_shift":
            value = torch.zeros(shape, dtype=torch.float16)
        elif name == "vae_scale":
            value = torch.tensor(0.13025)  # of SDXL
        elif len(shape) == 1:
            value = torch.ones(shape, dtype=torch.float16)
        else:
            gain = 0.3 if "zero_convs" in name or "middle_block_out" in name else 1.0
            value = window(prefix + name, shape, gain / math.sqrt(math.prod(shape[1:])))
        filled[prefix + name] = value
    return filled
