"""The body parameters of a request as widgets: those of sd_controlnet, text2image v2, image2image v2."""

from __future__ import annotations

from .fields import Field, combo, integer, line, number, switch, text

# The page's own list first, in its order; then names of the web UI that a gateway may know as well.
SAMPLERS = (
    "Euler a",
    "Euler",
    "LMS",
    "Heun",
    "DPM2",
    "DPM2 a",
    "DPM++ 2S a",
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM fast",
    "DPM adaptive",
    "LMS Karras",
    "DPM2 Karras",
    "DPM2 a Karras",
    "DPM++ 2S a Karras",
    "DPM++ SDE Karras",
    "DPM++ 2M Karras",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Karras",
    "DDIM",
    "PLMS",
    "UniPC",
)
REQUEST_RESIZE_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill", "Just Resize (latent upscale)")
FILL_MODES = ("fill", "original", "latent noise", "latent nothing")
MASK_MODES = ("repaint masked", "repaint not masked")
FORMATS = ("png", "jpg")

REQUEST: tuple[Field, ...] = (
    text("prompt", "What to paint. Web-UI syntax: (word:1.2) is stronger, [word] weaker.", required=True),
    text("negative_prompt", "What to keep out of the picture."),
    line(
        "sd_model_checkpoint",
        "Checkpoint. On this machine a file by its name, stem or hash; on a server as its model list spells "
        "it (our gateway's own is `demo`).",
    ),
    line("sd_vae", "File name of the VAE. Empty: the one inside the checkpoint."),
    combo("sampler_index", SAMPLERS, "DPM++ 2M Karras", "Sampler, by the web UI's name."),
    integer("steps", 20, 1, 150, "Sampling steps."),
    number("cfg_scale", 7.0, 1.0, 30.0, "How strictly the prompt is followed; 7 to 11 is usual.", step=0.5),
    integer("width", 512, 64, 4096, "Width in pixels. The cloud takes 128 to 1024 in steps of 8.", step=8),
    integer("height", 512, 64, 4096, "Height in pixels. The cloud takes 128 to 1024 in steps of 8.", step=8),
    integer(
        "seed",
        -1,
        -1,
        4294967295,
        "Seed of the first picture, the next ones count up. -1: drawn at random; on this machine anew at "
        "every run, on a server once, and the unchanged node then keeps its picture until run_again changes. "
        "The seeds output says what was used.",
    ),
    integer("batch_size", 1, 1, 64, "Pictures per batch. On the cloud every picture is paid."),
    integer("n_iter", 1, 1, 64, "Number of batches; batch_size x n_iter pictures in all."),
    number(
        "denoising_strength",
        0.75,
        0.0,
        1.0,
        "How much is painted anew, 0 to 1: of the init picture, or of the first pass in a hires fix.",
    ),
    switch("enable_hr", False, "Hires fix: a second pass at a larger size."),
    number(
        "hr_scale",
        2.0,
        1.0,
        4.0,
        "Hires fix: factor of enlargement. Not used when hr_resize_x or hr_resize_y is.",
        step=0.05,
    ),
    line("hr_upscaler", "Hires fix: upscaler name, such as Latent. Empty: the server's choice."),
    integer("hr_second_pass_steps", 0, 0, 150, "Hires fix: steps of the second pass. 0: as many as steps."),
    integer("hr_resize_x", 0, 0, 8192, "Hires fix: width after it, in pixels. 0: from hr_scale.", step=8),
    integer("hr_resize_y", 0, 0, 8192, "Hires fix: height after it, in pixels. 0: from hr_scale.", step=8),
    combo(
        "resize_mode",
        REQUEST_RESIZE_MODES,
        "Crop and Resize",
        "How the init picture is brought to width x height.",
    ),
    integer("mask_blur", 4, 0, 64, "Blur of the mask's edge in pixels."),
    integer("mask_blur_x", -1, -1, 64, "Horizontal blur in pixels, instead of mask_blur. -1: as mask_blur."),
    integer("mask_blur_y", -1, -1, 64, "Vertical blur in pixels, instead of mask_blur. -1: as mask_blur."),
    combo("inpainting_fill", FILL_MODES, "fill", "What lies under the mask before painting begins."),
    switch(
        "inpaint_full_res", True, "On: paint only the masked region, at full size. Off: the whole picture."
    ),
    integer("inpaint_full_res_padding", 0, 0, 512, "Only masked: pixels around the masked region."),
    combo("inpainting_mask_invert", MASK_MODES, "repaint masked", "Which side of the mask is repainted."),
    number("initial_noise_multiplier", 1.0, 0.0, 1.5, "Strength of the noise laid over the init picture."),
    number(
        "image_cfg_scale",
        0.0,
        0.0,
        30.0,
        "Picture guidance of instruct-pix2pix models. 0: not sent.",
        step=0.1,
    ),
    switch("restore_faces", False, "Repair faces afterwards."),
    integer(
        "clip_skip", 0, 0, 12, "CLIP_stop_at_last_layers: 1 uses all layers, 2 skips the last. 0: not sent."
    ),
    text("override_settings", "Further web-UI settings for this request, as a JSON object."),
    text("ADetailer", "Settings of the ADetailer plug-in, as a JSON object."),
    combo("output_image_format", FORMATS, "png", "File format of the result. png keeps every pixel."),
    line("image_link", "Link of the init picture (http, https or data URL), instead of a wired init_image."),
    line("mask_link", "Link of the mask, white = repaint, instead of a wired init_mask."),
    line(
        "id_task",
        "The task's own id. Empty: one is made for every new request; an unchanged request keeps its task.",
    ),
    text(
        "extra_json",
        "Further body fields as a JSON object, laid over the widgets (JSON merge patch: null removes a "
        "field).",
    ),
)
