"""Bad input through the real server: one clear error or a stated rule, and the next prompt unharmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host
from graphs import CONTROL, Graph, applied, models, node, sampling, write_picture
from sdxl_models import CONTROL as SDXL_CONTROL
from sdxl_models import make_tiny_sdxl
from test_generate import HOLE, PHOTO, SIZE, generate, made, saving, unit

SOUND: Graph = {**PHOTO, "unit": unit(image=["photo", 0]), "make": generate(units=["unit", 3])}


@pytest.fixture(scope="module")
def prepared(host: Host) -> Path:
    """Input pictures, among them a latent that decodes to NaN, and a control model of another family."""
    import torch
    from safetensors.torch import save_file

    make_tiny_sdxl(host)
    folder = host.base / "input"
    write_picture(folder / "photo.png", 96, 80)
    write_picture(folder / "other.png", 40, 56)
    broken = torch.full((1, 4, 8, 8), float("nan"))
    save_file({"latent_tensor": broken, "latent_format_version_0": torch.tensor([])}, folder / "nan.latent")
    return folder


@pytest.fixture(scope="module")
def expected(host: Host, prepared: Path) -> np.ndarray:
    """What a sound request gives before anything goes wrong."""
    (picture,), _ = made(host, "b-before", {**SOUND, **saving("b-before")})
    return picture


NAN: Graph = {
    "models": node("CheckpointLoaderSimple", ckpt_name="tiny_sd15.safetensors"),
    "latent": node("LoadLatent", latent="nan.latent"),
    "nan": node("VAEDecode", samples=["latent", 0], vae=["models", 2]),
}
OTHER: Graph = {"other": node("LoadImageMask", image="other.png", channel="red")}
MANY: Graph = {"many": node("RepeatImageBatch", image=["photo", 0], amount=16)}
CASES: dict[str, tuple[Graph, dict[str, Any], dict[str, Any], list[str]]] = {
    "NaN in the control image": (NAN, {"image": ["nan", 0]}, {}, ["unit's image", "NaN"]),
    "NaN in the init picture": (NAN, {}, {"init_image": ["nan", 0]}, ["init_image", "NaN"]),
    "a control model of SDXL": (
        {},
        {"model": SDXL_CONTROL},
        {},
        ["made for SDXL, but the checkpoint is SD1.5", "of the checkpoint's family"],
    ),
    "a unit mask of another size": (
        OTHER,
        {"mask": ["other", 0], "module": "inpaint_global_harmonious"},
        {},
        ["mask", "40x56", "96x80", "same size"],
    ),
    "an init mask of another size": (
        OTHER,
        {},
        {"init_image": ["photo", 0], "init_mask": ["other", 0]},
        ["mask is 40x56", "image 96x80", "same size"],
    ),
    "start after end": ({}, {"guidance_start": 0.7, "guidance_end": 0.2}, {}, ["guidance_start", "0.7"]),
    "an unknown sampler": ({}, {}, {"sampler_index": "DPM+++ 2M"}, ["sampler_index", "DPM++ 2M"]),
    "a LoRA that is not there": ({}, {}, {"prompt": "a <lora:styl:1>"}, ["LoRA", "styl"]),
    "a video against one latent": (MANY, {"image": ["many", 0]}, {}, ["16 pictures", "takes one"]),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_clear_error_and_harms_nothing(
    host: Host, prepared: Path, expected: np.ndarray, name: str
) -> None:
    more, unit_widgets, widgets, words = CASES[name]
    one = unit(**{"image": ["photo", 0], **unit_widgets})
    graph = {**PHOTO, **more, "unit": one, "make": generate(units=["unit", 3], **widgets)}
    result = host.run({**graph, **saving("b-wrong")}, timeout=60)
    assert result.status == "error", "nothing was said"
    for word in words:
        assert word in result.error, result.error
    assert len(result.error) < 600, "one sentence or two, not a trace"
    # A new prefix: saving has to run, while the request itself may come from the cache; so another seed too.
    again = {**SOUND, "make": generate(units=["unit", 3], seed=7, prompt="a red disc")}
    (after,), _ = made(host, "b-after", {**again, **saving("b-after")})
    assert np.array_equal(after, expected)


def test_nan_reaches_the_unit_node_as_one_error(host: Host, prepared: Path) -> None:
    """Also where a map of the right size passes untouched, in the middle of a graph of stock nodes."""
    graph = {
        **models(SIZE, SIZE),
        "broken": NAN["latent"],
        "picture": node("VAEDecode", samples=["broken", 0]),
    }
    graph["picture"]["inputs"]["vae"] = ["models", 2]
    sound = {**graph, "picture": node("EmptyImage", width=SIZE, height=SIZE, batch_size=1, color=0xFFFFFF)}
    for name, each, status in (("b-nan", graph, "error"), ("b-sound", sound, "success")):
        whole = {**each, "apply": applied(), **sampling(["apply", 0], ["apply", 1], name)}
        result = host.run(whole)
        assert result.status == status, result.error
    look = {"apply": applied(), "look": node("PreviewImage", images=["apply", 2])}
    assert "NaN" in host.run({**graph, **look}).error


def test_four_units_all_act(host: Host, prepared: Path, expected: np.ndarray) -> None:
    """The web UI drops the fourth; here it counts, its control image too."""
    graph: Graph = dict(PHOTO)
    for number in range(4):
        before = {"units": [f"unit{number - 1}", 3]} if number else {}
        graph[f"unit{number}"] = unit(image=["photo", 0], weight=0.2 * (number + 1), model=CONTROL, **before)
    pictures = []
    for last in (2, 3):
        request = {
            **graph,
            "make": generate(units=[f"unit{last}", 3]),
            "maps": node("SaveImage", images=["make", 3], filename_prefix="b-maps"),
        }
        (picture,), result = made(host, "b-units", {**request, **saving("b-units")})
        assert len(result.outputs["maps"]["images"]) == last + 1
        report = result.outputs["report"]["text"][0]
        assert f"honoured: alwayson_scripts.controlnet.args[{last}].weight" in report
        pictures.append(picture)
    assert not np.array_equal(*pictures)


def test_over_the_whole_picture_the_mask_is_fitted_like_the_picture(host: Host, prepared: Path) -> None:
    """The web UI's rule: each is brought to the request's size by itself."""
    masks: Graph = {
        "white": node("SolidMask", value=1.0, width=10, height=20),
        "small": node("SolidMask", value=0.0, width=20, height=20),
        "half": node(
            "MaskComposite", destination=["small", 0], source=["white", 0], x=10, y=0, operation="add"
        ),
    }
    start = generate(
        init_image=["photo", 0],
        init_mask=["half", 0],
        inpaint_full_res=False,
        mask_blur=0,
        resize_mode="Just Resize",
    )
    size = {"width": SIZE, "height": SIZE}
    keep = {"kept": node("ImgOpenResize", image=["photo", 0], resize_mode="Just Resize", **size)}
    keep["save"] = node("SaveImage", images=["kept", 0], filename_prefix="b-kept")
    (kept,), _ = made(host, "b-kept", {**PHOTO, **keep})
    (picture,), _ = made(host, "b-half", {**PHOTO, **masks, "make": start, **saving("b-half")})
    # The mask's edge is in the middle; scaling it up leaves some waves around it.
    assert np.array_equal(picture[:, :20], kept[:, :20])
    assert np.abs(picture[:, 44:].astype(int) - kept[:, 44:]).max() > 5


def test_an_empty_mask_is_said_where_it_matters(host: Host, prepared: Path) -> None:
    black = {"black": node("SolidMask", value=0.0, width=96, height=80)}
    start = generate(init_image=["photo", 0], init_mask=["black", 0])
    result = host.run({**PHOTO, **HOLE, **black, "make": start, **saving("b-empty")})
    assert "mask is empty" in result.error
