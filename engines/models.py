"""The models on this machine: checkpoints, control models and VAEs, found by the names people write.

A name in a request is matched against what is there, never used as a path: exact name first, then the name
without folder and extension, then the ten-digit hash that the web UI writes in brackets.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ..base import places
from ..base.errors import InvalidRequest, MissingModel
from ..base.log import get_logger

Kind = Literal["checkpoint", "controlnet", "vae"]

_log = get_logger("engines.models")

WEIGHT_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
#: Sub-folder names, lower case, as ComfyUI and the web UI (and its ControlNet extension) spell them.
_KIND_FOLDERS: dict[str, Kind] = {
    "checkpoints": "checkpoint",
    "stable-diffusion": "checkpoint",
    "diffusers": "checkpoint",
    "controlnet": "controlnet",
    "vae": "vae",
}
_FOLDER_CLASSES: dict[str, Kind] = {"ControlNetModel": "controlnet", "AutoencoderKL": "vae"}
_HASH = re.compile(r"\s*\[([0-9a-fA-F]{6,64})\]\s*$")
_BARE_HASH = re.compile(r"[0-9a-fA-F]{10}|[0-9a-fA-F]{64}")
_WORDS: dict[Kind, str] = {"checkpoint": "checkpoint", "controlnet": "control model", "vae": "VAE"}


@dataclass(frozen=True)
class ModelFile:
    """One model on disk.

    Attributes:
        name: what lists show and requests say; with `/` where it lies in a sub-folder.
        path: a weight file, or a folder in diffusers layout.
        kind: what it is.
        config: folder with diffusers configurations for a single file of another shape than Stable
            Diffusion 1.5 (sub-folders as in a diffusers checkpoint); None for the shipped ones.
    """

    name: str
    path: Path
    kind: Kind
    config: Path | None = None

    @property
    def stem(self) -> str:
        """The name without folder and weight-file extension, lower case."""
        return _stem(self.name)

    def tensor_names(self) -> list[str]:
        """From the header of a safetensors file; empty for other files."""
        return _safetensors_keys(self.path)

    def short_hash(self) -> str:
        """First ten hex digits of the file's SHA-256, as the web UI shows them; empty for a folder."""
        return _sha256(self.path)[:10] if self.path.is_file() else ""


class LocalModels:
    """The models this machine can offer, in the order in which they were found.

    The first checkpoint is the one used when a request names none.
    """

    def __init__(self, files: Iterable[ModelFile] = ()) -> None:
        self._files: list[ModelFile] = list(files)

    @classmethod
    def demo(cls) -> LocalModels:
        """The small model that the pack carries (checkpoint `demo`, control models such as `canny`).

        Where the pack carries none, one of the same shape with random weights is made once in the cache
        folder: it shows that everything works, and its pictures show nothing.
        """
        folder = Path(__file__).parents[1] / "demo" / "model"
        if not (folder / "model_index.json").is_file():
            folder = _random_demo()
        return cls().add(folder, "checkpoint", name="demo")

    @classmethod
    def from_folder(cls, path: str | Path) -> LocalModels:
        """All models below a folder.

        Understood are ComfyUI's and the web UI's folder names (`checkpoints` or `Stable-diffusion`,
        `controlnet`, `vae`, in any case, also below a `models` folder) and files or diffusers folders that
        lie in the folder itself, which are told apart by their content.

        Raises:
            MissingModel: there is no such folder.
        """
        root = Path(path).expanduser()
        if not root.is_dir():
            raise MissingModel(f"There is no models folder at {root}.", "Name an existing folder.")
        models = cls()
        roots = [root, root / "models"] if (root / "models").is_dir() else [root]
        for place in roots:
            models._scan(place)
        return models

    def add(
        self, path: str | Path, kind: Kind | None = None, *, name: str = "", config: str | Path | None = None
    ) -> LocalModels:
        """Add one file or diffusers folder; a checkpoint folder brings its `controlnet/*` along.

        Args:
            path: the file or folder.
            kind: what it is; None to look.
            name: what to call it; the file name by default.
            config: see `ModelFile.config`.

        Returns:
            Itself, so that calls can be chained.

        Raises:
            MissingModel: nothing is there.
            InvalidRequest: it is not a model, or its kind cannot be told.
        """
        place = Path(path).expanduser()
        if not place.exists():
            raise MissingModel(f"There is no model at {place}.", "Check the path.")
        found = kind or _kind_of(place)
        if found is None:
            raise InvalidRequest(
                f"{place} is neither a weight file nor a diffusers folder.",
                f"Give one of {', '.join(WEIGHT_SUFFIXES)}, or a folder with a model_index.json.",
            )
        self._files.append(ModelFile(name or place.name, place, found, Path(config) if config else None))
        if found == "checkpoint" and (place / "controlnet").is_dir():
            for child in sorted((place / "controlnet").iterdir()):
                if _kind_of(child) == "controlnet":
                    self._files.append(ModelFile(child.name, child, "controlnet"))
        return self

    def names(self, kind: Kind) -> list[str]:
        """Names of one kind, in the order found."""
        return [file.name for file in self._files if file.kind == kind]

    def find_checkpoint(self, name: str) -> ModelFile:
        """The checkpoint of that name; the first one for an empty name. Raises MissingModel."""
        if not name.strip():
            first = next((file for file in self._files if file.kind == "checkpoint"), None)
            if first is None:
                raise MissingModel("There is no checkpoint.", "Give a model or a models folder.")
            return first
        return self._find("checkpoint", name)

    def find_controlnet(self, name: str) -> ModelFile:
        """The control model of that name. Raises MissingModel, naming the nearest ones."""
        return self._find("controlnet", name)

    def find_vae(self, name: str) -> ModelFile:
        """The VAE of that name. Raises MissingModel, naming the nearest ones."""
        return self._find("vae", name)

    def rows(self) -> list[dict[str, Any]]:
        """One row of plain JSON values per model, without paths: `name`, `type`, `layout`, `bytes`."""
        return [
            {
                "name": file.name,
                "type": file.kind,
                "layout": "file" if file.path.is_file() else "diffusers",
                "bytes": sum(part.stat().st_size for part in _parts(file.path)),
            }
            for file in self._files
        ]

    def _find(self, kind: Kind, name: str) -> ModelFile:
        files = [file for file in self._files if file.kind == kind]
        wanted = name.strip().replace("\\", "/")
        bracket = _HASH.search(wanted)
        plain = wanted[: bracket.start()] if bracket else wanted
        for candidate in dict.fromkeys((wanted, plain)):
            for file in files:
                if file.name == candidate:
                    return file
        for file in files:
            if file.stem == _stem(plain):
                return file
        digits = bracket.group(1) if bracket else wanted if _BARE_HASH.fullmatch(wanted) else ""
        if digits:
            for file in files:
                if file.path.is_file() and _sha256(file.path).startswith(digits.lower()):
                    return file
        raise _missing(kind, name, [file.name for file in files])

    def _scan(self, root: Path) -> None:
        for entry in sorted(root.iterdir(), key=lambda item: item.name.lower()):
            if entry.name.startswith("."):
                continue
            kind = _KIND_FOLDERS.get(entry.name.lower())
            if kind is not None and entry.is_dir():
                for path in _models_below(entry):
                    self.add(path, kind, name=path.relative_to(entry).as_posix())
            elif _is_model(entry):
                found = _kind_of(entry)
                if found is not None:
                    self.add(entry, found)


def _missing(kind: Kind, name: str, names: list[str]) -> MissingModel:
    word = _WORDS[kind]
    stems = {_stem(item): item for item in names}
    near = [stems[item] for item in difflib.get_close_matches(_stem(name), list(stems), n=3, cutoff=0.3)]
    if not names:
        hint = f"There is no {word} at all: put one into the models folder."
    elif near:
        hint = f"Nearest: {', '.join(near)}."
    else:
        hint = f"There are: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}."
    return MissingModel(f"There is no {word} named {name!r}.", hint, name=name, kind=kind, nearest=near)


def _stem(name: str) -> str:
    base = name.rsplit("/", 1)[-1]
    for suffix in WEIGHT_SUFFIXES:
        if base.lower().endswith(suffix):
            base = base[: -len(suffix)]
            break
    # The web UI's habit: `name.vae.pt` is the VAE that belongs to the checkpoint `name`.
    return base.lower().removesuffix(".vae")


def _is_model(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() in WEIGHT_SUFFIXES
    return (path / "model_index.json").is_file() or (path / "config.json").is_file()


def _models_below(folder: Path) -> Iterator[Path]:
    """Weight files and diffusers folders below a folder; a diffusers folder is not looked into."""
    for entry in sorted(folder.iterdir(), key=lambda item: item.name.lower()):
        if entry.name.startswith("."):
            continue
        if _is_model(entry):
            yield entry
        elif entry.is_dir() and not entry.is_symlink():
            yield from _models_below(entry)


def _kind_of(path: Path) -> Kind | None:
    """What a file or folder is, from its content where that is cheap, else from its name."""
    if path.is_dir():
        if (path / "model_index.json").is_file():
            return "checkpoint"
        return _FOLDER_CLASSES.get(_class_name(path / "config.json"))
    suffix = path.suffix.lower()
    if suffix not in WEIGHT_SUFFIXES:
        return None
    if suffix == ".safetensors":
        return _kind_of_keys(_safetensors_keys(path), path)
    return _kind_of_name(path)


def _kind_of_name(path: Path) -> Kind:
    name = path.name.lower()
    if "control" in name:
        return "controlnet"
    return "vae" if "vae" in name else "checkpoint"


def _kind_of_keys(keys: list[str], path: Path) -> Kind:
    if any(key.startswith("model.diffusion_model.") for key in keys):
        return "checkpoint"
    if any("controlnet_cond_embedding" in key or "input_hint_block" in key for key in keys):
        return "controlnet"
    if any("decoder.conv_in" in key or "decoder.mid" in key for key in keys):
        return "vae"
    return _kind_of_name(path)


def _safetensors_keys(path: Path) -> list[str]:
    """Tensor names from the header alone; empty if the file is not a safetensors file."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > 100_000_000:
                return []
            header = cast("dict[str, Any]", json.loads(stream.read(length)))
    except (OSError, ValueError, struct.error):
        return []
    return [key for key in header if key != "__metadata__"]


def _class_name(config: Path) -> str:
    try:
        values = cast("dict[str, Any]", json.loads(config.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return ""
    return str(values.get("_class_name", ""))


def _parts(path: Path) -> list[Path]:
    return [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]


_hashes: dict[tuple[str, int, int], str] = {}


def _sha256(path: Path) -> str:
    """SHA-256 of a file, remembered for this process as long as size and time stay the same."""
    state = path.stat()
    key = (str(path), state.st_size, state.st_mtime_ns)
    if key not in _hashes:
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        _hashes[key] = digest.hexdigest()
    return _hashes[key]


def _random_demo() -> Path:
    """A folder of the demo model's layout with random weights, made once in the cache folder."""
    source = Path(__file__).parents[1] / "demo" / "training" / "networks.py"
    if not source.is_file():
        raise MissingModel("The demo model is not part of this installation.", "Give a model of your own.")
    folder = places.cache_dir() / "demo-random"
    if (folder / "model_index.json").is_file():
        return folder
    _log.info("the pack carries no demo model: making one with random weights in %s", folder)
    spec = importlib.util.spec_from_file_location("img_open_demo_networks", source)
    if spec is None or spec.loader is None:
        raise MissingModel(f"{source} cannot be loaded.", "Reinstall the pack.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    import tempfile

    places.ensure(folder.parent)
    # Written aside and renamed, so that an interrupted or a second process never leaves half a model.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = cast(Path, module.write_random(Path(scratch) / "model", 0))
        try:
            made.rename(folder)
        except OSError:
            if not (folder / "model_index.json").is_file():
                raise
    return folder
