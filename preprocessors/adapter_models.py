"""Which module `ip-adapter-auto` stands for: the published IP-Adapter models and what each was trained on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from ..base.errors import InvalidRequest

_CLIP_H, _CLIP_G = "ip-adapter_clip_sd15", "ip-adapter_clip_sdxl"
_FACE, _FACE_PLUS = "ip-adapter_face_id", "ip-adapter_face_id_plus"

#: Model (file name without extension) to module, as sd-webui-controlnet 1.1.455 pairs them.
AUTO_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "ip-adapter_sd15": _CLIP_H,
        "ip-adapter_sd15_light": _CLIP_H,
        "ip-adapter_sd15_light_v11": _CLIP_H,
        "ip-adapter_sd15_vit-G": _CLIP_G,
        "ip-adapter_sd15_plus": _CLIP_H,
        "ip-adapter-plus_sd15": _CLIP_H,
        "ip-adapter_plus_composition_sd15": _CLIP_H,
        "ip-adapter-plus-face_sd15": _CLIP_H,
        "ip-adapter-full-face_sd15": _CLIP_H,
        "ip-adapter-faceid_sd15": _FACE,
        "ip-adapter-faceid-plus_sd15": _FACE_PLUS,
        "ip-adapter-faceid-plusv2_sd15": _FACE_PLUS,
        "ip-adapter-faceid-portrait_sd15": _FACE,
        "ip-adapter-faceid-portrait-v11_sd15": _FACE,
        "ip-adapter_sdxl": _CLIP_G,
        "ip-adapter_sdxl_vit-h": _CLIP_H,
        "ip-adapter-plus_sdxl_vit-h": _CLIP_H,
        "ip-adapter_plus_composition_sdxl": _CLIP_H,
        "ip-adapter-plus-face_sdxl_vit-h": _CLIP_H,
        "ip-adapter-faceid_sdxl": _FACE,
        "ip-adapter-faceid-plusv2_sdxl": _FACE_PLUS,
        "ip-adapter-faceid-portrait_sdxl": _FACE,
        "ip-adapter_pulid_sdxl_fp16": "ip-adapter_pulid",
    }
)
_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".ckpt")


def module_for(model: str) -> str:
    """The module `ip-adapter-auto` means for a model.

    Args:
        model: name as requests write it: with or without folder, extension and hash in brackets.

    Raises:
        InvalidRequest: no model, or none of the published ones; the nearest names are in the text.
    """
    name = model.split("[")[0].strip().replace("\\", "/").rsplit("/", 1)[-1]
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    if name in AUTO_MODULES:
        return AUTO_MODULES[name]
    near = difflib.get_close_matches(name, AUTO_MODULES, n=3, cutoff=0.4) or list(AUTO_MODULES)[:3]
    raise InvalidRequest(
        f"ip-adapter-auto goes by the model's name, and {model!r} is not that of a published IP-Adapter.",
        f"Name the module ({_CLIP_H}, {_CLIP_G}, {_FACE}, {_FACE_PLUS}), or give the file its published "
        f"name, such as {', '.join(near)}.",
        field="module",
    )
