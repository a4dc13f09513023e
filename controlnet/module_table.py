"""The table behind `modules.py`: the 72 modules and 20 control types of sd-webui-controlnet 1.1.455."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Returns = Literal["rgb", "embedding", "inpaint", "none"]


@dataclass(frozen=True)
class Slider:
    """One number of a module. A hidden slider (0 to 1, default 0.5) is not used by the module."""

    label: str
    minimum: float
    maximum: float
    step: float
    default: float
    visible: bool = True


@dataclass(frozen=True)
class ModuleSpec:
    """One preprocessor module.

    Attributes:
        name: internal name, the canonical one.
        label: what user interfaces show; equal to the name where there is no other.
        tags: control types it is listed under.
        method: what makes the picture, for people.
        resolution, threshold_a, threshold_b: the sliders.
        returns: "rgb" a picture; "inpaint" a picture with the mask as 4th channel; "embedding" something that
        is
            not a picture; "none" nothing of its own (the input image goes on).
        needs_mask: works with a mask only.
        model_free: acts without a control model.
        keeps_size: the result has the input's size (or a fraction of it), whatever processor_res says.
        has_control_mode: False where the web UI offers no control mode, because nothing reacts to it.
    """

    name: str
    label: str
    tags: tuple[str, ...]
    method: str
    resolution: Slider
    threshold_a: Slider
    threshold_b: Slider
    returns: Returns = "rgb"
    needs_mask: bool = False
    model_free: bool = False
    keeps_size: bool = False
    has_control_mode: bool = True

    @property
    def is_inpaint(self) -> bool:
        """Maps of these modules keep their mask as a 4th channel (the original looks at the name too)."""
        return "inpaint" in self.name

    @property
    def takes_soft_high_res(self) -> bool:
        """In a high-res pass these are always applied with the soft weights, whatever the control mode."""
        return "canny" in self.name or "mlsd" in self.name


@dataclass(frozen=True)
class TagSpec:
    """A control type: its default module (a label) and other words that model names of its kind contain."""

    name: str
    default_module: str
    also_matches: tuple[str, ...] = ()
    usual_model: str = ""


def _hidden(label: str, default: float = 0.5) -> Slider:
    return Slider(label, 0, 1, 0.01, default, visible=False)


def _resolution(default: float = 512) -> Slider:
    return Slider("Resolution", 64, 2048, 8, default)


_RESOLUTION = _resolution()
_NO_RESOLUTION = _hidden("Resolution")
_NO_A = _hidden("Threshold A")
_NO_B = _hidden("Threshold B")


def _module(
    name: str,
    tags: str,
    method: str,
    *,
    label: str = "",
    resolution: Slider = _RESOLUTION,
    a: Slider = _NO_A,
    b: Slider = _NO_B,
    returns: Returns = "rgb",
    needs_mask: bool = False,
    model_free: bool = False,
    keeps_size: bool = False,
    has_control_mode: bool = True,
) -> ModuleSpec:
    return ModuleSpec(
        name, label or name, tuple(tags.split()), method, resolution, a, b, returns, needs_mask, model_free,
        keeps_size, has_control_mode,
    )  # fmt: skip


_SAFE_STEPS = Slider("Safe Steps", 0, 10, 1, 2)
_VARIATION = Slider("Variation", 3, 32, 1, 8)
_GAMMA = Slider("Gamma Correction", 0.1, 2, 0.001, 1)
_FIDELITY = Slider("Style Fidelity", 0, 1, 0.01, 0.5)
_NOISE = Slider("Noise Augmentation", 0, 1, 0.01, 0)
_NEAR = Slider("Remove Near %", 0, 100, 0.1, 0)
_FAR = Slider("Remove Background %", 0, 100, 0.1, 0)

_CANNY = Slider("Low Threshold", 1, 255, 1, 100), Slider("High Threshold", 1, 255, 1, 200)
_MLSD = (
    Slider("MLSD Value Threshold", 0.01, 2, 0.01, 0.1),
    Slider("MLSD Distance Threshold", 0.01, 20, 0.01, 0.1),
)

_ALL: tuple[ModuleSpec, ...] = (
    _module("none", "InstructP2P", "the picture as it is", keeps_size=True),
    _module("canny", "Canny", "OpenCV Canny", a=_CANNY[0], b=_CANNY[1]),
    _module(
        "invert", "Canny Lineart Scribble MLSD", "255 minus the picture",
        label="invert (from white bg & black line)", resolution=_NO_RESOLUTION, keeps_size=True,
    ),
    _module(
        "threshold", "", "white where all channels are above A", a=Slider("Binarization Threshold", 0,
        255, 1, 127)
    ),
    _module("scribble_xdog", "Scribble SparseCtrl", "XDoG", a=Slider("XDoG Threshold", 1, 64, 1, 32)),
    _module("scribble_hed", "Scribble SparseCtrl", "HED, thinned"),
    _module("pidinet_scribble", "Scribble SparseCtrl", "PiDiNet, thinned", label="scribble_pidinet"),
    _module("hed", "SoftEdge", "HED", label="softedge_hed"),
    _module("hed_safe", "SoftEdge", "HED, three levels", label="softedge_hedsafe"),
    _module("pidinet", "SoftEdge", "PiDiNet", label="softedge_pidinet"),
    _module("pidinet_safe", "SoftEdge", "PiDiNet, three levels", label="softedge_pidisafe"),
    _module("softedge_teed", "SoftEdge", "TEED", a=_SAFE_STEPS),
    _module(
        "softedge_anyline", "SoftEdge", "MTEED and line drawing", resolution=_resolution(1280), a=_SAFE_STEPS
    ),
    _module("lineart", "Lineart", "line art network, fine", label="lineart_realistic"),
    _module("lineart_coarse", "Lineart", "line art network, coarse"),
    _module("lineart_anime", "Lineart", "anime line art network"),
    _module("lineart_anime_denoise", "Lineart", "manga line network"),
    _module(
        "lineart_standard", "Lineart", "difference from a Gaussian",
        label="lineart_standard (from white bg & black line)",
    ),
    _module("mlsd", "MLSD", "M-LSD large", a=_MLSD[0], b=_MLSD[1]),
    _module("depth", "Depth", "MiDaS dpt_hybrid", label="depth_midas"),
    _module("depth_zoe", "Depth", "ZoeDepth"),
    _module("depth_leres", "Depth", "LeReS", a=_NEAR, b=_FAR),
    _module("depth_leres++", "Depth", "LeReS, boosted", a=_NEAR, b=_FAR),
    _module("depth_anything", "Depth", "Depth Anything ViT-L"),
    _module("depth_anything_v2", "Depth", "Depth Anything V2 ViT-L"),
    _module("depth_hand_refiner", "Depth", "MeshGraphormer hands"),
    _module("normal_bae", "NormalMap", "NormalBae"),
    _module(
        "normal_map", "NormalMap", "MiDaS and Sobel", label="normal_midas",
        a=Slider("Normal Background Threshold", 0, 1, 0.01, 0.4),
    ),
    _module(
        "normal_dsine", "NormalMap", "DSINE", a=Slider("Fov", 0, 360, 0.1, 60), b=Slider("Iterations",
        1, 20, 1, 5)
    ),
    _module("openpose", "OpenPose", "OpenPose body"),
    _module("openpose_hand", "OpenPose", "OpenPose body and hands"),
    _module("openpose_face", "OpenPose", "OpenPose body and face"),
    _module("openpose_faceonly", "OpenPose", "OpenPose face"),
    _module("openpose_full", "OpenPose", "OpenPose body, hands and face"),
    _module("dw_openpose_full", "OpenPose", "YOLOX and DWPose"),
    _module("animal_openpose", "OpenPose", "RTMPose AP10K"),
    _module("densepose", "OpenPose", "DensePose, viridis", label="densepose (pruple bg & purple torso)"),
    _module(
        "densepose_parula", "OpenPose", "DensePose, parula", label="densepose_parula (black bg & blue torso)",
    ),
    _module("segmentation", "Segmentation", "UniFormer ADE20K", label="seg_ufade20k"),
    _module("oneformer_ade20k", "Segmentation", "OneFormer ADE20K", label="seg_ofade20k"),
    _module("oneformer_coco", "Segmentation", "OneFormer COCO", label="seg_ofcoco"),
    _module("anime_face_segment", "Segmentation", "anime face U-Net", label="seg_anime_face"),
    _module("mobile_sam", "Segmentation", "MobileSAM"),
    _module(
        "mediapipe_face", "", "MediaPipe face mesh", a=Slider("Max Faces", 1, 10, 1, 1),
        b=Slider("Min Face Confidence", 0.01, 1, 0.01, 0.5),
    ),
    _module("shuffle", "Shuffle", "content shuffle", resolution=_hidden("Resolution", 512)),
    _module(
        "tile_resample", "Tile", "the picture made smaller", a=Slider("Down Sampling Rate", 1, 8, 0.01, 1),
        keeps_size=True,
    ),
    _module("tile_colorfix", "Tile", "the picture; works while sampling", a=_VARIATION, keeps_size=True),
    _module(
        "tile_colorfix+sharp", "Tile", "the picture; works while sampling", a=_VARIATION,
        b=Slider("Sharpness", 0, 2, 0.01, 1), keeps_size=True,
    ),
    _module("blur_gaussian", "Tile", "Gaussian blur", a=Slider("Sigma", 0.01, 64, 0.01, 9)),
    _module("recolor_luminance", "Recolor", "L of Lab", a=_GAMMA, keeps_size=True),
    _module("recolor_intensity", "Recolor", "V of HSV", a=_GAMMA, keeps_size=True),
    _module(
        "inpaint", "Inpaint", "picture and mask", label="inpaint_global_harmonious",
        resolution=_NO_RESOLUTION,
        returns="inpaint", needs_mask=True, keeps_size=True,
    ),
    _module(
        "inpaint_only", "Inpaint", "picture and mask", resolution=_NO_RESOLUTION, returns="inpaint",
        needs_mask=True, keeps_size=True,
    ),
    _module(
        "inpaint_only+lama", "Inpaint", "LaMa fills the mask", resolution=_NO_RESOLUTION, returns="inpaint",
        needs_mask=True, keeps_size=True,
    ),
    _module("reference_only", "Reference", "attention", a=_FIDELITY, model_free=True, keeps_size=True),
    _module("reference_adain", "Reference", "adaptive norm", a=_FIDELITY, model_free=True, keeps_size=True),
    _module(
        "reference_adain+attn", "Reference", "adaptive norm and attention", a=_FIDELITY, model_free=True,
        keeps_size=True,
    ),
    _module(
        "revision_clipvision", "Revision", "CLIP bigG", a=_NOISE, returns="embedding", model_free=True,
        has_control_mode=False,
    ),
    _module(
        "revision_ignore_prompt", "Revision", "CLIP bigG", a=_NOISE, returns="embedding", model_free=True,
        has_control_mode=False,
    ),
    _module("color", "T2I-Adapter", "blocks of colour", label="t2ia_color_grid"),
    _module("pidinet_sketch", "T2I-Adapter", "PiDiNet, black and white", label="t2ia_sketch_pidi"),
    _module(
        "clip_vision", "T2I-Adapter", "CLIP ViT-L", label="t2ia_style_clipvision", returns="embedding",
        has_control_mode=False,
    ),
    _module(
        "ip-adapter-auto", "IP-Adapter", "chosen by the model's name", returns="embedding",
        has_control_mode=False
    ),
    _module(
        "ip-adapter_clip_sd15", "IP-Adapter", "CLIP ViT-H", label="ip-adapter_clip_h", returns="embedding",
        has_control_mode=False,
    ),
    _module(
        "ip-adapter_clip_sdxl", "IP-Adapter", "CLIP bigG", label="ip-adapter_clip_g", returns="embedding",
        has_control_mode=False,
    ),
    _module(
        "ip-adapter_clip_sdxl_plus_vith", "IP-Adapter", "CLIP ViT-H", returns="embedding",
        has_control_mode=False
    ),
    _module(
        "ip-adapter_face_id", "IP-Adapter", "InsightFace", returns="embedding", has_control_mode=False
    ),
    _module(
        "ip-adapter_face_id_plus", "IP-Adapter", "InsightFace and CLIP", returns="embedding",
        has_control_mode=False,
    ),
    _module(
        "ip-adapter_pulid", "IP-Adapter", "InsightFace, parsed face and EVA-CLIP", resolution=_NO_RESOLUTION,
        returns="embedding",
    ),
    _module("instant_id_face_embedding", "Instant-ID", "InsightFace", returns="embedding"),
    _module("instant_id_face_keypoints", "Instant-ID", "InsightFace, five points"),
    _module("facexlib", "", "face parsing, a helper of PuLID", resolution=_NO_RESOLUTION),
)  # fmt: skip

MODULES: Mapping[str, ModuleSpec] = MappingProxyType({spec.name: spec for spec in _ALL})


def _tag(name: str, default: str, *also: str, model: str = "") -> TagSpec:
    return TagSpec(name, default, also, model)


TAGS: Mapping[str, TagSpec] = MappingProxyType(
    {
        tag.name: tag
        for tag in (
            _tag("Canny", "canny", "union", model="control_v11p_sd15_canny"),
            _tag("Depth", "depth_midas", "union", model="control_v11f1p_sd15_depth"),
            _tag("NormalMap", "normal_bae", "normal", "union", model="control_v11p_sd15_normalbae"),
            _tag("OpenPose", "openpose_full", "densepose", "union", model="control_v11p_sd15_openpose"),
            _tag("MLSD", "mlsd", "union", model="control_v11p_sd15_mlsd"),
            _tag(
                "Lineart", "lineart_standard (from white bg & black line)", "union",
                model="control_v11p_sd15_lineart",
            ),
            _tag("SoftEdge", "softedge_pidinet", "union", model="control_v11p_sd15_softedge"),
            _tag("Scribble", "scribble_pidinet", "sketch", "union", model="control_v11p_sd15_scribble"),
            _tag("Segmentation", "seg_ofade20k", "seg", "union", model="control_v11p_sd15_seg"),
            _tag("Shuffle", "shuffle", model="control_v11e_sd15_shuffle"),
            _tag("Tile", "tile_resample", "blur", "union", model="control_v11f1e_sd15_tile"),
            _tag("Inpaint", "inpaint_only", "union", model="control_v11p_sd15_inpaint"),
            _tag("InstructP2P", "none", "ip2p", model="control_v11e_sd15_ip2p"),
            _tag("Reference", "reference_only"),
            _tag("Recolor", "recolor_luminance", model="ioclab_sd15_recolor"),
            _tag("Revision", "revision_clipvision"),
            _tag(
                "T2I-Adapter", "t2ia_style_clipvision", "t2i_adapter", "t2iadapter", "t2ia",
                model="t2iadapter_*",
            ),
            _tag("IP-Adapter", "ip-adapter-auto", "ip_adapter", "ipadapter", model="ip-adapter_*"),
            _tag(
                "Instant-ID", "instant_id_face_keypoints", "instant_id", "instantid",
                model="control_instant_id",
            ),
            _tag("SparseCtrl", "scribble_pidinet", model="mm_sparsectrl"),
        )
    }
)  # fmt: skip
