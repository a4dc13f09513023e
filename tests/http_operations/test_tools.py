"""Every operation against a real server process: one task per body, whatever breaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from img_open.api.catalogue import Catalogue
from img_open.api.journal import Journal
from img_open.base import errors
from img_open.engines.remote_tools import ToolRunner
from img_open.storage.pictures import Pictures

from ..http.faulty_server import color_of
from .conftest import ToolServer

Tools = Callable[[str], ToolServer]
RunnerFor = Callable[..., ToolRunner]
EXPAND = {"imageCount": 2, "verticalExpansionRatio": 1.5, "horizontalExpansionRatio": 1.5, "seed": 7}
FLUX = {"comfyTaskType": "Flux1SchnellFP8", "prompt": "blue sea", "width": 512, "height": 512, "steps": 4}


@pytest.mark.parametrize("dialect", ["cloud", "gateway"])
def test_a_picture_tool_end_to_end(tools: Tools, runner_for: RunnerFor, dialect: str) -> None:
    """Pictures go out as links, are asked for with the caller's id, and come back as pictures."""
    server = tools(dialect)
    server.set(work_s=0.2)
    pictures = Pictures()
    link = pictures.add(np.full((8, 8, 3), 90, np.uint8))
    body = {"sourceImage": link, **EXPAND}
    result = runner_for(server).run("img_expand", body, pictures=pictures)
    assert [tuple(int(v) for v in image[0, 0]) for image in result.images] == [color_of(7), color_of(8)]
    (sent,) = server.ledger()["bodies"]
    assert sent["_path"] == "/tool/imgExpand"
    assert sent["sourceImage"].startswith("data:image/png;base64,")
    assert sent["businessTaskId"] == result.task_id
    assert "sig=abc" not in str(result.response)
    assert server.works() == 1


def test_the_same_body_again_is_not_paid_again(tools: Tools, runner_for: RunnerFor) -> None:
    server = tools("cloud")
    first = runner_for(server).run("flux_text2image", FLUX)
    again = runner_for(server).run("flux_text2image", FLUX)
    assert again.task_id == first.task_id
    assert np.array_equal(again.images[0], first.images[0])
    assert server.works() == 1
    other = runner_for(server).run("flux_text2image", FLUX, nonce="1")
    assert other.task_id != first.task_id
    assert server.works() == 2


def test_texts_are_results_too(tools: Tools, runner_for: RunnerFor) -> None:
    server = tools("cloud")
    body = {"image": "https://files.example.com/in.png", "model": "clip"}
    result = runner_for(server).run("interrogate", body)
    assert result.response["caption"] == "a lighthouse at dawn"
    assert not result.images
    assert runner_for(server).run("interrogate", body).task_id == result.task_id
    assert server.works() == 1


def test_an_answer_in_the_submit_reply_ends_it(tools: Tools, runner_for: RunnerFor) -> None:
    """prompts_expand carries its prompts in the reply; nobody is asked, and it is stored."""
    server = tools("cloud")
    body = {"mode": 0, "sourcePrompt": "a girl"}
    result = runner_for(server).run("prompts_expand", body)
    assert result.response["prompts"] == ["a girl, detailed", "soft light"]
    assert not result.infos
    assert runner_for(server).run("prompts_expand", body).response == result.response
    assert server.works() == 1
    assert "query" not in server.ledger()["counts"]


@pytest.mark.parametrize("operation", ["sd_text2image_v3", "submit_training_job", "sd_prompts_optimize"])
def test_where_asking_is_not_published_the_reply_is_the_result(
    tools: Tools, runner_for: RunnerFor, operation: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "sd_text2image_v3": {"prompt": "a boat", "width": 512},
        "submit_training_job": {"fileUrlList": [f"https://files.example.com/{n}.png" for n in range(10)]},
        "sd_prompts_optimize": {"raw_prompt": "a boat"},
    }
    server = tools("cloud")
    result = runner_for(server).run(operation, bodies[operation])
    assert result.response["task_id"].startswith("server-")
    assert "not published" in result.infos[0].message
    assert runner_for(server).run(operation, bodies[operation]).task_id == result.task_id
    assert server.works() == 1


def test_questions_are_asked_every_time_and_not_written_down(
    tools: Tools, runner_for: RunnerFor, journal: Journal
) -> None:
    runner = runner_for(tools("cloud"))
    answer = runner.run("query_model_list", {"pageSize": 10, "pageNum": 3}).response
    assert [row["sdModelName"] for row in answer["rows"]] == [f"model-{n}.safetensors" for n in range(20, 25)]
    task = runner.run("flux_text2image", FLUX)
    state = runner.run("query_tool_task", {"toolCode": "comfyui/text2image", "businessTaskId": task.task_id})
    assert state.response["businessTaskId"] == task.task_id
    assert len(journal.list()) == 1


FAULTS = [
    "busy",
    "500-envelope-after",
    "cut-after",
    "half-after",
    "html-after",
    "silence-after",
    "cut",
    "500",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_submit_never_makes_two_tasks(tools: Tools, runner_for: RunnerFor, fault: str) -> None:
    """The cloud: looked up by our id, or `uncertain`; never sent again by itself."""
    server = tools("cloud")
    server.set(silence_s=1.5)
    server.script(submit=[fault])
    arrived = "-after" in fault
    try:
        runner_for(server).run("flux_text2image", FLUX)
    except errors.TaskUncertain:
        assert not arrived
        assert server.works() == 0
        return
    except errors.ServerError:
        assert not arrived
        return
    assert server.works() == 1
    assert runner_for(server).run("flux_text2image", FLUX).images
    assert server.works() == 1


@pytest.mark.parametrize("fault", ["cut", "cut-after"])
def test_an_unanswered_call_that_cannot_be_asked_about_is_uncertain(
    tools: Tools, runner_for: RunnerFor, journal: Journal, fault: str
) -> None:
    server = tools("cloud")
    server.script(submit=[fault])
    body = {"mode": 0, "sourcePrompt": "a girl"}
    with pytest.raises(errors.TaskUncertain, match="You decide") as caught:
        runner_for(server).run("prompts_expand", body)
    with pytest.raises(errors.TaskUncertain):  # again, and still nothing is sent twice
        runner_for(server).run("prompts_expand", body)
    assert server.works() == (1 if fault == "cut-after" else 0)
    journal.resolve(str(caught.value.details["task_id"]), "retry")
    assert runner_for(server).run("prompts_expand", body).response["prompts"]


@pytest.mark.parametrize("faults", [["500", "cut"], ["html", "half"], ["busy"], ["silence"]])
def test_trouble_while_asking_is_ridden_out(tools: Tools, runner_for: RunnerFor, faults: list[str]) -> None:
    server = tools("gateway")
    server.set(silence_s=1.5)
    server.script(query=faults)
    assert runner_for(server).run("flux_text2image", FLUX).images
    assert server.works() == 1


def test_a_gateway_says_that_a_tool_failed(tools: Tools, runner_for: RunnerFor) -> None:
    server = tools("gateway")
    server.script(query=["failed"])
    with pytest.raises(errors.TaskFailed, match="no face found"):
        runner_for(server).run("face_detection", {"imageUrl": "https://files.example.com/in.png"})


def test_a_pending_tool_is_never_taken_for_finished(tools: Tools, runner_for: RunnerFor) -> None:
    """Its status is one that a finished tool has too; what counts is the output."""
    server = tools("cloud")
    server.set(work_s=1.0)
    result = runner_for(server).run(
        "roop", {"sourceUrl": "https://a.example/s.png", "targetUrl": "https://a.example/t.png"}
    )
    assert len(result.images) == 1
    assert server.ledger()["counts"]["query"] > 2


def test_submit_and_attach(tools: Tools, runner_for: RunnerFor) -> None:
    """Another program run, knowing only the id, gets the tool's result: the journal says whose it is."""
    server = tools("cloud")
    task_id = runner_for(server).submit("flux_text2image", FLUX)
    assert runner_for(server).attach(task_id).images
    assert server.works() == 1
    with pytest.raises(errors.InvalidRequest, match="cannot be followed"):
        runner_for(server).submit("prompts_expand", {"mode": 0, "sourcePrompt": "x"})


def test_any_path_can_be_called(tools: Tools, runner_for: RunnerFor) -> None:
    server = tools("cloud")
    path, body = "/AIGCImgOpenServ/saas/tool/brand/new", {"businessTaskId": "mine-1", "x": [1, {"y": 2}]}
    result = runner_for(server).call(path, body)
    assert result.response == {"task_id": "server-mine-1", "status": 0}
    assert runner_for(server).call(path, body).response == result.response
    assert server.works() == 1
    for wrong in ("https://evil.example/x", "//evil.example/x", "/a/../b", "/x?y=1", "tool/roop"):
        with pytest.raises((errors.InvalidRequest, ValueError)):
            runner_for(server).call(wrong, {})
    assert server.works() == 1


BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("flux_text2image", {"prompt": "x"}, ["comfyTaskType"]),
    ("flux_text2image", {**FLUX, "comfyTaskType": "Flux9"}, ["comfyTaskType", "Flux1DevFP8"]),
    (
        "img_expand",
        {**EXPAND, "sourceImage": "https://a.example/x.png", "sampleStep": 99},
        ["sampleStep", "50"],
    ),
    ("cnt_previev", {}, ["cnt_preview"]),
    ("hair_change", {}, ["hair_change"]),
    ("sd_inpaint_v1", {}, ["not published"]),
    ("sd_controlnet", {"prompt": "x", "alwayson_scripts": {"sd_model_checkpoint": "demo"}}, ["enabled unit"]),
]


@pytest.mark.parametrize(("operation", "body", "words"), BAD)
def test_bad_input_is_refused_before_anything_is_sent(
    tools: Tools,
    runner_for: RunnerFor,
    journal: Journal,
    operation: str,
    body: dict[str, Any],
    words: list[str],
) -> None:
    server = tools("cloud")
    with pytest.raises(errors.InvalidRequest) as caught:
        runner_for(server).run(operation, body)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert server.works() == 0
    assert not journal.list()


LOCAL = """
- id: sing
  path: /AIGCImgOpenServ/saas/tool/sing
  fields:
  - {name: businessTaskId, type: string, required: true, role: task_id}
  - {name: words, type: string, required: true}
  response:
  - {name: data.audioUrl, type: string, role: audio}
"""


def test_an_operation_of_the_users_own_file(tools: Tools, runner_for: RunnerFor, tmp_path: Path) -> None:
    """Validated, followed and stored like the others; a sound comes back as the file it is."""
    file = tmp_path / "catalogue.yaml"
    file.write_text(LOCAL)
    server = tools("cloud")
    catalogue = Catalogue.load([file])
    result = runner_for(server, catalogue).run("sing", {"words": "la la"})
    (song,) = result.media
    assert song.suffix == ".wav"
    assert song.read_bytes().startswith(b"RIFF")
    assert runner_for(server, catalogue).run("sing", {"words": "la la"}).media == [song]
    assert server.works() == 1
    song.unlink()
    assert runner_for(server, catalogue).run("sing", {"words": "la la"}).media[0].is_file()
    assert server.works() == 1
