"""The annotator weights: which files, where they are published, how large, under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class WeightFile:
    """One weight file, or one folder of a transformers model.

    Attributes:
        key: the name inside this room.
        repo: repository on the Hugging Face hub.
        file: path inside the repository; for a folder the weights file in it.
        megabytes: size of the download, about.
        licence: of the weights, as far as their publisher says.
        also: other file names that hold the same network and are accepted where they lie.
        extra: further files a folder needs; a name in parentheses may be absent.
        sha256: of the published file, where it is known; else what the hub declares is checked.
        revision: branch or commit.
    """

    key: str
    repo: str
    file: str
    megabytes: float
    licence: str
    also: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    sha256: str = ""
    revision: str = "main"

    @property
    def is_folder(self) -> bool:
        """Whether the whole folder is handed to transformers."""
        return bool(self.extra)

    @property
    def link(self) -> str:
        """Where people can look at the files."""
        return f"https://huggingface.co/{self.repo}"


_ANNOTATORS = "lllyasviel/Annotators"
_FOLDER = ("config.json", "(preprocessor_config.json)")
_TOKENIZER = ("vocab.json", "merges.txt", "(tokenizer_config.json)", "(special_tokens_map.json)")

_ENTRIES = (
    WeightFile(
        "hed",
        _ANNOTATORS,
        "ControlNetHED.pth",
        29.4,
        "Apache-2.0",
        ("ControlNetHED.safetensors", "ControlNetHED.fp16.safetensors"),
    ),
    WeightFile(
        "pidinet",
        _ANNOTATORS,
        "table5_pidinet.pth",
        2.9,
        "research only (PiDiNet)",
        ("table5_pidinet.safetensors",),
    ),
    WeightFile(
        "mlsd",
        _ANNOTATORS,
        "mlsd_large_512_fp32.pth",
        6.3,
        "Apache-2.0",
        ("mlsd_large_512_fp32.safetensors", "mlsd_large_512.safetensors"),
    ),
    WeightFile("lineart", _ANNOTATORS, "sk_model.pth", 17.2, "MIT (informative drawings)"),
    WeightFile("lineart_coarse", _ANNOTATORS, "sk_model2.pth", 17.2, "MIT (informative drawings)"),
    WeightFile("lineart_anime", _ANNOTATORS, "netG.pth", 217.7, "not stated"),
    WeightFile("manga_line", _ANNOTATORS, "erika.pth", 172.8, "MIT (MangaLineExtraction)"),
    WeightFile(
        "teed",
        "bdsqlsz/qinglong_controlnet-lllite",
        "Annotators/7_model.pth",
        0.25,
        "MIT (TEED)",
        ("7_model.pth",),
    ),
    WeightFile("mteed", "TheMistoAI/MistoLine", "Anyline/MTEED.pth", 0.27, "MIT (TEED)"),
    WeightFile("leres", _ANNOTATORS, "res101.pth", 530.8, "BSD-2-Clause or academic use, see AdelaiDepth"),
    WeightFile("normal_bae", _ANNOTATORS, "scannet.pt", 291.1, "MIT (surface_normal_uncertainty)"),
    WeightFile("lama", _ANNOTATORS, "ControlNetLama.pth", 205.9, "Apache-2.0 (LaMa)"),
    WeightFile("dw_detector", "yzd-v/DWPose", "yolox_l.onnx", 216.7, "Apache-2.0"),
    WeightFile("dw_pose", "yzd-v/DWPose", "dw-ll_ucoco_384.onnx", 134.4, "Apache-2.0"),
    WeightFile(
        "animal_pose",
        "bdsqlsz/qinglong_controlnet-lllite",
        "Annotators/rtmpose-m_ap10k_256.onnx",
        53.0,
        "Apache-2.0",
        ("rtmpose-m_ap10k_256.onnx",),
    ),
    WeightFile(
        "midas",
        "Intel/dpt-hybrid-midas",
        "pytorch_model.bin",
        490,
        "Apache-2.0",
        ("model.safetensors",),
        _FOLDER,
    ),
    WeightFile(
        "zoe", "Intel/zoedepth-nyu", "model.safetensors", 1380, "MIT", ("pytorch_model.bin",), _FOLDER
    ),
    WeightFile(
        "depth_anything",
        "LiheYoung/depth-anything-large-hf",
        "model.safetensors",
        1341,
        "Apache-2.0",
        ("pytorch_model.bin",),
        _FOLDER,
    ),
    WeightFile(
        "depth_anything_v2",
        "depth-anything/Depth-Anything-V2-Large-hf",
        "model.safetensors",
        1341,
        "CC-BY-NC-4.0 (non-commercial)",
        ("pytorch_model.bin",),
        _FOLDER,
    ),
    WeightFile(
        "oneformer_ade20k",
        "shi-labs/oneformer_ade20k_swin_large",
        "pytorch_model.bin",
        950,
        "MIT",
        ("model.safetensors",),
        _FOLDER + _TOKENIZER,
    ),
    WeightFile(
        "oneformer_coco",
        "shi-labs/oneformer_coco_swin_large",
        "pytorch_model.bin",
        950,
        "MIT",
        ("model.safetensors",),
        _FOLDER + _TOKENIZER,
    ),
    WeightFile(
        "clip_l",
        "openai/clip-vit-large-patch14",
        "model.safetensors",
        1710,
        "MIT",
        ("pytorch_model.bin",),
        _FOLDER,
    ),
    WeightFile(
        "clip_h",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "model.safetensors",
        3944,
        "MIT",
        ("pytorch_model.bin",),
        _FOLDER,
    ),
    WeightFile(
        "clip_g",
        "h94/IP-Adapter",
        "sdxl_models/image_encoder/model.safetensors",
        3690,
        "Apache-2.0 (weights of OpenCLIP bigG: MIT)",
        (),
        ("sdxl_models/image_encoder/config.json",),
    ),
)

WEIGHTS: Mapping[str, WeightFile] = MappingProxyType({entry.key: entry for entry in _ENTRIES})
