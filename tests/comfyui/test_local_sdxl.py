"""A request on an SDXL checkpoint through a real host: two text models, a control model of its family."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from comfy_host import Host
from graphs import node, write_picture
from sdxl_models import CHECKPOINT, CONTROL, make_tiny_sdxl
from test_generate import PHOTO, SIZE, generate, made, saving, unit


@pytest.fixture(scope="module")
def sdxl(host: Host) -> Iterator[Host]:
    make_tiny_sdxl(host)
    write_picture(host.base / "input" / "photo.png", 96, 80)
    yield host
    # 2.7 GB that no other test needs.
    host.post("/free", {"unload_models": True, "free_memory": True})


def test_a_request_on_sdxl_with_a_unit(sdxl: Host) -> None:
    widgets = {"prompt": "a (red:1.3) disc", "sd_model_checkpoint": CHECKPOINT, "steps": 2}
    (plain,), _ = made(sdxl, "x-plain", {"make": generate(**widgets), **saving("x-plain")})
    one = unit(image=["photo", 0], model=CONTROL, control_mode="ControlNet is more important")
    graph = {**PHOTO, "unit": one, "make": generate(units=["unit", 3], **widgets)}
    (controlled,), result = made(sdxl, "x-unit", {**graph, **saving("x-unit")})
    assert plain.shape == controlled.shape == (SIZE, SIZE, 3)
    assert plain.std() > 1, "a picture, not one colour"
    assert not np.array_equal(plain, controlled)
    report = result.outputs["report"]["text"][0].splitlines()
    assert "honoured: alwayson_scripts.controlnet.args[0].control_mode" in report
    assert not [line for line in report if line.startswith("refused")]
    assert "SDXL" in sdxl.log


def test_an_sd15_control_model_on_sdxl_is_refused(sdxl: Host) -> None:
    graph = {
        **PHOTO,
        "unit": unit(image=["photo", 0]),
        "make": generate(
            units=["unit", 3], sd_model_checkpoint=CHECKPOINT, prompt="a (red:1.3) disc", steps=2
        ),
        "save": node("PreviewImage", images=["make", 0]),
    }
    result = sdxl.run(graph)
    assert result.status == "error"
    assert "made for SD1.5, but the checkpoint is SDXL" in result.error
