"""The module table."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from img_open.base.errors import InvalidRequest
from img_open.controlnet.modules import (
    MODULES,
    TAGS,
    default_model,
    effective_sliders,
    find_module,
    models_for_tag,
    modules_for_tag,
)


def test_72_modules_and_every_spelling_is_unique():
    assert len(MODULES) == 72
    spellings = [spec.name for spec in MODULES.values()]
    spellings += [spec.label for spec in MODULES.values() if spec.label != spec.name]
    assert len(spellings) == len(set(spellings))
    for spelling in spellings:
        assert spelling in (find_module(spelling).name, find_module(spelling).label)


@pytest.mark.golden_table("parameter_bounds")
def test_out_of_range_values_become_defaults(row):
    module, resolution, a, b, used_resolution, used_a, used_b = row
    assert effective_sliders(module, resolution, a, b)[:3] == (used_resolution, used_a, used_b)


@pytest.mark.parametrize("name", MODULES)
def test_every_modules_sliders(name):
    spec = MODULES[name]
    for slider in (spec.resolution, spec.threshold_a, spec.threshold_b):
        assert slider.minimum <= slider.maximum
        assert slider.step > 0
        # shuffle is the one whose fixed 512 lies outside its hidden slider.
        assert slider.minimum <= slider.default <= slider.maximum or name == "shuffle"
    defaults = (spec.resolution.default, spec.threshold_a.default, spec.threshold_b.default)
    assert effective_sliders(name) == (*defaults, [])
    assert effective_sliders(name, 1e6, 1e6, 1e6)[:3] == defaults
    assert effective_sliders(name, math.nan, math.inf, -math.inf)[:3] == defaults
    edges = (spec.resolution.maximum, spec.threshold_a.minimum, spec.threshold_b.maximum)
    assert effective_sliders(name, *edges)[:3] == edges


def test_the_user_is_told_about_a_value_that_is_not_used():
    assert effective_sliders("canny", 512, 300, -1)[3] == [
        "threshold_a 300 is outside 1 to 255 (Low Threshold of canny): the default 100 is used."
    ]
    # The page's example gives values to sliders that inpaint does not have: nothing to tell.
    assert effective_sliders("inpaint_global_harmonious", 512, 64, 64)[3] == []


@pytest.mark.parametrize(
    ("written", "suggested"),
    [
        ("Canny", "canny"),
        ("depth_midsa", "depth_midas"),
        ("open_pose", "openpose"),
        ("lama", r"inpaint_only\+lama"),
        ("MLSD", "mlsd"),
    ],
)
def test_an_unknown_module_names_its_neighbours(written, suggested):
    with pytest.raises(InvalidRequest, match=suggested):
        find_module(written)


@pytest.mark.parametrize("written", ["zzzzzzzz", "", "  "])
def test_a_module_like_no_other_is_not_guessed(written):
    with pytest.raises(InvalidRequest, match="Use, for example, canny") as caught:
        find_module(written)
    assert "Did you mean" not in str(caught.value)


def test_legacy_names():
    assert find_module("None").name == "none"
    assert find_module("tile_gaussian").name == "tile_resample"


@pytest.mark.parametrize("tag", TAGS)
def test_every_control_type_lists_its_default_module(tag):
    listed = modules_for_tag(tag)
    assert listed[0].name == "none"
    assert find_module(TAGS[tag].default_module) in listed


def test_every_tag_of_a_module_exists():
    assert {tag for spec in MODULES.values() for tag in spec.tags} == set(TAGS)
    assert len(modules_for_tag("All")) == 72
    with pytest.raises(InvalidRequest):
        modules_for_tag("Nope")


def test_models_of_a_control_type():
    names = [
        "control_sd15_canny [fef5e48e]",
        "control_v11p_sd15_canny [d14c016b]",
        "t2iadapter_canny_sd15v2",
        "controlnet-union-sdxl-1.0",
        "control_v11p_sd15_scribble [d4ba51ff]",
    ]
    assert models_for_tag("Canny", names) == ["None", *names[:4]]
    assert default_model("Canny", names) == names[1]
    assert default_model("Depth", names) == "controlnet-union-sdxl-1.0"
    # "11" in the hash does not make a model a 1.1 model.
    assert default_model("MLSD", ["my_mlsd [11aa]", "control_v11p_sd15_mlsd"]) == "control_v11p_sd15_mlsd"
    assert default_model("Shuffle", names) == "None"


def test_the_room_imports_no_heavy_library():
    code = (
        "import sys; before = set(sys.modules); "
        "from img_open.controlnet import modules, sizing, unit, weights, window; "
        "print({'cv2', 'torch', 'PIL', 'diffusers', 'requests'} & (set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"
