"""Wired pictures between a request and its graph: found by their links, and not kept without end."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.base.errors import PictureError
from img_open.nodes.picture_store import PictureStore


def picture(level: int) -> np.ndarray:
    return np.full((10, 10, 3), level, np.uint8)  # 300 bytes


def test_a_picture_is_found_by_its_link() -> None:
    store = PictureStore()
    store.put("picture:a", picture(1))
    assert (store.get("picture:a") == 1).all()


def test_an_unknown_link_says_what_to_do() -> None:
    with pytest.raises(PictureError, match="wire the picture"):
        PictureStore().get("picture:a")


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    store = PictureStore(limit=700)
    for name in "abc":
        store.put(f"picture:{name}", picture(1))
    store.put("picture:b", picture(2))
    with pytest.raises(PictureError):
        store.get("picture:a")
    assert (store.get("picture:b") == 2).all()
    store.put("picture:d", picture(4))
    with pytest.raises(PictureError):
        store.get("picture:c")  # b was put again later


def test_one_picture_larger_than_the_limit_is_kept() -> None:
    store = PictureStore(limit=10)
    store.put("picture:a", picture(1))
    assert store.get("picture:a").shape == (10, 10, 3)
