"""API-format graphs for tests, and pictures to feed them with."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

Graph = dict[str, Any]

CHECKPOINT = "tiny_sd15.safetensors"
CONTROL = "tiny_control_sd15_canny.safetensors"


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node."""
    return {"class_type": class_type, "inputs": inputs}


def write_picture(path: Path, width: int, height: int, kind: str = "shapes") -> None:
    """A deterministic RGB PNG: a bright disc and bars on a gradient, or `edges`: white lines on black."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            disc = (x - width * 0.4) ** 2 + (y - height * 0.5) ** 2 < (0.25 * min(width, height)) ** 2
            bar = (x * 8 // width) % 4 == 3
            if kind == "edges":
                rows += b"\xff\xff\xff" if x == y or (x % 16 == 5 and y > 8) else b"\x00\x00\x00"
            elif disc:
                rows += bytes((230, 60, 40))
            else:
                rows += bytes((40 + 150 * x // width, 60 + 120 * y // height, 200 if bar else 90))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    path.write_bytes(data)


def sampling(positive: list[Any], negative: list[Any], prefix: str, batch: int = 1, steps: int = 2) -> Graph:
    """From the nodes `models`, `latent` and the two conditionings to saved latents and pictures."""
    return {
        "sample": node(
            "KSampler",
            model=["models", 0],
            positive=positive,
            negative=negative,
            latent_image=["latent", 0],
            seed=7,
            steps=steps,
            cfg=3.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["models", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix=prefix),
        "save_latent": node("SaveLatent", samples=["sample", 0], filename_prefix=prefix),
    }


def models(width: int = 64, height: int = 64, batch: int = 1) -> Graph:
    """Checkpoint, control model, two texts and an empty latent."""
    return {
        "models": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        "control": node("ControlNetLoader", control_net_name=CONTROL),
        "yes": node("CLIPTextEncode", clip=["models", 1], text="a red disc"),
        "no": node("CLIPTextEncode", clip=["models", 1], text="blurry"),
        "latent": node("EmptyLatentImage", width=width, height=height, batch_size=batch),
    }


def applied(**widgets: Any) -> dict[str, Any]:
    """Our node on the conditioning of `models`, with the picture of the node `picture`; None unwires."""
    wires: Graph = {
        "positive": ["yes", 0],
        "negative": ["no", 0],
        "control_net": ["control", 0],
        "image": ["picture", 0],
        "latent": ["latent", 0],
    }
    wanted = {**wires, **widgets}
    return node(
        "ImgOpenControlNetApply", **{key: value for key, value in wanted.items() if value is not None}
    )
