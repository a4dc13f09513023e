"""What is not honoured is said, field by field; what asks for nothing is not worth a word."""

from __future__ import annotations

import pytest


def said(result):
    return {info.field: info.verdict for info in result.infos}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"restore_faces": True}, "restore_faces"),
        ({"image_cfg_scale": 1.5}, "image_cfg_scale"),
        ({"styles": ["photo"]}, "styles"),
        ({"subseed": 3}, "subseed"),
        ({"tiling": True}, "tiling"),
        ({"something_new": 1}, "something_new"),
        ({"always_on": {"ADetailer": {"args": [True]}}}, "alwayson_scripts.ADetailer"),
        (
            {"always_on": {"override_settings": {"eta_noise_seed_delta": 31337}}},
            "alwayson_scripts.override_settings.eta_noise_seed_delta",
        ),
        ({"prompt": "a circle <lora:style:0.8>"}, "prompt"),
    ],
)
def test_each_field_that_is_left_out_is_named(run, body, fields, field):
    result = run(body(steps=1, **fields))
    assert said(result) == {field: "refused"}
    assert result.infos[0].message


@pytest.mark.parametrize(
    "fields",
    [
        {"restore_faces": False},
        {"styles": []},
        {"tiling": False},
        {"script_name": None},
        {"hr_upscaler": "x"},
    ],
)
def test_values_that_ask_for_nothing_are_not_mentioned(run, body, fields):
    assert run(body(steps=1, **fields)).infos == []


def test_lora_tags_do_not_reach_the_text_encoder(run, body):
    import numpy as np

    tagged = run(body(prompt="a circle<lora:style:0.8>")).images[0]
    assert np.array_equal(tagged, run(body(prompt="a circle")).images[0])


def test_unit_fields_nobody_knows_are_named_with_their_unit(run, body, unit):
    result = run(body([unit(), unit(glow=3, union_control_type="Depth")], steps=1))
    assert said(result) == {
        "alwayson_scripts.controlnet.args[1].glow": "refused",
        "alwayson_scripts.controlnet.args[1].union_control_type": "refused",
    }


def test_a_unit_without_enabled_counts_and_is_mentioned(run, body, unit, canny, spy):
    calls = spy(canny)
    payload = unit()
    del payload["enabled"]
    result = run(body([payload], steps=1))
    assert len(calls) == 1
    assert list(said(result).values()) == ["notice"]


def test_which_checkpoint_was_taken_is_said_when_there_were_several(model_folder, body, pictures):
    from img_open.engines.diffusers import DiffusersEngine
    from img_open.engines.models import LocalModels

    models = LocalModels().add(model_folder, "checkpoint", name="a").add(model_folder, "checkpoint", name="b")
    result = DiffusersEngine(models, device="cpu").run(body(steps=1), pictures=pictures)
    assert said(result) == {"alwayson_scripts.sd_model_checkpoint": "notice"}
