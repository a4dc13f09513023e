"""Where files go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from img_open.base import places
from img_open.base.errors import InvalidRequest


def test_the_override_counts_for_all(monkeypatch, tmp_path):
    monkeypatch.setenv("IMG_OPEN_HOME", str(tmp_path))
    assert places.data_dir() == places.config_dir() == tmp_path
    assert places.cache_dir() == tmp_path / "cache"


@pytest.mark.parametrize(
    ("platform", "data", "config"),
    [
        ("linux", ".local/share/img-open", ".config/img-open"),
        ("darwin", "Library/Application Support/img-open", "Library/Application Support/img-open"),
        ("win32", "AppData/Roaming/img-open", "AppData/Roaming/img-open"),
    ],
)
def test_each_platforms_own_place(monkeypatch, tmp_path, platform, data, config):
    for variable in (
        "IMG_OPEN_HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "APPDATA",
        "LOCALAPPDATA",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(places.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert places.data_dir() == tmp_path / data
    assert places.config_dir() == tmp_path / config
    assert tmp_path in places.cache_dir().parents


def test_relative_xdg_paths_are_ignored(monkeypatch, tmp_path):
    monkeypatch.delenv("IMG_OPEN_HOME")
    monkeypatch.setattr(places.sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", "somewhere")
    assert places.data_dir() == tmp_path / ".local/share/img-open"


def test_nothing_is_created_before_ensure(tmp_path):
    target = tmp_path / "a" / "b"
    assert places.ensure(target) == target
    assert target.is_dir()
    if os.name == "posix":
        assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700, 0o700]
        target.chmod(0o755)
        places.ensure(target)
        assert target.stat().st_mode & 0o777 == 0o755


def test_the_tests_do_not_use_the_users_directories():
    assert Path.home() not in places.data_dir().parents or "pytest" in str(places.data_dir())
    assert "img-open-home" in str(places.data_dir())
    assert sys.modules["img_open.base.places"] is places


def test_what_cannot_be_a_folder_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below", file / "below" / "further"):
        with pytest.raises(InvalidRequest, match="file") as caught:
            places.ensure(path)
        assert str(path) in caught.value.message
        assert caught.value.hint
