"""Files dropped on the canvas, pictures in the clipboard: requests become nodes, the rest is the host's."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from img_open.base.pictures import encode_png

PAGE = (Path(__file__).parents[1] / "data" / "api" / "sd_controlnet_page.curl.txt").read_bytes()
BODY = json.dumps({"prompt": "dropped", "steps": 5, "alwayson_scripts": {}}).encode()
INFOTEXT = "a cat\nNegative prompt: dog\nSteps: 21, Sampler: Euler a, CFG scale: 7, Seed: 99, Size: 64x64"
WORKFLOW = json.dumps(
    {"nodes": [], "links": [], "groups": [], "version": 0.4, "last_node_id": 0, "last_link_id": 0}
)


def png(**texts: str) -> bytes:
    return encode_png(np.full((64, 64, 3), 90, np.uint8), text=texts or None)


# The files of a drag, as the browser hands them over: dragover and drop on the canvas, with a DataTransfer.
DROP = """
const data = new DataTransfer();
for (const [name, type, content] of argument) {
  data.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name, { type }));
}
const canvas = document.querySelector("#graph-canvas");
const drag = (kind) => canvas.dispatchEvent(new DragEvent(kind,
  { dataTransfer: data, clientX: 500, clientY: 400, bubbles: true, cancelable: true }));
drag("dragenter"); drag("dragover"); drag("drop");
"""
PASTE = """
const data = new DataTransfer();
for (const [name, type, content] of argument) {
  data.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name, { type }));
}
document.querySelector("#graph-canvas").dispatchEvent(
  new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
"""
VALUES = """
const node = app.graph._nodes.find((one) => one.type === "ImgOpenGenerate");
return node && Object.fromEntries(node.widgets.map((one) => [one.name, one.value]));
"""
HAS = "return app.graph._nodes.some((one) => one.type === argument)"


def files(*entries: tuple[str, str, bytes]) -> list[list[str]]:
    return [[name, kind, base64.b64encode(content).decode()] for name, kind, content in entries]


@pytest.mark.parametrize(
    ("name", "kind", "content", "prompt"),
    [
        ("request.json", "application/json", BODY, "dropped"),
        ("request.sh", "", BODY, "dropped"),
        ("page.txt", "text/plain", PAGE, ""),
        ("00001.png", "image/png", png(parameters=INFOTEXT), "a cat"),
    ],
)
def test_a_dropped_file_becomes_nodes(site: Any, name: str, kind: str, content: bytes, prompt: str) -> None:
    site.open()
    site.page.run(DROP, files((name, kind, content)))
    site.page.wait(HAS, "ImgOpenGenerate")
    values = site.page.run(VALUES)
    assert prompt in values["prompt"]
    assert values["seed"] == {"page.txt": 1221212, "00001.png": 99}.get(name, -1)


def test_dropped_text_becomes_nodes(site: Any) -> None:
    """A selection that is dragged from another window."""
    site.open()
    site.page.run(
        """const data = new DataTransfer(); data.setData("text/plain", argument);
        document.querySelector("#graph-canvas").dispatchEvent(
          new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));""",
        BODY.decode(),
    )
    site.page.wait(HAS, "ImgOpenGenerate")


def test_a_web_ui_picture_in_the_clipboard_becomes_nodes(site: Any) -> None:
    site.open()
    site.page.run(PASTE, files(("image.png", "image/png", png(parameters=INFOTEXT))))
    site.page.wait(HAS, "ImgOpenGenerate")
    values = site.page.run(VALUES)
    assert (values["prompt"], values["negative_prompt"], values["seed"]) == ("a cat", "dog", 99)
    assert not site.page.run(HAS, "LoadImage")


@pytest.mark.parametrize(
    "content",
    [
        png(),
        png(parameters=INFOTEXT, workflow=WORKFLOW),
        png(parameters=INFOTEXT, prompt="{}"),
        png(note=INFOTEXT),
    ],
    ids=["plain", "workflow", "prompt", "other text"],
)
def test_other_pictures_in_the_clipboard_are_the_hosts(site: Any, content: bytes) -> None:
    """It pastes them as Load Image nodes, as it does without the pack."""
    site.open()
    site.page.run(PASTE, files(("image.png", "image/png", content)))
    site.page.wait(HAS, "LoadImage")
    assert site.page.run("return app.graph._nodes.map((one) => one.type)") == ["LoadImage"]


def test_the_setting_leaves_web_ui_pictures_to_the_host(site: Any) -> None:
    site.open()
    site.page.run("await app.ui.settings.setSettingValueAsync('ImgOpen.TakePictures', false)")
    try:
        site.page.run(PASTE, files(("image.png", "image/png", png(parameters=INFOTEXT))))
        site.page.wait(HAS, "LoadImage")
        assert not site.page.run(HAS, "ImgOpenGenerate")
    finally:
        site.page.run("await app.ui.settings.setSettingValueAsync('ImgOpen.TakePictures', true)")


def test_a_picture_pasted_into_a_text_box_stays_there(site: Any) -> None:
    site.open()
    site.page.run(
        """const box = document.createElement("textarea"); box.id = "box"; document.body.append(box);
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(argument), (one) => one.charCodeAt(0))], "x.png",
          { type: "image/png" }));
        window.prevented = !box.dispatchEvent(
          new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
        await new Promise((done) => setTimeout(done, 800));""",
        base64.b64encode(png(parameters=INFOTEXT)).decode(),
    )
    assert not site.page.run("return window.prevented")
    assert not site.page.run(HAS, "ImgOpenGenerate")
