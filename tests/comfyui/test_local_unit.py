"""The local path of ImgOpenControlNetApply in a real host, on tiny random weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host
from graphs import Graph, applied, models, node, sampling, write_picture

SIZE = 64


@pytest.fixture(scope="module")
def pictures(host: Host) -> Path:
    folder = host.base / "input"
    write_picture(folder / "photo.png", 96, 80)
    write_picture(folder / "map.png", SIZE, SIZE, "edges")
    return folder


def saved_latent(host: Host, prefix: str) -> np.ndarray:
    """The newest latent saved under a prefix, as float32."""
    path = max((host.base / "output").glob(f"{prefix}_*.latent"))
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])["latent_tensor"]
    assert header["dtype"] == "F32"
    first, last = header["data_offsets"]
    return np.frombuffer(data[8 + length :][first:last], np.float32).reshape(header["shape"])


def saved_picture(host: Host, prefix: str) -> np.ndarray:
    """The newest picture saved under a prefix."""
    from img_open.base.pictures import decode_picture

    return decode_picture(max((host.base / "output").glob(f"{prefix}_*.png")).read_bytes())


def run(host: Host, graph: Graph) -> None:
    result = host.run(graph)
    assert result.status == "success", result.error or host.log[-3000:]


def reference_apply(strength: float, start: float, end: float, before: str = "") -> dict[str, Any]:
    """ComfyUI's own node on the same wires."""
    return node(
        "ControlNetApplyAdvanced",
        positive=[before or "yes", 0],
        negative=[before or "no", 1 if before else 0],
        control_net=["control", 0],
        image=["picture", 0],
        strength=strength,
        start_percent=start,
        end_percent=end,
    )


@pytest.mark.parametrize(
    ("weight", "start", "end"),
    [(1.0, 0.0, 1.0), (0.6, 0.2, 0.8)],
    ids=["full window", "narrow window"],
)
def test_balanced_sigma_ready_map_is_bit_identical_to_the_host(
    host: Host, pictures: Path, weight: float, start: float, end: float
) -> None:
    base = {**models(SIZE, SIZE), "picture": node("LoadImage", image="map.png")}
    theirs = {**base, "apply": reference_apply(weight, start, end)}
    ours = {
        **base,
        "apply": applied(
            weight=weight,
            guidance_start=start,
            guidance_end=end,
            window_mode="sigma",
            module="none",
            control_mode="Balanced",
        ),
    }
    for name, graph in (("theirs", theirs), ("ours", ours)):
        graph = {**graph, **sampling(["apply", 0], ["apply", 1], f"bits-{name}")}
        run(host, graph)
    assert np.array_equal(saved_latent(host, "bits-ours"), saved_latent(host, "bits-theirs"))
    assert np.array_equal(saved_picture(host, "bits-ours"), saved_picture(host, "bits-theirs"))


def test_the_control_acts_and_weight_zero_does_not(host: Host, pictures: Path) -> None:
    base = {**models(SIZE, SIZE), "picture": node("LoadImage", image="map.png")}
    run(host, {**base, **sampling(["yes", 0], ["no", 0], "none")})
    for name, weight in (("zero", 0.0), ("one", 1.0)):
        graph = {**base, "apply": applied(weight=weight)}
        run(host, {**graph, **sampling(["apply", 0], ["apply", 1], f"weight-{name}")})
    without = saved_latent(host, "none")
    assert np.array_equal(saved_latent(host, "weight-zero"), without)
    assert np.abs(saved_latent(host, "weight-one") - without).max() > 1e-3


def test_two_units_chain_like_the_host(host: Host, pictures: Path) -> None:
    base = {**models(SIZE, SIZE), "picture": node("LoadImage", image="map.png")}
    theirs = {**base, "a": reference_apply(0.5, 0, 1), "apply": reference_apply(0.8, 0, 1, before="a")}
    ours = {
        **base,
        "a": applied(weight=0.5),
        "apply": applied(weight=0.8, positive=["a", 0], negative=["a", 1], units=["a", 3]),
    }
    for name, graph in (("theirs", theirs), ("ours", ours)):
        run(host, {**graph, **sampling(["apply", 0], ["apply", 1], f"chain-{name}")})
    assert np.array_equal(saved_latent(host, "chain-ours"), saved_latent(host, "chain-theirs"))


@pytest.mark.parametrize("mode", ["Just Resize", "Crop and Resize", "Resize and Fill"])
def test_the_map_fits_the_latent_as_the_web_ui_fits_it(host: Host, pictures: Path, mode: str) -> None:
    """The picture is 96x80, the latent 64x48: the control image is the pack's own map at that size."""
    from img_open.base.pictures import decode_picture
    from img_open.controlnet.unit import ControlNetUnit
    from img_open.preprocessors.control import Geometry, control_for_unit
    from img_open.preprocessors.runtime import PlainRuntime

    settings: dict[str, Any] = {"module": "canny", "threshold_a": 60, "threshold_b": 120}
    settings |= {"resize_mode": mode, "pixel_perfect": True}
    graph = {
        **models(64, 48),
        "picture": node("LoadImage", image="photo.png"),
        "apply": applied(
            module="canny", resize_mode=mode, pixel_perfect=True, threshold_a=60, threshold_b=120
        ),
        "save": node("SaveImage", images=["apply", 2], filename_prefix="fit"),
    }
    run(host, graph)
    expected = control_for_unit(
        ControlNetUnit(**settings),
        image=decode_picture((pictures / "photo.png").read_bytes()),
        geometry=Geometry(width=64, height=48),
        runtime=PlainRuntime("cpu"),
    )
    assert expected.low is not None
    shown = saved_picture(host, "fit")
    assert shown.shape == (48, 64, 3)
    assert np.array_equal(shown, expected.low.astype(np.uint8))
    assert shown.max() == 255


def test_inpaint_map_reaches_the_sampler(host: Host, pictures: Path) -> None:
    """Masked pixels are -1 for the model and black in the control image."""
    graph = {
        **models(SIZE, SIZE),
        "picture": node("LoadImage", image="photo.png"),
        "solid": node("SolidMask", value=1.0, width=96, height=80),
        "apply": applied(module="inpaint_global_harmonious", mask=["solid", 0]),
        "save_map": node("SaveImage", images=["apply", 2], filename_prefix="inpaint-map"),
    }
    run(host, {**graph, **sampling(["apply", 0], ["apply", 1], "inpaint")})
    assert saved_picture(host, "inpaint-map").max() == 0


def test_one_map_per_frame(host: Host, pictures: Path) -> None:
    """A batch of two different pictures on a batch of two latents: each latent follows its own picture."""
    base = {
        **models(SIZE, SIZE, batch=2),
        "first": node("LoadImage", image="map.png"),
        "second": node("EmptyImage", width=SIZE, height=SIZE, batch_size=1, color=0),
        "picture": node("ImageBatch", image1=["first", 0], image2=["second", 0]),
        "apply": applied(),
        "map": node("SaveImage", images=["apply", 2], filename_prefix="frames-map"),
    }
    run(host, {**base, **sampling(["apply", 0], ["apply", 1], "frames")})
    assert saved_latent(host, "frames").shape[0] == 2
    maps = sorted((host.base / "output").glob("frames-map_*.png"))
    assert len(maps) == 2


ERRORS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("unknown mode", {"control_mode": "balanced"}, ["control_mode", "balanced", "one of"]),
    ("start after end", {"guidance_start": 0.9, "guidance_end": 0.1}, ["guidance_start", "0.9"]),
    ("weights", {"advanced_weighting": "1,1,1"}, ["advanced_weighting"]),
    ("bad weights", {"advanced_weighting": "one"}, ["advanced_weighting", "one"]),
    ("free module", {"module": "reference_only"}, ["sd_model", "vae", "reference_only"]),
    ("latent module", {"module": "tile_colorfix"}, ["sd_model", "vae"]),
    ("adapter", {"module": "ip-adapter_clip_h"}, ["IP-Adapter", "ComfyUI_IPAdapter_plus"]),
    ("InstantID", {"module": "instant_id_face_keypoints"}, ["InstantID", "ComfyUI_InstantID"]),
    ("unknown module", {"module": "cany"}, ["cany", "canny"]),
    ("two pictures", {"image_link": "https://example.com/a.png"}, ["image_link"]),
    ("two sizes", {"width": 512, "height": 512}, ["512", "64"]),
    ("bad json", {"extra_json": "{"}, ["extra_json", "JSON"]),
    ("no negative", {"negative": None}, ["negative"]),
    ("no control model", {"control_net": None}, ["control_net"]),
    ("no size", {"latent": None}, ["latent", "width"]),
    ("no picture", {"image": None}, ["image"]),
    ("link to this machine", {"image": None, "image_link": "http://127.0.0.1:9/a.png"}, ["127.0.0.1"]),
]


@pytest.mark.parametrize(("widgets", "words"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_what_cannot_be_done_is_one_clear_error(
    host: Host, pictures: Path, widgets: dict[str, Any], words: list[str]
) -> None:
    graph = {
        **models(SIZE, SIZE),
        "picture": node("LoadImage", image="map.png"),
        "apply": applied(**widgets),
        "look": node("PreviewImage", images=["apply", 2]),
    }
    result = host.run(graph, timeout=30)
    assert result.status == "error"
    for word in words:
        assert word in result.error


def test_a_video_length_batch_against_one_latent_is_refused(host: Host, pictures: Path) -> None:
    graph = {
        **models(SIZE, SIZE),
        "picture": node("EmptyImage", width=SIZE, height=SIZE, batch_size=5, color=0),
        "apply": applied(),
        "look": node("PreviewImage", images=["apply", 2]),
    }
    result = host.run(graph)
    assert "5 pictures" in result.error


def test_without_conditioning_nothing_runs_here(host: Host, pictures: Path) -> None:
    """Only units are wired out: an impossible local setting is no error, and the control image is blocked."""
    graph = {
        "picture": node("LoadImage", image="map.png"),
        "apply": node(
            "ImgOpenControlNetApply", image=["picture", 0], control_mode="ControlNet is more important"
        ),
        "look": node("PreviewImage", images=["apply", 2]),
    }
    result = host.run(graph)
    assert result.status == "success"
    assert "look" not in result.outputs


def test_a_disabled_unit_passes_conditioning_through(host: Host, pictures: Path) -> None:
    base = {**models(SIZE, SIZE), "picture": node("LoadImage", image="map.png")}
    run(host, {**base, **sampling(["yes", 0], ["no", 0], "plain")})
    graph = {**base, "apply": applied(enabled=False)}
    run(host, {**graph, **sampling(["apply", 0], ["apply", 1], "disabled")})
    assert np.array_equal(saved_latent(host, "disabled"), saved_latent(host, "plain"))


def test_the_same_prompt_again_runs_nothing(host: Host, pictures: Path) -> None:
    graph = {
        **models(SIZE, SIZE),
        "picture": node("LoadImage", image="map.png"),
        "apply": applied(module="canny"),
        "look": node("PreviewImage", images=["apply", 2]),
    }
    run(host, graph)
    again = host.run(graph)
    cached = next(data["nodes"] for event, data in again.messages if event == "execution_cached")
    assert set(graph) <= set(cached)
