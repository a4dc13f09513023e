"""SDXL's two text models and size conditioning, on tensors (engines/comfy_prompt.py)."""

from __future__ import annotations

from typing import Any

Facts = dict[str, Any]


def test_without_weights_it_is_the_hosts_own_node_in_every_bit(text_facts: Facts) -> None:
    """CLIPTextEncodeSDXL, in one chunk and in two, vectors and pooled; clip_skip does nothing."""
    found = dict(text_facts["plain"])
    assert found.pop("kind") == "SDXL"
    assert len(found) == 7
    assert [name for name, held in found.items() if not held] == []


def test_emphasis_is_the_web_uis_in_each_text_model(text_facts: Facts) -> None:
    """Vectors times weight with the chunk's mean restored, apart for each model; pooled stays."""
    assert text_facts["emphasis"]["vectors"] < 1e-6
    assert text_facts["emphasis"]["pooled"] < 1e-5
    assert text_facts["emphasis"]["moved"] > 0.05


def test_an_empty_negative_prompt_is_zeros(text_facts: Facts) -> None:
    assert len(text_facts["negative"]) == 4
    assert [name for name, held in text_facts["negative"].items() if not held] == []


def test_embeddings_reach_both_text_models(text_facts: Facts) -> None:
    assert text_facts["embedding"] == {"same": True, "differs from the word": True}


def test_the_unet_is_told_the_size(text_facts: Facts) -> None:
    """The latent's own, or a stated one, as by the host's node."""
    assert len(text_facts["sizes"]) == 3
    assert [name for name, held in text_facts["sizes"].items() if not held] == []
