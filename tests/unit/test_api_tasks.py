"""Statuses are data: one success value is published, one failure value is the gateway's, no other counts."""

from __future__ import annotations

from typing import Any

import pytest
from img_open.api.models import TaskInfo, ToolTask
from img_open.api.tasks import classify, classify_tool, entries, failure, said


def info(**data: Any) -> TaskInfo:
    return TaskInfo.model_validate(data)


@pytest.mark.parametrize("status", [None, -100, 0, 1, 3, 4, 99])
def test_never_seen_statuses_are_pending_everywhere(status: int | None) -> None:
    assert classify(info(status=status), "cloud") == "pending"
    assert classify(info(status=status), "gateway") == "pending"


def test_the_values_that_decide() -> None:
    assert classify(info(status=2)) == "succeeded"
    assert classify(info(status=2), "gateway") == "succeeded"
    assert classify(info(status=-1), "gateway") == "failed"
    assert classify(info(status=-1), "cloud") == "pending"


def test_a_tool_is_finished_when_there_is_output() -> None:
    for status in (None, 0, 1, 2, -1):
        done = ToolTask.model_validate({"status": status, "outputImageUrl": "https://e.com/a.png"})
        assert classify_tool(done) == "succeeded"
        assert classify_tool(ToolTask.model_validate({"status": status})) == "pending"
    assert classify_tool(ToolTask.model_validate({"status": -1}), "gateway") == "failed"


def test_entries_keep_order_seed_and_audit() -> None:
    found = entries(
        info(
            differentialImageRspList=[
                {"image_url": "https://e.com/0.png", "seed": 5, "img_audit": [{"label": "nonLabel"}]},
                {"image_url": None, "img_audit_status": False, "img_audit": [{"label": "gore"}]},
                {"image_url": ""},
            ]
        )
    )
    assert [entry.link for entry in found] == ["https://e.com/0.png", "", ""]
    assert found[0].seed == 5
    assert found[0].audits[0]["label"] == "nonLabel"
    assert not found[0].withheld
    assert "Picture 2" in found[1].withheld
    assert "gore" in found[1].withheld
    assert "gives no reason" in found[2].withheld
    assert entries(info(differentialImageRspList=None)) == []


def test_the_servers_words_are_shown_scrubbed() -> None:
    told = info(status=7, desc="see https://e.com/x?Signature=abcdef")
    assert said(told).startswith("status 7, ")
    assert "abcdef" not in said(told)
    error = failure("t1", told)
    assert error.details["task_id"] == "t1"
    assert "status 7" in str(error)
