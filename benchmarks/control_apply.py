"""What a unit costs while sampling, against ComfyUI's own ControlNetApplyAdvanced on the same model.

usage: python benchmarks/control_apply.py [--pairs 30]

Needs a ComfyUI checkout (COMFYUI_DIR, else ~/comfy/ComfyUI). SD1.5-shaped random models of a tenth of the
width (32 channels), latents 16x16 with both sides in one call, on the CPU with one thread. Each pair is one
run of the host's node and one of ours, in turns as to which goes first; time is CPU time of the process,
which other work on the machine disturbs least. The ratio's interval is a bootstrap of the median of the
pairs (95 %). So small a model makes the pack's own share larger than it is in use. Memory is the peak of
the tensors that a run allocates, from torch's profiler. Limit for both ratios: 1.05.
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
STEPS = 2
# Fields of the unit per case; "host" is ControlNetApplyAdvanced.
CASES: dict[str, dict[str, Any]] = {
    "Balanced": {},
    "ControlNet is more important": {"control_mode": "ControlNet is more important"},
    "the same, window 0 to 0.99 in steps": {
        "control_mode": "ControlNet is more important",
        "guidance_end": 0.99,
    },
}


def prepare(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Model and, per case, conditioning with the control attached. Inside ComfyUI's Python."""
    sys.path.insert(0, str(TESTS / "comfyui_exact"))
    import inside_models as tiny

    tiny.start(folder, ROOT)
    from img_open.controlnet.unit import ControlNetUnit
    from img_open.engines.comfy_control import attach
    from img_open.engines.comfy_rules import Maps

    model, control = tiny.unet("sd15"), tiny.control_net("sd15")
    texts = tiny.conditioning("sd15", 6), tiny.conditioning("sd15", 7)
    hint = tiny.picture(128, 128)
    made = {"host": tiny.host_apply(*texts, control, hint, 1.0, (0.0, 1.0))}
    for name, fields in CASES.items():
        unit = ControlNetUnit.from_wire({"enabled": True, "module": "none", "model": "any", **fields})
        made[name] = attach(*texts, control, unit, Maps(hint))

    def run(name: str) -> float:
        began = time.process_time()
        tiny.sample(model, *made[name], steps=STEPS, size=(16, 16))
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


def peaks(folder: Path) -> dict[str, int]:
    """Bytes of tensors held at most while a run is sampled, per case."""
    from torch.profiler import ProfilerActivity, profile

    run, _ = prepare(folder)
    found: dict[str, int] = {}
    for name in ("host", *CASES):
        run(name)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
            run(name)
        held = found[name] = 0
        events = [each for each in watched.profiler.kineto_results.events() if each.name() == "[memory]"]
        for each in sorted(events, key=lambda event: event.start_ns()):
            held += each.nbytes()
            found[name] = max(found[name], held)
    return found


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
    parser.add_argument("--peaks", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        inside = arguments.inside
        print(json.dumps(peaks(inside) if arguments.peaks else times(inside, arguments.pairs)))
        return 0
    sys.path.insert(0, str(TESTS / "comfyui"))
    from comfy_host import find

    found = find()
    if isinstance(found, str):
        print(found)
        return 1
    measured = ask(found, "--pairs", str(arguments.pairs))
    memories = ask(found, "--peaks")
    held = True
    print("| unit | host, ms per step | unit, ms per step | ratio (95 % interval) | peak memory ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name, pairs in measured.items():
        ratios = [ours / host for host, ours in pairs]
        low, high = interval(ratios)
        memory = memories[name] / memories["host"]
        host, ours = (statistics.median(each) * 1000 for each in zip(*pairs, strict=True))
        held = held and high <= LIMIT and memory <= LIMIT
        middle = statistics.median(ratios)
        print(f"| {name} | {host:.1f} | {ours:.1f} | {middle:.3f} ({low:.3f} to {high:.3f}) | {memory:.3f} |")
    print(f"{arguments.pairs} pairs of {STEPS} steps; limit {LIMIT}: {'held' if held else 'MISSED'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
