"""Keys go to their own server and nowhere else: not into errors, logs, the journal, results, other hosts."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from img_open.api.journal import Journal
from img_open.api.profiles import Profile
from img_open.base import errors
from img_open.engines.remote import RemoteEngine

from .conftest import FAST, PATIENT, SHORT, FaultyServer, make_request

KEY_ID = "canary-id-93ab61"
SECRET = "canary-secret-5d0e7747"


def texts_of(error: BaseException) -> str:
    """Everything a crash report could show of an error, its causes and their attributes included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(getattr(error, "details", ""))


@pytest.mark.parametrize("fault", ["ok", "500", "cut", "html", "redirect", "envelope-777", "echo", "private"])
def test_no_key_leaks(
    fault: str,
    serve: Callable[..., FaultyServer],
    journal: Journal,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(key=SECRET, dialect="cloud")
    profile = Profile("test", server.url, KEY_ID, SECRET, dialect="cloud")
    engine = RemoteEngine(profile, journal, patience=PATIENT, timeouts=SHORT, backoff=FAST)
    server.script(**({"result": [fault]} if fault == "private" else {"submit": [fault]}))
    shown = repr(profile) + str(profile) + repr(vars(engine))
    try:
        result = engine.run(make_request(f"a lighthouse named {SECRET}"))
        shown += repr(result)
    except errors.ImgOpenError as error:
        shown += texts_of(error)
    shown += caplog.text + repr(journal.list())
    on_disk = b"".join(path.read_bytes() for path in tmp_path.rglob("data/**/*") if path.is_file())
    assert b"a lighthouse named" in on_disk
    for secret in (KEY_ID, SECRET):
        assert secret not in shown
        assert secret.encode() not in on_disk
    ledger = server.ledger()
    assert ledger["key_leaks"] == []  # no key header on result downloads
    assert ledger["intranet"] == []  # and none of the redirects was followed with one


def test_a_wrong_key_is_named_as_such_and_costs_nothing(
    serve: Callable[..., FaultyServer], journal: Journal
) -> None:
    server = serve(key=SECRET)
    profile = Profile("test", server.url, KEY_ID, "not-the-secret-1", dialect="gateway")
    engine = RemoteEngine(profile, journal, patience=PATIENT, timeouts=SHORT, backoff=FAST)
    with pytest.raises(errors.Unauthorized, match="access key"):
        engine.run(make_request())
    assert journal.list()[0].state == "failed"
    good = RemoteEngine(
        Profile("test", server.url, KEY_ID, SECRET, dialect="gateway"),
        journal,
        patience=PATIENT,
        timeouts=SHORT,
        backoff=FAST,
    )
    assert good.run(make_request()).seeds == [7]
    assert server.works() == 1
