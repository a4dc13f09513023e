"""The modules over transformers models, on tiny random networks in local folders; the hub is never asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from img_open.base.errors import MissingModel, Unsupported
from img_open.controlnet.modules import effective_sliders
from img_open.preprocessors import depth, embeddings, run, segmentation
from img_open.preprocessors.runtime import PlainRuntime
from img_open.preprocessors.weights_table import WEIGHTS


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def _save(model, key, folder):
    torch.manual_seed(0)
    model.save_pretrained(folder / WEIGHTS[key].repo.split("/")[-1])


def _dpt(folder):
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    _save(DPTForDepthEstimation(config), "midas", folder)


def _dpt_hybrid(folder):
    from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

    bit = BitConfig(
        embedding_size=32,
        hidden_sizes=[32, 32, 32, 32],
        depths=[1, 1, 1, 1],
        layer_type="bottleneck",
        num_groups=2,
        out_features=["stage1", "stage2", "stage3"],
        embedding_dynamic_padding=True,
        global_padding="same",
    )
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[32, 32, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=True,
        backbone_config=bit,
        backbone_featmap_shape=[1, 32, 4, 4],
        neck_ignore_stages=[0, 1],
        reassemble_factors=[1, 1, 1, 0.5],
    )
    _save(DPTForDepthEstimation(config), "midas", folder)


def _anything(folder, key):
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=70,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        reassemble_hidden_size=16,
        patch_size=14,
    )
    _save(DepthAnythingForDepthEstimation(config), key, folder)


def _zoe(folder):
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation

    backbone = BeitConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=64,
        patch_size=16,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        use_relative_position_bias=True,
    )
    config = ZoeDepthConfig(
        backbone_config=backbone,
        backbone_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=8,
        bin_embedding_dim=8,
        num_attractors=[4, 2, 1, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
    )
    _save(ZoeDepthForDepthEstimation(config), "zoe", folder)


def _clip(folder, key):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        projection_dim=12,
    )
    _save(CLIPVisionModelWithProjection(config), key, folder)


def _run(module, picture, folder, **sliders):
    res, a, b, _ = effective_sliders(module, 128, **sliders)
    return run.run_module(
        module,
        picture,
        processor_res=res,
        threshold_a=a,
        threshold_b=b,
        runtime=PlainRuntime("cpu", folders=[folder]),
    )


@pytest.mark.parametrize("make", [_dpt, _dpt_hybrid])
def test_midas_and_its_normals(golden, tmp_path, make):
    make(tmp_path)
    picture = golden.load("inputs/photo_129x161.png")
    made = _run("depth_midas", picture, tmp_path)
    assert made.shape == (128, 160, 3)
    assert (made[..., :1] == made).all()
    assert made.min() == 0
    normals = _run("normal_midas", picture, tmp_path, threshold_a=0.0)
    assert normals.shape == (128, 160, 3)
    flat = _run("normal_midas", picture, tmp_path, threshold_a=1.0)
    # All ground but the nearest point: normals look at the viewer, which in BGR order is the first channel.
    assert (flat[:, :, 0] >= 254).mean() > 0.99
    assert abs(int(np.median(flat[:, :, 1])) - 127) <= 1


@pytest.mark.parametrize("key", ["depth_anything", "depth_anything_v2"])
def test_depth_anything(golden, tmp_path, key):
    _anything(tmp_path, key)
    made = _run(key, golden.load("inputs/photo_129x161.png"), tmp_path)
    assert made.shape == (128, 160, 3)
    assert made.std() > 1


@pytest.mark.parametrize(
    ("size", "expected"), [((512, 512), (518, 518)), ((512, 768), (518, 784)), ((640, 512), (644, 518))]
)
def test_depth_anythings_size(size, expected):
    assert depth._anything_size(*size) == expected


def test_zoe_stretches_percentiles(golden, tmp_path):
    _zoe(tmp_path)
    made = _run("depth_zoe", golden.load("inputs/photo_129x161.png"), tmp_path)
    assert made.shape == (128, 160, 3)
    assert (made[..., :1] == made).all()
    metres = depth._near_is_white(np.linspace(0, 100, 101, dtype=np.float32))
    assert metres[2] == pytest.approx(1)
    assert metres[85] == pytest.approx(0)
    assert metres[0] > 1  # clipped later


def test_the_second_call_needs_no_network(golden, tmp_path):
    _dpt(tmp_path)
    runtime = PlainRuntime("cpu", folders=[tmp_path])
    picture = golden.load("inputs/tiny_16.png")
    first = run.run_module("depth", picture, processor_res=64, threshold_a=0, threshold_b=0, runtime=runtime)
    runtime._networks.clear()
    runtime.load = None  # any use would fail
    second = run.run_module("depth", picture, processor_res=64, threshold_a=0, threshold_b=0, runtime=runtime)
    assert np.array_equal(first, second)


def test_labels_come_from_weighed_masks():
    from types import SimpleNamespace

    masks = torch.full((1, 2, 4, 4), -9.0)
    masks[0, 0, :, :2] = 9  # query 0 has the left half, query 1 the right one
    masks[0, 1, :, 2:] = 9
    classes = torch.zeros(1, 2, 4)
    classes[0, 0, 2] = classes[0, 1, 1] = 9
    classes[0, :, 3] = 12  # "nothing" wins, but does not count
    labels = segmentation._labels(
        SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks), (8, 8)
    )
    assert (labels[0, :, :3] == 2).all()
    assert (labels[0, :, 5:] == 1).all()


def _oneformer(folder, key, classes):
    from transformers import CLIPTokenizer, OneFormerConfig, OneFormerForUniversalSegmentation, SwinConfig

    swin = SwinConfig(
        image_size=64,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = OneFormerConfig(
        backbone_config=swin,
        num_queries=6,
        num_classes=classes,
        hidden_dim=32,
        conv_dim=32,
        mask_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=2,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        text_encoder_proj_layers=1,
        query_dec_layers=1,
        task_seq_len=77,
        max_seq_len=77,
        is_training=False,
        common_stride=4,
        id2label={i: str(i) for i in range(classes)},
    )
    _save(OneFormerForUniversalSegmentation(config), key, folder)
    letters = [chr(c) for c in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    target = folder / WEIGHTS[key].repo.split("/")[-1]
    (target / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (target / "merges.txt").write_text("#version: 0.2\n")
    assert CLIPTokenizer


@pytest.mark.parametrize(("key", "classes"), [("oneformer_ade20k", 150), ("oneformer_coco", 133)])
def test_oneformer_paints_in_the_data_sets_colours(golden, tmp_path, key, classes, monkeypatch):
    _oneformer(tmp_path, key, classes)
    monkeypatch.setattr(segmentation, "_paint", _small(segmentation._paint))
    made = _run(key, golden.load("inputs/photo_129x161.png"), tmp_path)
    assert made.shape == (128, 160, 3)
    from img_open.preprocessors.aux_library import aux_class
    from img_open.preprocessors.palettes import COCO_PANOPTIC

    palette = {tuple(c) for c in (aux_class("util", "ade_palette")() if classes == 150 else COCO_PANOPTIC)}
    assert {tuple(int(v) for v in colour) for colour in np.unique(made.reshape(-1, 3), axis=0)} <= palette


def _small(paint):
    """The same at a tenth of the size the network looks at."""
    return lambda pictures, call, key, colours, short, long: paint(pictures, call, key, colours, 128, 192)


@pytest.mark.parametrize(
    ("module", "key"),
    [("clip_vision", "clip_l"), ("ip-adapter_clip_h", "clip_h"), ("revision_clipvision", "clip_g")],
)
def test_clip_embeddings(golden, tmp_path, module, key):
    if key == "clip_g":
        from pathlib import Path

        root = tmp_path / "IP-Adapter" / Path(WEIGHTS[key].file).parent
        root.parent.mkdir(parents=True)
        _clip(tmp_path, "clip_h")
        (tmp_path / WEIGHTS["clip_h"].repo.split("/")[-1]).rename(root)
    else:
        _clip(tmp_path, key)
    runtime = PlainRuntime("cpu", folders=[tmp_path])
    picture = golden.load("inputs/photo_129x161.png")
    made = embeddings.run_embedding(module, picture, runtime=runtime)
    assert made.image_embeds.shape == (1, 12)
    assert made.last_hidden.shape == made.penultimate.shape == (1, 17, 16)
    masked = embeddings.run_embedding(
        module, picture, mask=np.full((129, 161), 255, np.uint8), runtime=runtime
    )
    other = embeddings.run_embedding(
        module, 255 - picture, mask=np.full((129, 161), 255, np.uint8), runtime=runtime
    )
    assert torch.equal(masked.image_embeds, other.image_embeds)  # all removed: what was there does not matter
    assert not torch.equal(masked.image_embeds, made.image_embeds)


def test_pictures_are_not_embeddings(runtime):
    with pytest.raises(Unsupported, match="picture"):
        embeddings.run_embedding("canny", np.zeros((8, 8, 3), np.uint8), runtime=runtime)


def test_a_broken_folder_names_itself(tmp_path):
    folder = tmp_path / "dpt-hybrid-midas"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(MissingModel, match=r"dpt-hybrid-midas.*pull midas"):
        _run("depth", np.zeros((8, 8, 3), np.uint8), tmp_path)
