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

__all__ = ["PREPROCESSORS", "Kind", "Preprocessor", "available", "find_preprocessor", "function_of"]

_INSTALL: Mapping[str, str] = MappingProxyType(
    {
        "controlnet_aux": "Install it without its requirements, which would replace torch: "
        "pip install --no-deps controlnet-aux==0.0.10 (and pip install einops).",
        "facexlib": "pip install facexlib (it brings torchvision, which must fit the installed torch, and "
        "opencv-python).",
        "consisid_eva_clip": "pip install --no-deps consisid-eva-clip (and timm, einops, ftfy, regex); it "
        "needs torchvision, which must fit the installed torch.",
        "hand_refiner": "It is handrefinerportable 2024.2.12.0, which brings the MANO hand model: for "
        "non-commercial use only. Get it from https://github.com/huchenlei/HandRefinerPortable/releases; it "
        "needs mediapipe, trimesh, rtree and torchvision. Its weights (hr16/ControlNet-HandRefiner-pruned, "
        "1369 MB): img-open models pull depth_hand_refiner",
        "mediapipe": "pip install mediapipe==0.10.21 (later versions carry no models).",
    }
)


def find_preprocessor(name: str) -> Preprocessor:
    """The entry of a module by name, label or legacy name. Raises `InvalidRequest` with the nearest names."""
    return PREPROCESSORS[find_module(name).name]


def function_of(entry: Preprocessor) -> Callable[..., Any]:
    """The function that makes the map.

    Raises `MissingDependency` if a package is not there.
    """
    missing = _missing_packages(entry.packages)
    if missing:
        raise MissingDependency(
            f"The module {entry.spec.label} needs the Python package {missing[0]}.",
            _how_to_install(missing[0]),
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
    missing = _missing_packages(entry.packages)
    if missing:
        return False, f"the Python package {missing[0]} is not installed. {_how_to_install(missing[0])}"
    folders = tuple(folders)
    for key in entry.weights:
        if weight_files.find(key, folders) is None:
            return False, weight_files.describe_missing(key, folders)
    return True, ""


def _missing_packages(packages: tuple[str, ...]) -> list[str]:
    # find_spec looks without importing, so that one broken package cannot take the others along.
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _how_to_install(package: str) -> str:
    text = _INSTALL.get(package, f"pip install {package}")
    return text.replace("pip install", pip("install")).replace("img-open ", command(""))
