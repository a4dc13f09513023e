"""Writes what follows from the tables: the English locale and the parameter tables of the help pages.

    img_open.nodes.help_pages.refresh()   or   python -m img_open.nodes.help_pages

`locales/zh/nodeDefs.json` is written by hand; its texts fill the Chinese pages. A test
(tests/unit/test_nodes_words.py) fails when anything is out of date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .fields import Field, NodeTable
from .published import NODES

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- parameters: generated -->", "<!-- end of parameters -->"
_HEADS = {
    "en": ("Input", "Type", "Default", "Meaning", "Output"),
    "zh": ("输入", "类型", "默认值", "含义", "输出"),
}
_LOCALES = tuple(_HEADS)


def english() -> dict[str, Any]:
    """`locales/en/nodeDefs.json`: the words of the tables in the front-end's layout."""
    return {table.id: _words(table) for table in NODES}


def _words(table: NodeTable) -> dict[str, Any]:
    return {
        "display_name": table.title,
        "description": table.description,
        "inputs": {field.id: {"name": field.id, "tooltip": field.tooltip} for field in table.inputs},
        "outputs": {
            str(number): {"name": out.name, "tooltip": out.tooltip}
            for number, out in enumerate(table.outputs)
        },
    }


def parameters(table: NodeTable, words: dict[str, Any], locale: str) -> str:
    """The tables of a help page in one language, with the markers around them."""
    head = _HEADS[locale]
    lines = [START, "", *_picture(table, words, locale)]
    lines += ["| " + " | ".join(head[:4]) + " |", "| --- | --- | --- | --- |"]
    for field in table.inputs:
        tooltip = words["inputs"][field.id]["tooltip"]
        lines.append(f"| `{field.id}` | {_type(field)} | {_default(field)} | {tooltip} |")
    lines += ["", f"| {head[4]} | {head[1]} | {head[3]} |", "| --- | --- | --- |"]
    for number, out in enumerate(table.outputs):
        lines.append(f"| `{out.name}` | {out.socket} | {words['outputs'][str(number)]['tooltip']} |")
    return "\n".join([*lines, "", END])


def _picture(table: NodeTable, words: dict[str, Any], locale: str) -> list[str]:
    """The node as the browser test saw it (tests/browser/keep_pictures.py), where there is such a picture."""
    if not page(table, locale).with_suffix(".png").is_file():
        return []
    return [f"![{words['display_name']}]({table.id}/{locale}.png)", ""]


def page(table: NodeTable, locale: str) -> Path:
    """Where the help page of a node lies."""
    return ROOT / "web" / "docs" / table.id / f"{locale}.md"


def with_parameters(text: str, tables: str) -> str:
    """A page's text with its generated part replaced."""
    before, _, rest = text.partition(START)
    return before + tables + rest.partition(END)[2]


def locale_file(locale: str) -> Path:
    """The node words of one language."""
    return ROOT / "locales" / locale / "nodeDefs.json"


def refresh() -> None:
    """Rewrite everything that follows from the tables."""
    locale_file("en").write_text(json.dumps(english(), indent=2) + "\n", "utf-8")
    for locale in _LOCALES:
        words = json.loads(locale_file(locale).read_text("utf-8"))
        for table in NODES:
            path = page(table, locale)
            text = with_parameters(path.read_text("utf-8"), parameters(table, words[table.id], locale))
            path.write_text(text, "utf-8")


def _type(field: Field) -> str:
    return field.socket or {"int": "INT", "float": "FLOAT", "bool": "BOOLEAN", "combo": "COMBO"}.get(
        field.kind, "STRING"
    )


def _default(field: Field) -> str:
    if field.kind == "socket":
        return "–"
    value = str(field.default)
    if field.kind in ("int", "float"):
        return f"{value} ({field.minimum} … {field.maximum})"
    return value or "–"


if __name__ == "__main__":
    refresh()
