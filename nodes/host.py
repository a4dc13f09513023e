"""What the pack asks of the ComfyUI it runs in: interrupt, progress, texts on nodes, model memory."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
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
_THREADS = max(1, min(8, os.cpu_count() or 1))  # pictures at once in OpenCV steps; also onnxruntime's threads
_MOST_NETWORKS = 4  # openpose_full is three
_MOST_BYTES = 3 * 2**30  # of all kept networks together: what is offloaded takes the host's RAM
_MOST_SESSIONS = 4  # DWPose is two, animal_openpose one more, MoveNet another

_log = logging.getLogger("img_open.nodes")
_networks: OrderedDict[str, Any] = OrderedDict()  # those used last at the end
_sessions: OrderedDict[str, Any] = OrderedDict()
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
        self._previewed = False

    def show(self, fraction: float, preview: NDArray[np.uint8] | None = None) -> None:
        """Set the bar to 0..1. Raises the host's interrupt if the user asked to stop."""
        self._previewed = self._previewed or preview is not None
        value = round(max(0.0, min(1.0, fraction)) * _STEPS)
        self._bar.update_absolute(value, _STEPS, None if preview is None else _picture(preview))

    def finish(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        """Let the first result stand where an intermediate picture was: the host leaves the last one there.

        Args:
            pictures: uint8, `(H, W, 3 or 4)`; may be empty.
        """
        if self._previewed and len(pictures) and pictures[0].ndim == 3:
            self.show(1.0, pictures[0][:, :, :3])

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


ANNOTATORS = "imgopen_annotators"


def register_annotators() -> None:
    """Make models/imgopen_annotators a folder of the host's, beside those of its extra_model_paths.yaml."""
    import folder_paths

    folder_paths.add_model_folder_path(ANNOTATORS, str(Path(folder_paths.models_dir) / ANNOTATORS))


def annotator_folders() -> tuple[Path, ...]:
    """The host's folders for annotator weights; last its models folder, where other packs have some."""
    import folder_paths

    from ..preprocessors.weight_files import own_folder

    folders = [own_folder()]  # the first is where downloads go
    if ANNOTATORS in folder_paths.folder_names_and_paths:
        folders = [Path(folder) for folder in folder_paths.get_folder_paths(ANNOTATORS)]
    return (*folders, Path(folder_paths.models_dir))


class HostRuntime:
    """The preprocessors' `Runtime` inside ComfyUI: its device, memory, interrupt and progress bar."""

    def __init__(self, bar: Bar) -> None:
        device = memory.get_torch_device()
        self.device = str(device)
        self.half = "float16" if device.type == "cuda" and memory.should_use_fp16(device) else ""
        self.threads = _THREADS
        self.allow_download = False
        self.cache = _maps
        self.notices: list[str] = []
        self._bar = bar
        self._in_use: set[str] = set()

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
        """See `annotator_folders`."""
        return annotator_folders()

    def load(self, key: str, builder: Callable[[], Any]) -> Any:
        """The network `key` on the device; the host may offload it again once the node is done.

        The last four networks are kept, fewer where they are more than 3 GiB together, but always those that
        this runtime has loaded. What is no torch module (a session of onnxruntime) is not the host's to move:
        the last four of these are kept.
        """
        from comfy.model_patcher import ModelPatcher

        if key in _sessions:
            _sessions.move_to_end(key)
            return _sessions[key]
        patcher = _networks.get(key)
        if patcher is None:
            network = builder()
            if not hasattr(network, "parameters"):
                return _keep_session(key, network)
            patcher = ModelPatcher(network, memory.get_torch_device(), memory.unet_offload_device())
            _networks[key] = patcher
        _networks.move_to_end(key)
        self._in_use.add(key)
        _drop_networks(self._in_use)
        memory.load_models_gpu([patcher])
        return patcher.model

    def free_memory(self) -> int:
        """Bytes free on the device, by the host's count."""
        return int(memory.get_free_memory(memory.get_torch_device()) * 0.8)


def _drop_networks(in_use: set[str]) -> None:
    """Let go of the networks not used for longest until the rest is few and small enough."""
    size = sum(patcher.model_size() for patcher in _networks.values())
    for key in [key for key in _networks if key not in in_use]:
        if len(_networks) <= _MOST_NETWORKS and size <= _MOST_BYTES:
            return
        patcher = _networks.pop(key)
        size -= patcher.model_size()
        _unload(patcher)


def _unload(patcher: Any) -> None:
    """Take a network from the host's list of loaded ones, and from the device."""
    loaded = memory.current_loaded_models
    for place in range(len(loaded) - 1, -1, -1):
        if loaded[place].model is patcher:
            loaded.pop(place).model_unload()


def _keep_session(key: str, network: Any) -> Any:
    """Networks that are not torch's have their memory to themselves: the last few used stay."""
    _sessions[key] = network
    while len(_sessions) > _MOST_SESSIONS:
        _sessions.popitem(last=False)
    return network


def _picture(array: NDArray[np.uint8]) -> tuple[str, Any, int]:
    from PIL import Image

    return "JPEG", Image.fromarray(array), PREVIEW_SIZE
