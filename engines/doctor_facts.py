"""What `img-open doctor` tells besides packages: the ComfyUI around the pack, profiles, folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..api.profiles import list_profiles, load_profile
from ..base.command import PACK
from ..base.errors import ImgOpenError
from ..base.places import config_dir, data_dir
from ..preprocessors.weight_files import own_folder

HOST_LEAST = (0, 3, 48)  # as in pyproject.toml


def host_lines() -> list[str]:
    """Where ComfyUI is, which version it is, and whether the pack stands in it."""
    folder = next((each for each in _host_places() if (each / "comfy" / "sd.py").is_file()), None)
    if folder is None:
        return ["ComfyUI: not found (this pack is not in its custom_nodes, and COMFYUI_DIR names none)"]
    version = host_version(folder)
    lines = [f"ComfyUI {version or 'of unknown version'} in {folder}"]
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:3])
    if numbers and numbers < HOST_LEAST:
        least = ".".join(map(str, HOST_LEAST))
        lines.append(f"        -> the nodes need ComfyUI {least} or newer: update it")
    nodes = folder / "custom_nodes"
    links = [each for each in nodes.iterdir() if _same(each, PACK)] if nodes.is_dir() else []
    if not links:
        lines.append(f"        -> this pack is not in {nodes}: clone or link it there to have the nodes")
    return lines


def _host_places() -> Iterator[Path]:
    if os.environ.get("COMFYUI_DIR", "").strip():
        yield Path(os.environ["COMFYUI_DIR"].strip()).expanduser()
    if PACK.parent.name == "custom_nodes":
        yield PACK.parent.parent
    yield Path.home() / "comfy" / "ComfyUI"  # where comfy-cli puts it


def host_version(folder: Path) -> str:
    """What a ComfyUI folder says of its version; "" if nothing. Nothing of it is imported."""
    for name, pattern in (
        ("comfyui_version.py", r'__version__ = "([^"]+)"'),
        ("pyproject.toml", r'version = "([^"]+)"'),
    ):
        file = folder / name
        if file.is_file():
            found = re.search(rf"^{pattern}", file.read_text("utf-8", errors="replace"), re.MULTILINE)
            if found:
                return found[1]
    return ""


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # a link that leads nowhere
        return False


def profile_lines() -> list[str]:
    """Names of the profiles, their addresses and whether there is a key; never the key."""
    try:
        names = list_profiles()
    except ImgOpenError as error:
        return ["Profiles: cannot be read", f"        -> {error}"]
    return ["Profiles:", *(line for name in names for line in _profile(name))]


def _profile(name: str) -> list[str]:
    try:
        profile = load_profile(name)
    except ImgOpenError as error:
        return [f"        {name:15} not usable", f"        -> {error}"]
    key = "key present" if profile.has_keys else "no key (none is needed on this machine)"
    return [f"        {name:15} {profile.base_url}, {key}"]


def place_lines() -> list[str]:
    """The folders of the pack's files, and whether they are there yet."""
    rows = (("Data", data_dir()), ("Settings", config_dir()), ("Weights", own_folder()))
    return [f"{name} folder: {path}{'' if path.is_dir() else ' (not made yet)'}" for name, path in rows]
