"""`img-open serve` without models named: the demo model gives the pictures that it gives in process."""

from __future__ import annotations

import time

import numpy as np
import pytest
from img_open.api.request import Request
from img_open.base.pictures import encode_png, to_data_url
from img_open.storage.pictures import Pictures

pytest.importorskip("diffusers", reason='needs pip install "img-open[standalone]"')


def control_picture() -> np.ndarray:
    image = np.full((128, 128, 3), 30, np.uint8)
    image[32:96, 40:88] = (220, 60, 40)
    return image


@pytest.fixture
def request_body(body) -> dict:
    unit = {
        "enabled": True, "module": "canny", "model": "canny", "weight": 0.9, "processor_res": 128,
        "threshold_a": 100, "threshold_b": 200, "resize_mode": "Crop and Resize",
        "control_mode": "Balanced", "guidance_start": 0.0, "guidance_end": 1.0,
        "image_link": to_data_url(encode_png(control_picture()), "image/png"),
    }  # fmt: skip
    return body(
        "demo-task", width=128, height=128, steps=4, seed="1221212", cfg_scale=5, n_iter=2,
        sampler_index="DPM++ 2M Karras", sd_model_checkpoint="demo", controlnet={"args": [unit]},
    )  # fmt: skip


def test_same_request_same_pixels_over_http(launch, body, request_body: dict) -> None:
    from img_open.engines.diffusers import DiffusersEngine
    from img_open.engines.models import LocalModels

    here = DiffusersEngine(LocalModels.demo(), device="cpu").run(
        Request.from_wire(request_body), pictures=Pictures()
    )
    server = launch("--device", "cpu", script="demo_server.py")
    rows = server.post("/sd/v2/queryModelList", {"pageSize": 10, "pageNum": 1})["rows"]
    assert [row["sdModelCheckpoint"] for row in rows] == ["demo"]
    rows = server.post("/sd/v2/queryModelList", {"pageSize": 10, "modelType": "ControlNet"})["rows"]
    assert "canny" in [row["sdModelCheckpoint"] for row in rows]

    server.post("/sd/v2/controlnet", request_body)
    deadline = time.monotonic() + 60
    while (data := server.info("demo-task"))["status"] == 1:
        assert time.monotonic() < deadline, data
        time.sleep(0.1)
    assert data["status"] == 2, data["desc"]
    there = data["differentialImageRspList"]
    assert [row["seed"] for row in there] == here.seeds == [1221212, 1221213]
    for row, picture in zip(there, here.images, strict=True):
        assert np.array_equal(server.picture(row["image_url"]), picture)
    assert not np.array_equal(here.images[0], here.images[1])
    (control_url,) = data["control_image_urls"]
    assert np.array_equal(server.picture(control_url), here.control_images[0])

    missing = {**request_body, "alwayson_scripts": {
        **request_body["alwayson_scripts"], "id_task": "missing", "sd_model_checkpoint": "demos",
    }}  # fmt: skip
    server.post("/sd/v2/controlnet", missing)
    failed = server.wait("missing")
    assert failed["status"] == -1
    assert "demo" in failed["desc"]
    a_running_task_is_cancelled_within_a_step(server, body)
    assert server.stop() == 0


def a_running_task_is_cancelled_within_a_step(server, body) -> None:
    request = body("long", width=256, height=256, steps=150, sd_model_checkpoint="demo")
    server.post("/sd/v2/text2image", request)
    server.wait("long", lambda data: data["status"] != 1 or data["temporaryImageDto"]["stage"] == "sampling")
    start = time.monotonic()
    server.post("/sd/v2/cancelTask", {"businessTaskId": "long"})
    data = server.wait("long")
    assert (data["status"], data["desc"]) == (-1, "cancelled")
    assert time.monotonic() - start < 3
