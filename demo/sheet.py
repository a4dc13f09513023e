"""Contact sheets: pictures with captions, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.pictures import decode_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Cell = tuple[NDArray[np.uint8], str]

CELL, GAP, CAPTION, TITLE = 192, 12, 40, 30  # pixels; a caption has room for two lines
PROMPTS = [
    "a red star on a blue background",
    "a yellow star on a green background",
    "蓝色背景上的红色星星",
    "a green star on a purple background",
]
MODES = ["Balanced", "My prompt is more important", "ControlNet is more important"]
WEIGHTS = [0.0, 0.25, 0.5, 1.0]
WINDOWS = [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (0.0, 1.0)]


def labelled_grid(rows: list[tuple[str, list[Cell]]]) -> NDArray[np.uint8]:
    """Draw rows of captioned pictures; each picture is shown `CELL` pixels wide, enlarged without blur.

    Returns uint8 (H, W, 3).
    """
    import numpy as np
    from PIL import Image, ImageDraw

    columns = max(len(cells) for _, cells in rows)
    width = GAP + columns * (CELL + GAP)
    row_height = TITLE + CELL + CAPTION + GAP
    sheet = Image.new("RGB", (width, GAP + len(rows) * row_height), (250, 250, 248))
    draw = ImageDraw.Draw(sheet)
    small, large = caption_font(13), caption_font(16)
    for index, (title, cells) in enumerate(rows):
        top = GAP + index * row_height
        draw.text((GAP, top), title, fill=(20, 20, 20), font=large)
        for column, (picture, text) in enumerate(cells):
            left = GAP + column * (CELL + GAP)
            sheet.paste(fitted(picture), (left, top + TITLE - 4))
            draw.text((left, top + TITLE + CELL), wrapped(text, small), fill=(70, 70, 70), font=small)
    return np.asarray(sheet)


def fitted(picture: NDArray[np.uint8]) -> Any:
    """One picture as a square tile on white, whole pixels enlarged, large ones reduced smoothly."""
    from PIL import Image, ImageOps

    image = Image.fromarray(picture).convert("RGB")
    method = Image.Resampling.NEAREST if max(image.size) <= CELL // 2 else Image.Resampling.LANCZOS
    return ImageOps.pad(image, (CELL, CELL), method, color=(255, 255, 255))


def wrapped(text: str, font: Any) -> str:
    """The text with a line break before the first word that would not fit under a picture."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > CELL:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def caption_font(size: int) -> Any:
    """A font that has Chinese characters where the machine has one, else Pillow's own."""
    from PIL import ImageFont

    for name in ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc", "simhei.ttf"):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def parameter_sheet(picture: Path, say: Callable[[str], None] = lambda text: None) -> NDArray[np.uint8]:
    """Four prompts, four weights, three control modes and four step windows on the demo model.

    Args:
        picture: the file that control images are made from.
        say: gets the name of each row and a dot for each picture, as they are made.
    """
    from ..engines.diffusers import DiffusersEngine
    from ..engines.models import LocalModels

    engine = DiffusersEngine(LocalModels.demo(), device="cpu", threads=1)
    source = decode_picture(picture.read_bytes())

    def row(name: str, changes: list[dict[str, Any]]) -> list[NDArray[np.uint8]]:
        say(f"  {name} ")
        pictures: list[NDArray[np.uint8]] = []
        for change in changes:
            pictures.append(drawn(engine, source, **change))
            say(".")
        say("\n")
        return pictures

    prompts = row("prompt", [{"prompt": prompt} for prompt in PROMPTS])
    weights = row("weight", [{"weight": weight} for weight in WEIGHTS])
    # Prompt and control image disagree here, so that the mode has something to decide.
    other = "a green circle on a yellow background"
    modes = row("control mode", [{"prompt": other, "control_mode": mode} for mode in MODES])
    windows = row("step window", [{"guidance_start": start, "guidance_end": end} for start, end in WINDOWS])
    return labelled_grid(
        [
            (
                "the same control image, four prompts",
                [(source, "picture"), *zip(prompts, PROMPTS, strict=True)],
            ),
            ("weight", list(zip(weights, map(str, WEIGHTS), strict=True))),
            (
                "control_mode, prompt “a green circle …” against the star",
                list(zip(modes, MODES, strict=True)),
            ),
            (
                "guidance_start – guidance_end",
                [(image, f"{a} – {b}") for image, (a, b) in zip(windows, WINDOWS, strict=True)],
            ),
        ]
    )


def drawn(engine: Any, source: NDArray[np.uint8], prompt: str = PROMPTS[0], **unit: Any) -> NDArray[np.uint8]:
    """One picture of the demo model under canny control."""
    from ..api.request import Request
    from ..storage.pictures import Pictures

    pictures = Pictures()
    args = {
        "module": "canny",
        "model": "canny",
        "enabled": True,
        "pixel_perfect": True,
        "image_link": pictures.add(source),
        **unit,
    }
    body = {
        "prompt": prompt,
        "steps": 20,
        "seed": 7,
        "width": 128,
        "height": 128,
        "cfg_scale": 3,
        "sampler_index": "Euler",
        "alwayson_scripts": {"sd_model_checkpoint": "demo", "controlnet": {"args": [args]}},
    }
    return engine.run(Request.from_wire(body), pictures=pictures).images[0]
