"""What the pack asks of the ComfyUI it runs in: interrupt, progress, texts on nodes, model memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as memory
import comfy.utils

from ..preprocessors.runtime import ResultCache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREVIEW_SIZE = 512  # pixels, longer side of an intermediate picture on the node
_STEPS = 1000

_log = logging.getLogger("img_open.nodes")
_networks: dict[str, Any] = {}
_maps = ResultCache()


def interrupted() -> bool:
    """Whether the user asked to stop. Asking does not take the wish away."""
    return bool(memory.processing_interrupted())


def stop_node() -> Exception:
    """What a node raises to end as interrupted. Never `CancelledError`: it would end the prompt worker."""
    return memory.InterruptProcessingException()


class Bar:
    """The progress bar, intermediate picture and text of one node. For the prompt's own thread only."""

    def __init__(self, node_id: str | None) -> None:
        self._node_id = None if node_id is None else str(node_id)
        self._bar = comfy.utils.ProgressBar(_STEPS, self._node_id)
        self._text = ""

    def show(self, fraction: float, preview: NDArray[np.uint8] | None = None) -> None:
        """Set the bar to 0..1. Raises the host's interrupt if the user asked to stop."""
        value = round(max(0.0, min(1.0, fraction)) * _STEPS)
        self._bar.update_absolute(value, _STEPS, None if preview is None else _picture(preview))

    def text(self, text: str) -> None:
        """Put a text on the node; it replaces the one before."""
        if text == self._text:
            return
        self._text = text
        send_text(self._node_id, text)


def send_text(node_id: str | None, text: str) -> None:
    """Show a text on a node, to the client that queued the prompt only."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    client = getattr(server, "client_id", None)
    if server is None or client is None or node_id is None:
        return  # queued by a program that listens to nothing
    try:
        server.send_progress_text(text, node_id, client)
    except Exception as error:  # a lost text must never cost the user a paid result
        _log.debug("The text for node %s was not shown: %s", node_id, type(error).__name__)


class HostRuntime:
    """The preprocessors' `Runtime` inside ComfyUI: its device, memory, interrupt and progress bar."""

    def __init__(self, bar: Bar) -> None:
        device = memory.get_torch_device()
        self.device = str(device)
        self.half = memory.should_use_fp16(device)
        self.threads = 1
        self.allow_download = False
        self.cache = _maps
        self.notices: list[str] = []
        self._bar = bar

    def cancelled(self) -> bool:
        """The host's interrupt flag."""
        return interrupted()

    def progress(self, fraction: float) -> None:
        """Move the node's bar."""
        self._bar.show(fraction)

    def notice(self, text: str) -> None:
        """Keep a text for the node, once."""
        if text not in self.notices:
            self.notices.append(text)

    def weight_folders(self) -> Sequence[Path]:
        """The host's folders for annotator weights; none are registered yet."""
        import folder_paths

        if "imgopen_annotators" not in folder_paths.folder_names_and_paths:
            return ()
        return tuple(Path(folder) for folder in folder_paths.get_folder_paths("imgopen_annotators"))

    def load(self, key: str, builder: Callable[[], Any]) -> Any:
        """The network `key` on the device; the host may offload it again once the node is done."""
        from comfy.model_patcher import ModelPatcher

        patcher = _networks.get(key)
        if patcher is None:
            network = builder()
            if not hasattr(network, "parameters"):
                return network
            patcher = ModelPatcher(network, memory.get_torch_device(), memory.unet_offload_device())
            _networks[key] = patcher
        memory.load_models_gpu([patcher])
        return patcher.model

    def free_memory(self) -> int:
        """Bytes free on the device, by the host's count."""
        return int(memory.get_free_memory(memory.get_torch_device()) * 0.8)


def _picture(array: NDArray[np.uint8]) -> tuple[str, Any, int]:
    from PIL import Image

    return "JPEG", Image.fromarray(array), PREVIEW_SIZE
