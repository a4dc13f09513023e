"""Runs the command line without anything installed: `python custom_nodes/img-open models pull hed`.

ComfyUI's Python knows the pack only as a folder whose name may be no name of a module, so the folder is
loaded by path under the name `img_open`. `python -m img_open` (where the pack is installed) comes here too.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from importlib import import_module

NAME = "img_open"


def command_line() -> Callable[[], int]:
    """`cli.main` of the very folder that this file lies in."""
    if __package__:
        from .cli import main

        return main
    # Not the resolved path: a linked pack still stands in custom_nodes, beside other packs.
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - as in sys.path
    # Python put the folder in front of sys.path: our `nodes` would be taken for ComfyUI's of that name.
    own = os.path.realpath(folder)
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or os.curdir) != own]
    spec = importlib.util.spec_from_file_location(
        NAME,
        os.path.join(folder, "__init__.py"),  # noqa: PTH118
        submodule_search_locations=[folder],
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} cannot be loaded as a package.")
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    return import_module(f"{NAME}.cli").main


if __name__ == "__main__":
    sys.exit(command_line()())
