"""The small nodes of the local path as data: what the web UI means where ComfyUI means something else."""

from __future__ import annotations

from .fields import Field, NodeTable, Out, combo, integer, number, socket, switch, text
from .request_fields import FILL_MODES, REQUEST_RESIZE_MODES
from .unit_fields import RESIZE_MODES

EMPHASIS = ("web-ui", "host")
NETWORK_TAGS = ("apply", "drop", "keep")
SOURCES = ("cpu", "nv", "gpu")
RUNS = ("txt2img", "img2img", "hires")
SCHEDULES = ("from the name", "Uniform", "Karras", "Exponential")
REGION_TYPE = "IMGOPEN_REGION"

_WIDTH = integer("width", 512, 8, 16384, "Width in pixels.", step=8)
_HEIGHT = integer("height", 512, 8, 16384, "Height in pixels.", step=8)


def samplers() -> list[str]:
    """The web UI's samplers: ComfyUI runs them all, some of them with code of the pack."""
    from ..a1111.samplers import SAMPLERS

    return list(SAMPLERS)


def _seed(id: str, tooltip: str) -> Field:
    return integer(id, 0, 0, 4294967295, tooltip)


PROMPT = NodeTable(
    id="ImgOpenPrompt",
    title="Web-UI Prompt (Img Open)",
    category="Img Open/Local",
    description="A prompt in the web UI's syntax as conditioning: emphasis, BREAK, AND, prompt editing, "
    "alternation, escapes, LoRA tags and embeddings by bare name.",
    inputs=(
        socket("clip", "CLIP", "The text model.", required=True),
        text(
            "text",
            "The prompt. (word:1.2) is stronger, [word] weaker; weights inside each other multiply. BREAK "
            "starts a new chunk, AND joins two prompts, [from:to:0.5] edits during sampling.",
            required=True,
        ),
        socket("model", "MODEL", "Needed only where the prompt has LoRA tags: the model they change."),
        combo(
            "emphasis",
            EMPHASIS,
            "web-ui",
            "web-ui: a weight multiplies the token's vector and the mean of the chunk is restored. host: as "
            "ComfyUI, away from or towards the empty prompt.",
        ),
        combo(
            "network_tags",
            NETWORK_TAGS,
            "apply",
            "LoRA tags. apply: they are taken out and the files applied. drop: only taken out. keep: "
            "they stay "
            "in the text, as in the web UI's negative prompt.",
        ),
        integer(
            "steps",
            20,
            1,
            10000,
            "Model calls of the first pass, for prompt editing: the sampler's steps, twice as many "
            "for samplers "
            "of second order (Heun, DPM2, DPM++ SDE ...).",
        ),
        integer(
            "hires_steps",
            0,
            0,
            10000,
            "Model calls of the second pass, where this prompt is for that one. 0: it is for the first.",
        ),
        integer(
            "clip_skip",
            0,
            0,
            12,
            "1 uses all layers of the text model, 2 skips the last. 0: as wired. SDXL and SD2 ignore it.",
        ),
        switch(
            "negative",
            False,
            "This is the negative prompt. With SDXL an empty one is then all zeros, as in the web UI.",
        ),
    ),
    outputs=(
        Out("CONDITIONING", "conditioning", "The prompt. Editing and AND need the Guider of this pack."),
        Out("MODEL", "model", "The model with the LoRA files applied."),
        Out("CLIP", "clip", "The text model with the LoRA files applied: wire it to the negative prompt."),
        Out("STRING", "report", "What was applied, found or left out."),
    ),
)

NOISE = NodeTable(
    id="ImgOpenNoise",
    title="Noise per Image (Img Open)",
    category="Img Open/Local",
    description="The web UI's noise: picture k has the seed + k and its own generator, so that a "
    "picture does not "
    "depend on the batch it is made in.",
    inputs=(
        _seed("seed", "Seed of the request's first picture."),
        integer(
            "first_image",
            0,
            0,
            100000,
            "This batch's first picture, counted from 0: batch_size x number of the batch.",
        ),
        combo(
            "source",
            SOURCES,
            "cpu",
            "Where the random numbers are drawn. cpu: as ComfyUI. nv: the numbers of NVIDIA cards, "
            "which the web "
            "UI uses by default, computed on any machine. gpu: this machine's own card.",
        ),
        integer(
            "ensd",
            0,
            -100000,
            100000,
            "Eta noise seed delta: added to the seed for ancestral samplers' noise.",
        ),
        _seed("variation_seed", "Seed of the variation. Not used while variation_strength is 0."),
        number("variation_strength", 0.0, 0.0, 1.0, "How much of the variation's noise is mixed in."),
        integer("resize_from_width", 0, 0, 16384, "Seed resize: width to keep the composition of. 0: off."),
        integer("resize_from_height", 0, 0, 16384, "Seed resize: height to keep the composition of. 0: off."),
        number("multiplier", 1.0, 0.0, 1.5, "Strength of the start noise (initial_noise_multiplier)."),
    ),
    outputs=(Out("NOISE", "noise", "For SamplerCustomAdvanced, and for Sampler and Sigmas."),),
)

SIGMAS = NodeTable(
    id="ImgOpenSigmas",
    title="Web-UI Sampler (Img Open)",
    category="Img Open/Local",
    description="Sampler and sigmas by the web UI's names, with its step rules for image to image "
    "and hires fix.",
    inputs=(
        socket("model", "MODEL", "The model that is sampled; its sigmas are used.", required=True),
        combo(
            "sampler_index",
            samplers,
            "DPM++ 2M Karras",
            "Sampler, by the web UI's name up to version 1.8, schedule included.",
            required=True,
        ),
        socket("noise", "NOISE", "Noise per Image: ancestral samplers then draw picture by picture too."),
        combo(
            "schedule",
            SCHEDULES,
            SCHEDULES[0],
            "Schedule, as version 1.9 names it apart from the sampler. It replaces the one in the name.",
        ),
        integer("steps", 20, 1, 10000, "Steps, as the request counts them."),
        combo(
            "run",
            RUNS,
            "txt2img",
            "txt2img: all steps, from pure noise. img2img: int(strength x steps) + 1 steps at the "
            "end. hires: all "
            "steps, at the end of a longer schedule.",
        ),
        number("denoising_strength", 0.75, 0.0, 1.0, "For img2img and hires: how much is painted anew."),
    ),
    outputs=(
        Out("SAMPLER", "sampler", "Starts and adds noise as the web UI does."),
        Out("SIGMAS", "sigmas", "The noise levels of the steps that are run."),
    ),
)

GUIDER = NodeTable(
    id="ImgOpenGuider",
    title="Web-UI Guider (Img Open)",
    category="Img Open/Local",
    description="Guidance with prompt editing by step, AND with its weights, and the web UI's way of "
    "inpainting.",
    inputs=(
        socket("model", "MODEL", "The model that is sampled.", required=True),
        socket("positive", "CONDITIONING", "Positive conditioning.", required=True),
        socket("negative", "CONDITIONING", "Negative conditioning.", required=True),
        number("cfg", 7.0, 0.0, 100.0, "cfg_scale: how strictly the prompt is followed.", step=0.1),
        integer("width", 0, 0, 16384, "Width that an SDXL model is told. 0: that of the latent."),
        integer("height", 0, 0, 16384, "Height that an SDXL model is told. 0: that of the latent."),
    ),
    outputs=(Out("GUIDER", "guider", "For SamplerCustomAdvanced."),),
)

PICTURE = NodeTable(
    id="ImgOpenPicture",
    title="Picture from Link (Img Open)",
    category="Img Open/Picture",
    description="Fetches a picture by its link. Links into your own network are refused.",
    inputs=(text("link", "http, https or data URL of a picture.", required=True),),
    outputs=(
        Out("IMAGE", "image", "The picture, transparency laid over white."),
        Out("MASK", "mask", "The picture as a mask: its transparency if it has any, else its brightness."),
    ),
)

RESIZE = NodeTable(
    id="ImgOpenResize",
    title="Resize (Img Open)",
    category="Img Open/Picture",
    description="The web UI's resize modes: stretch, cover and crop, or fit and continue the edges.",
    inputs=(
        socket("image", "IMAGE", "The pictures.", required=True),
        socket("mask", "MASK", "A mask that goes along."),
        combo(
            "resize_mode",
            REQUEST_RESIZE_MODES,
            "Crop and Resize",
            "Just Resize stretches. Crop and Resize covers and cuts. Resize and Fill fits and "
            "stretches the edge "
            "rows over the rest. The last one leaves the picture: its latent is to be resized.",
        ),
        _WIDTH,
        _HEIGHT,
    ),
    outputs=(
        Out("IMAGE", "image", "The pictures at width x height."),
        Out("MASK", "mask", "The mask at width x height; empty without one."),
    ),
)

MASK = NodeTable(
    id="ImgOpenMask",
    title="Soft Mask (Img Open)",
    category="Img Open/Picture",
    description="A mask inverted and blurred as the web UI does it before inpainting.",
    inputs=(
        socket("mask", "MASK", "The mask, 1 = repaint.", required=True),
        switch("invert", False, "Repaint what is not masked."),
        integer("blur_x", 4, 0, 1024, "Horizontal blur in pixels (standard deviation)."),
        integer("blur_y", 4, 0, 1024, "Vertical blur in pixels (standard deviation)."),
        socket("image", "IMAGE", "The picture it belongs to, where both must have the same size."),
    ),
    outputs=(Out("MASK", "mask", "The soft mask."),),
)

FILL = NodeTable(
    id="ImgOpenMaskFill",
    title="Fill Masked (Img Open)",
    category="Img Open/Picture",
    description="Paints the masked part over with its blurred surroundings (masked content: fill).",
    inputs=(
        socket("image", "IMAGE", "The pictures.", required=True),
        socket("mask", "MASK", "What is painted over, 1 = fully. Same size as the pictures.", required=True),
    ),
    outputs=(Out("IMAGE", "image", "The pictures with the hole filled."),),
)

CROP = NodeTable(
    id="ImgOpenCropMasked",
    title="Crop Masked (Img Open)",
    category="Img Open/Picture",
    description="Cuts out the masked region with padding, in the aspect of the generation, at its size "
    "(only masked).",
    inputs=(
        socket("image", "IMAGE", "The pictures, or a control image to be cropped alike.", required=True),
        socket("mask", "MASK", "The mask, 1 = repaint.", required=True),
        _WIDTH,
        _HEIGHT,
        integer("padding", 0, 0, 16384, "Pixels around the masked region."),
        combo(
            "resize_mode",
            RESIZE_MODES,
            "Just Resize",
            "How a picture of another size is brought to the mask's size first.",
        ),
    ),
    outputs=(
        Out("IMAGE", "image", "The region at width x height."),
        Out("MASK", "mask", "The mask of the region at width x height."),
        Out(REGION_TYPE, "region", "Where the region lies, for Paste Masked."),
    ),
)

PASTE = NodeTable(
    id="ImgOpenPasteMasked",
    title="Paste Masked (Img Open)",
    category="Img Open/Picture",
    description="Lays repainted pictures over the original, softly along the mask.",
    inputs=(
        socket("images", "IMAGE", "The repainted pictures.", required=True),
        socket("original", "IMAGE", "The picture they belong to.", required=True),
        socket("mask", "MASK", "The soft mask, of the original's size.", required=True),
        socket("region", REGION_TYPE, "From Crop Masked. Not wired: the whole picture was repainted."),
    ),
    outputs=(Out("IMAGE", "images", "The original with the repainted part, as many as there are pictures."),),
)

INPAINT = NodeTable(
    id="ImgOpenInpaintLatent",
    title="Inpaint Latent (Img Open)",
    category="Img Open/Local",
    description="Gives a latent its mask, and the masked part its start: as it is, noise, or nothing.",
    inputs=(
        socket("latent", "LATENT", "The encoded picture.", required=True),
        socket("mask", "MASK", "What is repainted, 1 = yes. Rounded to whole latent cells.", required=True),
        combo(
            "inpainting_fill",
            FILL_MODES,
            "original",
            "latent noise: the masked part starts as the picture's own noise. latent nothing: as "
            "zeros. fill and "
            "original leave the latent (fill is done on the picture before).",
        ),
        socket("model", "MODEL", "For latent noise: the model that is sampled; it sets the noise's scale."),
        socket("noise", "NOISE", "For latent noise: the noise to start from, such as Noise per Image."),
    ),
    outputs=(
        Out("LATENT", "latent", "The latent with its mask, for the Guider of this pack or any sampler."),
    ),
)

POSTPROCESS = NodeTable(
    id="ImgOpenPostprocess",
    title="Postprocess (Img Open)",
    category="Img Open/Local",
    description="The last step of ControlNet units that work on the decoded pictures: recolor ones put their "
    "luminance in, inpaint_only brings back what its mask leaves out.",
    inputs=(
        socket("images", "IMAGE", "The decoded pictures.", required=True),
        socket("units", "IMGOPEN_UNITS", "The units they were made with.", required=True),
    ),
    outputs=(Out("IMAGE", "images", "The finished pictures, as many and of the same size."),),
)

LOCAL: tuple[NodeTable, ...] = (
    PROMPT,
    NOISE,
    SIGMAS,
    GUIDER,
    INPAINT,
    PICTURE,
    RESIZE,
    MASK,
    FILL,
    CROP,
    PASTE,
    POSTPROCESS,
)
