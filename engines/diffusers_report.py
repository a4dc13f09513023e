# pyright: basic
"""What this engine does not honour in a request, said field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..a1111.prompt import extract_loras
from .diffusers_pictures import LATENT_UPSCALERS, PICTURE_UPSCALERS
from .types import Info

if TYPE_CHECKING:
    from ..api.request import Request
    from ..controlnet.unit import ControlNetUnit

#: Settings this engine follows; every other one in override_settings is reported.
_SETTINGS = ("CLIP_stop_at_last_layers", "sd_model_checkpoint", "sd_vae")
#: The web UI's own fields of a body that the pack's request does not declare, and why they are left out here.
_WHY: dict[str, str] = {
    "styles": "prompt styles are kept in a web UI, not here",
    "refiner_checkpoint": "there is no refiner here",
    "subseed": "variation seeds are not available here",
    "subseed_strength": "variation seeds are not available here",
    "tiling": "tiling pictures are not available here",
    "script_name": "web-UI scripts do not run here",
}


def request_infos(request: Request) -> list[Info]:
    """What can be said before anything is loaded.

    Every field that is left out or done differently is named; values that ask for nothing (false, null,
    empty) are not worth a line.
    """
    infos = [
        Info(name, "refused", f"Left out: {_WHY.get(name.rsplit('.', 1)[-1], _unknown(name))}.")
        for name, value in request.unknown_fields.items()
        if not _empty(value)
    ]
    infos += [
        Info(
            f"alwayson_scripts.override_settings.{name}",
            "refused",
            "Left out: this engine has no such setting.",
        )
        for name, value in request.override_settings.items()
        if name not in _SETTINGS and not _empty(value)
    ]
    if request.restore_faces:
        infos.append(
            Info("restore_faces", "refused", "Left out: there is no face restoration in this engine.")
        )
    if request.image_cfg_scale is not None:
        infos.append(
            Info(
                "image_cfg_scale", "refused", "Left out: it means something for InstructPix2Pix models only."
            )
        )
    infos += _prompt_infos(request)
    infos += _size_infos(request)
    infos += _pass_infos(request)
    for index, unit in enumerate(request.units):
        infos += _unit_infos(f"alwayson_scripts.controlnet.args[{index}]", unit)
    return infos


def _unknown(name: str) -> str:
    if name.startswith("alwayson_scripts.") and name.count(".") == 1:
        return "this engine has no such script or setting"
    return "this engine does not know the field"


def _empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


def _prompt_infos(request: Request) -> list[Info]:
    found = extract_loras(request.prompt)
    names = [*(lora.name for lora in found.loras), *found.others]
    if not names:
        return []
    return [Info("prompt", "refused", f"Left out: LoRA and other extra networks ({', '.join(names)}).")]


def _size_infos(request: Request) -> list[Info]:
    infos: list[Info] = []
    for name, value in (("width", request.width), ("height", request.height)):
        if value % 8:
            infos.append(Info(name, "approximated", f"{value} is cut to {value // 8 * 8}, a multiple of 8."))
    return infos


def _pass_infos(request: Request) -> list[Info]:
    if request.init_image is None:
        if request.init_mask is not None:
            return [
                Info(
                    "alwayson_scripts.mask_link",
                    "refused",
                    "Left out: a mask needs an init image (image_link).",
                )
            ]
        if request.enable_hr and request.hr_upscaler not in (None, "", *LATENT_UPSCALERS, *PICTURE_UPSCALERS):
            text = (
                f"{request.hr_upscaler!r} needs an upscaling network, which is not here; 'Latent' was used."
            )
            return [Info("hr_upscaler", "refused", text)]
        return []
    if request.enable_hr:
        return [Info("enable_hr", "refused", "Left out: the hires fix exists without an init image only.")]
    return []


def _unit_infos(place: str, unit: ControlNetUnit) -> list[Info]:
    if not unit.enabled:
        return []
    infos = [Info(place, "notice", text) for text in unit.notices]
    if unit.union_control_type.value != "Unknown":
        infos.append(
            Info(f"{place}.union_control_type", "refused", "Left out: union models are not available here.")
        )
    if unit.module == "tile_colorfix+sharp":
        infos.append(
            Info(f"{place}.module", "approximated", "The sharpening of the unconditional part is left out.")
        )
    if unit.ipadapter_input is not None:
        infos.append(
            Info(f"{place}.ipadapter_input", "refused", "Left out: IP-Adapters are not available here.")
        )
    return infos
