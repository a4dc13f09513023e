"""Writes the example workflows: one file each in example_workflows/, its words in locales/.

    python tests/comfyui/make_workflows.py

Run it after a change of the nodes' inputs or of the words (workflow_words.py); test_make_workflows.py says so
when it is due. The thumbnails beside the files come from make_thumbnails.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import workflow_graphs as graphs
import workflow_scenes as scenes
from workflow_builder import Canvas
from workflow_scenes import DRAWN, REAL, with_unit
from workflow_words import WORDS, file_name

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ("en", "zh")

MAKERS: dict[str, Callable[[str], Canvas]] = {
    "preprocess": scenes.preprocess,
    "pose-drawn": scenes.pose_drawn,
    "generate-local": with_unit(
        "canny",
        "control_v11p_sd15_canny_fp16.safetensors",
        "a watercolour of a (red:1.2) lighthouse, [morning:evening:0.5] light",
        unit_weight=0.9,
    ),
    "controlnet-local": graphs.controlnet_local,
    "pose-from-text": scenes.pose_from_text,
    "pose-and-expression": with_unit(
        "openpose_full", "control_v11p_sd15_openpose_fp16.safetensors", "a dancer on a stage, smiling"
    ),
    "depth": with_unit(
        "depth_midas", "control_v11f1p_sd15_depth_fp16.safetensors", "a marble statue in a garden"
    ),
    "segmentation": with_unit(
        "seg_ofade20k", "control_v11p_sd15_seg_fp16.safetensors", "a person on a hill at sunset"
    ),
    "scribble": with_unit(
        "scribble_xdog",
        "control_v11p_sd15_scribble_fp16.safetensors",
        "a porcelain figure of a girl in a dress, studio light",
        unit_control_mode="ControlNet is more important",
    ),
    "lineart-colouring": with_unit(
        "invert (from white bg & black line)",
        "control_v11p_sd15s2_lineart_anime_fp16.safetensors",
        "a girl with yellow hair in a pink dress, vivid colours, anime colouring",
        sd_model_checkpoint=DRAWN,
        clip_skip=2,
    ),
    "recolour": graphs.recolour,
    "anime-to-real": with_unit(
        "lineart_standard (from white bg & black line)",
        "control_v11p_sd15_lineart_fp16.safetensors",
        "RAW photo of a woman in a pink dress on a green hill, natural skin, soft daylight",
        sd_model_checkpoint=REAL,
        from_picture=True,
        denoising_strength=0.7,
        unit_weight=0.8,
    ),
    "real-to-anime": with_unit(
        "lineart_standard (from white bg & black line)",
        "control_v11p_sd15s2_lineart_anime_fp16.safetensors",
        "anime illustration, clean lines, flat colours",
        sd_model_checkpoint=DRAWN,
        clip_skip=2,
        from_picture=True,
        denoising_strength=0.6,
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
    "background-removal": scenes.background_removal,
    "inpaint-by-hand": graphs.inpaint,
    "video-frames": graphs.video_frames,
    "local-and-remote": scenes.local_and_remote,
    "remote-page-request": scenes.remote_page,
    "fan-out": scenes.fan_out,
    "api-operations": scenes.api_operations,
}


def path_of(name: str) -> Path:
    """A workflow's file."""
    return ROOT / "example_workflows" / f"{file_name(name)}.json"


def text_of(name: str) -> str:
    """The workflow file's content."""
    return json.dumps(MAKERS[name](name).workflow(), ensure_ascii=False, indent=1) + "\n"


def write_words(locale: str) -> None:
    """Titles and descriptions for the template browser; other entries stay as they are."""
    path = ROOT / "locales" / locale / "main.json"
    told = json.loads(path.read_text("utf-8"))
    for key, place in (("template", 0), ("templateDescription", 1)):
        rows = {file_name(name): WORDS[name][locale][place] for name in MAKERS}
        told["templateWorkflows"][key]["img-open"] = rows
    path.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", "utf-8")


def main() -> None:
    for name in MAKERS:
        path_of(name).write_text(text_of(name), "utf-8")
    for locale in LOCALES:
        write_words(locale)


if __name__ == "__main__":
    main()
