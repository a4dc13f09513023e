"""What no engine could use: types and hard limits of a request's fields.

The published ranges of the cloud are narrower and live in the catalogue; see `request_cloud`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .catalogue_fields import FieldSpec
from .problems import Problem

_LARGEST_SIDE = 16384


def _table(*specs: FieldSpec) -> dict[str, FieldSpec]:
    return {spec.name: spec for spec in specs}


BODY: dict[str, FieldSpec] = _table(
    FieldSpec(name="prompt", type="string"),
    FieldSpec(name="n_iter", type="integer", range=(1, 10000)),
    FieldSpec(name="batch_size", type="integer", range=(1, 1000)),
    FieldSpec(name="steps", type="integer", range=(1, 10000)),
    FieldSpec(name="seed", type="integer|string", range=(-1, 2**63 - 1)),
    FieldSpec(name="restore_faces", type="boolean"),
    FieldSpec(name="enable_hr", type="boolean"),
    FieldSpec(name="hr_scale", type="number", range=(0, 16)),
    FieldSpec(name="width", type="integer", range=(8, _LARGEST_SIDE), unit="px"),
    FieldSpec(name="height", type="integer", range=(8, _LARGEST_SIDE), unit="px"),
    FieldSpec(name="negative_prompt", type="string"),
    FieldSpec(name="cfg_scale", type="number", range=(0, 1000)),
    FieldSpec(name="sampler_index", type="string"),
    FieldSpec(name="hr_second_pass_steps", type="integer", range=(0, 10000)),
    FieldSpec(name="hr_resize_x", type="integer", range=(0, _LARGEST_SIDE), unit="px"),
    FieldSpec(name="hr_resize_y", type="integer", range=(0, _LARGEST_SIDE), unit="px"),
    FieldSpec(name="hr_upscaler", type="string"),
    FieldSpec(name="denoising_strength", type="number", range=(0, 1)),
    FieldSpec(name="resize_mode", type="integer", enum=(0, 1, 2, 3)),
    FieldSpec(name="mask_blur", type="integer", range=(0, 1024), unit="px"),
    FieldSpec(name="mask_blur_x", type="integer", range=(0, 1024), unit="px"),
    FieldSpec(name="mask_blur_y", type="integer", range=(0, 1024), unit="px"),
    FieldSpec(name="inpainting_fill", type="integer", enum=(0, 1, 2, 3)),
    FieldSpec(name="inpaint_full_res", type="boolean"),
    FieldSpec(name="inpaint_full_res_padding", type="integer", range=(0, _LARGEST_SIDE), unit="px"),
    FieldSpec(name="inpainting_mask_invert", type="integer", enum=(0, 1)),
    FieldSpec(name="initial_noise_multiplier", type="number", range=(0, 100)),
    FieldSpec(name="image_cfg_scale", type="number", range=(0, 1000)),
    FieldSpec(name="alwayson_scripts", type="object"),
)

ALWAYS_ON: dict[str, FieldSpec] = _table(
    FieldSpec(name="sd_model_checkpoint", type="string"),
    FieldSpec(name="id_task", type="string"),
    FieldSpec(name="sd_vae", type="string"),
    FieldSpec(name="output_image_format", type="string"),
    FieldSpec(name="image_link", type="string"),
    FieldSpec(name="mask_link", type="string"),
    FieldSpec(name="override_settings", type="object"),
    FieldSpec(name="controlnet", type="object"),
)

CLIP_SKIP = "CLIP_stop_at_last_layers"
_OVERRIDE = _table(
    FieldSpec(name=CLIP_SKIP, type="integer", range=(1, 12)),
    FieldSpec(name="sd_model_checkpoint", type="string"),
    FieldSpec(name="sd_vae", type="string"),
)
_FORMATS = {"jpg": "jpg", "jpeg": "jpg", "png": "png"}


def output_format(text: str) -> str | None:
    """`jpg` or `png` for what output_image_format says (jpeg and upper case too); None for others."""
    return _FORMATS.get(text.strip().lower())


def body_problems(body: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the top level of a body. A blank seed counts as not given."""
    checked = {name: value for name, value in body.items() if not (name == "seed" and value == "")}
    return _check(checked, BODY, "")


def always_on_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the named values of alwayson_scripts; units are not read."""
    place = "alwayson_scripts"
    named = {
        ("controlnet" if name.lower() == "controlnet" else name): value for name, value in values.items()
    }
    found = _check(named, ALWAYS_ON, place)
    form = values.get("output_image_format")
    if isinstance(form, str) and output_format(form) is None:
        found.append(Problem(f"{place}.output_image_format", form, 'one of "jpg", "png"'))
    override = values.get("override_settings")
    if isinstance(override, Mapping):
        found += _check(override, _OVERRIDE, f"{place}.override_settings")  # type: ignore[arg-type]
    return found


def too_deep(value: object, levels: int = 32) -> bool:
    """Whether a JSON value is nested so deeply that it is no request but an attack on recursion."""
    layer: list[object] = [value]
    for _ in range(levels):
        inner: list[object] = []
        for item in layer:
            if isinstance(item, Mapping):
                inner += cast("Mapping[str, object]", item).values()
            elif isinstance(item, list):
                inner += cast("list[object]", item)
        if not inner:
            return False
        layer = inner
    return True


def text_problems(value: object, place: str = "") -> list[Problem]:
    """Texts and names that UTF-8 cannot write (halves of surrogate pairs, from `\\ud800` in JSON)."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            allowed = "text that UTF-8 can write (it holds half a surrogate pair)"
            return [Problem(ascii(place)[1:-1] or "the text", value, allowed)]
        return []
    if isinstance(value, Mapping):
        pairs = list(cast("Mapping[str, object]", value).items())
        names = [found for name, _ in pairs for found in text_problems(str(name), f"the name {name!r}")]
        inner = [
            found
            for name, item in pairs
            for found in text_problems(item, f"{place}.{name}" if place else str(name))
        ]
        return names + inner
    if isinstance(value, list):
        items = enumerate(cast("list[object]", value))
        return [found for number, item in items for found in text_problems(item, f"{place}[{number}]")]
    return []


def whole_numbers(values: Mapping[str, Any], table: Mapping[str, FieldSpec]) -> dict[str, Any]:
    """The same values with 25.0 written as 25 where a whole number is meant (JSON knows only one number)."""
    return {
        name: int(value)
        if isinstance(value, float)
        and name in table
        and table[name].types[0] == "integer"
        and value.is_integer()
        else value
        for name, value in values.items()
    }


def _check(values: Mapping[str, Any], table: Mapping[str, FieldSpec], place: str) -> list[Problem]:
    return [
        problem
        for name, value in values.items()
        if name in table
        for problem in table[name].problems(value, f"{place}.{name}" if place else name)
    ]
