"""What the graph engine honours of a request, parameter by parameter."""

# pyright: basic

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..a1111.prompt import extract_loras
from ..a1111.samplers import SamplerSpec
from .comfy_graph import Graph, HostFacts
from .comfy_passes import LATENT_UPSCALERS, can_restore_faces
from .comfy_units import unit_place
from .types import Info

if TYPE_CHECKING:
    from ..api.request import Request

#: Settings that are followed; every other one in override_settings is reported.
SETTINGS = (
    "CLIP_stop_at_last_layers",
    "sd_model_checkpoint",
    "sd_vae",
    "eta_noise_seed_delta",
    "randn_source",
)
#: Fields of the web UI that the pack's request does not declare and this engine follows.
EXTRA_FIELDS = ("subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h")
_WHY = {
    "styles": "prompt styles are kept in a web UI, not here",
    "refiner_checkpoint": "there is no refiner here",
    "tiling": "tiling pictures are not available here",
    "script_name": "web-UI scripts do not run here",
    "ADetailer": "the plug-in is a web UI's; ComfyUI has detailer packs of its own",
}
_SAMPLERS = {
    "DPM adaptive": "it decides by itself how many steps it makes",
    "LCM": "it is for models that were distilled for it, or have such a LoRA",
}
_TREES = ("DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE")


def report_fields(graph: Graph, request: Request, host: HostFacts, spec: SamplerSpec) -> None:
    """Say everything that can be said before anything runs."""
    for name, value in request.unknown_fields.items():
        if not _empty(value) and name not in EXTRA_FIELDS:
            last = name.rsplit(".", 1)[-1]
            graph.say(name, "refused", f"Left out: {_WHY.get(last, 'this engine does not know the field')}.")
    for name, value in request.override_settings.items():
        if name not in SETTINGS and not _empty(value):
            graph.say(
                f"alwayson_scripts.override_settings.{name}", "refused", "Left out: there is no such setting."
            )
    if spec.base in _SAMPLERS:
        graph.say("sampler_index", "notice", f"{spec.name}: {_SAMPLERS[spec.base]}.")
    source = str(request.override_settings.get("randn_source") or "cpu").lower()
    if spec.base in _TREES and source != "cpu":
        graph.say(
            "alwayson_scripts.override_settings.randn_source",
            "approximated",
            f"{spec.name}: the noise of its steps is drawn by the CPU.",
        )
    if request.restore_faces and not can_restore_faces(host):
        graph.say(
            "restore_faces",
            "refused",
            "Left out: it needs the node pack facerestore_cf (mav-rik), and a CodeFormer or GFPGAN file in "
            "models/facerestore_models.",
        )
    if request.image_cfg_scale is not None:
        graph.say(
            "image_cfg_scale", "refused", "Left out: it means something for InstructPix2Pix models only."
        )
    others = extract_loras(request.prompt).others
    if others:
        graph.say(
            "prompt", "refused", f"Left out: {', '.join(others)}; of extra networks only LoRA is known."
        )
    for name, value in (("width", request.width), ("height", request.height)):
        if value % 8:
            graph.say(name, "approximated", f"{value} is cut to {value // 8 * 8}, a multiple of 8.")
    _report_passes(graph, request)
    for index, unit in enumerate(request.units):
        if unit.enabled and unit.ipadapter_input is not None:
            graph.say(
                f"{unit_place(index)}.ipadapter_input",
                "refused",
                "Left out: the nodes of IP-Adapter make the embedding from the picture.",
            )


def _report_passes(graph: Graph, request: Request) -> None:
    if request.init_image is None:
        if request.init_mask is not None:
            graph.say(
                "alwayson_scripts.mask_link",
                "refused",
                "Left out: a mask needs an init picture (image_link).",
            )
        differs = LATENT_UPSCALERS.get(request.hr_upscaler or "Latent", ("", ""))[1]
        if request.enable_hr and differs:
            graph.say("hr_upscaler", "approximated", f"{request.hr_upscaler} is done {differs}.")
    elif request.enable_hr:
        graph.say("enable_hr", "refused", "Left out: the hires fix exists without an init picture only.")


def _empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


def report_text(request: Request, infos: list[Info]) -> str:
    """One line per parameter that was given: honoured, or what an info says about it."""
    told = {info.field for info in infos}
    lines = [f"{info.verdict}: {info.field}: {info.message}" for info in infos]
    lines += [f"honoured: {name}" for name in _given(request) if name not in told]
    return "\n".join(lines)


def _given(request: Request) -> list[str]:
    """Dotted names of everything the request's body states, units field by field."""
    names: list[str] = []
    for name, value in request.to_wire().items():
        if name != "alwayson_scripts":
            names.append(name)
            continue
        for inner in value or {}:
            place = f"alwayson_scripts.{inner}"
            if inner == "override_settings":
                names += [f"{place}.{setting}" for setting in value[inner] or {}]
            elif inner != request.alwayson_scripts.script_name:
                names.append(place)
    for index, unit in enumerate(request.units):
        names += [f"{unit_place(index)}.{name}" for name in unit.to_wire()] if unit.enabled else []
    return names
