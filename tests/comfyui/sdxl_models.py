"""The tiny SDXL files, made once where a test needs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from comfy_host import Host, environment

CHECKPOINT = "tiny_sdxl.ckpt"
CONTROL = "tiny_control_sdxl_canny.ckpt"


def make_tiny_sdxl(host: Host) -> None:
    """Write both files into the host's models folder, unless they are there."""
    models = host.base / "models"
    if (models / "controlnet" / CONTROL).is_file():
        return
    script = Path(__file__).with_name("tiny_sdxl.py")
    subprocess.run(
        [str(host.python), str(script), str(host.folder), str(models)],
        check=True,
        capture_output=True,
        timeout=120,
        env=environment(host.base),
    )
