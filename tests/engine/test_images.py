"""Which pictures come out, in which order, and that nothing else decides them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from img_open.base.errors import InvalidRequest


def equal(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_same_request_gives_the_same_pixels(run, body, unit):
    request = body([unit()])
    first, second = run(request), run(request)
    assert equal(first.images, second.images)
    assert first.images[0].shape == (64, 64, 3)
    assert first.images[0].dtype == np.uint8


def test_another_seed_gives_another_picture(run, body):
    assert not equal(run(body(seed=11)).images, run(body(seed=12)).images)


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M SDE Karras", "DPM2 a"])
def test_image_k_of_a_batch_is_the_single_run_with_seed_plus_k(run, body, unit, sampler):
    batch = run(body([unit()], batch_size=3, sampler_index=sampler))
    assert batch.seeds == [11, 12, 13]
    single = run(body([unit()], seed=13, sampler_index=sampler))
    assert np.array_equal(batch.images[2], single.images[0])


def test_iterations_follow_one_another(run, body):
    split = run(body(n_iter=2, batch_size=2))
    whole = run(body(n_iter=1, batch_size=4))
    assert split.seeds == [11, 12, 13, 14]
    assert equal(split.images, whole.images)


def test_group_size_changes_pixels_by_rounding_only(engine, models, pictures, body, monkeypatch):
    """What CUDA does: the images of a batch in one call."""
    from img_open.engines import diffusers_job

    request = body(batch_size=2, sampler_index="Euler a")
    alone = engine.run(request, pictures=pictures)
    real = diffusers_job.Job.run
    monkeypatch.setattr("img_open.engines.diffusers.Job.run", lambda self, seeds, group: real(self, seeds, 2))
    together = engine.run(request, pictures=pictures)
    for one, other in zip(alone.images, together.images, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_a_random_seed_is_drawn_once_and_reported(run, body):
    result = run(body(seed=-1, batch_size=2, steps=1))
    assert result.seeds[0] >= 0
    assert result.seeds[1] == result.seeds[0] + 1
    assert equal(run(body(seed=result.seeds[0], batch_size=2, steps=1)).images, result.images)


def test_a_seed_written_as_text_counts(run, body):
    assert run(body(seed="11", steps=1)).seeds == [11]


def test_sizes_are_cut_to_multiples_of_eight_and_that_is_said(run, body):
    result = run(body(width=71, height=64, steps=1))
    assert result.images[0].shape == (64, 64, 3)
    assert [(info.field, info.verdict) for info in result.infos] == [("width", "approximated")]


def test_width_is_the_second_dimension(run, body):
    assert run(body(width=96, height=64, steps=1)).images[0].shape == (64, 96, 3)


def test_the_process_keeps_its_threads_and_grad_mode(run, body):
    torch.set_num_threads(2)
    try:
        run(body(steps=1))
        assert torch.get_num_threads() == 2
        assert not torch.is_inference_mode_enabled()
    finally:
        torch.set_num_threads(1)


def test_cfg_prompt_and_negative_prompt_act(run, body):
    plain = run(body()).images
    assert not equal(plain, run(body(cfg_scale=1)).images)
    assert not equal(plain, run(body(prompt="a blue star")).images)
    assert not equal(plain, run(body(negative_prompt="star")).images)


def test_at_cfg_1_the_negative_prompt_has_no_say_and_costs_nothing(run, body, unet, spy):
    calls = spy(unet)
    first = run(body(cfg_scale=1, negative_prompt="blue")).images
    assert all(inputs[0].shape[0] == 1 for inputs in calls.inputs)
    assert equal(first, run(body(cfg_scale=1, negative_prompt="star")).images)


def test_clip_skip_acts_and_more_layers_than_there_are_is_said(run, body):
    plain = run(body()).images
    setting = "CLIP_stop_at_last_layers"
    assert not equal(plain, run(body(always_on={"override_settings": {setting: 2}})).images)
    result = run(body(always_on={"override_settings": {setting: 12}}))
    assert [(info.field.rsplit(".", 1)[-1], info.verdict) for info in result.infos] == [
        (setting, "approximated")
    ]


def test_the_task_id_comes_back(run, body):
    assert run(body(steps=1, always_on={"id_task": "mine"})).task_id == "mine"


def test_threads_below_one_are_refused(models):
    from img_open.engines.diffusers import DiffusersEngine

    with pytest.raises(InvalidRequest, match="threads"):
        DiffusersEngine(models, threads=0)


def test_a_device_that_is_not_there_is_refused(models, body, pictures):
    from img_open.base.errors import Unsupported
    from img_open.engines.diffusers import DiffusersEngine

    with pytest.raises(InvalidRequest, match="device"):
        DiffusersEngine(models, device="abacus").run(body(), pictures=pictures)
    if not torch.backends.mps.is_available():
        with pytest.raises(Unsupported, match="mps"):
            DiffusersEngine(models, device="mps").run(body(), pictures=pictures)


def test_half_precision_batches_and_offloading_make_pictures(models, body, unit, pictures, monkeypatch):
    """CUDA's way of running, on the CPU: half precision, images of a batch together, control models moved."""
    from img_open.engines import diffusers
    from img_open.engines.diffusers_job import Job

    def as_on_cuda(self, seeds, group):
        self._set.dtype, self._set.offload = torch.float16, True
        diffusers._move(self._set.networks.unet, "cpu", torch.float16)
        for each in self._set.units:
            diffusers._move(each.prepared.network, "cpu", torch.float16)
        return real(self, seeds, len(seeds))

    engine = diffusers.DiffusersEngine(models, device="cpu")
    wanted = engine.run(body([unit()], batch_size=2), pictures=pictures).images
    real = Job.run
    monkeypatch.setattr(Job, "run", as_on_cuda)
    made = engine.run(body([unit()], batch_size=2), pictures=pictures).images
    for one, other in zip(wanted, made, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 3
