"""The `img-open` command where nothing is computed: what it refuses, what it prints, how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from img_open import cli
from img_open.api.profiles import Profile, load_profile, save_profile
from img_open.base.errors import InvalidRequest
from img_open.base.pictures import encode_png
from img_open.controlnet.modules import find_module
from img_open.engines.console import print_result
from img_open.engines.save import prepare_folder, save_result
from img_open.engines.types import Info, Result

GRAY = np.full((8, 8, 3), 128, np.uint8)


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "request.json"
    path.write_text('{"prompt": "a boat", "steps": 2, "width": 64, "height": 64}', "utf-8")
    return path


def exit_of(*words: object) -> int:
    """The exit status, argparse's own ones too."""
    try:
        return cli.main([str(word) for word in words])
    except SystemExit as error:
        return int(str(error.code))


def test_an_empty_address_or_profile_does_not_mean_the_paid_cloud(
    request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMG_OPEN_ACCESS_KEY_ID", "id-4711")
    monkeypatch.setenv("IMG_OPEN_ACCESS_KEY_SECRET", "secret-0815")
    for option in ("--url", "--profile"):
        assert exit_of("submit", request_file, "--out", tmp_path / "out", option, "") == 1
        assert f"{option} is ''" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["http://u:hunter2@127.0.0.1:1", "http://u:12/hunter2@[::1", "u:hunter2@host"]
)
def test_a_password_in_an_address_is_not_repeated(
    url: str, request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of("submit", request_file, "--out", tmp_path / "out", "--url", url) == 1
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err
    assert "bug" not in shown.err


@pytest.mark.parametrize("deadline", ["0", "nan", "inf", "-1", "1e9"])
def test_a_deadline_is_a_span_of_time(
    deadline: str, request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("submit", request_file, "--out", tmp_path / "out", "--url", "http://127.0.0.1:1")
    assert exit_of(*words, "--deadline", deadline) == 1
    assert "the deadline is" in capsys.readouterr().err


def test_the_folder_is_tried_before_anything_is_made(
    request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("x")
    words = ("submit", request_file, "--url", "http://127.0.0.1:1", "--out")
    assert exit_of(*words, in_the_way / "out") == 1
    assert "cannot be written" in capsys.readouterr().err, "no connection may have been tried"
    assert exit_of(*words, "") == 2
    with pytest.raises(InvalidRequest):
        prepare_folder(in_the_way)


def test_pictures_of_an_earlier_result_do_not_stay_among_the_new_ones(tmp_path: Path) -> None:
    (tmp_path / "image_07.png").write_bytes(b"not ours: no result.json names it")
    save_result(Result(images=[GRAY] * 3, control_images=[GRAY], seeds=[1, 2, 3]), tmp_path, "png")
    save_result(Result(images=[GRAY], seeds=[4]), tmp_path, "jpg")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["image_00.jpg", "image_07.png", "result.json"]


def test_a_result_is_saved_whatever_its_texts_are(tmp_path: Path) -> None:
    save_result(Result(images=[GRAY], seeds=[1], response={"msg": "half \ud800"}), tmp_path, "png")
    assert json.loads((tmp_path / "result.json").read_text("utf-8"))["response"] == {"msg": "half \ud800"}


def test_withheld_pictures_are_told_and_none_at_all_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result(withheld=["Picture 1 is withheld: violence"], infos=[Info("seed", "notice", "drawn")] * 2)
    assert print_result(result, [], ["seed: drawn"]) == 1
    told = capsys.readouterr().err
    assert "Picture 1 is withheld" in told
    assert "drawn" not in told, "it was said as a note before"
    assert print_result(result, [tmp_path / "image_00.png"]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip().endswith("image_00.png")
    assert shown.err.count("drawn") == 1


@pytest.mark.parametrize("days", ["-1", "nan", "inf"])
def test_purge_takes_no_nonsense_for_an_age(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("tasks", "purge", "--days", days) == 1
    assert "--days" in capsys.readouterr().err


def test_a_home_that_is_a_file_is_named(
    request_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMG_OPEN_HOME", str(request_file))
    for words in (("tasks", "list"), ("profile", "add", "mine", "--url", "http://127.0.0.1:1", "--no-key")):
        assert exit_of(*words) == 1
        told = capsys.readouterr().err
        assert request_file.name in told
        assert "bug" not in told


def test_preprocess_writes_what_the_name_says(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    source.write_bytes(encode_png(GRAY.repeat(8, 0).repeat(8, 1)))
    for name, start in (("a.jpg", b"\xff\xd8"), ("b.JPEG", b"\xff\xd8"), ("c.png", b"\x89PNG")):
        assert exit_of("preprocess", "none", source, tmp_path / name) == 0
        assert (tmp_path / name).read_bytes().startswith(start)


def test_preprocess_never_replaces_its_own_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.png"
    source.write_bytes(encode_png(GRAY))
    before = source.read_bytes()
    assert exit_of("preprocess", "invert", source, tmp_path / "." / "in.png") == 1
    assert source.read_bytes() == before
    assert "the picture itself" in capsys.readouterr().err


def test_a_request_that_powershell_wrote_is_read(
    request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = tmp_path / "wide.json"
    wide.write_text(request_file.read_text("utf-8"), "utf-16")
    assert exit_of("convert", wide, "--to", "img-open") == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == "a boat"


@pytest.mark.parametrize("option", ["--processor-res", "--threshold-a", "--threshold-b"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_preprocess_takes_no_nan(option: str, value: str, tmp_path: Path) -> None:
    assert exit_of("preprocess", "canny", tmp_path / "in.png", tmp_path / "out.png", option, value) == 2


@pytest.mark.parametrize("threads", ["-1", "0", "100000000"])
def test_threads_are_bounded(
    threads: str, request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of("run", request_file, "--out", tmp_path / "out", "--threads", threads) == 1
    assert "--threads" in capsys.readouterr().err


def test_a_model_of_an_unknown_user_is_refused(
    request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of("run", request_file, "--out", tmp_path / "out", "--model", "~nobodyx/x") == 1
    assert "bug" not in capsys.readouterr().err


def test_convert_shows_no_passwords_and_no_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = "https://user:hunter2@pictures.example.com/a.png"
    body = {"prompt": "x", "access_token": "tok-4711", "alwayson_scripts": {"image_link": link}}
    source = tmp_path / "request.json"
    source.write_text(json.dumps(body), "utf-8")
    for form in ("img-open", "curl", "a1111", "workflow", "canvas"):
        assert exit_of("convert", source, "--to", form) == 0
        shown = capsys.readouterr()
        assert "hunter2" not in shown.out + shown.err, form
        assert "tok-4711" not in shown.out + shown.err, form
        assert "user name or password" in shown.err, form


def test_storage_settings_are_checked_when_a_profile_is_added(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("profile", "add", "mine", "--url", "http://127.0.0.1:1", "--no-key", "--storage")
    assert exit_of(*words, "s3") == 1
    assert "bucket" in capsys.readouterr().err
    assert exit_of(*words, "served", "--storage-option", "public_url=nowhere") == 1
    assert exit_of("profile", "list") == 0
    assert "mine" not in capsys.readouterr().out.split()


def test_standard_input_may_be_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert exit_of("convert", "-", "--to", "curl") == 1
    assert "Standard input is closed" in capsys.readouterr().err


def test_an_unforeseen_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("what nobody thought of")

    monkeypatch.setattr(cli, "build_parser", broken)
    monkeypatch.delenv("IMG_OPEN_DEBUG", raising=False)
    assert cli.main([]) == 1
    told = capsys.readouterr().err
    assert "This is a bug of img-open" in told
    assert "IMG_OPEN_DEBUG=1" in told
    assert told.count("\n") == 1
    monkeypatch.setenv("IMG_OPEN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main([])


def test_a_stop_in_the_first_moments_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", stopped)
    assert cli.main([]) == 130
    assert "Stopped" in capsys.readouterr().err


def test_output_that_cannot_encode_or_be_written(tmp_path: Path) -> None:
    source = tmp_path / "request.json"
    source.write_text('{"prompt": "猫"}', "utf-8")
    command = [sys.executable, "-m", "img_open.cli", "convert", str(source), "--to", "img-open"]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    made = subprocess.run(command, env=plain, capture_output=True, timeout=120)
    assert json.loads(made.stdout.decode("utf-8")) == {"prompt": "猫"}
    if not Path("/dev/full").exists():
        return
    with open("/dev/full", "wb") as full:
        made = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=120)
    assert made.returncode == 1
    assert b"cannot be written" in made.stderr
    assert b"Traceback" not in made.stderr
    assert b"Exception ignored" not in made.stderr


def test_streams_without_a_descriptor_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    assert exit_of("profile", "list") == 0
    assert sys.stdout.getvalue().split() == ["cloud"]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("--version") == 0
    assert re.fullmatch(r"img-open \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_an_unknown_module_is_answered_with_different_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`none` has an old spelling too; one line for one module."""
    assert exit_of("preprocess", "nonee", tmp_path / "a.png", tmp_path / "b.png") == 1
    offered = re.findall(r"one of: (.*)\?", capsys.readouterr().err)[0].split(", ")
    assert "none" in offered
    assert "None" not in offered
    assert len({find_module(name).name for name in offered}) == len(offered)


def test_purge_says_which_age_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("tasks", "purge") == 0
    told = capsys.readouterr().out
    assert "older than 30 days" in told
    assert "--days 0" in told
    assert exit_of("tasks", "purge", "--days", 0) == 0
    assert "older" not in capsys.readouterr().out


def test_a_signed_link_stays_in_what_is_sent_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A body that is to be sent must still work; a command that is shown to others must not give it away."""
    link = "https://pictures.example.com/a.png?X-Amz-Signature=abc4711&X-Amz-Expires=600"
    unit = {"image_link": link, "module": "canny", "model": "canny", "enabled": True}
    body = {"prompt": "x", "alwayson_scripts": {"controlnet": {"args": [unit]}}}
    source = tmp_path / "request.json"
    source.write_text(json.dumps(body), "utf-8")
    for form, kept in (
        ("img-open", True),
        ("a1111", True),
        ("curl", False),
        ("workflow", False),
        ("canvas", False),
    ):
        assert exit_of("convert", source, "--to", form) == 0
        shown = capsys.readouterr()
        assert ("abc4711" in shown.out) == kept, form
        assert "abc4711" not in shown.err, form
        assert ("whoever gets this text" in shown.err) == kept, form
        assert ("signature, which was cut" in shown.err) == (not kept), form


def test_an_address_is_not_called_a_profile(
    request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in ("ftp://box", "http://192.168.1.5:8170", "https://gpu.example.com", "http://127.0.0.1/?a=b"):
        assert exit_of("submit", request_file, "--out", tmp_path / "out", "--url", url) == 1
        told = capsys.readouterr().err
        assert "--url: " in told, url
        assert "url-" not in told, url


def test_a_gateway_in_the_same_network_gets_a_tunnel(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("profile", "add", "box", "--no-key", "--url")
    assert exit_of(*words, "http://192.168.1.5:8170") == 1
    told = capsys.readouterr().err
    assert "without encryption" in told
    assert "ssh -L 8170:127.0.0.1:8170 192.168.1.5" in told
    assert exit_of(*words, "http://127.0.0.1:8170") == 0  # what the hint says to use
    assert load_profile("box").dialect == "gateway"


def test_a_profile_may_be_used_without_asking_only_if_it_is_said() -> None:
    words = ("profile", "add", "box", "--no-key", "--url", "http://127.0.0.1:8170")
    assert exit_of(*words) == 0
    assert not load_profile("box").auto_remote
    assert exit_of(*words, "--auto-remote") == 0
    assert load_profile("box").auto_remote
    assert exit_of("profile", "change", "box", "--no-auto-remote") == 0
    assert not load_profile("box").auto_remote
    assert exit_of("profile", "change", "box") == 1  # nothing named


def test_allowing_a_profile_keeps_its_keys_and_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    save_profile(Profile("paid", "https://box.example.com", "id-4711", "secret-0815", deadline_s=60.0))
    assert exit_of("profile", "change", "paid", "--auto-remote") == 0
    after = load_profile("paid")
    assert (after.access_key_id, after.access_key_secret, after.deadline_s) == (
        "id-4711",
        "secret-0815",
        60.0,
    )
    assert after.auto_remote
    shown = capsys.readouterr()
    assert "0815" not in shown.out + shown.err
