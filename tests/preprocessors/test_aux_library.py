"""controlnet-aux gives its networks without acting on the process."""

from __future__ import annotations

import subprocess
import sys

import pytest
from img_open.base.errors import MissingDependency
from img_open.preprocessors import aux_library, registry

_PROGRAM = """
import os, sys
import cv2, torch
try:
    import timm
    from timm.models import _registry
    entries = dict(_registry._model_entrypoints)
except ImportError:
    timm = None
before = dict(os.environ)
from img_open.preprocessors.networks import BUILDERS
for build in BUILDERS.values():
    build()
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
assert "controlnet_aux" not in sys.modules
if timm is None:
    assert "timm" not in sys.modules
else:
    assert dict(_registry._model_entrypoints) == entries
assert "torchvision" not in sys.modules
print("clean")
"""


@pytest.mark.skipif(
    bool(registry._missing_packages(("controlnet_aux",))), reason="controlnet-aux is not here"
)
def test_building_all_networks_leaves_environment_and_timm_alone():
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.strip().endswith("clean"), done.stderr


def test_a_file_or_class_that_is_not_there_is_a_missing_dependency():
    with pytest.raises(MissingDependency, match=r"controlnet-aux==0\.0\.10"):
        aux_library.aux_class("hed", "NoSuchClass")
    with pytest.raises(MissingDependency, match="nosuchfile"):
        aux_library.aux_class("nosuchfile", "X")


def test_a_missing_package_disables_its_modules_only(monkeypatch):
    real = registry.importlib.util.find_spec
    monkeypatch.setattr(
        registry.importlib.util, "find_spec", lambda name: None if name == "controlnet_aux" else real(name)
    )
    runs, reason = registry.available("hed")
    assert not runs
    assert "--no-deps controlnet-aux" in reason
    with pytest.raises(MissingDependency, match="controlnet_aux"):
        registry.function_of(registry.find_preprocessor("hed"))
    assert registry.available("canny") == (True, "")
