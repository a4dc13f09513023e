"""How many forward passes a network makes over many inputs of one size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .frames import chunks
from .runtime import stop_if_cancelled

if TYPE_CHECKING:
    from .runtime import Runtime

_PIXEL_BYTES = 2048  # memory of a forward pass per pixel, a rough upper bound
_MOST = 16


def passes(count: int, height: int, width: int, runtime: Runtime) -> Iterator[slice]:
    """Slices of `range(count)`, one per pass: one input on a CPU, on CUDA what memory holds, at most 16.

    Raises `Cancelled` before a pass once the user asked to stop.
    """
    together = 1
    if runtime.device.startswith("cuda"):
        fits = runtime.free_memory() // max(1, height * width * _PIXEL_BYTES)
        together = max(1, min(_MOST, fits))
    for part in chunks(count, together):
        stop_if_cancelled(runtime)
        yield part
