# SPDX-License-Identifier: Apache-2.0
"""The shipped demo model obeys: a small sample, with fixed seeds, of what demo/training/evaluate.py measures.

The scenes are ones the model never saw. Plain diffusers loads and runs it, none of the pack's engines.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "demo" / "model"

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")


def training_module(name: str):
    """A module of demo/training, which is a folder of scripts and not a package."""
    folder = str(ROOT / "demo" / "training")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


vocabulary, scenes, networks, measures, sampling = map(
    training_module, ("vocabulary", "scenes", "networks", "measures", "sampling")
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Two threads thrash on a shared machine, and change the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pipeline():
    """The model with its canny ControlNet, loaded the plain way."""
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    controlnet = ControlNetModel.from_pretrained(MODEL / "controlnet" / "canny")
    made = StableDiffusionControlNetPipeline.from_pretrained(MODEL, controlnet=controlnet)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def sampler():
    """The evaluation's own sampler."""
    return sampling.Sampler(MODEL)


@pytest.fixture(scope="module")
def single():
    """Scenes of one object, unseen in training."""
    return [scenes.make_scene(scenes.UNSEEN + 60_000 + index, 1) for index in range(6)]


@pytest.fixture(scope="module")
def obedient(pipeline, single):
    """Their prompts and canny maps drawn at weight 1 by plain diffusers, uint8 ``(6, 128, 128, 3)``."""
    from PIL import Image

    drawn = pipeline(
        [scene.caption() for scene in single],
        image=[Image.fromarray(np.repeat(scene.canny[..., None], 3, 2)) for scene in single],
        num_inference_steps=20,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(index) for index in range(len(single))],
        output_type="np",
    )
    return (drawn.images * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def free(sampler, single):
    """The same prompts and seeds without a control image."""
    return sampler([scene.caption() for scene in single])


def mean_overlap(pictures, chosen) -> float:
    return float(
        np.mean(
            [
                measures.overlap(measures.segment(picture), scene.mask)
                for picture, scene in zip(pictures, chosen, strict=True)
            ]
        )
    )


class TestScenes:
    def test_a_seed_is_a_scene(self):
        first, again = scenes.make_scene(11), scenes.make_scene(11)
        assert np.array_equal(first.picture, again.picture)
        assert np.array_equal(first.depth, again.depth)
        assert np.array_equal(first.mask, again.mask)
        assert not np.array_equal(first.picture, scenes.make_scene(12).picture)

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_the_count_is_kept_and_objects_do_not_touch(self, count):
        scene = scenes.make_scene(5, count)
        assert len(scene.things) == count
        assert sum(thing.mask.astype(int) for thing in scene.things).max() == 1
        assert len({scene.background, *(thing.colour for thing in scene.things)}) == count + 1

    def test_the_measures_agree_with_the_words(self):
        for seed in range(20):
            scene = scenes.make_scene(seed)
            for thing in scene.things:
                hue = measures.mean_hue(scene.picture, measures.shrink(thing.mask))
                assert measures.colour_name(hue) == thing.colour
            outside = measures.mean_hue(scene.picture, measures.outside(scene.mask))
            assert measures.colour_name(outside) == scene.background
            assert (
                measures.overlap(measures.segment(scene.picture), scene.mask)
                > 0.85 / len(scene.things) ** 0.5
            )

    def test_a_shape_is_told_from_the_others(self):
        for seed in range(20):
            scene = scenes.make_scene(seed, 1)
            assert measures.shape_name(scene.mask) == scene.things[0].shape

    def test_depth_is_nearer_on_the_objects(self):
        scene = scenes.make_scene(3, 2)
        rim = measures.shrink(scene.mask, 1)
        assert scene.depth[rim].min() > scene.depth[measures.outside(scene.mask, 1)].max()

    def test_captions(self):
        things = [("orange", "arrow"), ("green", "circle")]
        assert vocabulary.caption(things, "blue") == "an orange arrow and a green circle on a blue background"
        assert vocabulary.caption(things[:1], "blue", "zh") == "蓝色背景上的橙色箭头"
        assert vocabulary.caption(things, "blue", "tags") == "orange arrow, green circle, blue background"
        with pytest.raises(KeyError):
            vocabulary.caption([("beige", "arrow")], "blue")
        with pytest.raises(ValueError, match="language"):
            vocabulary.caption(things, "blue", "fr")

    def test_bad_counts_are_refused(self):
        with pytest.raises(ValueError, match="count"):
            scenes.make_scene(1, 4)


class TestFolder:
    def test_size(self):
        size = sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file())
        assert size <= 16 * 2**20

    def test_every_word_is_one_token(self, pipeline):
        tokenizer = pipeline.tokenizer
        for word in [*vocabulary.english_words(), *vocabulary.chinese_characters()]:
            assert len(tokenizer(word).input_ids) == 3, word  # start, word, end
        assert len(tokenizer("蓝色背景上的红色星星").input_ids) == 12

    def test_float32_after_plain_loading(self, pipeline):
        parts = (pipeline.text_encoder, pipeline.unet, pipeline.vae, pipeline.controlnet)
        assert {part.dtype for part in parts} == {torch.float32}

    def test_random_weights_are_a_function_of_the_seed(self, tmp_path):
        from safetensors.numpy import load_file

        folders = [
            networks.write_random(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
        ]
        first, again, other = (
            load_file(folder / "unet/diffusion_pytorch_model.safetensors") for folder in folders
        )
        assert all(np.array_equal(first[name], again[name]) for name in first)
        assert any(not np.array_equal(first[name], other[name]) for name in first)


class TestObedience:
    def test_colours_follow_the_prompt(self, obedient, single):
        hits = [
            measures.colour_name(measures.mean_hue(picture, measures.shrink(scene.mask)))
            == scene.things[0].colour
            for picture, scene in zip(obedient, single, strict=True)
        ]
        assert sum(hits) >= 5

    def test_backgrounds_follow_the_prompt(self, obedient, single):
        hits = [
            measures.colour_name(measures.mean_hue(picture, measures.outside(scene.mask))) == scene.background
            for picture, scene in zip(obedient, single, strict=True)
        ]
        assert sum(hits) >= 5

    def test_shapes_follow_the_control_image_and_only_it(self, obedient, free, single):
        reached = mean_overlap(obedient, single)
        assert reached > 0.78
        assert reached > mean_overlap(free, single) + 0.35
        assert reached > mean_overlap(obedient, [*single[1:], single[0]]) + 0.35

    def test_half_the_weight_lies_between(self, sampler, obedient, free, single):
        maps = np.stack([scene.canny for scene in single])
        half = sampler([scene.caption() for scene in single], (sampling.Unit("canny", maps, 0.5),))
        edges = [
            np.mean(
                [
                    measures.edge_distance(picture, scene.canny)
                    for picture, scene in zip(pictures, single, strict=True)
                ]
            )
            for pictures in (obedient, half, free)
        ]
        assert edges[0] < edges[1] < edges[2]

    def test_depth_is_a_control_image_too(self, sampler, single):
        maps = np.stack([scene.depth for scene in single])
        drawn = sampler([scene.caption() for scene in single], (sampling.Unit("depth", maps),))
        assert mean_overlap(drawn, single) > 0.75

    def test_chinese_and_english_agree(self, sampler, single):
        chosen = single[:3]
        maps = np.stack([scene.canny for scene in chosen])
        drawn = sampler([scene.caption("zh") for scene in chosen], (sampling.Unit("canny", maps),))
        for picture, scene in zip(drawn, chosen, strict=True):
            hue = measures.mean_hue(picture, measures.shrink(scene.mask))
            assert measures.colour_name(hue) == scene.things[0].colour
        assert mean_overlap(drawn, chosen) > 0.75

    def test_two_objects_get_their_own_colours(self, sampler):
        chosen = [scenes.make_scene(scenes.UNSEEN + 70_000 + index, 2) for index in range(4)]
        maps = np.stack([scene.canny for scene in chosen])
        drawn = sampler([scene.caption() for scene in chosen], (sampling.Unit("canny", maps),))
        hits = [
            measures.colour_name(measures.mean_hue(picture, measures.shrink(thing.mask))) == thing.colour
            for picture, scene in zip(drawn, chosen, strict=True)
            for thing in scene.things
        ]
        # Chance is a half: the colours of the prompt, dealt out at random.
        assert sum(hits) >= 6

    def test_the_evaluations_sampler_is_plain_diffusers(self, sampler, obedient, single):
        maps = np.stack([scene.canny for scene in single[:2]])
        drawn = sampler([scene.caption() for scene in single[:2]], (sampling.Unit("canny", maps),))
        assert np.abs(drawn.astype(int) - obedient[:2].astype(int)).max() <= 3
