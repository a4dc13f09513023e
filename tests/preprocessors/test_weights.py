"""Finding, fetching and reading annotator weights."""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from img_open.base.errors import Cancelled, InvalidRequest, MissingDependency, MissingModel, NetworkError
from img_open.preprocessors import download, hands, models_command, networks, registry, weight_files
from img_open.preprocessors.pulls import Pulls
from img_open.preprocessors.registry import PREPROCESSORS, available
from img_open.preprocessors.runtime import PlainRuntime
from img_open.preprocessors.weights_table import WEIGHTS

CONTENT = bytes(range(256)) * 9000  # more than two blocks


@pytest.fixture(autouse=True)
def _no_other_places(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "AUX_ANNOTATOR_CKPTS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def _write(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_weight_that_a_module_names_is_in_the_table():
    for entry in PREPROCESSORS.values():
        assert set(entry.weights) <= set(WEIGHTS)


def test_the_hosts_folder_comes_before_other_packs_and_the_hub_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AUX_ANNOTATOR_CKPTS_PATH", str(tmp_path / "ckpts"))
    assert weight_files.find("hed") is None
    hub = tmp_path / "hf/hub/models--lllyasviel--Annotators/snapshots/abc"
    cached = _write(hub / "ControlNetHED.pth")
    assert weight_files.find("hed") == cached
    aux = _write(tmp_path / "ckpts/lllyasviel/Annotators/ControlNetHED.pth")
    assert weight_files.find("hed") == aux
    own = _write(weight_files.own_folder() / "ControlNetHED.pth")
    assert weight_files.find("hed") == own
    host = _write(tmp_path / "host/ControlNetHED.safetensors")
    assert weight_files.find("hed", [tmp_path / "host"]) == host


def test_the_current_snapshot_of_the_hub_cache_wins(tmp_path):
    repo = tmp_path / "hf/hub/models--lllyasviel--Annotators"
    for commit in ("old", "new", "newer"):
        _write(repo / "snapshots" / commit / "netG.pth")
    _write(repo / "refs/main", b"new\n")
    found = weight_files.find("lineart_anime")
    assert found is not None
    assert found.parent.name == "new"


def test_an_empty_file_and_half_a_folder_do_not_count(tmp_path):
    _write(tmp_path / "ControlNetHED.pth", b"")
    assert weight_files.find("hed", [tmp_path]) is None
    _write(tmp_path / "dpt-hybrid-midas/pytorch_model.bin")
    assert weight_files.find("midas", [tmp_path]) is None
    _write(tmp_path / "dpt-hybrid-midas/config.json")
    assert weight_files.find("midas", [tmp_path]) == tmp_path / "dpt-hybrid-midas"


def test_what_is_missing_is_said_in_one_line(tmp_path):
    with pytest.raises(MissingModel) as caught:
        weight_files.require("hed", PlainRuntime("cpu", folders=[tmp_path]))
    text = str(caught.value)
    for part in (
        "ControlNetHED.pth",
        str(tmp_path),
        "29.4 MB",
        "Apache-2.0",
        "huggingface.co/lllyasviel/Annotators",
    ):
        assert part in text
    assert "\n" not in text
    assert available("hed", [tmp_path]) == (False, text)
    assert not list(tmp_path.iterdir())


class _Hub(ThreadingHTTPServer):
    """A mirror: serves CONTENT, honours ranges, can break off once and can declare a wrong checksum."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests = []
        self.break_off = False
        self.sha256 = hashlib.sha256(CONTENT).hexdigest()
        self.missing = set()


class _Handler(BaseHTTPRequestHandler):
    server: _Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("X-Linked-Etag", f'"{self.server.sha256}"')
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range"), dict(self.headers)))
        if self.path.rpartition("/")[2] in self.server.missing:
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if self.server.break_off:
            self.server.break_off = False
            self.wfile.write(CONTENT[start : start + 1500000])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(CONTENT[start:])


@pytest.fixture
def hub(monkeypatch):
    with _Hub() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        # What is served here is not the published file: as if no checksum of it were known.
        unknown = {key: replace(entry, sha256="") for key, entry in WEIGHTS.items()}
        monkeypatch.setattr(download, "WEIGHTS", unknown)
        yield server
        server.shutdown()
        thread.join()


def test_pull_from_a_mirror_with_progress(hub, tmp_path):
    seen = []
    path = download.pull("hed", tmp_path, progress=seen.append)
    assert path == tmp_path / "ControlNetHED.pth"
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert hub.requests[0][0] == "/lllyasviel/Annotators/resolve/main/ControlNetHED.pth"
    assert "Authorization" not in hub.requests[0][2]
    assert [each.name for each in tmp_path.iterdir()] == ["ControlNetHED.pth"]
    assert weight_files.find("hed", [tmp_path]) == path


def test_a_download_that_broke_off_goes_on(hub, tmp_path):
    hub.break_off = True
    with pytest.raises(NetworkError, match="again"):
        download.pull("hed", tmp_path)
    assert weight_files.find("hed", [tmp_path]) is None
    part = tmp_path / "ControlNetHED.pth.part"
    have = part.stat().st_size
    assert 0 < have < len(CONTENT)
    assert download.pull("hed", tmp_path).read_bytes() == CONTENT
    assert hub.requests[-1][1] == f"bytes={have}-"


def test_a_complete_part_needs_no_second_download(hub, tmp_path):
    _write(tmp_path / "ControlNetHED.pth.part", CONTENT)
    assert download.pull("hed", tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_is_deleted(hub, tmp_path):
    hub.sha256 = "0" * 64
    with pytest.raises(MissingModel, match="checksum"):
        download.pull("hed", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_checksum_of_the_table_counts_whatever_the_mirror_declares(hub, monkeypatch, tmp_path):
    """The mirror's own statement fits what it sends; it is not the published file."""
    monkeypatch.setattr(download, "WEIGHTS", WEIGHTS)
    with pytest.raises(MissingModel, match="checksum"):
        download.pull("hed", tmp_path)
    assert not list(tmp_path.iterdir())
    right = replace(WEIGHTS["hed"], sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(download, "WEIGHTS", {"hed": right})
    hub.sha256 = "0" * 64
    assert download.pull("hed", tmp_path).read_bytes() == CONTENT


def test_checksums_of_the_table_are_checksums():
    known = [entry.sha256 for entry in WEIGHTS.values() if entry.sha256]
    assert len(known) >= 20
    assert all(len(each) == 64 and set(each) <= set("0123456789abcdef") for each in known)


def test_a_folder_brings_its_configuration_and_skips_what_is_optional(hub, tmp_path):
    hub.missing = {"preprocessor_config.json"}
    folder = download.pull("midas", tmp_path)
    assert folder == tmp_path / "dpt-hybrid-midas"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "pytorch_model.bin"]
    assert weight_files.find("midas", [tmp_path]) == folder


def test_a_file_the_server_does_not_have(hub, tmp_path):
    hub.missing = {"ControlNetHED.pth"}
    with pytest.raises(MissingModel, match="404"):
        download.pull("hed", tmp_path)


def test_cancel_keeps_the_part(hub, tmp_path):
    with pytest.raises(Cancelled):
        download.pull("hed", tmp_path, cancelled=lambda: True)
    assert weight_files.find("hed", [tmp_path]) is None


def test_nobody_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match="broke off"):
        download.pull("hed", tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "ftp://mirror")
    with pytest.raises(InvalidRequest, match="HF_ENDPOINT"):
        download.pull("hed", tmp_path)


def test_the_mirrors_password_is_in_no_text(hub, monkeypatch, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    models_command.add_arguments(parser)
    order = parser.parse_args(["pull", "hed", "--folder", str(tmp_path)])
    port = hub.server_port
    hub.missing = {"ControlNetHED.pth"}
    for address in (f"http://user:canary-77@127.0.0.1:{port}", "http://user:canary-77@127.0.0.1:9"):
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert models_command.run(order) == 1
    monkeypatch.setenv("HF_ENDPOINT", "user:canary-77@mirror")
    assert models_command.run(order) == 1
    monkeypatch.setenv("HF_ENDPOINT", f"http://user:canary-77@127.0.0.1:{port}")
    hub.missing, hub.sha256 = set(), "0" * 64
    assert models_command.run(order) == 1
    said = "".join(capsys.readouterr())
    assert "127.0.0.1" in said
    assert "404" in said
    assert "checksum" in said
    assert "canary-77" not in said
    assert hub.requests[0][2]["Authorization"].startswith("Basic ")  # the mirror itself gets it


def test_one_download_of_a_file_at_a_time(hub, tmp_path):
    """Also between processes: the second gets one clear error and touches nothing."""
    started, go_on = threading.Event(), threading.Event()

    def hold(_):
        started.set()
        assert go_on.wait(60)

    first = threading.Thread(target=download.pull, args=("hed", tmp_path), kwargs={"progress": hold})
    first.start()
    try:
        assert started.wait(60)
        with pytest.raises(InvalidRequest, match="already being downloaded"):
            download.pull("hed", tmp_path)
        other = subprocess.run(
            [sys.executable, "-m", "img_open", "models", "pull", "hed", "--folder", str(tmp_path)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        go_on.set()
        first.join()
    assert other.returncode == 1
    assert "already being downloaded" in other.stderr
    assert (tmp_path / "ControlNetHED.pth").read_bytes() == CONTENT
    assert [each.name for each in tmp_path.iterdir()] == ["ControlNetHED.pth"]


def test_a_lock_left_behind_by_a_crash_is_free(hub, tmp_path):
    _write(tmp_path / "ControlNetHED.pth.part.lock", b"4711")
    assert download.pull("hed", tmp_path).read_bytes() == CONTENT
    assert [each.name for each in tmp_path.iterdir()] == ["ControlNetHED.pth"]


def test_two_who_start_at_once_start_one_download(hub, tmp_path):
    pulls, gate = Pulls(), threading.Barrier(8)
    answers = []

    def press():
        gate.wait()
        answers.append(pulls.start("hed", (tmp_path,))["state"])

    people = [threading.Thread(target=press) for _ in range(8)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    deadline = time.monotonic() + 60
    while pulls.status("hed", (tmp_path,))["state"] == "pulling" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert pulls.status("hed", (tmp_path,))["state"] == "here"
    assert set(answers) <= {"pulling", "here"}
    assert len(hub.requests) == 1
    assert (tmp_path / "ControlNetHED.pth").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_not_taken_for_it(hub, tmp_path):
    hub.sha256 = ""  # no checksum would tell
    part = _write(tmp_path / "ControlNetHED.pth.part", CONTENT + b"xyz")
    with pytest.raises(NetworkError, match=f"has {len(CONTENT) + 3} bytes, but the file has {len(CONTENT)}"):
        download.pull("hed", tmp_path)
    assert not part.exists()
    assert download.pull("hed", tmp_path).read_bytes() == CONTENT


def test_all_that_a_module_lacks_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_missing_packages", list)
    entry = PREPROCESSORS["ip-adapter_pulid"]
    with pytest.raises(MissingDependency) as caught:
        registry.function_of(entry, [tmp_path])
    for text in (str(caught.value), available(entry.name, [tmp_path])[1]):
        for package in entry.packages:
            assert package in text
        assert "--no-deps onnxruntime flatbuffers protobuf" in text
        assert "--no-deps facexlib" in text
        for key in entry.weights:
            assert WEIGHTS[key].file.rpartition("/")[2] in text
            assert f"{WEIGHTS[key].megabytes:g} MB, {WEIGHTS[key].licence}" in text


def test_hints_name_weights_that_the_canvas_can_fetch(monkeypatch, tmp_path):
    """The button asks for the first name after "models pull"; it knows keys of weights, no modules."""
    monkeypatch.setattr(registry, "_missing_packages", list)
    pulls, seen = Pulls(), 0
    for name, entry in PREPROCESSORS.items():
        if not entry.packages:
            continue
        reason = available(name, [tmp_path])[1]
        for names in re.findall(r" models pull ([a-z][\w-]*(?: [a-z][\w-]*)*)", reason):
            for key in names.split():
                assert pulls.status(key, (tmp_path,))["state"] == "missing"
                seen += 1
    assert seen > 10
    assert set(hands._WEIGHTS) == set(PREPROCESSORS["depth_hand_refiner"].weights)
    with pytest.raises(InvalidRequest, match="the key of an annotator weight"):
        pulls.start("depth_hand_refiner", (tmp_path,))


def test_only_a_runtime_that_allows_it_downloads(hub, tmp_path):
    with pytest.raises(MissingModel):
        weight_files.require("hed", PlainRuntime("cpu", folders=[tmp_path]))
    assert not hub.requests
    found = weight_files.require("hed", PlainRuntime("cpu", folders=[tmp_path], allow_download=True))
    assert found.read_bytes() == CONTENT


def test_models_command(hub, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    models_command.add_arguments(parser)
    assert models_command.run(parser.parse_args(["list"])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[72] == ""  # one for each module; what follows is said once
    assert any(line.split() == ["canny", "runs"] for line in lines)
    assert any(line.startswith("hed ") and "ControlNetHED.pth" in line for line in lines)
    assert any("models pull MODULE" in line for line in lines[73:])
    running = sum(line.endswith(" runs") for line in lines[:72])
    assert f"{running} of 72 modules run here." in lines[73:]
    assert max(map(len, lines[:72])) < 260  # file names, sizes and licences, no sentences
    assert models_command.run(parser.parse_args(["pull", "scribble_hed", "--folder", str(tmp_path)])) == 0
    assert (tmp_path / "ControlNetHED.pth").is_file()
    assert models_command.run(parser.parse_args(["pull", "hed", "--folder", str(tmp_path)])) == 0
    assert "already" in capsys.readouterr().out
    assert models_command.run(parser.parse_args(["list", "--weights", "--folder", str(tmp_path)])) == 0
    assert str(tmp_path / "ControlNetHED.pth") in capsys.readouterr().out
    hub.missing = {"netG.pth"}
    assert models_command.run(parser.parse_args(["pull", "lineart_anime", "--folder", str(tmp_path)])) == 1
    with pytest.raises(InvalidRequest, match="no weights"):
        models_command.run(parser.parse_args(["pull", "canny"]))


def _state():
    return {"0.weight": torch.zeros(2, 3), "0.bias": torch.ones(2)}


def _linear():
    return torch.nn.Sequential(torch.nn.Linear(3, 2))


def test_state_is_read_from_either_format_and_any_wrapper(tmp_path):
    from safetensors.torch import save_file

    save_file(_state(), tmp_path / "a.safetensors")
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in _state().items()}}, tmp_path / "b.pth"
    )
    for name in ("a.safetensors", "b.pth"):
        made = _linear()
        networks.fill(made, networks.read_state(tmp_path / name), tmp_path / name)
        assert made[0].bias.eq(1).all()


class _Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_truncated_file_names_itself(tmp_path, name):
    path = tmp_path / name
    torch.save(_state(), path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MissingModel, match=name):
        networks.read_state(path)


@pytest.mark.filterwarnings("ignore:Detected pickle")
def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(MissingModel, match=r"evil\.pth"):
        networks.read_state(path)
    torch.save({"state_dict": _Evil()}, path)
    with pytest.raises(MissingModel, match=r"evil\.pth"):
        networks.read_state(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    for state in ({}, {**_state(), "extra": torch.ones(1)}, {**_state(), "0.bias": torch.ones(3)}):
        with pytest.raises(MissingModel, match="another network"):
            networks.fill(_linear(), state, path)
    torch.save([1, 2], path)
    with pytest.raises(MissingModel, match="no named tensors"):
        networks.read_state(path)
