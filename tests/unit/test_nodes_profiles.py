"""The profile list of a node: never a reason for the pack not to load, never more than names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from img_open.api.profiles import Profile, save_profile
from img_open.nodes.tables import profiles


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMG_OPEN_HOME", str(tmp_path))
    return tmp_path


def test_the_cloud_comes_first_then_the_saved_ones() -> None:
    assert profiles() == ["cloud"]
    for name in ("zebra", "ant"):
        save_profile(Profile(name, "http://127.0.0.1:8170"))
    assert profiles() == ["cloud", "ant", "zebra"]


def test_a_broken_file_costs_the_names_only(home: Path) -> None:
    path = home / "profiles.json"
    path.write_text("{ not json", "utf-8")
    path.chmod(0o600)
    assert profiles() == ["cloud"]


@pytest.mark.skipif(os.name == "nt", reason="file modes are a matter of POSIX systems")
def test_a_file_that_others_can_read_costs_the_names_only(home: Path) -> None:
    save_profile(Profile("mine", "http://127.0.0.1:8170"))
    (home / "profiles.json").chmod(0o644)
    assert profiles() == ["cloud"]
