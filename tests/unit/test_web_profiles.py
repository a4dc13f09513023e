"""Profiles of the settings page: keys go in, and nothing that comes out holds one."""

from __future__ import annotations

import json

import pytest
from img_open.api.profiles import list_profiles, load_profile
from img_open.base.errors import InvalidRequest, ProfileError
from img_open.nodes import web_profiles

ID, SECRET = "AKID-canary-0001", "AKSECRET-canary-0002"


def add(**changes: object) -> dict[str, object]:
    body = {"name": "mine", "base_url": "https://server.example", "key_id": ID, "key_secret": SECRET}
    return web_profiles.save({**body, **changes})


def test_a_secret_goes_in_and_never_comes_back() -> None:
    told = [add(), web_profiles.all_shown(), web_profiles.shown("mine")]
    assert load_profile("mine").access_key_secret == SECRET
    assert ID not in json.dumps(told)
    assert SECRET not in json.dumps(told)
    assert web_profiles.shown("mine")["has_keys"]


def test_empty_keys_keep_the_saved_ones_for_the_same_server_only() -> None:
    add()
    add(key_id="", key_secret="", per_minute=7)
    assert load_profile("mine").access_key_secret == SECRET
    assert load_profile("mine").per_minute == 7
    with pytest.raises(ProfileError, match="keys are needed again"):
        add(key_id="", key_secret="", base_url="https://elsewhere.example")
    assert load_profile("mine").base_url == "https://server.example"


def test_storage_options_stay_inside() -> None:
    add(storage="s3", storage_options={"bucket": "b", "secret_key": "BUCKETSECRET"})
    assert "BUCKETSECRET" not in json.dumps(web_profiles.all_shown())
    add(key_id="", key_secret="", storage="s3")
    assert load_profile("mine").storage_options["bucket"] == "b"


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "http://server.example"},
        {"name": "cloud"},
        {"name": "../x"},
        {"key_secret": ""},
        {"storage": "elsewhere"},
        {"per_minute": "many"},
        {"allow_private_results": 1},
        {"password": "x"},
        {"key_id": 5},
        {"storage_options": [1]},
    ],
)
def test_what_cannot_be_used_is_refused_and_not_written(wrong: dict[str, object]) -> None:
    with pytest.raises((ProfileError, InvalidRequest)) as caught:
        add(**wrong)
    assert SECRET not in str(caught.value)
    assert list_profiles() == ["cloud"]


def test_a_keyless_profile_of_this_machine_is_a_gateway() -> None:
    shown = web_profiles.save({"name": "here", "base_url": "http://127.0.0.1:8170"})
    assert (shown["ready"], shown["dialect"], shown["storage"]) == (True, "gateway", "inline")


def test_removing() -> None:
    add()
    web_profiles.remove("mine")
    assert list_profiles() == ["cloud"]
    for name in ("mine", "cloud"):
        with pytest.raises(ProfileError):
            web_profiles.remove(name)


def test_testing_says_what_is_wrong_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    web_profiles.save({"name": "here", "base_url": "http://127.0.0.1:9"})
    told = web_profiles.test("here")
    assert told["ok"] is False
    assert told["message"]


def test_harmless_storage_options_are_shown_and_can_be_changed_without_the_bucket_keys() -> None:
    keys = {"access_key_id": "BKID-canary-3", "secret_access_key": "BKSECRET-canary-4"}
    add(storage="s3", storage_options={"bucket": "b", "region": "r", **keys})
    shown = web_profiles.shown("mine")
    assert shown["storage_options"] == {"bucket": "b", "region": "r"}
    assert shown["has_bucket_keys"] is True
    assert "canary" not in json.dumps(shown)
    add(storage="s3", storage_options={"bucket": "b", "region": "other", "access_key_id": ""})
    assert load_profile("mine").storage_options == {"bucket": "b", "region": "other", **keys}


@pytest.mark.parametrize(
    "changed", [{"bucket": "c"}, {"bucket": "b", "endpoint_url": "https://evil.example"}]
)
def test_bucket_keys_do_not_travel_to_another_storage(changed: dict[str, str]) -> None:
    keys = {"access_key_id": "BKID-canary-3", "secret_access_key": "BKSECRET-canary-4"}
    add(storage="s3", storage_options={"bucket": "b", **keys})
    with pytest.raises(ProfileError, match="bucket changes"):
        add(storage="s3", storage_options=changed)
    assert load_profile("mine").storage_options["bucket"] == "b"
    add(storage="s3", storage_options={**changed, "access_key_id": "NEWID", "secret_access_key": "NEWSECRET"})
    assert load_profile("mine").storage_options["secret_access_key"] == "NEWSECRET"


def test_every_limit_of_a_profile_can_be_seen_and_set() -> None:
    """What the page sends is what the profile holds: nothing falls back to a default by being left out."""
    import dataclasses

    from img_open.api.profiles import Profile

    seen = set(web_profiles.shown("cloud")) | set(web_profiles._ACCEPTED)
    hidden = {"access_key_id", "access_key_secret"}
    assert {field.name for field in dataclasses.fields(Profile)} - hidden <= seen
    add(poll_s=2.0, poll_most_s=9.0, deadline_s=77, spend_limit_images=5, max_concurrent=3)
    saved = load_profile("mine")
    assert (saved.poll_s, saved.poll_most_s, saved.deadline_s) == (2.0, 9.0, 77)
    assert (saved.spend_limit_images, saved.max_concurrent) == (5, 3)
