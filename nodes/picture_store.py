"""Wired pictures of a request while its graph runs: by their `picture:` links, in memory, with a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from ..base.errors import PictureError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIMIT_BYTES = 512 * 2**20


class PictureStore:
    """Keeps the latest pictures; the oldest go first when there are too many bytes of them."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._arrays: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()

    def put(self, link: str, array: NDArray[np.uint8]) -> None:
        """Keep a picture, uint8 (H, W[, C])."""
        with self._lock:
            self._arrays[link] = array
            self._arrays.move_to_end(link)
            while len(self._arrays) > 1 and sum(each.nbytes for each in self._arrays.values()) > self._limit:
                self._arrays.popitem(last=False)

    def get(self, link: str) -> NDArray[np.uint8]:
        """The picture of a link.

        Raises:
            PictureError: it was never here, or is no more.
        """
        with self._lock:
            if link not in self._arrays:
                raise PictureError(
                    f"The picture {link[:48]} is not on this machine.",
                    "Such a link lives only while the node it came from runs: wire the picture, or "
                    "give an http link.",
                )
            return self._arrays[link]


STORE = PictureStore()
