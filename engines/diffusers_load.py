# pyright: basic, reportPrivateImportUsage=false
"""Reads checkpoints, control models and VAEs from disk into diffusers' classes. No hub is ever asked."""

from __future__ import annotations

import importlib.util
import json
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.command import PACK, command
from ..base.errors import InvalidRequest, MissingDependency, MissingModel, Unsupported
from ..base.log import get_logger
from .models import ModelFile

_log = get_logger("engines.diffusers")

#: Configurations and tokenizer of Stable Diffusion 1.5, for single files that carry weights alone.
SD15 = Path(__file__).parent / "configs" / "sd15"
#: A decoder below this many parameters is fast enough to decode previews with.
SMALL_VAE = 5_000_000
_PACKAGES = ("torch", "diffusers", "transformers", "accelerate")  # of the extra `standalone`
_LDM_UNET = "model.diffusion_model."
_LDM_CLIP = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")


@dataclass
class Networks:
    """One checkpoint's networks, in evaluation mode.

    Attributes:
        unet, vae, text_encoder, tokenizer: diffusers' and transformers' objects.
        scheduler: the checkpoint's scheduler configuration (betas, prediction type).
    """

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: dict[str, Any]


class Loader:
    """Loads networks and keeps the most recent ones: one checkpoint, a few control models and VAEs."""

    def __init__(self, controlnets: int = 4, vaes: int = 2) -> None:
        self._checkpoints: OrderedDict[Any, Any] = OrderedDict()
        self._controlnets: OrderedDict[Any, Any] = OrderedDict()
        self._vaes: OrderedDict[Any, Any] = OrderedDict()
        self._limits = (controlnets, vaes)

    def checkpoint(self, file: ModelFile) -> Networks:
        """The networks of a checkpoint. Raises MissingModel, InvalidRequest or Unsupported."""
        return _cached(self._checkpoints, _key(file), 1, lambda: _load_checkpoint(file))

    def controlnet(self, file: ModelFile) -> Any:
        """A `ControlNetModel`. Raises as `checkpoint` does."""
        return _cached(self._controlnets, _key(file), self._limits[0], lambda: _load_controlnet(file))

    def vae(self, file: ModelFile) -> Any:
        """An `AutoencoderKL`. Raises as `checkpoint` does."""
        return _cached(self._vaes, _key(file), self._limits[1], lambda: _load_vae(file))


def _key(file: ModelFile) -> tuple[str, float, str]:
    return (str(file.path), file.path.stat().st_mtime if file.path.exists() else 0.0, str(file.config))


def _cached(store: OrderedDict[Any, Any], key: Any, limit: int, load: Callable[[], Any]) -> Any:
    if key not in store:
        while len(store) >= limit:
            store.popitem(last=False)  # make room before loading: two large checkpoints may not fit together
        store[key] = load()
    store.move_to_end(key)
    return store[key]


def require_diffusers() -> None:
    """Raise MissingDependency where the packages of the `standalone` extra are missing or do not load."""
    require_installed()
    try:
        # Without accelerate diffusers fills weights that a file lacks with random numbers, and says nothing.
        import accelerate  # noqa: F401
        import diffusers  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            f"The local engine needs torch, diffusers, transformers and accelerate ({error}).",
            f"`{command('doctor')}` says which of them does not load, and what to do.",
        ) from error


def require_installed() -> None:
    """Raise MissingDependency where a package that the local engine needs is not installed; imports none."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"The local engine needs {', '.join(missing)}, which {sys.executable} does not have.",
            f"Never add them to ComfyUI's Python: its nodes need none of them. In {PACK} run "
            "`python3 dev.py demo`, which makes an environment that has them (.venv), or "
            '`pip install ".[standalone]"` with a Python of its own.',
            package=missing[0],
        )


def _load_checkpoint(file: ModelFile) -> Networks:
    require_diffusers()
    networks = _checkpoint_folder(file) if file.path.is_dir() else _checkpoint_file(file)
    config = networks.unet.config
    if config.get("addition_embed_type") is not None:
        raise Unsupported(
            f"{file.name} is of the SDXL family.", "This engine runs Stable Diffusion 1.x checkpoints."
        )
    if config.in_channels != 4:
        raise Unsupported(
            f"{file.name} takes {config.in_channels} input channels (an inpainting or editing checkpoint).",
            "Use an ordinary checkpoint; masks work with it.",
        )
    if config.cross_attention_dim != networks.text_encoder.config.hidden_size:
        raise InvalidRequest(
            f"Text encoder and U-Net of {file.name} do not belong together.", "Check the folder."
        )
    _log.info("loaded checkpoint %s", file.name)
    return networks


def _checkpoint_folder(file: ModelFile) -> Networks:
    from transformers import CLIPTextModel, CLIPTokenizer

    folder = file.path
    index = _json(folder / "model_index.json")
    pipeline = str(index.get("_class_name", "?"))
    if (
        not pipeline.startswith("StableDiffusion")
        or "XL" in pipeline
        or pipeline.startswith("StableDiffusion3")
    ):
        raise Unsupported(
            f"{file.name} is a {pipeline}.", "This engine runs Stable Diffusion 1.x checkpoints."
        )
    with _readable(file), _no_bars():
        return Networks(
            unet=_pretrained("UNet2DConditionModel", folder / "unet"),
            vae=_pretrained("AutoencoderKL", folder / "vae"),
            text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True).eval(),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
            scheduler=_json(folder / "scheduler" / "scheduler_config.json"),
        )


def _checkpoint_file(file: ModelFile) -> Networks:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTokenizer

    config = file.config or SD15
    weights = read_weights(file.path)
    if any(key.startswith("conditioner.embedders.") for key in weights):
        raise Unsupported(
            f"{file.name} is of the SDXL family.", "This engine runs Stable Diffusion 1.x checkpoints."
        )
    if not any(key.startswith(_LDM_UNET) for key in weights):
        raise InvalidRequest(
            f"{file.name} is not a checkpoint: it has no '{_LDM_UNET}' weights.", "Check the file."
        )
    _check_width(file, config, weights)
    tokenizer = config / "tokenizer" if (config / "tokenizer").is_dir() else SD15 / "tokenizer"
    with _readable(file):
        return Networks(
            unet=_single(UNet2DConditionModel, weights, config, "unet", file),
            vae=_single(AutoencoderKL, weights, config, "vae", file),
            text_encoder=_clip_from_ldm(weights, config / "text_encoder", file),
            tokenizer=CLIPTokenizer.from_pretrained(tokenizer, local_files_only=True),
            scheduler=_json(config / "scheduler" / "scheduler_config.json"),
        )


def _check_width(file: ModelFile, config: Path, weights: dict[str, Any]) -> None:
    """Refuse other families before diffusers fails on shapes in its own words."""
    expected = _json(config / "unet" / "config.json")
    keys = [key for key in weights if key.startswith(_LDM_UNET) and key.endswith("attn2.to_k.weight")]
    width = weights[keys[0]].shape[1] if keys else 0
    if width != expected["cross_attention_dim"]:
        raise Unsupported(
            f"{file.name} expects text vectors of width {width}, Stable Diffusion 1.x has "
            f"{expected['cross_attention_dim']} (2.x has 1024).",
            "Use a Stable Diffusion 1.x checkpoint, or a diffusers folder.",
        )
    channels = weights[_LDM_UNET + "input_blocks.0.0.weight"].shape[1]
    if channels != 4:
        raise Unsupported(
            f"{file.name} takes {channels} input channels (an inpainting or editing checkpoint).",
            "Use an ordinary checkpoint; masks work with it.",
        )


def _load_controlnet(file: ModelFile) -> Any:
    require_diffusers()
    if file.path.is_dir():
        name = str(_json(file.path / "config.json").get("_class_name", "?"))
        if name != "ControlNetModel":
            raise Unsupported(
                f"The control model {file.name} is a {name}.", "This engine runs ControlNet models."
            )
        with _readable(file):
            model = _pretrained("ControlNetModel", file.path)
    else:
        model = _controlnet_file(file)
    # The web UI recognises this one model by its name: it pools every residual to one value per channel.
    if "shuffle" in file.name.lower() and not model.config.global_pool_conditions:
        model.register_to_config(global_pool_conditions=True)
    _log.info("loaded control model %s", file.name)
    return model


def _controlnet_file(file: ModelFile) -> Any:
    from diffusers import ControlNetModel

    weights = read_weights(file.path)
    names = {key.removeprefix("control_model.") for key in weights}
    ldm = "input_hint_block.0.weight" in names
    if not ldm and "controlnet_cond_embedding.conv_in.weight" not in names:
        raise Unsupported(
            f"{file.name} is not a ControlNet (perhaps a T2I adapter, IP-Adapter or ControlLoRA).",
            "This engine runs ControlNet models.",
        )
    if "lora_controlnet" in names or any("task_embedding" in name for name in names):
        raise Unsupported(f"{file.name} is a ControlLoRA or a union model.", "Use a plain ControlNet model.")
    with _readable(file):
        return _single(ControlNetModel, weights, file.config or SD15, "controlnet", file)


def _load_vae(file: ModelFile) -> Any:
    require_diffusers()
    with _readable(file):
        if file.path.is_dir():
            return _pretrained("AutoencoderKL", file.path)
        from diffusers import AutoencoderKL

        return _single(AutoencoderKL, read_weights(file.path), file.config or SD15, "vae", file)


def _pretrained(class_name: str, folder: Path) -> Any:
    """A diffusers network from its folder; half-precision variants are taken where there is nothing else."""
    import diffusers

    kind = getattr(diffusers, class_name)
    plain = any((folder / f"diffusion_pytorch_model{end}").is_file() for end in (".safetensors", ".bin"))
    index = any(folder.glob("diffusion_pytorch_model*.index.json"))
    variant = None if plain or index else "fp16"
    return kind.from_pretrained(folder, variant=variant, local_files_only=True).float().eval()


def _single(kind: Any, weights: dict[str, Any], config: Path, part: str, file: ModelFile) -> Any:
    """A diffusers network from weights in LDM or diffusers naming, shaped by a configuration folder."""
    # A copy of the dictionary: diffusers' converters take entries out of what they are given.
    model = kind.from_single_file(dict(weights), config=str(config), subfolder=part, local_files_only=True)
    absent = [name for name, value in model.named_parameters() if value.is_meta]
    if absent:
        raise InvalidRequest(
            f"{file.name} lacks weights of its {part} ({len(absent)} of them, such as {absent[0]}).",
            "The file is incomplete or of another family; get it again.",
        )
    return model.float().eval()


def _clip_from_ldm(weights: dict[str, Any], folder: Path, file: ModelFile) -> Any:
    """CLIP's text model out of an LDM checkpoint."""
    from transformers import CLIPTextConfig, CLIPTextModel

    model = CLIPTextModel(CLIPTextConfig.from_pretrained(folder, local_files_only=True))
    wanted = model.state_dict()
    # transformers 5.6 dropped the level `text_model.`; both spellings occur, in files and in the class.
    prefix = "text_model." if any(name.startswith("text_model.") for name in wanted) else ""
    found: dict[str, Any] = {}
    for key, value in weights.items():
        start = next((start for start in _LDM_CLIP if key.startswith(start)), None)
        if start is not None and not key.endswith("position_ids"):
            found[prefix + key.removeprefix(start)] = value
    absent = [name for name in wanted if name not in found and not name.endswith("position_ids")]
    if absent:
        raise InvalidRequest(
            f"{file.name} lacks weights of its text encoder ({len(absent)} of them, such as {absent[0]}).",
            "The file is incomplete or of another family; get it again.",
        )
    model.load_state_dict(found, strict=False)
    return model.float().eval()


def read_weights(path: Path) -> dict[str, Any]:
    """The tensors of a weight file, on the CPU. Pickles are read without running code.

    Raises:
        MissingModel: the file is gone.
        InvalidRequest: it cannot be read.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingModel(f"The model file {path.name} is gone.", "Put it back or scan the folder again.")
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, pickle, zip and OS errors all mean the same to the user
        # Their own texts are not passed on: torch's advises to load the file in a way that runs its code.
        raise InvalidRequest(
            f"The model file {path.name} cannot be read ({_what_is_wrong(error)}).",
            "Get the file again; a .ckpt with code inside has to be converted to .safetensors first.",
        ) from error
    while isinstance(loaded, dict) and "state_dict" in loaded:
        loaded = loaded["state_dict"]
    return {key: value for key, value in loaded.items() if hasattr(value, "shape")}


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "it cannot be opened"
    if isinstance(error, pickle.UnpicklingError):
        return "it is damaged, or holds code, which is never run"
    return "it is damaged, cut off, or no weight file"


class _readable:
    """Turns what diffusers and transformers raise about broken files into one clear error."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (OSError, ValueError, RuntimeError, KeyError, TypeError)):
            raise InvalidRequest(
                f"The model {self._file.name} cannot be loaded: {str(error).splitlines()[0][:300]}",
                "The files are incomplete, damaged or of another family.",
            ) from error


@contextmanager
def _no_bars() -> Iterator[None]:
    """transformers draws progress bars on stderr even for a second's work; the caller has its own."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingModel(
            f"{path.parent.name}/{path.name} is missing.", "The model folder is incomplete."
        ) from error
    except ValueError as error:
        raise InvalidRequest(
            f"{path.parent.name}/{path.name} is not JSON.", "Get the model again."
        ) from error
