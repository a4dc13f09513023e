"""From widget values to the API's JSON: one unit, and the body of a request. Plain data, no ComfyUI."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..base.errors import InvalidRequest
from .request_fields import FILL_MODES, FORMATS, MASK_MODES, REQUEST_RESIZE_MODES
from .unit_fields import CONTROL_MODES, HR_OPTIONS, PULID_MODES, RESIZE_MODES, UNION_TYPES, WINDOW_MODES

_UNIT_CHOICES: dict[str, tuple[str, ...]] = {
    "resize_mode": RESIZE_MODES,
    "control_mode": CONTROL_MODES,
    "window_mode": WINDOW_MODES,
    "hr_option": HR_OPTIONS,
    "union_control_type": UNION_TYPES,
    "pulid_mode": PULID_MODES,
}
# The page's own unit fields, always sent; the ones below only when they differ from the API's default.
_UNIT_ALWAYS = (
    "enabled",
    "module",
    "model",
    "weight",
    "resize_mode",
    "low_vram",
    "processor_res",
    "threshold_a",
    "threshold_b",
    "guidance_start",
    "guidance_end",
    "pixel_perfect",
    "control_mode",
)
_UNIT_UNLESS: dict[str, Any] = {
    "hr_option": "Both",
    "inpaint_crop_input_image": True,
    "save_detected_map": True,
    "union_control_type": "Unknown",
    "pulid_mode": "Fidelity",
}
_ALWAYS = (
    "prompt",
    "negative_prompt",
    "steps",
    "cfg_scale",
    "width",
    "height",
    "seed",
    "batch_size",
    "n_iter",
    "sampler_index",
    "denoising_strength",
    "enable_hr",
    "restore_faces",
)
_MASK = ("mask_blur", "inpaint_full_res", "inpaint_full_res_padding")


def unit_body(values: Mapping[str, Any]) -> dict[str, Any]:
    """One unit in the API's words, without its pictures (the caller adds `image_link` and `mask`).

    Values that mean "not given" (-1 of a slider, an empty model) are left out. `extra_json` is laid over
    the result.

    Raises:
        InvalidRequest: a choice that does not exist, or a text that is not what its field wants.
    """
    for name, choices in _UNIT_CHOICES.items():
        check_choice(name, values[name], choices)
    body: dict[str, Any] = {name: _plain(values, name) for name in _UNIT_ALWAYS}
    for name in ("processor_res", "threshold_a", "threshold_b"):
        if body[name] == -1:
            del body[name]
    if not body["model"]:
        del body["model"]
    body.update({name: values[name] for name, usual in _UNIT_UNLESS.items() if values[name] != usual})
    if str(values["advanced_weighting"]).strip():
        body["advanced_weighting"] = numbers("advanced_weighting", values["advanced_weighting"])
    if str(values["image_link"]).strip():
        body["image_link"] = str(values["image_link"]).strip()
    return merge_patch(body, json_object("extra_json", values["extra_json"]))


def request_body(
    values: Mapping[str, Any],
    *,
    init_image: str = "",
    init_mask: str = "",
    units: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    """The body of one request in the API's words.

    Parameters that cannot matter are left out: hires ones without hires fix, those of image to image
    without an init picture, those of inpainting without a mask. `extra_json` is laid over the result at last.

    Args:
        values: the widgets of `request_fields.REQUEST`.
        init_image, init_mask: links of the wired pictures; empty when the widgets' links count.
        units: complete unit bodies.

    Raises:
        InvalidRequest: see `unit_body`; also a mask without a picture, a picture both wired and linked.
    """
    image = _one_of("init_image", init_image, "image_link", values["image_link"])
    mask = _one_of("init_mask", init_mask, "mask_link", values["mask_link"])
    if mask and not image:
        raise InvalidRequest(
            "There is a mask, but no init picture it belongs to.", "Wire init_image, or take the mask away."
        )
    body: dict[str, Any] = {name: _plain(values, name) for name in _ALWAYS}
    body["resize_mode"] = index("resize_mode", values["resize_mode"], REQUEST_RESIZE_MODES)
    if values["enable_hr"]:
        body.update(_hires(values))
    if image:
        body["initial_noise_multiplier"] = _plain(values, "initial_noise_multiplier")
        if values["image_cfg_scale"] > 0:
            body["image_cfg_scale"] = _plain(values, "image_cfg_scale")
    if mask:
        body.update(_inpaint(values))
    body["alwayson_scripts"] = _always_on(values, image, mask, units)
    return merge_patch(body, json_object("extra_json", values["extra_json"]))


def _hires(values: Mapping[str, Any]) -> dict[str, Any]:
    body = {name: _plain(values, name) for name in ("hr_scale", "hr_second_pass_steps")}
    if values["hr_upscaler"].strip():
        body["hr_upscaler"] = values["hr_upscaler"].strip()
    body.update({name: values[name] for name in ("hr_resize_x", "hr_resize_y") if values[name]})
    return body


def _inpaint(values: Mapping[str, Any]) -> dict[str, Any]:
    body = {name: values[name] for name in _MASK}
    body.update({name: values[name] for name in ("mask_blur_x", "mask_blur_y") if values[name] >= 0})
    body["inpainting_fill"] = index("inpainting_fill", values["inpainting_fill"], FILL_MODES)
    body["inpainting_mask_invert"] = index(
        "inpainting_mask_invert", values["inpainting_mask_invert"], MASK_MODES
    )
    return body


def _always_on(
    values: Mapping[str, Any], image: str, mask: str, units: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    check_choice("output_image_format", values["output_image_format"], FORMATS)
    scripts: dict[str, Any] = {"output_image_format": values["output_image_format"]}
    for name in ("sd_model_checkpoint", "sd_vae", "id_task"):
        if values[name].strip():
            scripts[name] = values[name].strip()
    settings = json_object("override_settings", values["override_settings"])
    if values["clip_skip"]:
        settings["CLIP_stop_at_last_layers"] = values["clip_skip"]
    if settings:
        scripts["override_settings"] = settings
    detailer = json_object("ADetailer", values["ADetailer"])
    if detailer:
        scripts["ADetailer"] = detailer
    if image:
        scripts["image_link"] = image
    if mask:
        scripts["mask_link"] = mask
    if units:
        scripts["controlnet"] = {"args": [dict(unit) for unit in units]}
    return scripts


def _one_of(wire: str, wired: str, widget: str, link: str) -> str:
    link = str(link).strip()
    if wired and link:
        raise InvalidRequest(
            f"{wire} is wired and {widget} is filled in: two pictures for one place.", "Keep one of the two."
        )
    return wired or link


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """The host does not check combos: an API prompt, or an older workflow, may hold anything."""
    if value not in choices:
        raise InvalidRequest.field(name, value, "one of " + ", ".join(choices))


def index(name: str, value: str, choices: tuple[str, ...]) -> int:
    """The number the API wants for a choice."""
    check_choice(name, value, choices)
    return choices.index(value)


def numbers(name: str, value: str) -> list[float]:
    """Numbers separated by commas, semicolons or spaces."""
    try:
        found = [float(part) for part in str(value).replace(",", " ").replace(";", " ").split()]
    except ValueError:
        raise InvalidRequest.field(name, value, "numbers separated by commas") from None
    if not all(math.isfinite(one) for one in found):
        raise InvalidRequest.field(name, value, "finite numbers separated by commas")
    return found


def json_object(name: str, value: str) -> dict[str, Any]:
    """The JSON object in a text widget; empty text is an empty object."""
    if not str(value).strip():
        return {}
    try:
        found = json.loads(value)
    except ValueError as error:
        raise InvalidRequest(f"{name} is not JSON: {error}.", 'Write an object such as {"key": 1}.') from None
    if not isinstance(found, dict):
        raise InvalidRequest.field(name, value, "a JSON object")
    return found


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396): objects are merged, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _plain(values: Mapping[str, Any], name: str) -> Any:
    """Whole floats as integers, as people write them in JSON; the rest as it is. Refuses NaN and infinity."""
    value = values[name]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidRequest.field(name, value, "a finite number")
        return int(value) if value.is_integer() else value
    return value
