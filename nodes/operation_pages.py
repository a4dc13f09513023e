"""Writes what follows from the catalogue: Chinese words and help pages of the operations' nodes.

    python -m img_open.nodes.operation_pages

To be run when the catalogue or `operation_words.py` has changed; the tables inside the pages and the English
locale are then written by `help_pages.refresh()`, which this calls. Tests fail when anything is out of date.
"""

from __future__ import annotations

import json
import subprocess
import sys

from ..api.catalogue import Operation
from ..api.operation_outputs import published_roles
from . import help_pages
from . import operation_page_texts as texts
from .fields import NodeTable
from .operation_list import FILE, as_json, published_tables
from .operation_tables import SD_QUERY, OperationNode, chinese_words, follows, published_operations

# The stock nodes of the examples, as the host names them.
_CHAIN_EN = ("Load Image", "Save Image", "Preview Any")
_CHAIN_ZH = ("加载图像", "保存图像", "预览任意")
_LOOKS = ("query_task_info_v1", "query_task_info_v2", "query_tool_task")


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
    """The help page without its picture and parameters."""
    operation, table = node.operation, node.table
    waiting = (
        texts.ASK_EN
        if operation.task.mode == "sync"
        else texts.WAIT_EN
        if follows(operation)
        else texts.REPLY_EN
    )
    waiting += texts.LOOK_EN if operation.id in _LOOKS else ""
    waiting += texts.ANSWER_EN if _open_answer(operation) else ""
    lines = [f"# {table.title}", "", table.description, ""]
    lines += ["## Example", "", _example(table, table.title, _CHAIN_EN), ""]
    lines += ["## Parameters", "", help_pages.START, help_pages.END, ""]
    lines += [texts.HOW_EN.format(pictures=texts.PICTURES_EN if _has_pictures(table) else "", wait=waiting)]
    lines[-1] += f"- {texts.OPEN[operation.id][0]}\n" if operation.id in texts.OPEN else ""
    return "\n".join([*lines, f"The call: `{operation.method} {operation.path}`"]) + "\n"


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
    waiting += texts.LOOK_ZH if operation.id in _LOOKS else ""
    waiting += texts.ANSWER_ZH if _open_answer(operation) else ""
    title = str(words["display_name"])
    lines = [f"# {title}", "", str(words["description"]), ""]
    lines += ["## 示例", "", _example(node.table, title, _CHAIN_ZH), ""]
    lines += ["## 参数", "", help_pages.START, help_pages.END, ""]
    pictures = texts.PICTURES_ZH if _has_pictures(node.table) else ""
    lines += [texts.HOW_ZH.format(pictures=pictures, wait=waiting)]
    lines[-1] += f"- {texts.OPEN[operation.id][1]}\n" if operation.id in texts.OPEN else ""
    return "\n".join([*lines, f"调用：`{operation.method} {operation.path}`"]) + "\n"


def _open_answer(operation: Operation) -> bool:
    """Whether the node has to find out for itself what the result holds."""
    return follows(operation) and SD_QUERY not in operation.task.poll_with and not published_roles(operation)


def _has_pictures(table: NodeTable) -> bool:
    return any(field.socket in ("IMAGE", "MASK") for field in table.inputs)


def _example(table: NodeTable, title: str, chain: tuple[str, str, str]) -> str:
    """The shortest useful chain around the node."""
    load, save, show = chain
    before = f"{load} → " if _has_pictures(table) else ""
    kinds = [out.socket for out in table.outputs]
    return f"{before}**{title}** → {save if 'IMAGE' in kinds else show}"


if __name__ == "__main__":
    refresh()
