"""The golden set's pseudo-random weights, written as the checkpoints the pack looks for."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Tag of the golden manifest -> gain.
GAINS = {
    "hed": 1.0,
    "mlsd": 1.4,
    "pidinet": 1.0,
    "lineart": 1.0,
    "lineart_coarse": 1.0,
    "lineart_anime": 1.0,
    "manga_line": 1.0,
    "teed": 1.0,
    "mteed": 1.0,
}


def random_state(tag: str, network: torch.nn.Module, gain: float) -> dict[str, torch.Tensor]:
    """The manifest's recipe: every number follows from the tag and the parameter's name."""
    return {key: _tensor(f"{tag}/{key}", value, gain) for key, value in network.state_dict().items()}


def _tensor(name: str, like: torch.Tensor, gain: float) -> torch.Tensor:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    shape = tuple(like.shape)
    values: Any
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(like)
    if name.endswith("running_mean"):
        values = 0.1 * random.standard_normal(shape)
    elif name.endswith("running_var"):
        values = 0.5 + np.abs(random.standard_normal(shape))
    elif len(shape) >= 2:
        values = gain * random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    elif name.endswith(".weight"):
        values = 1 + 0.1 * random.standard_normal(shape)
    else:
        values = 0.05 * random.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, np.float32))


def write(tag: str, folder: Path) -> None:
    """Write the checkpoint of one network, wrapped as its publisher does."""
    from img_open.preprocessors.networks import BUILDERS
    from img_open.preprocessors.weights_table import WEIGHTS

    path = folder / Path(WEIGHTS[tag].file).name
    if path.is_file():
        return
    state = random_state(tag, BUILDERS[tag](), GAINS[tag])
    wrapped = (
        {"state_dict": {f"module.{key}": value for key, value in state.items()}}
        if tag == "pidinet"
        else state
    )
    torch.save(wrapped, path)
