"""The body of any operation of the catalogue, with the face of a request that can become a task."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from typing_extensions import Self

from ..base.errors import InvalidRequest
from .catalogue import Operation
from .catalogue_fields import FieldSpec
from .problems import raise_problems
from .request_fields import text_problems

# Words that mean "how many", over all operations; what a body has of them is multiplied.
_COUNTS = ("n_iter", "batch_size", "iterationCount", "singleBatchImageCount", "imageCount")
_SEED = "seed"


class OperationRequest:
    """A body for one operation. Immutable; unknown fields are kept.

    Args:
        operation: what it is for; must have a path.
        body: JSON values. Pictures may be `picture:` links.
    """

    def __init__(self, operation: Operation, body: Mapping[str, Any]) -> None:
        self.spec = operation
        self._body = copy.deepcopy(dict(body))

    @classmethod
    def checked(cls, operation: Operation, body: Mapping[str, Any]) -> OperationRequest:
        """The request, after its fields were compared with the catalogue; the task id may be missing.

        Raises:
            InvalidRequest: no path published, not JSON, or fields of the wrong type or range (all listed).
        """
        operation.url_path(**dict.fromkeys(operation.path_params, "x"))
        if operation.fields is None:
            raise InvalidRequest(
                f"The fields of {operation.id} are not published.",
                "If you know them, add them to your local catalogue file (docs/api.md shows how), or post "
                f"the body to {operation.path} as a plain call.",
                field="operation",
            )
        try:
            json.dumps(body, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"The body for {operation.id} cannot be written as JSON: {error}.",
                "Use texts, finite numbers, booleans, lists and objects only.",
            ) from None
        raise_problems(text_problems(body))
        raise_problems(operation.problems(cls(operation, body).with_id_task("x").to_wire()))
        return cls(operation, body)

    @property
    def operation(self) -> str:
        return self.spec.id

    @property
    def id_task(self) -> str:
        field = self.spec.field_for("task_id")
        found: Any = self._body
        for step in field.name.split(".") if field else ():
            found = cast("Mapping[str, Any]", found).get(step) if isinstance(found, Mapping) else None
        return str(found or "") if field else ""

    @property
    def seed(self) -> int | str:
        return self._body.get(_SEED, "")

    @property
    def seed_number(self) -> int:
        """-1 where the body asks for a random seed; 0 where it has none that could be drawn."""
        try:
            return int(self.seed)
        except (TypeError, ValueError):
            return 0

    @property
    def image_count(self) -> int:
        count = 1
        for name in _COUNTS:
            value = self._body.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value > 1:
                count *= value
        return count

    def to_wire(self) -> dict[str, Any]:
        return copy.deepcopy(self._body)

    def canonical_hash(self) -> str:
        """The caller's task id and callback address do not count."""
        body = self.to_wire()
        for role in ("task_id", "callback"):
            field = self.spec.field_for(role)
            if field is not None:
                _remove(body, field.name.split("."))
        text = json.dumps([self.spec.path, body], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def links(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for field in self._pictures():
            name = field.name

            def note(link: str, place: str = name) -> str:
                found.append((place, link))
                return link

            _map_at(self._body, field.name.split("."), note)
        return found

    def map_links(self, change: Callable[[str], str]) -> Self:
        body: Any = self._body
        for field in self._pictures():
            body = _map_at(body, field.name.split("."), change)
        return self._with(body)

    def with_id_task(self, id_task: str) -> Self:
        field = self.spec.field_for("task_id")
        if field is None:
            return self
        body = self.to_wire()
        _put(body, field.name.split("."), id_task)
        return self._with(body)

    def replace(self, **changes: Any) -> Self:
        return self._with({**self._body, **changes})

    def _with(self, body: Mapping[str, Any]) -> Self:
        return type(self)(self.spec, body)

    def _pictures(self) -> list[FieldSpec]:
        return [field for field in self.spec.fields or () if field.role == "picture"]


def _map_at(value: Any, steps: list[str], change: Callable[[str], str]) -> Any:
    """The value with the texts at a dotted place changed; lists at the place are changed item by item."""
    if not steps:
        if isinstance(value, str):
            return change(value) if value else value
        if isinstance(value, list):
            return [_map_at(item, [], change) for item in cast("list[Any]", value)]
        return value
    if not isinstance(value, Mapping):
        return value
    inner = dict(cast("Mapping[str, Any]", value))
    key, each = steps[0].removesuffix("[]"), steps[0].endswith("[]")
    if key in inner:
        item = inner[key]
        if each and isinstance(item, list):
            inner[key] = [_map_at(one, steps[1:], change) for one in cast("list[Any]", item)]
        else:
            inner[key] = _map_at(item, steps[1:], change)
    return inner


def _put(body: dict[str, Any], steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        inner = body.get(step)
        body[step] = dict(cast("Mapping[str, Any]", inner)) if isinstance(inner, Mapping) else {}
        body = body[step]
    body[steps[-1]] = value


def _remove(body: dict[str, Any], steps: list[str]) -> None:
    for step in steps[:-1]:
        inner = body.get(step)
        if not isinstance(inner, dict):
            return
        body = cast("dict[str, Any]", inner)
    body.pop(steps[-1], None)
