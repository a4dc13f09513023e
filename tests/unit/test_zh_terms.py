"""One Chinese word for one thing, in nodes, panels, messages and help pages.

The words are those of ComfyUI's own Chinese locale where it has one (遮罩, 正面条件, 您, 其他), else those
that Chinese users of the A1111 web UI know (高分辨率修复, 重绘幅度, 大模型).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from img_open.nodes import help_pages
from img_open.nodes.fields import NodeTable
from img_open.nodes.help_parameters import choice_words
from img_open.nodes.published import NODES

ROOT = Path(__file__).resolve().parents[2]

# What is rejected, and what stands in its place.
REJECTED = {
    "蒙版": "遮罩",
    "任务编号": "任务 ID",
    "任务号": "任务 ID",
    "任务ID": "任务 ID",
    "业务编号": "自定义任务 ID",
    "高清": "高分辨率修复",
    "正向条件": "正面条件",
    "反向条件": "负面条件",
    "正向提示词": "提示词",
    "负面提示词": "反向提示词",
    "重绘强度": "重绘幅度",
    "其他字段": "附加 JSON",
    "你": "您",
    "检查点": "大模型",
    "底模": "基础模型",
    "区间读法": "区间计算方式",
    "区间方式": "区间计算方式",
    "采样方法": "采样器",
    "其它": "其他",
}
# In Chinese it is written WebUI; web-ui is a choice of a node.
_WEB_UI = re.compile(r"(?<![\w-])[Ww]eb (UI|ui)(?!\w)|[Ww]eb-UI")

FILES = [
    *sorted((ROOT / "locales" / "zh").glob("*.json")),
    ROOT / "web" / "words" / "zh.json",
    ROOT / "web" / "js" / "words.js",
    ROOT / "web" / "js" / "choices.js",
    *sorted((ROOT / "web" / "docs").glob("*/zh.md")),
    ROOT / "README.zh-CN.md",
]


def faults(text: str) -> list[str]:
    """Every rejected word of a text, with the better one."""
    found = [f"{word}: write {better}" for word, better in REJECTED.items() if word in text]
    return found + (["web UI: write WebUI"] if _WEB_UI.search(text) else [])


def chinese(path: Path) -> str:
    """The Chinese of a file: translations without their English keys, pages without code."""
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return "\n".join(_values(json.loads(text)))
    if path.suffix == ".js":
        return "\n".join(re.findall(r'"([^"\n]*[\u4e00-\u9fff][^"\n]*)"', text))
    # Choices stand in the API's own words, as code.
    return re.sub(r"`[^`\n]*`", "", text)


def _values(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _values(inner)]
    return [str(value)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_words_are_those_of_the_glossary(path: Path) -> None:
    text = chinese(path)
    assert re.search(r"[\u4e00-\u9fff]", text)
    assert faults(text) == []


def test_a_rejected_word_is_found() -> None:
    assert faults("蒙版的任务编号") == ["蒙版: write 遮罩", "任务编号: write 任务 ID"]
    assert faults("与 web UI 相同") == ["web UI: write WebUI"]
    assert faults("遮罩，任务 ID，WebUI") == []


@pytest.mark.parametrize("table", NODES, ids=lambda table: table.id)
def test_inputs_of_one_node_have_names_of_their_own(table: NodeTable) -> None:
    words = json.loads(help_pages.locale_file("zh").read_text("utf-8"))[table.id]
    names = [entry["name"] for entry in words["inputs"].values()]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


def test_translators_find_characters_and_no_escapes() -> None:
    for name in ("words.js", "choices.js"):
        source = (ROOT / "web" / "js" / name).read_text("utf-8")
        assert not re.search(r"\\u[4-9][0-9a-f]{3}", source), name


def test_help_pages_speak_of_choices_as_the_canvas_does() -> None:
    words, named, among = choice_words()
    assert words["Balanced"] == "均衡"
    assert {"module", "sampler_index", "profile"} <= named
    assert "not sent" in among
    page = (ROOT / "web" / "docs" / "ImgOpenControlNetApply" / "zh.md").read_text("utf-8")
    assert "均衡 `Balanced`" in page
    assert "`canny`" in page
