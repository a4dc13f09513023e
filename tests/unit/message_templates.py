"""The texts that the pack's Python tells people on the canvas, read from its source.

A text is an f-string in the code, in English; here it becomes a template with named values
(`Task {task_id} was never sent.`), which is its key in `web/words/zh.json`.

    python tests/unit/message_templates.py       what the catalogue lacks and what nothing says any more
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "web" / "words" / "zh.json"
ROOMS = ("base", "a1111", "controlnet", "preprocessors", "api", "storage", "engines", "nodes")
# What only the command line says; it is English. (gateway/ is not among the rooms for the same reason.)
COMMAND_LINE = {
    "engines/api_command.py", "engines/console.py", "engines/doctor.py", "engines/profile_command.py",
    "engines/save.py", "preprocessors/download.py", "preprocessors/command.py",
    "nodes/help_pages.py", "nodes/operation_pages.py",
}  # fmt: skip
KINDS = ("messages", "hints", "allowed", "phrases")

# Which argument of a call is which kind of text, by the name of what is called.
_SINKS: dict[str, dict[int, str]] = {
    "Info": {2: "messages"},
    "ExecutionBlocker": {0: "messages"},
    "notice": {0: "messages"},
    "set_state": {2: "messages"},
    "mark_not_sent": {2: "messages"},
    "_tell": {2: "messages"},
    "Progress": {2: "messages"},
    "say": {2: "messages"},
    "_end": {1: "messages"},
    "ask": {4: "phrases"},
    "read_envelope": {1: "phrases"},
    "model_of": {2: "phrases"},
    "refuse": {0: "phrases", 1: "hints"},  # helpers that make an error of a part of its text
    "_unusable": {0: "phrases", 1: "phrases"},
    "_foreign": {1: "phrases"},
    "_no": {1: "phrases"},
    "find_name": {2: "phrases"},
    "_uncertain": {1: "phrases"},
    "_wrong": {2: "allowed"},
    "_wired": {3: "phrases"},
    "_picture": {2: "phrases"},
    "_name_kept": {1: "phrases"},
}
_KEYWORDS = {"hint": "hints", "what": "phrases"}
_KEYS = {"message": "messages", "hint": "hints"}  # of dicts that become JSON answers
# Names of variables that hold parts of texts, and of functions that return whole ones.
_VARIABLES = {"what": "phrases", "why": "phrases", "side": "phrases", "advice": "phrases"}
_FUNCTIONS = {"refusal", "where", "_why_withheld", "_unknown", "_description", "said"}
_TABLES = {"_WHY", "_NEVER", "_PRIVATE", "_WORDS"}  # reasons that stand in tables
# Lists of texts for people: `notices.append("...")`; in nodes/ also those of a node's own text.
_LISTS = {"notices", "told", "_notices", "withheld"}
_NODE_LISTS = _LISTS | {"lines"}
_FIELD = {0: "phrases", 2: "allowed", 3: "hints"}  # of `InvalidRequest.field(field, value, allowed, hint)`
_ERROR = {0: "messages", 1: "hints"}
_DEEP = 6


def templates() -> dict[str, dict[str, str]]:
    """Kind -> template -> where it stands first (`room/file.py:line`)."""
    sources = {path: ast.parse(path.read_text("utf-8")) for path in _files()}
    errors = _error_classes([*sources.values()])
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for path, tree in sources.items():
        module = _Module(tree)
        lists = _NODE_LISTS if "nodes" in path.relative_to(ROOT).parts else _LISTS
        for scope, node in module.nodes():
            for kind, text in _texts(node, errors, scope, lists):
                for template in module.templates(text, scope):
                    if _has_words(template):
                        place = f"{path.relative_to(ROOT).as_posix()}:{text.lineno}"
                        found[kind].setdefault(template.strip(), place)
    for text in found["messages"]:
        found["phrases"].pop(text, None)
    return found


def _has_words(template: str) -> bool:
    """Whether there is something to translate; a name of the code (`init_image`) is not."""
    words = re.sub(r"\{\w+\}", "", template)
    return re.search(r"[A-Za-z]{2}", words) is not None and re.fullmatch(r"\w+_\w+", template) is None


def _files() -> Iterator[Path]:
    yield ROOT / "gateway" / "replies.py"  # how tasks stand, in the words of a gateway of ours
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.relative_to(ROOT).as_posix() not in COMMAND_LINE:
                yield path


def _error_classes(trees: list[ast.Module]) -> set[str]:
    found = {"ImgOpenError"}
    before = 0
    while before != len(found):
        before = len(found)
        for tree in trees:
            for node in ast.walk(tree):
                bases = {getattr(base, "id", "") for base in getattr(node, "bases", [])}
                if isinstance(node, ast.ClassDef) and found & bases:
                    found.add(node.name)
    return found


def _texts(
    node: ast.AST, errors: set[str], scope: ast.AST, lists: set[str]
) -> Iterator[tuple[str, ast.expr]]:
    """The texts for people that a call, an assignment, a return or a dict holds, with their kind."""
    if isinstance(node, ast.Call):
        yield from _of_call(node, errors, lists)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value in _KEYS:
                yield _KEYS[key.value], value
    elif isinstance(node, ast.Return) and node.value is not None:
        if getattr(scope, "name", "") in _FUNCTIONS:
            parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            yield from (("messages", part) for part in parts if " " in ast.unparse(part))
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and node.value is not None:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        name = getattr(target, "id", getattr(target, "attr", ""))
        if name in _TABLES:
            yield from (("phrases", reason) for reason in _reasons(node.value))
        if name in _VARIABLES:
            yield _VARIABLES[name], node.value
        if name in lists and isinstance(node.value, (ast.List, ast.Tuple)):
            yield from (("messages", each) for each in node.value.elts)
        if name in lists and isinstance(node.value, ast.ListComp):
            yield "messages", node.value.elt


def _reasons(table: ast.expr) -> list[ast.expr]:
    """The values of a dict, or the last entry of each row of a tuple."""
    if isinstance(table, ast.Dict):
        return table.values
    rows = table.elts if isinstance(table, ast.Tuple) else []
    return [row.elts[-1] for row in rows if isinstance(row, ast.Tuple)]


def _of_call(call: ast.Call, errors: set[str], lists: set[str]) -> Iterator[tuple[str, ast.expr]]:
    target = call.func
    name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
    owner = target.value if isinstance(target, ast.Attribute) else None
    owner_name = getattr(owner, "id", getattr(owner, "attr", ""))
    if name in errors or name == "cls":
        places = _ERROR
    elif name == "field" and owner_name in errors:
        places = _FIELD
    elif name == "append" and owner_name in lists:
        places = {0: "messages"}
    else:
        places = _SINKS.get(name, {})
    for number, kind in places.items():
        named = places is _FIELD and number == 0 and " " not in ast.unparse(call.args[0])
        if number < len(call.args) and not named:  # most fields are called by their name, some by a phrase
            yield kind, call.args[number]
    for keyword in call.keywords:
        if keyword.arg in _KEYWORDS:
            yield _KEYWORDS[keyword.arg], keyword.value


class _Module:
    """One file: what its names stand for, as far as that is a text."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        self._functions = {node.name: node for node in ast.walk(tree) if isinstance(node, functions)}

    def nodes(self) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Every node with the function (or the module) that it stands in."""

        def walk(node: ast.AST, scope: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
            for child in ast.iter_child_nodes(node):
                inside = child if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else scope
                yield inside, child
                yield from walk(child, inside)

        return walk(self._tree, self._tree)

    def templates(self, text: ast.expr, scope: ast.AST, deep: int = 0) -> list[str]:
        """Every template that an expression can become; none for a text that comes from elsewhere."""
        if deep > _DEEP:
            return []
        if isinstance(text, ast.Constant):
            return [text.value] if isinstance(text.value, str) and text.value.strip() else []
        if isinstance(text, (ast.JoinedStr, ast.BinOp)):
            return self._joined(text, scope, deep)
        if isinstance(text, ast.IfExp):
            return self.templates(text.body, scope, deep + 1) + self.templates(text.orelse, scope, deep + 1)
        if isinstance(text, ast.BoolOp):
            return [one for part in text.values for one in self.templates(part, scope, deep + 1)]
        if isinstance(text, ast.Call):
            if isinstance(text.func, ast.Attribute) and text.func.attr in ("strip", "rstrip"):
                return self.templates(text.func.value, scope, deep + 1)
            if isinstance(text.func, ast.Name) and text.func.id in self._functions:
                function = self._functions[text.func.id]
                returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
                return [one for part in returned if part is not None
                        for one in self.templates(part, function, deep + 1)]  # fmt: skip
            return []
        if isinstance(text, ast.Name):
            values = self._assigned(text.id, scope)
            return [one for value in values for one in self.templates(value, scope, deep + 1)]
        return []

    def _assigned(self, name: str, scope: ast.AST) -> list[ast.expr]:
        for place in (scope, self._tree):
            nodes = ast.walk(place) if place is scope else iter(self._tree.body)
            found = [
                node.value for node in nodes if isinstance(node, ast.Assign)
                and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
            ]  # fmt: skip
            if found:
                return found
        return []

    def _joined(self, text: ast.expr, scope: ast.AST, deep: int) -> list[str]:
        """Constants as they are; values by name, or spelled out where a value is one of a few texts."""
        found = [""]
        used: dict[str, int] = {}
        for part in _parts(text):
            if isinstance(part, ast.Constant):
                choices = [str(part.value)]
            elif isinstance(part, ast.IfExp) or (isinstance(part, ast.Name) and part.id.startswith("_")):
                choices = self.templates(part, scope, deep + 1)
                if isinstance(part, ast.IfExp) and _may_be_empty(part):
                    choices.append("")
            else:
                choices = []
            if not choices:
                name = value_name(part)
                used[name] = used.get(name, 0) + 1
                choices = ["{" + name + (str(used[name]) if used[name] > 1 else "") + "}"]
            found = [before + choice for before in found for choice in choices]
        return found


def _may_be_empty(part: ast.IfExp) -> bool:
    return any(isinstance(side, ast.Constant) and side.value == "" for side in (part.body, part.orelse))


def _parts(text: ast.expr) -> Iterator[ast.expr]:
    if isinstance(text, ast.BinOp) and isinstance(text.op, ast.Add):
        yield from _parts(text.left)
        yield from _parts(text.right)
    elif isinstance(text, ast.JoinedStr):
        for part in text.values:
            yield part.value if isinstance(part, ast.FormattedValue) else part
    else:
        yield text


def value_name(value: ast.expr) -> str:
    """A short name for a value in a text, from how the code spells it."""
    if isinstance(value, ast.Name):
        return value.id.strip("_").lower()
    if isinstance(value, ast.Attribute):
        return value.attr.strip("_").lower()
    if isinstance(value, ast.Subscript):
        return value_name(value.value)
    if isinstance(value, ast.Call):
        if isinstance(value.func, ast.Name) and value.func.id in ("command", "pip"):
            return value.func.id  # base/command.py: a line for a shell
        if isinstance(value.func, ast.Attribute) and not isinstance(value.func.value, ast.Constant):
            return value_name(value.func.value)
        return value_name(value.args[0]) if value.args else "value"
    if isinstance(value, ast.BinOp):
        return value_name(value.left)
    return "value"


def catalogue() -> dict[str, dict[str, str]]:
    """The Chinese texts by kind and English template."""
    return json.loads(CATALOGUE.read_text("utf-8"))


def difference() -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """(templates without a translation with their places, translations that nothing uses) by kind."""
    wanted, there = templates(), catalogue() if CATALOGUE.is_file() else {}
    missing = {kind: {text: place for text, place in wanted[kind].items() if text not in there.get(kind, {})}
               for kind in KINDS}  # fmt: skip
    unused = {kind: sorted(set(there.get(kind, {})) - set(wanted[kind])) for kind in KINDS}
    return missing, unused


if __name__ == "__main__":
    lacking, over = difference()
    json.dump({"missing": lacking, "unused": over}, sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")
