"""Network classes out of controlnet-aux, without letting that package act on the process.

Its top `__init__` imports everything it has, overwrites entries of timm's registry and sets environment
variables. Here its files are imported one by one under a parent package of our own name, so that no
`__init__` above the wanted file ever runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.command import pip
from ..base.errors import MissingDependency

_PARENT = "_img_open_controlnet_aux"
_lock = threading.Lock()


def aux_class(file: str, name: str) -> Any:
    """The class (or function) `name` of a file of controlnet-aux, `file` in dots: `"hed"`, `"pidi.model"`.

    Raises `MissingDependency` if the package, or one that this file needs, is missing or broken.
    """
    try:
        with _lock:
            _bare_parents(file)
            module = importlib.import_module(f"{_PARENT}.{file}")
        return getattr(module, name)
    except Exception as error:
        raise MissingDependency(
            f"controlnet-aux cannot give {file}.{name}: {type(error).__name__}: {error}.",
            "The pack is written for controlnet-aux 0.0.10: "
            f"{pip('install --no-deps controlnet-aux==0.0.10')}",
            package="controlnet_aux",
        ) from error


def _bare_parents(file: str) -> None:
    """Register the parents of `file` as packages that only have a place, no code."""
    parent, folder = _PARENT, _root()
    _bare(parent, folder)
    for part in file.split(".")[:-1]:
        parent, folder = f"{parent}.{part}", folder / part
        _bare(parent, folder)


def _bare(name: str, folder: Path) -> None:
    if name in sys.modules:
        return
    package = ModuleType(name, "Place of files of controlnet-aux; its own __init__ is not run.")
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def _root() -> Path:
    spec = importlib.util.find_spec("controlnet_aux")  # finds the folder without importing it
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'controlnet_aux'")
    return Path(next(iter(spec.submodule_search_locations)))
