"""Which units are other nodes' work, whose, and which of the host's files they mean. Plain data."""

# pyright: basic

from __future__ import annotations

import re

from ..base.errors import InvalidRequest, MissingModel
from ..controlnet.unit import ControlNetUnit
from ..preprocessors.adapter_models import module_for
from .comfy_graph import HostFacts
from .comfy_names import find_name, stem

IP_ADAPTER_PACK = "ComfyUI_IPAdapter_plus"
INSTANT_ID_PACK = "ComfyUI_InstantID"
EMBEDDING, KEYPOINTS = "instant_id_face_embedding", "instant_id_face_keypoints"
FACES = ("ip-adapter_face_id", "ip-adapter_face_id_plus")
#: Modules by the start of their name: what they are, and what runs them on this machine.
ELSEWHERE: tuple[tuple[str, str, str], ...] = (
    ("ip-adapter_pulid", "PuLID", "the node pack PuLID_ComfyUI"),
    ("ip-adapter", "IP-Adapter", f"the node pack {IP_ADAPTER_PACK}"),
    ("instant_id", "InstantID", f"the node pack {INSTANT_ID_PACK}"),
    ("revision", "Revision", "ComfyUI's own CLIPVisionEncode and unCLIPConditioning"),
    ("clip_vision", "the T2I style adapter", "ComfyUI's own CLIPVisionEncode and StyleModelApply"),
)
#: Those that Img Open Generate wires up itself.
RUN_HERE = ("IP-Adapter", "InstantID", "Revision")
#: The node types that each needs.
NODES = {
    "IP-Adapter": ("IPAdapterModelLoader", "IPAdapterAdvanced", "IPAdapterMS"),
    "IP-Adapter FaceID": (
        "IPAdapterModelLoader",
        "IPAdapterInsightFaceLoader",
        "IPAdapterFaceID",
        "IPAdapterMS",
    ),
    "InstantID": (
        "InstantIDModelLoader",
        "InstantIDFaceAnalysis",
        "InstantIDAttentionPatch",
        "ApplyInstantIDControlNet",
    ),
    "Revision": ("CLIPVisionLoader", "CLIPVisionEncode", "unCLIPConditioning"),
}
_FOLDERS = {"IP-Adapter": "ipadapter", "InstantID": "instantid"}


def elsewhere(module: str) -> tuple[str, str] | None:
    """(what it is, what runs it) for a module that is other nodes' work; None for the pack's own."""
    for start, name, owner in ELSEWHERE:
        if module.startswith(start):
            return name, owner
    return None


def owner_of(unit: ControlNetUnit) -> str:
    """What a unit is in the words of `ELSEWHERE` (IP-Adapter, InstantID ...); empty for the pack's own.

    A unit without a module whose model is an InstantID control model is one too: its picture is the map.
    """
    found = elsewhere(unit.module)
    if found is not None:
        return found[0]
    return "InstantID" if unit.module == "none" and "instant" in plain_name(unit.model).lower() else ""


def is_map(unit: ControlNetUnit) -> bool:
    """Whether an InstantID unit is the one with the control model, not the one with the face."""
    return unit.module != EMBEDDING


def own_module(unit: ControlNetUnit) -> str:
    """The module that acts: `ip-adapter-auto` goes by the model's name, or InvalidRequest."""
    return module_for(unit.model) if unit.module == "ip-adapter-auto" else unit.module


def missing_file(unit: ControlNetUnit, host: HostFacts) -> MissingModel | None:
    """The error for a unit's adapter file that the host has not; None if it has, or needs none."""
    if owner_of(unit) not in _FOLDERS:
        return None
    try:
        adapter_file(unit, host)
    except MissingModel as error:
        return error
    return None


def takes_control_model(unit: ControlNetUnit) -> bool:
    """Whether the unit's model is a control model, as other units have."""
    return owner_of(unit) == "" or (owner_of(unit) == "InstantID" and is_map(unit))


def check_model_without_module(unit: ControlNetUnit, place: str) -> None:
    """Refuse an IP-Adapter model in a unit whose module makes a picture. Raises InvalidRequest."""
    name = plain_name(unit.model)
    if re.match(r"ip.?adapter", name, re.IGNORECASE) and not owner_of(unit):
        raise InvalidRequest(
            f"{place}: {name} is an IP-Adapter, but the module {unit.spec.label} makes a picture.",
            "Set module to ip-adapter-auto, or to the ip-adapter module that the model was trained with.",
            field=f"{place}.module",
        )


def plain_name(model: str) -> str:
    """A model's name without folder, extension and hash in brackets."""
    return stem(model.split("[")[0].strip())


def adapter_file(unit: ControlNetUnit, host: HostFacts) -> str:
    """The host's file for an adapter. Raises MissingModel, naming the nearest ones and the folder."""
    owner = owner_of(unit)
    folder, word = _FOLDERS[owner], f"{owner} model"
    if host.models is None:
        return unit.model
    names = host.files.get(folder, ())
    try:
        return find_name(plain_name(unit.model), names, word)
    except MissingModel as error:
        # InstantID publishes its adapter as ip-adapter.bin.
        published = [name for name in names if stem(name).lower() == "ip-adapter"]
        if folder == "instantid" and published and "instant" in unit.model.lower():
            return published[0]
        hint = f"{error.hint} It belongs into ComfyUI's models/{folder} folder."
        raise MissingModel(error.message, hint, **error.details) from None
