"""Nothing secret leaves the pack as text."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
from img_open.base.log import get_logger, register_secret, scrub, scrub_json, scrub_link

CANARY = "canary-4f1c9a"


@pytest.mark.parametrize(
    "text",
    [
        f"X-Request-req-accessKeySecret: {CANARY}",
        f"-H 'X-Request-req-accessKeyId: {CANARY}' -d x",
        f"{{'X-Request-req-accessKeyId': '{CANARY}'}}",
        f'{{"x-request-req-accesskeysecret":"{CANARY}"}}',
        f'{{\\"accessKeySecret\\": \\"{CANARY}\\"}}',
        f"access_key_secret={CANARY}&x=1",
        f"IMG_OPEN_ACCESS_KEY_SECRET={CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"Bearer {CANARY}",
        f"GET https://host/a.png?X-Amz-Credential=x&X-Amz-Signature={CANARY} failed",
        f"https://host/a.png?Expires=17&OSSAccessKeyId={CANARY}&Signature=abc",
        f"(https://host/a.png?sig={CANARY})",
        f"https://host/a.png?x=1&token={CANARY}#x",
        f"https://user:{CANARY}@host/a.png",
    ],
)
def test_secrets_are_masked(text):
    assert CANARY not in scrub(text)
    assert "***" in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://host/a.png?width=512&monkey=1",
        "the token limit is 75 tokens",
        "X-Request-req-accessKeyId: $IMG_OPEN_ACCESS_KEY_ID",
        "processor_res 300 is outside 64 to 2048",
        "",
    ],
)
def test_ordinary_text_stays(text):
    assert scrub(text) == text


def test_known_secrets_are_masked_anywhere_longest_first():
    register_secret("abcd")
    register_secret("abcd-long-secret")
    register_secret("ab")
    assert scrub("x abcd-long-secret y abcdz ab") == "x *** y ***z ab"


def test_a_secret_is_masked_as_python_json_and_links_write_it():
    secret = 'back\\slash"and+more'
    register_secret(secret)
    for shown in (secret, repr(secret), json.dumps(secret), quote(secret, safe="")):
        assert "slash" not in scrub(f"bad key {shown} in the call")


def test_links_lose_only_what_signs_them():
    assert scrub_link("https://host/a.png?Signature=x&b=1#c") == "https://host/a.png?***"
    assert scrub_link("https://host/a.png?b=1") == "https://host/a.png?b=1"
    assert scrub_link("https://[broken?sig=x") == "https://[broken"


def test_json_is_scrubbed_deeply_and_copied():
    value = {"links": ["https://h/a?sig=x"], "access_key_secret": CANARY, "password": "", "n": 1}
    assert scrub_json(value) == {
        "links": ["https://h/a?***"],
        "access_key_secret": "***",
        "password": "",
        "n": 1,
    }
    assert value["access_key_secret"] == CANARY


def test_log_records_are_scrubbed_for_every_handler(caplog):
    register_secret(CANARY)
    logger = get_logger("test.scrub")
    assert logger.name == "img_open.test.scrub"
    assert get_logger("test.scrub") is logger
    assert len(logger.filters) == 1
    assert not logger.handlers
    with caplog.at_level(logging.DEBUG, logger.name):
        logger.warning("key %s", CANARY)
        logger.warning("key %s %s", CANARY)
        try:
            raise ValueError(f"wrong key {CANARY}")
        except ValueError:
            logger.exception("failed")
    assert CANARY not in caplog.text
    assert "wrong key ***" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("http://127.0.0.1:8170/f/" + "a1" * 32, "http://127.0.0.1:8170/f/***"),
        ("https://example.org/f/short.png", "https://example.org/f/short.png"),
        ("https://example.org/x/" + "a1" * 32, "https://example.org/x/" + "a1" * 32),
    ],
)
def test_a_capability_link_loses_its_token(link: str, shown: str) -> None:
    assert scrub_link(link) == shown
    assert shown in scrub(f'{{"image_url": "{link}"}}')
