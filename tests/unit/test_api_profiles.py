"""Profiles: what is refused, where keys may come from and where they never show."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from img_open.api import profiles
from img_open.api.profiles import CLOUD_BASE_URL, Profile
from img_open.base.errors import InvalidRequest, ProfileError
from img_open.base.log import scrub

KEYS = {"access_key_id": "id-4711", "access_key_secret": "secret-0815"}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(profiles.ENV_ID, raising=False)
    monkeypatch.delenv(profiles.ENV_SECRET, raising=False)


def test_the_cloud_profile_takes_its_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProfileError, match=r"IMG_OPEN_ACCESS_KEY_ID and IMG_OPEN_ACCESS_KEY_SECRET"):
        profiles.load_profile("cloud")
    monkeypatch.setenv(profiles.ENV_ID, "env-id")
    with pytest.raises(ProfileError, match=r"needs IMG_OPEN_ACCESS_KEY_SECRET"):
        profiles.load_profile("cloud")
    monkeypatch.setenv(profiles.ENV_SECRET, "env-secret")
    cloud = profiles.load_profile("cloud")
    assert (cloud.base_url, cloud.access_key_id, cloud.dialect) == (CLOUD_BASE_URL, "env-id", "cloud")


def test_environment_keys_go_to_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(profiles.ENV_ID, "env-id")
    monkeypatch.setenv(profiles.ENV_SECRET, "env-secret")
    assert not profiles.profile_for_url("http://127.0.0.1:8170").has_keys
    with pytest.raises(ProfileError, match="no access key"):
        profiles.profile_for_url("https://gpu.example.com")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8170", "http://localhost:1/", "http://[::1]:8170"])
def test_loopback_needs_neither_keys_nor_encryption(url: str) -> None:
    profile = profiles.profile_for_url(url)
    assert profile.is_loopback
    assert profile.storage == "inline"
    assert not profile.base_url.endswith("/")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_url": "http://gpu.example.com"}, "without encryption"),
        ({"base_url": "http://127.0.0.1.example.com"}, "without encryption"),
        ({"base_url": "ftp://example.com"}, "not an http"),
        ({"base_url": "gpu.example.com"}, "not an http"),
        ({"base_url": "https://user:hidden@example.com"}, "user name"),
        ({"base_url": "https://example.com?token=hidden"}, "query"),
        ({"access_key_secret": ""}, "one half"),
        ({"access_key_id": "", "access_key_secret": ""}, "no access key"),
        ({"access_key_secret": "hidden\n"}, "line break"),
        ({"storage": "floppy"}, "storage is 'floppy'"),
        ({"dialect": "swabian"}, "dialect is 'swabian'"),
        ({"max_concurrent": 0}, "max_concurrent is 0"),
        ({"deadline_s": -1.0}, "deadline_s is -1.0"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_unsafe_or_impossible_profiles_are_refused(changes: dict[str, Any], words: str) -> None:
    settings = {"name": "mine", "base_url": "https://example.com", **KEYS, **changes}
    with pytest.raises(ProfileError, match=words) as caught:
        Profile(**settings)
    assert "hidden" not in str(caught.value)


def test_the_api_prefix_may_be_part_of_the_address() -> None:
    profile = Profile("mine", "https://example.com/proxy/AIGCImgOpenServ/saas/", **KEYS)
    assert profile.base_url == "https://example.com/proxy"
    assert profile.origin == "https://example.com"


def test_a_saved_profile_comes_back_equal_and_private() -> None:
    mine = Profile(
        "mine", "https://gpu.example.com", **KEYS, storage="inline", dialect="gateway", deadline_s=60.0
    )
    path = profiles.save_profile(mine)
    assert profiles.load_profile("mine") == mine
    assert profiles.list_profiles() == ["cloud", "mine"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    profiles.save_profile(profiles.with_changes(mine, name="other"))
    profiles.remove_profile("mine")
    assert profiles.list_profiles() == ["cloud", "other"]
    with pytest.raises(ProfileError, match="Known: cloud, other"):
        profiles.load_profile("mine")
    with pytest.raises(ProfileError, match="no saved profile"):
        profiles.remove_profile("mine")


@pytest.mark.parametrize("name", ["cloud", "../evil", "a b", "x" * 65])
def test_names_that_cannot_be_saved(name: str) -> None:
    with pytest.raises(ProfileError):
        profiles.save_profile(Profile(name, "https://example.com", **KEYS))


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(mode: int) -> None:
    path = profiles.save_profile(Profile("mine", "https://example.com", **KEYS))
    path.chmod(mode)
    with pytest.raises(ProfileError, match="chmod 600"):
        profiles.load_profile("mine")
    with pytest.raises(ProfileError, match="chmod 600"):
        profiles.save_profile(Profile("other", "https://example.com", **KEYS))


def write(content: str) -> Path:
    path = profiles.profiles_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o600)
    return path


def entry(**settings: Any) -> str:
    return json.dumps({"profiles": {"mine": {"base_url": "https://e.com", **settings}}})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"profiles": {"mine": {"access_key_secret": "hidden",', "not valid JSON"),
        ('["hidden"]', "does not have the form"),
        ('{"profiles": {"mine": "hidden"}}', "does not have the form"),
        ('{"profiles": {"mine": {"access_key_id": "hidden"}}}', "no base_url"),
        (entry(pol_s=1), "unknown setting 'pol_s'"),
        (entry(poll_s="hidden"), "poll_s must be"),
        (entry(per_minute=True), "per_minute must be"),
    ],
)
def test_a_damaged_file_is_named_without_its_content(content: str, words: str) -> None:
    write(content)
    with pytest.raises(ProfileError, match=words) as caught:
        profiles.load_profile("mine")
    assert "hidden" not in str(caught.value)


def test_the_dialect_defaults_to_what_is_safe() -> None:
    entry = {"base_url": "https://gpu.example.com", **KEYS}
    write(json.dumps({"profiles": {"far": entry, "near": {"base_url": "http://127.0.0.1:8170"}}}))
    assert profiles.load_profile("far").dialect == "cloud"
    assert profiles.load_profile("near").dialect == "gateway"


def test_keys_show_nowhere() -> None:
    profile = Profile("mine", "https://example.com", "shown-nowhere-id", "shown-nowhere-secret")
    assert "shown-nowhere" not in repr(profile) + str(profile)
    assert scrub("got shown-nowhere-secret from shown-nowhere-id") == "got *** from ***"


@pytest.mark.parametrize(("url", "name"), [(" ", None), (None, ""), ("", None)])
def test_an_empty_choice_is_not_the_cloud(
    url: str | None, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(profiles.ENV_ID, "env-id")
    monkeypatch.setenv(profiles.ENV_SECRET, "env-secret")
    with pytest.raises(InvalidRequest, match="not empty"):
        profiles.chosen_profile(url, name)
    assert profiles.chosen_profile(None, None).name == "cloud"
    assert profiles.chosen_profile("http://127.0.0.1:8170", None).name == "url-127.0.0.1:8170"
