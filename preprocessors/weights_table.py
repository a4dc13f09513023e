"""The annotator weights: which files, where they are published, how large, under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# In half precision at most this share of a map's values may be off by more than so many levels of 255.
HALF_SHARE = 0.003
HALF_LEVELS: Mapping[str, int] = MappingProxyType({"float16": 1, "bfloat16": 2})


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
        sha256: of the published file, where at least two unrelated projects state the same (for lllyasviel's
            Haidra-Org/horde-model-reference and Kosinkadink/Dinkster among others); else what the hub
            declares is checked.
        revision: branch or commit.
        half: the half precisions in which the map stays within `HALF_SHARE` and `HALF_LEVELS`, measured on
            the CPU; networks without any run in float32 everywhere.
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
    half: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether the whole folder is handed to transformers."""
        return bool(self.extra)

    @property
    def link(self) -> str:
        """Where people can look at the files."""
        return f"https://huggingface.co/{self.repo}"


_ANNOTATORS = "lllyasviel/Annotators"
_HANDS = "hr16/ControlNet-HandRefiner-pruned"
_OPENPOSE = "non-commercial use only (OpenPose, Carnegie Mellon University)"
_FOLDER = ("config.json", "(preprocessor_config.json)")
_BUFFALO, _ANTELOPE = "public-data/insightface", "DIAMONIK7777/antelopev2"
_INSIGHTFACE = "InsightFace: non-commercial research only"
_TOKENIZER = ("vocab.json", "merges.txt", "(tokenizer_config.json)", "(special_tokens_map.json)")

_ENTRIES = (
    WeightFile(
        "hed",
        _ANNOTATORS,
        "ControlNetHED.pth",
        29.4,
        "Apache-2.0",
        ("ControlNetHED.safetensors", "ControlNetHED.fp16.safetensors"),
        half=("float16",),
        sha256="5ca93762ffd68a29fee1af9d495bf6aab80ae86f08905fb35472a083a4c7a8fa",
    ),
    WeightFile(
        "pidinet",
        _ANNOTATORS,
        "table5_pidinet.pth",
        2.9,
        "research only (PiDiNet)",
        ("table5_pidinet.safetensors",),
        half=("float16", "bfloat16"),
        sha256="80860ac267258b5f27486e0ef152a211d0b08120f62aeb185a050acc30da486c",
    ),
    WeightFile(
        "mlsd",
        _ANNOTATORS,
        "mlsd_large_512_fp32.pth",
        6.3,
        "Apache-2.0",
        ("mlsd_large_512_fp32.safetensors", "mlsd_large_512.safetensors"),
        sha256="5696f168eb2c30d4374bbfd45436f7415bb4d88da29bea97eea0101520fba082",
    ),
    WeightFile(
        "lineart",
        _ANNOTATORS,
        "sk_model.pth",
        17.2,
        "MIT (informative drawings)",
        half=("float16",),
        sha256="c686ced2a666b4850b4bb6ccf0748031c3eda9f822de73a34b8979970d90f0c6",
    ),
    WeightFile(
        "lineart_coarse",
        _ANNOTATORS,
        "sk_model2.pth",
        17.2,
        "MIT (informative drawings)",
        half=("float16",),
        sha256="30a534781061f34e83bb9406b4335da4ff2616c95d22a585c1245aa8363e74e0",
    ),
    WeightFile(
        "lineart_anime",
        _ANNOTATORS,
        "netG.pth",
        217.7,
        "not stated",
        half=("float16",),
        sha256="ccabdcc3f5cf3c07cf65d58776acb21df7dfda825cdc70c9766a93fd62bfc488",
    ),
    WeightFile(
        "manga_line",
        _ANNOTATORS,
        "erika.pth",
        172.8,
        "MIT (MangaLineExtraction)",
        sha256="badbd6baf013cefbd98993307b02cc14a26c770d067416e4fdecc8720b88feeb",
    ),
    WeightFile(
        "teed",
        "bdsqlsz/qinglong_controlnet-lllite",
        "Annotators/7_model.pth",
        0.25,
        "MIT (TEED)",
        ("7_model.pth",),
        half=("float16",),
        sha256="b9037964149c55156c6adbffdfbd7e8ca7d2ef2a4d90573520efa7f3a1aacf06",
    ),
    WeightFile(
        "mteed",
        "TheMistoAI/MistoLine",
        "Anyline/MTEED.pth",
        0.27,
        "MIT (TEED)",
        half=("float16",),
        sha256="a3c2d8a8ce9422555c787160bd46362d761325a565333c0e3f6a53e0bae2abdb",
    ),
    WeightFile(
        "leres",
        _ANNOTATORS,
        "res101.pth",
        530.8,
        "BSD-2-Clause or academic use, see AdelaiDepth",
        sha256="1d696b2ef3e8336b057d0c15bc82d2fecef821bfebe5ef9d7671a5ec5dde520b",
    ),
    WeightFile(
        "leres_merge", _ANNOTATORS, "latest_net_G.pth", 318.3, "academic use only (BoostingMonocularDepth)"
    ),
    WeightFile(
        "dsine",
        "bdsqlsz/qinglong_controlnet-lllite",
        "Annotators/dsine.pt",
        291.0,
        "non-commercial research only (DSINE, Imperial College London)",
        ("dsine.pt",),
    ),
    WeightFile("openpose_body", _ANNOTATORS, "body_pose_model.pth", 209.3, _OPENPOSE),
    WeightFile("openpose_hand", _ANNOTATORS, "hand_pose_model.pth", 147.3, _OPENPOSE),
    WeightFile("openpose_face", _ANNOTATORS, "facenet.pth", 153.7, _OPENPOSE),
    WeightFile("hand_refiner", _HANDS, "graphormer_hand_state_dict.bin", 856, "MIT (MeshGraphormer)"),
    WeightFile("hand_refiner_backbone", _HANDS, "hrnetv2_w64_imagenet_pretrained.pth", 513, "MIT (HRNet)"),
    WeightFile(
        "normal_bae",
        _ANNOTATORS,
        "scannet.pt",
        291.1,
        "MIT (surface_normal_uncertainty)",
        sha256="03dbf1600c51ee3d45c29f77b77bf1a3b7a24c3452dba62a4ae658f37330c209",
    ),
    WeightFile(
        "uniformer",
        _ANNOTATORS,
        "upernet_global_small.pth",
        206.3,
        "Apache-2.0 (UniFormer)",
        sha256="bebfa1264c10381e389d8065056baaadbdadee8ddc6e36770d1ec339dc84d970",
    ),
    WeightFile(
        "anime_face",
        "bdsqlsz/qinglong_controlnet-lllite",
        "Annotators/UNet.pth",
        6.4,
        "MIT, as sd-webui-controlnet says (Anime-Face-Segmentation)",
        ("UNet.pth",),
    ),
    WeightFile(
        "mobile_sam",
        "dhkim2810/MobileSAM",
        "mobile_sam.pt",
        40.7,
        "Apache-2.0 (MobileSAM)",
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    ),
    WeightFile(
        "densepose",
        "LayerNorm/DensePose-TorchScript-with-hint-image",
        "densepose_r50_fpn_dl.torchscript",
        265,
        "CC-BY-SA-3.0 (detectron2's DensePose); a TorchScript program, which is run",
    ),
    WeightFile("lama", _ANNOTATORS, "ControlNetLama.pth", 205.9, "Apache-2.0 (LaMa)"),
    WeightFile(
        "dw_detector",
        "yzd-v/DWPose",
        "yolox_l.onnx",
        216.7,
        "Apache-2.0",
        sha256="7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
    ),
    WeightFile(
        "dw_pose",
        "yzd-v/DWPose",
        "dw-ll_ucoco_384.onnx",
        134.4,
        "Apache-2.0",
        sha256="724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
    ),
    WeightFile(
        "animal_pose",
        "bdsqlsz/qinglong_controlnet-lllite",
        "Annotators/rtmpose-m_simcc-ap10k_pt-aic-coco_210e-256x256-7a041aa1_20230206.onnx",
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
        sha256="a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
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
        sha256="657723e09f46a7c3957df651601029f66b1748afb12b419816330f16ed45d64d",
    ),
    WeightFile(
        "buffalo_detector",
        _BUFFALO,
        "models/buffalo_l/det_10g.onnx",
        16.9,
        _INSIGHTFACE,
        sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
    ),
    WeightFile(
        "buffalo_face",
        _BUFFALO,
        "models/buffalo_l/w600k_r50.onnx",
        174.4,
        _INSIGHTFACE,
        sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
    ),
    WeightFile(
        "antelopev2_detector",
        _ANTELOPE,
        "scrfd_10g_bnkps.onnx",
        16.9,
        _INSIGHTFACE,
        ("insightface/models/antelopev2/scrfd_10g_bnkps.onnx",),
        sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
    ),
    WeightFile(
        "antelopev2_face",
        _ANTELOPE,
        "glintr100.onnx",
        260.7,
        _INSIGHTFACE,
        ("insightface/models/antelopev2/glintr100.onnx",),
        sha256="4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
    ),
    WeightFile("face_finder", "leonelhs/facexlib", "detection_Resnet50_Final.pth", 109.5, "MIT (RetinaFace)"),
    WeightFile(
        "face_parser",
        "leonelhs/facexlib",
        "parsing_bisenet.pth",
        53.3,
        "MIT (face-parsing.PyTorch)",
        sha256="468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
    ),
    WeightFile("eva_clip", "QuanSun/EVA-CLIP", "EVA02_CLIP_L_336_psz14_s6B.pt", 856, "MIT (EVA-CLIP)"),
)

WEIGHTS: Mapping[str, WeightFile] = MappingProxyType({entry.key: entry for entry in _ENTRIES})
