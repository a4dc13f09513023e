"""The page's curl is pasted, runs against a gateway, and its picture is on the node; then back to text."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from img_open.api.convert import from_text
from img_open.base.pictures import encode_png

PAGE = Path(__file__).parents[1] / "data" / "api" / "sd_controlnet_page.curl.txt"

# The page's pictures and model are not on this machine: a local picture, the demo model, a small size.
LOCAL = """
const find = (type) => app.graph._nodes.find((one) => one.comfyClass === type || one.type === type);
const put = (node, values) => {
  for (const name in values) node.widgets.find((one) => one.name === name).value = values[name];
};
const submit = find("ImgOpenGenerate"), unit = find("ImgOpenControlNetApply");
put(submit, { profile: "local", sd_model_checkpoint: "demo", sd_vae: "", width: 64, height: 64, steps: 3,
  image_link: "", ...(argument ?? {}) });
put(unit, { image_link: "", model: "canny", module: "canny", threshold_a: 100, threshold_b: 200 });
const load = LiteGraph.createNode("LoadImage");
app.graph.add(load);
load.pos = [unit.pos[0] - 420, unit.pos[1]];
load.widgets[0].value = "photo.png";
load.connect(0, unit, unit.inputs.findIndex((one) => one.name === "image"));
"""


@pytest.fixture
def pasted(site: Any) -> Any:
    site.open()
    site.paste(PAGE.read_text("utf-8"))
    site.page.wait("return app.graph._nodes.some((one) => one.type === 'MarkdownNote')")
    return site


def test_paste_lays_out_the_request(pasted: Any, keep: Callable[[str], str]) -> None:
    nodes = pasted.page.run(
        """return app.graph._nodes.map((one) => ({ type: one.type, left: one.pos[0], top: one.pos[1],
        right: one.pos[0] + one.size[0], bottom: one.pos[1] + one.size[1],
        values: Object.fromEntries((one.widgets ?? []).map((widget) => [widget.name, widget.value])) }));"""
    )
    types = [node["type"] for node in nodes]
    assert types == ["ImgOpenControlNetApply", "ImgOpenGenerate", "PreviewImage", "MarkdownNote"]
    for number, one in enumerate(nodes):
        for other in nodes[number + 1 :]:
            apart = one["right"] < other["left"] or other["right"] < one["left"]
            assert apart or one["bottom"] < other["top"] or other["bottom"] < one["top"]
    assert nodes[0]["values"]["model"] == "control_v1p_sd15_brightness"
    assert nodes[1]["values"]["seed"] == 1221212
    pasted.page.run("app.canvas.deselectAll?.(); await new Promise((done) => setTimeout(done, 3500));")
    pasted.page.do("shot", path=keep(f"paste-{pasted.front_end}.png"))


def test_run_until_the_picture_is_on_the_node(pasted: Any, keep: Callable[[str], str]) -> None:
    page = pasted.page
    page.run(LOCAL, {"seed": 7 if pasted.front_end == "own" else 8})
    page.run("await app.queuePrompt(0)")
    page.wait(
        "return app.graph._nodes.find((one) => one.type === 'PreviewImage').imgs?.[0]?.naturalWidth === 64",
        seconds=120,
    )
    page.wait(
        """return app.graph._nodes.find((one) => one.type === 'ImgOpenGenerate')
        .widgets.some((one) => one.name === 'img_open_paid')"""
    )
    labels = page.run(
        """return app.graph._nodes.find((one) => one.type === 'ImgOpenGenerate').widgets
        .filter((one) => /^img_open_(seeds|task|paid|action)$/.test(one.name)).map((one) => one.label)"""
    )
    assert [label.split(":")[0] for label in labels] == ["copy seeds", "copy task id", "images made"]
    assert "local" in labels[2]
    workflow = page.run("return JSON.stringify(app.graph.serialize())")
    assert "img_open_" not in workflow
    page.run("app.canvas.deselectAll?.(); await new Promise((done) => setTimeout(done, 800));")
    page.do("shot", path=keep(f"run-{pasted.front_end}.png"))


def test_copy_as_curl_json_and_web_ui(pasted: Any) -> None:
    for word, mark in (
        ("curl", "$IMG_OPEN_ACCESS_KEY_SECRET"),
        ("Img Open JSON", '"alwayson_scripts"'),
        ("web-UI", '"sampler_name"'),
    ):
        text = pasted.page.run(
            """
            await navigator.clipboard.writeText("");
            const node = app.graph._nodes.find((one) => one.type === "ImgOpenGenerate");
            const found = [];
            node.getExtraMenuOptions?.(app.canvas, found);
            found.push(...(app.collectNodeMenuItems?.(node) ?? []));
            const mine = found.filter((one) => one?.content?.startsWith("Img Open: copy"));
            if (mine.length !== 3) throw new Error(`${mine.length} entries`);
            mine.find((one) => one.content.includes(argument)).callback();
            for (let i = 0; i < 100; i++) {
              await new Promise((done) => setTimeout(done, 100));
              const text = await navigator.clipboard.readText();
              if (text) return text;
            }
            """,
            word,
        )
        assert mark in text
        assert "1221212" in text
        if word == "Img Open JSON":  # what was pasted, but for the id and the text box's own line ends
            page = from_text(PAGE.read_text("utf-8").replace("\\r\\n", "\\n")).without_id_task()
            assert json.loads(text.replace("\\r\\n", "\\n")) == page.to_wire()


def test_web_ui_json_and_files(site: Any) -> None:
    """Pasted web-UI JSON; a PNG of the web UI and a JSON file opened as files."""
    site.open()
    site.paste(json.dumps({"prompt": "a", "sampler_name": "Euler", "steps": 4, "subseed": 3}))
    site.page.wait("return app.graph._nodes.some((one) => one.type === 'ImgOpenGenerate')")
    text = "a cat\nNegative prompt: dog\nSteps: 21, Sampler: Euler a, CFG scale: 7, Seed: 99, Size: 64x64"
    picture = encode_png(np.zeros((64, 64, 3), np.uint8), text={"parameters": text})
    values = site.page.run(
        """
        app.graph.clear();
        const bytes = Uint8Array.from(atob(argument), (one) => one.charCodeAt(0));
        await app.handleFile(new File([bytes], "00001.png", { type: "image/png" }));
        const node = app.graph._nodes.find((one) => one.type === "ImgOpenGenerate");
        return node && Object.fromEntries(node.widgets.map((one) => [one.name, one.value]));
        """,
        base64.b64encode(picture).decode(),
    )
    assert (values["prompt"], values["negative_prompt"], values["seed"]) == ("a cat", "dog", 99)
    kinds = site.page.run(
        """
        app.graph.clear();
        const body = JSON.stringify({ prompt: "x", steps: 5, alwayson_scripts: {} });
        await app.handleFile(new File([body], "request.json", { type: "application/json" }));
        return app.graph._nodes.map((one) => one.type);
        """
    )
    assert "ImgOpenGenerate" in kinds


def test_other_texts_are_left_to_the_host(site: Any) -> None:
    site.open()
    for text in ("hello", "{}", '{"nodes": [], "links": []}', '{"prompt": {"1": {"class_type": "x"}}}'):
        site.paste(text)
    time.sleep(1)
    assert not site.page.run("return app.graph._nodes.some((one) => one.type.startsWith('ImgOpen'))")


def test_preview_button_runs_only_the_map(site: Any, keep: Callable[[str], str]) -> None:
    site.open()
    site.page.run(
        """
        const load = LiteGraph.createNode("LoadImage"); app.graph.add(load); load.pos = [60, 120];
        load.widgets[0].value = "photo.png";
        const node = LiteGraph.createNode("ImgOpenPreprocessor"); app.graph.add(node); node.pos = [480, 120];
        load.connect(0, node, node.inputs.findIndex((one) => one.name === "image"));
        node.widgets.find((one) => one.name === "processor_res").value = 64;
        node.widgets.find((one) => one.name === "img_open_preview").callback();
        """
    )
    site.page.wait(
        """const node = app.graph._nodes.find((one) => one.type === "ImgOpenPreprocessor");
        return node.imgs?.[0]?.naturalHeight > 0 &&
          node.widgets.find((one) => one.name === "img_open_preview").label.includes("px");""",
        seconds=90,
    )
    site.page.do("shot", path=keep(f"preview-{site.front_end}.png"))


def test_an_error_offers_what_helps(site: Any) -> None:
    """The cloud's keys are not set on this host: the node offers the profiles."""
    site.open()
    site.page.run(
        """
        const node = LiteGraph.createNode("ImgOpenRemoteSubmit"); app.graph.add(node);
        node.widgets.find((one) => one.name === "profile").value = "cloud";
        node.widgets.find((one) => one.name === "prompt").value = "x";
        const look = LiteGraph.createNode("PreviewImage"); app.graph.add(look);
        node.connect(0, look, 0);
        await app.queuePrompt(0);
        """
    )
    site.page.wait(
        """return app.graph._nodes[0].widgets
        .some((one) => one.name === "img_open_action" && one.label === "open profiles")""",
        seconds=60,
    )


def test_the_keyboard_pastes_too(site: Any) -> None:
    """Ctrl+V with the clipboard's text, as people do it; in a text box it stays the box's own."""
    site.open()
    body = json.dumps({"prompt": "by keyboard", "steps": 3, "alwayson_scripts": {}})
    site.page.run("await navigator.clipboard.writeText(argument)", body)
    site.page.do("click", selector="#graph-canvas")
    site.page.do("press", keys="Control+V")
    site.page.wait("return app.graph._nodes.some((one) => one.type === 'ImgOpenGenerate')")
    count = site.page.run("return app.graph._nodes.length")
    site.page.run(
        """const box = document.createElement("textarea"); box.id = "box";
        document.body.append(box); box.focus();"""
    )
    site.page.do("press", keys="Control+V")
    site.page.wait("return document.querySelector('#box').value.includes('by keyboard')")
    assert site.page.run("return app.graph._nodes.length") == count
