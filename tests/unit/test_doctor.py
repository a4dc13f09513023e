"""`img-open doctor` tells whole, missing and broken packages apart, and knows the torchvision trouble."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from img_open.api.profiles import Profile, save_profile
from img_open.base.command import pip
from img_open.engines import doctor, doctor_facts


def broken_package(folder: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> doctor.Part:
    """A package on the path that fails to import, here and in child processes."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(f"raise RuntimeError({message!r})\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return doctor.Part(name, name, "a test")


def test_a_package_that_loads_is_ok_with_its_version() -> None:
    finding = doctor.examine(doctor.Part("requests", "requests", "a test"))
    assert finding.state == "ok"
    assert finding.version[0].isdigit()
    assert not finding.advice


def test_a_missing_package_says_how_to_get_it() -> None:
    finding = doctor.examine(doctor.Part("no_such_module_here", "no-such-package", "a test"))
    assert (finding.state, finding.advice) == ("absent", pip("install no-such-package"))
    assert finding.advice.endswith(
        "-m pip install no-such-package"
    )  # of this Python, whatever is on the PATH


def test_mismatched_torchvision_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = broken_package(tmp_path, "vision_like", "operator torchvision::nms does not exist", monkeypatch)
    finding = doctor.examine(part)
    assert finding.state == "broken"
    assert "pip uninstall torchvision" in finding.advice


def test_another_failure_shows_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = broken_package(tmp_path, "bent_module", "spring 7 is bent", monkeypatch)
    finding = doctor.examine(part)
    assert finding.state == "broken"
    assert "spring 7 is bent" in finding.advice
    assert "torchvision" not in finding.advice


def test_the_exit_status_says_whether_something_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = doctor.Part("requests", "requests", "a test")
    monkeypatch.setattr(doctor, "PARTS", (whole,))
    assert doctor.run(argparse.Namespace()) == 0
    bent = broken_package(tmp_path, "bent_again", "no", monkeypatch)
    monkeypatch.setattr(doctor, "PARTS", (whole, bent))
    assert doctor.run(argparse.Namespace()) == 1
    assert "broken  bent_again" in capsys.readouterr().out


def test_what_would_harm_comfyui_is_not_advised_for_this_python() -> None:
    """diffusers into ComfyUI's Python may replace its transformers: the advice is a Python of its own."""
    parts = {part.module: part for part in doctor.PARTS}
    for name in ("diffusers", "accelerate"):
        assert "Python of its own" in parts[name].advice
        assert 'pip install ".[standalone]"' in parts[name].advice


def test_profiles_are_told_without_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMG_OPEN_ACCESS_KEY_ID", "IMG_OPEN_ACCESS_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    save_profile(Profile("box", "https://box.example.com", "id-4711", "secret-0815"))
    save_profile(Profile("here", "http://127.0.0.1:8170"))
    told = "\n".join(doctor_facts.profile_lines())
    assert "https://box.example.com, key present" in told
    assert "http://127.0.0.1:8170, no key" in told
    assert "IMG_OPEN_ACCESS_KEY_ID" in told  # what the built-in one needs
    assert "4711" not in told
    assert "0815" not in told


def test_a_damaged_profile_file_is_one_more_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_profile(Profile("here", "http://127.0.0.1:8170"))
    path.write_text("{")
    assert "not valid JSON" in "\n".join(doctor_facts.profile_lines())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("comfyui_version.py", '# made\n__version__ = "0.3.64"\n'),
        ("pyproject.toml", '[project]\nversion = "0.3.64"\n'),
    ],
)
def test_the_hosts_version_is_read_and_nothing_of_it_imported(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    assert doctor_facts.host_version(tmp_path) == "0.3.64"
    assert doctor_facts.host_version(tmp_path / "nowhere") == ""
