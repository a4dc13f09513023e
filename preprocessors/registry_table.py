"""The table behind `registry.py`: per module the function, weights, packages, licences and remarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..controlnet.modules import MODULES, ModuleSpec

Kind = Literal["frame", "batch", "inpaint", "embedding"]


@dataclass(frozen=True)
class Preprocessor:
    """How one module is made.

    Attributes:
        name: the module's internal name.
        kind: `frame`: a function of one picture; `batch`: of a list of pictures of one size, with a network;
            `inpaint`: of pictures that carry their mask as 4th channel; `embedding`: gives no picture.
        make: `"file:function"` inside this room.
        weights: keys of `weights_table.WEIGHTS`, all needed.
        packages: import names of Python packages beyond what ComfyUI brings.
        code: where the network's code comes from and its licence; empty for the pack's own.
        note: what is special, for people: faults kept for fidelity, what is not exact.
        pixel_bytes: memory of one forward pass per pixel of the working size, a rough upper bound.
        seeded: whether the map depends on the image's seed.
    """

    name: str
    kind: Kind
    make: str = ""
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    code: str = ""
    note: str = ""
    pixel_bytes: int = 2048
    seeded: bool = False

    @property
    def spec(self) -> ModuleSpec:
        """Name, label, tags, sliders."""
        return MODULES[self.name]

    @property
    def cached(self) -> bool:
        """Whether identical calls are answered from the cache: where making is dearer than comparing.

        Not where the estimator depends on what is installed: the answer may change from call to call.
        """
        return self.kind == "batch" and bool(self.weights)

    @property
    def gives_poses(self) -> bool:
        """Whether there is an OpenPose JSON behind its map."""
        return self.make.startswith("pose_modules:")


_AUX = "controlnet-aux 0.0.10, Apache-2.0"
_TRANSFORMERS = "transformers, Apache-2.0"
_BUFFALO, _ANTELOPE = ("buffalo_detector", "buffalo_face"), ("antelopev2_detector", "antelopev2_face")
_FACES = "Networks of InsightFace, for non-commercial research only"
_IN_SAMPLER = "The picture itself; the work is done while sampling."
_IDENTITY = "The picture itself."


def _frame(name: str, function: str, note: str = "") -> Preprocessor:
    return Preprocessor(name, "frame", f"free:{function}", note=note)


def _aux(name: str, make: str, *weights: str, note: str = "", pixel_bytes: int = 2048) -> Preprocessor:
    return Preprocessor(name, "batch", make, weights, ("controlnet_aux",), _AUX, note, pixel_bytes)


def _hub(name: str, make: str, *weights: str, note: str = "", pixel_bytes: int = 4096) -> Preprocessor:
    return Preprocessor(name, "batch", make, weights, ("transformers",), _TRANSFORMERS, note, pixel_bytes)


_ENTRIES = (
    _frame("none", "identity", _IDENTITY),
    _frame("canny", "canny"),
    _frame("invert", "invert"),
    _frame("threshold", "threshold"),
    _frame(
        "scribble_xdog",
        "scribble_xdog",
        "The original's uint8 overflow above 127 is kept: it shapes the map.",
    ),
    _aux("scribble_hed", "soft_edges:scribble_hed", "hed"),
    _aux("pidinet_scribble", "soft_edges:pidinet_scribble", "pidinet"),
    _aux("hed", "soft_edges:hed", "hed"),
    _aux("hed_safe", "soft_edges:hed_safe", "hed", note="Three gray levels."),
    _aux("pidinet", "soft_edges:pidinet", "pidinet", note="Red and blue are swapped before the network."),
    _aux(
        "pidinet_safe",
        "soft_edges:pidinet_safe",
        "pidinet",
        note="Red and blue are swapped before the network.",
    ),
    _aux("softedge_teed", "soft_edges:teed", "teed"),
    _aux(
        "softedge_anyline",
        "soft_edges:anyline",
        "mteed",
        note="In effect the TEED map alone, as in the original. Where the original raises (a resolution that "
        "is no multiple of 64) this pack gives the map.",
    ),
    _aux("lineart", "lines:lineart", "lineart"),
    _aux("lineart_coarse", "lines:lineart_coarse", "lineart_coarse"),
    _aux("lineart_anime", "lines:lineart_anime", "lineart_anime"),
    Preprocessor(
        "lineart_anime_denoise",
        "batch",
        "lines:lineart_anime_denoise",
        ("manga_line",),
        note="Network definition of our own with the published checkpoint's parameter names.",
        pixel_bytes=4096,
    ),
    _frame("lineart_standard", "lineart_standard"),
    _aux("mlsd", "straight_lines:mlsd", "mlsd"),
    _hub("depth", "depth:midas", "midas", note="DPT-hybrid from transformers, not the original's own copy."),
    _hub("depth_zoe", "depth:zoe", "zoe", note="ZoeDepth from transformers, not the original's own copy."),
    _aux("depth_leres", "depth_leres:leres", "leres"),
    _aux(
        "depth_leres++",
        "depth_leres:leres_boosted",
        "leres",
        "leres_merge",
        note="The merge network's weights are for academic use only. Where the original raises (a working "
        "size below about 150 pixels) this pack gives the map.",
    ),
    _hub(
        "depth_anything",
        "depth:depth_anything",
        "depth_anything",
        note="Red and blue are swapped before the network.",
    ),
    _hub(
        "depth_anything_v2",
        "depth:depth_anything_v2",
        "depth_anything_v2",
        note="Red and blue are swapped before the network.",
    ),
    Preprocessor(
        "depth_hand_refiner",
        "batch",
        "hands:hand_refiner",
        ("hand_refiner", "hand_refiner_backbone"),
        ("hand_refiner",),
        "handrefinerportable (MeshGraphormer, MIT; MANO hand model: non-commercial use only)",
        "A picture without hands gives a black map and a note.",
    ),
    _aux("normal_bae", "normals:normal_bae", "normal_bae"),
    _hub("normal_map", "normals:normal_midas", "midas", note="Channels in BGR order, as in the original."),
    _aux(
        "normal_dsine",
        "normals:normal_dsine",
        "dsine",
        note="Weights for non-commercial research only. Network definition of our own with their parameter "
        "names, the encoder from controlnet-aux. As in the original, the camera is that of the picture "
        "before it is resized, and a picture smaller than processor_res, or with sides that are no multiples "
        "of 32, gives less than the whole map.",
    ),
    Preprocessor(
        "openpose",
        "batch",
        "pose_modules:openpose",
        packages=("onnxruntime",),
        code="MoveNet MultiPose (Apache-2.0), DWPose (Apache-2.0)",
        note="DWPose where its weights are found, else the MoveNet network that comes with the pack. "
        "OpenPose's own networks are for non-commercial use: only with the estimator openpose "
        "(non-commercial).",
    ),
    *(
        Preprocessor(
            name,
            "batch",
            f"pose_modules:{name}",
            ("dw_detector", "dw_pose"),
            ("onnxruntime",),
            "DWPose, Apache-2.0",
            "Made by DWPose; OpenPose's own networks are for non-commercial use: only with the estimator "
            "openpose (non-commercial).",
        )
        for name in ("openpose_hand", "openpose_face", "openpose_faceonly", "openpose_full")
    ),
    Preprocessor(
        "dw_openpose_full",
        "batch",
        "pose_modules:openpose_full",
        ("dw_detector", "dw_pose"),
        ("onnxruntime",),
        "DWPose, Apache-2.0",
    ),
    Preprocessor(
        "animal_openpose",
        "batch",
        "pose_modules:animal_openpose",
        ("dw_detector", "animal_pose"),
        ("onnxruntime",),
        "RTMPose, Apache-2.0",
    ),
    *(
        Preprocessor(
            name,
            "batch",
            make,
            ("densepose",),
            code="DensePose, Apache-2.0 (inside the weight file)",
            note="The weight file is TorchScript: it brings the network's program, which is run. One picture "
            "a pass. Needs no torchvision.",
            pixel_bytes=16384,
        )
        for name, make in (("densepose", "densepose:viridis"), ("densepose_parula", "densepose:parula"))
    ),
    _aux(
        "segmentation",
        "segmentation:uniformer_ade20k",
        "uniformer",
        note="Network definition of our own with the published checkpoint's parameter names; red and blue "
        "are swapped before the network. Of controlnet-aux only the colours.",
        pixel_bytes=8192,
    ),
    _hub("oneformer_ade20k", "segmentation:oneformer_ade20k", "oneformer_ade20k"),
    _hub("oneformer_coco", "segmentation:oneformer_coco", "oneformer_coco"),
    Preprocessor(
        "anime_face_segment",
        "batch",
        "segmentation:anime_face",
        ("anime_face",),
        note="Network definition of our own with the published checkpoint's parameter names. It looks at a "
        "short side of 512; at any other processor_res its map is cut as if it were that large, as in the "
        "original.",
    ),
    Preprocessor(
        "mobile_sam",
        "batch",
        "sam:mobile_sam",
        ("mobile_sam",),
        ("controlnet_aux",),
        f"{_AUX} (prompt encoder and mask decoder)",
        "Image encoder of our own with the published checkpoint's parameter names. Colours: numpy's legacy "
        "numbers from the same seed as shuffle's, anew for every picture; the original's may start later in "
        "that row where an earlier unit drew from it. Size in multiples of 64. Without any object an error.",
        pixel_bytes=16384,
        seeded=True,
    ),
    Preprocessor(
        "mediapipe_face",
        "batch",
        "faces:mediapipe_face",
        packages=("controlnet_aux", "mediapipe"),
        code=f"{_AUX}; MediaPipe, Apache-2.0",
        note="The networks come inside mediapipe 0.10.21 and earlier; later versions carry none.",
    ),
    _frame(
        "shuffle",
        "shuffle",
        "Numbers of numpy's legacy generator; with subseed -1 its seed is twice the seed.",
    ),
    _frame("tile_resample", "tile_resample"),
    _frame("tile_colorfix", "identity", _IN_SAMPLER),
    _frame("tile_colorfix+sharp", "identity", _IN_SAMPLER),
    _frame("blur_gaussian", "blur_gaussian"),
    _frame(
        "recolor_luminance",
        "recolor_luminance",
        "Red and blue are swapped in the luminance, as in the original.",
    ),
    _frame("recolor_intensity", "recolor_intensity"),
    Preprocessor("inpaint", "inpaint", "inpaint:identity", note="Picture and mask themselves."),
    Preprocessor("inpaint_only", "inpaint", "inpaint:identity", note="Picture and mask themselves."),
    Preprocessor(
        "inpaint_only+lama",
        "inpaint",
        "inpaint:lama",
        ("lama",),
        ("spandrel",),
        "LaMa in spandrel, MIT (network Apache-2.0)",
        "Filled at a short side of 256.",
    ),
    *(
        _frame(name, "identity", _IN_SAMPLER)
        for name in ("reference_only", "reference_adain", "reference_adain+attn")
    ),
    _frame("color", "color"),
    _aux(
        "pidinet_sketch",
        "soft_edges:pidinet_sketch",
        "pidinet",
        note="Red and blue are swapped before the network.",
    ),
    *(
        Preprocessor(name, "embedding", "embeddings:clip", (weight,), ("transformers",), _TRANSFORMERS)
        for name, weight in (
            ("clip_vision", "clip_l"),
            ("ip-adapter_clip_sd15", "clip_h"),
            ("ip-adapter_clip_sdxl", "clip_g"),
            ("ip-adapter_clip_sdxl_plus_vith", "clip_h"),
            ("revision_clipvision", "clip_g"),
            ("revision_ignore_prompt", "clip_g"),
        )
    ),
    Preprocessor(
        "ip-adapter-auto",
        "embedding",
        "embeddings:auto",
        note="Stands for one of the ip-adapter_* modules, by the published name of the model, and needs what "
        "that module needs.",
    ),
    Preprocessor("ip-adapter_face_id", "embedding", "embeddings:face_id", _BUFFALO, ("onnxruntime",), _FACES),
    Preprocessor(
        "ip-adapter_face_id_plus",
        "embedding",
        "embeddings:face_id_plus",
        (*_BUFFALO, "clip_h"),
        ("onnxruntime", "transformers"),
        f"{_FACES}; {_TRANSFORMERS}",
    ),
    Preprocessor(
        "ip-adapter_pulid",
        "embedding",
        "embeddings:pulid",
        (*_ANTELOPE, "face_finder", "face_parser", "eva_clip"),
        ("onnxruntime", "facexlib", "consisid_eva_clip"),
        f"{_FACES}; facexlib, MIT; consisid_eva_clip, Apache-2.0",
        "The two packages need torchvision.",
    ),
    Preprocessor(
        "instant_id_face_embedding",
        "embedding",
        "embeddings:instant_id",
        _ANTELOPE,
        ("onnxruntime",),
        _FACES,
    ),
    Preprocessor(
        "instant_id_face_keypoints",
        "batch",
        "faces:instant_id_keypoints",
        _ANTELOPE[:1],
        ("onnxruntime",),
        _FACES,
        "The largest face; without a face an error, as in the original.",
    ),
    Preprocessor(
        "facexlib",
        "batch",
        "faces:facexlib",
        ("face_finder", "face_parser"),
        ("facexlib",),
        "facexlib, MIT",
        "The face nearest to the middle, 512 x 512, gray on white; a helper of PuLID. The package needs "
        "torchvision.",
        4096,
    ),
)

PREPROCESSORS: Mapping[str, Preprocessor] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
