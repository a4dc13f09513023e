"""A real gateway process over a tiny engine: `python tiny_server.py ARGUMENTS-OF-SERVE`.

The engine keeps the protocol of `img_open.engines.types.Engine` and makes pictures that depend on the seed
alone, so that tests can tell which task they belong to and when one was done twice.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import numpy as np
from img_open.base.errors import Cancelled, MissingModel
from img_open.engines.types import Info, Progress, Result
from img_open.gateway.command import add_arguments, run, settings_from

STEP_S = 0.02


def painted(seed: int, height: int, width: int) -> np.ndarray:
    """The picture of a seed: a grey value and a ramp, exact in PNG."""
    image = np.full((height, width, 3), seed % 251, np.uint8)
    image[:, :, 2] = np.arange(width, dtype=np.uint8)[None, :]
    return image


class TinyEngine:
    """Paints the seed, a step at a time. Some prompts make it misbehave."""

    name = "tiny"

    def run(self, request, *, pictures=None, progress=None, cancelled=None) -> Result:
        with open(os.environ["TINY_LEDGER"], "a", encoding="utf-8") as ledger:
            ledger.write(f"{request.id_task}\n")
        if request.prompt == "explode":
            raise RuntimeError("secret canary-in-a-traceback")
        if request.prompt == "nothing":
            return Result()
        if request.checkpoint not in ("", "tiny"):
            raise MissingModel(f"There is no checkpoint named {request.checkpoint!r}.", "There are: tiny.")
        for _, link in request.links():
            pictures.get(link)
        for step in range(request.steps):
            if cancelled():
                raise Cancelled("stopped")
            progress(Progress(step / request.steps, "sampling", preview=painted(step, 32, 48)))
            time.sleep(STEP_S)
        seeds = [request.seed_number + index for index in range(request.image_count)]
        return Result(
            images=[painted(seed, request.height, request.width) for seed in seeds],
            seeds=seeds,
            control_images=[painted(1, 8, 8)] if request.units else [],
            infos=[Info("restore_faces", "refused", "Not here.")] if request.restore_faces else [],
        )


def main() -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    rows = [
        {"name": "tiny", "type": "checkpoint", "layout": "file", "bytes": 1},
        {"name": "other.safetensors", "type": "checkpoint", "layout": "file", "bytes": 1},
        {"name": "canny", "type": "controlnet", "layout": "file", "bytes": 1},
    ]
    return run(TinyEngine(), settings_from(parser.parse_args()), rows=lambda: rows)


if __name__ == "__main__":
    sys.exit(main())
