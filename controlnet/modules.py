"""The preprocessor modules of sd-webui-controlnet 1.1.455 as data: names, labels, tags, sliders.

A *module* has an internal name (`depth`) and, often, another label that user interfaces show (`depth_midas`);
the web UI's API takes both. How a module's picture is made is the business of the room `preprocessors`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..base.errors import InvalidRequest
from .module_table import MODULES, TAGS, ModuleSpec, Slider, TagSpec

__all__ = [
    "MODULES",
    "TAGS",
    "ModuleSpec",
    "Slider",
    "TagSpec",
    "default_model",
    "effective_sliders",
    "find_module",
    "models_for_tag",
    "modules_for_tag",
]

# Names that older versions and other programs write, each with what it means today.
LEGACY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "None": "none",
        "fake_scribble": "scribble_hed",
        "tile_gaussian": "tile_resample",
        "densepose (purple bg & purple torso)": "densepose",
    }
)

_BY_SPELLING: Mapping[str, ModuleSpec] = MappingProxyType(
    {
        **{legacy: MODULES[name] for legacy, name in LEGACY_NAMES.items()},
        **{spec.label: spec for spec in MODULES.values()},
        **MODULES,
    }
)


def find_module(name: str) -> ModuleSpec:
    """The module with this internal name, label or legacy name. Spelling counts, as in the web UI.

    Raises:
        InvalidRequest: unknown; the nearest names are in the message.
    """
    spec = _BY_SPELLING.get(name)
    if spec is not None:
        return spec
    lower = name.strip().lower()
    parts = [each for each in _BY_SPELLING if len(lower) > 2 and lower in each.lower()][:4]
    near = difflib.get_close_matches(name, _BY_SPELLING, n=4, cutoff=0.5)
    by_case = [each for each in _BY_SPELLING if each.lower() == name.lower()]
    spellings: dict[str, str] = {}  # one for each module, the nearest; those of today rather than legacy ones
    for each in (*by_case, *near, *parts):
        spellings.setdefault(_BY_SPELLING[each].name, LEGACY_NAMES.get(each, each))
    nearest = ", ".join(list(spellings.values())[:6])
    raise InvalidRequest.field(
        "module",
        name,
        "the name of a preprocessor",
        f"Did you mean one of: {nearest}? The case of letters counts."
        if nearest
        else "Use, for example, canny, depth_midas or openpose_full. The case of letters counts.",
    )


def modules_for_tag(tag: str) -> list[ModuleSpec]:
    """The modules listed under a control type; `none` comes first everywhere, and "All" lists everything."""
    if tag == "All":
        return list(MODULES.values())
    find_tag(tag)
    return [MODULES["none"], *(spec for spec in MODULES.values() if tag in spec.tags and spec.name != "none")]


def find_tag(tag: str) -> TagSpec:
    """The control type of this name. Raises InvalidRequest for an unknown one."""
    if tag not in TAGS:
        raise InvalidRequest.field("control type", tag, "one of " + ", ".join(TAGS))
    return TAGS[tag]


def models_for_tag(tag: str, names: Iterable[str]) -> list[str]:
    """The models offered for a control type, "None" first, by what their file names contain."""
    words = [word.lower() for word in (tag, *find_tag(tag).also_matches)]
    return [
        "None",
        *(name for name in names if name != "None" and any(word in name.lower() for word in words)),
    ]


def default_model(tag: str, names: Iterable[str]) -> str:
    """The model chosen for a control type: the first with "11" in its name, else the first, else "None".

    "11" stands for the ControlNet 1.1 family (`control_v11p_sd15_canny [d14c016b]`); hashes do not count.
    """
    offered = models_for_tag(tag, names)[1:]
    for name in offered:
        if "11" in name.split("[", 1)[0]:
            return name
    return offered[0] if offered else "None"


def effective_sliders(
    module: str, processor_res: float = -1, threshold_a: float = -1, threshold_b: float = -1
) -> tuple[float, float, float, list[str]]:
    """What a unit's three numbers become: a value outside the module's range is replaced by its default.

    Returns (processor_res, threshold_a, threshold_b, notices). -1 means "the default" and is never mentioned
    in the notices; neither are sliders that the module does not have (they run from 0 to 1 and are not used).
    Values inside the range are returned as they are, not rounded to the slider's step.
    """
    spec = find_module(module)
    notices: list[str] = []
    used: list[float] = []
    fields = (
        ("processor_res", spec.resolution, processor_res),
        ("threshold_a", spec.threshold_a, threshold_a),
        ("threshold_b", spec.threshold_b, threshold_b),
    )
    for field, slider, value in fields:
        if math.isfinite(value) and slider.minimum <= value <= slider.maximum:
            used.append(value)
            continue
        used.append(slider.default)
        if slider.visible and value != -1:
            notices.append(
                f"{field} {value:g} is outside {slider.minimum:g} to {slider.maximum:g} ({slider.label} of "
                f"{spec.label}): the default {slider.default:g} is used."
            )
    return used[0], used[1], used[2], notices
