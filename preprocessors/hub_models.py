"""Models of the transformers library from a local folder; the hub is never asked."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ..base.command import command
from ..base.errors import MissingDependency, MissingModel
from . import weight_files

if TYPE_CHECKING:
    from .runtime import Runtime


def hub_model(key: str, class_name: str, runtime: Runtime) -> Any:
    """The model of weight `key`, in eval mode, float32, on the runtime's device.

    Raises `MissingModel` (no folder, or one that cannot be used) and `MissingDependency` (no such class in
    the installed transformers, or it cannot be imported).
    """

    import torch

    @torch.inference_mode(False)  # as in networks.network
    def build() -> Any:
        folder = weight_files.require(key, runtime)
        made_by = _class(class_name)
        try:
            made = made_by.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # a broken folder shows in many ways
            raise MissingModel(
                f"The model in {folder} cannot be loaded: {str(error).strip().splitlines()[0][:200]}",
                "Delete the folder and fetch it again: the node's download button, or "
                f"`{command(f'models pull {key}')}`.",
                folder=str(folder),
            ) from error
        return _any_size(made).float().eval().requires_grad_(False)

    return runtime.load(f"preprocessor/{key}", build)


def _class(name: str) -> Any:
    try:
        import transformers

        return getattr(transformers, name)
    except Exception as error:
        raise MissingDependency(
            f"transformers cannot give {name}: {str(error).strip().splitlines()[0][:200]}",
            f"Update transformers. If the message is about torchvision, run `{command('doctor')}`.",
            package="transformers",
        ) from error


def _any_size(made: Any) -> Any:
    """DPT-hybrid refuses pictures of another size than it was trained at unless told to interpolate."""
    embeddings = getattr(getattr(made, "dpt", None), "embeddings", None)
    if embeddings is not None and type(embeddings).__name__ == "DPTViTHybridEmbeddings":
        embeddings.forward = functools.partial(embeddings.forward, interpolate_pos_encoding=True)
    return made
