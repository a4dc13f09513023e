"""Under which heading of the help page an input stands.

Short nodes have two groups, wires and settings. The nodes of a whole request and of a unit have so many
settings that they are divided by what they are for.
"""

from __future__ import annotations

from .fields import Field, NodeTable

Titles = tuple[str, str]  # English, Chinese

_WIRES: Titles = ("Wires", "连线")
_SETTINGS: Titles = ("Settings", "设置")
MORE: Titles = ("Further settings", "其他设置")
_MANY = 20  # from so many inputs on settings are divided

_TASK: tuple[Titles, str] = (
    ("Task", "任务"),
    "id_task businessTaskId taskId task_id callbackUrl extra_json deadline run_again",
)
_REQUEST: tuple[tuple[Titles, str], ...] = (
    (("Where it runs", "在哪里运行"), "run_on profile"),
    (
        ("Prompt and model", "提示词与模型"),
        "prompt negative_prompt negativePrompt sd_model_checkpoint sd_vae baseModelCode vaeName",
    ),
    (
        ("Sampling and size", "采样与尺寸"),
        "sampler_index samplerIndex samplerName sampler steps sampleStep cfg_scale promptGuidanceFactor "
        "promptGuideFactor width height seed subSeed subSeedStrength batch_size n_iter iterationCount "
        "singleBatchImageCount initialNoiseHeight initialNoiseWeight tilling",
    ),
    (
        ("Hires fix", "高分辨率修复"),
        "enable_hr hr_scale hr_upscaler hr_second_pass_steps hr_resize_x hr_resize_y "
        "enableHighDefinitionRepair highDefinitionRepairScale highDefinitionRepairEnlarger "
        "highDefinitionRepairPostSteps firstPhaseWidth firstPhaseHeight",
    ),
    (
        ("Image to image", "图生图"),
        "denoising_strength deNoisingStrength resize_mode resizeMode imageResizeScale mask_blur mask_blur_x "
        "mask_blur_y inpainting_fill inpaint_full_res inpaint_full_res_padding inpainting_mask_invert "
        "initial_noise_multiplier image_cfg_scale image_link mask_link sourceImageUrl",
    ),
    _TASK,
)
_UNIT: tuple[tuple[Titles, str], ...] = (
    (("The unit", "单元"), "enabled module model weight resize_mode image_link"),
    (("Preprocessor", "预处理器"), "processor_res threshold_a threshold_b pixel_perfect seed"),
    (
        ("How it acts", "作用方式"),
        "guidance_start guidance_end control_mode window_mode advanced_weighting union_control_type "
        "pulid_mode inpaint_crop_input_image",
    ),
    (
        ("Sizes and hires fix", "尺寸与高分辨率修复"),
        "width height hr_option hr_scale hr_resize_x hr_resize_y",
    ),
)


def group_of(table: NodeTable, field: Field) -> Titles:
    """The heading over an input, in English and Chinese."""
    if field.kind == "socket":
        return _WIRES
    if len(table.inputs) < _MANY:
        return _SETTINGS
    ids = {one.id for one in table.inputs}
    if not ids & {"prompt", "control_mode"}:
        return _SETTINGS
    for titles, names in _REQUEST if "prompt" in ids else _UNIT:
        if field.id in names.split():
            return titles
    return MORE
