"""`img-open models list`: a reason that many modules share is said once."""

from __future__ import annotations

import re
import sys
from collections import Counter

import pytest
from img_open.preprocessors import models_command
from img_open.preprocessors.registry import PREPROCESSORS, available


def test_a_missing_package_is_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "controlnet_aux", None)  # as where it is not installed
    lines, told = models_command.module_lines(), models_command.legend()
    about = [line for line in told if "package controlnet_aux" in line]
    assert len(about) == 1
    number, count = re.match(r"\[(\d+)\] \((\d+) modules\)", about[0]).groups()  # type: ignore[union-attr]
    pointing = [line.split()[0] for line in lines if line.endswith(f"see [{number}]")]
    assert "hed" in pointing
    assert len(pointing) == int(count) >= 15
    assert not any("controlnet_aux" in line for line in lines)


def test_every_module_says_how_it_stands() -> None:
    """Against the registry's own answer, module by module."""
    lines = models_command.module_lines()
    states = {line.split()[0]: line.split()[1] for line in lines}
    assert list(states) == list(PREPROCESSORS)
    for name, state in states.items():
        runs, reason = available(name)
        assert (state == "runs") == runs
        assert (state == "pull") == ("is not on this machine" in reason), name
    explained = re.findall(r"^\[(\d+)\]", "\n".join(models_command.legend()), re.MULTILINE)
    used = Counter(re.findall(r"see \[(\d+)\]$", "\n".join(lines), re.MULTILINE))
    assert set(explained) == set(used)
