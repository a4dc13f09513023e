"""What a preprocessor needs from whoever calls it: a device, a place for networks, a way to stop.

`nodes/` hands in the host's (its model management, its progress bar, its interrupt); the command line, the
gateway and the tests use `PlainRuntime`.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..base.errors import Cancelled

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Runtime(Protocol):
    """The few things a module asks for.

    Attributes:
        threads: how many frames OpenCV steps may work on at once; also onnxruntime's threads.
        allow_download: whether a missing weight file may be fetched. Never true unless the user said so.
        cache: maps already made, by content; see `ResultCache`.
    """

    threads: int
    allow_download: bool
    cache: ResultCache

    @property
    def device(self) -> str:
        """The torch device networks run on, `"cpu"`, `"cuda:0"`, `"mps"`."""
        ...

    @property
    def half(self) -> str:
        """torch's name of the half precision to compute in, `"float16"`; empty for full precision.

        A wish: `networks.forward` follows it where the network's entry allows that precision.
        """
        ...

    def cancelled(self) -> bool:
        """True once the user asked to stop. Asked between chunks and inside long loops."""
        ...

    def progress(self, fraction: float) -> None:
        """Report 0..1 of the current call."""
        ...

    def notice(self, text: str) -> None:
        """Tell something worth knowing about the map (which estimator made it, what was replaced)."""
        ...

    def weight_folders(self) -> Sequence[Path]:
        """The host's folders of the category `imgopen_annotators`, best first."""
        ...

    def load(self, key: str, builder: Callable[[], Any]) -> Any:
        """The network `key`, built by `builder()` on the CPU at first use, ready on `device`.

        The host may move it away between two calls; `load` is asked again before every use.
        """
        ...

    def free_memory(self) -> int:
        """Bytes the next forward pass may take; a chunk of a batch is sized by it."""
        ...


class ResultCache:
    """Maps of recent calls by content: module, settings and every byte of the picture.

    Holds at most `entries` maps and `max_bytes` bytes. Thread-safe. Maps go in and out as copies.
    """

    def __init__(self, entries: int = 16, max_bytes: int = 256 * 2**20) -> None:
        self._entries = entries
        self._max_bytes = max_bytes
        self._maps: OrderedDict[bytes, NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @staticmethod
    def key(settings: tuple[Any, ...], *arrays: NDArray[np.uint8] | None) -> bytes:
        """A digest over the settings and the pixels (shape included) of all arrays."""
        digest = hashlib.blake2b(repr(settings).encode(), digest_size=24)
        for array in arrays:
            digest.update(b"-" if array is None else repr(array.shape).encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.digest()

    def get(self, key: bytes) -> NDArray[Any] | None:
        """The map made before, or None."""
        with self._lock:
            found = self._maps.get(key)
            if found is None:
                return None
            self._maps.move_to_end(key)
            return found.copy()

    def put(self, key: bytes, value: NDArray[Any]) -> None:
        """Keep a map; the least recently used ones make room. One too large for the cache is not kept."""
        if value.nbytes > self._max_bytes:
            return
        with self._lock:
            old = self._maps.pop(key, None)
            self._bytes += value.nbytes - (0 if old is None else old.nbytes)
            self._maps[key] = value.copy()
            while len(self._maps) > self._entries or self._bytes > self._max_bytes:
                _, dropped = self._maps.popitem(last=False)
                self._bytes -= dropped.nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._maps.clear()
            self._bytes = 0


class PlainRuntime:
    """A `Runtime` outside any host: networks in a small LRU, progress and notices to callbacks.

    Args:
        device: torch device, or `"auto"`: CUDA, else MPS, else CPU, decided at first use.
        threads: frames at once in OpenCV steps, and threads of an onnxruntime network.
        folders: where annotator weights are looked for first.
        networks: how many networks stay loaded.
        allow_download: fetch missing weight files (the user's consent).
        half: the half precision to compute in, `""` for none; by default float16 on CUDA, none elsewhere.
        on_progress, is_cancelled, on_notice: callbacks, all optional.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        threads: int = 1,
        folders: Sequence[Path | str] = (),
        networks: int = 3,
        allow_download: bool = False,
        half: str | None = None,
        on_progress: Callable[[float], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self._device = device
        self.threads = threads
        self.allow_download = allow_download
        self.cache = ResultCache()
        self.notices: list[str] = []
        self._folders = tuple(Path(folder) for folder in folders)
        self._limit = networks
        self._half = half
        self._networks: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.RLock()
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled
        self._on_notice = on_notice

    @property
    def device(self) -> str:
        """The torch device networks run on."""
        if self._device == "auto":
            self._device = _best_device()
        return self._device

    @property
    def half(self) -> str:
        """What was given at the start, else by the device."""
        if self._half is None:
            return "float16" if self.device.startswith("cuda") else ""
        return self._half

    def cancelled(self) -> bool:
        """Ask the callback given at the start."""
        return self._is_cancelled is not None and self._is_cancelled()

    def progress(self, fraction: float) -> None:
        """Tell the callback given at the start."""
        if self._on_progress is not None:
            self._on_progress(fraction)

    def notice(self, text: str) -> None:
        """Keep the text in `notices` (once) and tell the callback."""
        if text not in self.notices:
            self.notices.append(text)
        if self._on_notice is not None:
            self._on_notice(text)

    def weight_folders(self) -> Sequence[Path]:
        """The folders given at the start."""
        return self._folders

    def load(self, key: str, builder: Callable[[], Any]) -> Any:
        """Build once, keep the `networks` most recently used, move torch modules to `device`."""
        with self._lock:
            network = self._networks.pop(key, None)
            if network is None:
                while len(self._networks) >= max(1, self._limit):
                    self._networks.popitem(last=False)
                network = builder()
                if hasattr(network, "to") and hasattr(network, "parameters"):
                    network = network.to(self.device)
            self._networks[key] = network
            return network

    def free(self) -> None:
        """Let go of all networks and cached maps."""
        with self._lock:
            self._networks.clear()
            self.cache.clear()

    def free_memory(self) -> int:
        """Free bytes on the CUDA device, else 1 GiB: enough for a chunk, little enough for a laptop."""
        if self.device.startswith("cuda"):
            import torch

            return int(torch.cuda.mem_get_info(self.device)[0] * 0.8)
        return 2**30


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def stop_if_cancelled(runtime: Runtime) -> None:
    """Raise `Cancelled` if the user asked to stop."""
    if runtime.cancelled():
        raise Cancelled("The preprocessor was stopped.")
