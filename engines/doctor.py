"""`img-open doctor`: what is installed, what does not load, and what to do about it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata, util

from ..base.command import PACK, command, pip, version
from .doctor_facts import host_lines, place_lines, profile_lines

_SECONDS = 120.0


@dataclass(frozen=True)
class Part:
    """One package the pack can use.

    Attributes:
        module: import name.
        package: name for pip.
        use: what it is needed for.
        probe: a statement that shows whether it really works; empty means importing it.
        install: what to tell pip where it is absent; empty where nothing is missed.
        advice: what to do instead where pip for this very Python would be wrong.
    """

    module: str
    package: str
    use: str
    probe: str = ""
    install: str = "install {}"
    advice: str = ""


_STANDALONE = "in a Python of its own, never in ComfyUI's: pip install \".[standalone]\" in the pack's folder"

PARTS = (
    Part("requests", "requests", "everything remote"),
    Part("cv2", "opencv-python-headless", "preprocessors, sizing of control images"),
    Part("torch", "torch", "local generation"),
    Part("torchvision", "torchvision", "nothing here; other packages load it if it is there", install=""),
    Part("transformers", "transformers", "local generation", "from transformers import CLIPTextModel"),
    Part(
        "diffusers",
        "diffusers",
        "img-open run and serve",
        "from diffusers import UNet2DConditionModel",
        advice=_STANDALONE,
    ),
    Part("accelerate", "accelerate", "img-open run and serve", advice=_STANDALONE),
    # Its own requirements would replace torch, and importing it whole needs what is not needed here.
    Part(
        "controlnet_aux",
        "controlnet-aux",
        "learned preprocessors",
        "pass",
        "install --no-deps {}==0.0.10",
    ),
    Part("onnxruntime", "onnxruntime", "openpose and DWPose"),
    Part("boto3", "boto3", "storage s3"),
)

# What a CPU build of torch beside a CUDA build of torchvision says, and what a mismatched pair says.
_TORCHVISION_SIGNS = ("torchvision::nms", "libtorch_cuda", "libc10_cuda", "torchvision has different CUDA")
_TORCHVISION_HELP = (
    "torch and torchvision are builds that do not belong together (a CPU torch beside the CUDA torchvision "
    "of the package index, for example). transformers and diffusers fail with it. Uninstall torchvision, "
    "which this pack does not need ({}), or install the build that pairs with torch."
)


@dataclass(frozen=True)
class Finding:
    """How one part stands: `ok`, `absent` or `broken`, its version, and what to do."""

    part: Part
    state: str
    version: str = ""
    advice: str = ""


def examine(part: Part) -> Finding:
    """Look at one part; it is imported in a process of its own, because a broken one may crash."""
    if util.find_spec(part.module) is None:
        line = pip(part.install.format(part.package)) if part.install else ""
        advice = part.advice or line
        return Finding(part, "absent", advice=advice)
    try:
        version = metadata.version(part.package)
    except metadata.PackageNotFoundError:
        version = "?"
    program = part.probe or f"import {part.module}"
    try:
        result = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Finding(part, "broken", version, f"`{program}` did not end within {_SECONDS:.0f} s.")
    if result.returncode == 0:
        return Finding(part, "ok", version)
    return Finding(part, "broken", version, advice_for(part, result.stderr))


def advice_for(part: Part, output: str) -> str:
    """What to do about an import that failed with this output."""
    if any(sign in output for sign in _TORCHVISION_SIGNS):
        return _TORCHVISION_HELP.format(pip("uninstall torchvision"))
    last = output.strip().splitlines()[-1:] or ["it ended without a word"]
    return f"{last[0][:200]}. Reinstall it: {pip(f'install --force-reinstall --no-deps {part.package}')}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`doctor` takes no arguments."""
    parser.description = (
        "Shows which packages work with this Python and what to do about those that do not, where ComfyUI "
        "and the pack's files are, and which profiles there are (never a key)."
    )


def run(_: argparse.Namespace) -> int:
    """Print one line per part and advice below. Exit status 1 if an installed part does not load."""
    print(f"img-open {version()} in {PACK}")
    print(f"Python {sys.version.split()[0]} ({sys.executable})")
    broken = False
    for finding in map(examine, PARTS):
        part = finding.part
        broken = broken or finding.state == "broken"
        print(f"{finding.state:7} {part.module:15} {finding.version:12} {part.use}")
        if finding.advice:
            print(f"        -> {finding.advice}")
    for line in [*host_lines(), *profile_lines(), *place_lines()]:
        print(line)
    print(f"Weights of the preprocessors: {command('models list')}")
    return 1 if broken else 0
