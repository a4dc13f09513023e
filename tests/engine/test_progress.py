"""Progress, previews, cancelling, and failures in the middle."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from img_open.base.errors import Cancelled, TaskFailed
from img_open.engines.diffusers_pictures import Previews


def test_progress_rises_to_one_and_shows_an_intermediate_picture(run, body, unit):
    reports = []
    run(body([unit()], n_iter=2, steps=3), progress=reports.append)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert (reports[0].stage, reports[-1].stage, fractions[-1]) == ("loading", "done", 1.0)
    assert sum(report.stage == "sampling" for report in reports) == 6
    preview = next(report.preview for report in reports if report.preview is not None)
    assert preview.shape == (64, 64, 3)
    assert preview.dtype == np.uint8
    assert preview.std() > 0


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_cancel_is_heard_before_the_next_model_call(run, body, unit, unet, spy, after):
    calls = spy(unet)
    with pytest.raises(Cancelled):
        run(body([unit()], steps=20, batch_size=2), cancelled=lambda: len(calls) >= after)
    assert len(calls) == after


def test_after_a_cancel_the_engine_works_as_before(run, body, unet, spy):
    wanted = run(body()).images[0]
    calls = spy(unet)
    with pytest.raises(Cancelled):
        run(body(steps=20), cancelled=lambda: len(calls) >= 2)
    assert np.array_equal(run(body()).images[0], wanted)


def test_requests_wait_for_their_turn_and_a_waiting_one_can_be_cancelled(engine, pictures, body):
    started, done = threading.Event(), []

    def slow(report):
        started.set()
        time.sleep(0.05)

    thread = threading.Thread(
        target=lambda: done.append(engine.run(body(steps=10), pictures=pictures, progress=slow)), daemon=True
    )
    thread.start()
    started.wait(10)
    stages = []
    with pytest.raises(Cancelled):
        engine.run(
            body(),
            pictures=pictures,
            progress=lambda report: stages.append(report.stage),
            cancelled=lambda: bool(stages),
        )
    assert stages == ["queued"]
    thread.join(60)
    assert len(done) == 1


def test_values_that_are_not_numbers_are_an_error_not_a_black_picture(run, body, unet):
    handle = unet.register_forward_hook(lambda module, args, output: (output[0] * float("nan"),))
    try:
        with pytest.raises(TaskFailed, match="not numbers"):
            run(body())
    finally:
        handle.remove()


def test_running_out_of_memory_says_what_to_do(run, body, unet):
    def fail(module, args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = unet.register_forward_pre_hook(fail)
    try:
        with pytest.raises(TaskFailed, match="smaller size"):
            run(body())
    finally:
        handle.remove()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class BigVae:
    """Stands for a real VAE: too large to decode previews with."""

    class decoder:
        @staticmethod
        def parameters():
            return [torch.empty(10_000_000, device="meta")]


def test_previews_come_about_once_a_second_and_need_no_large_decoder():
    reports, clock = [], Clock()
    previews = Previews(reports.append, BigVae(), 10, clock)
    for step in range(10):
        clock.now = step * 0.3
        previews(torch.full((2, 4, 8, 12), 0.5))
    assert [report.preview is not None for report in reports] == [i in (0, 4, 8) for i in range(10)]
    assert reports[0].preview.shape == (64, 96, 3)


def test_a_preview_of_nothing_sensible_is_left_out():
    reports = []
    Previews(reports.append, BigVae(), 1, Clock())(torch.full((1, 4, 8, 8), float("nan")))
    assert reports[0].preview is None
