"""The list of nodes, handed to ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .controlnet_apply import ImgOpenControlNetApply
from .preprocessor import ImgOpenPreprocessor
from .remote_submit import ImgOpenRemoteSubmit

# One by one, in the order of `tables.NODES`: one bad schema would leave the pack half registered.
NODE_CLASSES: list[type[io.ComfyNode]] = [
    ImgOpenPreprocessor,
    ImgOpenControlNetApply,
    ImgOpenRemoteSubmit,
]


class ImgOpenExtension(ComfyExtension):
    """What `comfy_entrypoint` returns."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack."""
        return list(NODE_CLASSES)
