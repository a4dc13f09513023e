"""Keys, hosts and origins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from img_open.base.errors import InvalidRequest, ProfileError, Unauthorized
from img_open.gateway.auth import ID_HEADER, SECRET_HEADER, Keys
from img_open.gateway.lock import FolderLock
from img_open.gateway.settings import Settings, is_loopback

TEXT = "/sd/v2/text2image"
QUERY = "/sd/v2/queryTaskInfo"
PATHS = (TEXT, QUERY, "/sd/v2/queryModelList", "/sd/v2/cancelTask", "/tool/cnt/preview", "/nowhere")


def headers(key_id: str, secret: str) -> dict[str, str]:
    return {ID_HEADER: key_id, SECRET_HEADER: secret}


ALICE = headers("alice", "alice-secret-canary")
BOB = headers("bob", "bob-secret-canary")


def test_with_a_keys_file_every_call_needs_a_key_and_keys_do_not_meet(launch, body, keys_file: Path) -> None:
    server = launch("--keys", str(keys_file), "--host", "0.0.0.0")
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    wrong = [
        {},
        headers("alice", ""),
        headers("alice", "bob-secret-canary"),
        headers("nobody", "alice-secret-canary"),
        headers("alice", "alice-secret-canary "[:-2]),
        {SECRET_HEADER: "alice-secret-canary"},
    ]
    for given in wrong:
        for path in (
            TEXT,
            QUERY,
            "/sd/v2/queryModelList",
            "/sd/v2/cancelTask",
            "/tool/cnt/preview",
            "/nowhere",
        ):
            envelope = server.refused(401, path, {"businessTaskId": "x"}, headers=given)
            assert envelope["data"]["error"] == "unauthorized"
            assert "canary" not in envelope["msg"]
    server.post(TEXT, body("mine"), headers=ALICE)
    assert server.wait("mine", headers=ALICE)["status"] == 2
    server.refused(404, QUERY, {"businessTaskId": "mine"}, headers=BOB)
    server.refused(404, "/sd/v2/cancelTask", {"businessTaskId": "mine"}, headers=BOB)
    server.post(TEXT, body("mine", seed=99), headers=BOB)  # bob's own task of that name
    bobs = server.wait("mine", headers=BOB)
    assert bobs["differentialImageRspList"][0]["seed"] == 99
    # A link is its own key; a proxy's name in Host is fine where keys are asked for.
    link = server.info("mine", headers=ALICE)["differentialImageRspList"][0]["image_url"]
    assert server.picture(link).shape == (48, 64, 3)
    named = server.info("mine", headers={**ALICE, "Host": "gateway.example.com"})
    assert named["differentialImageRspList"][0]["image_url"].startswith("http://gateway.example.com/f/")
    assert server.session.get(server.url + "/healthz", timeout=5).ok
    server.kill()
    assert "canary" not in server.log()
    for file in server.folder.rglob("*"):
        assert not file.is_file() or b"secret-canary" not in file.read_bytes()


@pytest.mark.parametrize(
    "extra",
    [
        {"Host": "evil.example.com"},
        {"Host": "127.0.0.1.evil.example.com:8170"},
        {"Host": ""},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
    ],
)
def test_without_keys_pages_and_other_names_are_refused(server, body, extra: dict[str, str]) -> None:
    envelope = server.refused(403, TEXT, body("page"), headers=extra)
    assert envelope["data"]["error"] == "unauthorized"
    server.refused(404, QUERY, {"businessTaskId": "page"})
    response = server.session.get(server.url + "/healthz", headers=extra, timeout=5)
    assert response.status_code == 403


def test_without_keys_this_machines_names_are_fine(server) -> None:
    port = server.url.rsplit(":", 1)[1]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost"):
        response = server.session.get(
            server.url + "/healthz", headers={"Host": host, "Origin": f"http://{host}"}, timeout=5
        )
        assert response.status_code == 200


def test_the_process_refuses_other_hosts_without_keys(tmp_path: Path) -> None:
    script = Path(__file__).with_name("tiny_server.py")
    done = subprocess.run(
        [sys.executable, str(script), "--data", str(tmp_path / "data"), "--port", "0", "--host", "0.0.0.0"],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "TINY_LEDGER": str(tmp_path / "ledger")},
    )  # fmt: skip
    assert done.returncode != 0
    assert "Listening" not in done.stdout
    assert "--keys" in done.stderr


def test_a_second_gateway_on_the_same_folder_is_refused(server) -> None:
    with pytest.raises(InvalidRequest, match="Another gateway"):
        FolderLock(server.folder / "data").take()


def test_a_folder_is_free_again_when_its_gateway_has_ended(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "data"), FolderLock(tmp_path / "data")
    first.take()
    with pytest.raises(InvalidRequest):
        second.take()
    first.release()
    second.take()
    second.release()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "127.0.0.1.example.com", ""])
def test_settings_refuse_hosts_that_others_can_reach(tmp_path: Path, host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(InvalidRequest, match="--host"):
        Settings(data_dir=tmp_path, host=host).check()


@pytest.mark.parametrize(
    "change", [{"port": 70000}, {"queue_size": 0}, {"public_url": "ftp://x"}, {"link_seconds": -1}]
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, change: dict) -> None:
    with pytest.raises(InvalidRequest):
        Settings(data_dir=tmp_path, **change).check()


def test_keys_files_of_both_kinds_are_read(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("# comment\n\na  s3cret\n")
    as_json = tmp_path / "json"
    as_json.write_text('{"keys": [{"id": "a", "secret": "s3cret"}]}')
    for path in (lines, as_json):
        path.chmod(0o600)
        assert Keys.load(path).owner(headers("a", "s3cret")) == "a"
        with pytest.raises(Unauthorized):
            Keys.load(path).owner(headers("a", "s3cre"))


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "only-an-id\n", "a b c\n", "a x\na y\n", '{"keys": []}',
     '{"keys": [{"id": 1, "secret": "x"}]}', '{"keys": "a"}', "{", '{"keys": [{"id": "a", "secret": ""}]}'],
)  # fmt: skip
def test_keys_files_that_say_nothing_useful_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ProfileError, match=r"keys"):
        Keys.load(path)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_a_keys_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("a s3cret\n")
    path.chmod(0o644)
    with pytest.raises(ProfileError, match="chmod 600"):
        Keys.load(path)
    with pytest.raises(ProfileError):
        Keys.load(tmp_path / "missing")
