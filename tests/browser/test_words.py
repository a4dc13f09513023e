"""What the server says in English is Chinese on a Chinese page: errors, notices, states, texts on nodes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}")  # three words in a row


def english(text: str) -> bool:
    """Whether there are English words that are no command to type."""
    return ENGLISH.search(re.sub(r"`[^`]*`", "", text)) is not None


RUN = """
app.graph.clear();
const node = LiteGraph.createNode("ImgOpenRemoteSubmit");
app.graph.add(node);
for (const name in argument) node.widgets.find((one) => one.name === name).value = argument[name];
const look = LiteGraph.createNode("PreviewImage");
app.graph.add(look);
look.pos = [520, 0];
node.connect(0, look, 0);
window.failures = [];
const { api } = await import("/scripts/api.js");
api.addEventListener("execution_error",
  (event) => window.failures.push(event.detail.exception_message.trim()));
await app.queuePrompt(0);
"""


@pytest.mark.parametrize(
    ("locale", "values", "expected"),
    [
        ("zh", {"profile": "cloud", "prompt": "x"}, "配置 'cloud' 需要环境变量"),
        ("zh", {"profile": "local", "prompt": "x", "extra_json": "[1]"}, "extra_json 的值是"),
        (
            "zh",
            {"profile": "local", "prompt": "x", "sd_model_checkpoint": "no-such"},
            "没有名为 'no-such' 的大模型",
        ),
        ("en", {"profile": "cloud", "prompt": "x"}, "needs IMG_OPEN_ACCESS_KEY_ID"),
    ],
)
def test_an_error_is_told_in_the_pages_language(
    site: Any, locale: str, values: dict[str, Any], expected: str
) -> None:
    """By the event that the host's own dialog shows, and on the older front-end by that dialog."""
    site.open(locale)
    site.page.run(RUN, values)
    site.page.wait("return window.failures.length", seconds=60)
    (told,) = site.page.run("return window.failures")
    assert expected in told
    if locale == "zh":
        assert not english(told)
    if site.front_end == "own":
        site.page.wait("return document.querySelector('[role=dialog], .p-dialog')")
        shown = site.page.run(
            "return [...document.querySelectorAll('[role=dialog], .p-dialog')].at(-1).innerText"
        )
        assert " ".join(told.split())[:30] in " ".join(shown.split())


def test_a_refusal_of_the_routes_is_chinese_and_a_foreign_text_stays_whole(site: Any) -> None:
    site.open("zh")
    told = site.page.run(
        """const { call } = await import("/extensions/img-open/js/http.js");
        const { tell, loadMessages } = await import("/extensions/img-open/js/tell.js");
        await loadMessages();
        const tries = [["POST", "/img_open/import", { text: "hello" }], ["GET", "/img_open/tasks/nothing"],
          ["POST", "/img_open/profiles", { name: "../x", base_url: "https://a.example" }]];
        const errors = [];
        for (const one of tries) await call(...one).catch((error) => errors.push(error.message));
        return { errors, foreign: tell("CUDA out of memory.", "Try a smaller picture of it.") };"""
    )
    assert len(told["errors"]) == 3
    for text in told["errors"]:
        assert not english(text), text
        assert any(ord(letter) > 0x4E00 for letter in text)
    assert told["foreign"] == "CUDA out of memory. Try a smaller picture of it."


def test_notices_of_a_paste_are_chinese(site: Any) -> None:
    site.open("zh")
    site.paste(
        json.dumps({"prompt": "a", "sampler_name": "Euler", "steps": 4, "subseed": 3,
                    "alwayson_scripts": {"id_task": "mine"}})
    )  # fmt: skip
    site.page.wait("return app.graph._nodes.some((one) => one.type === 'MarkdownNote')")
    note = site.page.run(
        "return app.graph._nodes.find((one) => one.type === 'MarkdownNote').widgets[0].value"
    )
    assert "未能导入的内容" in note
    assert len(note.splitlines()) >= 3
    for line in note.splitlines():
        assert not english(line), line


def test_a_running_task_tells_its_stage_on_the_node_and_its_end_in_the_panel(site: Any) -> None:
    site.open("zh")
    site.page.run(
        """window.told = [];
        const { api } = await import("/scripts/api.js");
        api.addEventListener("progress_text", (event) => window.told.push(event.detail.text));"""
    )
    seed = 300 if site.front_end == "own" else 301
    values = {"profile": "local", "prompt": "words", "sd_model_checkpoint": "demo", "steps": 12,
              "width": 128, "height": 128, "seed": seed, "restore_faces": True}  # fmt: skip
    site.page.run(RUN, values)
    site.page.wait("return app.graph._nodes[1].imgs?.[0]?.naturalWidth === 128", seconds=120)
    told = "\n".join(site.page.run("return window.told"))
    assert re.search(r"(排队中|加载中|采样中|运行中) · \d+% · \d+ 秒", told)
    assert not english(told)
    assert "restore_faces：已略去：此引擎没有面部修复。" in told
    assert f"种子 {seed}" in told
    labels = site.page.run(
        "return app.graph._nodes[0].widgets.filter((one) => one.name.startsWith('img_open_'))"
        ".map((one) => one.label)"
    )
    assert any(label.startswith("复制任务 ID") for label in labels)


def test_choices_are_shown_in_chinese_and_stored_as_the_api_spells_them(site: Any) -> None:
    site.open("zh")
    told = site.page.run(
        """const node = LiteGraph.createNode("ImgOpenControlNetApply"); app.graph.add(node);
        const mode = node.widgets.find((one) => one.name === "control_mode");
        const submit = LiteGraph.createNode("ImgOpenRemoteSubmit");
        const profile = submit.widgets.find((one) => one.name === "profile");
        profile.value = "local";
        const call = LiteGraph.createNode("ImgOpenApiSdControlnet");
        const sampler = call.widgets.find((one) => one.name === "sampler_index");
        const { output } = await app.graphToPrompt();
        return { shown: mode._displayValue, value: mode.value,
          sent: Object.values(output)[0].inputs.control_mode, stored: JSON.stringify(app.graph.serialize()),
          profile: profile._displayValue, sampler: sampler._displayValue };"""
    )
    assert told["shown"] == "均衡"
    assert told["value"] == told["sent"] == "Balanced"
    assert "均衡" not in told["stored"]
    assert told["profile"] == "local"  # a name is no word
    assert told["sampler"] == "不发送"
