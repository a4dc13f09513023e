"""What can be submitted as a task: a `Request`, or the body of any other operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from typing_extensions import Self


class Sendable(Protocol):
    """The face that the remote engine, the journal and the client need of a request. Immutable."""

    @property
    def operation(self) -> str:
        """Id of the operation that takes it."""
        ...

    @property
    def id_task(self) -> str:
        """The caller's own task id; empty when none is given."""
        ...

    @property
    def seed(self) -> int | str:
        """The seed as the body spells it."""
        ...

    @property
    def seed_number(self) -> int:
        """The seed; -1 = to be drawn."""
        ...

    @property
    def image_count(self) -> int:
        """How many pictures are asked for, for the spend guard; at least 1."""
        ...

    def to_wire(self) -> dict[str, Any]:
        """The body."""
        ...

    def canonical_hash(self) -> str:
        """SHA-256 (hex) of what is asked for; the task id does not count."""
        ...

    def links(self) -> list[tuple[str, str]]:
        """Every picture as (place in the body, link)."""
        ...

    def map_links(self, change: Callable[[str], str]) -> Self:
        """The same request with other links."""
        ...

    def with_id_task(self, id_task: str) -> Self:
        """The same request under this task id."""
        ...

    def replace(self, **changes: Any) -> Self:
        """The same request with other values at the top level of the body."""
        ...
