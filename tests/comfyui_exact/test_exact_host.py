"""Where the host's runtime keeps networks."""

from __future__ import annotations

from typing import Any

Facts = dict[str, Any]


def test_sessions_outlive_a_call_and_the_one_not_used_for_longest_goes(host_facts: Facts) -> None:
    assert host_facts["same"] == [True] * 4
    assert host_facts["kept"]
    assert host_facts["let go"]
    assert host_facts["built"] == ["s0", "s1", "s2", "s3", "s4", "s1 again"]


def test_torch_networks_are_built_once(host_facts: Facts) -> None:
    assert host_facts["network"]


def test_torch_networks_not_used_for_longest_are_let_go(host_facts: Facts) -> None:
    assert host_facts["all stay"] == [True] * 6  # a node that runs keeps what it has loaded
    assert host_facts["names"] == ["n3", "n4", "n5", "other"]
    assert host_facts["freed"]
    assert host_facts["by size"] == ["n5"]
    assert host_facts["host's list"] == [True]  # the host holds none of those let go


def test_a_processor_computes_in_full_precision(host_facts: Facts) -> None:
    assert host_facts["half"] == ""
