"""Single-file checkpoints and control models: shipped configurations, other families, damaged files."""

from __future__ import annotations

import json
import shutil
import socket

import numpy as np
import pytest
import torch
from img_open.base.errors import InvalidRequest, MissingModel, Unsupported
from img_open.engines import diffusers_load
from img_open.engines.diffusers import DiffusersEngine
from img_open.engines.diffusers_load import SD15, Loader
from img_open.engines.models import LocalModels
from safetensors.torch import load_file, save_file

from .ldm_names import unet_name, vae_name


@pytest.fixture(scope="module")
def config(model_folder, tmp_path_factory):
    """The small model's configurations alone, as `engines/configs/sd15` has those of Stable Diffusion 1.5."""
    folder = tmp_path_factory.mktemp("config")
    for part in ("unet", "vae", "text_encoder", "scheduler", "tokenizer"):
        ignore = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(model_folder / part, folder / part, ignore=ignore)
    shutil.copytree(model_folder / "controlnet/canny", folder / "controlnet", ignore=ignore)
    return folder


@pytest.fixture(scope="module")
def checkpoint_weights(model_folder):
    layers = json.loads((model_folder / "unet/config.json").read_text())["layers_per_block"]
    levels = len(json.loads((model_folder / "vae/config.json").read_text())["block_out_channels"])
    named = {}
    for name, value in load_file(model_folder / "unet/diffusion_pytorch_model.safetensors").items():
        named["model.diffusion_model." + unet_name(name, layers)] = value
    for name, value in load_file(model_folder / "vae/diffusion_pytorch_model.safetensors").items():
        named["first_stage_model." + vae_name(name, levels)] = value
    for name, value in load_file(model_folder / "text_encoder/model.safetensors").items():
        named["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = value
    named["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    return named


@pytest.fixture(scope="module")
def control_weights(model_folder):
    layers = json.loads((model_folder / "unet/config.json").read_text())["layers_per_block"]
    loaded = load_file(model_folder / "controlnet/canny/diffusion_pytorch_model.safetensors")
    return {"control_model." + unet_name(name, layers): value for name, value in loaded.items()}


@pytest.fixture(scope="module")
def single(tmp_path_factory, config, checkpoint_weights, control_weights):
    folder = tmp_path_factory.mktemp("single")
    save_file(checkpoint_weights, folder / "tiny.safetensors")
    torch.save({"state_dict": control_weights}, folder / "control_canny.pth")
    models = LocalModels().add(folder / "tiny.safetensors", config=config)
    return models.add(folder / "control_canny.pth", config=config)


def test_a_single_file_gives_the_folder_s_pixels(single, run, body, unit, pictures):
    request = body([unit()])
    wanted = run(request).images[0]
    made = DiffusersEngine(single, device="cpu").run(
        body([unit(model="control_canny")], {"sd_model_checkpoint": "tiny"}), pictures=pictures
    )
    assert np.array_equal(made.images[0], wanted)


def test_a_single_file_vae_in_either_naming(
    single, model_folder, config, checkpoint_weights, tmp_path, run, body, pictures
):
    prefix = "first_stage_model."
    plain = {k.removeprefix(prefix): v for k, v in checkpoint_weights.items() if k.startswith(prefix)}
    save_file(plain, tmp_path / "mine.vae.safetensors")
    models = LocalModels().add(model_folder, "checkpoint", name="demo")
    models.add(tmp_path / "mine.vae.safetensors", "vae", config=config)
    models.add(model_folder / "vae", "vae", name="folder")
    engine = DiffusersEngine(models, device="cpu")
    wanted = run(body()).images[0]
    for name in ("mine.vae.pt", "folder"):
        result = engine.run(body(always_on={"sd_vae": name}), pictures=pictures)
        assert np.array_equal(result.images[0], wanted)
        assert result.infos == []


def test_an_unknown_vae_falls_back_and_is_said(run, body):
    result = run(body(steps=1, always_on={"sd_vae": "vae-ft-mse-840000-ema-pruned.vae.pt"}))
    assert [(info.field, info.verdict) for info in result.infos] == [("alwayson_scripts.sd_vae", "refused")]
    for word in ("None", "Automatic"):
        assert run(body(steps=1, always_on={"sd_vae": word})).infos == []


def test_an_unknown_checkpoint_names_the_nearest(run, body):
    with pytest.raises(MissingModel, match="demo"):
        run(body(always_on={"sd_model_checkpoint": "dema.safetensors"}))


def test_the_shipped_configurations_are_stable_diffusion_1_5():
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextConfig

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(SD15 / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(SD15 / "vae"))
        control = ControlNetModel.from_config(ControlNetModel.load_config(SD15 / "controlnet"))
    count = {name: sum(p.numel() for p in net.parameters()) for name, net in
             (("unet", unet), ("vae", vae), ("control", control))}  # fmt: skip
    assert count == {"unet": 859_520_964, "vae": 83_653_863, "control": 361_279_120}
    assert len(control.controlnet_down_blocks) == 12
    assert CLIPTextConfig.from_pretrained(SD15 / "text_encoder").hidden_size == 768


def test_the_shipped_tokenizer_gives_clip_s_ids():
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(SD15 / "tokenizer")
    ids = tokenizer("a photograph of an astronaut riding a horse").input_ids
    assert ids == [49406, 320, 8853, 539, 550, 18376, 6765, 320, 4558, 49407]
    assert "MIT" in (SD15 / "tokenizer/LICENSE.txt").read_text(encoding="utf-8")


def test_loading_asks_no_network(single, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("loading a model opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    loader = Loader()
    loader.checkpoint(single.find_checkpoint("tiny"))
    loader.controlnet(single.find_controlnet("control_canny"))


def load(tmp_path, weights, kind, config, name="odd.safetensors"):
    save_file({key: value.contiguous() for key, value in weights.items()}, tmp_path / name)
    models = LocalModels().add(tmp_path / name, kind, config=config)
    find = models.find_checkpoint if kind == "checkpoint" else models.find_controlnet
    return getattr(Loader(), kind)(find(name))


def test_other_families_are_refused_in_plain_words(tmp_path, config, checkpoint_weights):
    sdxl = {"conditioner.embedders.0.x": torch.zeros(1)}
    with pytest.raises(Unsupported, match="SDXL"):
        load(tmp_path, sdxl, "checkpoint", config)
    key = next(k for k in checkpoint_weights if k.endswith("attn2.to_k.weight"))
    with pytest.raises(Unsupported, match="width 1024"):
        load(tmp_path, {key: torch.zeros(8, 1024)}, "checkpoint", None)
    inpainting = {
        **checkpoint_weights,
        "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(48, 9, 3, 3),
    }
    with pytest.raises(Unsupported, match="9 input channels"):
        load(tmp_path, inpainting, "checkpoint", config)


def test_what_is_not_a_checkpoint_is_refused(tmp_path, config, control_weights):
    with pytest.raises(InvalidRequest, match="not a checkpoint"):
        load(tmp_path, control_weights, "checkpoint", config)


@pytest.mark.parametrize(
    "weights",
    [
        {"body.0.weight": torch.zeros(1), "conv_in.weight": torch.zeros(1)},
        {"lora_controlnet": torch.zeros(1), "input_hint_block.0.weight": torch.zeros(1)},
    ],
)
def test_adapters_are_not_taken_for_controlnets(tmp_path, config, weights):
    with pytest.raises(Unsupported):
        load(tmp_path, weights, "controlnet", config)


@pytest.mark.parametrize("part", ["model.diffusion_model.", "cond_stage_model.", "first_stage_model."])
def test_an_incomplete_checkpoint_is_refused(tmp_path, config, checkpoint_weights, part):
    names = [key for key in checkpoint_weights if key.startswith(part) and key.endswith(".weight")]
    short = {key: value for key, value in checkpoint_weights.items() if key != names[-1]}
    with pytest.raises(InvalidRequest, match=r"lacks|cannot be loaded"):
        load(tmp_path, short, "checkpoint", config)


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.ckpt"])
def test_a_damaged_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{not weights")
    models = LocalModels().add(tmp_path / name, "checkpoint")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        Loader().checkpoint(models.find_checkpoint(name))


def test_a_pickle_with_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    models = LocalModels().add(tmp_path / "evil.ckpt", "checkpoint")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        Loader().checkpoint(models.find_checkpoint("evil"))
    assert not (tmp_path / "ran").exists()


def test_a_file_that_vanished_is_said(tmp_path, config, single):
    shutil.copy(single.find_checkpoint("tiny").path, tmp_path / "gone.safetensors")
    models = LocalModels().add(tmp_path / "gone.safetensors", config=config)
    (tmp_path / "gone.safetensors").unlink()
    with pytest.raises(MissingModel, match="gone"):
        Loader().checkpoint(models.find_checkpoint("gone"))


def test_an_incomplete_folder_is_refused(tmp_path, model_folder):
    shutil.copytree(model_folder, tmp_path / "half")
    (tmp_path / "half/unet/diffusion_pytorch_model.safetensors").unlink()
    models = LocalModels().add(tmp_path / "half")
    with pytest.raises(InvalidRequest, match="half cannot be loaded"):
        Loader().checkpoint(models.find_checkpoint("half"))


def test_a_pipeline_of_another_family_is_refused(tmp_path, model_folder):
    shutil.copytree(model_folder, tmp_path / "xl")
    index = json.loads((tmp_path / "xl/model_index.json").read_text())
    (tmp_path / "xl/model_index.json").write_text(
        json.dumps({**index, "_class_name": "StableDiffusionXLPipeline"})
    )
    models = LocalModels().add(tmp_path / "xl")
    with pytest.raises(Unsupported, match="StableDiffusionXLPipeline"):
        Loader().checkpoint(models.find_checkpoint("xl"))


def test_shuffle_models_pool_their_residuals_and_spare_the_unconditional_rows(
    tmp_path, model_folder, body, unit, pictures, spy
):
    shutil.copytree(model_folder / "controlnet/canny", tmp_path / "control_v11e_sd15_shuffle")
    models = (
        LocalModels().add(model_folder, "checkpoint", name="demo").add(tmp_path / "control_v11e_sd15_shuffle")
    )
    engine = DiffusersEngine(models, device="cpu")
    main = spy(engine._loader.checkpoint(models.find_checkpoint("demo")).unet)
    engine.run(body([unit(model="control_v11e_sd15_shuffle")], steps=1), pictures=pictures)
    middle = main.keywords[0]["mid_block_additional_residual"]
    assert middle.shape[2:] == (1, 1)
    assert float(middle[0].abs().max()) == 0.0
    assert float(middle[1].abs().max()) > 0.0


def test_only_the_last_checkpoint_stays_in_memory(single, model_folder):
    loader = Loader()
    models = LocalModels().add(model_folder, "checkpoint", name="demo")
    first = loader.checkpoint(models.find_checkpoint("demo"))
    assert loader.checkpoint(models.find_checkpoint("demo")) is first
    loader.checkpoint(single.find_checkpoint("tiny"))
    assert loader.checkpoint(models.find_checkpoint("demo")) is not first


def test_diffusers_missing_is_said(monkeypatch, model_folder):
    import sys

    from img_open.base.errors import MissingDependency

    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingDependency, match="standalone"):
        diffusers_load.require_diffusers()
