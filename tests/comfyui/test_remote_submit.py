"""ImgOpenRemoteSubmit in a real host against a real gateway process."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from comfy_gateway import Gateway
from comfy_host import Host
from graphs import Graph, node, write_picture
from img_open.api.journal import Journal
from img_open.base.pictures import decode_picture

SIZE = 64


@pytest.fixture(autouse=True)
def _ready(host: Host, gateway: Gateway) -> None:
    write_picture(host.base / "input" / "photo.png", 96, 80)


def submit(prompt: str, **inputs: Any) -> dict[str, Any]:
    """A small, quick request to the gateway's demo model."""
    usual = {
        "profile": "local",
        "prompt": prompt,
        "sd_model_checkpoint": "demo",
        "sampler_index": "Euler",
        "steps": 2,
        "width": SIZE,
        "height": SIZE,
        "seed": 11,
    }
    return node("ImgOpenRemoteSubmit", **{**usual, **inputs})


def slow(prompt: str, **inputs: Any) -> dict[str, Any]:
    """A request that takes much longer than any test waits."""
    return submit(prompt, steps=150, width=512, height=512, batch_size=4, **inputs)


def shown(source: str, output: int) -> dict[str, Any]:
    return node("PreviewAny", source=[source, output])


def pictures(host: Host, prefix: str) -> list[np.ndarray]:
    return [
        decode_picture(path.read_bytes()) for path in sorted((host.base / "output").glob(f"{prefix}_*.png"))
    ]


def test_preprocess_submit_and_save(host: Host, gateway: Gateway) -> None:
    """The whole way: photograph, control image, unit, request, pictures, seeds, task id, answer."""
    graph: Graph = {
        "load": node("LoadImage", image="photo.png"),
        "map": node("ImgOpenPreprocessor", image=["load", 0], module="canny", processor_res=64),
        "unit": node("ImgOpenControlNetApply", image=["map", 0], module="none", model="canny", weight=0.9),
        "send": submit("a red star on a blue background", units=["unit", 3], n_iter=2),
        "save": node("SaveImage", images=["send", 0], filename_prefix="remote"),
        "seeds": shown("send", 1),
        "task": shown("send", 2),
        "answer": shown("send", 3),
    }
    result = host.run(graph)
    assert result.status == "success", result.error
    saved = pictures(host, "remote")
    assert [one.shape for one in saved] == [(SIZE, SIZE, 3)] * 2
    assert not np.array_equal(saved[0], saved[1])
    assert result.outputs["seeds"]["text"] == ["11,12"]
    (task_id,) = result.outputs["task"]["text"]
    journal = Journal(host.base / "img-open-home" / "tasks.sqlite")
    sent = next(task.request for task in journal.list() if task.task_id == task_id)
    unit = sent["alwayson_scripts"]["controlnet"]["args"][0]
    assert (sent["steps"], sent["n_iter"], int(sent["seed"])) == (2, 2, 11)
    assert (unit["module"], unit["model"], unit["weight"]) == ("none", "canny", 0.9)
    assert task_id in {task["task_id"] for task in gateway.tasks()}
    assert json.loads(result.outputs["answer"]["text"][0])


def test_the_result_is_the_gateways_own_picture(host: Host, gateway: Gateway) -> None:
    """PNG all the way: what is saved equals what the gateway serves, pixel by pixel."""
    import urllib.request

    graph: Graph = {
        "send": submit("a green circle"),
        "save": node("SaveImage", images=["send", 0], filename_prefix="exact"),
        "task": shown("send", 2),
    }
    result = host.run(graph)
    assert result.status == "success", result.error
    task = gateway.task(result.outputs["task"]["text"][0])
    url = task["differentialImageRspList"][0]["image_url"]
    with urllib.request.urlopen(url if "://" in url else gateway.url + url, timeout=10) as answer:
        served = decode_picture(answer.read())
    assert np.array_equal(pictures(host, "exact")[-1], served)


def test_the_same_request_again_is_not_paid_again(host: Host, gateway: Gateway) -> None:
    """Not from another node either: the journal knows the request. run_again makes it a new task."""
    first: Graph = {"send": submit("a yellow moon"), "look": shown("send", 2)}
    other: Graph = {"another": submit("a yellow moon"), "look": shown("another", 2)}
    again: Graph = {"send": submit("a yellow moon", run_again=1), "look": shown("send", 2)}
    before = len(gateway.tasks())
    ids = [host.run(graph).outputs["look"]["text"][0] for graph in (first, other, again)]
    assert ids[0] == ids[1] != ids[2]
    assert len(gateway.tasks()) == before + 2


def test_two_submits_side_by_side(host: Host, gateway: Gateway) -> None:
    """Both tasks are filed before the first one is finished, although neither node waits for the other."""
    graph: Graph = {
        "one": submit("a pink heart", seed=1, steps=20),
        "two": submit("a pink heart", seed=2, steps=20),
        "look_one": shown("one", 2),
        "look_two": shown("two", 2),
    }
    result = host.run(graph)
    assert result.status == "success", result.error
    rows = {task["task_id"]: task for task in gateway.tasks()}
    tasks = [rows[result.outputs[f"look_{name}"]["text"][0]] for name in ("one", "two")]
    assert max(task["created"] for task in tasks) < min(task["finished"] for task in tasks)


def wait_for_task(
    gateway: Gateway, known: int, state: str = "running", timeout: float = 30
) -> dict[str, Any]:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        new = [task for task in gateway.tasks()[known:] if task["state"] == state]
        if new:
            return new[0]
        time.sleep(0.05)
    raise AssertionError(f"No new task became {state}: {[task['state'] for task in gateway.tasks()[known:]]}")


def test_cancel_in_the_middle(host: Host, gateway: Gateway) -> None:
    """The prompt ends at once (half a second and the polling), the gateway stops, the next prompt runs."""
    known = len(gateway.tasks())
    graph: Graph = {"send": slow("an orange cross"), "look": shown("send", 2)}
    prompt = host.queue(graph)
    task = wait_for_task(gateway, known)
    asked = time.time()
    host.post("/interrupt", {})
    result = host.wait(prompt, timeout=10)
    assert result.status == "interrupted"
    event = next(data for event, data in result.messages if event == "execution_interrupted")
    # Half a second is promised; the rest is for a machine that is busy with other tests.
    assert event["timestamp"] / 1000 - asked < 1.0
    assert event["node_type"] == "ImgOpenRemoteSubmit"
    until = time.monotonic() + 20
    while gateway.task(task["task_id"])["status"] == 1 and time.monotonic() < until:
        time.sleep(0.1)
    assert gateway.task(task["task_id"])["status"] == -1
    after: Graph = {"send": submit("a purple ring"), "look": shown("send", 2)}
    assert host.run(after).status == "success"


def test_a_failing_sibling_cancels_the_task(host: Host, gateway: Gateway) -> None:
    known = len(gateway.tasks())
    graph: Graph = {
        "send": slow("a cyan arrow"),
        "wrong": submit("a cyan arrow", profile="nobody"),
        "look": shown("send", 2),
        "look_wrong": shown("wrong", 2),
    }
    prompt = host.queue(graph)
    result = host.wait(prompt, timeout=20)
    assert result.status == "error"
    assert "nobody" in result.error
    until = time.monotonic() + 20
    while (
        any(t["state"] in ("queued", "running") for t in gateway.tasks()[known:]) and time.monotonic() < until
    ):
        time.sleep(0.1)
    assert all(task["state"] not in ("queued", "running") for task in gateway.tasks()[known:])
    assert host.run({"send": submit("after it"), "look": shown("send", 2)}).status == "success"


ERRORS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("unknown profile", {"profile": "nobody"}, ["nobody", "img-open profile add"]),
    ("cloud without keys", {"profile": "cloud"}, ["IMG_OPEN_ACCESS_KEY_ID"]),
    ("unknown checkpoint", {"sd_model_checkpoint": "nowhere.safetensors"}, ["nowhere.safetensors"]),
    ("bad json", {"override_settings": "{"}, ["override_settings", "JSON"]),
    ("mask alone", {"mask_link": "https://a.example/m.png"}, ["init"]),
    ("unknown choice", {"resize_mode": "Fit"}, ["resize_mode", "Fit"]),
    ("link to this machine", {"image_link": "http://127.0.0.1:9/a.png"}, ["127.0.0.1"]),
]


@pytest.mark.parametrize(("inputs", "words"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_are_clear_text(
    host: Host, gateway: Gateway, inputs: dict[str, Any], words: list[str]
) -> None:
    result = host.run({"send": submit("errors", **inputs), "look": shown("send", 2)}, timeout=60)
    assert result.status == "error"
    for word in words:
        assert word in result.error, result.error


def test_a_unit_without_any_picture_is_not_sent(host: Host, gateway: Gateway) -> None:
    known = len(gateway.tasks())
    graph: Graph = {
        "unit": node("ImgOpenControlNetApply", module="canny", model="canny"),
        "send": submit("nothing to look at", units=["unit", 3]),
        "look": shown("send", 2),
    }
    error = host.run(graph).error
    assert "(canny) is enabled, but there is no picture for it" in error
    assert "image_link" in error
    graph["unit"]["inputs"]["enabled"] = False
    assert host.run(graph).status == "success"
    assert len(gateway.tasks()) == known + 1


def test_a_local_picture_on_the_cloud_profile_names_the_way_out(host: Host, gateway: Gateway) -> None:
    gateway.write_profile(host.base / "img-open-home", "no-storage", "--storage", "none")
    graph: Graph = {
        "photo": node("LoadImage", image="photo.png"),
        "send": submit("no way for a picture", profile="no-storage", init_image=["photo", 0]),
        "look": shown("send", 2),
    }
    error = host.run(graph).error
    for words in ("names no storage", "Settings > Img Open > add a profile with storage", "docs/storage.md"):
        assert words in error


def test_a_batch_where_one_picture_is_wanted(host: Host, gateway: Gateway) -> None:
    graph: Graph = {
        "many": node("EmptyImage", width=32, height=32, batch_size=3, color=0),
        "send": submit("errors", init_image=["many", 0]),
        "look": shown("send", 2),
    }
    assert "batch of 3 pictures" in host.run(graph).error


@pytest.mark.parametrize(("only_masked", "shape"), [(True, (80, 96, 3)), (False, (SIZE, SIZE, 3))])
def test_image_to_image_with_a_mask(
    host: Host, gateway: Gateway, only_masked: bool, shape: tuple[int, ...]
) -> None:
    """Only masked is pasted back into the picture, which keeps its size; otherwise it is width x height."""
    graph: Graph = {
        "load": node("LoadImage", image="photo.png"),
        "mask": node("SolidMask", value=1.0, width=96, height=80),
        "send": submit(
            "a blue square",
            init_image=["load", 0],
            init_mask=["mask", 0],
            denoising_strength=0.6,
            inpaint_full_res=only_masked,
        ),
        "save": node("SaveImage", images=["send", 0], filename_prefix="painted"),
        "task": shown("send", 2),
    }
    result = host.run(graph)
    assert result.status == "success", result.error
    assert pictures(host, "painted")[-1].shape == shape
    task = next(task for task in gateway.tasks() if task["task_id"] == result.outputs["task"]["text"][0])
    assert task["operation"] == "sd_image2image_v2"


def test_progress_preview_and_text_reach_the_client(host: Host, gateway: Gateway) -> None:
    """The bar moves, an intermediate picture is shown while the task runs, and at last what came out."""
    graph: Graph = {"watched": submit("a red moon", steps=30, n_iter=2), "look": shown("watched", 2)}
    graph["save"] = node("SaveImage", images=["watched", 0], filename_prefix="watched")
    events, binaries = asyncio.run(listen(host, graph))
    states = [
        data["nodes"]["watched"]
        for kind, data in events
        if kind == "progress_state" and "watched" in data["nodes"]
    ]
    values = [state["value"] / state["max"] for state in states if state["max"]]
    assert values == sorted(values)
    assert any(0 < value < 1 for value in values)
    previews = [data[data.index(b"\xff\xd8\xff") :] for data in binaries if b"\xff\xd8\xff" in data]
    assert len(previews) > 1, "no intermediate picture"
    # The last one is the result (as JPEG, enlarged by the host), which the host leaves on the node.
    result = pictures(host, "watched")[0].astype(int)
    size = (SIZE, SIZE)
    small = [cv2.resize(decode_picture(data), size, interpolation=cv2.INTER_AREA) for data in previews]
    apart = [np.abs(picture.astype(int) - result).mean() for picture in small]
    assert apart[-1] < 4
    assert apart[-1] < apart[0]
    texts = [data.decode("utf-8", "replace") for data in binaries if data[:4] == b"\0\0\0\x03"]
    assert any("running" in text for text in texts)
    assert any("seeds 11, 12" in text for text in texts)


async def listen(host: Host, graph: Graph) -> tuple[list[tuple[str, dict[str, Any]]], list[bytes]]:
    """Queue a graph as a browser would, and everything the server pushed until it was done."""
    events: list[tuple[str, dict[str, Any]]] = []
    binaries: list[bytes] = []
    address = f"{host.url}/ws?clientId=listener"
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        await socket.send_str(
            json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        )
        await asyncio.to_thread(host.post, "/prompt", {"prompt": graph, "client_id": "listener"})
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                binaries.append(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                told = json.loads(message.data)
                events.append((told["type"], told["data"]))
                if told["type"] in ("execution_success", "execution_error"):
                    break
    return events, binaries
