"""The learned annotators' networks: built, filled from a weight file, kept by the runtime."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..base.errors import MissingModel
from . import weight_files
from .aux_library import aux_class

if TYPE_CHECKING:
    import torch

    from .runtime import Runtime


def _hed() -> torch.nn.Module:
    return aux_class("hed", "ControlNetHED_Apache2")()


def _pidinet() -> torch.nn.Module:
    return aux_class("pidi.model", "pidinet")()


def _lineart() -> torch.nn.Module:
    return aux_class("lineart", "Generator")(3, 1, 3)


def _lineart_anime() -> torch.nn.Module:
    import torch

    norm = functools.partial(torch.nn.InstanceNorm2d, affine=False, track_running_stats=False)
    return aux_class("lineart_anime", "UnetGenerator")(3, 1, 8, 64, norm_layer=norm, use_dropout=False)


def _manga_line() -> torch.nn.Module:
    from .manga_line import MangaLine

    return MangaLine()


def _mlsd() -> torch.nn.Module:
    return aux_class("mlsd.models.mbv2_mlsd_large", "MobileV2_MLSD_Large")()


def _teed() -> torch.nn.Module:
    return aux_class("teed.ted", "TED")()


def _leres() -> torch.nn.Module:
    return aux_class("leres.leres.multi_depth_model_woauxi", "RelDepthModel")(backbone="resnext101")


def _normal_bae() -> torch.nn.Module:
    settings = SimpleNamespace(
        mode="client", architecture="BN", pretrained="scannet", sampling_ratio=0.4, importance_ratio=0.7
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        return aux_class("normalbae.nets.NNET", "NNET")(settings)


BUILDERS: Mapping[str, Callable[[], Any]] = {
    "hed": _hed,
    "pidinet": _pidinet,
    "lineart": _lineart,
    "lineart_coarse": _lineart,
    "lineart_anime": _lineart_anime,
    "manga_line": _manga_line,
    "mlsd": _mlsd,
    "teed": _teed,
    "mteed": _teed,
    "leres": _leres,
    "normal_bae": _normal_bae,
}


# Faster on a CPU with channels last in memory; the line art networks (instance norms) are slower so.
_CHANNELS_LAST = frozenset({"hed", "pidinet", "mlsd", "teed", "mteed", "manga_line"})


def network(key: str, runtime: Runtime) -> torch.nn.Module:
    """The network `key`, filled, in eval mode, on the runtime's device.

    Raises `MissingModel` (no file, or a damaged or foreign one) and `MissingDependency`.
    """

    import torch

    @torch.inference_mode(False)  # the host calls in inference mode; parameters made in it could not be moved
    def build() -> torch.nn.Module:
        path = weight_files.require(key, runtime)
        made = BUILDERS[key]()
        fill(made, read_state(path), path)
        if runtime.device == "cpu" and key in _CHANNELS_LAST:
            made = made.to(memory_format=torch.channels_last)
        return made.eval().requires_grad_(False)

    return runtime.load(f"preprocessor/{key}", build)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, `module.` prefixes and a `state_dict` wrapper taken off.

    Pickled checkpoints are read with weights-only unpickling; one that wants to run code is refused. Raises
    `MissingModel` naming the file.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile, pickle and safetensors each have their own
        raise _unusable(path, f"cannot be read: {_first_line(error)}") from error
    for wrapper in ("state_dict", "model", "depth_model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise _unusable(path, "holds no named tensors")
    return {key.removeprefix("module."): value for key, value in state.items()}


def fill(made: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put the tensors into the network; every name and every shape must agree."""
    own = made.state_dict()
    counters = {key for key in own if key.endswith("num_batches_tracked")}  # left out by some writers
    missing = sorted(own.keys() - state.keys() - counters)
    foreign = sorted(state.keys() - own.keys())
    shapes = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    if missing or foreign or shapes:
        raise _unusable(
            path,
            f"is for another network ({len(missing)} tensors missing, {len(foreign)} unknown, "
            f"{len(shapes)} of another shape; for example {(missing + foreign + shapes)[0]})",
        )
    made.load_state_dict(dict(state), strict=False)


def _unusable(path: Path, why: str) -> MissingModel:
    return MissingModel(
        f"The weight file {path} {why}.",
        "Delete it and fetch it again: img-open models pull MODULE",
        file=str(path),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
