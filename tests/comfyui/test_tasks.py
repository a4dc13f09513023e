"""Fan-out and tasks by id in a real host against a real gateway process."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from comfy_gateway import Gateway
from comfy_host import Host
from graphs import Graph, node
from img_open.base.pictures import decode_picture

SIZE = 64


def submit(prompt: str, seed: int, **inputs: Any) -> dict[str, Any]:
    usual = {
        "profile": "local",
        "prompt": prompt,
        "sd_model_checkpoint": "demo",
        "sampler_index": "Euler",
        "steps": 2,
        "width": SIZE,
        "height": SIZE,
        "seed": seed,
    }
    return node("ImgOpenSubmitAsync", **{**usual, **inputs})


def shown(source: str, output: int) -> dict[str, Any]:
    return node("PreviewAny", source=[source, output])


def collected(prefix: str, nodes: Graph, **inputs: Any) -> Graph:
    return {
        **nodes,
        "collect": node("ImgOpenCollect", **inputs),
        "save": node("SaveImage", images=["collect", 0], filename_prefix=prefix),
        "seeds": shown("collect", 1),
        "report": shown("collect", 3),
    }


def saved(host: Host, prefix: str) -> list[np.ndarray]:
    return [
        decode_picture(path.read_bytes()) for path in sorted((host.base / "output").glob(f"{prefix}_*.png"))
    ]


def test_many_tasks_side_by_side(host: Host, gateway: Gateway) -> None:
    """Two chains; all four tasks are filed before the first one is finished; pictures in order."""
    known = len(gateway.tasks())
    nodes = {
        "a": submit("a red star", 401, steps=15),
        "b": submit("a red star", 402, steps=15, tasks=["a", 0]),
        "c": submit("a red star", 403, steps=15),
        "d": submit("a red star", 404, steps=15, tasks=["c", 0]),
    }
    graph = collected("fan", nodes, tasks=["b", 0], tasks_2=["d", 0])
    result = host.run(graph)
    assert result.status == "success", result.error
    assert result.outputs["seeds"]["text"] == ["401,402,403,404"]
    assert [picture.shape for picture in saved(host, "fan")] == [(SIZE, SIZE, 3)] * 4
    tasks = gateway.tasks()[known:]
    assert len(tasks) == 4
    assert max(task["created"] for task in tasks) < min(task["finished"] for task in tasks)
    again = collected(
        "again_fan", {f"x{name}": one for name, one in nodes.items()}, tasks=["xb", 0], tasks_2=["xd", 0]
    )
    for one in again.values():
        if "tasks" in one["inputs"] and one["class_type"] == "ImgOpenSubmitAsync":
            one["inputs"]["tasks"] = ["x" + one["inputs"]["tasks"][0], 0]
    assert host.run(again).status == "success"
    assert len(gateway.tasks()) == known + 4, "the same requests were paid again"
    assert all(
        np.array_equal(*pair) for pair in zip(saved(host, "fan"), saved(host, "again_fan"), strict=True)
    )


def test_sizes_that_differ(host: Host, gateway: Gateway) -> None:
    nodes = {"a": submit("a blue ring", 411), "b": submit("a blue ring", 412, width=128, tasks=["a", 0])}
    refused = host.run(collected("mixed", nodes, tasks=["b", 0]))
    assert refused.status == "error"
    assert "64x64" in refused.error
    assert "128x64" in refused.error
    listed = host.run(collected("listed", nodes, tasks=["b", 0], together="list"))
    assert listed.status == "success", listed.error
    assert [picture.shape for picture in saved(host, "listed")] == [(64, 64, 3), (64, 128, 3)]


def test_one_that_fails(host: Host, gateway: Gateway) -> None:
    nodes = {
        "good": submit("a green dot", 421),
        "bad": submit("a green dot", 422, image_link="http://127.0.0.1:9/a.png", tasks=["good", 0]),
    }
    stopped = host.run(collected("half", nodes, tasks=["bad", 0]))
    assert stopped.status == "error"
    assert "1 of 2 tasks" in stopped.error
    rest = host.run(collected("half", nodes, tasks=["bad", 0], if_one_fails="leave out"))
    assert rest.status == "success", rest.error
    assert rest.outputs["seeds"]["text"] == ["421"]


def test_a_task_by_its_id(host: Host, gateway: Gateway) -> None:
    """Look while it runs, wait for it, look again: the same picture, and nothing is submitted."""
    first: Graph = {"send": submit("a pink moon", 431, steps=40), "id": shown("send", 1)}
    (task_id,) = host.run(first).outputs["id"]["text"]
    known = len(gateway.tasks())

    def by_id(wait: bool) -> Graph:
        return {
            "task": node("ImgOpenTask", profile="local", task_id=task_id, wait=wait),
            "save": node("SaveImage", images=["task", 0], filename_prefix=f"by_id_{wait}"),
            "state": shown("task", 1),
            "progress": shown("task", 2),
            "answer": shown("task", 4),
        }

    early = host.run(by_id(False))
    assert early.outputs["state"]["text"][0].startswith(("running", "done"))
    late = host.run(by_id(True))
    assert late.status == "success", late.error
    assert late.outputs["state"]["text"] == ["done"]
    assert json.loads(late.outputs["answer"]["text"][0])["status"] == 2
    assert host.run(by_id(False)).outputs["progress"]["text"] == ["1.0"]
    assert np.array_equal(saved(host, "by_id_True")[-1], saved(host, "by_id_False")[-1])
    assert len(gateway.tasks()) == known


def test_an_unknown_id_is_a_clear_error(host: Host, gateway: Gateway) -> None:
    graph: Graph = {
        "task": node("ImgOpenTask", profile="local", task_id="never-seen"),
        "look": shown("task", 1),
    }
    result = host.run(graph)
    assert result.status == "error"
    assert "never-seen" in result.error


def test_cancel_while_collecting(host: Host, gateway: Gateway) -> None:
    """Both tasks are stopped at the gateway; queueing the same workflow again makes new ones."""
    known = len(gateway.tasks())
    slow = {"steps": 150, "width": 512, "height": 512, "batch_size": 4}
    nodes = {
        "a": submit("a grey cross", 441, **slow),
        "b": submit("a grey cross", 442, tasks=["a", 0], **slow),
    }
    graph = collected("cancelled", nodes, tasks=["b", 0])
    prompt = host.queue(graph)
    until = time.monotonic() + 30
    while len(gateway.tasks()) < known + 2 and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    asked = time.time()
    host.post("/interrupt", {})
    result = host.wait(prompt, timeout=10)
    assert result.status == "interrupted"
    event = next(data for name, data in result.messages if name == "execution_interrupted")
    assert event["timestamp"] / 1000 - asked < 1.0
    until = time.monotonic() + 20
    while (
        any(t["state"] in ("queued", "running") for t in gateway.tasks()[known:]) and time.monotonic() < until
    ):
        time.sleep(0.1)
    assert {task["state"] for task in gateway.tasks()[known:]} == {"cancelled"}
    quick = collected("cancelled", {"a": submit("a grey cross", 443)}, tasks=["a", 0])
    assert host.run(quick).status == "success"


@pytest.mark.parametrize("inputs", [{}, {"together": "sideways"}])
def test_nothing_to_collect(host: Host, gateway: Gateway, inputs: dict[str, Any]) -> None:
    graph: Graph = {"collect": node("ImgOpenCollect", **inputs), "look": shown("collect", 3)}
    result = host.run(graph)
    assert result.status == "error"
    assert "no task to collect" in result.error or "together" in result.error
