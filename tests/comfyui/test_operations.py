"""Nodes of the API's operations in a real host, against a server process that has the tools."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_gateway import Gateway
from comfy_host import ROOT, Host, environment
from graphs import Graph, node, write_picture
from img_open.api.profiles import Profile, save_profile
from img_open.base.pictures import decode_picture
from img_open.engines.callbacks import token
from img_open.nodes.operation_tables import published_operations

from ..http.faulty_server import color_of
from ..http_operations.conftest import ToolServer

OPERATIONS = published_operations()


@pytest.fixture(scope="module")
def _tools(host: Host, base: Path) -> Iterator[ToolServer]:
    server = ToolServer(base / "tools.json", dialect="gateway")
    before = os.environ.get("IMG_OPEN_HOME")
    os.environ["IMG_OPEN_HOME"] = str(base / "img-open-home")
    try:
        save_profile(Profile("tools", server.url))
        write_picture(host.base / "input" / "photo.png", 96, 80)
        yield server
    finally:
        server.stop()
        if before is None:
            del os.environ["IMG_OPEN_HOME"]
        else:
            os.environ["IMG_OPEN_HOME"] = before


@pytest.fixture
def tools(_tools: ToolServer) -> ToolServer:
    """The server, with an empty ledger."""
    _tools._post("/_reset", {})
    return _tools


def shown(source: str, output: int) -> dict[str, Any]:
    return node("PreviewAny", source=[source, output])


def expand(seed: int, **more: Any) -> dict[str, Any]:
    return node(
        "ImgOpenApiImgExpand",
        profile="tools",
        sourceImage=["load", 0],
        imageCount=2,
        verticalExpansionRatio=1.5,
        horizontalExpansionRatio=1.75,
        seed=seed,
        **more,
    )


def graph(first: dict[str, Any], prefix: str, **more: Any) -> Graph:
    return {
        "load": node("LoadImage", image="photo.png"),
        "tool": first,
        "save": node("SaveImage", images=["tool", 0], filename_prefix=prefix),
        "task": shown("tool", 3),
        **more,
    }


def test_a_tool_from_picture_to_pictures(host: Host, tools: ToolServer) -> None:
    result = host.run(graph(expand(301), "expanded"))
    assert result.status == "success", result.error
    saved = sorted((host.base / "output").glob("expanded_*.png"))
    pixels = [tuple(int(v) for v in decode_picture(path.read_bytes())[0, 0]) for path in saved]
    assert pixels == [color_of(301), color_of(302)]
    (sent,) = tools.ledger()["bodies"]
    # Exactly what was set, the picture as a link, and the id: nothing that was left alone.
    assert set(sent) - {"_path"} == {
        "sourceImage", "imageCount", "verticalExpansionRatio", "horizontalExpansionRatio", "seed",
        "businessTaskId",
    }  # fmt: skip
    assert sent["sourceImage"].startswith("data:image/png")
    assert result.outputs["task"]["text"] == [sent["businessTaskId"]]


def test_run_again_is_paid_again_and_nothing_else_is(host: Host, tools: ToolServer) -> None:
    """Another node, another prompt, the same request: the stored result; the ledger shows one task."""
    ids = []
    for again in (0, 0, 1):
        result = host.run(graph(expand(311, run_again=again, extra_json=" " * len(ids)), "again"))
        assert result.status == "success", result.error
        ids += result.outputs["task"]["text"]
    assert ids[0] == ids[1] != ids[2]
    assert tools.works() == 2


def test_texts_come_out_as_text(host: Host, tools: ToolServer) -> None:
    wanted: Graph = {
        "load": node("LoadImage", image="photo.png"),
        "ask": node("ImgOpenApiInterrogate", profile="tools", image=["load", 0], model="clip"),
        "words": shown("ask", 0),
        "expand": node("ImgOpenApiPromptsExpand", profile="tools", mode="1", sourcePrompt="a girl"),
        "prompts": shown("expand", 0),
    }
    result = host.run(wanted)
    assert result.status == "success", result.error
    assert result.outputs["words"]["text"] == ["a lighthouse at dawn"]
    assert result.outputs["prompts"]["text"] == ["a girl, detailed\nsoft light"]
    assert {body["_path"]: body.get("mode") for body in tools.ledger()["bodies"]}["/tool/prompts/expand"] == 1


def test_where_no_result_is_published_the_reply_is_handed_over(host: Host, tools: ToolServer) -> None:
    wanted: Graph = {
        "v3": node(
            "ImgOpenApiSdText2imageV3", profile="tools", prompt="a boat", width=512, restoreFaces="false"
        ),
        "reply": shown("v3", 0),
    }
    result = host.run(wanted)
    assert result.status == "success", result.error
    assert json.loads(result.outputs["reply"]["text"][0])["task_id"].startswith("server-")
    (sent,) = tools.ledger()["bodies"]
    assert (sent["prompt"], sent["width"], sent["restoreFaces"]) == ("a boat", 512, False)


def test_an_answer_without_pictures_blocks_what_wants_them(host: Host, tools: ToolServer) -> None:
    """identify_style's result is not published; this server answers with a text."""
    style = node("ImgOpenApiIdentifyStyle", profile="tools", sourceImage=["load", 0])
    result = host.run(graph(style, "style", words=shown("tool", 1)))
    assert result.outputs.get("words", {}).get("text") == ["oil painting"]
    assert "save" not in result.outputs


def test_any_path_can_be_called(host: Host, tools: ToolServer) -> None:
    wanted: Graph = {
        "call": node(
            "ImgOpenApiCall",
            profile="tools",
            path="tool/brand/new",
            body='{"businessTaskId": "mine-7", "x": 1}',
        ),
        "answer": shown("call", 0),
        "id": shown("call", 1),
    }
    for _ in range(2):
        result = host.run(wanted)
        assert result.status == "success", result.error
    assert result.outputs["id"]["text"] == ["server-mine-7"]
    assert tools.works() == 1
    wrong = {
        **wanted,
        "call": node("ImgOpenApiCall", profile="tools", path="https://evil.example/x", body="{}"),
    }
    assert "path is" in host.run(wrong).error


ERRORS: list[tuple[dict[str, Any], list[str]]] = [
    ({"sampleStep": 51}, ["sampleStep", "50"]),
    ({"sourceImage_link": "https://a.example/x.png"}, ["sourceImage", "both given"]),
    ({"profile": "nobody"}, ["nobody", "img-open profile add"]),
    ({"extra_json": "{"}, ["extra_json", "JSON"]),
    ({"extra_json": '{"imageCount": null}'}, ["imageCount"]),
]


@pytest.mark.parametrize(
    ("inputs", "words"), ERRORS, ids=[next(iter(e[0])) + str(n) for n, e in enumerate(ERRORS)]
)
def test_errors_are_clear_text(
    host: Host, tools: ToolServer, inputs: dict[str, Any], words: list[str]
) -> None:
    first = expand(1)
    first["inputs"].update(inputs)
    answer = host.post("/prompt", {"prompt": graph(first, "errors"), "client_id": "x"})
    text = json.dumps(answer) if "prompt_id" not in answer else host.wait(answer["prompt_id"]).error
    assert all(word in text for word in words), text
    assert tools.works() == 0


def test_the_gateways_own_tool(host: Host, gateway: Gateway) -> None:
    """cnt/preview, made by `img-open serve`: the control image of a module with its default sliders."""
    write_picture(host.base / "input" / "photo.png", 96, 80)
    preview = node("ImgOpenApiCntPreview", profile="local", sourceImage=["load", 0], preprocessor="canny")
    result = host.run(graph(preview, "preview"))
    assert result.status == "success", result.error
    (path,) = (host.base / "output").glob("preview_*.png")
    edges = decode_picture(path.read_bytes())
    assert set(np.unique(edges)) <= {0, 255}
    assert 0 < edges.mean() < 128


def test_the_models_route_and_the_choice_that_uses_it(host: Host, tools: ToolServer) -> None:
    kind, options = host.get("/object_info/ImgOpenModel")["ImgOpenModel"]["input"]["required"]["model"]
    assert kind == "COMBO"
    assert options["remote"]["route"] == "/img_open/models"
    assert options["remote"]["refresh_button"]
    assert "model-24.safetensors" in host.get("/img_open/models?profile=tools")
    assert "model-24.safetensors" in host.get("/api/img_open/models")
    assert host.get("/img_open/models?profile=nobody") == []
    wanted: Graph = {"pick": node("ImgOpenModel", model="model-03.safetensors"), "look": shown("pick", 0)}
    assert host.run(wanted).outputs["look"]["text"] == ["model-03.safetensors"]


def test_the_callback_takes_known_ids_under_its_own_address_only(host: Host, tools: ToolServer) -> None:
    result = host.run(graph(expand(321), "called"))
    (task_id,) = result.outputs["task"]["text"]
    address = f"/img_open/callback/{token(host.base / 'img-open-home' / 'callback_token')}"
    assert host.post(address, {"data": {"businessTaskId": task_id}})["code"] == "200"
    assert host.post(address, {"businessTaskId": "somebody-else"})["_status"] == 404
    assert host.post("/img_open/callback/guess", {"businessTaskId": task_id})["_status"] == 404


PROBE = """
import asyncio, importlib.util, json, logging, sys
logging.basicConfig(stream=sys.stderr)
sys.path.insert(0, {comfyui!r})
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config, execution, server
spec = importlib.util.spec_from_file_location("imported_pack", {root!r} + "/__init__.py")
pack = importlib.util.module_from_spec(spec)
sys.modules["imported_pack"] = pack
spec.loader.exec_module(pack)
async def load():
    return [node.GET_SCHEMA() for node in await (await pack.comfy_entrypoint()).get_node_list()]
print("PROBE" + json.dumps({{
    s.node_id: [s.category, [i.id for i in s.inputs], [o.display_name for o in s.outputs]]
    for s in asyncio.run(load())
}}))
"""
LOCAL = """
- id: sing
  title: {zh: 唱歌}
  group: audio
  path: /AIGCImgOpenServ/saas/tool/sing
  fields:
  - {name: businessTaskId, type: string, required: true, role: task_id}
  - {name: words, type: string, required: true}
  response:
  - {name: data.audioUrl, type: string, role: audio}
"""


def probe(comfyui: tuple[Path, Path], home: Path, catalogue: str) -> tuple[dict[str, Any], str]:
    """The nodes of the pack for a user with this catalogue file, and what was logged."""
    (home / "img-open-home").mkdir()
    (home / "img-open-home" / "catalogue.yaml").write_text(catalogue, "utf-8")
    folder, python = comfyui
    code = PROBE.format(comfyui=str(folder), root=str(ROOT))
    done = subprocess.run(
        [str(python), "-c", code],
        cwd=folder,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "PROBE" in done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout.rpartition("PROBE")[2]), done.stderr


def test_six_lines_make_a_node(comfyui: tuple[Path, Path], tmp_path: Path) -> None:
    nodes, _ = probe(comfyui, tmp_path, LOCAL)
    category, inputs, outs = nodes["ImgOpenApiSing"]
    assert category == "Img Open/API/Audio"
    assert inputs == ["profile", "businessTaskId", "words", "extra_json", "deadline", "run_again"]
    assert outs == ["audio", "response", "task_id"]


def test_a_typo_costs_the_file_and_nothing_else(comfyui: tuple[Path, Path], tmp_path: Path) -> None:
    nodes, log = probe(comfyui, tmp_path, LOCAL.replace("type: string, required: true}", "typ: string}"))
    assert "ImgOpenApiSing" not in nodes
    assert len([name for name in nodes if name.startswith("ImgOpenApi")]) == len(OPERATIONS) + 1
    assert "line 8" in log
    assert "typ" in log


def test_the_preprocessor_can_be_remote(host: Host, gateway: Gateway) -> None:
    """A batch of two: two tasks at the gateway, the same maps as made here, and nothing paid twice."""
    write_picture(host.base / "input" / "photo-2.png", 88, 72)
    write_picture(host.base / "input" / "edges-2.png", 88, 72, "edges")
    known = len(gateway.tasks())

    def wanted(run_on: str, prefix: str) -> Graph:
        return {
            "one": node("LoadImage", image="photo-2.png"),
            "two": node("LoadImage", image="edges-2.png"),
            "both": node("ImageBatch", image1=["one", 0], image2=["two", 0]),
            "map": node(
                "ImgOpenPreprocessor", image=["both", 0], module="canny", run_on=run_on, profile="local"
            ),
            "save": node("SaveImage", images=["map", 0], filename_prefix=prefix),
        }

    for run_on in ("local", "remote"):
        result = host.run(wanted(run_on, f"map-{run_on}"))
        assert result.status == "success", result.error
    here, there = (
        [
            decode_picture(path.read_bytes())
            for path in sorted((host.base / "output").glob(f"map-{name}_*.png"))
        ]
        for name in ("local", "remote")
    )
    assert len(here) == len(there) == 2
    assert all(np.array_equal(*pair) for pair in zip(here, there, strict=True))
    assert len(gateway.tasks()) == known + 2
    host.run(wanted("remote", "map-again"))
    assert len(gateway.tasks()) == known + 2
