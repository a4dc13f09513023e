"""The parameters of a ControlNet unit as widgets, in the order of the API's page, later ones at the end."""

from __future__ import annotations

from .fields import Field, combo, integer, line, number, switch, text

RESIZE_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill")
CONTROL_MODES = ("Balanced", "My prompt is more important", "ControlNet is more important")
HR_OPTIONS = ("Both", "Low res only", "High res only")
WINDOW_MODES = ("steps", "sigma")
UNION_TYPES = (
    "Unknown",
    "OpenPose",
    "Depth",
    "Soft Edge",
    "Hard Edge",
    "Normal Map",
    "Segmentation",
    "Tile",
    "Inpaint",
)
PULID_MODES = ("Fidelity", "Extremely style")


def all_modules() -> list[str]:
    """Every module a unit may name, `none` first, as the web UI and the API's page spell them (internal names
    are understood too). The helper of PuLID is not offered, as in the web UI."""
    from ..controlnet.modules import MODULES

    return ["none", *(spec.label for name, spec in MODULES.items() if name not in ("none", "facexlib"))]


def picture_modules() -> list[str]:
    """The modules that turn a picture into a picture and run on this machine as it is."""
    from ..preprocessors.registry import available, find_preprocessor

    return [
        label
        for label in all_modules()
        if (entry := find_preprocessor(label)).kind in ("frame", "batch")
        and not entry.spec.model_free
        and available(label)[0]
    ]


MODULE_TIP = (
    "Preprocessor that turns the picture into the control image. "
    "none: the picture is the control image already."
)
PROCESSOR_RES = integer(
    "processor_res",
    512,
    -1,
    2048,
    "Short side, in pixels, at which the preprocessor looks at the picture. -1, or a value outside 64-2048: "
    "the module's own default. Modules without this slider ignore it.",
)
THRESHOLD_A = number(
    "threshold_a",
    -1.0,
    -1.0,
    360.0,
    "First slider of the module (canny: low threshold 1-255; tile_resample: down-sampling rate 1-8 ...). "
    "-1, or a value outside the module's range: the module's default.",
)
THRESHOLD_B = number(
    "threshold_b",
    -1.0,
    -1.0,
    360.0,
    "Second slider of the module (canny: high threshold 1-255 ...). -1, or a value outside the module's "
    "range: the module's default.",
)
PIXEL_PERFECT = switch(
    "pixel_perfect",
    False,
    "Compute processor_res from the sizes of the picture and of the generation, so that no detail is lost or "
    "invented. processor_res is then ignored.",
)
RESIZE_MODE = combo(
    "resize_mode",
    RESIZE_MODES,
    "Crop and Resize",
    "How the control image is brought to the size of the generation: stretched, covering with the overhang "
    "cut off, or fitted with the border colour around it.",
)

UNIT: tuple[Field, ...] = (
    switch("enabled", True, "Off: the unit does nothing, and conditioning passes through unchanged."),
    combo("module", all_modules, "none", MODULE_TIP),
    line(
        "model",
        "Name of the control model for the remote side, as its model list spells it. Locally the wired "
        "CONTROL_NET is used and this name is not looked at.",
    ),
    number("weight", 1.0, 0.0, 2.0, "Strength of the control. 0: none.", step=0.05),
    RESIZE_MODE,
    switch(
        "low_vram",
        False,
        "Ask for the slow, memory-saving way. Remote only: on this machine ComfyUI decides what stays in "
        "memory.",
    ),
    PROCESSOR_RES,
    THRESHOLD_A,
    THRESHOLD_B,
    number("guidance_start", 0.0, 0.0, 1.0, "Share of the sampling, 0 to 1, at which the control begins."),
    number("guidance_end", 1.0, 0.0, 1.0, "Share of the sampling, 0 to 1, at which the control ends."),
    PIXEL_PERFECT,
    combo(
        "control_mode",
        CONTROL_MODES,
        "Balanced",
        "Who wins when prompt and control disagree. My prompt: the early layers count less. ControlNet: the "
        "same, and the negative side stays free of the control. As the web UI computes it, layer by layer.",
    ),
    combo(
        "window_mode",
        WINDOW_MODES,
        "steps",
        "How guidance_start and guidance_end are read locally. steps: share of the steps, as the web UI and "
        "the API count, whatever the scheduler. sigma: ComfyUI's percent of the noise schedule. Not sent to "
        "the remote side.",
    ),
    combo(
        "hr_option",
        HR_OPTIONS,
        "Both",
        "With hires fix: in which of the two passes the unit acts. Locally a pass higher than the generation "
        "is the high-res one.",
    ),
    switch(
        "inpaint_crop_input_image",
        True,
        "With an inpaint mask and 'only masked': crop the control picture to the same region.",
    ),
    switch("save_detected_map", True, "Ask the remote side to return this unit's control image too."),
    line(
        "advanced_weighting",
        "One number per residual, separated by commas (13 for SD1.5, 10 for SDXL). Replaces weight. Empty: "
        "not used.",
    ),
    combo(
        "union_control_type",
        UNION_TYPES,
        "Unknown",
        "Which control a union model is to act as. Unknown: what ComfyUI's SetUnionControlNetType set "
        "before, or no type. Other models do not use it.",
    ),
    combo(
        "pulid_mode", PULID_MODES, "Fidelity", "How strictly PuLID keeps the face. Other modules ignore it."
    ),
    line(
        "image_link",
        "Link of the unit's picture (http, https or data URL), instead of a wired image. Neither: the "
        "remote side falls back to the request's own picture.",
    ),
    integer("width", 0, 0, 16384, "Width of the generation in pixels. 0: taken from the latent.", step=8),
    integer("height", 0, 0, 16384, "Height of the generation in pixels. 0: taken from the latent.", step=8),
    text(
        "extra_json",
        "Further unit fields as a JSON object, laid over the widgets (JSON merge patch: null removes a "
        "field). For fields this node has no widget for.",
    ),
)

# What a unit needs to know of the generation around it when it runs on this machine.
UNIT_LOCAL: tuple[Field, ...] = (
    number(
        "hr_scale",
        0.0,
        0.0,
        8.0,
        "Local: factor of the second pass of a hires fix. 0: not stated; the control image is then fitted to "
        "any pass, and one that is higher than the generation counts as the high-res pass.",
        step=0.05,
    ),
    integer(
        "hr_resize_x", 0, 0, 16384, "Local: width of the second pass instead of hr_scale. 0: none.", step=8
    ),
    integer(
        "hr_resize_y", 0, 0, 16384, "Local: height of the second pass instead of hr_scale. 0: none.", step=8
    ),
    integer(
        "seed",
        0,
        0,
        4294967295,
        "Local: image seed, for modules that draw random numbers (shuffle, reference ones). Others ignore "
        "it.",
    ),
)
