"""The list of nodes, handed to ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import remote_routes
from .controlnet_apply import ImgOpenControlNetApply
from .generate import ImgOpenGenerate
from .host import register_annotators
from .local_geometry import (
    ImgOpenCropMasked,
    ImgOpenMask,
    ImgOpenMaskFill,
    ImgOpenPasteMasked,
    ImgOpenPicture,
    ImgOpenResize,
)
from .local_sampling import ImgOpenGuider, ImgOpenInpaintLatent, ImgOpenNoise, ImgOpenSigmas
from .local_text import ImgOpenPrompt
from .operations import ImgOpenApiCall, local_classes, published_classes
from .pose_render import ImgOpenPoseRender
from .postprocess_node import ImgOpenPostprocess
from .preprocessor import ImgOpenPreprocessor
from .remote_submit import ImgOpenRemoteSubmit
from .tasks import ImgOpenCollect, ImgOpenModel, ImgOpenSubmitAsync, ImgOpenTask
from .web_routes import register

# One by one, in the order of `tables.NODES`: one bad schema would leave the pack half registered.
NODE_CLASSES: list[type[io.ComfyNode]] = [
    ImgOpenPreprocessor,
    ImgOpenControlNetApply,
    ImgOpenRemoteSubmit,
]
# After those: the operations of the API and what belongs to them, in the order of `published.NODES`.
TASK_CLASSES: list[type[io.ComfyNode]] = [
    ImgOpenApiCall,
    ImgOpenTask,
    ImgOpenSubmitAsync,
    ImgOpenCollect,
    ImgOpenModel,
]
# And the whole request on this machine, with the small nodes it expands into.
LOCAL_CLASSES: list[type[io.ComfyNode]] = [
    ImgOpenGenerate,
    ImgOpenPrompt,
    ImgOpenNoise,
    ImgOpenSigmas,
    ImgOpenGuider,
    ImgOpenInpaintLatent,
    ImgOpenPicture,
    ImgOpenResize,
    ImgOpenMask,
    ImgOpenMaskFill,
    ImgOpenCropMasked,
    ImgOpenPasteMasked,
    ImgOpenPostprocess,
    ImgOpenPoseRender,
]


class ImgOpenExtension(ComfyExtension):
    """What `comfy_entrypoint` returns."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack. The canvas' routes come with them, before the server begins to listen."""
        register_annotators()
        register()
        remote_routes.register()
        return [*NODE_CLASSES, *published_classes(), *TASK_CLASSES, *LOCAL_CLASSES, *local_classes()]
