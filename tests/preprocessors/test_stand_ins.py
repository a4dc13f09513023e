"""What is around networks that are too large for the tests, with small functions in their place."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from img_open.base.errors import Cancelled
from img_open.controlnet.unit import ControlNetUnit, ResizeMode
from img_open.preprocessors import depth_leres, inpaint, run
from img_open.preprocessors.control import Geometry, control_for_unit
from img_open.preprocessors.runtime import PlainRuntime


class _StandIn(PlainRuntime):
    def __init__(self, network, **more):
        super().__init__("cpu", **more)
        self._network = network

    def load(self, key, builder):
        return self._network


@pytest.fixture(autouse=True)
def _spandrel_is_here(monkeypatch):
    from img_open.preprocessors import registry

    monkeypatch.setattr(registry, "_missing_packages", lambda packages: [])


def _run(module, picture, network, a=0.0, b=0.0, res=64, **more):
    return run.run_module(
        module, picture, processor_res=res, threshold_a=a, threshold_b=b, runtime=_StandIn(network), **more
    )


def _ramp():
    """64 x 64, dark on the left, bright on the right."""
    return np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (64, 1, 3))


def test_leres_inverts_and_blanks_out_near_and_far():
    network = SimpleNamespace(depth_model=lambda pixels: pixels[:, :1])  # brighter is farther
    plain = _run("depth_leres", _ramp(), network)[32, :, 0]
    assert plain[0] == 255
    assert plain[-1] == 0
    near = _run("depth_leres", _ramp(), network, a=50.0)[32, :, 0]
    assert (near[:30] == 255).all()  # blanked before the inversion
    assert (near[34:] == plain[34:]).all()
    far = _run("depth_leres", _ramp(), network, b=50.0)[32, :, 0]
    assert (far[34:] == 0).all()
    assert (far[:30] == plain[:30]).all()


def test_leres_of_nothing_is_white():
    assert (depth_leres._levels(np.zeros((4, 4), np.float32), 0, 0) == 255).all()


def test_normal_bae_maps_minus_one_to_one_onto_bytes():
    def network(pixels):
        normals = torch.zeros(pixels.shape[0], 4, *pixels.shape[2:])
        normals[:, 0], normals[:, 1], normals[:, 2] = -1, 0, 1
        return [[normals]]

    made = _run("normal_bae", _ramp(), network)
    assert made.shape == (64, 64, 3)
    assert (made == [0, 127, 255]).all()


def _lama(colour, mask):
    assert colour.shape[1:] == (3, 256, 256)
    assert mask.shape[1:] == (1, 256, 256)
    assert not (colour * mask).any()  # the masked part is hidden from the network
    return torch.full_like(colour, 0.5)


def test_lama_fills_the_mask_and_leaves_the_rest():
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    made = _run("inpaint_only+lama", _ramp(), _lama, mask=mask)
    assert made.shape == (64, 64, 4)
    assert np.array_equal(made[:, :32, :3], _ramp()[:, :32])
    assert abs(int(made[32, 48, 0]) - 127) <= 1
    assert np.array_equal(made[:, :, 3], mask)


def test_lama_fills_the_bars_of_resize_and_fill():
    unit = ControlNetUnit(module="inpaint_only+lama", resize_mode=ResizeMode.FILL)

    def network(colour, mask):
        return torch.full_like(colour, 0.5)

    made = control_for_unit(unit, image=_ramp(), geometry=Geometry(128, 64), runtime=_StandIn(network))
    assert made.detected.shape == (64, 128, 4)
    assert (made.detected[:, :28, 3] == 255).all()
    assert abs(int(made.detected[32, 8, 0]) - 127) <= 1
    assert (made.detected[:, 36:92, 3] == 0).all()


@pytest.mark.parametrize("prefix", ["", "model.", "generator.model.", "model.model."])
def test_lamas_tensors_get_the_names_spandrel_knows(prefix):
    state = {f"{prefix}1.bn_l.running_mean": 1, f"{prefix}5.weight": 2}
    named = inpaint._under_spandrels_names(state)
    assert named == {"model.model.1.bn_l.running_mean": 1, "model.model.5.weight": 2}


def test_cancel_before_a_network_runs():
    runtime = _StandIn(_lama, is_cancelled=lambda: True)
    with pytest.raises(Cancelled):
        run.run_module(
            "inpaint_only+lama", _ramp(), processor_res=64, threshold_a=0, threshold_b=0, runtime=runtime
        )


def test_one_forward_pass_per_chunk():
    """A CPU is faster frame by frame; a chunk is one call of the network."""
    calls = []

    def network(pixels):
        calls.append(pixels.shape[0])
        return [[pixels]]

    images = torch.rand(9, 64, 64, 3)
    made = run.run_batch(
        "normal_bae", images, processor_res=64, threshold_a=0, threshold_b=0, runtime=_StandIn(network)
    )
    assert made.shape == (9, 64, 64, 3)
    assert calls == [1] * 9


def test_chunks_on_a_gpu_follow_free_memory(monkeypatch):
    calls = []

    def network(pixels):
        calls.append(pixels.shape[0])
        return [[pixels]]

    class Gpu(_StandIn):
        def free_memory(self):
            return 2 * 128 * 128 * 2048 + 5  # room for two frames of 64 + 64 padding

    runtime = Gpu(network)
    monkeypatch.setattr(Gpu, "device", "cuda:0")
    from img_open.preprocessors import tensors

    monkeypatch.setattr(
        tensors,
        "to_device",
        lambda pictures, _: torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float(),
    )
    run.run_batch(
        "normal_bae",
        torch.rand(5, 64, 64, 3),
        processor_res=64,
        threshold_a=0,
        threshold_b=0,
        runtime=runtime,
    )
    assert calls == [2, 2, 1]


def test_cached_frames_are_not_made_again():
    calls = []

    def network(pixels):
        calls.append(pixels.shape[0])
        return [[pixels]]

    runtime = _StandIn(network)
    settings = {"processor_res": 64, "threshold_a": 0, "threshold_b": 0, "runtime": runtime}
    images = torch.rand(3, 64, 64, 3)
    first = run.run_batch("normal_bae", images, **settings)
    again = run.run_batch("normal_bae", torch.cat([images, torch.rand(1, 64, 64, 3)]), **settings)
    assert calls == [1] * 4
    assert torch.equal(first, again[:3])


def test_networks_are_not_built_in_the_hosts_inference_mode(random_runtime):
    from img_open.preprocessors.networks import network

    with torch.inference_mode():
        made = network("teed", random_runtime)
    assert not any(parameter.is_inference() for parameter in made.parameters())
