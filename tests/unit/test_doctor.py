"""`img-open doctor` tells whole, missing and broken packages apart, and knows the torchvision trouble."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from img_open.engines import doctor


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
    assert (finding.state, finding.advice) == ("absent", "pip install no-such-package")


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
