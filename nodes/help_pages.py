"""Writes what follows from the tables: the English locale, and the pictures and parameters of the help pages.

A page is read from the top in a narrow sidebar: picture, what the node does, an example, the parameters,
the rest.

    img_open.nodes.help_pages.refresh()   or   python -m img_open.nodes.help_pages

`locales/zh/nodeDefs.json` is written by hand; its texts fill the Chinese pages. A test
(tests/unit/test_nodes_words.py) fails when anything is out of date.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .fields import NodeTable
from .help_parameters import bullets
from .published import NODES

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- parameters: generated -->", "<!-- end of parameters -->"
_LOCALES = ("en", "zh")
_PICTURE = re.compile(r"^!\[[^\]\n]*\]\(\w+/\w+\.png\)\n\n?", re.MULTILINE)


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
    """Inputs and outputs on a help page in one language, with the markers around them."""
    return "\n".join([START, "", *bullets(table, words, locale), END])


def complete(text: str, table: NodeTable, words: dict[str, Any], locale: str) -> str:
    """A page's text with its picture under the title and its parameters between the markers."""
    title, _, rest = _PICTURE.sub("", text).partition("\n\n")
    text = "\n\n".join([title, *_picture(table, words, locale), rest])
    before, _, rest = text.partition(START)
    return before + parameters(table, words, locale) + rest.partition(END)[2]


def _picture(table: NodeTable, words: dict[str, Any], locale: str) -> list[str]:
    """The node as the browser test saw it (tests/browser/keep_pictures.py), where there is such a picture."""
    if not page(table, locale).with_suffix(".png").is_file():
        return []
    return [f"![{words['display_name']}]({table.id}/{locale}.png)"]


def page(table: NodeTable, locale: str) -> Path:
    """Where the help page of a node lies."""
    return ROOT / "web" / "docs" / table.id / f"{locale}.md"


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
            path.write_text(complete(path.read_text("utf-8"), table, words[table.id], locale), "utf-8")


if __name__ == "__main__":
    refresh()
