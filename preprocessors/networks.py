"""The learned annotators' networks: built, filled from a weight file, kept by the runtime."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..base.command import command
from ..base.errors import MissingModel
from . import weight_files
from .aux_library import aux_class
from .weights_table import WEIGHTS

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


def _leres_merge() -> torch.nn.Module:
    return aux_class("leres.pix2pix.models.networks", "UnetGenerator")(2, 1, 10, 64, norm_layer=_no_norm)


def _no_norm(channels: int) -> torch.nn.Module:
    import torch

    return torch.nn.Identity()


def _dsine() -> torch.nn.Module:
    from .dsine import Dsine

    return Dsine()


def _uniformer() -> torch.nn.Module:
    from .uniformer import UniFormerSegmenter

    return UniFormerSegmenter()


def _anime_face() -> torch.nn.Module:
    from .anime_face import AnimeFaceNet

    return AnimeFaceNet()


def _mobile_sam() -> torch.nn.Module:
    from .sam_networks import MobileSam

    return MobileSam()


def _openpose_body() -> torch.nn.Module:
    from .openpose_networks import BodyNetwork

    return BodyNetwork()


def _openpose_hand() -> torch.nn.Module:
    from .openpose_networks import PointNetwork

    return PointNetwork(22)


def _openpose_face() -> torch.nn.Module:
    from .openpose_networks import PointNetwork

    return PointNetwork(71)


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
    "leres_merge": _leres_merge,
    "dsine": _dsine,
    "openpose_body": _openpose_body,
    "openpose_hand": _openpose_hand,
    "openpose_face": _openpose_face,
    "normal_bae": _normal_bae,
    "uniformer": _uniformer,
    "anime_face": _anime_face,
    "mobile_sam": _mobile_sam,
}

# Parts of published checkpoints that only training needs.
_UNUSED: Mapping[str, tuple[str, ...]] = {
    "uniformer": ("auxiliary_head.",),
    "mobile_sam": ("image_encoder.norm_head.", "image_encoder.head."),
}


# Faster on a CPU with channels last in memory.
_CHANNELS_LAST = frozenset(
    {"hed", "pidinet", "mlsd", "teed", "mteed", "manga_line", "lineart", "lineart_coarse", "lineart_anime"}
)


def network(key: str, runtime: Runtime) -> torch.nn.Module:
    """The network `key`, filled, in eval mode, on the runtime's device.

    Raises `MissingModel` (no file, or a damaged or foreign one) and `MissingDependency`.
    """

    import torch

    @torch.inference_mode(False)  # the host calls in inference mode; parameters made in it could not be moved
    def build() -> torch.nn.Module:
        path = weight_files.require(key, runtime)
        made = BUILDERS[key]()
        state = read_state(path)
        fill(made, {name: state[name] for name in state if not name.startswith(_UNUSED.get(key, ()))}, path)
        if runtime.device == "cpu" and key in _CHANNELS_LAST:
            made = for_processors(made.eval())
        return made.eval().requires_grad_(False)

    return runtime.load(f"preprocessor/{key}", build)


def for_processors(made: torch.nn.Module) -> torch.nn.Module:
    """The same network in the form that a CPU computes fastest, equal up to rounding.

    Channels last in memory; batch norms folded into the convolution before them where nothing lies between;
    instance norms as group norms of one channel each, which alone have a kernel for that order.
    """
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for part in list(made.modules()):
        children = list(part.named_children())
        for name, child in children:
            if type(child) is torch.nn.InstanceNorm2d and not (child.affine or child.track_running_stats):
                channels = child.num_features
                setattr(part, name, torch.nn.GroupNorm(channels, channels, child.eps, affine=False))
        if isinstance(part, torch.nn.Sequential):
            for (name, child), (after, norm) in itertools.pairwise(children):
                if type(child) is torch.nn.Conv2d and type(norm) is torch.nn.BatchNorm2d:
                    setattr(part, name, fuse_conv_bn_eval(child, norm))
                    setattr(part, after, torch.nn.Identity())
    form: Any = made  # the types of torch do not know this argument
    return form.to(memory_format=torch.channels_last)


def forward(key: str, runtime: Runtime, *inputs: torch.Tensor) -> Any:
    """What the network `key` makes of float32 tensors on the runtime's device, in float32.

    Computed in the runtime's half precision where `weights_table` allows it for this network: weights and
    sensitive steps stay in float32, convolutions and products are halved (torch's autocast).
    """
    import torch

    made = network(key, runtime)
    if runtime.half not in WEIGHTS[key].half:
        return made(*inputs)
    with torch.autocast(runtime.device.partition(":")[0], getattr(torch, runtime.half)):
        return _in_full(made(*inputs))


def _in_full(made: Any) -> Any:
    if isinstance(made, (list, tuple)):
        return [_in_full(one) for one in made]
    return made.float()


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
        f"Delete it and fetch it again: the node's download button, or `{command('models pull MODULE')}`.",
        file=str(path),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
