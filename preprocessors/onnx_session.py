"""ONNX networks through onnxruntime, kept by the runtime like the torch ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.command import command
from ..base.errors import MissingModel
from . import weight_files

if TYPE_CHECKING:
    from .runtime import Runtime


def session(key: str, runtime: Runtime) -> Any:
    """The onnxruntime session of a weight. Raises `MissingModel` if the file is missing or damaged."""
    return runtime.load(
        f"preprocessor/{key}", lambda: open_session(weight_files.require(key, runtime), runtime)
    )


def open_session(path: Path, runtime: Runtime) -> Any:
    """An onnxruntime session of a file, on the runtime's device where onnxruntime can use it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider"] if runtime.device.startswith("cuda") else []
    offered = onnxruntime.get_available_providers()
    providers = [name for name in wanted if name in offered] + ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime has a class of errors per status code
        raise MissingModel(
            f"The weight file {path} cannot be read: {str(error).splitlines()[0][:200]}",
            "Delete it and fetch it again: the node's download button, or "
            f"`{command('models pull MODULE')}`.",
            file=str(path),
        ) from error
