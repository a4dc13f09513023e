"""The web UI's reading of prompts, on the small model's text encoder."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from img_open.base.errors import InvalidRequest
from img_open.engines.diffusers_prompt import PromptPlan, TextEncoder


@pytest.fixture
def untrained(engine, models):
    networks = engine._loader.checkpoint(models.find_checkpoint("demo"))
    with torch.inference_mode():
        yield TextEncoder(networks, 1, "cpu")


@pytest.fixture
def encoder(engine, models):
    """A text model whose vectors have a mean, as a trained one's have."""
    networks = engine._loader.checkpoint(models.find_checkpoint("demo"))
    text_encoder = copy.deepcopy(networks.text_encoder)
    inner = getattr(text_encoder, "text_model", text_encoder)
    with torch.inference_mode():
        inner.final_layer_norm.bias.add_(0.2)
        yield TextEncoder(replace(networks, text_encoder=text_encoder), 1, "cpu")


def test_plain_text_equals_the_text_model_s_own_output(encoder):
    tokenizer, model = encoder._tokenizer, encoder._model
    ids = tokenizer("a red circle", padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert torch.allclose(encoder.encode("a red circle"), model(input_ids=ids).last_hidden_state, atol=1e-6)


def test_emphasis_scales_its_tokens_and_keeps_the_mean(encoder):
    plain, strong = encoder.encode("a red circle")[0], encoder.encode("a (red:1.5) circle")[0]
    assert float(strong.mean()) == pytest.approx(float(plain.mean()), rel=1e-3)
    factor = strong / plain
    shared = factor[1].mean()
    assert torch.allclose(factor[1], shared.expand_as(factor[1]), rtol=1e-3)
    assert float((factor[2] / shared).mean()) == pytest.approx(1.5, rel=1e-3)


def test_vectors_without_a_mean_are_not_scaled_by_rounding_errors(untrained):
    plain, strong = untrained.encode("a red circle")[0], untrained.encode("a (red:1.5) circle")[0]
    assert torch.equal(plain[1], strong[1])
    assert torch.allclose(plain[2] * 1.5, strong[2])


def test_emphasis_beyond_all_numbers_is_refused(encoder):
    with pytest.raises(InvalidRequest, match="emphasis"):
        encoder.encode(f"a (red:1{'0' * 45}) circle")


def test_square_brackets_weaken(encoder):
    plain, weak = encoder.encode("a red circle")[0], encoder.encode("a [red] circle")[0]
    ratio = (weak[2] / plain[2]).mean() / (weak[1] / plain[1]).mean()
    assert float(ratio) == pytest.approx(1 / 1.1, rel=1e-3)


def test_break_fills_its_chunk(encoder):
    assert encoder.encode("a red circle BREAK a star").shape[1] == 154
    first = encoder.encode("a red circle BREAK a star")[:, :77]
    assert torch.equal(first, encoder.encode("a red circle"))


def test_long_prompts_become_several_chunks(encoder):
    assert encoder.encode("red " * 75).shape[1] == 77
    assert encoder.encode("red " * 76).shape[1] == 154
    assert encoder.encode("").shape[1] == 77


def test_a_chunk_ends_at_the_last_comma_when_one_is_near(encoder):
    tokens = encoder._tokens
    assert len(tokens("red")) == 1
    comma = tokens(",")[-1]
    first, second = encoder.chunks("red " * 70 + ", " + "blue " * 10)
    assert first.tokens[70] == comma
    assert first.tokens[71] == encoder._tokenizer.eos_token_id
    assert second.tokens[:10] == tokens("blue") * 10


def test_and_makes_weighted_parts_and_editing_follows_the_calls():
    plan = PromptPlan("cat AND dog:0.5", "[a:b:2] c", 4)
    assert plan.weights == [1.0, 0.5]
    assert [text.strip() for text in plan.positive(0)] == ["cat", "dog"]
    # An entry that ends at step 2 is used while the call index is at most 2.
    assert [plan.negative(call).strip() for call in range(4)] == ["a c", "a c", "a c", "b c"]


def test_the_second_pass_counts_shares_from_one_to_two():
    assert PromptPlan("[a:b:1.5] c", "", 10, 4).positive(3) == ["b c"]
    assert PromptPlan("[a:b:1.5] c", "", 10, 4).positive(2) == ["a c"]
    assert PromptPlan("[a:b:0.5] c", "", 10, 4).positive(0) == ["b c"]


def test_and_and_editing_reach_the_pictures(run, body):
    import numpy as np

    plain = run(body(prompt="a red circle")).images[0]
    both = run(body(prompt="a red circle AND a blue star:0.7")).images[0]
    edited = run(body(prompt="[a red circle:a blue star:1]", steps=3)).images[0]
    assert not np.array_equal(plain, both)
    assert not np.array_equal(run(body(prompt="a red circle", steps=3)).images[0], edited)
    silent = run(body(prompt="a red circle AND a blue star:0")).images[0]
    assert np.abs(silent.astype(int) - plain).max() <= 1, (
        "three rows in one call may round otherwise than two"
    )


def test_prompts_of_different_length_run_together_with_control(run, body, unit):
    result = run(body([unit()], prompt="red " * 90, steps=1))
    assert result.images[0].shape == (64, 64, 3)


def test_editing_counts_the_calls_of_second_order_samplers(run, body):
    """Heun makes 7 calls in 4 steps: an edit after "step" 5 still comes, before the last call."""
    import numpy as np

    settings = {"steps": 4, "sampler_index": "Heun"}
    plain = run(body(prompt="a red circle", **settings)).images[0]
    edited = run(body(prompt="[a red circle:a blue star:5]", **settings)).images[0]
    late = run(body(prompt="[a red circle:a blue star:6]", **settings)).images[0]
    assert not np.array_equal(plain, edited)
    assert np.array_equal(plain, late)
