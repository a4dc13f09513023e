"""The free modules' part in the MODEL, on tensors (engines/comfy_latent.py, engines/comfy_reference.py)."""

from __future__ import annotations

from typing import Any

Facts = dict[str, Any]


def test_colorfix_is_the_formula(patch_facts: Facts) -> None:
    """Also outside the step window and in a pass that hr_option leaves out: colorfix heeds neither."""
    assert set(patch_facts["colorfix"]) == {"plain", "weight 0.4", "sharp", "high-res pass"}
    assert max(patch_facts["colorfix"].values()) < 1e-5


def test_inpaint_only_keeps_what_is_not_masked(patch_facts: Facts) -> None:
    assert patch_facts["inpaint"]["outside"] < 1e-6
    assert patch_facts["inpaint"]["inside"] < 1e-6


def test_reference_units_do_what_a_direct_rewrite_of_the_layers_does(patch_facts: Facts) -> None:
    assert len(patch_facts["reference"]) == 5
    for name, found in patch_facts["reference"].items():
        assert found["error"] < 1e-5, name
        assert found["cond moved"] > 0.05, name


def test_full_fidelity_leaves_the_unconditional_rows_alone(patch_facts: Facts) -> None:
    moved = {name: found["uncond moved"] for name, found in patch_facts["reference"].items()}
    assert moved["reference_only ControlNet is more important"] < 1e-6
    assert moved["reference_only My prompt is more important"] > 0.05


def test_reference_runs_leave_nothing_behind(patch_facts: Facts) -> None:
    runs = dict(patch_facts["runs"])
    assert runs.pop("network runs") == 8  # four steps, each with a writing and a reading run
    runs.pop("ranks")
    assert [name for name, held in runs.items() if not held] == []
