"""Where annotator weights are: looked for on this machine, fetched only when the user said so.

Order: the host's folders (category `imgopen_annotators`, handed in by the runtime), the pack's own data
folder, the `ckpts` folder of comfyui_controlnet_aux, the Hugging Face hub's cache. Nothing is looked up or
fetched at import.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.command import command
from ..base.errors import MissingModel
from ..base.places import data_dir
from .weights_table import WEIGHTS, WeightFile

if TYPE_CHECKING:
    from .runtime import Runtime

SHIPPED = Path(__file__).parent / "weights"  # what comes with the pack


def own_folder() -> Path:
    """Where downloads go when the host has no folder for them."""
    return data_dir() / "annotators"


def find(key: str, folders: Iterable[Path] = ()) -> Path | None:
    """The file (or the transformers folder) of a weight, or None. Only looks; empty files do not count."""
    entry = WEIGHTS[key]
    for folder in (*folders, own_folder()):
        found = _in_plain_folder(entry, Path(folder))
        if found is not None:
            return found
    for folder in _aux_folders():
        found = _in_plain_folder(entry, folder)
        if found is not None:
            return found
    return _in_hub_cache(entry)


def require(key: str, runtime: Runtime) -> Path:
    """`find`, or a download where the runtime allows it.

    Raises `MissingModel` naming file, folder, size, licence and link.
    """
    found = find(key, runtime.weight_folders())
    if found is not None:
        return found
    if runtime.allow_download:
        from .download import pull

        return pull(
            key, destination(runtime.weight_folders()), progress=runtime.progress, cancelled=runtime.cancelled
        )
    entry = WEIGHTS[key]
    raise MissingModel(
        describe_missing(key, runtime.weight_folders()),
        file=entry.file,
        folder=str(destination(runtime.weight_folders())),
        link=entry.link,
    )


def destination(folders: Iterable[Path]) -> Path:
    """The folder a download goes to: the host's first one, else the pack's own."""
    return next((Path(folder) for folder in folders), own_folder())


def describe_missing(key: str, folders: Iterable[Path] = ()) -> str:
    """One line: which file is missing, where to put it, its size, licence and link, how to fetch it."""
    entry = WEIGHTS[key]
    folder = destination(folders)
    place = folder / entry.repo.split("/")[-1] if entry.is_folder else folder
    what = f"folder with {Path(entry.file).name}" if entry.is_folder else Path(entry.file).name
    return (
        f"The {what} of {entry.repo} is not on this machine "
        f"(about {entry.megabytes:g} MB, licence {entry.licence}). "
        f"Fetch it with the node's download button or `{command(f'models pull {key}')}`, "
        f"or put it into {place} from {entry.link}."
    )


def _names(entry: WeightFile) -> tuple[str, ...]:
    """Acceptable paths of the weights file itself, the published one first."""
    parent = entry.file.rpartition("/")[0]
    inside = tuple(f"{parent}/{name}" if parent and entry.is_folder else name for name in entry.also)
    short = () if entry.is_folder else (Path(entry.file).name,)
    return tuple(dict.fromkeys((entry.file, *short, *inside)))


def _in_plain_folder(entry: WeightFile, folder: Path) -> Path | None:
    """`folder/file`, `folder/owner/name/file` (as comfyui_controlnet_aux has it) or `folder/name/file`."""
    name = entry.repo.split("/")[-1]
    roots = [folder / entry.repo, folder / name] + ([] if entry.is_folder else [folder])
    for root in roots:
        found = _usable(entry, root)
        if found is not None:
            return found
    return None


def _usable(entry: WeightFile, root: Path) -> Path | None:
    for name in _names(entry):
        path = root / name
        if not path.is_file() or path.stat().st_size == 0:
            continue
        if not entry.is_folder:
            return path
        needed = [extra for extra in entry.extra if not extra.startswith("(")]
        if all((root / extra).is_file() for extra in needed):
            return path.parent
    return None


def _aux_folders() -> list[Path]:
    """The ckpts folders of comfyui_controlnet_aux: its own setting, else beside this pack in custom_nodes."""
    named = os.environ.get("AUX_ANNOTATOR_CKPTS_PATH", "").strip()
    beside = Path(__file__).resolve().parents[2] / "comfyui_controlnet_aux" / "ckpts"
    return [Path(named), beside] if named else [beside]


def _in_hub_cache(entry: WeightFile) -> Path | None:
    repo = _hub_cache() / f"models--{entry.repo.replace('/', '--')}"
    snapshots = repo / "snapshots"
    if not snapshots.is_dir():
        return None
    reference = repo / "refs" / entry.revision
    current = reference.read_text(encoding="utf-8").strip() if reference.is_file() else ""
    ordered = sorted(snapshots.iterdir(), key=lambda path: (path.name != current, -path.stat().st_mtime))
    return next((found for root in ordered if (found := _usable(entry, root)) is not None), None)


def _hub_cache() -> Path:
    for variable, tail in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        value = os.environ.get(variable, "").strip()
        if value:
            return Path(value).expanduser() / tail
    return Path.home() / ".cache" / "huggingface" / "hub"
