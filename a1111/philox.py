"""Normal random numbers equal to those of torch on CUDA, computed with numpy.

Counter-based generator Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3" (SC 2011), followed by the Box-Muller transform in single precision as cuRAND documents it. Torch
gives every element of a tensor its own subsequence (its index) and moves the offset on by one per draw. That
holds as long as a tensor has no more elements than a GPU runs threads at once (100 000 to 300 000; the latent
of 1280 x 1280 pixels has 102 400); beyond it the numbers of real GPUs differ from one model to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

# Multipliers of the two halves of the state, and the increments of the key ("Weyl sequence"), from the paper.
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HIGH_SHIFT = np.uint64(32)

_TO_UNIT = np.float32(2.0**-32)
_TO_ANGLE = np.float32(2.0**-32 * 2.0 * np.pi)


def philox(counter: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Ten rounds of Philox4x32 on every column: counter (4, n) and a key of two 32-bit words give (4, n)."""
    c0, c1, c2, c3 = (row.astype(np.uint64) for row in counter)
    key_0, key_1 = key
    for _ in range(_ROUNDS):
        product_0 = c0 * _MULTIPLIERS[0]
        product_1 = c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product_1 >> _HIGH_SHIFT) ^ c1 ^ np.uint64(key_0),
            product_1 & _LOW,
            (product_0 >> _HIGH_SHIFT) ^ c3 ^ np.uint64(key_1),
            product_0 & _LOW,
        )
        key_0 = (key_0 + _KEY_STEPS[0]) & 0xFFFFFFFF
        key_1 = (key_1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def box_muller(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.float32]:
    """One normal number (float32) from two whole ones of 32 bits each; cuRAND's sine branch."""
    uniform = first.astype(np.float32) * _TO_UNIT + _TO_UNIT / np.float32(2)
    angle = second.astype(np.float32) * _TO_ANGLE + _TO_ANGLE / np.float32(2)
    return (np.sqrt(np.float32(-2.0) * np.log(uniform)) * np.sin(angle)).astype(np.float32)


class PhiloxGenerator:
    """`torch.Generator("cuda").manual_seed(seed)`, without the GPU."""

    def __init__(self, seed: int) -> None:
        self._key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
        self._offset = 0

    def randn(self, shape: Sequence[int]) -> torch.Tensor:
        """The next tensor of normal numbers, float32."""
        import torch

        return torch.from_numpy(self.normal(shape))

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """The same as a numpy array."""
        count = int(np.prod(tuple(shape), dtype=np.int64))
        counter = np.zeros((4, count), np.uint32)
        counter[0] = self._offset
        counter[2] = np.arange(count, dtype=np.uint32)
        self._offset += 1
        words = philox(counter, self._key)
        return box_muller(words[0], words[1]).reshape(tuple(shape))
