"""Writes what follows from the catalogue: Chinese words and help pages of the operations' nodes.

    python -m img_open.nodes.operation_pages

To be run when the catalogue or `operation_words.py` has changed; the tables inside the pages and the English
locale are then written by `help_pages.refresh()`, which this calls. Tests fail when anything is out of date.
"""

from __future__ import annotations

import json
import subprocess
import sys

from . import help_pages
from . import operation_page_texts as texts
from .fields import NodeTable
from .operation_list import FILE, as_json, published_tables
from .operation_tables import OperationNode, chinese_words, follows, group_name, published_operations


def refresh() -> None:
    """Rewrite the words and pages of the published operations."""
    stored = {node.operation.id: as_json(node.table) for node in published_operations()}
    FILE.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", "utf-8")
    published_tables.cache_clear()
    file = help_pages.locale_file("zh")
    words = json.loads(file.read_text("utf-8"))
    for node in published_operations():
        words[node.table.id] = chinese_words(node)
    file.write_text(json.dumps(words, indent=2, ensure_ascii=False) + "\n", "utf-8")
    for node in published_operations():
        for locale, text in (("en", english_page(node)), ("zh", chinese_page(node))):
            path = help_pages.page(node.table, locale)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    # In a process of its own: the tables were read when this one began.
    subprocess.run([sys.executable, "-m", help_pages.__name__], check=True)


def english_page(node: OperationNode) -> str:
    """The help page without its tables."""
    operation, table = node.operation, node.table
    waiting = (
        texts.ASK_EN
        if operation.task.mode == "sync"
        else texts.WAIT_EN
        if follows(operation)
        else texts.REPLY_EN
    )
    lines = [f"# {table.title}", "", table.description, "", f"`{operation.method} {operation.path}`", ""]
    lines += [
        texts.HOW_EN.format(pictures=texts.PICTURES_EN if _has_pictures(table) else "", wait=waiting),
        "",
    ]
    lines += ["## Example", "", _example(table), ""]
    if operation.unknown or operation.notes:
        lines += ["## What the vendor's page leaves open", ""]
        lines += [f"- {text}" for text in (*operation.unknown, *operation.notes)] + [""]
    return "\n".join([*lines, "## Parameters", "", help_pages.START, help_pages.END]) + "\n"


def chinese_page(node: OperationNode) -> str:
    """As `english_page`, in Chinese."""
    operation, words = node.operation, chinese_words(node)
    waiting = (
        texts.ASK_ZH
        if operation.task.mode == "sync"
        else texts.WAIT_ZH
        if follows(operation)
        else texts.REPLY_ZH
    )
    lines = [f"# {words['display_name']}", "", str(words["description"]), ""]
    lines += [f"`{operation.method} {operation.path}`（{group_name(operation.group)[1]}）", ""]
    lines += [
        texts.HOW_ZH.format(pictures=texts.PICTURES_ZH if _has_pictures(node.table) else "", wait=waiting),
        "",
    ]
    lines += ["## 示例", "", _example(node.table), ""]
    if operation.unknown or operation.notes:
        lines += ["## 官方页面没有说明的内容", "", "（英文原始记录）", ""]
        lines += [f"- {text}" for text in (*operation.unknown, *operation.notes)] + [""]
    return "\n".join([*lines, "## 参数", "", help_pages.START, help_pages.END]) + "\n"


def _has_pictures(table: NodeTable) -> bool:
    return any(field.socket in ("IMAGE", "MASK") for field in table.inputs)


def _example(table: NodeTable) -> str:
    """The shortest useful chain around the node."""
    before = "Load Image → " if _has_pictures(table) else ""
    kinds = [out.socket for out in table.outputs]
    after = " → Save Image" if "IMAGE" in kinds else " → Preview as Text"
    return f"{before}**{table.title}**{after}"


if __name__ == "__main__":
    refresh()
