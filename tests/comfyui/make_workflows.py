"""Writes the example workflows of the uses below: one file each in example_workflows/, its words in locales/.

    python tests/comfyui/make_workflows.py

Run it after a change of the nodes' inputs or of the words here; tests/comfyui/test_make_workflows.py says so
when it is due. Thumbnails come from tests/browser (see keep_pictures.py there).
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from workflow_builder import Canvas, Node, Slot
from workflow_words import WORDS

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ("en", "zh")
SEED = 1221212
BAD = "lowres, blurry, text, watermark"
UNITS, INIT_MASK, REPORT, MAPS = 3, 1, 2, 3  # outputs: units; MASK of a picture; report and maps of Generate
NOTE = (420, 330)


def start(name: str) -> tuple[Canvas, Node]:
    """A canvas with the note and a picture."""
    canvas = Canvas()
    canvas.note(note(name), NOTE)
    return canvas, canvas.add("LoadImage", (0, 380), (420, 340))


def note(name: str) -> str:
    """Title and text in both languages."""
    words = WORDS[name]
    return (
        f"## {words['en'][0]} · {words['zh'][0]}\n\n{words['en'][1]} {words['en'][2]}\n\n"
        f"{words['zh'][1]}{words['zh'][2]}".strip()
    )


def unit(canvas: Canvas, at: tuple[int, int], image: Slot, **values: Any) -> Node:
    """A ControlNet unit on a picture, as detailed as the generation."""
    usual = {"image": image, "pixel_perfect": True}
    return canvas.add("ImgOpenControlNetApply", at, (360, 900), **{**usual, **values})


def generate(canvas: Canvas, column: int, name: str, maps: bool = True, **values: Any) -> Node:
    """Generate, and what comes out of it: pictures, report and, if there are any, control images."""
    usual = {
        "sd_model_checkpoint": "v1-5-pruned-emaonly-fp16.safetensors",
        "negative_prompt": BAD,
        "seed": SEED,
    }
    node = canvas.add("ImgOpenGenerate", (column, 0), (420, 1220), **{**usual, **values})
    right = column + 480
    canvas.add("SaveImage", (right, 0), (380, 420), images=(node, 0), filename_prefix=f"img-open-{name}")
    canvas.add("PreviewAny", (right, 470), (380, 240), source=(node, REPORT))
    if maps:
        canvas.add("PreviewImage", (right, 760), (380, 420), images=(node, MAPS))
    return node


def with_unit(module: str, model: str, prompt: str, **values: Any) -> Callable[[str], Canvas]:
    """The simplest graph: a picture, one unit, Generate. `unit_*` are the unit's values."""
    of_unit = {key.removeprefix("unit_"): value for key, value in values.items() if key.startswith("unit_")}
    of_request = {key: value for key, value in values.items() if not key.startswith("unit_")}

    def make(name: str) -> Canvas:
        canvas, picture = start(name)
        one = unit(canvas, (480, 0), (picture, 0), module=module, model=model, **of_unit)
        given = dict(of_request)
        if given.pop("from_picture", False):
            given["init_image"] = (picture, 0)
        maps = not module.startswith("reference")
        generate(canvas, 900, name, maps, prompt=prompt, units=(one, UNITS), **given)
        return canvas

    return make


def background_removal(name: str) -> Canvas:
    """A mask cuts the subject out, and the same mask keeps it while Generate paints another background."""
    canvas, picture = start(name)
    mask_file = base64.b64encode(Path(__file__).with_name("example_mask.png").read_bytes()).decode()
    mask = canvas.add("ImgOpenPicture", (0, 770), (420, 120), link=f"data:image/png;base64,{mask_file}")
    outside = canvas.add(
        "ImgOpenMask", (480, 0), (360, 130), mask=(mask, INIT_MASK), invert=True, blur_x=1, blur_y=1
    )
    cut = canvas.add("JoinImageWithAlpha", (480, 180), (360, 60), image=(picture, 0), alpha=(outside, 0))
    canvas.add("SaveImage", (480, 290), (360, 420), images=(cut, 0), filename_prefix=f"img-open-{name}-cut")
    generate(
        canvas,
        900,
        name,
        maps=False,
        prompt="plain white studio background, soft even light",
        init_image=(picture, 0),
        init_mask=(mask, INIT_MASK),
        inpainting_mask_invert="repaint not masked",
        inpaint_full_res=False,
        denoising_strength=0.9,
    )
    return canvas


def local_and_remote(name: str) -> Canvas:
    """The same request here and on a server; only the models' names and the size are each side's own."""
    canvas, picture = start(name)
    request = {"prompt": "a red star on a blue background", "negative_prompt": "", "sampler_index": "Euler a"}
    sides = (
        ("local", "control_v11p_sd15_canny_fp16.safetensors", {}),
        (
            "remote",
            "canny",
            {"sd_model_checkpoint": "demo", "width": 128, "height": 128, "profile": "local"},
        ),
    )
    for number, (side, model, values) in enumerate(sides):
        left = 480 + 1400 * number
        one = unit(canvas, (left, 0), (picture, 0), module="canny", model=model)
        generate(canvas, left + 420, f"{name}-{side}", run_on=side, units=(one, UNITS), **request, **values)
    return canvas


# A dancer, arms up: OpenPose's 18 points in hundredths of the canvas.
DANCER = (
    (50, 16), (50, 27), (42, 28), (34, 20), (30, 9), (58, 28), (68, 22), (74, 12), (45, 52), (43, 70),
    (40, 90), (55, 52), (64, 64), (56, 78), (48, 14), (52, 14), (46, 16), (54, 16),
)  # fmt: skip


def pose_from_text(name: str) -> Canvas:
    """A pose that no photograph was needed for: JSON in a text, drawn, then a unit without a module."""
    canvas = Canvas()
    canvas.note(note(name), NOTE)
    points = [number for x, y in DANCER for number in (x / 100, y / 100, 1)]
    text = json.dumps({"people": [{"pose_keypoints_2d": points}], "canvas_width": 512, "canvas_height": 512})
    drawn = canvas.add("ImgOpenPoseRender", (0, 380), (420, 400), pose=text)
    canvas.add("PreviewImage", (0, 830), (420, 420), images=(drawn, 0))
    one = unit(
        canvas, (480, 0), (drawn, 0), module="none", model="control_v11p_sd15_openpose_fp16.safetensors"
    )
    generate(canvas, 900, name, prompt="a ballet dancer on a stage, spotlight", units=(one, UNITS))
    return canvas


def video_frames(name: str) -> Canvas:
    """Frames as one batch: the unit makes a control image for every frame, for its own latent."""
    canvas = Canvas()
    canvas.note(note(name), NOTE)
    film = canvas.add("LoadVideo", (0, 380), (420, 340))
    parts = canvas.add("GetVideoComponents", (0, 770), (420, 90), video=(film, 0))
    frames = canvas.add("ImgOpenResize", (0, 910), (420, 150), image=(parts, 0))
    models = canvas.add("CheckpointLoaderSimple", (480, 0), (360, 100))
    control = canvas.add("ControlNetLoader", (480, 150), (360, 60))
    prompt = "oil painting, thick brush strokes"
    yes = canvas.add("CLIPTextEncode", (480, 260), (360, 140), clip=(models, 1), text=prompt)
    no = canvas.add("CLIPTextEncode", (480, 450), (360, 140), clip=(models, 1), text=BAD)
    latent = canvas.add("VAEEncode", (480, 640), (360, 60), pixels=(frames, 0), vae=(models, 2))
    wires = {"positive": (yes, 0), "negative": (no, 0), "control_net": (control, 0), "latent": (latent, 0)}
    one = unit(canvas, (900, 0), (frames, 0), module="canny", **wires)
    sampled = canvas.add(
        "KSampler",
        (1320, 0),
        (340, 270),
        model=(models, 0),
        positive=(one, 0),
        negative=(one, 1),
        latent_image=(latent, 0),
        denoise=0.6,
    )
    decoded = canvas.add("VAEDecode", (1320, 320), (340, 60), samples=(sampled, 0), vae=(models, 2))
    made = canvas.add(
        "CreateVideo", (1320, 430), (340, 90), images=(decoded, 0), audio=(parts, 1), fps=(parts, 2)
    )
    canvas.add("SaveVideo", (1720, 0), (420, 420), video=(made, 0), filename_prefix="video/img-open")
    canvas.add("PreviewImage", (1720, 470), (420, 420), images=(one, 2))
    return canvas


MAKERS: dict[str, Callable[[str], Canvas]] = {
    "anime-to-real": with_unit(
        "lineart_standard (from white bg & black line)",
        "control_v11p_sd15_lineart_fp16.safetensors",
        "RAW photo of a woman in a pink dress on a green hill, natural skin, soft daylight",
        sd_model_checkpoint="realisticVisionV51.safetensors",
        from_picture=True,
        denoising_strength=0.7,
        unit_weight=0.8,
    ),
    "real-to-anime": with_unit(
        "lineart_standard (from white bg & black line)",
        "control_v11p_sd15s2_lineart_anime_fp16.safetensors",
        "anime illustration, clean lines, flat colours",
        sd_model_checkpoint="anything-v5.safetensors",
        clip_skip=2,
        from_picture=True,
        denoising_strength=0.6,
    ),
    "pose-and-expression": with_unit(
        "openpose_full", "control_v11p_sd15_openpose_fp16.safetensors", "a dancer on a stage, smiling"
    ),
    "pose-from-text": pose_from_text,
    "lineart-colouring": with_unit(
        "invert (from white bg & black line)",
        "control_v11p_sd15s2_lineart_anime_fp16.safetensors",
        "a girl with yellow hair in a pink dress, vivid colours, anime colouring",
        sd_model_checkpoint="anything-v5.safetensors",
        clip_skip=2,
    ),
    "fixed-subject": with_unit(
        "reference_only",
        "",
        "the same girl reading a book in a library",
        unit_threshold_a=0.5,
        unit_control_mode="Balanced",
    ),
    "super-resolution": with_unit(
        "tile_resample",
        "control_v11f1e_sd15_tile_fp16.safetensors",
        "best quality, sharp details",
        enable_hr=True,
        hr_scale=2.0,
        hr_upscaler="Latent",
        denoising_strength=0.5,
        unit_threshold_a=1.0,
    ),
    "background-removal": background_removal,
    "depth": with_unit(
        "depth_midas", "control_v11f1p_sd15_depth_fp16.safetensors", "a marble statue in a garden"
    ),
    "scribble": with_unit(
        "scribble_xdog",
        "control_v11p_sd15_scribble_fp16.safetensors",
        "a porcelain figure of a girl in a dress, studio light",
        unit_control_mode="ControlNet is more important",
    ),
    "segmentation": with_unit(
        "seg_ofade20k", "control_v11p_sd15_seg_fp16.safetensors", "a person on a hill at sunset"
    ),
    "local-and-remote": local_and_remote,
    "video-frames": video_frames,
}


def text_of(name: str) -> str:
    """The workflow file's content."""
    return json.dumps(MAKERS[name](name).workflow(), ensure_ascii=False, indent=1) + "\n"


def write_words(locale: str) -> None:
    """Titles and descriptions for the template browser; other entries stay as they are."""
    path = ROOT / "locales" / locale / "main.json"
    told = json.loads(path.read_text("utf-8"))
    for key, place in (("template", 0), ("templateDescription", 1)):
        told["templateWorkflows"][key]["img-open"] |= {name: WORDS[name][locale][place] for name in MAKERS}
    path.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", "utf-8")


def main() -> None:
    for name in MAKERS:
        (ROOT / "example_workflows" / f"{name}.json").write_text(text_of(name), "utf-8")
    for locale in LOCALES:
        write_words(locale)


if __name__ == "__main__":
    main()
