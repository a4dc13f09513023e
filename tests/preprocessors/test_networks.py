"""The form in which networks are computed on a processor is the network."""

from __future__ import annotations

import pytest
import random_weights
import torch
from img_open.preprocessors import networks
from img_open.preprocessors.runtime import PlainRuntime


def built(key: str) -> torch.nn.Module:
    made = networks.BUILDERS[key]()
    made.load_state_dict(random_weights.random_state(key, made, random_weights.GAINS[key]))
    return made.eval().requires_grad_(False)


def sides(answer: torch.Tensor | list[torch.Tensor]) -> list[torch.Tensor]:
    return [answer] if isinstance(answer, torch.Tensor) else list(answer)


@pytest.mark.parametrize("key", ["mlsd", "lineart", "lineart_anime", "hed", "pidinet", "manga_line"])
def test_the_form_for_processors_equals_the_network_up_to_rounding(key):
    channels = {"mlsd": 4, "manga_line": 1}.get(key, 3)
    picture = torch.rand(1, channels, 256, 256, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        before = sides(built(key)(picture))
        after = sides(networks.for_processors(built(key))(picture))
    for one, other in zip(before, after, strict=True):
        assert (one - other).abs().max() <= 2e-4 * one.abs().max()  # a twentieth of a level of 255


def test_batch_norms_are_folded_and_instance_norms_replaced():
    kinds = {type(part) for part in networks.for_processors(built("mlsd")).modules()}
    assert torch.nn.Identity in kinds
    assert sum(isinstance(part, torch.nn.BatchNorm2d) for part in built("mlsd").modules()) > 30
    kinds = {type(part) for part in networks.for_processors(built("lineart")).modules()}
    assert torch.nn.InstanceNorm2d not in kinds
    assert torch.nn.GroupNorm in kinds


def test_only_a_processor_gets_that_form(tmp_path):
    """Loading for CUDA builds the network as published; it is moved there afterwards."""

    class Elsewhere(PlainRuntime):
        @property
        def device(self) -> str:
            return "cuda:0"

        def load(self, key, builder):
            return builder()

    random_weights.write("lineart", tmp_path)
    made = networks.network("lineart", Elsewhere(folders=[tmp_path]))
    assert any(isinstance(part, torch.nn.InstanceNorm2d) for part in made.modules())
