"""Sampling of a request as nodes: start latents, noise, sigmas, second pass, paste. Plain data."""

# pyright: basic

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..a1111.samplers import SamplerSpec
from ..controlnet.sizing import HiresPlan, hires_target
from .comfy_graph import Graph, HostFacts, Link
from .comfy_names import find_name
from .comfy_units import InitLinks

if TYPE_CHECKING:
    from ..api.request import Request

RESIZE_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill", "Just Resize (latent upscale)")
FILLS = ("fill", "original", "latent noise", "latent nothing")
#: The web UI's latent upscalers: ComfyUI's method, and how it differs.
LATENT_UPSCALERS: dict[str, tuple[str, str]] = {
    "Latent": ("bilinear", ""),
    "Latent (antialiased)": ("bilinear", "without antialiasing"),
    "Latent (bicubic)": ("bicubic", ""),
    "Latent (bicubic antialiased)": ("bicubic", "without antialiasing"),
    "Latent (nearest)": ("nearest-exact", "as Latent (nearest-exact)"),
    "Latent (nearest-exact)": ("nearest-exact", ""),
}
PICTURE_UPSCALERS = {"None": "lanczos", "Lanczos": "lanczos", "Nearest": "nearest-exact"}
#: What the web UI calls models that are known under their files' names elsewhere.
_UPSCALER_FILES = {
    "R-ESRGAN 4x+": "RealESRGAN_x4plus",
    "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B",
    "ESRGAN_4x": "ESRGAN_4x",
}


@dataclass(frozen=True)
class Start:
    """What sampling starts from.

    Attributes:
        latent: LATENT of one picture, before it is repeated for the batch; for txt2img already a batch.
        units: what units see of the init picture; None for txt2img.
        mask: MASK at the size of what is sampled, or None.
        original, paste_mask: what the finished pictures are pasted over, or None.
        region: IMGOPEN_REGION of "only masked", or None.
    """

    latent: Link
    units: InitLinks | None = None
    mask: Link | None = None
    original: Link | None = None
    paste_mask: Link | None = None
    region: Link | None = None


def size_of(request: Request) -> tuple[int, int]:
    """(width, height) in pixels of the first pass."""
    return request.width // 8 * 8, request.height // 8 * 8


def start_of(graph: Graph, request: Request, vae: Link) -> Start:
    """The nodes from the init picture to its latent; without one an empty latent."""
    width, height = size_of(request)
    if request.init_image is None:
        empty = graph.add(
            "latent", "EmptyLatentImage", width=width, height=height, batch_size=request.batch_size
        )
        return Start([empty, 0])
    picture: Link = [graph.picture(request.init_image), 0]
    if request.init_mask is None:
        return Start(_encoded(graph, request, _sized(graph, request, picture), vae), InitLinks(picture))
    blur_x, blur_y = request.mask_blur_xy
    soft: Link = [
        graph.add(
            "mask",
            "ImgOpenMask",
            mask=[graph.picture(request.init_mask), 1],
            invert=bool(request.inpainting_mask_invert),
            blur_x=blur_x,
            blur_y=blur_y,
            # Over the whole picture each is brought to the request's size; only masked, they must fit.
            image=picture if request.inpaint_full_res else None,
        ),
        0,
    ]
    units = InitLinks(picture, soft)
    if request.inpaint_full_res:
        crop = graph.add(
            "crop",
            "ImgOpenCropMasked",
            image=picture,
            mask=soft,
            width=width,
            height=height,
            padding=request.inpaint_full_res_padding,
            resize_mode=RESIZE_MODES[0],
        )
        image, mask = _filled(graph, request, [crop, 0], [crop, 1]), [crop, 1]
        return Start(_encoded(graph, request, image, vae, False), units, mask, picture, soft, [crop, 2])
    return _whole_picture(graph, request, vae, units)


def _whole_picture(graph: Graph, request: Request, vae: Link, units: InitLinks) -> Start:
    width, height = size_of(request)
    latent = request.resize_mode == 3
    resized = graph.add(
        "resize",
        "ImgOpenResize",
        image=units.image,
        mask=units.mask,
        resize_mode=RESIZE_MODES[0 if latent else request.resize_mode],
        width=width,
        height=height,
    )
    mask: Link = [resized, 1]
    if latent:
        if request.inpainting_fill != 1:
            graph.say(
                "inpainting_fill",
                "approximated",
                "With resize_mode 3 the masked part is not painted over first.",
            )
        image = units.image
    else:
        image = _filled(graph, request, [resized, 0], mask)
    return Start(_encoded(graph, request, image, vae), units, mask, [resized, 0], mask)


def _sized(graph: Graph, request: Request, picture: Link) -> Link:
    if request.resize_mode == 3:
        return picture
    width, height = size_of(request)
    mode = RESIZE_MODES[request.resize_mode]
    return [
        graph.add("resize", "ImgOpenResize", image=picture, resize_mode=mode, width=width, height=height),
        0,
    ]


def _filled(graph: Graph, request: Request, image: Link, mask: Link) -> Link:
    # Everything but "original" starts from surroundings smeared into the hole, also what later becomes noise.
    if request.inpainting_fill == 1:
        return image
    return [graph.add("fill", "ImgOpenMaskFill", image=image, mask=mask), 0]


def _encoded(graph: Graph, request: Request, image: Link, vae: Link, may_resize: bool = True) -> Link:
    encoded: Link = [graph.add("encode", "VAEEncode", pixels=image, vae=vae), 0]
    if request.resize_mode != 3 or not may_resize:
        return encoded
    width, height = size_of(request)
    return _latent_upscale(graph, "encode-resize", encoded, "bilinear", (width, height))


def _latent_upscale(graph: Graph, name: str, latent: Link, method: str, size: tuple[int, int]) -> Link:
    return [
        graph.add(
            name,
            "LatentUpscale",
            samples=latent,
            upscale_method=method,
            width=size[0],
            height=size[1],
            crop="disabled",
        ),
        0,
    ]


@dataclass(frozen=True)
class Run:
    """What the passes of every batch share."""

    request: Request
    host: HostFacts
    spec: SamplerSpec
    model: Link
    vae: Link
    guider: Link
    hires_guider: Link | None
    seed: int
    settings: dict[str, Any]
    finish: Link | None = None


def add_batch(graph: Graph, run: Run, start: Start, number: int) -> Link:
    """The nodes of one batch (of n_iter): IMAGE, pasted over the init picture where it has to be."""
    request = run.request
    tag = f"-{number + 1}" if request.n_iter > 1 else ""
    image_to_image = start.units is not None
    multiplier = request.initial_noise_multiplier
    noise: Link = [
        graph.add(
            f"noise{tag}",
            "ImgOpenNoise",
            seed=run.seed,
            first_image=number * request.batch_size,
            multiplier=1.0 if multiplier is None or not image_to_image else multiplier,
            **run.settings,
        ),
        0,
    ]
    latent = start.latent
    if image_to_image and request.batch_size > 1:
        latent = [graph.once("repeat", "RepeatLatentBatch", samples=latent, amount=request.batch_size), 0]
    if start.mask is not None:
        latent = [
            graph.add(
                f"masked{tag}",
                "ImgOpenInpaintLatent",
                latent=latent,
                mask=start.mask,
                inpainting_fill=FILLS[request.inpainting_fill],
                model=run.model,
                noise=noise,
            ),
            0,
        ]
    which = "img2img" if image_to_image else "txt2img"
    latent = _sample(graph, run, f"sample{tag}", noise, latent, run.guider, which, request.steps)
    if run.hires_guider is not None:
        latent = _upscaled(graph, run, latent, tag)
        steps = request.hr_second_pass_steps or request.steps
        latent = _sample(graph, run, f"hires{tag}", noise, latent, run.hires_guider, "hires", steps)
    images: Link = [graph.add(f"decode{tag}", "VAEDecode", samples=latent, vae=run.vae), 0]
    if run.finish is not None:
        images = [graph.add(f"postprocess{tag}", "ImgOpenPostprocess", images=images, units=run.finish), 0]
    if request.restore_faces:
        images = _restored(graph, run, images, tag)
    if start.original is None:
        return images
    return [
        graph.add(
            f"paste{tag}",
            "ImgOpenPasteMasked",
            images=images,
            original=start.original,
            mask=start.paste_mask,
            region=start.region,
        ),
        0,
    ]


def _sample(
    graph: Graph, run: Run, name: str, noise: Link, latent: Link, guider: Link, which: str, steps: int
) -> Link:
    sigmas = graph.add(
        f"{name}-sigmas",
        "ImgOpenSigmas",
        model=run.model,
        noise=noise,
        sampler_index=run.spec.name,
        steps=steps,
        run=which,
        denoising_strength=run.request.denoising_strength,
    )
    sampled = graph.add(
        name,
        "SamplerCustomAdvanced",
        noise=noise,
        guider=guider,
        sampler=[sigmas, 0],
        sigmas=[sigmas, 1],
        latent_image=latent,
    )
    return [sampled, 0]


def hires_plan(request: Request) -> HiresPlan:
    """Sizes of the second pass."""
    return hires_target(
        request.width, request.height, request.hr_scale, request.hr_resize_x, request.hr_resize_y
    )


def _upscaled(graph: Graph, run: Run, latent: Link, tag: str) -> Link:
    plan = hires_plan(run.request)
    name = run.request.hr_upscaler or "Latent"
    if name in LATENT_UPSCALERS:
        latent = _latent_upscale(graph, f"upscale{tag}", latent, LATENT_UPSCALERS[name][0], plan.upscale_to)
    else:
        latent = _upscaled_picture(graph, run, latent, tag, name, plan)
    if plan.truncate == (0, 0):
        return latent
    width, height = plan.final_image
    cut = {"x": plan.truncate[0] // 2 * 8, "y": plan.truncate[1] // 2 * 8}
    return [graph.add(f"cut{tag}", "LatentCrop", samples=latent, width=width, height=height, **cut), 0]


def _upscaled_picture(graph: Graph, run: Run, latent: Link, tag: str, name: str, plan: HiresPlan) -> Link:
    """Decoded, enlarged as a picture and encoded again."""
    image: Link = [graph.add(f"upscale-decode{tag}", "VAEDecode", samples=latent, vae=run.vae), 0]
    method = PICTURE_UPSCALERS.get(name, "lanczos")
    if name not in PICTURE_UPSCALERS:
        wanted = _UPSCALER_FILES.get(name, name)
        file = wanted if run.host.models is None else find_name(wanted, run.host.upscalers, "upscaler")
        loader = graph.once("upscaler", "UpscaleModelLoader", model_name=file)
        image = [
            graph.add(f"upscale-model{tag}", "ImageUpscaleWithModel", upscale_model=[loader, 0], image=image),
            0,
        ]
    width, height = plan.upscale_to
    scaled = graph.add(
        f"upscale{tag}",
        "ImageScale",
        image=image,
        upscale_method=method,
        width=width,
        height=height,
        crop="disabled",
    )
    return [graph.add(f"upscale-encode{tag}", "VAEEncode", pixels=[scaled, 0], vae=run.vae), 0]


def can_restore_faces(host: HostFacts) -> bool:
    """Whether the host has the nodes of a face restoration pack, and a model for them."""
    return {"FaceRestoreModelLoader", "FaceRestoreCFWithModel"} <= host.node_types and bool(host.face_models)


def _restored(graph: Graph, run: Run, images: Link, tag: str) -> Link:
    if not can_restore_faces(run.host):
        return images
    wanted = [name for name in run.host.face_models if "codeformer" in name.lower()] or list(
        run.host.face_models
    )
    loader = graph.once("face-model", "FaceRestoreModelLoader", model_name=wanted[0])
    return [
        graph.add(
            f"faces{tag}",
            "FaceRestoreCFWithModel",
            facerestore_model=[loader, 0],
            image=images,
            facedetection="retinaface_resnet50",
            codeformer_fidelity=0.5,
        ),
        0,
    ]
