"""Each way a server or the line to it can break: what the user gets, how soon, and what it costs.

The cost is asserted on the server's own ledger: one intent is never more than one task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from img_open.api.journal import Journal
from img_open.base import errors
from img_open.engines.remote import RemoteEngine
from img_open.engines.remote_poll import Patience

from .conftest import FaultyServer, make_request

OK = "ok"


@dataclass(frozen=True)
class Case:
    """A script of faults and what must come of it.

    `words` must all be in the error's text; `state` is the journal's row afterwards; `works` the tasks that
    somebody pays for; `then` the outcome of running the same request once more without faults.
    """

    name: str
    script: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    outcome: str | type[errors.ImgOpenError] = OK
    works: int = 1
    state: str = "done"
    dialect: str = "gateway"
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    words: tuple[str, ...] = ()
    bound_s: float = 5.0
    deadline_s: float = 8.0
    then: str | type[errors.ImgOpenError] = OK
    works_then: int = 1


def submit(name: str, *faults: str, **more: Any) -> Case:
    return Case(f"submit-{name}", {"submit": list(faults or (name,))}, **more)


def query(name: str, *faults: str, **more: Any) -> Case:
    return Case(f"query-{name}", {"query": list(faults or (name,) * 3)}, **more)


def result(name: str, *faults: str, **more: Any) -> Case:
    return Case(f"result-{name}", {"result": list(faults or (name,) * 2)}, **more)


failed = {"state": "failed", "works_then": 2}
open_still = {"state": "running"}
refused = {"works": 0, "state": "failed"}
unknown = {
    "dialect": "cloud", "outcome": errors.TaskUncertain, "works": 0, "state": "uncertain",
    "then": errors.TaskUncertain, "works_then": 0, "words": ("may or may not", "not submitted again"),
}  # fmt: skip

CASES = [
    # The server says "later": it is asked later.
    submit("busy"),
    submit("busy-skewed"),
    submit("busy-cloud", "busy", dialect="cloud"),
    # No answer, gateway: looked up, and sent again under the same id where that is needed.
    *[submit(fault) for fault in ("500", "cut", "silence", "html", "huge", "list")],
    *[submit(f"{fault}-after") for fault in ("500", "cut", "half", "truncated", "silence", "html")],
    submit("500-envelope-after"),
    submit("twice"),
    submit("cut-cut-cut-after", "cut", "cut", "cut-after"),
    # No answer, cloud: looked up; never sent a second time.
    *[
        submit(f"{fault}-cloud", fault, dialect="cloud")
        for fault in ("500-after", "cut-after", "half-after", "silence-after", "500-envelope-after")
    ],
    *[submit(f"{fault}-cloud", fault, **unknown) for fault in ("500", "cut", "silence", "html")],
    # The server says no.
    submit("envelope-400", outcome=errors.ServerError, words=("prompt was not liked", "400"), **refused),
    submit("envelope-777", outcome=errors.ServerError, words=("never seen before", "777"), **refused),
    submit("500-envelope", outcome=errors.ServerError, words=("internal trouble",), **refused),
    submit("redirect", outcome=errors.ServerError, words=("redirects", "never sent"), **refused),
    # Trouble while polling passes, or ends the wait in time; the task is there afterwards.
    *[query(fault) for fault in ("500", "cut", "html", "half", "truncated", "envelope-400")],
    query("silence", "silence"),
    query("busy", "busy"),
    query("statuses", "status:0", "status:3", "status:99", "status:-7"),
    query("huge", "huge"),
    query("failed", "failed", outcome=errors.TaskFailed, words=("out of memory",), **failed),
    query("failed-cloud-is-pending", "failed", dialect="cloud"),
    query("refuses", *["envelope-777"] * 9, outcome=errors.ServerError, state="running", words=("777",)),
    Case(
        "query-never-seen-status",
        settings={"status": 77},
        outcome=errors.TaskTimeout,
        deadline_s=0.6,
        words=("77", "step by step", "not lost"),
        **open_still,
    ),
    # Results.
    *[result(fault) for fault in ("half", "half-quiet", "html", "500", "cut")],
    result("silence", "silence"),
    result("gone", "gone"),
    result("no-picture", *["half-quiet"] * 4, outcome=errors.PictureError, words=("not lost",), **open_still),
    result("bomb", *["bomb"] * 4, outcome=errors.PictureError, **open_still),
    result("endless", "endless", outcome=errors.PictureError, words=("64 MiB",), **open_still),
    result("private", "private", outcome=errors.LinkRefused, words=("allow_private_results",), **open_still),
    result("metadata", "metadata", outcome=errors.LinkRefused, **open_still),
    Case(
        "result-empty-list",
        settings={"images": "empty"},
        outcome=errors.TaskFailed,
        words=("empty result list",),
        **failed,
    ),
]


def outcome_of(engine: RemoteEngine) -> tuple[str | type[errors.ImgOpenError], str]:
    try:
        made = engine.run(make_request())
    except errors.ImgOpenError as error:
        return type(error), str(error)
    assert [tuple(image[0, 0]) for image in made.images] == [(7, 0, 77)]
    assert made.seeds == [7]
    return OK, ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_has_one_clear_outcome_and_costs_at_most_one_task(
    case: Case,
    shared: Callable[[str], FaultyServer],
    engine_for: Callable[..., RemoteEngine],
    journal: Journal,
    timer: Callable[[], float],
) -> None:
    server = shared(case.dialect)
    server.set(silence_s=1.2)
    patience = Patience(deadline_s=case.deadline_s, poll_s=0.03, poll_most_s=0.1, unreachable_s=4.0)
    engine = engine_for(server, patience=patience)
    server.set(**case.settings)
    server.script(**case.script)

    started = timer()
    outcome, text = outcome_of(engine)
    assert timer() - started < case.bound_s
    assert outcome == case.outcome, text
    for word in case.words:
        assert word in text
    assert journal.list()[0].state == case.state, journal.list()[0].message
    assert server.works() == case.works
    assert not server.ledger()["intranet"], "a redirect led the client to another server"

    # Nothing was lost: with the fault gone the same request gives its pictures, without paying again unless
    # the first task really failed at the server.
    server.script(submit=[], query=[], result=[])
    server.set(status=None, images="")
    outcome, text = outcome_of(engine)
    assert outcome == case.then, text
    assert server.works() == case.works_then
    assert all(task["same"] for task in server.ledger()["tasks"].values()), "the same id with another body"
