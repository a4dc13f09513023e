"""What a client sees of a task's life, over real HTTP to a real process."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

TEXT = "/sd/v2/text2image"
CONTROL = "/sd/v2/controlnet"
QUERY_V1 = "/sd/queryTaskInfo"
CANCEL = "/sd/v2/cancelTask"


def test_a_request_becomes_pictures(server, body) -> None:
    data = server.post(TEXT, body("first", n_iter=2, batch_size=2, seed="7"))
    assert data == {"task_id": "first"}
    done = server.wait("first")
    assert done["id_task"] == "first"
    assert (done["status"], done["desc"], done["temporaryImageDto"]) == (2, "success", None)
    rows = done["differentialImageRspList"]
    assert [row["seed"] for row in rows] == [7, 8, 9, 10]
    for row in rows:
        assert row["img_audit"] == [{"label": "nonLabel", "confidence": None}]
        assert row["img_audit_status"] is True
        assert row["image_url"].startswith(server.url + "/f/")
        assert row["image_url"].endswith(".png")
        picture = server.picture(row["image_url"])
        assert picture.shape == (48, 64, 3)
        assert (picture[:, :, 0] == row["seed"]).all()
        assert (picture[0, :, 2] == np.arange(64)).all()
    assert len({row["image_url"] for row in rows}) == 4


def test_both_queries_agree_but_for_the_ids_name(server, body) -> None:
    server.post(TEXT, body("both"))
    second = server.wait("both")
    first = server.post(QUERY_V1, {"businessTaskId": "both"})
    assert first["task_id"] == second["id_task"] == "both"
    for data in (first, second):
        for row in data["differentialImageRspList"]:
            row.pop("image_url")  # carries its expiry
    assert {key: value for key, value in first.items() if key != "task_id"} == {
        key: value for key, value in second.items() if key != "id_task"
    }


def test_jpg_is_the_default_format(server, body) -> None:
    request = body("jpg")
    del request["alwayson_scripts"]["output_image_format"]
    server.post(TEXT, request)
    url = server.wait("jpg")["differentialImageRspList"][0]["image_url"]
    response = server.session.get(url, timeout=5)
    assert url.endswith(".jpg")
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.content[:3] == b"\xff\xd8\xff"


def test_a_task_without_an_id_gets_one(server, body) -> None:
    request = body("x")
    del request["alwayson_scripts"]["id_task"]
    first = server.post(TEXT, request)["task_id"]
    second = server.post(TEXT, request)["task_id"]
    assert first != second
    assert server.wait(first)["status"] == 2
    assert server.wait(second)["status"] == 2


def test_progress_and_the_intermediate_picture_are_seen(server, body) -> None:
    server.post(TEXT, body("slow", steps=60))
    seen = []
    while (data := server.info("slow"))["status"] == 1:
        assert set(data["temporaryImageDto"]) == {"progress", "stage", "image"}
        assert data["differentialImageRspList"] == []
        seen.append(data["temporaryImageDto"])
        time.sleep(0.05)
    assert data["status"] == 2
    running = [report for report in seen if report["stage"] == "sampling"]
    assert len(running) >= 3
    fractions = [report["progress"] for report in running]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] < 1
    assert running[-1]["image"].startswith("data:image/jpeg;base64,")


def test_the_same_id_and_body_is_the_same_task(server, body) -> None:
    request = body("twice", steps=20)
    replies: list[dict] = []

    def submit() -> None:
        import requests

        answer = requests.post(f"{server.url}/AIGCImgOpenServ/saas{TEXT}", json=request, timeout=10)
        replies.append(answer.json())

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply["data"] for reply in replies] == [{"task_id": "twice"}] * 6
    server.wait("twice")
    reordered = dict(reversed(list({**request, "steps": 20.0}.items())))  # equal as JSON
    assert server.post(TEXT, reordered) == {"task_id": "twice"}
    assert server.info("twice")["status"] == 2
    assert server.runs("twice") == 1


def test_the_same_id_with_another_body_is_an_error(server, body) -> None:
    server.post(TEXT, body("taken"))
    envelope = server.refused(409, TEXT, body("taken", seed=8))
    assert envelope["data"]["error"] == "task_conflict"
    assert "'taken'" in envelope["msg"]
    server.refused(409, CONTROL, body("taken"))  # another operation is another request
    server.wait("taken")
    assert server.runs("taken") == 1


def test_cancel_stops_a_running_task_within_a_step(server, body) -> None:
    server.post(TEXT, body("stop-me", steps=140))
    server.wait("stop-me", lambda data: data["temporaryImageDto"]["stage"] == "sampling")
    start = time.monotonic()
    answer = server.post(CANCEL, {"businessTaskId": "stop-me"})
    assert answer["id_task"] == "stop-me"
    data = server.wait("stop-me")
    assert time.monotonic() - start < 1.0
    assert (data["status"], data["desc"], data["differentialImageRspList"]) == (-1, "cancelled", [])
    assert server.post(CANCEL, {"businessTaskId": "stop-me"})["status"] == -1  # harmless


def test_cancel_takes_a_waiting_task_out_at_once(server, body) -> None:
    server.post(TEXT, body("front", steps=50))
    server.post(TEXT, body("waiting"))
    assert server.info("waiting")["desc"] == "queued, 1 ahead"
    answer = server.post(CANCEL, {"businessTaskId": "waiting"})
    assert answer == {"id_task": "waiting", "status": -1, "desc": "cancelled"}
    assert server.wait("front")["status"] == 2
    assert server.runs("waiting") == 0


def test_cancelling_a_finished_task_changes_nothing(server, body) -> None:
    server.post(TEXT, body("finished"))
    server.wait("finished")
    assert server.post(CANCEL, {"businessTaskId": "finished"})["status"] == 2
    assert server.info("finished")["status"] == 2


def test_what_the_engine_left_out_is_told(server, body) -> None:
    unit = {"module": "none", "model": "canny", "weight": 1.0}
    server.post(CONTROL, body("told", restore_faces=True, controlnet={"args": [unit]}))
    done = server.wait("told")
    assert {"field": "restore_faces", "verdict": "refused", "message": "Not here."} in done["infos"]
    assert any("enabled" in info["message"] for info in done["infos"])  # a unit without `enabled` runs
    assert server.picture(done["control_image_urls"][0]).shape == (8, 8, 3)


def test_a_finished_task_lists_links_that_work_again_and_again(server, body) -> None:
    server.post(TEXT, body("again"))
    first = server.wait("again")["differentialImageRspList"][0]["image_url"]
    second = server.info("again")["differentialImageRspList"][0]["image_url"]
    assert np.array_equal(server.picture(first), server.picture(second))


@pytest.mark.parametrize("damage", ["other-file", "later", "mac", "dots"])
def test_links_cannot_be_made_up(server, body, damage: str) -> None:
    server.post(TEXT, body("guess"))
    url = server.wait("guess")["differentialImageRspList"][0]["image_url"]
    base, token = url.rsplit("/", 1)
    name, expires, rest = token.split("-")
    forged = {
        "other-file": f"{name[::-1]}-{expires}-{rest}",
        "later": f"{name}-{int(expires, 16) + 9999:x}-{rest}",
        "mac": f"{name}-{expires}-{'0' * 32}.png",
        "dots": "..%2ftasks.sqlite3",
    }[damage]
    response = server.session.get(f"{base}/{forged}", timeout=5)
    assert response.status_code == 404
    assert response.json()["code"] == "400"


def test_the_model_list_has_pages_and_filters(server) -> None:
    path = "/sd/v2/queryModelList"
    data = server.post(path, {"pageSize": 1, "pageNum": 2})
    assert (data["total"], data["pageSize"], data["pageNum"]) == (2, 1, 2)
    (row,) = data["rows"]
    assert row["sdModelCheckpoint"] == "other.safetensors"
    assert (row["sdModelName"], row["modelType"]) == ("other", "Checkpoint")
    rows = server.post(path, {"pageSize": 10, "pageNum": 1, "sdModelName": "TINY"})["rows"]
    assert [row["sdModelCheckpoint"] for row in rows] == ["tiny"]
    rows = server.post(path, {"pageSize": 10, "pageNum": 1, "modelType": "ControlNet"})["rows"]
    assert [row["sdModelCheckpoint"] for row in rows] == ["canny"]
    assert server.post(path, {"pageSize": 10, "pageNum": 9})["rows"] == []
    for wrong in ({"pageSize": "10"}, {"pageNum": 0}, {"sdModelName": 3}, {"pageSize": True}):
        field = next(iter(wrong))
        assert server.refused(400, path, wrong)["data"]["field"] == field


def test_health_needs_no_key_and_tells_no_secret(server) -> None:
    data = server.session.get(server.url + "/healthz", timeout=5).json()
    assert data["status"] == "ok"
    assert data["engine"] == "tiny"
    assert data["queue"]["limit"] == 32
