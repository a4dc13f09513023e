"""What the extension adds to the time until the canvas can be used."""

from __future__ import annotations

from typing import Any

LIMIT_MS = 50


def test_the_extension_costs_little(site: Any) -> None:
    """CPU time of the pack's own scripts while the page loads, by the browser's profiler: best of three."""
    found: list[dict[str, float]] = []
    for _ in range(3):
        told = site.page.do("profile", url=site.host.url + "/", part="/extensions/img-open/")
        found.append(told)
    print("load time:", found)
    assert min(one["own_ms"] for one in found) < LIMIT_MS
