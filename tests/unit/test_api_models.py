"""The server's answers: tolerant of what is missing, typed in what is there."""

from __future__ import annotations

from typing import Any

import pytest
from img_open.api.catalogue import Catalogue
from img_open.api.models import (
    Envelope,
    ModelListReply,
    SubmitReply,
    TaskInfo,
    ToolTask,
)
from pydantic import ValidationError

IMAGE = {
    "img_audit": [{"confidence": None, "label": "nonLabel"}],
    "img_audit_status": True,
    "image_status": 1,
    "image_url": "https://files.example.com/out-0.png",
    "seed": 1063029203,
}


@pytest.mark.parametrize("version", ["query_task_info_v1", "query_task_info_v2"])
def test_both_published_task_examples(version: str) -> None:
    reply = Catalogue.load().operation(version).example_reply
    assert reply is not None
    envelope = Envelope.model_validate(reply)
    assert envelope.ok
    info = TaskInfo.model_validate(envelope.data)
    assert (info.task_id, info.status) == ("demo-task-0001", 2)
    assert info.temporary is None
    assert info.images[0].seed == 1063029203
    assert info.images[0].audits[0].label == "nonLabel"
    assert info.images[0].image_url == "https://files.example.com/out-0.png"


@pytest.mark.parametrize(
    ("code", "ok"), [("200", True), (200, True), ("400", False), (None, False), ("", False)]
)
def test_envelope_code(code: Any, ok: bool) -> None:
    assert Envelope.model_validate({"code": code, "msg": None}).ok is ok


@pytest.mark.parametrize(
    "image",
    [
        {},
        {**IMAGE, "img_audit": None},
        {**IMAGE, "image_url": None, "seed": None, "image_status": None},
        {**IMAGE, "seed": "42", "new_field": {"a": 1}},
        {**IMAGE, "img_audit_status": "true", "img_audit": [{"label": None, "confidence": "0.3"}]},
    ],
)
def test_pictures_of_any_completeness(image: dict[str, Any]) -> None:
    info = TaskInfo.model_validate({"status": "2", "differentialImageRspList": [image]})
    assert info.status == 2
    assert info.images[0].image_url == image.get("image_url")
    assert info.images[0].seed == (int(image["seed"]) if image.get("seed") else None)


def test_nothing_at_all_is_a_pending_looking_answer() -> None:
    info = TaskInfo.model_validate({"differentialImageRspList": None, "desc": None, "id_task": None})
    assert (info.task_id, info.status, info.desc, info.images) == ("", None, "", [])


@pytest.mark.parametrize("name", ["id_task", "task_id", "taskId", "businessTaskId"])
def test_four_names_of_a_task_id(name: str) -> None:
    assert TaskInfo.model_validate({name: 17}).task_id == "17"
    assert SubmitReply.model_validate({name: "a"}).task_id == "a"


@pytest.mark.parametrize(
    ("raw", "fraction"),
    [
        (0.25, 0.25),
        (40, 0.4),
        ("40%", 0.4),
        ("0.5", 0.5),
        (1, 1.0),
        (-3, 0.0),
        (900, 1.0),
        (None, None),
        ("soon", None),
    ],
)
def test_progress_of_a_running_task(raw: Any, fraction: float | None) -> None:
    info = TaskInfo.model_validate(
        {"temporaryImageDto": {"progress": raw, "image": None, "stage": "sampling"}}
    )
    assert info.temporary is not None
    assert info.temporary.progress == fraction


@pytest.mark.parametrize("other", ["40", 3, [1], None])
def test_a_temporary_image_of_unknown_shape_is_ignored(other: Any) -> None:
    assert TaskInfo.model_validate({"temporaryImageDto": other}).temporary is None


def test_a_status_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError):
        TaskInfo.model_validate({"status": "done"})


def test_model_list() -> None:
    reply = Catalogue.load().operation("query_model_list").example_reply
    assert reply is not None
    page = ModelListReply.model_validate(reply["data"])
    assert (page.total, page.page_size, page.page_number) == (1, 10, 1)
    assert page.rows[0].checkpoint == "photon_v1_84728.safetensors"
    assert page.rows[0].base_model == "SD 1.5"
    assert ModelListReply.model_validate({"rows": None}).rows == []


@pytest.mark.parametrize(
    ("data", "pictures", "texts"),
    [
        (
            {"taskId": "1", "status": 1, "outputImageUrl": "https://f.example.com/o.png"},
            ["https://f.example.com/o.png"],
            [],
        ),
        ({"businessTaskId": "1", "caption": "a doll", "status": 1, "taskId": "d"}, [], ["a doll"]),
        ({"status": 0, "prompts": ["a girl, light"], "taskId": "d", "toolTask": "t"}, [], ["a girl, light"]),
        ({"results": [{"image_url": "https://f.example.com/1.png"}]}, ["https://f.example.com/1.png"], []),
    ],
)
def test_tools_are_finished_when_there_is_output(
    data: dict[str, Any], pictures: list[str], texts: list[str]
) -> None:
    task = ToolTask.model_validate(data)
    assert task.finished
    assert task.pictures == pictures
    assert task.texts == texts


@pytest.mark.parametrize(
    "data", [{}, {"taskId": "1", "status": 1}, {"status": 0, "outputImageUrl": None, "prompts": []}]
)
def test_a_tool_without_output_is_not_finished(data: dict[str, Any]) -> None:
    assert not ToolTask.model_validate(data).finished
