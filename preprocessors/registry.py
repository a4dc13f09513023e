"""The 72 modules joined with how this pack makes them: one entry each, read by nodes, server, docs and tests.

Names, labels, tags and sliders come from `controlnet.modules`; `registry_table` adds the function, the weight
files, the packages, the licences and the remarks. Nothing heavy is imported here.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..base.command import command, pip
from ..base.errors import MissingDependency
from ..controlnet.modules import find_module
from . import weight_files
from .registry_table import PREPROCESSORS, Kind, Preprocessor
from .weights_table import WEIGHTS

__all__ = [
    "PREPROCESSORS",
    "Kind",
    "Preprocessor",
    "available",
    "find_preprocessor",
    "function_of",
    "missing_packages",
]

_INSTALL: Mapping[str, str] = MappingProxyType(
    {
        "controlnet_aux": "Install it without its requirements, which would replace torch: "
        "pip install --no-deps controlnet-aux==0.0.10 (and pip install einops).",
        "onnxruntime": "Install it without its requirements: pip install --no-deps onnxruntime flatbuffers "
        "protobuf",
        "facexlib": "Install it without its requirements, which would bring opencv-python and another torch: "
        "pip install --no-deps facexlib filterpy numba llvmlite (and torchvision, which must fit the "
        "installed torch).",
        "consisid_eva_clip": "pip install --no-deps consisid-eva-clip (and timm, einops, ftfy, regex); it "
        "needs torchvision, which must fit the installed torch.",
        "hand_refiner": "It is handrefinerportable 2024.2.12.0, which brings the MANO hand model: for "
        "non-commercial use only. Get it from https://github.com/huchenlei/HandRefinerPortable/releases; it "
        "needs mediapipe, trimesh, rtree and torchvision. Its weights (hr16/ControlNet-HandRefiner-pruned, "
        "1369 MB): img-open models pull hand_refiner hand_refiner_backbone",
        "mediapipe": "pip install mediapipe==0.10.21 (later versions carry no models).",
    }
)


def find_preprocessor(name: str) -> Preprocessor:
    """The entry of a module by name, label or legacy name. Raises `InvalidRequest` with the nearest names."""
    return PREPROCESSORS[find_module(name).name]


def function_of(entry: Preprocessor, folders: Iterable[Path] = ()) -> Callable[..., Any]:
    """The function that makes the map.

    Args:
        folders: the host's annotator folders (`Runtime.weight_folders()`); for the error's text only.

    Raises `MissingDependency` if packages are not there: with all of them, and the weights that lack, too.
    """
    missing = _missing_packages(entry.packages)
    if missing:
        raise MissingDependency(
            f"The module {entry.spec.label} needs the Python package {missing[0]}."
            if len(missing) == 1
            else f"The module {entry.spec.label} needs the Python packages {', '.join(missing)}.",
            _how_to_install(missing) + _weights_too(entry, folders),
            module=entry.name,
            package=missing[0],
        )
    file, _, function = entry.make.partition(":")
    return getattr(importlib.import_module(f".{file}", __package__), function)


def available(name: str, folders: Iterable[Path] = ()) -> tuple[bool, str]:
    """Whether the module can run on this machine now, and if not, exactly why.

    Args:
        name: module name or label.
        folders: the host's annotator folders (`Runtime.weight_folders()`).
    """
    entry = find_preprocessor(name)
    folders = tuple(folders)
    lacks = missing_packages(entry)
    if lacks:
        return False, lacks + _weights_too(entry, folders)
    for key in entry.weights:
        if weight_files.find(key, folders) is None:
            return False, weight_files.describe_missing(key, folders)
    return True, ""


def missing_packages(entry: Preprocessor) -> str:
    """Which Python packages of a module are not installed, all of them, and how to; empty with none."""
    missing = _missing_packages(entry.packages)
    if not missing:
        return ""
    named = f"package {missing[0]} is" if len(missing) == 1 else f"packages {', '.join(missing)} are"
    return f"the Python {named} not installed. {_how_to_install(missing)}"


def _weights_too(entry: Preprocessor, folders: Iterable[Path]) -> str:
    """The weights that a module lacks besides packages, with size and licence, as a further sentence."""
    folders = tuple(folders)
    lacks = [WEIGHTS[key] for key in entry.weights if weight_files.find(key, folders) is None]
    if not lacks:
        return ""
    files = ", ".join(f"{Path(each.file).name} ({each.megabytes:g} MB, {each.licence})" for each in lacks)
    keys = " ".join(each.key for each in lacks)
    return f" It lacks weights, too: {files}: {command(f'models pull {keys}')}"


def _missing_packages(packages: tuple[str, ...]) -> list[str]:
    # find_spec looks without importing, so that one broken package cannot take the others along.
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _how_to_install(packages: list[str]) -> str:
    text = " ".join(_INSTALL.get(package, f"pip install {package}") for package in packages)
    return text.replace("pip install", pip("install")).replace("img-open ", command(""))
