"""Chunks of 75 tokens, BREAK, commas, embeddings: with a tokenizer of one token per word."""

from __future__ import annotations

import re

import pytest
from img_open.a1111.chunks import CHUNK, Embedding, Vector, by_first_token, chunks
from img_open.base.errors import InvalidRequest

WORDS: dict[str, int] = {}


def tokens(text: str) -> list[int]:
    return [WORDS.setdefault(word, len(WORDS)) for word in re.findall(r"\w+|[^\w\s]", text)]


def lengths(text: str) -> list[int]:
    return [len(chunk.tokens) for chunk in chunks(text, tokens)]


def test_an_empty_text_is_one_empty_chunk() -> None:
    assert lengths("") == [0]


def test_a_chunk_holds_75_tokens() -> None:
    assert lengths("a " * 75) == [75]
    assert lengths("a " * 76) == [75, 1]


def test_break_ends_a_chunk_and_may_leave_it_empty() -> None:
    assert lengths("a b BREAK c") == [2, 1]
    assert lengths("a BREAK BREAK b") == [1, 0, 1]


def test_a_full_chunk_ends_at_a_comma_among_its_last_20_tokens() -> None:
    near = "a " * 60 + ", " + "b " * 20  # the comma is token 61 of 75
    assert lengths(near) == [61, 20]
    far = "a " * 50 + ", " + "b " * 30
    assert lengths(far) == [75, 6]


def test_weights_follow_their_tokens() -> None:
    (chunk,) = chunks("one (two three:1.5) [four]", tokens)
    assert chunk.weights == pytest.approx([1.0, 1.5, 1.5, 1 / 1.1])


def test_an_embedding_is_found_by_its_bare_name_the_longest_first() -> None:
    table = by_first_token(
        [
            Embedding("easy", tuple(tokens("easy")), lambda: 2),
            Embedding("easy negative", tuple(tokens("easy negative")), lambda: 3),
        ]
    )
    (chunk,) = chunks("a (easy negative:1.2), easy", tokens, table)
    names = [each.embedding if isinstance(each, Vector) else "word" for each in chunk.tokens]
    assert names == ["word", *["easy negative"] * 3, "word", *["easy"] * 2]
    assert [each.index for each in chunk.tokens if isinstance(each, Vector)] == [0, 1, 2, 0, 1]
    assert chunk.weights == pytest.approx([1.0, 1.2, 1.2, 1.2, 1.0, 1.0, 1.0])


def test_an_embedding_is_never_cut_in_two() -> None:
    table = by_first_token([Embedding("big", tuple(tokens("big")), lambda: 10)])
    assert [len(chunk.tokens) for chunk in chunks("a " * 70 + "big", tokens, table)] == [70, 10]


def test_an_embedding_that_fits_no_chunk_is_refused() -> None:
    table = by_first_token([Embedding("huge", tuple(tokens("huge")), lambda: CHUNK + 1)])
    with pytest.raises(InvalidRequest, match="huge has 76"):
        chunks("huge", tokens, table)


def test_an_unnamed_embedding_is_never_loaded() -> None:
    def fail() -> int:
        raise AssertionError("loaded")

    table = by_first_token([Embedding("other", tuple(tokens("other")), fail)])
    assert chunks("a b", tokens, table)
