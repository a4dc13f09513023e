"""What a unit costs while sampling, against ComfyUI's own ControlNetApplyAdvanced on the same model.

usage: python benchmarks/control_apply.py [--pairs 30]

Needs a ComfyUI checkout (COMFYUI_DIR, else ~/comfy/ComfyUI). SD1.5-shaped random models of a fifth of the width
(64 channels), latents 32x32 with both sides in one call, on the CPU with one thread. Each pair is one run of the
host's node and one of ours, in turns as to which goes first; time is CPU time of the process, which other work on
the machine disturbs least. The ratio's interval is a bootstrap of the median of the pairs (95 %). Memory is the
peak of a fresh process per case above what it held before the first step. Limit for both ratios: 1.05.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
LIMIT = 1.05
STEPS = 4
# Fields of the unit per case; "host" is ControlNetApplyAdvanced.
CASES: dict[str, dict[str, Any]] = {
    "Balanced": {},
    "My prompt is more important": {"control_mode": "My prompt is more important"},
    "ControlNet is more important": {"control_mode": "ControlNet is more important"},
    "narrow window in steps": {"guidance_start": 0.0, "guidance_end": 0.99},
}


def prepare(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Model and, per case, conditioning with the control attached. Inside ComfyUI's Python."""
    sys.path.insert(0, str(TESTS / "comfyui_exact"))
    import inside_models as tiny

    tiny.start(folder, ROOT)
    from img_open.controlnet.unit import ControlNetUnit
    from img_open.engines.comfy_control import attach
    from img_open.engines.comfy_rules import Maps

    tiny.SD15["model_channels"] = 64
    model, control = tiny.unet("sd15"), tiny.control_net("sd15")
    texts = tiny.conditioning("sd15", 6), tiny.conditioning("sd15", 7)
    hint = tiny.picture(256, 256)
    made = {"host": tiny.host_apply(*texts, control, hint, 1.0, (0.0, 1.0))}
    for name, fields in CASES.items():
        unit = ControlNetUnit.from_wire({"enabled": True, "module": "none", "model": "any", **fields})
        made[name] = attach(*texts, control, unit, Maps(hint))

    def run(name: str) -> float:
        began = time.process_time()
        tiny.sample(model, *made[name], steps=STEPS, size=(32, 32))
        return (time.process_time() - began) / STEPS

    return run, made


def times(folder: Path, pairs: int) -> dict[str, list[list[float]]]:
    """Seconds of CPU per step, host and ours, pair by pair."""
    run, _ = prepare(folder)
    for name in ("host", *CASES):
        run(name)
    found: dict[str, list[list[float]]] = {name: [] for name in CASES}
    for number in range(pairs):
        for name in CASES:
            order = ("host", name) if number % 2 else (name, "host")
            took = {which: run(which) for which in order}
            found[name].append([took["host"], took[name]])
    return found


def peak(folder: Path, case: str) -> int:
    """Bytes that sampling adds to the peak of a fresh process."""
    import resource

    run, _ = prepare(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(case)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def interval(ratios: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[49], medians[1949]


def ask(found: tuple[Path, Path], *arguments: str) -> Any:
    """This file again, in ComfyUI's Python."""
    from comfy_host import environment

    folder, python = found
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(python), __file__, "--inside", str(folder), *arguments],
            env=environment(Path(home)),
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        made = peak(arguments.inside, arguments.peak) if arguments.peak else times(arguments.inside, arguments.pairs)
        print(json.dumps(made))
        return 0
    sys.path.insert(0, str(TESTS / "comfyui"))
    from comfy_host import find

    found = find()
    if isinstance(found, str):
        print(found)
        return 1
    measured = ask(found, "--pairs", str(arguments.pairs))
    peaks = {name: [ask(found, "--peak", name) for _ in range(3)] for name in ("host", *CASES)}
    base = statistics.median(peaks["host"])
    held = True
    print("| unit | host, ms per step | unit, ms per step | ratio (95 % interval) | peak memory ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name, pairs in measured.items():
        ratios = [ours / host for host, ours in pairs]
        low, high = interval(ratios)
        memory = statistics.median(peaks[name]) / base
        host, ours = (statistics.median(each) * 1000 for each in zip(*pairs, strict=True))
        held = held and high <= LIMIT and memory <= LIMIT
        middle = statistics.median(ratios)
        print(f"| {name} | {host:.1f} | {ours:.1f} | {middle:.3f} ({low:.3f} to {high:.3f}) | {memory:.3f} |")
    print(f"{arguments.pairs} pairs of {STEPS} steps; limit {LIMIT}: {'held' if held else 'MISSED'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
