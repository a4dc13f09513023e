"""Half precision: where it is allowed the map stays within the stated tolerance. Run on the CPU, in the very
precisions; what a graphics card rounds otherwise is not measured here."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import random_weights
import torch
from img_open.controlnet.modules import effective_sliders
from img_open.preprocessors import networks, run
from img_open.preprocessors.registry import PREPROCESSORS
from img_open.preprocessors.runtime import PlainRuntime
from img_open.preprocessors.weights_table import HALF_LEVELS, HALF_SHARE, WEIGHTS

HALVED = [(key, half) for key, entry in WEIGHTS.items() for half in entry.half]
_REAL = Path(os.environ.get("IMG_OPEN_TEST_WEIGHTS", ""))


def made(key: str, picture: np.ndarray, folder: Path, half: str) -> np.ndarray:
    module = MODULES[key]
    res, a, b, _ = effective_sliders(module, 128)
    runtime = PlainRuntime("cpu", folders=[folder], half=half)
    return run.run_module(module, picture, processor_res=res, threshold_a=a, threshold_b=b, runtime=runtime)


MODULES = {
    "hed": "hed",
    "pidinet": "pidinet",
    "lineart": "lineart",
    "lineart_coarse": "lineart_coarse",
    "lineart_anime": "lineart_anime",
    "teed": "softedge_teed",
    "mteed": "softedge_anyline",
}


def check(full: np.ndarray, halved: np.ndarray, half: str) -> None:
    assert full.any()
    beyond = np.abs(full.astype(int) - halved) > HALF_LEVELS[half]
    assert float(beyond.mean()) <= HALF_SHARE


def test_every_halved_network_is_measured_here():
    assert {key for key, _ in HALVED} == set(MODULES)
    for key, module in MODULES.items():
        assert PREPROCESSORS[module].weights == (key,)


@pytest.mark.parametrize(("key", "half"), HALVED, ids=lambda value: value)
def test_the_map_stays_within_the_tolerance(golden, tmp_path, key, half):
    random_weights.write(key, tmp_path)
    picture = golden.load("inputs/photo_256.png")
    check(made(key, picture, tmp_path, ""), made(key, picture, tmp_path, half), half)


@pytest.mark.skipif(Path() == _REAL or not _REAL.is_dir(), reason="IMG_OPEN_TEST_WEIGHTS names no folder")
@pytest.mark.parametrize(
    ("key", "half"), [pair for pair in HALVED if pair[0] == "hed"], ids=lambda value: value
)
def test_the_map_of_real_weights_stays_within_the_tolerance(golden, key, half):
    picture = golden.load("inputs/photo_333x517.png")
    check(made(key, picture, _REAL, ""), made(key, picture, _REAL, half), half)


def dtypes_of(key: str, folder: Path, half: str) -> set[torch.dtype]:
    """In which precisions the convolutions of a network answer, and its answer as a whole."""
    runtime = PlainRuntime("cpu", folders=[folder], half=half)
    seen: set[torch.dtype] = set()
    for part in networks.network(key, runtime).modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda _module, _given, answer: seen.add(answer.dtype))
    with torch.inference_mode():
        answer = networks.forward(key, runtime, torch.zeros(1, 3, 64, 64))
    sides = [answer] if isinstance(answer, torch.Tensor) else answer
    assert {side.dtype for side in sides} == {torch.float32}
    return seen


def test_the_network_really_computes_in_half_precision_where_it_may(tmp_path):
    random_weights.write("pidinet", tmp_path)
    random_weights.write("hed", tmp_path)
    assert dtypes_of("pidinet", tmp_path, "bfloat16") == {torch.bfloat16}
    assert dtypes_of("hed", tmp_path, "float16") == {torch.float16}
    assert dtypes_of("hed", tmp_path, "") == {torch.float32}
    assert dtypes_of("hed", tmp_path, "bfloat16") == {torch.float32}, "its entry allows float16 alone"


@pytest.mark.parametrize(("device", "half"), [("cpu", ""), ("mps", ""), ("cuda:0", "float16")])
def test_the_device_decides_and_only_cuda_is_halved(device, half):
    assert PlainRuntime(device).half == half
    assert PlainRuntime(device, half="").half == ""
