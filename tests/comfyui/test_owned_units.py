"""IP-Adapter, InstantID and Revision units of a whole request, in a real host with the packs that own them.

Runs where the environment variable IMG_OPEN_OWNER_PACKS names a folder with checkouts of
ComfyUI_IPAdapter_plus and ComfyUI_InstantID, and ComfyUI's Python has what they import (insightface for the
second).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host, Run, environment, make_tiny_models
from graphs import Graph, node
from sdxl_models import CHECKPOINT as SDXL
from sdxl_models import make_tiny_sdxl

PACKS = ("ComfyUI_IPAdapter_plus", "ComfyUI_InstantID")
LEARNED = Path(__file__).parents[1] / "golden" / "learned"
SIZES = {"faces_one.png": (128, 96), "faces_three.png": (88, 132)}
NAMED = os.environ.get("IMG_OPEN_OWNER_PACKS", "")
HOW = f"IMG_OPEN_OWNER_PACKS names no folder with checkouts of {' and '.join(PACKS)}"
pytestmark = pytest.mark.skipif(
    not NAMED or not all((Path(NAMED) / pack / "__init__.py").is_file() for pack in PACKS), reason=HOW
)


@pytest.fixture(scope="module")
def owners(comfyui: tuple[Path, Path]) -> Iterator[Host]:
    """A server of its own: the packs beside ours, and random weights in the shapes they expect."""
    folder = Path(tempfile.mkdtemp(prefix="img-open-owners-"))
    server = Host(*comfyui, folder)
    try:
        (folder / "custom_nodes").mkdir()
        for pack in PACKS:
            (folder / "custom_nodes" / pack).symlink_to(Path(NAMED) / pack, target_is_directory=True)
        shutil.copy(
            Path(__file__).with_name("stand_in_tower.py"), folder / "custom_nodes" / "stand_in_tower.py"
        )
        make_tiny_models(*comfyui, folder / "models")
        script = Path(__file__).with_name("tiny_adapters.py")
        subprocess.run(
            [str(comfyui[1]), str(script), str(folder / "models")],
            check=True,
            capture_output=True,
            timeout=280,
            env=environment(folder),
        )
        (folder / "input").mkdir()
        for name in SIZES:
            shutil.copy(LEARNED / name, folder / "input" / name)
        server.launch()
        yield server.wait_until_up()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def plain(owners: Host) -> np.ndarray:
    """The request without any unit."""
    return picture(owners, "plain")[0]


def adapter(**widgets: Any) -> dict[str, Any]:
    return {"module": "ip-adapter-auto", "model": "ip-adapter_sd15", **widgets}


def face(**widgets: Any) -> dict[str, Any]:
    usual = {"module": "instant_id_face_embedding", "model": "ip-adapter_instant_id_sdxl"}
    return {**usual, **widgets}


def points(**widgets: Any) -> dict[str, Any]:
    usual = {"module": "instant_id_face_keypoints", "model": "control_instant_id_sdxl"}
    return {**usual, **widgets}


def request(prefix: str, *units: dict[str, Any], **more: Any) -> Graph:
    """A request with units, each with its picture."""
    graph: Graph = {}
    chained = None
    for number, given in enumerate(units):
        widgets = dict(given)
        name = widgets.pop("picture", "faces_one.png")
        graph[f"photo{number}"] = node("LoadImage", image=name)
        wires = {"image": [f"photo{number}", 0], **({"units": chained} if chained else {})}
        if widgets.pop("hidden", False):
            width, height = SIZES[name]
            graph["all"] = node("SolidMask", value=1.0, width=width, height=height)
            wires["mask"] = ["all", 0]
        graph[f"unit{number}"] = node("ImgOpenControlNetApply", **widgets, **wires)
        chained = [f"unit{number}", 3]
    usual: dict[str, Any] = {
        "run_on": "local",
        "prompt": "a red disc",
        "negative_prompt": "blurry",
        "sd_model_checkpoint": "tiny_sd15",
        "sampler_index": "Euler",
        "steps": 3,
        "width": 64,
        "height": 64,
        "seed": 7,
        "cfg_scale": 3,
    }
    wires = {"units": chained} if chained else {}
    graph["make"] = node("ImgOpenGenerate", **{**usual, **more}, **wires)
    graph["save"] = node("SaveImage", images=["make", 0], filename_prefix=prefix)
    graph["report"] = node("PreviewAny", source=["make", 2])
    return graph


def picture(host: Host, prefix: str, *units: dict[str, Any], **more: Any) -> tuple[np.ndarray, Run]:
    from img_open.base.pictures import decode_picture

    result = host.run(request(prefix, *units, **more), 300)
    assert result.status == "success", result.error or host.log[-4000:]
    (image,) = result.outputs["save"]["images"]
    return decode_picture((host.base / "output" / image["filename"]).read_bytes()), result


def needs(host: Host, node_type: str) -> None:
    if node_type not in host.get("/object_info"):
        pytest.skip(f"{node_type} was not loaded: what its pack imports is not in ComfyUI's Python")


def test_ip_adapter_acts_through_its_pack(owners: Host, plain: np.ndarray) -> None:
    needs(owners, "IPAdapterAdvanced")
    one, result = picture(owners, "ip-one", adapter())
    other, _ = picture(owners, "ip-other", adapter(picture="faces_three.png"))
    none, _ = picture(owners, "ip-none", adapter(weight=0.0))
    outside, _ = picture(owners, "ip-outside", adapter(guidance_start=1.0, guidance_end=1.0))
    assert not np.array_equal(one, plain)
    assert not np.array_equal(one, other)
    assert np.array_equal(none, plain)
    assert np.array_equal(outside, plain)
    lines = result.outputs["report"]["text"][0]
    assert "approximated: alwayson_scripts.controlnet.args[0].weight: ComfyUI_IPAdapter_plus" in lines


def test_what_a_mask_covers_is_not_seen(owners: Host, plain: np.ndarray) -> None:
    needs(owners, "IPAdapterAdvanced")
    one, _ = picture(owners, "ip-hidden", adapter(hidden=True))
    other, _ = picture(owners, "ip-hidden-other", adapter(hidden=True, picture="faces_three.png"))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, plain)


def test_ip_adapter_weighs_every_block_but_the_middle(owners: Host, plain: np.ndarray) -> None:
    """In the tiny U-Net block 0 is the first, block 1 the middle one: the report says it is not reached."""
    needs(owners, "IPAdapterMS")
    for name, acts, weights in (("silent", False, "0,0"), ("first", True, "1,0"), ("middle", False, "0,1")):
        unit = adapter(advanced_weighting=weights + ",0" * 14)
        assert np.array_equal(picture(owners, f"ip-{name}", unit)[0], plain) is not acts


def test_instant_id_acts_through_its_pack(owners: Host, plain: np.ndarray) -> None:
    needs(owners, "InstantIDAttentionPatch")
    both, result = picture(owners, "id-both", face(), points())
    only_face, _ = picture(owners, "id-face", face())
    only_points, _ = picture(owners, "id-points", face(weight=0.0), points())
    nothing, _ = picture(owners, "id-nothing", face(weight=0.0), points(weight=0.0))
    assert np.array_equal(nothing, plain)  # what carries the face's tokens does nothing else
    made = [both, only_face, only_points, plain]
    assert all(not np.array_equal(a, b) for number, a in enumerate(made) for b in made[:number])
    assert "honoured: alwayson_scripts.controlnet.args[1].guidance_end" in result.outputs["report"]["text"][0]


def test_its_control_model_reads_the_face_and_not_the_prompt(owners: Host) -> None:
    needs(owners, "InstantIDAttentionPatch")
    one, _ = picture(owners, "id-one", face(weight=0.0), points())
    other, _ = picture(owners, "id-other", face(weight=0.0, picture="faces_three.png"), points())
    assert not np.array_equal(one, other)  # another face; the points and everything else are the same


def test_a_picture_without_a_face_is_one_error(owners: Host) -> None:
    needs(owners, "InstantIDAttentionPatch")
    from img_open.base.pictures import encode_png

    (owners.base / "input" / "gray.png").write_bytes(encode_png(np.full((64, 64, 3), 99, np.uint8)))
    result = owners.run(request("id-none", face(), points(picture="gray.png")))
    assert result.status == "error"
    assert "No face was found" in result.error


def test_revision_is_refused_on_another_family(owners: Host) -> None:
    result = owners.run(request("revision", {"module": "revision_clipvision"}))
    assert result.status == "error"
    assert "Revision works with SDXL checkpoints" in result.error


def test_revision_acts_on_sdxl(owners: Host) -> None:
    make_tiny_sdxl(owners)
    wanted = {"sd_model_checkpoint": SDXL, "steps": 2}

    def made(name: str, *units: dict[str, Any], **more: Any) -> np.ndarray:
        return picture(owners, f"rev-{name}", *units, **wanted, **more)[0]

    revision = {"module": "revision_clipvision"}
    alone = {"module": "revision_ignore_prompt"}
    one = made("one", revision)
    assert not np.array_equal(one, made("plain"))
    assert not np.array_equal(one, made("other", {**revision, "picture": "faces_three.png"}))
    assert not np.array_equal(one, made("more", {**revision, "weight": 2.0}))
    assert not np.array_equal(one, made("words", revision, prompt="a blue square"))
    assert np.array_equal(made("alone", alone), made("alone-words", alone, prompt="a blue square"))
