"""Between a request and the payload of the A1111 web UI's `/sdapi/v1/txt2img` and `/sdapi/v1/img2img`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from ..base.errors import InvalidRequest
from ..controlnet.unit import ControlNetUnit
from .problems import Problem
from .request import Request
from .request_fields import BODY, output_format, too_deep
from .request_links import IMAGE_KEYS

# The web UI's API default differs from ours: written out on the way in and out, so that the meaning stays.
WEBUI_STEPS = 50

# Fields of the web UI that change the picture and are not on Img Open's pages, with their neutral values.
KEPT: Mapping[str, tuple[Any, ...]] = {
    "subseed": (-1,),
    "subseed_strength": (0,),
    "seed_resize_from_h": (0, -1),
    "seed_resize_from_w": (0, -1),
    "tiling": (False,),
    "styles": ([],),
    "eta": (),
    "s_min_uncond": (0,),
    "s_churn": (0,),
    "s_tmax": (),
    "s_tmin": (0,),
    "s_noise": (1,),
    "firstphase_width": (0,),
    "firstphase_height": (0,),
    "hr_prompt": ("",),
    "hr_negative_prompt": ("",),
    "hr_sampler_name": ("", "Use same sampler"),
    "hr_scheduler": ("", "Use same scheduler"),
    "hr_checkpoint_name": ("", "Use same checkpoint"),
    "refiner_checkpoint": ("", "None"),
    "refiner_switch_at": (0,),
}
# Fields about what the web UI does with its results; neutral values are dropped without a word.
_DROPPED = frozenset(
    [
        "save_images",
        "send_images",
        "do_not_save_samples",
        "do_not_save_grid",
        "include_init_images",
        "comments",
        "infotext",
        "override_settings_restore_afterwards",
        "disable_extra_networks",
        "script_name",
        "script_args",
    ]
)
_MAPPED = frozenset(
    ["sampler_name", "scheduler", "override_settings", "init_images", "mask", "force_task_id"]
)
_ON_BY_DEFAULT = frozenset(["send_images", "override_settings_restore_afterwards"])
_MARKS = _MAPPED | _DROPPED | frozenset(KEPT)

_SCHEDULES = {
    "karras": "Karras",
    "exponential": "Exponential",
    "polyexponential": "Polyexponential",
    "sgm_uniform": "SGM Uniform",
    "sgm uniform": "SGM Uniform",
    "kl_optimal": "KL Optimal",
    "kl optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps",
    "align your steps": "Align Your Steps",
    "simple": "Simple",
    "normal": "Normal",
    "ddim": "DDIM",
    "beta": "Beta",
}
# What "Automatic" picks since the web UI 1.9.
_AUTOMATIC = {
    **dict.fromkeys(("DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a"), "Karras"),
    **dict.fromkeys(("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"), "Exponential"),
}
_MAGIC = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "UklGR": "image/webp", "R0lGOD": "image/gif"}


def looks_like_webui(payload: Mapping[str, Any]) -> bool:
    """Whether a JSON body is written for the web UI rather than for Img Open."""
    scripts: Any = payload.get("alwayson_scripts")
    inner: Mapping[str, Any] = cast("Mapping[str, Any]", scripts) if isinstance(scripts, Mapping) else {}
    if any(name in inner for name in ("sd_model_checkpoint", "id_task", "image_link", "sd_vae", "mask_link")):
        return False
    return bool(webui_marks(payload))


def webui_marks(payload: Mapping[str, Any]) -> list[str]:
    """The names in a body that only the web UI has."""
    scripts: Any = payload.get("alwayson_scripts")
    inner: Mapping[str, Any] = cast("Mapping[str, Any]", scripts) if isinstance(scripts, Mapping) else {}
    marks = [name for name in payload if name in _MARKS]
    units = [name for name in ("image", "input_image") if any(name in unit for unit in _raw_units(inner))]
    return marks + [f"controlnet.args.{name}" for name in units]


def from_webui(payload: Mapping[str, Any], notices: list[str] | None = None) -> Request:
    """A request from a web-UI payload.

    Args:
        payload: body of txt2img or img2img.
        notices: receives what could not be mapped, or was read in a particular way.

    Raises:
        InvalidRequest: wrong types, or values no engine could use.
    """
    said: list[str] = notices if notices is not None else []
    if too_deep(payload):
        raise InvalidRequest("The payload is nested more than 32 levels deep.", "No field needs that.")
    given = {name: value for name, value in payload.items() if value is not None}
    body: dict[str, Any] = {"steps": WEBUI_STEPS}
    for name, value in given.items():
        if name in BODY and name not in ("alwayson_scripts", "sampler_index"):
            body[name] = _typed(name, value)
    sampler = given.get("sampler_name") or given.get("sampler_index")
    scheduler = given.get("scheduler")
    if sampler is not None:
        if not isinstance(sampler, str):
            raise Problem("sampler_name", sampler, "a text").error()
        body["sampler_index"] = join_schedule(sampler, scheduler, said)
    elif scheduler is not None:
        body["sampler_index"] = join_schedule("Euler", scheduler, said)
    inner = _always_on(given, said)
    if inner:
        body["alwayson_scripts"] = inner
    for name, value in given.items():
        _other_field(name, value, body, said)
    return Request.from_wire(body, notices=said)


def to_webui(request: Request, notices: list[str] | None = None) -> dict[str, Any]:
    """The web UI's payload for a request; `webui_path` says where it goes.

    Pictures keep their form: links that the web UI would not fetch are named in `notices`.
    """
    said: list[str] = notices if notices is not None else []
    wire = request.to_wire()
    payload = {
        name: wire[name]
        for name in wire
        if name in BODY and name != "alwayson_scripts" and wire[name] is not None
    }
    payload["steps"] = request.steps
    if "seed" in payload:
        payload["seed"] = request.seed_number
    if "sampler_index" in payload:
        payload["sampler_name"] = payload.pop("sampler_index")
    _write_settings(request, payload, said)
    if request.init_image:
        payload["init_images"] = [request.init_image]
        if request.init_mask:
            payload["mask"] = request.init_mask
    elif request.init_mask:
        said.append("alwayson_scripts.mask_link: a mask without an init image has no effect; left out.")
    if request.id_task:
        payload["force_task_id"] = request.id_task
    scripts = _write_scripts(request, said)
    if scripts:
        payload["alwayson_scripts"] = scripts
    for name, value in request.unknown().items():
        if name in KEPT:
            payload[name] = value
        elif value is not None:
            said.append(f"{name}: the web UI has no such field; left out.")
    for place, link in request.links():
        if not link.startswith("data:"):
            said.append(f"{place}: the web UI takes pictures inline; put the picture there as base64.")
    return payload


def webui_path(request: Request) -> str:
    """Which of the two calls takes the payload."""
    return "/sdapi/v1/img2img" if request.init_image else "/sdapi/v1/txt2img"


def join_schedule(sampler: str, scheduler: object, notices: list[str]) -> str:
    """One sampler name from the web UI's two fields (1.9 and later): "DPM++ 2M" + "Karras"."""
    if scheduler is None or scheduler == "":
        return sampler
    if not isinstance(scheduler, str):
        raise Problem("scheduler", scheduler, "a text").error()
    key = scheduler.strip().lower()
    if key == "automatic":
        label = _AUTOMATIC.get(sampler, "")
        if label:
            notices.append(f'scheduler "Automatic" means {label} for {sampler} since the web UI 1.9.')
    elif key == "uniform":
        label = ""
    else:
        label = _SCHEDULES.get(key, scheduler.strip())
    return sampler if not label or sampler.lower().endswith(label.lower()) else f"{sampler} {label}"


def as_link(text: str) -> str:
    """A picture as the web UI carries it, as a link: bare base64 becomes a data URL, all else stays."""
    if len(text) > 60:
        for magic, mime in _MAGIC.items():
            if text.startswith(magic):
                return f"data:{mime};base64,{text}"
    return text


def unit_to_img_open(unit: ControlNetUnit) -> dict[str, Any]:
    """The unit in Img Open's dialect: picture under `image_link`, mask under `mask`."""
    wire = unit.to_wire()
    for name in (*IMAGE_KEYS, "mask", "mask_image"):
        wire.pop(name, None)
    pictures = {"image_link": unit.image, "mask": unit.mask}
    return {**{name: as_link(link) for name, link in pictures.items() if link}, **wire}


def _raw_units(scripts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for name, script in scripts.items():
        args: Any = cast("Mapping[str, Any]", script).get("args") if isinstance(script, Mapping) else None
        if name.lower() == "controlnet" and isinstance(args, list):
            return [row for row in cast("list[Any]", args) if isinstance(row, Mapping)]
    return []


def _typed(name: str, value: Any) -> Any:
    """The web UI takes 0/1 for booleans and the other way round."""
    kind = BODY[name].types[0]
    if kind == "boolean" and type(value) is int and value in (0, 1):
        return value == 1
    if kind == "integer" and isinstance(value, bool):
        return int(value)
    return copy.deepcopy(value)


def _always_on(given: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    """What Img Open keeps inside alwayson_scripts: model, VAE, format, task id, pictures, scripts."""
    inner: dict[str, Any] = {}
    override: Any = given.get("override_settings", {})
    if not isinstance(override, Mapping):
        raise Problem("override_settings", override, "an object").error()
    settings = {
        name: copy.deepcopy(value)
        for name, value in cast("Mapping[str, Any]", override).items()
        if value is not None
    }
    for name in ("sd_model_checkpoint", "sd_vae"):
        if name in settings:
            inner[name] = settings.pop(name)
    form = settings.get("samples_format")
    if isinstance(form, str) and output_format(form):
        inner["output_image_format"] = output_format(settings.pop("samples_format"))
    if settings:
        inner["override_settings"] = settings
    if "force_task_id" in given:
        inner["id_task"] = given["force_task_id"]
    inner.update(_init_pictures(given, said))
    scripts: Any = given.get("alwayson_scripts", {})
    if not isinstance(scripts, Mapping):
        raise Problem("alwayson_scripts", scripts, "an object").error()
    for name, script in cast("Mapping[str, Any]", scripts).items():
        inner[name] = _script(name, script, said) if name.lower() == "controlnet" else copy.deepcopy(script)
    return inner


def _init_pictures(given: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    images: Any = given.get("init_images", [])
    if not isinstance(images, list):
        raise Problem("init_images", images, "a list of pictures").error()
    rows = cast("list[Any]", images)
    for number, row in enumerate(rows):
        if not isinstance(row, str):
            raise Problem(f"init_images[{number}]", row, "base64, a data URL or a link").error()
    if rows:
        found["image_link"] = as_link(rows[0])
    if len(rows) > 1:
        said.append(f"init_images: Img Open takes one picture; {len(rows) - 1} more are left out.")
    mask = given.get("mask")
    if mask is not None:
        if not isinstance(mask, str):
            raise Problem("mask", mask, "base64, a data URL or a link").error()
        found["mask_link"] = as_link(mask)
    return found


def _script(name: str, script: Any, said: list[str]) -> Any:
    """The ControlNet script with units in Img Open's dialect; wrong shapes are left for the request."""
    if not isinstance(script, Mapping):
        return script
    values = {key: copy.deepcopy(value) for key, value in cast("Mapping[str, Any]", script).items()}
    args = values.get("args")
    if not isinstance(args, list):
        return values
    units: list[Any] = []
    for row in cast("list[Any]", args):
        try:
            units.append(unit_to_img_open(ControlNetUnit.from_wire(row)))
        except InvalidRequest:
            units.append(row)  # the request's own check reports it, with its place
    values["args"] = units
    return values


def _other_field(name: str, value: Any, body: dict[str, Any], said: list[str]) -> None:
    """Fields that Img Open's pages do not have: kept where they change the picture, else dropped."""
    if name in KEPT:
        if not any(type(value) is type(neutral) and value == neutral for neutral in _neutral(KEPT[name])):
            body[name] = copy.deepcopy(value)
            said.append(f"{name}: Img Open's page has no such field; kept, an engine that knows it uses it.")
    elif name in _DROPPED:
        if value not in ("", [], {}, False) and not (name in _ON_BY_DEFAULT and value is True):
            said.append(f"{name}: about what the web UI does with its results; left out.")
    elif name not in BODY and name not in _MAPPED:
        said.append(f"{name}: not a field of the web UI's API; left out.")


def _neutral(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Neutral numbers as int and float: JSON does not tell them apart, Python's types do."""
    extra = tuple(float(value) for value in values if isinstance(value, int) and not isinstance(value, bool))
    return values + extra


def _write_settings(request: Request, payload: dict[str, Any], said: list[str]) -> None:
    settings = copy.deepcopy(request.override_settings)
    for name, counts in (("sd_model_checkpoint", request.checkpoint), ("sd_vae", request.vae)):
        if settings.get(name) not in (None, "", counts):
            said.append(
                f"alwayson_scripts.override_settings.{name}: the value beside it in alwayson_scripts counts; "
                "this one is left out."
            )
    if request.checkpoint:
        settings["sd_model_checkpoint"] = request.checkpoint
    if request.vae:
        settings["sd_vae"] = request.vae
    if "output_image_format" in request.alwayson_scripts.set_values():
        settings["samples_format"] = request.output_format
    if settings:
        payload["override_settings"] = settings


def _write_scripts(request: Request, said: list[str]) -> dict[str, Any]:
    scripts: dict[str, Any] = {}
    for name, value in request.alwayson_scripts.unknown().items():
        if isinstance(value, Mapping) and "args" in value:
            scripts[name] = copy.deepcopy(cast("dict[str, Any]", value))
        else:
            said.append(f"alwayson_scripts.{name}: not a script of the web UI (it has no args); left out.")
    script = request.alwayson_scripts.controlnet
    place = f"alwayson_scripts.{request.alwayson_scripts.script_name}"
    said += [f"{place}.{name}: the web UI reads only its args; left out." for name in script.unknown()]
    if request.units:
        scripts[request.alwayson_scripts.script_name] = {"args": [unit.to_webui() for unit in request.units]}
    return scripts
