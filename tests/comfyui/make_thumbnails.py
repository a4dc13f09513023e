"""Draws the thumbnails of the example workflows: input, control map, result.

    python tests/comfyui/make_thumbnails.py EXAMPLE_PICTURE

EXAMPLE_PICTURE is ComfyUI's input/example.png, which the workflows load. Maps come from the pack's own
modules (07 shows the scene's true depth, 06 drawn keypoints), results from the demo model. What needs larger
models is an empty frame that says so, or a sketch that is named one.
Needs a font with Chinese characters. Look at all pictures afterwards (`--sheet FILE` puts them on one).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

sys.path.insert(0, str(Path(__file__).parent))

from img_open.demo.sheet import caption_font, drawn
from make_workflows import MAKERS, ROOT, path_of
from workflow_scenes import FAN, dancer
from workflow_words import WORDS

SIZE, HEAD, FOOT = (400, 300), 46, 26
BACK, LIGHT, DIM = (32, 34, 40), (240, 240, 240), (150, 155, 165)
BANDS = {"nothing": (46, 120, 70), "models": (52, 84, 140), "both": (110, 76, 130), "server": (160, 92, 40)}
YOURS, THERE = "SD1.5", "server"  # frames instead of pictures
EQUAL = {"fan-out", "video-frames"}  # panels of equal rank: no arrow
LARGE_LAST = [(28, 56, 98), (28, 178, 98), (154, 56, 222)]  # left, top, side: input, map, result
Panel = tuple[Any, str]


def module(name: str, picture: np.ndarray, a: float = -1, b: float = -1, size: int = 512) -> np.ndarray:
    """The control image of one of the pack's modules."""
    from img_open.controlnet.modules import effective_sliders
    from img_open.preprocessors.run import run_module
    from img_open.preprocessors.runtime import PlainRuntime

    resolution, low, high, _ = effective_sliders(name, size, a, b)
    sliders = {"processor_res": resolution, "threshold_a": low, "threshold_b": high}
    return run_module(name, picture, **sliders, runtime=PlainRuntime())


def pose(text: str) -> np.ndarray:
    """OpenPose JSON as Pose Render draws it."""
    from img_open.preprocessors.pose import draw_pose, poses_from_json

    return draw_pose(poses_from_json(text)[0], body=True, hands=True, face=True, size=(512, 512))


def scene(seed: int) -> Any:
    """A picture with exact depth, as the demo model was trained on."""
    sys.path.insert(0, str(ROOT / "demo" / "training"))
    from scenes import UNSEEN, make_scene

    return make_scene(UNSEEN + seed, 1)


class Shop:
    """Everything that the panels show."""

    def __init__(self, example: Path) -> None:
        from img_open.engines.diffusers import DiffusersEngine
        from img_open.engines.models import LocalModels

        self.engine = DiffusersEngine(LocalModels.demo(), device="cpu", threads=1)
        self.example = np.asarray(Image.open(example).convert("RGB"))
        self.star = np.asarray(Image.open(ROOT / "demo" / "picture.png").convert("RGB"))

    def made(self, source: np.ndarray, prompt: str, **unit: Any) -> np.ndarray:
        return drawn(self.engine, source, prompt, **unit)

    def panels(self) -> dict[str, list[Panel]]:
        """Per workflow two or three panels, left to right."""
        example, star, yours = self.example, self.star, (YOURS, "您的模型 · your model")
        edges = module("canny", star, 100, 200, 128)
        red, blue = "a red star on a blue background", "a yellow star on a green background"
        inked = outlined(example)
        lines = module("lineart_standard (from white bg & black line)", inked)
        grey = np.asarray(Image.fromarray(example).convert("L").convert("RGB"))
        near = self.made(star, red)
        seen = scene(5)
        depth = as_rgb(seen.depth)
        ours = self.made(depth, seen.caption(), module="none", model="depth")
        subject = np.where(example[..., :1] > 127, 255, 0).astype(np.uint8)
        film = [np.roll(star, shift, 1) for shift in (-22, 0, 22)]
        region = example[325:655, 265:495]
        return {
            "preprocess": [(example, "图片"), (module("canny", example, 100, 200, 256), "canny"),
                           (module("t2ia_color_grid", example), "color grid")],
            "pose-drawn": [(dancer(), "JSON"), (pose(dancer()), "openpose")],
            "generate-local": [(star, "图片"), (edges, "canny"), (near, red)],
            "controlnet-local": [(edges, "canny"), (self.made(star, blue), blue)],
            "pose-from-text": [(dancer(), "JSON"), (YOURS, "您的模型"), (pose(dancer()), "openpose")],
            "pose-and-expression": [(pose(whole_body()), "身体 手 脸 · body hands face"), yours],
            "depth": [(seen.picture, "图片"), (depth, "depth"), (ours, "结果 · result")],
            "segmentation": [(example, "图片"), ("areas", "示意 · sketch")],
            "scribble": [(inked, "图片"), (module("scribble_xdog", inked), "scribble_xdog")],
            "lineart-colouring": [(255 - lines, "线稿 · drawing"), (lines, "控制图 · map")],
            "recolour": [(grey, "黑白 · grey"), (YOURS, "上色 · colours")],
            "anime-to-real": [(inked, "动漫"), (YOURS, "写实 · real"), (lines, "lineart")],
            "real-to-anime": [("photo", "照片（示意）"), (YOURS, "动漫 · anime")],
            "fixed-subject": [(example, "reference"), (YOURS, "新场景 · new scene")],
            "super-resolution": [("small", "512 · 示意 sketch"), ("large", "1024")],
            "background-removal": [(example, "图片"), (subject, "遮罩"), (cut(example, subject), "抠图")],
            "inpaint-by-hand": [(framed(example), "遮罩"), (region, "裁剪 · crop")],
            "video-frames": [(halves(frame, module("canny", frame, 100, 200, 128)), f"帧 {number}")
                             for number, frame in enumerate(film, 1)],
            "local-and-remote": [(edges, "canny"), (THERE, "服务器"), (near, "本机 · run here")],
            "remote-page-request": [("page", "页面请求"), (THERE, "服务器 · server")],
            "fan-out": [(self.plain(prompt, seed), f"请求 {seed}") for seed, prompt in enumerate(FAN, 1)],
            "api-operations": [("call", "接口操作"), (THERE, "服务器"),
                               (module("canny", example, size=256), "preview")],
        }  # fmt: skip

    def plain(self, prompt: str, seed: int) -> np.ndarray:
        """The request of Many requests at once: no control image."""
        from img_open.api.request import Request

        body = {
            "prompt": prompt, "negative_prompt": "", "steps": 20, "seed": seed, "width": 128, "height": 128,
            "cfg_scale": 3, "sampler_index": "Euler a", "alwayson_scripts": {"sd_model_checkpoint": "demo"},
        }  # fmt: skip
        return self.engine.run(Request.from_wire(body)).images[0]


def as_rgb(depth: np.ndarray) -> np.ndarray:
    """A grey picture; depth maps of the scenes are uint8 or 0..1."""
    grey = depth if depth.dtype == np.uint8 else (np.clip(depth, 0, 1) * 255).astype(np.uint8)
    return grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)


def cut(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The subject on a chequered ground."""
    y, x = np.indices(picture.shape[:2])
    ground = np.where(((x // 48 + y // 48) % 2)[..., None], 255, 200).astype(np.uint8)
    return np.where(mask > 0, picture, ground).astype(np.uint8)


def outlined(picture: np.ndarray) -> np.ndarray:
    """The drawing with black outlines, as line modules want it."""
    import cv2

    edges = cv2.dilate(cv2.Canny(picture, 100, 200), np.ones((7, 7), np.uint8))
    return np.where(edges[..., None] > 0, 0, picture).astype(np.uint8)


def halves(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A picture above its diagonal, its map below."""
    y, x = np.indices(picture.shape[:2])
    return np.where((x + y < len(picture))[..., None], picture, other).astype(np.uint8)


def framed(picture: np.ndarray) -> np.ndarray:
    """The rectangle of the inpainting workflow on its picture."""
    shown = Image.fromarray(picture)
    ImageDraw.Draw(shown).rectangle((265, 325, 495, 655), fill=(20, 20, 20))
    return np.asarray(shown)


def whole_body() -> str:
    """A bust with hands and a face, as OpenPose JSON."""
    points = [(50, 36), (50, 62), (32, 64), (22, 84), (16, 62), (68, 64), (78, 84), (84, 62)]
    body = [n for x, y in points for n in (x / 100, y / 100, 1)] + [0, 0, 0] * 6
    body += [n for x, y in ((46, 32), (54, 32), (41, 35), (59, 35)) for n in (x / 100, y / 100, 1)]

    def ring(x: float, y: float, w: float, h: float, count: int) -> list[float]:
        angles = [2 * math.pi * i / count for i in range(count)]
        return [n for t in angles for n in ((x + w * math.cos(t)) / 100, (y + h * math.sin(t)) / 100, 1)]

    face = ring(50, 35, 13, 17, 27) + ring(45, 31, 3, 2, 12) + ring(55, 31, 3, 2, 12) + ring(50, 44, 5, 2, 19)

    def hand(x: float) -> list[float]:
        fan = [(x + (f - 2) * 1.2 * k, 60 - k * 4.5) for f in range(5) for k in range(1, 5)]
        return [n for a, b in [(x, 61), *fan] for n in (a / 100, b / 100, 1)]

    person = {"pose_keypoints_2d": body, "face_keypoints_2d": face,
              "hand_left_keypoints_2d": hand(84), "hand_right_keypoints_2d": hand(16)}  # fmt: skip
    return json.dumps({"people": [person], "canvas_width": 512, "canvas_height": 512})


def symbol(shop: Shop, kind: str, side: int) -> Image.Image:
    """What is no picture: a text, a frame for a model or a server, a sketch."""
    image = Image.new("RGB", (side, side), (46, 49, 58))
    draw = ImageDraw.Draw(image)
    one = side / 100
    middle = {"anchor": "mm", "fill": LIGHT}
    if kind == THERE:
        for row in range(3):
            draw.rounded_rectangle(
                (20 * one, (20 + 22 * row) * one, 80 * one, (37 + 22 * row) * one), 4, outline=LIGHT, width=2
            )
            draw.ellipse(
                (68 * one, (26 + 22 * row) * one, 73 * one, (31 + 22 * row) * one), fill=(90, 210, 120)
            )
    elif kind == YOURS:
        draw.rounded_rectangle((4, 4, side - 5, side - 5), 8, outline=DIM, width=2)
        draw.text((side / 2, side / 2), YOURS, font=caption_font(side // 5), **middle)
    elif kind in ("small", "large"):
        inner = int(side * (0.45 if kind == "small" else 0.98))
        image.paste(Image.fromarray(shop.example).resize((inner, inner)), ((side - inner) // 2,) * 2)
    elif kind == "areas":
        draw.rectangle((0, 0, side, side * 0.6), fill=(6, 230, 230))
        draw.ellipse((-side * 0.3, side * 0.5, side * 1.3, side * 1.6), fill=(4, 200, 3))
        draw.ellipse((38 * one, 22 * one, 62 * one, 46 * one), fill=(150, 5, 61))
        draw.polygon([(42 * one, 44 * one), (58 * one, 44 * one), (70 * one, 90 * one), (30 * one, 90 * one)],
                     fill=(150, 5, 61))  # fmt: skip
    elif kind == "photo":
        draw.rectangle((8 * one, 12 * one, 92 * one, 88 * one), fill=(205, 214, 222))
        draw.ellipse((38 * one, 22 * one, 62 * one, 50 * one), fill=(196, 150, 120))
        draw.pieslice((18 * one, 52 * one, 82 * one, 130 * one), 180, 360, fill=(70, 84, 110))
        draw.rectangle((0, 88 * one, side, side), fill=(46, 49, 58))
    else:
        texts = {"page": '{ "prompt": …\n  "steps": 25\n  "seed": …\n  "controlnet":\n   [ … ] }',
                 "call": "POST\n/cnt/preview\nPOST\n/queryModel\nList"}  # fmt: skip
        text = texts.get(kind, kind.replace(", ", ",\n"))
        draw.multiline_text((6, 6), text, font=caption_font(max(side // 10, 11)), fill=(170, 220, 170))
    return image


def thumbnail(shop: Shop, name: str, panels: list[Panel]) -> Image.Image:
    """A band with number, title and colour of what it needs; the panels with arrows between them."""
    row = WORDS[name]
    image = Image.new("RGB", SIZE, BACK)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIZE[0], HEAD), fill=BANDS[row["needs"]])
    draw.text(
        (10, HEAD / 2), f"{row['file'][:2]}  {row['zh'][0]}", font=caption_font(21), anchor="lm", fill=LIGHT
    )
    places = rows_of(len(panels)) if len(panels) < 3 or name in EQUAL else LARGE_LAST
    for (shown, text), (x, y, side) in zip(panels, places, strict=True):
        image.paste(symbol(shop, shown, side) if isinstance(shown, str) else fitted(shown, side), (x, y))
        font = caption_font(13)
        while font.getlength(text) > side + 14 and len(text) > 4:
            text = text[:-2] + "…"
        draw.text((x + side / 2, y + side + 9), text, font=font, anchor="mm", fill=(205, 208, 214))
    if name not in EQUAL:
        x, y, side = places[-1]
        draw.polygon(
            [(x - 16, y + side / 2 - 9), (x - 3, y + side / 2), (x - 16, y + side / 2 + 9)], fill=LIGHT
        )
    return image


def rows_of(count: int) -> list[tuple[int, int, int]]:
    """Left, top and side of equal panels beside each other."""
    side = min((SIZE[0] - 12 - 18 * (count - 1)) // count, SIZE[1] - HEAD - FOOT)
    left = (SIZE[0] - side * count - 18 * (count - 1)) // 2
    top = HEAD + (SIZE[1] - HEAD - 18 - side) // 2
    return [(left + index * (side + 18), top, side) for index in range(count)]


def fitted(picture: np.ndarray, side: int) -> Image.Image:
    """A picture as a square tile."""
    image = Image.fromarray(np.asarray(picture, np.uint8).squeeze()).convert("RGB")
    return ImageOps.pad(image, (side, side), Image.Resampling.LANCZOS, color=BACK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", type=Path)
    parser.add_argument("--sheet", type=Path, help="where a sheet of all thumbnails goes")
    options = parser.parse_args()
    shop = Shop(options.example)
    rows = shop.panels()
    sheet = Image.new("RGB", (5 * 410, math.ceil(len(MAKERS) / 5) * 310))
    for index, name in enumerate(MAKERS):
        image = thumbnail(shop, name, rows[name])
        image.save(path_of(name).with_suffix(".jpg"), quality=86, optimize=True)
        sheet.paste(image, (index % 5 * 410, index // 5 * 310))
    if options.sheet:
        sheet.save(options.sheet)


if __name__ == "__main__":
    main()
