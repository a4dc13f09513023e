"""One small model with random weights for the whole folder, and shortcuts to run requests on it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from img_open.api.request import Request
from img_open.engines.diffusers import DiffusersEngine
from img_open.engines.models import LocalModels
from img_open.storage.pictures import Pictures

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def networks_source():
    """The module demo/training/networks.py, which knows the demo model's shape."""
    path = ROOT / "demo" / "training" / "networks.py"
    spec = importlib.util.spec_from_file_location("img_open_test_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, networks_source) -> Path:
    """A diffusers folder with random weights and the control models `canny` and `depth`."""
    return networks_source.write_random(tmp_path_factory.mktemp("model") / "demo", 3)


@pytest.fixture(scope="session")
def models(model_folder) -> LocalModels:
    return LocalModels().add(model_folder, "checkpoint", name="demo")


@pytest.fixture(scope="session")
def engine(models) -> DiffusersEngine:
    return DiffusersEngine(models, device="cpu", threads=1)


@pytest.fixture(scope="session")
def square() -> np.ndarray:
    """A white rectangle on black, 80 x 96."""
    picture = np.zeros((80, 96, 3), np.uint8)
    picture[20:60, 24:72] = 255
    return picture


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture(scope="session")
def square_link(pictures, square) -> str:
    return pictures.add(square)


@pytest.fixture
def body():
    """A small request's body; keywords replace or add top-level fields."""

    def make(units=(), always_on=None, **fields) -> Request:
        wire = {
            "prompt": "a red circle",
            "negative_prompt": "blue",
            "steps": 3,
            "width": 64,
            "height": 64,
            "cfg_scale": 5,
            "seed": 11,
            "sampler_index": "Euler",
            "batch_size": 1,
            **fields,
        }
        scripts = dict(always_on or {})
        if units:
            scripts["controlnet"] = {"args": list(units)}
        if scripts:
            wire["alwayson_scripts"] = scripts
        return Request.from_wire(wire)

    return make


@pytest.fixture
def unit(square_link):
    """One unit's payload with the square as its picture."""

    def make(**fields) -> dict:
        return {
            "enabled": True,
            "module": "canny",
            "model": "canny",
            "image_link": square_link,
            "processor_res": 64,
            **fields,
        }

    return make


@pytest.fixture
def run(engine, pictures):
    """Run a request on the shared engine; returns its result."""

    def go(request: Request, **options):
        return engine.run(request, pictures=pictures, **options)

    return go


class Calls:
    """What one network was given at each call, and what it gave back."""

    def __init__(self) -> None:
        self.inputs: list[tuple] = []
        self.keywords: list[dict] = []
        self.outputs: list = []

    def __len__(self) -> int:
        return len(self.inputs)


@pytest.fixture
def spy():
    """Record the calls of a torch module while a test runs."""
    handles = []

    def watch(module) -> Calls:
        calls = Calls()

        def hook(_module, args, kwargs, output):
            calls.inputs.append(args)
            calls.keywords.append(kwargs)
            calls.outputs.append(output)

        handles.append(module.register_forward_hook(hook, with_kwargs=True))
        return calls

    yield watch
    for handle in handles:
        handle.remove()


@pytest.fixture
def unet(engine, models):
    return engine._loader.checkpoint(models.find_checkpoint("demo")).unet


@pytest.fixture
def canny(engine, models):
    return engine._loader.controlnet(models.find_controlnet("canny"))
