"""Who takes part in benchmarks/preprocessors.py: this pack, controlnet-aux, comfyui_controlnet_aux.

The last one changes what is imported under its names, so it runs in a process of its own and measures itself;
the turns are still taken one by one. It gets the same pictures, weights and thread counts.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LEARNED = ("hed", "mlsd", "lineart", "pidinet")
MODULES = ("canny", "lineart_standard", "shuffle", *LEARNED)
CLOCKS = (time.perf_counter, time.process_time)

Seconds = tuple[float, float]  # wall, CPU


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


_known: dict[tuple[int, int], Any] = {}


def frames_of(count: int, side: int) -> np.ndarray:
    """`pictures`, made once."""
    if (count, side, 0) not in _known:
        _known[count, side, 0] = pictures(count, side)
    return _known[count, side, 0]


def batch_of(count: int, side: int) -> Any:
    """The same as ComfyUI's IMAGE: floats 0..1; made once."""
    import torch

    if (count, side, 1) not in _known:
        _known[count, side, 1] = torch.from_numpy(frames_of(count, side)).float() / 255.0
    return _known[count, side, 1]


def seconds_of(call: Callable[[], Any]) -> Seconds:
    """Wall and CPU time of one call."""
    before = [clock() for clock in CLOCKS]
    call()
    wall, cpu = (clock() - start for clock, start in zip(CLOCKS, before, strict=True))
    return wall, cpu


class Ours:
    """This pack. Its content cache is emptied before every call, unless `keep` is set."""

    name = "this pack"

    def __init__(self, weights: Path, device: str, threads: int) -> None:
        from img_open.preprocessors.runtime import PlainRuntime

        self.runtime = PlainRuntime(device, threads=threads, folders=[weights], networks=8)

    def call(self, module: str, count: int, side: int, keep: bool = False) -> Any:
        """One picture as bytes, or a batch as floats."""
        from img_open.controlnet.modules import effective_sliders
        from img_open.preprocessors.run import run_batch, run_module

        _, a, b, _ = effective_sliders(module)
        if not keep:
            self.runtime.cache.clear()
        settings = {"processor_res": side, "threshold_a": a, "threshold_b": b, "runtime": self.runtime}
        if count == 1:
            return run_module(module, frames_of(1, side)[0], **settings)
        return run_batch(module, batch_of(count, side), **settings)

    def timed(self, module: str, count: int, side: int, keep: bool = False) -> Seconds:
        """Seconds of one call."""
        return seconds_of(lambda: self.call(module, count, side, keep))


DETECTORS = {
    "canny": ("canny", "CannyDetector"),
    "lineart_standard": ("lineart_standard", "LineartStandardDetector"),
    "shuffle": ("shuffle", "ContentShuffleDetector"),
    "hed": ("hed", "HEDdetector"),
    "mlsd": ("mlsd", "MLSDdetector"),
    "lineart": ("lineart", "LineartDetector"),
    "pidinet": ("pidi", "PidiNetDetector"),
}


class Aux:
    """controlnet-aux's detectors, each built once, or anew for every call. One picture at a time.

    A batch is B calls with the conversions that a node has to make around them.
    """

    name = "controlnet-aux"

    def __init__(self, weights: Path, device: str) -> None:
        self.weights, self.device = weights, device
        self._detectors: dict[str, Any] = {}

    def detector_class(self, file: str, name: str) -> Any:
        """A detector class, loaded without the package's own start, which needs torchvision."""
        import importlib.util as finder
        from types import ModuleType

        parent = "peer_controlnet_aux"
        if parent not in sys.modules:
            spec = finder.find_spec("controlnet_aux")
            if spec is None or not spec.submodule_search_locations:
                raise SystemExit("controlnet-aux is missing: pip install --no-deps controlnet-aux==0.0.10")
            package = ModuleType(parent)
            package.__path__ = list(spec.submodule_search_locations)
            sys.modules[parent] = package
        return getattr(importlib.import_module(f"{parent}.{file}"), name)

    def build(self, module: str) -> Any:
        """A detector, its network read from disk."""
        made = self.detector_class(*DETECTORS[module])
        if module in LEARNED:
            return made.from_pretrained(str(self.weights)).to(self.device)
        return made()

    def settings(self, module: str, side: int) -> dict[str, Any]:
        """The arguments that bring the picture through at its own size."""
        sizes: dict[str, Any] = {"detect_resolution": side}
        if module == "shuffle":
            sizes.update(h=side, w=side)
        if module != "lineart_standard":
            sizes["image_resolution"] = side
        return sizes

    def call(self, module: str, count: int, side: int, rebuild: bool = False) -> Any:
        """One picture as bytes, or a batch as floats."""
        if rebuild or module not in self._detectors:
            self._detectors[module] = self.build(module)
        detector, settings = self._detectors[module], self.settings(module, side)
        if count == 1:
            return detector(frames_of(1, side)[0], output_type="np", **settings)
        import torch

        made = []
        for values in batch_of(count, side):
            frame = (values.numpy() * 255.0).round().astype(np.uint8)
            answer = detector(frame, output_type="np", **settings)
            made.append(torch.from_numpy(answer.astype(np.float32) / 255.0))
        return torch.stack(made)

    def timed(self, module: str, count: int, side: int, rebuild: bool = False) -> Seconds:
        """Seconds of one call."""
        return seconds_of(lambda: self.call(module, count, side, rebuild))


class ComfyAux(Aux):
    """comfyui_controlnet_aux's detectors, from a checkout; for its own process only."""

    name = "comfyui_controlnet_aux"

    def __init__(self, checkout: Path, weights: Path, device: str) -> None:
        super().__init__(weights, device)
        places = weights / "ckpts" / "lllyasviel"
        places.mkdir(parents=True, exist_ok=True)
        if not (places / "Annotators").exists():
            (places / "Annotators").symlink_to(weights, target_is_directory=True)
        os.environ.update(
            AUX_ANNOTATOR_CKPTS_PATH=str(weights / "ckpts"),
            AUX_TEMP_DIR=str(weights),
            AUX_USE_SYMLINKS="False",
            AUX_ORT_PROVIDERS="CPUExecutionProvider",
        )
        sys.path.insert(0, str(checkout / "src"))

    def detector_class(self, file: str, name: str) -> Any:
        return getattr(importlib.import_module(f"custom_controlnet_aux.{file}"), name)

    def build(self, module: str) -> Any:
        made = self.detector_class(*DETECTORS[module])
        return made.from_pretrained().to(self.device) if module in LEARNED else made()

    def settings(self, module: str, side: int) -> dict[str, Any]:
        return {"detect_resolution": side, **({"seed": 1} if module == "shuffle" else {})}


class InChild:
    """A peer in a process of its own: it is told what to do and answers with the seconds it took."""

    def __init__(self, who: str, options: dict[str, Any]) -> None:
        self.name = ComfyAux.name
        command = [sys.executable, __file__, who, json.dumps(options)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def timed(self, module: str, count: int, side: int, rebuild: bool = False) -> Seconds:
        """Seconds of one call, as measured there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([module, count, side, rebuild]), file=self._process.stdin, flush=True)
        for line in self._process.stdout:  # what the package itself prints is passed over
            if line.startswith("SECONDS "):
                wall, cpu = json.loads(line[8:])
                return wall, cpu
        raise SystemExit(f"{self.name} ended while it made {module}.")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


def participant(who: str, options: dict[str, Any]) -> Any:
    """`ours`, `aux` or `comfy`, in this process."""
    weights, device = Path(options["weights"]), options["device"]
    if who == "ours":
        return Ours(weights, device, options["threads"])
    if who == "aux":
        return Aux(weights, device)
    return ComfyAux(Path(options["checkout"]), weights, device)


def serve(who: str, options: dict[str, Any]) -> None:
    """Do what the lines of the standard input say."""
    import torch

    torch.set_num_threads(options["torch_threads"])
    peer = participant(who, options)
    for line in sys.stdin:
        print("SECONDS", json.dumps(peer.timed(*json.loads(line))), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
