"""Finding models by the names people write."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from img_open.base.errors import InvalidRequest, MissingModel
from img_open.engines.models import LocalModels
from safetensors.numpy import save_file


def weights(path, *keys):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: np.zeros(2, np.float32) for key in keys}, path)
    return path


UNET = "model.diffusion_model.input_blocks.0.0.weight"
HINT = "control_model.input_hint_block.0.weight"
DECODER = "decoder.conv_in.weight"


@pytest.fixture
def comfy(tmp_path):
    """A models folder as ComfyUI has it."""
    weights(tmp_path / "checkpoints" / "SD" / "revAnimated_v122.safetensors", UNET)
    weights(tmp_path / "checkpoints" / "other.safetensors", UNET, "x")
    weights(tmp_path / "controlnet" / "control_v11p_sd15_canny.pth.safetensors", HINT)
    (tmp_path / "controlnet" / "control_v11f1p_sd15_depth.pth").write_bytes(b"PK")
    weights(tmp_path / "vae" / "vae-ft-mse-840000-ema-pruned.vae.safetensors", DECODER)
    (tmp_path / "checkpoints" / "notes.txt").write_text("not a model")
    return tmp_path


def test_folders_of_comfyui(comfy):
    models = LocalModels.from_folder(comfy)
    assert models.names("checkpoint") == ["other.safetensors", "SD/revAnimated_v122.safetensors"]
    assert len(models.names("controlnet")) == 2
    assert len(models.names("vae")) == 1


def test_folders_of_the_web_ui(tmp_path):
    weights(tmp_path / "models" / "Stable-diffusion" / "a.safetensors", UNET)
    weights(tmp_path / "models" / "ControlNet" / "b.safetensors", HINT)
    (tmp_path / "models" / "VAE").mkdir()
    (tmp_path / "models" / "VAE" / "c.vae.pt").write_bytes(b"PK")
    models = LocalModels.from_folder(tmp_path)
    assert [models.names(kind) for kind in ("checkpoint", "controlnet", "vae")] == [
        ["a.safetensors"],
        ["b.safetensors"],
        ["c.vae.pt"],
    ]


def test_a_flat_folder_is_told_apart_by_content(tmp_path, model_folder):
    import shutil

    weights(tmp_path / "one.safetensors", UNET)
    weights(tmp_path / "two.safetensors", HINT)
    weights(tmp_path / "three.safetensors", DECODER)
    shutil.copytree(model_folder, tmp_path / "whole")
    shutil.copytree(model_folder / "controlnet" / "canny", tmp_path / "alone")
    models = LocalModels.from_folder(tmp_path)
    assert models.names("checkpoint") == ["one.safetensors", "whole"]
    assert models.names("controlnet") == ["alone", "two.safetensors", "canny", "depth"]
    assert models.names("vae") == ["three.safetensors"]


@pytest.mark.parametrize(
    "name",
    [
        "SD/revAnimated_v122.safetensors",
        "SD\\revAnimated_v122.safetensors",
        "revAnimated_v122.safetensors",
        "revAnimated_v122",
        "revanimated_V122.ckpt",
        "SD/revAnimated_v122.safetensors [ABCDEF0123]",
    ],
)
def test_spellings_of_a_checkpoint(comfy, name):
    assert LocalModels.from_folder(comfy).find_checkpoint(name).name == "SD/revAnimated_v122.safetensors"


def test_the_hash_is_the_last_resort(comfy):
    models = LocalModels.from_folder(comfy)
    file = models.find_checkpoint("other")
    digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert file.short_hash() == digest[:10]
    assert models.find_checkpoint(f"renamed.safetensors [{digest[:10]}]") == file
    assert models.find_checkpoint(digest[:10]) == file
    assert (
        models.find_checkpoint(f"SD/revAnimated_v122 [{digest[:10]}]").name
        == "SD/revAnimated_v122.safetensors"
    )


def test_a_web_ui_vae_name_matches_without_its_double_ending(comfy):
    found = LocalModels.from_folder(comfy).find_vae("vae-ft-mse-840000-ema-pruned.vae.pt")
    assert found.kind == "vae"


def test_a_missing_model_names_the_nearest(comfy):
    models = LocalModels.from_folder(comfy)
    with pytest.raises(MissingModel, match="control_v11p_sd15_canny") as caught:
        models.find_controlnet("control_v11_sd15_cany")
    assert caught.value.details["nearest"]
    with pytest.raises(MissingModel, match="put one into"):
        LocalModels().find_vae("anything")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "SD/../../x"])
def test_names_are_never_paths(comfy, name):
    with pytest.raises(MissingModel):
        LocalModels.from_folder(comfy).find_checkpoint(name)


def test_no_name_means_the_first_checkpoint(comfy):
    assert LocalModels.from_folder(comfy).find_checkpoint("").name == "other.safetensors"
    with pytest.raises(MissingModel, match="no checkpoint"):
        LocalModels().find_checkpoint(" ")


def test_rows_are_json_without_paths(comfy):
    text = json.dumps(LocalModels.from_folder(comfy).rows())
    assert str(comfy) not in text
    assert {row["type"] for row in json.loads(text)} == {"checkpoint", "controlnet", "vae"}


def test_bad_places(tmp_path):
    with pytest.raises(MissingModel, match="models folder"):
        LocalModels.from_folder(tmp_path / "nowhere")
    with pytest.raises(MissingModel, match="Check the path"):
        LocalModels().add(tmp_path / "nowhere.safetensors")
    (tmp_path / "photo.png").write_bytes(b"x")
    with pytest.raises(InvalidRequest, match="neither"):
        LocalModels().add(tmp_path / "photo.png")


def test_the_demo_model_has_its_control_models():
    models = LocalModels.demo()
    assert models.find_checkpoint("").name == "demo"
    assert {"canny", "depth"} <= set(models.names("controlnet"))


def test_without_the_trained_demo_model_a_random_one_is_made_once(tmp_path, monkeypatch):
    from img_open.engines import models as room

    monkeypatch.setenv("IMG_OPEN_HOME", str(tmp_path))
    folder = room._random_demo()
    assert folder.is_relative_to(tmp_path)
    stamp = (folder / "model_index.json").stat().st_mtime_ns
    assert room._random_demo() == folder
    assert (folder / "model_index.json").stat().st_mtime_ns == stamp
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]
