"""The remote engine against our own gateway process (with a tiny engine): the two sides of one dialect."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from img_open.api.journal import Journal
from img_open.api.profiles import profile_for_url
from img_open.base import errors
from img_open.engines.remote import RemoteEngine
from img_open.engines.types import Progress
from img_open.storage.pictures import Pictures

from ..http_gateway.conftest import Server
from ..http_gateway.tiny_server import painted
from .conftest import FAST, PATIENT, make_request

TINY = {"sd_model_checkpoint": "tiny", "output_image_format": "png"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("gateway"))
    yield server
    server.stop()


@pytest.fixture
def engine(gateway: Server, journal: Journal) -> RemoteEngine:
    return RemoteEngine(profile_for_url(gateway.url), journal, patience=PATIENT, backoff=FAST)


def test_the_pictures_are_the_engines_pixel_for_pixel(engine: RemoteEngine) -> None:
    reports: list[Progress] = []
    photo = np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    pictures = Pictures()
    unit = {"image_link": pictures.add(photo, "photo"), "module": "canny", "model": "canny", "enabled": True}
    request = make_request(
        n_iter=2, steps=20, restore_faces=True, alwayson_scripts={**TINY, "controlnet": {"args": [unit]}}
    )
    made = engine.run(request, pictures=pictures, progress=reports.append)
    assert made.seeds == [7, 8]
    for seed, image in zip(made.seeds, made.images, strict=True):
        np.testing.assert_array_equal(image, painted(seed, 128, 128))
    assert [(info.field, info.verdict) for info in made.infos] == [("restore_faces", "refused")]
    np.testing.assert_array_equal(made.control_images[0], painted(1, 8, 8))
    assert any(report.stage == "sampling" and report.preview is not None for report in reports)
    again = engine.run(request, pictures=pictures)
    np.testing.assert_array_equal(again.control_images[0], made.control_images[0])
    assert again.infos == made.infos


@pytest.mark.parametrize(
    ("scripts", "prompt", "kind", "words"),
    [
        ({"sd_model_checkpoint": "other"}, "x", errors.TaskFailed, "There are: tiny"),
        ({}, "nothing", errors.TaskFailed, "could not finish|empty result list"),
        ({}, "explode", errors.TaskFailed, "failed"),
        ({"image_link": "http://169.254.169.254/latest"}, "x", errors.TaskFailed, "refused|not a public"),
        ({"image_link": "data:image/png;base64,bm8gcGljdHVyZQ=="}, "x", errors.TaskFailed, "picture"),
    ],
)
def test_bad_input_gives_one_clear_error(
    scripts: dict[str, str], prompt: str, kind: type[Exception], words: str, engine: RemoteEngine
) -> None:
    with pytest.raises(kind, match=words) as caught:
        engine.run(make_request(prompt, alwayson_scripts={**TINY, **scripts}))
    assert "canary" not in str(caught.value)


def test_a_refused_request_names_the_field(engine: RemoteEngine, journal: Journal) -> None:
    request = make_request(n_iter=100, alwayson_scripts=TINY)  # more than this server's limit
    with pytest.raises(errors.InvalidRequest, match="n_iter") as caught:
        engine.run(request)
    assert "n_iter" in caught.value.details["field"]
    assert journal.list()[0].state == "failed"


def test_a_stop_reaches_the_gateway(engine: RemoteEngine, journal: Journal, gateway: Server) -> None:
    stop = threading.Event()
    started = threading.Event()

    def watch(report: Progress) -> None:
        if report.stage == "sampling":
            started.set()

    raised: list[float] = []

    def run() -> None:
        with pytest.raises(errors.Cancelled):
            engine.run(
                make_request(steps=150, seed=11, alwayson_scripts=TINY), progress=watch, cancelled=stop.is_set
            )
        raised.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    asked = time.monotonic()
    stop.set()
    thread.join(10)
    assert raised[0] - asked < 0.5
    task_id = journal.list()[0].task_id
    deadline = time.monotonic() + 3
    while engine.client.task_info(task_id).status != -1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert engine.client.task_info(task_id).desc == "cancelled"
    assert journal.list()[0].state == "cancelled"


def test_a_submit_repeated_after_a_crash_is_the_same_task(
    engine: RemoteEngine, journal: Journal, gateway: Server, tmp_path: Path
) -> None:
    """The answer never came; the gateway knows the id and the body, so nothing is done twice."""
    request = make_request(seed=21, alwayson_scripts=TINY)
    task_id = engine.submit(request)
    row = journal.list()[0]
    journal.set_state(row.row_id, "submitted")
    assert engine.run(request).task_id == task_id
    assert gateway.ledger.read_text().split().count(task_id) == 1
    # As if the look-up could not be trusted either: the gateway takes the same id and body as the same task.
    assert engine.client.submit(request.with_id_task(task_id)) == task_id
    assert gateway.ledger.read_text().split().count(task_id) == 1
