"""Img Open for ComfyUI: one request, run on this machine or remotely, with the same meaning.

This file is the door for two kinds of callers and costs nothing to import:

- ComfyUI loads the folder from `custom_nodes/` by path, awaits `comfy_entrypoint` and serves `WEB_DIRECTORY`;
- the command line, the gateway and the tests import the same folder as `img_open`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint() -> ComfyExtension:
    """Called once by ComfyUI; the nodes and the host's own modules are imported only here."""
    from .nodes.extension import ImgOpenExtension

    return ImgOpenExtension()
