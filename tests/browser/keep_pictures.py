"""Puts the screenshots of a browser test run where the documentation shows them. Look at each one.

    IMG_OPEN_SCREENSHOTS=/tmp/shots pytest tests/browser
    python tests/browser/keep_pictures.py /tmp/shots
    python -m img_open.nodes.operation_pages

The last one puts the nodes' pictures into the help pages. The thumbnails of example_workflows have a script
of their own: tests/comfyui/make_thumbnails.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SCENES = {"paste-own": "canvas-paste", "run-newer": "canvas-run", "tasks-newer": "canvas-tasks",
          "settings-own": "canvas-settings", "preview-newer": "canvas-preview",
          "models-own-en-dark": "model-browser"}  # fmt: skip
Box = tuple[int, int, int, int]
PARTS: dict[str, Box] = {"model-browser": (205, 84, 1396, 916)}  # left, top, right, bottom
COLOURS = 128
LARGEST = 300 * 1024


def keep(source: Path, target: Path, colours: int = COLOURS, box: Box | None = None) -> None:
    """Write a picture as a small PNG: the canvas has few colours; a part with covers (`box`) keeps all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as picture:
        small = picture.convert("RGB").crop(box) if box else picture.convert("RGB")
        if box is None:
            small = small.quantize(colours, kmeans=1, dither=Image.Dither.NONE)
        small.save(target, optimize=True)
    if target.stat().st_size > LARGEST:
        raise SystemExit(f"{target} is larger than {LARGEST // 1024} KiB.")


def main(folder: Path) -> None:
    for scene, name in SCENES.items():
        if (folder / f"{scene}.png").is_file():
            target = ROOT / "docs" / "images" / f"{name}.png"
            keep(folder / f"{scene}.png", target, 255, PARTS.get(name))
    for source in sorted((folder / "nodes" / "own").glob("*.png")):
        node, _, locale = source.stem.rpartition("-")
        keep(source, ROOT / "web" / "docs" / node / f"{locale}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
