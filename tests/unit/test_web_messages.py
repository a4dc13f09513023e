"""Errors and notices of the pack on the canvas: every text of the source is in the Chinese catalogue, and the
page's own code finds it there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from message_templates import KINDS, ROOT, catalogue, difference, templates

FIND = """
import { Messages } from "%s";
let text = "";
process.stdin.setEncoding("utf-8");
for await (const part of process.stdin) text += part;
const { catalogue, sentences } = JSON.parse(text);
const messages = new Messages(catalogue);
const find = { messages: (text) => messages.find(text), both: (text) => messages.find(text),
  hints: (text) => messages.find(text), allowed: (text) => messages.value(text, 1),
  phrases: (text) => messages.value(text, 1) };
process.stdout.write(JSON.stringify(sentences.map(([kind, text]) => find[kind](text))));
"""
VALUE = re.compile(r"\{(\w+)\}")


def found(sentences: list[tuple[str, str]]) -> list[str | None]:
    """What web/js/messages.js makes of sentences."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("messages.js is not run: no node on the path.")
    script = FIND % (ROOT / "web" / "js" / "messages.js").as_uri()
    given = json.dumps({"catalogue": catalogue(), "sentences": sentences})
    command = [node, "--no-warnings", "--input-type=module", "-e", script]
    told = subprocess.run(
        command, input=given, capture_output=True, encoding="utf-8", timeout=120, check=True
    )
    return json.loads(told.stdout)


def filled(text: str) -> str:
    """A template with a value for each name, the same for the same name."""
    return VALUE.sub(lambda match: f"\u00ab{match[1]}7\u00bb", text)


def test_every_text_has_a_chinese_one_and_none_is_left_over() -> None:
    missing, unused = difference()
    assert missing == {kind: {} for kind in KINDS}, "add these to web/words/zh.json"
    assert unused == {kind: [] for kind in KINDS}, "nothing says these any more"


def test_the_walk_over_the_source_sees_the_texts() -> None:
    """Texts of every form in which the source writes them."""
    said = templates()
    assert len(said["messages"]) > 350
    assert "{field} is {shown}, but must be {allowed}." in said["messages"]  # base/errors.py, `cls(...)`
    assert "Task {task_id} was never sent." in said["messages"]  # a constructor
    assert "stopped by the user" in said["messages"]  # a state of the journal
    assert "{what}: kept in extra_json, no widget holds it: {names}." in said["messages"]  # a notice
    assert "The model output of ControlNet Unit (Img Open) needs sd_model to be wired in." in said["messages"]
    assert "Give a smaller picture." in said["hints"]  # a constant of the module
    assert "the name of a preprocessor" in said["allowed"]
    assert "the question about task {query_id}" in said["phrases"]


def test_chinese_texts_are_chinese_and_name_the_same_values() -> None:
    for kind, texts in catalogue().items():
        for english, chinese in texts.items():
            assert sorted(VALUE.findall(english)) == sorted(VALUE.findall(chinese)), english
            plain = VALUE.sub("", english)
            if re.search(r"[a-z]{3,} [a-z]{2,}", plain) and not re.search(r"[(:'`]", plain):
                assert any(ord(letter) > 0x2E00 for letter in chinese), (kind, english)


def test_the_page_finds_every_text() -> None:
    """Each template, filled in, comes back as its own translation, filled in the same way."""
    texts = [(kind, *pair) for kind in KINDS for pair in catalogue()[kind].items()]
    answers = found([(kind, filled(english)) for kind, english, _ in texts])
    wrong = [
        (english, answer) for (_, english, chinese), answer in zip(texts, answers, strict=True)
        if answer != filled(chinese)
    ]  # fmt: skip
    assert wrong == []


def test_errors_as_the_pack_raises_them() -> None:
    from img_open.base.errors import InvalidRequest, TaskFailed
    from img_open.controlnet.modules import find_module

    with pytest.raises(InvalidRequest) as unknown:
        find_module("cany")
    field = InvalidRequest.field("steps", 0, "1 or more")
    words = "Task 7 was never sent."
    told = TaskFailed(
        f"The server reports that task x7 failed (status -1, {words!r}).", "Correct the request."
    )
    inside = TaskFailed(f"The server's result is not usable: {field.message}")
    strange = InvalidRequest.field("steps", 0, "of a kind that no catalogue knows")
    answers = found([("both", str(error)) for error in (unknown.value, field, inside, strange, told)])
    assert answers[1] == "steps 的值是 0，但必须是1 或更大。"
    assert answers[2] == f"服务器的结果无法使用：{answers[1]}"
    assert answers[0] is not None
    assert "cany" in answers[0]
    assert "canny" in answers[0]
    assert not re.search(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}", answers[0])
    assert answers[4] == "服务器报告任务 x7 失败（状态 -1，“任务 7 从未发送。”）。请更正请求。"
    assert answers[3] is None  # English as a whole, not by halves


def test_foreign_texts_are_left_alone() -> None:
    texts = ["CUDA out of memory. Tried to allocate 2.00 GiB", "list index out of range", "", "a cat, a dog",
             "'NoneType' object has no attribute 'shape'", "Expected all on one device."]  # fmt: skip
    assert found([("both", text) for text in texts]) == [None] * len(texts)
