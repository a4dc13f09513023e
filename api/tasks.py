"""What a server's words about a task mean. The statuses are data; reading them is the rest of this file.

Published is one value only: status 2 of the sd family means success. The gateway dialect adds -1 for failed.
Everything else, never-seen values included, means "not finished", until the caller's deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..base.errors import TaskFailed
from ..base.log import scrub
from .models import ImageReply, TaskInfo, ToolTask
from .profiles import Dialect

Verdict = Literal["pending", "succeeded", "failed"]


@dataclass(frozen=True)
class Statuses:
    """Status values of one family of operations in one dialect; every other value is pending."""

    succeeded: frozenset[int]
    failed: frozenset[int] = field(default_factory=frozenset[int])


SD_STATUSES: dict[Dialect, Statuses] = {
    "cloud": Statuses(succeeded=frozenset({2})),
    "gateway": Statuses(succeeded=frozenset({2}), failed=frozenset({-1})),
}
# Tools show a finished output with 1 and with 0 on the pages, so their status decides nothing on the cloud.
TOOL_FAILED: dict[Dialect, frozenset[int]] = {"cloud": frozenset(), "gateway": frozenset({-1})}


@dataclass(frozen=True)
class ResultEntry:
    """One picture of a finished task.

    Attributes:
        link: where it can be fetched; empty when it is withheld.
        seed: its seed, None when the server does not say.
        audits: the server's audit entries (`label`, `confidence`).
        withheld: why there is no picture, empty when there is one.
    """

    link: str
    seed: int | None
    audits: tuple[dict[str, Any], ...]
    withheld: str = ""


def classify(info: TaskInfo, dialect: Dialect = "cloud") -> Verdict:
    """Pending, succeeded or failed, by the status alone."""
    statuses = SD_STATUSES[dialect]
    if info.status in statuses.succeeded:
        return "succeeded"
    return "failed" if info.status in statuses.failed else "pending"


def classify_tool(task: ToolTask, dialect: Dialect = "cloud") -> Verdict:
    """A tool's task counts as finished only when output is present, whatever its status says."""
    if task.finished:
        return "succeeded"
    return "failed" if task.status in TOOL_FAILED[dialect] else "pending"


def said(info: TaskInfo | ToolTask) -> str:
    """The server's own words with the status value, for texts that people read."""
    words = scrub(str(info.desc or "").strip())[:300]
    return f"status {info.status}" + (f", {words!r}" if words else "")


def failure(task_id: str, info: TaskInfo | ToolTask) -> TaskFailed:
    """The error for a task that the server calls failed."""
    return TaskFailed(
        f"The server reports that task {task_id} failed ({said(info)}).",
        "Correct the request, or run it again as a new task.",
        task_id=task_id,
    )


def entries(info: TaskInfo) -> list[ResultEntry]:
    """The pictures of a finished task, in the server's order."""
    found: list[ResultEntry] = []
    for number, image in enumerate(info.images, 1):
        audits = tuple(audit.model_dump(mode="json") for audit in image.audits)
        link = (image.image_url or "").strip()
        found.append(ResultEntry(link, image.seed, audits, "" if link else _why_withheld(number, image)))
    return found


def _why_withheld(number: int, image: ImageReply) -> str:
    """What the server's fields say about a picture without a link; their meaning is not published."""
    labels = ", ".join(dict.fromkeys(audit.label for audit in image.audits if audit.label))
    parts = [f"audit passed: {image.audit_status}" if image.audit_status is not None else ""]
    parts += [f"labels: {labels}" if labels else ""]
    parts += [f"image_status: {image.image_status}" if image.image_status is not None else ""]
    told = "; ".join(part for part in parts if part)
    return scrub(f"Picture {number} was made but is not handed out ({told or 'the server gives no reason'}).")
