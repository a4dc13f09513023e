"""tool/cnt/preview with the pack's own preprocessors."""

from __future__ import annotations

import time

import numpy as np
from img_open.base.pictures import encode_png, to_data_url

SUBMIT = "/tool/cnt/preview"
QUERY = "/tool/cnt/preview/queryTask"


def square() -> np.ndarray:
    image = np.full((96, 128, 3), 20, np.uint8)
    image[30:70, 40:90] = 230
    return image


def wait(server, task_id: str) -> dict:
    deadline = time.monotonic() + 20
    while (data := server.post(QUERY, {"businessTaskId": task_id}))["status"] == 1:
        assert data["outputImageUrl"] is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return data


def test_a_module_makes_its_map_with_default_sliders(server) -> None:
    from img_open.preprocessors.run import run_module
    from img_open.preprocessors.runtime import PlainRuntime

    link = to_data_url(encode_png(square()), "image/png")
    body = {"businessTaskId": "map", "sourceImage": link, "preprocessor": "canny"}
    server_id = server.post(SUBMIT, body)["task_id"]
    assert server_id
    assert server_id != "map"
    data = wait(server, "map")
    assert data["status"] == 2
    assert (data["task_id"], data["businessTaskId"], data["desc"]) == (server_id, "map", "success")
    expected = run_module(
        "canny", square(), processor_res=512, threshold_a=100, threshold_b=200, runtime=PlainRuntime("cpu")
    )
    assert expected.any()
    assert np.array_equal(server.picture(data["outputImageUrl"]), expected)
    assert server.post(SUBMIT, body)["task_id"] == server_id
    other = {**body, "preprocessor": "none"}
    assert server.refused(409, SUBMIT, other)["data"]["field"] == "businessTaskId"


def test_an_sd_task_may_have_the_same_id(server, body) -> None:
    link = to_data_url(encode_png(square()), "image/png")
    server.post(SUBMIT, {"businessTaskId": "shared", "sourceImage": link, "preprocessor": "canny"})
    server.post("/sd/v2/text2image", body("shared"))
    assert server.wait("shared")["status"] == 2
    assert wait(server, "shared")["status"] == 2


def test_bad_previews_are_refused_by_field(server) -> None:
    link = to_data_url(encode_png(square()), "image/png")
    good = {"businessTaskId": "bad", "sourceImage": link, "preprocessor": "canny"}
    for field, value in [
        ("businessTaskId", 5), ("businessTaskId", ""), ("sourceImage", None), ("preprocessor", ["canny"]),
        ("callbackUrl", "https://example.com/cb"),
    ]:  # fmt: skip
        assert server.refused(400, SUBMIT, {**good, field: value})["data"]["field"] == field
    assert "canny" in server.refused(400, SUBMIT, {**good, "preprocessor": "cany"})["msg"]
    envelope = server.refused(400, "/tool/hair/change/queryTask", {"businessTaskId": "bad"})
    assert "cnt/preview" in envelope["msg"]
    server.refused(404, QUERY, {"businessTaskId": "bad"})


def test_a_picture_that_is_none_fails_the_task(server) -> None:
    link = "data:image/png;base64,bm90IGEgcGljdHVyZQ=="
    server.post(SUBMIT, {"businessTaskId": "no-picture", "sourceImage": link, "preprocessor": "canny"})
    data = wait(server, "no-picture")
    assert data["status"] == -1
    assert "picture" in data["desc"]
    assert data["outputImageUrl"] is None


CANCEL, CANCEL_SD = "/tool/cnt/preview/cancelTask", "/sd/v2/cancelTask"


def behind(server, body, long: str, *names: str) -> None:
    """Previews that wait, because the server works at something else."""
    server.post("/sd/v2/text2image", body(long, steps=140))
    link = to_data_url(encode_png(square()), "image/png")
    for name in names:
        server.post(SUBMIT, {"businessTaskId": name, "sourceImage": link, "preprocessor": "canny"})


def test_a_waiting_preview_is_cancelled_by_either_call(server, body) -> None:
    behind(server, body, "long 1", "first", "second", "third")
    waiting = server.post(QUERY, {"businessTaskId": "second"})
    assert waiting["desc"] == "queued, 2 ahead"
    assert waiting["temporaryImageDto"] == {"progress": 0.0, "stage": "queued", "image": None}
    told = server.post(CANCEL, {"businessTaskId": "first"})
    assert (told["businessTaskId"], told["status"], told["desc"]) == ("first", -1, "cancelled")
    told = server.post(CANCEL_SD, {"businessTaskId": "second"})
    assert told == {"id_task": "second", "status": -1, "desc": "cancelled"}
    server.post(CANCEL_SD, {"businessTaskId": "long 1"})
    assert wait(server, "first")["desc"] == wait(server, "second")["desc"] == "cancelled"
    assert wait(server, "third")["status"] == 2
    server.refused(404, CANCEL, {"businessTaskId": "nobody"})
    server.refused(404, CANCEL_SD, {"businessTaskId": "nobody"})
    server.refused(400, "/tool/roop/cancelTask", {"businessTaskId": "third"})


def test_the_call_says_which_of_two_tasks_with_one_id_is_meant(server, body) -> None:
    behind(server, body, "long 2", "twin")
    server.post("/sd/v2/text2image", body("twin"))
    server.post(CANCEL, {"businessTaskId": "twin"})
    server.post(CANCEL_SD, {"businessTaskId": "long 2"})
    assert server.wait("twin")["status"] == 2  # the sd task went on
    assert wait(server, "twin")["desc"] == "cancelled"


def test_the_client_cancels_a_preview_and_writes_it_down(server, body, tmp_path) -> None:
    from img_open.api.journal import Journal
    from img_open.api.profiles import Profile
    from img_open.engines.remote_tools import ToolRunner

    behind(server, body, "long 3")
    runner = ToolRunner(Profile("mine", server.url), Journal(tmp_path / "tasks.sqlite"))
    link = to_data_url(encode_png(square()), "image/png")
    task_id = runner.submit("cnt_preview", {"sourceImage": link, "preprocessor": "canny"})
    runner.cancel(task_id)
    assert runner.journal.show(task_id).state == "cancelled"
    assert server.post(QUERY, {"businessTaskId": task_id})["desc"] == "cancelled"
    server.post(CANCEL_SD, {"businessTaskId": "long 3"})
