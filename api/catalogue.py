"""The operations of the Img Open API as data, and checks of a body against them.

`catalogue.yaml` beside this file holds what is published. A user who knows more puts a file of the same shape
into the configuration folder (see `local_catalogue_files`) and the operation becomes runnable.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ..base.errors import InvalidRequest
from .catalogue_fields import FieldSpec
from .catalogue_file import Entry, explain, read_entries
from .problems import Problem, raise_problems

BASE_URL = "https://api.zhiqite.com"
PREFIX = "/AIGCImgOpenServ/saas"
_FILE = Path(__file__).with_name("catalogue.yaml")


class TaskFacts(BaseModel):
    """How the work of an operation is followed.

    Attributes:
        mode: `async` (submit, then poll), `sync` (the reply is the answer), `unknown`.
        id_at: where the submit reply carries the task id, dotted.
        poll_with: ids of the operations that ask for the state, first choice first.
        note: what the pages leave open.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["async", "sync", "unknown"] = "unknown"
    id_at: str | None = None
    poll_with: tuple[str, ...] = ()
    note: str = ""


class Title(BaseModel):
    """The vendor's own titles; either may be missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zh: str | None = None
    en: str | None = None


class Operation(BaseModel):
    """One operation of the API. `None` for `path`, `fields` or `response` means: not published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Title = Title()
    group: str = "tool"
    method: Literal["POST", "GET"] = "POST"
    path: str | None = None
    confidence: Literal["documented", "partly-documented", "name-only", "local"] = "name-only"
    in_development: bool = False
    credentials: str = "unknown"
    fields: tuple[FieldSpec, ...] | None = None
    response: tuple[FieldSpec, ...] | None = None
    task: TaskFacts = TaskFacts()
    example: dict[str, Any] | None = None
    example_reply: dict[str, Any] | None = None
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    probably_same_as: str | None = None

    @field_validator("id")
    @classmethod
    def _id_is_a_word(cls, text: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
            raise ValueError("lower-case letters, digits and underscores, starting with a letter")
        return text

    @field_validator("path")
    @classmethod
    def _path_is_absolute(cls, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(r"/[A-Za-z0-9_\-./{}~]*", text):
            raise ValueError(f"a path without host or query, such as {PREFIX}/tool/name")
        return text

    @property
    def title_zh(self) -> str:
        """Chinese title; the English one or the id where there is none."""
        return self.title.zh or self.title.en or self.id

    @property
    def title_en(self) -> str:
        """English title; where none is published, the id as words."""
        return self.title.en or self.id.replace("_", " ").capitalize()

    @property
    def runnable(self) -> bool:
        """Whether both path and fields are known."""
        return self.path is not None and self.fields is not None

    @property
    def status(self) -> Literal["runnable", "path not published", "fields not published"]:
        """Why an operation can or cannot be called."""
        if self.path is None:
            return "path not published"
        return "runnable" if self.fields is not None else "fields not published"

    @property
    def path_params(self) -> tuple[str, ...]:
        """Names in braces inside the path."""
        return tuple(re.findall(r"\{(\w+)\}", self.path or ""))

    @property
    def tool_code(self) -> str | None:
        """The part of a tool's path after `/tool/` (may hold a slash); it is what the tool query asks for."""
        if self.path is None or "/tool/" not in self.path or self.path_params:
            return None
        return self.path.split("/tool/", 1)[1]

    def url_path(self, **params: str) -> str:
        """The path with its parameters filled in; a slash inside a value stays as it is.

        Raises:
            InvalidRequest: the path is not published, or a parameter is missing or has special characters.
        """
        if self.path is None:
            raise InvalidRequest(
                f"The path of {self.id} is not published.",
                "If you know it, add it to your local catalogue file (docs/api.md shows the six lines).",
            )
        for name in self.path_params:
            value = params.get(name)
            if not value or not re.fullmatch(r"[\w\-]+(/[\w\-]+)*", value):
                raise InvalidRequest.field(name, value, "letters, digits, '-', '_' and inner slashes")
        return re.sub(r"\{(\w+)\}", lambda found: params[found[1]], self.path)

    def field(self, name: str) -> FieldSpec | None:
        """A request field by its wire name or one of its aliases."""
        for spec in self.fields or ():
            if spec.name == name or name in spec.aliases:
                return spec
        return None

    def field_for(self, role: str) -> FieldSpec | None:
        """The first request field with a role (`task_id`, `picture`, `callback`)."""
        return next((spec for spec in self.fields or () if spec.role == role), None)

    def problems(self, body: Mapping[str, Any]) -> list[Problem]:
        """Everything that is wrong with a body; fields the catalogue does not know are left alone."""
        found: list[Problem] = []
        for spec in self.fields or ():
            for where, value, present in _lookup(body, spec):
                if present:
                    found += spec.problems(value, where)
                elif spec.required is True:
                    found.append(Problem(where, None, spec.allowed, missing=True))
        return found

    def validate_body(self, body: Mapping[str, Any]) -> None:
        """Raise one `InvalidRequest` with every problem of the body: field, value and what is allowed."""
        raise_problems(self.problems(body))


class Catalogue:
    """The operations, in the vendor's order; local ones after them."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations = {operation.id: operation for operation in operations}

    @classmethod
    def load(cls, extra_files: Iterable[Path | str] = ()) -> Catalogue:
        """The published operations, completed by local files.

        Raises:
            InvalidRequest: a local file has a mistake; names file, line and key.
        """
        raw = {values["id"]: values for values in _published()}
        operations = dict(_published_operations())
        for file in extra_files:
            seen: set[str] = set()
            for entry in read_entries(Path(file)):
                operation = _local(entry, raw)
                if operation.id in seen:
                    raise InvalidRequest(
                        f"{entry.file}, line {entry.line(['id'])}: {operation.id} is given twice."
                    )
                seen.add(operation.id)
                operations[operation.id] = operation
                raw[operation.id] = {**raw.get(operation.id, {}), **entry.values}
                _check_poll(entry, operation, set(operations))
        return cls(operations.values())

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations.values())

    def __len__(self) -> int:
        return len(self._operations)

    def __contains__(self, name: object) -> bool:
        return name in self._operations

    def operation(self, name: str) -> Operation:
        """One operation by id. Raises `InvalidRequest` with the nearest ids."""
        if name not in self._operations:
            near = difflib.get_close_matches(name, list(self._operations), 3)
            hint = "Did you mean " + ", ".join(near) + "?" if near else "docs/api.md lists them all."
            raise InvalidRequest(f"There is no operation {name!r} in the catalogue.", hint, field="operation")
        return self._operations[name]

    def runnable(self) -> list[Operation]:
        """The operations that can be called."""
        return [operation for operation in self if operation.runnable]

    def for_path(self, path: str) -> Operation | None:
        """The operation that a URL path belongs to; paths without parameters come first."""
        exact = next((operation for operation in self if operation.path == path), None)
        if exact is not None:
            return exact
        for operation in self:
            if operation.path_params:
                pattern = re.sub(r"\\\{\w+\\\}", "(.+)", re.escape(operation.path or ""))
                if re.fullmatch(pattern, path):
                    return operation
        return None


def local_catalogue_files() -> list[Path]:
    """The user's own catalogue file, if there is one: `catalogue.yaml` in the configuration folder."""
    from ..base.places import config_dir

    file = config_dir() / "catalogue.yaml"
    return [file] if file.is_file() else []


@lru_cache(maxsize=1)
def _published() -> list[dict[str, Any]]:
    import yaml

    # The C reader, where PyYAML was built with it, is ten times faster.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: Any = yaml.load(_FILE.read_text(encoding="utf-8"), Loader=loader)
    return cast("list[dict[str, Any]]", data["operations"])


@lru_cache(maxsize=1)
def _published_operations() -> dict[str, Operation]:
    return {values["id"]: Operation.model_validate(values) for values in _published()}


def _local(entry: Entry, known: Mapping[str, Mapping[str, Any]]) -> Operation:
    """Validate one local entry, laid over the operation of the same id where there is one."""
    values = {**known.get(str(entry.values.get("id")), {}), **entry.values}
    values.setdefault("group", "tool")
    values["confidence"] = "local"
    if "task" not in values and "/tool/" in str(values.get("path")):
        # The tool family shares one query; a six-line entry need not say so.
        values["task"] = {"mode": "async", "poll_with": ["query_tool_task"]}
    try:
        return Operation.model_validate(values)
    except ValidationError as error:
        nested: dict[str, type[BaseModel]] = {
            "fields": FieldSpec,
            "response": FieldSpec,
            "task": TaskFacts,
            "title": Title,
        }
        raise explain(error, entry, Operation, nested) from None


def _check_poll(entry: Entry, operation: Operation, known: set[str]) -> None:
    for name in operation.task.poll_with:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            advice = f"; did you mean {near[0]}?" if near else ""
            raise InvalidRequest(
                f"{entry.file}, line {entry.line(['task', 'poll_with'])}: task.poll_with names"
                f" the unknown operation {name}{advice}",
                "Known: query_task_info_v2, query_task_info_v1, query_tool_task.",
            )


def _lookup(body: Mapping[str, Any], spec: FieldSpec) -> list[tuple[str, object, bool]]:
    """Where a field's values are in a body: (place, value, present); nothing below an absent parent."""
    names = (spec.name, *spec.aliases)
    results: list[tuple[str, object, bool]] = []
    for name in names:
        results = _walk(body, name.split("."), "")
        if any(present for _, _, present in results):
            return results
    return _walk(body, spec.name.split("."), "") if len(names) > 1 else results


def _walk(parent: Any, steps: list[str], place: str) -> list[tuple[str, object, bool]]:
    step, rest = steps[0], steps[1:]
    key, each = step.removesuffix("[]"), step.endswith("[]")
    if not isinstance(parent, Mapping):
        return []  # the parent's own type is reported by the parent's field
    children = cast("Mapping[str, Any]", parent)
    if place == "alwayson_scripts" and key not in children:
        # Script names are compared without regard to case, as the web UI does.
        key = next((name for name in children if name.lower() == key.lower()), key)
    where = f"{place}.{key}" if place else key
    present = key in children
    if not rest:
        return [(where, children.get(key), present)]
    if not present:
        return []
    if not each:
        return _walk(children[key], rest, where)
    items: Any = children[key]
    if not isinstance(items, list):
        return []
    return [
        row
        for number, item in enumerate(cast("list[Any]", items))
        for row in _walk(item, rest, f"{where}[{number}]")
    ]
