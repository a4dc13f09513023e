"""Control modes, step window, second passes and free modules of ImgOpenControlNetApply in a real host.

What the numbers mean is proven on tensors in tests/comfyui_exact; here the node brings them into a workflow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host
from graphs import Graph, applied, models, node, sampling, write_picture
from img_open.preprocessors.runtime import PlainRuntime
from test_local_unit import SIZE, run, saved_latent, saved_picture


@pytest.fixture(scope="module")
def pictures(host: Host) -> Path:
    folder = host.base / "input"
    write_picture(folder / "photo.png", 96, 80)
    write_picture(folder / "map.png", SIZE, SIZE, "edges")
    return folder


def base(picture: str = "map.png") -> Graph:
    return {**models(SIZE, SIZE), "picture": node("LoadImage", image=picture)}


def sampled(
    host: Host, prefix: str, apply: dict[str, Any], graph: Graph | None = None, **sampler: Any
) -> np.ndarray:
    """Latents of a run with this unit; `sampler` lies over the KSampler's inputs."""
    whole = {**(graph or base()), "apply": apply, **sampling(["apply", 0], ["apply", 1], prefix)}
    whole["sample"]["inputs"].update(sampler)
    run(host, whole)
    return saved_latent(host, prefix)


def test_every_mode_is_a_picture_of_its_own(host: Host, pictures: Path) -> None:
    modes = ("Balanced", "My prompt is more important", "ControlNet is more important")
    latents = [
        sampled(host, f"mode{number}", applied(control_mode=mode)) for number, mode in enumerate(modes)
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(latents[one] - latents[other]).max() > 1e-3


def test_the_window_counts_steps(host: Host, pictures: Path) -> None:
    """Of four Karras steps 0 to 0.25 are the first three calls; in sigmas another number."""
    options = {"steps": 4, "scheduler": "karras"}
    window = {"guidance_end": 0.25}
    steps = sampled(host, "steps", applied(**window, window_mode="steps"), **options)
    sigma = sampled(host, "sigma", applied(**window, window_mode="sigma"), **options)
    exact = sampled(host, "exact", applied(guidance_end=0.26, window_mode="steps"), **options)
    assert np.array_equal(steps, exact)
    assert not np.array_equal(steps, sigma)


def test_layer_weights_and_region(host: Host, pictures: Path) -> None:
    """Weights of 1 are Balanced; an empty region is no control."""
    plain = sampled(host, "plain", applied())
    ones = sampled(host, "ones", applied(advanced_weighting="1,1,1,1,1", weight=0.3))
    assert np.array_equal(plain, ones)
    graph = {**base(), "nowhere": node("SolidMask", value=0.0, width=24, height=40)}
    nothing = sampled(host, "nowhere", applied(effective_region_mask=["nowhere", 0]), graph)
    assert np.array_equal(nothing, sampled(host, "weight0", applied(weight=0.0)))


def second_pass(host: Host, prefix: str, low: dict[str, Any]) -> np.ndarray:
    """Latents of a second, larger pass over the same conditioning."""
    graph = {**base("photo.png"), "apply": low, **sampling(["apply", 0], ["apply", 1], f"{prefix}-low")}
    again = sampling(["apply", 0], ["apply", 1], prefix)
    graph["larger"] = node(
        "LatentUpscale",
        samples=["latent", 0],
        upscale_method="bilinear",
        width=96,
        height=96,
        crop="disabled",
    )
    for name, one in again.items():
        inputs = {
            key: [f"{value[0]}-2", value[1]] if isinstance(value, list) and value[0] in again else value
            for key, value in one["inputs"].items()
        }
        graph[f"{name}-2"] = {**one, "inputs": inputs}
    graph["sample-2"]["inputs"]["latent_image"] = ["larger", 0]
    run(host, graph)
    return saved_latent(host, prefix)


def test_hr_option_and_soft_weights_in_a_second_pass(host: Host, pictures: Path) -> None:
    canny = {"module": "canny", "threshold_a": 60, "threshold_b": 120, "pixel_perfect": True}
    without = second_pass(host, "hr-none", applied(**canny, weight=0.0))
    low_only = second_pass(host, "hr-low", applied(**canny, hr_option="Low res only"))
    assert np.array_equal(low_only, without)
    both = second_pass(host, "hr-both", applied(**canny))
    soft = second_pass(host, "hr-soft", applied(**canny, control_mode="My prompt is more important"))
    assert np.array_equal(both, soft), "canny is soft in the high-res pass"
    stated = second_pass(host, "hr-stated", applied(**canny, hr_scale=1.5))
    assert np.array_equal(stated, both), "the stated pass gets the same map"
    assert np.abs(both - without).max() > 1e-3


def test_inpaint_only_keeps_the_picture_outside_the_mask(host: Host, pictures: Path) -> None:
    graph = {
        **base("map.png"),
        "black": node("SolidMask", value=0.0, width=SIZE, height=SIZE),
        "encoded": node("VAEEncode", pixels=["picture", 0], vae=["models", 2]),
        "save_encoded": node("SaveLatent", samples=["encoded", 0], filename_prefix="encoded"),
    }
    unit = applied(module="inpaint_only", mask=["black", 0], sd_model=["models", 0], vae=["models", 2])
    latent = sampled(host, "kept", unit, graph, model=["apply", 4])
    expected = saved_latent(host, "encoded")
    assert np.abs(latent - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_mask_of_another_size_is_refused(host: Host, pictures: Path) -> None:
    graph = {
        **base("photo.png"),
        "mask": node("SolidMask", value=1.0, width=48, height=80),
        "apply": applied(module="inpaint_global_harmonious", mask=["mask", 0]),
        "look": node("PreviewImage", images=["apply", 2]),
    }
    result = host.run(graph)
    assert "48x80" in result.error
    assert "same size" in result.error


def test_reference_needs_no_control_model(host: Host, pictures: Path) -> None:
    unit = applied(module="reference_only", control_net=None, sd_model=["models", 0], vae=["models", 2])
    plain = sampled(host, "unguided", applied(enabled=False))
    guided = sampled(host, "reference", unit, base("photo.png"), model=["apply", 4])
    assert np.abs(guided - plain).max() > 1e-3
    unused = sampled(host, "reference-unused", unit, base("photo.png"))
    assert np.array_equal(unused, plain), "conditioning passes through; only the model output carries it"


def test_an_interrupt_leaves_the_next_prompt_unharmed(host: Host, pictures: Path) -> None:
    unit = applied(control_mode="ControlNet is more important", guidance_end=0.5)
    graph = {**base(), "apply": unit, **sampling(["apply", 0], ["apply", 1], "before", steps=4)}
    run(host, graph)
    expected = saved_latent(host, "before")
    # The unit's node stays cached, so the next run samples with the very object that was interrupted.
    long = {**base(), "apply": unit, **sampling(["apply", 0], ["apply", 1], "long", steps=400)}
    prompt = host.queue(long)
    host.wait_until_running(prompt)
    host.post("/interrupt", {})
    assert host.wait(prompt).status == "interrupted"
    again = {**base(), "apply": unit, **sampling(["apply", 0], ["apply", 1], "after", steps=4)}
    again["sample"]["inputs"]["cfg"] = 3.0
    run(host, again)
    assert np.array_equal(saved_latent(host, "after"), expected)


def test_postprocess_keeps_and_recolors(host: Host, pictures: Path) -> None:
    """Outside its mask inpaint_only gives the unit's own picture back; recolor puts its luminance in."""
    from img_open.base.pictures import decode_picture
    from img_open.preprocessors.postprocess import post_process
    from img_open.preprocessors.run import run_module

    graph = {
        "picture": node("LoadImage", image="map.png"),
        "black": node("SolidMask", value=0.0, width=SIZE, height=SIZE),
        "keeper": node(
            "ImgOpenControlNetApply", module="inpaint_only", image=["picture", 0], mask=["black", 0]
        ),
        "painter": node(
            "ImgOpenControlNetApply", module="recolor_luminance", image=["picture", 0], units=["keeper", 3]
        ),
        "result": node("EmptyImage", width=SIZE, height=SIZE, batch_size=2, color=0x4080C0),
    }
    for name in ("keeper", "painter"):
        graph[f"post-{name}"] = node("ImgOpenPostprocess", images=["result", 0], units=[name, 3])
        graph[f"save-{name}"] = node("SaveImage", images=[f"post-{name}", 0], filename_prefix=f"done-{name}")
    run(host, graph)
    original = decode_picture((pictures / "map.png").read_bytes())
    kept = saved_picture(host, "done-keeper")
    assert np.array_equal(kept, original)
    luminance = run_module(
        "recolor_luminance",
        original,
        processor_res=512,
        threshold_a=1.0,
        threshold_b=0.5,
        runtime=PlainRuntime("cpu"),
    )
    expected = post_process("recolor_luminance", original[None] / np.float32(255), luminance)[0]
    painted = saved_picture(host, "done-painter")
    assert np.abs(painted - np.rint(expected * 255)).max() <= 1
