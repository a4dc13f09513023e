"""The example workflows made of ComfyUI's own nodes and the pack's small ones."""

from __future__ import annotations

from typing import Any

from workflow_builder import Canvas, Node
from workflow_scenes import BAD, BASE, MAKE, MAP, RESULT, SEED, UNITS, start, unit

INSIDE = "a (golden:1.2) dress BREAK soft light"
TOP = -190  # the row above: what comes from far to the left


def sampled(canvas: Canvas, prompt: str, control: str, top: int, **values: Any) -> tuple[Node, Node, Node]:
    """Checkpoint, texts, control model, picture, a unit at height `top`, KSampler: loader, unit, sampler."""
    models = canvas.add("CheckpointLoaderSimple", ckpt_name=BASE)
    canvas.column(100)
    latent = canvas.add("EmptyLatentImage")
    yes = canvas.add("CLIPTextEncode", clip=(models, 1), text=prompt)
    no = canvas.add("CLIPTextEncode", clip=(models, 1), text=BAD)
    loaded = canvas.add("ControlNetLoader", control_net_name=control)
    picture = canvas.add("LoadImage")
    canvas.group(*MAP, top=top)
    wires = {"positive": (yes, 0), "negative": (no, 0), "control_net": (loaded, 0), "latent": (latent, 0)}
    one = unit(canvas, (picture, 0), **wires, **values)
    canvas.group(*MAKE)
    made = canvas.add(
        "KSampler",
        model=(models, 0),
        positive=(one, 0),
        negative=(one, 1),
        latent_image=(latent, 0),
        seed=SEED,
    )
    return models, one, made


def controlnet_local(name: str) -> Canvas:
    """A unit between ComfyUI's own nodes."""
    canvas = start(name)
    control = "control_v11p_sd15_canny_fp16.safetensors"
    prompt = "a lighthouse at dawn, best quality, detailed"
    models, one, made = sampled(canvas, prompt, control, 260, module="canny", weight=0.8)
    canvas.add("PreviewImage", images=(one, 2), title="Control image · 控制图")
    canvas.group(*RESULT, top=TOP)
    decoded = canvas.add("VAEDecode", samples=(made, 0), vae=(models, 2))
    canvas.column(TOP)
    canvas.add("SaveImage", images=(decoded, 0), filename_prefix=f"img-open-{name}")
    return canvas


def recolour(name: str) -> Canvas:
    """A recolor unit takes its last step, on the decoded picture, in Postprocess."""
    canvas = start(name)
    control = "ioclab_sd15_recolor.safetensors"
    prompt = "a colour photograph, natural colours"
    models, one, made = sampled(
        canvas, prompt, control, 440, module="recolor_luminance", resize_mode="Just Resize"
    )
    canvas.group(*RESULT, top=TOP)
    decoded = canvas.add("VAEDecode", samples=(made, 0), vae=(models, 2))
    canvas.column(460)
    done = canvas.add("ImgOpenPostprocess", images=(decoded, 0), units=(one, UNITS))
    canvas.column(460)
    canvas.add("SaveImage", images=(done, 0), filename_prefix=f"img-open-{name}")
    return canvas


def video_frames(name: str) -> Canvas:
    """Frames as one batch: the unit makes a control image for every frame, for its own latent."""
    canvas = start(name)
    film = canvas.add("LoadVideo")
    models = canvas.add("CheckpointLoaderSimple", ckpt_name=BASE, top=1500)
    canvas.column(-280)
    parts = canvas.add("GetVideoComponents", video=(film, 0))
    canvas.column()
    frames = canvas.add("ImgOpenResize", image=(parts, 0))
    canvas.group("Prompt · 提示词", "map", top=220)
    control = canvas.add("ControlNetLoader")
    yes = canvas.add("CLIPTextEncode", clip=(models, 1), text="oil painting, thick brush strokes")
    no = canvas.add("CLIPTextEncode", clip=(models, 1), text=BAD)
    latent = canvas.add("VAEEncode", pixels=(frames, 0), vae=(models, 2), top=1130)
    canvas.group(*MAP)
    wires = {"positive": (yes, 0), "negative": (no, 0), "control_net": (control, 0), "latent": (latent, 0)}
    one = unit(canvas, (frames, 0), module="canny", **wires)
    canvas.group(*MAKE)
    canvas.add("PreviewImage", images=(one, 2), title="Control images · 控制图")
    made = canvas.add(
        "KSampler",
        model=(models, 0),
        positive=(one, 0),
        negative=(one, 1),
        latent_image=(latent, 0),
        denoise=0.6,
        top=1500,
    )
    canvas.column(1950)
    decoded = canvas.add("VAEDecode", samples=(made, 0), vae=(models, 2))
    canvas.group(*RESULT, top=-280)
    joined = canvas.add("CreateVideo", images=(decoded, 0), audio=(parts, 1), fps=(parts, 2))
    canvas.column(-280)
    canvas.add("SaveVideo", video=(joined, 0), filename_prefix="video/img-open")
    return canvas


# Heights of the nodes of `inpaint`, chosen so that no wire runs behind a node.
TOPS = {
    "LoadImage": 360,
    "CheckpointLoaderSimple": 2640,
    "black": 1840,
    "white": 2380,
    "MaskComposite": 1230,
    "ImgOpenResize": 720,
    "yes": 2740,
    "ImgOpenMask": 0,
    "no": 3140,
    "ImgOpenCropMasked": 1680,
    "ImgOpenGuider": 2870,
    "ImgOpenMaskFill": 2940,
    "ImgOpenNoise": 2410,
    "VAEEncode": 1660,
    "ImgOpenSigmas": 2820,
    "ImgOpenInpaintLatent": 1980,
    "SamplerCustomAdvanced": 2340,
    "VAEDecode": 2640,
    "ImgOpenPasteMasked": 2000,
    "SaveImage": 1060,
}


def inpaint(name: str) -> Canvas:
    """What Generate unfolds into: only the masked region is cropped, painted and pasted back."""
    canvas = start(name)

    def add(kind: str, tag: str = "", **given: Any) -> Node:
        return canvas.add(kind, top=TOPS.get(tag or kind, 0), **given)

    picture = add("LoadImage")
    models = add("CheckpointLoaderSimple", ckpt_name=BASE)
    nothing = add("SolidMask", "black", value=0.0, width=768, height=768)
    square = add("SolidMask", "white", value=1.0, width=230, height=330)
    canvas.column()
    painted = add("MaskComposite", destination=(nothing, 0), source=(square, 0), x=265, y=325)
    canvas.group("Mask and crop · 遮罩与裁剪", "map")
    sized = add("ImgOpenResize", image=(picture, 0), mask=(painted, 0), width=768, height=768)
    text = add("ImgOpenPrompt", "yes", clip=(models, 1), model=(models, 0), text=INSIDE)
    canvas.column()
    soft = add("ImgOpenMask", mask=(sized, 1), blur_x=4, blur_y=4)
    less = add("ImgOpenPrompt", "no", clip=(text, 2), text="blurry, text", network_tags="keep")
    canvas.column()
    crop = add("ImgOpenCropMasked", image=(sized, 0), mask=(soft, 0), width=512, height=512, padding=32)
    guider = add("ImgOpenGuider", model=(text, 1), positive=(text, 0), negative=(less, 0))
    canvas.group(*MAKE)
    filled = add("ImgOpenMaskFill", image=(crop, 0), mask=(crop, 1))
    noise = add("ImgOpenNoise", seed=SEED)
    canvas.column()
    coded = add("VAEEncode", pixels=(filled, 0), vae=(models, 2))
    run = {"sampler_index": "DPM++ 2M Karras", "run": "img2img", "denoising_strength": 0.9}
    steps = add("ImgOpenSigmas", model=(text, 1), noise=(noise, 0), **run)
    canvas.column()
    latent = add("ImgOpenInpaintLatent", latent=(coded, 0), mask=(crop, 1), model=(text, 1), noise=(noise, 0))
    canvas.column()
    made = add(
        "SamplerCustomAdvanced",
        noise=(noise, 0),
        guider=(guider, 0),
        sampler=(steps, 0),
        sigmas=(steps, 1),
        latent_image=(latent, 0),
    )
    canvas.column()
    decoded = add("VAEDecode", samples=(made, 0), vae=(models, 2))
    canvas.group(*RESULT)
    wires = {"images": (decoded, 0), "original": (sized, 0), "mask": (soft, 0), "region": (crop, 2)}
    pasted = add("ImgOpenPasteMasked", **wires)
    canvas.column()
    add("SaveImage", images=(pasted, 0), filename_prefix=f"img-open-{name}")
    return canvas
