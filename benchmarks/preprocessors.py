"""Measure this pack's preprocessors against its peers, in turns, on the same weights and pictures.

    python benchmarks/preprocessors.py --weights FOLDER [--comfyui-controlnet-aux CHECKOUT] [--write]

FOLDER holds ControlNetHED and mlsd_large_512 (.pth or .safetensors). The peers are the installed
controlnet-aux and, where a checkout is given, comfyui_controlnet_aux. Prints a line per module and size
(better peer's time / our time: above 1 we are faster); with `--memory` also cold start and peak memory, each
in a process of its own; `--write` puts table and plot into docs. About eight minutes on two quiet cores.

One picture is uint8 in and out for all. A batch is ComfyUI's, floats 0..1 in and out: one `run_batch` call
here, and for the peers, which take one picture at a time, B calls with the conversions that a node has to
make around them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preprocessor_peers import LEARNED, MODULES, Aux, InChild, Ours, frames_of, participant, seconds_of
from preprocessor_report import write

SIZES = ((1, 512), (16, 512), (1, 2048))
SECOND = ("mlsd", "hed")  # with real weights


def random_checkpoints(folder: Path) -> None:
    """lineart and PiDiNet with random weights: the time does not depend on them."""
    import torch
    from img_open.preprocessors.networks import BUILDERS

    torch.manual_seed(0)
    state = BUILDERS["lineart"]().state_dict()
    torch.save(state, folder / "sk_model.pth")
    torch.save(state, folder / "sk_model2.pth")
    torch.save({"state_dict": BUILDERS["pidinet"]().state_dict()}, folder / "table5_pidinet.pth")


def as_checkpoints(given: Path, folder: Path) -> None:
    """The given weights under the names and in the format that all packages read."""
    import torch
    from img_open.preprocessors import weight_files
    from img_open.preprocessors.networks import read_state

    for key, name in (("hed", "ControlNetHED.pth"), ("mlsd", "mlsd_large_512_fp32.pth")):
        found = weight_files.find(key, [given])
        if found is None:
            raise SystemExit(f"{given} has no weights of {key}: {weight_files.describe_missing(key)}")
        torch.save({name: value.float() for name, value in read_state(found).items()}, folder / name)
    random_checkpoints(folder)


def left_out(module: str, count: int, side: int, quick: bool) -> bool:
    """Learned modules: all sizes, but 2048² for those with real weights only (minutes otherwise)."""
    if module not in LEARNED or (count, side) == (1, 512):
        return False
    return quick or (side == 2048 and module not in SECOND)


def rounds_for(module: str, count: int, side: int, rounds: int) -> int:
    """More rounds where a call is short: a ratio of short calls is the one that other work disturbs."""
    if module not in LEARNED:
        return rounds * 4 if (count, side) == (1, 512) else rounds
    if (count, side) == (1, 512):
        return max(2, rounds // 2)
    return 1


def compare(everyone: Sequence[Any], module: str, count: int, side: int, rounds: int) -> dict[str, Any]:
    """One row: times of all, the better peer's over ours, by wall and by CPU."""
    ours, *peers = everyone
    turns = rounds_for(module, count, side, rounds)
    if turns > 1:  # the first call builds networks and fills caches of the memory allocator
        for who in everyone:
            who.timed(module, count, side)
    times: dict[str, list[tuple[float, float]]] = {who.name: [] for who in everyone}
    for turn in range(turns):
        for who in everyone if turn % 2 == 0 else reversed(everyone):
            times[who.name].append(who.timed(module, count, side))
    wall = {name: min(each[0] for each in row) for name, row in times.items()}
    cpu = {name: min(each[1] for each in row) for name, row in times.items()}
    better = min(peers, key=lambda who: wall[who.name]).name
    each = sorted(b[0] / a[0] for a, b in zip(times[ours.name], times[better], strict=True))
    return {
        "module": module,
        "B": count,
        "side": side,
        "ours_ms": wall[ours.name] / count * 1e3,
        "peers_ms": {who.name: wall[who.name] / count * 1e3 for who in peers},
        "ratio": wall[better] / wall[ours.name],
        "low": each[len(each) // 4],
        "high": each[-1 - len(each) // 4],
        "cpu_ratio": min(cpu[who.name] for who in peers) / cpu[ours.name],
        "limit": 1.3 if count > 1 and module not in LEARNED else 1.0,
    }


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    peers = ", ".join(f"{name} {value:.2f}" for name, value in row["peers_ms"].items())
    return (
        f"{row['module']:<18} B={row['B']:<3} {row['side']:>4}²  ours {row['ours_ms']:8.2f} ms, {peers}  "
        f"ratio {row['ratio']:5.2f} ({row['low']:.2f} to {row['high']:.2f}), by CPU {row['cpu_ratio']:.2f}"
    )


def canny_overhead(ours: Ours, rounds: int) -> float:
    """Our time over that of bare cv2.Canny on the same pixels at 512²."""
    import cv2

    picture = frames_of(1, 512)[0]
    ours.call("canny", 1, 512)
    times: list[list[float]] = [[], []]
    for _ in range(rounds * 10):
        times[0].append(ours.timed("canny", 1, 512)[0])
        times[1].append(seconds_of(lambda: cv2.Canny(picture, 100, 200))[0])
    return min(times[0]) / min(times[1])


def second_call(everyone: Sequence[Any], module: str, rounds: int) -> dict[str, Any]:
    """Peers that build the network in every run over our second call: on another picture, on the same one."""
    ours, *peers = everyone
    ours.call(module, 1, 256)
    times: dict[str, list[float]] = {"other": [], "same": [], **{who.name: [] for who in peers}}
    for _ in range(max(2, rounds // 2)):
        times["other"].append(ours.timed(module, 1, 256)[0])
        times["same"].append(ours.timed(module, 1, 256, True)[0])
        for who in peers:
            times[who.name].append(who.timed(module, 1, 256, True)[0])
    middle = {name: statistics.median(each) for name, each in times.items()}
    return {
        "module": module,
        **{
            which: {who.name: middle[who.name] / middle[which] for who in peers}
            for which in ("other", "same")
        },
    }


def peak_mb() -> float:
    """The most memory this process had so far. getrusage would count the parent's from before the exec."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(who: str, module: str, count: int, options: dict[str, Any]) -> None:
    """In a process of its own: seconds to the first map, and the peak of memory above the start."""
    frames_of(count, 512)
    before = peak_mb()
    start = time.perf_counter()
    participant(who, options).call(module, count, 512)
    seconds = time.perf_counter() - start
    print("MADE", json.dumps({"seconds": seconds, "peak_mb": peak_mb() - before}))


def memory_and_start(names: dict[str, str], options: dict[str, Any]) -> list[dict[str, Any]]:
    """Peak memory and cold start of all, module by module."""
    rows: list[dict[str, Any]] = []
    environment = {**os.environ, "OMP_NUM_THREADS": str(options["torch_threads"])}
    for module, count in (("canny", 1), ("canny", 16), ("hed", 1), ("hed", 16)):
        made: dict[str, Any] = {}
        for who, name in names.items():
            command = [sys.executable, __file__, "--child", json.dumps([who, module, count, options])]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            told = next(line for line in done.stdout.splitlines() if line.startswith("MADE "))
            made[name] = json.loads(told[5:])
        rows.append({"module": module, "B": count, "made": made})
        print(rows[-1], flush=True)
    return rows


def measure(args: argparse.Namespace, weights: Path) -> dict[str, Any]:
    """The whole run."""
    options = {
        "weights": str(weights),
        "device": args.device,
        "threads": args.threads,
        "torch_threads": args.torch_threads,
        "checkout": str(args.comfyui_controlnet_aux or ""),
    }
    everyone: list[Any] = [Ours(weights, args.device, args.threads), Aux(weights, args.device)]
    names = {"ours": "this pack", "aux": everyone[1].name}
    if args.comfyui_controlnet_aux:
        everyone.append(InChild("comfy", options))
        names["comfy"] = everyone[2].name
    report: dict[str, Any] = {
        "device": args.device,
        "threads": args.threads,
        "torch_threads": args.torch_threads,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "peers": [who.name for who in everyone[1:]],
        "canny_over_bare": canny_overhead(everyone[0], args.rounds),
    }
    print(f"canny at 512²: {report['canny_over_bare']:.2f} x the time of bare cv2.Canny", flush=True)
    report["second_call"] = []
    for module in (each for each in SECOND if each in args.modules):
        report["second_call"].append(second_call(everyone, module, args.rounds))
        print("second call", report["second_call"][-1], flush=True)
    report["rows"] = []
    for count, side in SIZES:
        for module in args.modules:
            if left_out(module, count, side, args.quick):
                continue
            report["rows"].append(compare(everyone, module, count, side, args.rounds))
            print(line(report["rows"][-1]), flush=True)
    for who in everyone[2:]:
        who.close()
    if args.memory:
        report["memory"] = memory_and_start(names, options)
    return report


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--comfyui-controlnet-aux", type=Path, metavar="CHECKOUT")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--torch-threads", type=int, default=1, help="two wait for each other on a busy machine"
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--modules", nargs="+", default=MODULES, choices=MODULES)
    parser.add_argument("--quick", action="store_true", help="learned modules at B = 1 and 512² only")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--write", action="store_true", help="put table and plot into docs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*json.loads(args.child))
        return 0
    if args.weights is None:
        parser.error("--weights: a folder with ControlNetHED and mlsd_large_512")
    import torch

    torch.set_num_threads(args.torch_threads)
    with tempfile.TemporaryDirectory() as folder:
        as_checkpoints(args.weights, Path(folder))
        report = measure(args, Path(folder))
    if args.write:
        write(report)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
