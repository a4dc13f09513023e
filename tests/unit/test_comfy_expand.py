"""The graph engine's expansion: plain data, no ComfyUI. What runs there is tested in tests/comfyui."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from img_open.api.request import Request
from img_open.base.errors import InvalidRequest, MissingModel
from img_open.engines.comfy import Expansion, HostFacts, expand, missing_models, report_text
from img_open.engines.models import LocalModels, ModelFile

PAGE = json.loads((Path(__file__).parents[1] / "data" / "api" / "sd_controlnet_page.json").read_text("utf-8"))
LINK = "https://pictures.example/a.png"
MASK = "https://pictures.example/m.png"


def body(always_on: dict[str, Any] | None = None, **fields: Any) -> Request:
    scripts = {"sd_model_checkpoint": "sd15.safetensors", **(always_on or {})}
    wire = {"prompt": "a red disc", "sampler_index": "Euler", "steps": 8, **fields}
    return Request.from_wire({**wire, "alwayson_scripts": scripts})


def unit(**fields: Any) -> dict[str, Any]:
    return {"enabled": True, "module": "canny", "model": "canny15", "image_link": LINK, **fields}


def units(*many: dict[str, Any], **always_on: Any) -> dict[str, Any]:
    return {"controlnet": {"args": list(many)}, **always_on}


def made(request: Request, host: HostFacts | None = None, seed: int = 7) -> Expansion:
    return expand(request, host, seed=seed)


def types(expansion: Expansion) -> list[str]:
    return sorted(node["class_type"] for node in expansion.nodes.values())


def only(expansion: Expansion, class_type: str) -> dict[str, Any]:
    (found,) = [node["inputs"] for node in expansion.nodes.values() if node["class_type"] == class_type]
    return found


def host(**more: Any) -> HostFacts:
    files = [
        ModelFile("SD15.safetensors", Path("nowhere"), "checkpoint"),
        ModelFile("other/canny15.pth", Path("nowhere"), "controlnet"),
        ModelFile("good.vae.pt", Path("nowhere"), "vae"),
    ]
    return HostFacts(models=LocalModels(files), **more)


def check_links(expansion: Expansion) -> None:
    """Every wire leads to a node that is there, and the graph has no circle."""
    seen: set[str] = set()

    def walk(key: str, above: tuple[str, ...]) -> None:
        assert key in expansion.nodes
        assert key not in above, "circle"
        if key in seen:
            return
        seen.add(key)
        for value in expansion.nodes[key]["inputs"].values():
            if isinstance(value, list):
                walk(value[0], (*above, key))

    walk(expansion.images[0], ())
    for link in expansion.control_images:
        walk(link[0], ())
    assert seen == set(expansion.nodes), "nodes that lead nowhere"


REQUESTS: dict[str, Request] = {
    "plain": body(),
    "page": Request.from_wire(PAGE),
    "unit": body(units(unit())),
    "four units": body(units(unit(), unit(weight=0.5), unit(), unit())),
    "batches": body(n_iter=3, batch_size=2),
    "hires": body(enable_hr=True),
    "hires cut": body(enable_hr=True, hr_resize_x=640, hr_resize_y=1024),
    "hires edited": body(units(unit()), prompt="a [cat:dog:0.5]", enable_hr=True),
    "hires picture": body(enable_hr=True, hr_upscaler="Lanczos"),
    "init": body({"image_link": LINK}),
    "init latent": body({"image_link": LINK}, resize_mode=3, batch_size=2),
    "only masked": body(units(unit(), image_link=LINK, mask_link=MASK), n_iter=2),
    "whole picture": body({"image_link": LINK, "mask_link": MASK}, inpaint_full_res=False),
    "unit of the init picture": body(units(unit(image_link=None), image_link=LINK, mask_link=MASK)),
    "postprocess": body(
        units(unit(module="inpaint_only", mask=MASK), unit(module="recolor_luminance")), n_iter=2
    ),
    "inpaint unit": body(
        units(
            unit(module="inpaint_only", image_link=None),
            unit(module="inpaint_only", mask=MASK),
            image_link=LINK,
            mask_link=MASK,
        )
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_graph_is_whole_and_plain_json(name: str) -> None:
    expansion = made(REQUESTS[name])
    check_links(expansion)
    assert json.loads(json.dumps(expansion.nodes)) == expansion.nodes
    assert len(expansion.seeds) == REQUESTS[name].image_count


def test_building_a_graph_imports_no_comfyui_and_no_torch() -> None:
    code = (
        "import sys; from img_open.api.request import Request; from img_open.engines.comfy import expand;"
        "expand(Request.from_wire({'prompt': 'a', 'alwayson_scripts': {'sd_model_checkpoint': "
        "'m'}}), seed=1);"
        "print(sorted({'comfy', 'torch', 'cv2', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_same_request_gives_the_same_ids() -> None:
    assert made(REQUESTS["only masked"]).nodes == made(REQUESTS["only masked"]).nodes
    assert all(key.startswith("9.") for key in expand(REQUESTS["page"], seed=1, prefix="9.").nodes)


def test_a_seed_changes_the_noise_alone() -> None:
    """So that the host's cache keeps loaders, texts and control images."""
    one, other = made(REQUESTS["unit"], seed=1).nodes, made(REQUESTS["unit"], seed=2).nodes
    assert {key for key in one if one[key] != other[key]} == {"noise"}


def test_batches_share_everything_but_noise_and_sampling() -> None:
    expansion = made(REQUESTS["batches"])
    assert types(expansion).count("CheckpointLoaderSimple") == 1
    assert types(expansion).count("ImgOpenPrompt") == 2
    assert types(expansion).count("SamplerCustomAdvanced") == 3
    firsts = [
        node["inputs"]["first_image"]
        for node in expansion.nodes.values()
        if node["class_type"] == "ImgOpenNoise"
    ]
    assert firsts == [0, 2, 4]
    assert expansion.seeds == [7, 8, 9, 10, 11, 12]


def test_two_units_of_one_model_load_it_once_and_stand_behind_each_other() -> None:
    expansion = made(REQUESTS["four units"])
    assert types(expansion).count("ControlNetLoader") == 1
    assert types(expansion).count("ImgOpenPicture") == 1
    chain = [expansion.nodes[f"unit{number}"]["inputs"]["positive"][0] for number in (1, 2, 3, 4)]
    assert chain == ["positive", "unit1", "unit2", "unit3"]
    assert only(expansion, "ImgOpenGuider")["positive"] == ["unit4", 0]
    assert len(expansion.control_images) == 4


def test_a_disabled_unit_is_not_there() -> None:
    assert "ImgOpenControlNetApply" not in types(made(body(units(unit(enabled=False)))))


def test_samplers_of_second_order_count_twice_the_calls() -> None:
    assert made(body(sampler_index="Heun")).nodes["positive"]["inputs"]["steps"] == 16
    assert made(body(sampler_index="Euler a")).nodes["positive"]["inputs"]["steps"] == 8


def test_lora_tags_go_to_both_prompts_models() -> None:
    tagged = made(body(prompt="a <lora:style:0.5> disc", negative_prompt="<lora:x:1>"))
    assert tagged.nodes["negative"]["inputs"]["clip"] == ["positive", 2]
    assert tagged.nodes["negative"]["inputs"]["network_tags"] == "keep"
    assert only(tagged, "ImgOpenGuider")["model"] == ["positive", 1]
    # Without a tag both texts stand on the loader, so that changing one does not redo the other.
    assert made(body()).nodes["negative"]["inputs"]["clip"] == ["checkpoint", 1]


def test_img2img_and_hires_have_their_own_step_rules() -> None:
    assert made(REQUESTS["init"]).nodes["sample-sigmas"]["inputs"]["run"] == "img2img"
    hires = made(body(enable_hr=True, hr_second_pass_steps=5, denoising_strength=0.4)).nodes
    assert hires["sample-sigmas"]["inputs"]["run"] == "txt2img"
    second = hires["hires-sigmas"]["inputs"]
    assert (second["run"], second["steps"], second["denoising_strength"]) == ("hires", 5, 0.4)


def test_an_edited_prompt_has_texts_of_its_own_for_the_second_pass() -> None:
    assert types(made(REQUESTS["hires"])).count("ImgOpenPrompt") == 2
    edited = made(REQUESTS["hires edited"])
    assert types(edited).count("ImgOpenPrompt") == 4
    assert edited.nodes["hires-positive"]["inputs"]["hires_steps"] == 8
    assert edited.nodes["hires"]["inputs"]["guider"] == ["hires-guider", 0]
    assert types(edited).count("ControlNetLoader") == 1


def test_hires_cuts_the_latent_as_the_web_ui_does() -> None:
    expansion = made(REQUESTS["hires cut"])
    scaled, cut = only(expansion, "LatentUpscale"), only(expansion, "LatentCrop")
    assert (scaled["width"], scaled["height"]) == (1024, 1024)
    assert (cut["width"], cut["height"], cut["x"], cut["y"]) == (640, 1024, 192, 0)


def test_only_masked_crops_control_images_along_with_the_picture() -> None:
    expansion = made(REQUESTS["only masked"])
    crop = expansion.nodes["unit1-crop"]["inputs"]
    assert crop["mask"] == ["mask", 0]
    assert crop["resize_mode"] == "Crop and Resize"
    assert expansion.nodes["unit1"]["inputs"]["image"] == ["unit1-crop", 0]
    uncropped = made(
        body(units(unit(inpaint_crop_input_image=False), image_link=LINK, mask_link=MASK)), seed=1
    )
    assert "unit1-crop" not in uncropped.nodes


def test_a_unit_without_a_picture_takes_the_init_picture_and_its_resize_mode() -> None:
    expansion = made(body(units(unit(image_link=None), image_link=LINK), resize_mode=2))
    inputs = expansion.nodes["unit1"]["inputs"]
    assert inputs["image"] == ["picture1", 0]
    assert inputs["resize_mode"] == "Resize and Fill"


def test_inpaint_only_leaves_the_blending_to_the_init_mask() -> None:
    inputs = made(REQUESTS["inpaint unit"]).nodes["unit1"]["inputs"]
    assert inputs["module"] == "inpaint"
    assert inputs["mask"] == ["unit1-crop", 1]


def test_units_with_work_after_decoding_get_it_and_others_do_not() -> None:
    expansion = made(REQUESTS["postprocess"])
    assert types(expansion).count("ImgOpenPostprocess") == 2
    assert expansion.nodes["postprocess-2"]["inputs"] == {"images": ["decode-2", 0], "units": ["unit2", 3]}
    assert expansion.nodes["unit2"]["inputs"]["units"] == ["unit1", 3]
    assert "ImgOpenPostprocess" not in types(made(REQUESTS["unit"]))
    assert "ImgOpenPostprocess" not in types(made(REQUESTS["inpaint unit"]))


def test_modules_in_the_model_get_the_model_and_the_rest_samples_with_theirs() -> None:
    expansion = made(body(units(unit(module="tile_colorfix"), unit())))
    assert expansion.nodes["unit1"]["inputs"]["sd_model"] == ["positive", 1]
    assert "sd_model" not in expansion.nodes["unit2"]["inputs"]
    assert only(expansion, "ImgOpenGuider")["model"] == ["unit1", 4]


def test_a_unit_knows_of_the_second_pass() -> None:
    inputs = made(body(units(unit()), enable_hr=True, hr_scale=1.5)).nodes["unit1"]["inputs"]
    assert (inputs["hr_scale"], inputs["hr_resize_x"], inputs["hr_resize_y"]) == (1.5, 0, 0)
    assert "hr_scale" not in made(REQUESTS["unit"]).nodes["unit1"]["inputs"]


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_resize_modes(mode: int) -> None:
    expansion = made(body({"image_link": LINK}, resize_mode=mode))
    assert ("ImgOpenResize" in types(expansion)) == (mode != 3)
    assert ("LatentUpscale" in types(expansion)) == (mode == 3)


def test_names_are_matched_to_the_host_s_files() -> None:
    expansion = made(body(units(unit()), denoising_strength=0.5), host())
    assert only(expansion, "CheckpointLoaderSimple")["ckpt_name"] == "SD15.safetensors"
    assert only(expansion, "ControlNetLoader")["control_net_name"] == "other/canny15.pth"
    named = made(body({"sd_vae": "good.vae.pt"}), host())
    assert only(named, "VAELoader")["vae_name"] == "good.vae.pt"


def test_an_unknown_vae_falls_back_and_is_said() -> None:
    expansion = made(body({"sd_vae": "bad.vae.pt"}), host())
    assert "VAELoader" not in types(expansion)
    assert [(info.field, info.verdict) for info in expansion.infos] == [
        ("alwayson_scripts.sd_vae", "refused")
    ]


def test_a_miss_names_the_nearest() -> None:
    with pytest.raises(MissingModel, match=r"SD15\.safetensors"):
        made(body({"sd_model_checkpoint": "sd16"}), host())
    with pytest.raises(MissingModel, match="canny15"):
        made(body(units(unit(model="cany15"))), host())
    with pytest.raises(MissingModel, match="4x-good"):
        made(body(enable_hr=True, hr_upscaler="4x-goot"), host(upscalers=("4x-good.pth",)))


def test_missing_models_are_found_without_raising() -> None:
    assert missing_models(body(units(unit())), host()) == []
    missing = missing_models(body(units(unit(model="x"), unit(enabled=False, model="y"))), host())
    assert [error.details["name"] for error in missing] == ["x"]


def test_faces_are_restored_where_the_host_can() -> None:
    wanted = body(restore_faces=True)
    assert [info.field for info in made(wanted).infos] == ["restore_faces"]
    able = host(
        node_types=frozenset({"FaceRestoreModelLoader", "FaceRestoreCFWithModel"}),
        face_models=("GFPGANv1.4.pth", "codeformer.pth"),
    )
    expansion = made(wanted, able)
    assert only(expansion, "FaceRestoreModelLoader")["model_name"] == "codeformer.pth"
    assert expansion.infos == []


def test_noise_settings_of_the_web_ui_are_followed() -> None:
    settings = {"randn_source": "GPU", "eta_noise_seed_delta": 31337}
    expansion = made(body({"override_settings": settings}, subseed=5, subseed_strength=0.25, batch_size=2))
    noise = only(expansion, "ImgOpenNoise")
    assert (noise["source"], noise["ensd"]) == ("nv", 31337)
    assert (noise["variation_seed"], noise["variation_strength"]) == (5, 0.25)
    assert expansion.seeds == [7, 7]
    assert expansion.infos == []
    with pytest.raises(InvalidRequest, match="randn_source"):
        made(body({"override_settings": {"randn_source": "TPU"}}))


SAID: dict[str, tuple[Request, str, str]] = {
    "unknown field": (body(tiling=True), "tiling", "refused"),
    "unknown setting": (
        body({"override_settings": {"foo": 1}}),
        "alwayson_scripts.override_settings.foo",
        "refused",
    ),
    "mask alone": (body({"mask_link": MASK}), "alwayson_scripts.mask_link", "refused"),
    "hires of a picture": (body({"image_link": LINK}, enable_hr=True), "enable_hr", "refused"),
    "pix2pix": (body(image_cfg_scale=1.5), "image_cfg_scale", "refused"),
    "odd width": (body(width=515), "width", "approximated"),
    "LCM": (body(sampler_index="LCM"), "sampler_index", "notice"),
    "noise trees": (
        body({"override_settings": {"randn_source": "NV"}}, sampler_index="DPM++ SDE"),
        "alwayson_scripts.override_settings.randn_source",
        "approximated",
    ),
    "hypernet": (body(prompt="a <hypernet:x:1>"), "prompt", "refused"),
    "antialiased": (body(enable_hr=True, hr_upscaler="Latent (antialiased)"), "hr_upscaler", "approximated"),
    "ADetailer": (body({"ADetailer": {"args": [1]}}), "alwayson_scripts.ADetailer", "refused"),
    "low vram": (body(units(unit(low_vram=True))), "alwayson_scripts.controlnet.args[0].low_vram", "notice"),
    "unknown unit field": (
        body(units(unit(foo=1))),
        "alwayson_scripts.controlnet.args[0].foo",
        "refused",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_not_honoured_is_said_by_name(name: str) -> None:
    request, field, verdict = SAID[name]
    assert [(info.field, info.verdict) for info in made(request).infos] == [(field, verdict)]


def test_the_report_has_a_line_for_every_parameter() -> None:
    request = body(units(unit(low_vram=True)), width=515)
    lines = report_text(request, made(request).infos).splitlines()
    assert any(line.startswith("approximated: width: ") for line in lines)
    assert "honoured: height" not in lines  # not given
    assert {"honoured: prompt", "honoured: steps", "honoured: alwayson_scripts.sd_model_checkpoint"} <= set(
        lines
    )
    assert "honoured: alwayson_scripts.controlnet.args[0].weight" not in lines
    assert "honoured: alwayson_scripts.controlnet.args[0].module" in lines


ERRORS: dict[str, tuple[Request, type[Exception], str]] = {
    "no model": (body(units(unit(model="None"))), InvalidRequest, "needs a control model"),
    "no picture": (body(units(unit(image_link=None))), InvalidRequest, "no picture"),
    "unknown sampler": (body(sampler_index="Oiler"), InvalidRequest, "Euler"),
    "no second pass": (body(enable_hr=True, denoising_strength=0), InvalidRequest, "denoising_strength"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_impossible_requests_are_one_clear_error(name: str) -> None:
    request, kind, words = ERRORS[name]
    with pytest.raises(kind, match=words):
        made(request)


def test_lcm_gets_the_web_uis_noise_levels() -> None:
    """ComfyUI's own sampling of that name, before anything else is done to the model."""
    nodes = made(body(sampler_index="LCM")).nodes
    patch = next(key for key, each in nodes.items() if each["class_type"] == "ModelSamplingDiscrete")
    assert nodes[patch]["inputs"]["sampling"] == "lcm"
    prompts = [each["inputs"] for each in nodes.values() if each["class_type"] == "ImgOpenPrompt"]
    assert [patch, 0] in [each.get("model") for each in prompts]
    plain = made(body()).nodes.values()
    assert "ModelSamplingDiscrete" not in {each["class_type"] for each in plain}


def test_a_second_pass_that_is_cut_tells_sdxl_the_size_before() -> None:
    cut = body(enable_hr=True, hr_resize_x=1024, hr_resize_y=512, denoising_strength=0.5)
    whole = body(enable_hr=True, hr_scale=2, denoising_strength=0.5)
    guiders = [
        [each["inputs"] for each in made(request).nodes.values() if each["class_type"] == "ImgOpenGuider"]
        for request in (cut, whole)
    ]
    assert [(each.get("width"), each.get("height")) for each in guiders[0]] == [(None, None), (1024, 1024)]
    assert [(each.get("width"), each.get("height")) for each in guiders[1]] == [(None, None)]
