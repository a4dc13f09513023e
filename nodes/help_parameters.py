"""The inputs and outputs of a node as the bullets of its help page, grouped in the order of the node.

A help page is read in a sidebar of about 300 pixels: bullets wrap there, a table's last column does not fit.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from .fields import Field, NodeTable
from .help_groups import MORE, group_of
from .local_tables import samplers
from .unit_fields import all_modules

_CHOICES_FILE = Path(__file__).resolve().parents[1] / "web" / "js" / "choices.js"
_ENTRY = re.compile(r'^  (?:"([^"]+)"|(\w+)): "([^"]*)",$', re.MULTILINE)
_NUMBER = re.compile(r"_\d+$")  # tasks, tasks_2 ... are told in one line
# Lists that are the same on every machine; profiles and models are not, and stay out of the pages.
_SAME_EVERYWHERE = (samplers, all_modules)
FOLDING = (  # web/js/fold.js: RULES
    "ImgOpenGenerate",
    "ImgOpenRemoteSubmit",
    "ImgOpenSubmitAsync",
    "ImgOpenControlNetApply",
    "ImgOpenPreprocessor",
)
_NO_LIMIT = 4294967295  # numbers up to this are seeds and counters: their largest value means nothing
_TEXTS = {
    "en": {"default": "default {}", "range": "{} to {}", "choices": " Choices: {}.", "on": "on", "off": "off",
           "comma": ", ", "and": ", ", "required": "needed",
           "bullet": "- **{}**{}: ", "about": " ({})", "outputs": "Outputs",
           "folds": "The node shows the inputs that count as it is wired and set; its button *more inputs* "
           "shows the rest."},
    "zh": {"default": "默认 {}", "range": "{} 到 {}", "choices": "选项：{}。", "on": "开", "off": "关",
           "comma": "，", "and": "、", "required": "必需",
           "bullet": "- **{}**{}：", "about": "（{}）", "outputs": "输出",
           "folds": "节点只显示在当前连线和设置下有作用的输入项；按钮“更多输入”显示其余的。"},
}  # fmt: skip


def bullets(table: NodeTable, words: dict[str, Any], locale: str) -> list[str]:
    """The Markdown lines of a node's inputs and outputs in one language ("en" or "zh").

    Args:
        words: the node's entry of that language's nodeDefs.json.
    """
    groups: dict[tuple[str, str], list[Field]] = {}
    # Stable: the node shows all sockets first, then its widgets.
    for field in sorted(table.inputs, key=lambda one: one.kind != "socket"):
        groups.setdefault(group_of(table, field), []).append(field)
    if MORE in groups:
        groups[MORE] = groups.pop(MORE)  # last
    lines = [_TEXTS[locale]["folds"], ""] if table.id in FOLDING else []
    for titles, fields in groups.items():
        lines += [f"### {titles[0 if locale == 'en' else 1]}", ""]
        for _, alike in groupby(fields, key=lambda one: (_NUMBER.sub("", one.id), one.tooltip)):
            lines.append(_inputs(list(alike), words["inputs"], locale))
        lines.append("")
    say = _TEXTS[locale]
    lines += [f"### {say['outputs']}", ""]
    for number, out in enumerate(table.outputs):
        entry = words["outputs"][str(number)]
        about = _about(locale, *_id(entry["name"], out.name), out.socket)
        lines.append(say["bullet"].format(entry["name"], about) + entry["tooltip"])
    return [*lines, ""]


def _inputs(fields: list[Field], words: dict[str, Any], locale: str) -> str:
    """One bullet, for several inputs where they say the same (`tasks`, `tasks_2` ...)."""
    say, first = _TEXTS[locale], fields[0]
    label = words[first.id]["name"]
    ids = list(_id(label, first.id))
    if len(fields) > 1:
        label += " … " + words[fields[-1].id]["name"]
        ids = [f"`{first.id}` … `{fields[-1].id}`"] if ids else []
    about = _about(locale, *ids, *_facts(first, locale))
    meaning = words[first.id]["tooltip"]
    return say["bullet"].format(label, about) + meaning + _choices(first, locale)


def _id(label: str, name: str) -> tuple[str, ...]:
    return () if label == name else (f"`{name}`",)


def _facts(field: Field, locale: str) -> tuple[str, ...]:
    """The socket's type, or the default and the range of a widget."""
    say = _TEXTS[locale]
    if field.kind == "socket":
        return (field.socket, say["required"]) if field.required else (field.socket,)
    if field.kind == "bool":
        return (say["default"].format(say["on" if field.default else "off"]),)
    if field.kind in ("int", "float"):
        default = say["default"].format(_number(field.default))
        if field.maximum is None or field.maximum >= _NO_LIMIT:
            return (default,)
        return default, say["range"].format(_number(field.minimum), _number(field.maximum))
    if field.kind == "combo":
        return (say["default"].format(_choice(field, str(field.default), locale)),) if field.default else ()
    return (say["default"].format(f"`{field.default}`"),) if field.default else ()


def _number(value: float | None) -> str:
    """As a person writes it: 7 and not 7.0."""
    return f"{value:.12g}" if value is not None else ""


def _about(locale: str, *parts: str) -> str:
    """What stands in brackets behind a label; nothing where there is nothing to say."""
    say = _TEXTS[locale]
    return say["about"].format(say["comma"].join(parts)) if parts else ""


def _choices(field: Field, locale: str) -> str:
    """The choices of a combo in the words of the canvas, with the stored word behind them."""
    if field.kind != "combo" or (callable(field.options) and field.options not in _SAME_EVERYWHERE):
        return ""
    options = field.choices()
    if not options:
        return ""
    say = _TEXTS[locale]
    return say["choices"].format(say["and"].join(_choice(field, one, locale) for one in options))


def _choice(field: Field, value: str, locale: str) -> str:
    words, named, among = choice_words()
    word = words.get(value) if locale == "zh" and (field.id not in named or value in among) else None
    return f"{word} `{value}`" if word else f"`{value}`"


@lru_cache(maxsize=1)
def choice_words() -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    """From web/js/choices.js: Chinese of choices, inputs that show names as they are, exceptions there."""
    source = _CHOICES_FILE.read_text("utf-8")
    table = source.partition("export const ZH = {")[2].partition("\n};")[0]
    words = {quoted or plain: text for quoted, plain, text in _ENTRY.findall(table)}
    return words, _names(source, "NAMED"), _names(source, "AMONG_NAMES")


def _names(source: str, constant: str) -> frozenset[str]:
    listed = source.partition(f"export const {constant} = [")[2].partition("]")[0]
    return frozenset(re.findall(r'"([^"]+)"', listed))
