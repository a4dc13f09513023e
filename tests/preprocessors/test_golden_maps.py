"""Every golden map of kind preprocess, model-free and learned, through run_module and the sliders' bounds."""

from __future__ import annotations

import pytest
from img_open.controlnet.modules import effective_sliders
from img_open.preprocessors.run import run_module


@pytest.mark.golden_cases("preprocess")
def test_golden(golden, case, runtime, request):
    if case.get("learned"):
        runtime = request.getfixturevalue("random_runtime")
    params = case["params"]
    sliders = (params.get(name, -1) for name in ("processor_res", "threshold_a", "threshold_b"))
    res, a, b, _ = effective_sliders(case["module"], *sliders)
    made = run_module(
        case["module"],
        golden.load(case["input"]),
        processor_res=params.get("resolution_override", res),
        threshold_a=a,
        threshold_b=b,
        seed=params.get("np_seed", 0),
        subseed=0,
        runtime=runtime,
    )
    if (
        len(case["output"]["shape"]) == 2
    ):  # the original returns gray here; this pack always gives three channels
        assert (made[:, :, :1] == made).all()
        made = made[:, :, 0]
    golden.check(made, case)
