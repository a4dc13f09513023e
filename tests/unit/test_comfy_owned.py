"""Units of IP-Adapter, InstantID and Revision as nodes of their owners: how wired, and what is said."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from img_open.api.request import Request
from img_open.base.errors import InvalidRequest, MissingDependency, MissingModel
from img_open.engines.comfy import Expansion, HostFacts, expand, missing_models, report_text
from img_open.engines.comfy_owners import NODES
from img_open.engines.models import LocalModels, ModelFile

LINK = "https://pictures.example/a.png"
OTHER = "https://pictures.example/b.png"
MASK = "https://pictures.example/m.png"
EVERY_NODE = frozenset(node for nodes in NODES.values() for node in nodes)
FILES = {
    "clip_vision": (
        "wan/clip_vision_h.safetensors",
        "CLIP-ViT-H-14.safetensors",
        "clip_vision_g.safetensors",
    ),
    "ipadapter": (
        "ip-adapter_sd15.safetensors",
        "faces/ip-adapter-faceid_sd15.bin",
        "ip-adapter_sdxl.safetensors",
        "ip-adapter_pulid_sdxl_fp16.safetensors",
    ),
    "instantid": ("ip-adapter.bin",),
}
ONE = "alwayson_scripts.controlnet.args[0]"


def body(*units: dict[str, Any], always_on: dict[str, Any] | None = None, **fields: Any) -> Request:
    scripts = {
        "sd_model_checkpoint": "sd15.safetensors",
        "controlnet": {"args": list(units)},
        **(always_on or {}),
    }
    wire = {"prompt": "a red disc", "sampler_index": "Euler", "steps": 8, **fields}
    return Request.from_wire({**wire, "alwayson_scripts": scripts})


def unit(module: str, model: str = "None", **fields: Any) -> dict[str, Any]:
    return {"enabled": True, "module": module, "model": model, "image_link": LINK, **fields}


def adapter(**fields: Any) -> dict[str, Any]:
    return unit(**{"module": "ip-adapter-auto", "model": "ip-adapter_sd15", **fields})


def host(
    node_types: frozenset[str] = EVERY_NODE, files: dict[str, tuple[str, ...]] | None = None
) -> HostFacts:
    known = [
        ModelFile("sd15.safetensors", Path("nowhere"), "checkpoint"),
        ModelFile("canny15.pth", Path("nowhere"), "controlnet"),
        ModelFile("control_instant_id_sdxl.safetensors", Path("nowhere"), "controlnet"),
    ]
    return HostFacts(
        models=LocalModels(known), node_types=node_types, files=FILES if files is None else files
    )


def made(request: Request, facts: HostFacts | None = None) -> Expansion:
    return expand(request, host() if facts is None else facts, seed=7)


def of(expansion: Expansion, class_type: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (key, node["inputs"]) for key, node in expansion.nodes.items() if node["class_type"] == class_type
    ]


def only(expansion: Expansion, class_type: str) -> dict[str, Any]:
    ((_, inputs),) = of(expansion, class_type)
    return inputs


def source(expansion: Expansion, link: list[Any]) -> dict[str, Any]:
    return expansion.nodes[link[0]]


def told(expansion: Expansion) -> dict[str, str]:
    return {info.field: info.verdict for info in expansion.infos}


def check_links(expansion: Expansion) -> None:
    """Every wire leads to a node that is there, and every node leads to the pictures or maps."""
    seen: set[str] = set()
    waiting = [expansion.images[0], *(link[0] for link in expansion.control_images)]
    while waiting:
        key = waiting.pop()
        if key not in seen:
            seen.add(key)
            inputs = expansion.nodes[key]["inputs"].values()
            waiting += [value[0] for value in inputs if isinstance(value, list)]
    assert seen == set(expansion.nodes)


def test_ip_adapter_is_on_the_model_that_is_sampled() -> None:
    request = body(adapter(weight=0.6, guidance_start=0.1, guidance_end=0.8))
    expansion = made(request)
    check_links(expansion)
    ((key, applied),) = of(expansion, "IPAdapterAdvanced")
    assert (applied["weight"], applied["start_at"], applied["end_at"]) == (0.6, 0.1, 0.8)
    assert (applied["weight_type"], applied["embeds_scaling"]) == ("linear", "V only")
    assert only(expansion, "IPAdapterModelLoader") == {"ipadapter_file": "ip-adapter_sd15.safetensors"}
    assert only(expansion, "CLIPVisionLoader") == {"clip_name": "CLIP-ViT-H-14.safetensors"}
    assert only(expansion, "ImgOpenGuider")["model"] == [key, 0]
    assert only(expansion, "ImgOpenSigmas")["model"] == [key, 0]
    assert not of(expansion, "ImgOpenControlNetApply")
    square = source(expansion, applied["image"])
    assert (square["class_type"], square["inputs"]["crop"]) == ("ImageScale", "disabled")
    assert (square["inputs"]["width"], square["inputs"]["height"]) == (224, 224)


def test_the_report_says_what_ip_adapter_does_with_each_parameter() -> None:
    request = body(
        adapter(guidance_start=0.1, control_mode="My prompt is more important", hr_option="Low res only"),
        enable_hr=True,
    )
    lines = report_text(request, made(request).infos)
    assert f"approximated: {ONE}.guidance_start: ComfyUI_IPAdapter_plus reads the window" in lines
    assert f"approximated: {ONE}.weight: ComfyUI_IPAdapter_plus leaves the middle block" in lines
    assert f"notice: {ONE}.control_mode: IP-Adapter does not react to it" in lines
    assert f"notice: {ONE}.hr_option: IP-Adapter acts in both passes" in lines
    assert f"honoured: {ONE}.module" in lines
    assert f"{ONE}.guidance_end" not in told(made(request))


def test_two_adapters_are_chained_beside_a_control_model() -> None:
    request = body(adapter(), unit("canny", "canny15"), adapter(model="ip-adapter_sdxl", image_link=OTHER))
    expansion = made(request)
    check_links(expansion)
    (first, inner), (second, outer) = of(expansion, "IPAdapterAdvanced")
    assert outer["model"] == [first, 0]
    assert source(expansion, inner["model"])["class_type"] == "ImgOpenPrompt"
    assert source(expansion, outer["clip_vision"])["inputs"]["clip_name"] == "clip_vision_g.safetensors"
    assert only(expansion, "ImgOpenGuider")["model"] == [second, 0]
    assert len(of(expansion, "ImgOpenControlNetApply")) == 1


def test_a_weight_per_block_and_a_region() -> None:
    weights = [0.5, *[0.25] * 15]
    expansion = made(body(adapter(weight=1.5, advanced_weighting=weights, effective_region_mask=MASK)))
    check_links(expansion)
    applied = only(expansion, "IPAdapterMS")
    assert applied["weight"] == 1.0
    assert applied["layer_weights"].split(",")[:3] == ["0:0.5", "1:0.25", "2:0.25"]
    assert source(expansion, applied["attn_mask"])["inputs"]["link"] == MASK


def test_what_a_mask_covers_clip_does_not_see() -> None:
    expansion = made(body(adapter(mask=MASK)))
    check_links(expansion)
    kept = source(expansion, only(expansion, "IPAdapterAdvanced")["image"])
    assert kept["class_type"] == "ImageCompositeMasked"
    colour = source(expansion, kept["inputs"]["source"])["inputs"]["color"]
    mean = [round(255 * value) for value in (0.48145466, 0.4578275, 0.40821073)]
    assert [colour >> 16, colour >> 8 & 255, colour & 255] == mean
    assert source(expansion, kept["inputs"]["mask"])["class_type"] == "ImageToMask"


def test_face_id_brings_insightface() -> None:
    expansion = made(body(adapter(model="ip-adapter-faceid_sd15 [0011aabb]", mask=MASK)))
    check_links(expansion)
    applied = only(expansion, "IPAdapterFaceID")
    assert source(expansion, applied["image"])["class_type"] == "ImgOpenPicture"  # not squeezed
    assert source(expansion, applied["insightface"])["inputs"]["model_name"] == "buffalo_l"
    assert applied["weight_faceidv2"] == 1.0
    verdicts = told(expansion)
    assert verdicts[f"{ONE}.module"] == "approximated"
    assert verdicts[f"{ONE}.mask"] == "refused"


def test_the_init_picture_and_its_crop_reach_the_adapter() -> None:
    request = body(adapter(image_link=None), always_on={"image_link": LINK, "mask_link": MASK})
    expansion = made(request)
    check_links(expansion)
    square = source(expansion, only(expansion, "IPAdapterAdvanced")["image"])
    assert source(expansion, square["inputs"]["image"])["class_type"] == "ImgOpenCropMasked"


FACE = unit("instant_id_face_embedding", "ip-adapter_instant_id_sdxl", weight=0.7)
POINTS = unit(
    "instant_id_face_keypoints",
    "control_instant_id_sdxl",
    image_link=OTHER,
    weight=0.4,
    guidance_end=0.5,
    control_mode="ControlNet is more important",
)


def test_instant_id_is_a_face_on_the_model_and_a_control_model_that_reads_it() -> None:
    expansion = made(body(FACE, POINTS))
    check_links(expansion)
    ((patch, face),) = of(expansion, "InstantIDAttentionPatch")
    assert (face["weight"], face["noise"], face["start_at"], face["end_at"]) == (0.7, 0.0, 0, 1)
    assert source(expansion, face["image"])["inputs"]["link"] == LINK
    assert source(expansion, face["instantid"])["inputs"] == {"instantid_file": "ip-adapter.bin"}
    ((tokens, carrier),) = of(expansion, "ApplyInstantIDControlNet")
    assert carrier["face_embeds"] == [patch, 1]
    assert carrier["start_at"] == carrier["end_at"] == 1.0  # it brings the tokens, and never acts itself
    acts = only(expansion, "ImgOpenControlNetApply")
    assert (acts["positive"], acts["negative"]) == ([tokens, 0], [tokens, 1])
    assert (acts["weight"], acts["guidance_end"], acts["module"]) == (0.4, 0.5, "none")
    assert acts["control_mode"] == "ControlNet is more important"
    points = source(expansion, acts["image"])
    assert (points["class_type"], points["inputs"]["module"]) == (
        "ImgOpenPreprocessor",
        "instant_id_face_keypoints",
    )
    assert only(expansion, "ImgOpenGuider")["model"] == [patch, 0]
    verdicts = told(expansion)
    assert verdicts == {f"{ONE}.model": "notice"}  # ip-adapter.bin is its published name; the rest is exact


def test_a_drawn_map_is_a_control_picture_of_instant_id_too() -> None:
    expansion = made(body(FACE, {**POINTS, "module": "none"}))
    check_links(expansion)
    assert not of(expansion, "ImgOpenPreprocessor")
    assert source(expansion, only(expansion, "ImgOpenControlNetApply")["image"])["inputs"]["link"] == OTHER


def test_the_size_at_which_the_face_is_looked_for_is_the_packs() -> None:
    verdicts = told(made(body({**FACE, "processor_res": 640, "guidance_start": 0.2, "mask": MASK}, POINTS)))
    assert verdicts[f"{ONE}.processor_res"] == verdicts[f"{ONE}.guidance_start"] == "approximated"
    assert verdicts[f"{ONE}.mask"] == "refused"


def test_other_control_models_beside_instant_id_are_mentioned() -> None:
    expansion = made(body(unit("canny", "canny15"), FACE, POINTS))
    check_links(expansion)
    assert told(expansion)[f"{ONE}.model"] == "approximated"


@pytest.mark.parametrize("units", [(POINTS,), (FACE, unit("canny", "canny15"), POINTS)])
def test_the_control_model_must_follow_its_face(units: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(InvalidRequest, match="instant_id_face_embedding directly before"):
        made(body(*units))


def test_revision_takes_the_place_of_the_pooled_prompt() -> None:
    request = body(unit("revision_clipvision", weight=0.8, threshold_a=0.25, guidance_end=0.5))
    expansion = made(request)
    check_links(expansion)
    guider = only(expansion, "ImgOpenGuider")
    positive, negative = (source(expansion, guider[side]) for side in ("positive", "negative"))
    assert positive["class_type"] == negative["class_type"] == "unCLIPConditioning"
    assert (positive["inputs"]["strength"], positive["inputs"]["noise_augmentation"]) == (0.8, 0.25)
    assert 0 < negative["inputs"]["strength"] < 1e-5  # at 0 the node would leave the prompt's own
    assert source(expansion, positive["inputs"]["conditioning"])["class_type"] == "ImgOpenPrompt"
    assert only(expansion, "CLIPVisionLoader")["clip_name"] == "clip_vision_g.safetensors"
    assert told(expansion)[f"{ONE}.guidance_start"] == "refused"
    assert told(expansion)[f"{ONE}.threshold_a"] == "approximated"


@pytest.mark.parametrize(
    ("tensor", "runs"), [("conditioner.embedders.1.x", True), ("cond_stage_model.x", False)]
)
def test_revision_is_for_sdxl_checkpoints(tmp_path: Path, tensor: str, runs: bool) -> None:
    header = json.dumps({tensor: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    path = tmp_path / "sd15.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    models = LocalModels([ModelFile(path.name, path, "checkpoint")])
    facts = HostFacts(models=models, node_types=EVERY_NODE, files=FILES)
    if runs:
        assert of(made(body(unit("revision_clipvision")), facts), "unCLIPConditioning")
        return
    with pytest.raises(InvalidRequest, match=r"Revision works with SDXL.*sd15\.safetensors is not"):
        made(body(unit("revision_clipvision")), facts)


@pytest.mark.parametrize(
    ("module", "prompt"), [("revision_ignore_prompt", "a red disc"), ("revision_clipvision", "")]
)
def test_revision_without_a_prompt(module: str, prompt: str) -> None:
    expansion = made(body(unit(module), prompt=prompt))
    check_links(expansion)
    assert len(of(expansion, "ConditioningZeroOut")) == 2
    for _, inputs in of(expansion, "unCLIPConditioning"):
        assert source(expansion, inputs["conditioning"])["class_type"] == "ConditioningZeroOut"
        assert inputs["noise_augmentation"] == 0


@pytest.mark.parametrize(
    ("units", "says"),
    [
        ((adapter(),), r"ComfyUI_IPAdapter_plus\. Not here: IPAdapterModelLoader"),
        (
            (adapter(module="ip-adapter_face_id", model="ip-adapter-faceid_sd15"),),
            "IPAdapterInsightFaceLoader",
        ),
        ((FACE, POINTS), r"ComfyUI_InstantID\. Not here: InstantIDModelLoader.*Install it"),
        ((adapter(model="ip-adapter_pulid_sdxl_fp16"),), "PuLID_ComfyUI"),
        ((unit("clip_vision", "t2iadapter_style"),), "StyleModelApply"),
    ],
)
def test_without_the_pack_one_error_names_it(units: tuple[dict[str, Any], ...], says: str) -> None:
    stock = host(frozenset(NODES["Revision"]))
    with pytest.raises(MissingDependency, match=says):
        made(body(*units), stock)


def test_a_graph_for_another_machine_takes_names_as_they_are() -> None:
    expansion = made(body(adapter()), HostFacts())
    check_links(expansion)
    assert only(expansion, "IPAdapterModelLoader") == {"ipadapter_file": "ip-adapter_sd15"}
    assert any("ComfyUI_IPAdapter_plus must be there" in info.message for info in expansion.infos)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"model": "ip-adapter-plus_sd15"}, MissingModel, "ip-adapter_sd15.*models/ipadapter"),
        ({"model": "None"}, InvalidRequest, "goes by the model's name"),
        ({"model": "None", "module": "ip-adapter_clip_h"}, InvalidRequest, "needs a model"),
        ({"model": "mine"}, InvalidRequest, "goes by the model's name"),
        ({"module": "canny"}, InvalidRequest, "is an IP-Adapter, but the module canny"),
        ({"image_link": None}, InvalidRequest, "no picture for it"),
    ],
)
def test_what_does_not_fit_is_said(fields: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        made(body(adapter(**fields)))


def test_without_a_vision_tower_its_file_is_named() -> None:
    with pytest.raises(MissingModel, match=r"CLIP-ViT-H-14-laion2B.*models/clip_vision"):
        made(body(adapter()), host(files={**FILES, "clip_vision": ("clip_vision_g.safetensors",)}))


def test_auto_run_looks_for_adapters_in_their_own_folder() -> None:
    assert missing_models(body(adapter(), FACE, POINTS), host()) == []
    (error,) = missing_models(body(adapter(model="ip-adapter-plus_sd15")), host())
    assert "IP-Adapter model" in error.message
