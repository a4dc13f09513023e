"""Measure this pack's preprocessors against controlnet-aux, interleaved, on the same weights and pictures.

    python benchmarks/preprocessors.py --weights FOLDER [--device cuda:0] [--rounds 9] [--out docs/images]

FOLDER holds ControlNetHED and mlsd_large_512 (.pth or .safetensors). Prints a table of throughput ratios
(peer's time / our time: above 1 we are faster), the medians of interleaved rounds, with the spread, and
writes a plot and a JSON file. With `--memory` also peak memory and cold start, each in a process of its own.

One picture is uint8 in and out for both. A batch is ComfyUI's, floats 0..1 in and out: one `run_batch` call
here, and for the peer, which takes one picture at a time, B calls with the conversions that a node has to
make around them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SIZES = ((1, 512), (16, 512), (1, 2048))
LEARNED = ("hed", "mlsd", "lineart", "pidinet")
PEERED = ("canny", "lineart_standard", "shuffle", *LEARNED)


def pictures(count: int, side: int) -> np.ndarray:
    """uint8 `(count, side, side, 3)`: smooth noise with edges, another one per frame, always the same."""
    import cv2

    random = np.random.default_rng(side)
    frames = []
    for _ in range(count):
        coarse = random.integers(0, 256, (24, 24, 3), np.uint8)
        frame = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        for _ in range(20):
            x, y, r = (int(v) for v in random.integers(0, side, 3))
            cv2.circle(frame, (x, y), r // 6 + 4, random.integers(0, 256, 3).tolist(), 3)
        frames.append(frame)
    return np.stack(frames)


def as_batch(frames: np.ndarray) -> Any:
    """uint8 frames as ComfyUI's IMAGE; made once per array."""
    import torch

    if _batches.get("of") is not frames:
        _batches.update(of=frames, batch=torch.from_numpy(frames).float() / 255.0)
    return _batches["batch"]


_batches: dict[str, Any] = {}


class Ours:
    """This pack. Its content cache is emptied before every call, unless `keep` is set."""

    def __init__(self, weights: Path, device: str, threads: int) -> None:
        from img_open.preprocessors.runtime import PlainRuntime

        self.runtime = PlainRuntime(device, threads=threads, folders=[weights], networks=8)

    def call(self, module: str, frames: np.ndarray, resolution: int, *, keep: bool = False) -> Any:
        from img_open.controlnet.modules import effective_sliders
        from img_open.preprocessors.run import run_batch, run_module

        _, a, b, _ = effective_sliders(module)
        if not keep:
            self.runtime.cache.clear()
        settings = {"processor_res": resolution, "threshold_a": a, "threshold_b": b, "runtime": self.runtime}
        if len(frames) == 1:
            return run_module(module, frames[0], **settings)
        return run_batch(module, as_batch(frames), **settings)


def peer_class(folder: str, name: str) -> Any:
    """A detector of controlnet-aux, loaded without the package's own start, which needs torchvision."""
    import importlib.util as finder
    from types import ModuleType

    parent = "peer_controlnet_aux"
    if parent not in sys.modules:
        spec = finder.find_spec("controlnet_aux")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("controlnet-aux is not installed: pip install --no-deps controlnet-aux==0.0.10")
        package = ModuleType(parent)
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[parent] = package
    return getattr(importlib.import_module(f"{parent}.{folder}"), name)


class Peer:
    """controlnet-aux's detectors, each built once."""

    def __init__(self, weights: Path, device: str) -> None:
        self.weights, self.device = weights, device
        self._detectors: dict[str, Any] = {}

    def build(self, module: str) -> Any:
        names = {
            "canny": ("canny", "CannyDetector"),
            "lineart_standard": ("lineart_standard", "LineartStandardDetector"),
            "shuffle": ("shuffle", "ContentShuffleDetector"),
            "hed": ("hed", "HEDdetector"),
            "mlsd": ("mlsd", "MLSDdetector"),
            "lineart": ("lineart", "LineartDetector"),
            "pidinet": ("pidi", "PidiNetDetector"),
        }
        made = peer_class(*names[module])
        if module in LEARNED:
            return made.from_pretrained(str(self.weights)).to(self.device)
        return made()

    def call(self, module: str, frames: np.ndarray, resolution: int) -> Any:
        if module not in self._detectors:
            self._detectors[module] = self.build(module)
        detector = self._detectors[module]
        sizes = {"detect_resolution": resolution}
        if module == "shuffle":
            sizes.update(h=resolution, w=resolution)
        if module != "lineart_standard":
            sizes["image_resolution"] = resolution
        if len(frames) == 1:
            return detector(frames[0], output_type="np", **sizes)
        import torch

        made = []
        for values in as_batch(frames):
            frame = (values.numpy() * 255.0).round().astype(np.uint8)
            made.append(
                torch.from_numpy(detector(frame, output_type="np", **sizes).astype(np.float32) / 255.0)
            )
        return torch.stack(made)


def interleaved(
    calls: Sequence[Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> list[list[float]]:
    """Seconds of every call in every round; the calls take turns, so that other load hits them alike."""
    times = timed(calls, rounds, (clock,))
    return [each[0] for each in times]


def timed(
    calls: Sequence[Callable[[], Any]], rounds: int, clocks: Sequence[Callable[[], float]]
) -> list[list[list[float]]]:
    """Per call and clock the seconds of every round."""
    for call in calls:
        call()
    times: list[list[list[float]]] = [[[] for _ in clocks] for _ in calls]
    for turn in range(rounds):
        order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
        for index in order:
            start = [clock() for clock in clocks]
            calls[index]()
            for kept, clock, begun in zip(times[index], clocks, start, strict=True):
                kept.append(clock() - begun)
    return times


def ratio(ours: list[float], other: list[float]) -> tuple[float, float, float]:
    """Best time of other / best of ours (what other load disturbs least), and the quartiles of the rounds."""
    each = sorted(b / a for a, b in zip(ours, other, strict=True))
    return min(other) / min(ours), each[len(each) // 4], each[-1 - len(each) // 4]


def random_checkpoints(folder: Path) -> None:
    """lineart and PiDiNet with random weights: the time does not depend on them."""
    import torch
    from img_open.preprocessors.networks import BUILDERS

    torch.manual_seed(0)
    if not (folder / "sk_model.pth").is_file():
        state = BUILDERS["lineart"]().state_dict()
        torch.save(state, folder / "sk_model.pth")
        torch.save(state, folder / "sk_model2.pth")
    if not (folder / "table5_pidinet.pth").is_file():
        torch.save({"state_dict": BUILDERS["pidinet"]().state_dict()}, folder / "table5_pidinet.pth")


def as_checkpoints(given: Path, folder: Path) -> None:
    """The given weights under the names and in the format that both packages read."""
    import torch
    from img_open.preprocessors import weight_files
    from img_open.preprocessors.networks import read_state

    for key, name in (("hed", "ControlNetHED.pth"), ("mlsd", "mlsd_large_512_fp32.pth")):
        found = weight_files.find(key, [given])
        if found is None:
            raise SystemExit(f"{given} has no weights of {key}: {weight_files.describe_missing(key)}")
        torch.save({name: value.float() for name, value in read_state(found).items()}, folder / name)
    random_checkpoints(folder)


def measure(
    weights: Path, device: str, threads: int, rounds: int, modules: Sequence[str]
) -> list[dict[str, Any]]:
    """One row per module and size that the peer has too. On a CPU learned modules are left out at 2048²."""
    ours, peer = Ours(weights, device, threads), Peer(weights, device)
    rows: list[dict[str, Any]] = []
    for count, side in SIZES:
        frames = pictures(count, side)
        for module in modules:
            learned = module in LEARNED
            if learned and device == "cpu" and side == 2048:
                continue
            turns = max(1, rounds // 3) if learned else rounds * (3 if count == 1 and side == 512 else 1)
            calls = [partial(who.call, module, frames, side) for who in (ours, peer)]
            both = timed(calls, turns, (time.perf_counter, time.process_time))
            times, cpu = [each[0] for each in both], [each[1] for each in both]
            middle, low, high = ratio(*times)
            row = {
                "module": module,
                "B": count,
                "side": side,
                "ours_ms": statistics.median(times[0]) / count * 1e3,
            }
            row.update(peer_ms=statistics.median(times[1]) / count * 1e3, ratio=middle, low=low, high=high)
            row["cpu_ratio"] = ratio(cpu[0], cpu[1])[0]
            rows.append(row)
            print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    return (
        f"{row['module']:<18} B={row['B']:<3} {row['side']:>4}²  ours {row['ours_ms']:8.2f} ms  peer "
        f"{row['peer_ms']:8.2f} ms per frame  "
        f"ratio {row['ratio']:5.2f} ({row['low']:.2f} to {row['high']:.2f}), "
        f"by CPU time {row['cpu_ratio']:.2f}"
    )


def canny_overhead(ours: Ours, rounds: int) -> float:
    """Our time over that of bare cv2.Canny on the same pixels at 512²."""
    import cv2

    frames = pictures(1, 512)
    times = interleaved(
        [lambda: ours.call("canny", frames, 512), lambda: cv2.Canny(frames[0], 100, 200)], rounds * 8
    )
    return min(times[0]) / min(times[1])


def second_call(ours: Ours, peer: Peer, rounds: int) -> tuple[float, float]:
    """A peer that builds M-LSD in every run over our second call: on another picture, on the same one."""
    frames = pictures(2, 256)

    def rebuilt() -> Any:
        return peer.build("mlsd")(frames[1], detect_resolution=256, image_resolution=256, output_type="np")

    other, built = interleaved([lambda: ours.call("mlsd", frames[1:], 256), rebuilt], max(3, rounds // 2))
    same, again = interleaved(
        [lambda: ours.call("mlsd", frames[1:], 256, keep=True), rebuilt], max(3, rounds // 2)
    )
    return ratio(other, built)[0], ratio(same, again)[0]


def child(who: str, module: str, count: int, weights: Path, device: str) -> None:
    """In a process of its own: seconds to the first map, and the peak of memory above the start."""
    start = time.perf_counter()
    frames = pictures(count, 512)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (Ours(weights, device, 2) if who == "ours" else Peer(weights, device)).call(module, frames, 512)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_mb": peak / 1024}))


def memory_and_start(weights: Path, device: str) -> list[dict[str, Any]]:
    """Peak memory and cold start of both, module by module."""
    rows: list[dict[str, Any]] = []
    for module, count in (("canny", 1), ("canny", 16), ("hed", 1), ("hed", 16)):
        row: dict[str, Any] = {"module": module, "B": count}
        for who in ("ours", "peer"):
            command = [sys.executable, __file__, "--weights", str(weights), "--device", device]
            command += ["--child", f"{who},{module},{count}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row[who] = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        print(row, flush=True)
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """The ratios as bars, one group per module."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4))
    for offset, (count, side) in enumerate(SIZES):
        chosen = [row for row in rows if (row["B"], row["side"]) == (count, side)]
        places = np.arange(len(chosen)) + (offset - 1) * 0.27
        axes.bar(places, [row["cpu_ratio"] for row in chosen], 0.25, label=f"B = {count}, {side}²")
        axes.set_xticks(np.arange(len(chosen)), [row["module"] for row in chosen])
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_ylabel("CPU time: controlnet-aux / this pack")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--torch-threads", type=int, default=1, help="two wait for each other on a busy machine"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--modules", nargs="+", default=PEERED, choices=PEERED)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        who, module, count = args.child.split(",")
        child(who, module, int(count), args.weights, args.device)
        return 0
    import torch

    torch.set_num_threads(args.torch_threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder)
        as_checkpoints(args.weights, weights)
        ours, peer = Ours(weights, args.device, args.threads), Peer(weights, args.device)
        report: dict[str, Any] = {"device": args.device, "threads": args.threads, "cores": os.cpu_count()}
        report["canny_over_bare"] = canny_overhead(ours, args.rounds)
        print(f"canny at 512²: {report['canny_over_bare']:.2f} x the time of bare cv2.Canny", flush=True)
        report["second_call"] = second_call(ours, peer, args.rounds)
        other, same = report["second_call"]
        print(f"second M-LSD call, the peer building its network per run: {other:.1f} x faster on another ")
        print(f"picture, {same:.0f} x on the same one", flush=True)
        report["rows"] = measure(weights, args.device, args.threads, args.rounds, args.modules)
        if args.memory:
            report["memory"] = memory_and_start(weights, args.device)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "preprocessor_speed.json").write_text(
            json.dumps(report, indent=1) + "\n", encoding="utf-8"
        )
        plot(report["rows"], args.out / "preprocessor_speed.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
