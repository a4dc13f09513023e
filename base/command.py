"""Command lines that work for this very process, for texts that tell people what to run.

ComfyUI loads the pack by path and knows no `img-open` script; its Python may be a portable one that is on no
PATH. So a hint names what is there: the script, or this interpreter with the pack's folder, which is
runnable (`__main__.py`).
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

PACK = Path(__file__).parents[1]
_SCRIPT = "img-open"
# What the Windows command prompt takes literally without quotes; anything else is put between them.
_PLAIN_ON_WINDOWS = re.compile(r"[\w.:\\/+@~-]+")


def command(arguments: str) -> str:
    """The line that runs `img-open ARGUMENTS` with this process's Python.

    `img-open ...` where that script is on the PATH and belongs to this Python, else the script's path, else
    `PYTHON PACK-FOLDER ...`; paths are quoted for the platform's shell where they need it.

    Args:
        arguments: what follows the program's name, quoted already where it must be.
    """
    return f"{_program(sys.executable, sys.platform)} {arguments}"


def pip(arguments: str) -> str:
    """The line that runs pip for this process's Python, whatever `pip` on the PATH would be."""
    return f"{quoted(sys.executable or 'python')} -m pip {arguments}"


def quoted(path: str, platform: str = sys.platform) -> str:
    """A path as one word of the platform's shell (bash and zsh; the Windows command prompt)."""
    if platform == "win32":
        return path if _PLAIN_ON_WINDOWS.fullmatch(path) else f'"{path}"'
    return shlex.quote(path)


def version() -> str:
    """The pack's version: of the folder's own pyproject.toml, else of the installed package."""
    project = PACK / "pyproject.toml"
    if project.is_file():
        found = re.search(r'^version = "([^"]+)"', project.read_text("utf-8"), re.MULTILINE)
        if found:
            return found[1]
    return metadata.version("img-open")


@functools.lru_cache(maxsize=4)
def _program(python: str, platform: str) -> str:
    script = _script(python)
    if script is None:
        return f"{quoted(python or 'python', platform)} {quoted(str(PACK), platform)}"
    on_path = shutil.which(_SCRIPT)
    if on_path is not None and Path(on_path).parent == script.parent:
        return _SCRIPT
    return quoted(str(script), platform)


def _script(python: str) -> Path | None:
    """The `img-open` script of this Python: beside the interpreter, or where pip puts scripts."""
    folders = [str(Path(python).parent)] if python else []
    folders.append(sysconfig.get_path("scripts"))
    name = f"{_SCRIPT}.exe" if os.name == "nt" else _SCRIPT
    return next((path for folder in folders if (path := Path(folder) / name).is_file()), None)
