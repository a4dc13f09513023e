"""The web UI's prompt language, against the original's parses."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from img_open.a1111.prompt import LoraTag, extract_loras, parse_and, parse_attention, parse_schedule
from img_open.base.errors import InvalidRequest


@pytest.mark.golden_table("prompt_attention")
def test_attention(row):
    prompt, expected = row
    parsed = parse_attention(prompt)
    assert [text for text, _ in parsed] == [text for text, _ in expected]
    assert [weight for _, weight in parsed] == pytest.approx([weight for _, weight in expected])


@pytest.mark.golden_table("prompt_schedule")
def test_schedule(row):
    prompt, steps, expected = row
    assert parse_schedule(prompt, steps) == [tuple(entry) for entry in expected]


@pytest.mark.golden_table("prompt_and")
def test_and(row):
    prompt, indexes, flat = row
    assert parse_and(prompt) == ([tuple(pair) for pair in indexes], flat)


def test_equal_parts_of_and_are_one():
    assert parse_and(" a AND b AND a:2") == ([(0, 1.0), (1, 1.0), (0, 2.0)], [" a", " b"])


@pytest.mark.parametrize(
    ("prompt", "steps", "expected"),
    [
        # Groups stay as they are, and what is inside them is still resolved.
        ("(a [b:c:5]:1.2)", 10, [(5, "(a b:1.2)"), (10, "(a c:1.2)")]),
        ("[a]", 4, [(4, "[a]")]),
        # What fits no rule is text; inside it the rules go on.
        ("(a [b:c:2]", 4, [(2, "(a b"), (4, "(a c")]),
        ("a: b]", 4, [(4, "a: b]")]),
        ("[a:[b:c:2]]", 4, [(2, "[a:b]"), (4, "[a:c]")]),
        # A bar outside of an alternation: no editing at all.
        ("a|b [c:d:2]", 4, [(4, "a|b [c:d:2]")]),
        # An empty option, an escaped bracket, a number that is out of range.
        ("[a|]", 3, [(1, "a"), (2, ""), (3, "a")]),
        (r"\[a:b:2\]", 4, [(4, r"\[a:b:2\]")]),
        ("[a:b:-3]", 4, [(4, "b")]),
        ("[a:b:0]", 4, [(4, "b")]),
        ("[a:1.0]", 4, [(4, "")]),
        ("", 3, [(3, "")]),
    ],
)
def test_schedule_rules(prompt, steps, expected):
    assert parse_schedule(prompt, steps) == expected


def test_schedule_of_the_second_pass():
    assert parse_schedule("[a:b:1.5]", 20, 10) == [(5, "a"), (10, "b")]
    assert parse_schedule("[a:b:23]", 20, 10) == [(3, "a"), (10, "b")]
    assert parse_schedule("[a:b:0.5]", 20, 10) == [(10, "b")]


@given(st.text(alphabet="ab ()[]:|\\.15", max_size=24), st.integers(1, 12))
def test_any_text_has_a_schedule_that_covers_all_steps(prompt, steps):
    entries = parse_schedule(prompt, steps)
    ends = [end for end, _ in entries]
    assert ends == sorted(set(ends))
    assert ends[-1] == steps
    assert ends[0] >= 1


def test_nesting_takes_no_exponential_time():
    started = time.monotonic()
    parse_schedule("[" * 200 + "a:" * 50 + "]" * 150, 20)
    parse_attention("(" * 5000 + "a" + ")" * 5000)
    assert time.monotonic() - started < 5


def test_break_and_escapes():
    assert parse_attention("a BREAK BREAK b") == [
        ("a", 1.0),
        ("BREAK", -1.0),
        ("", 1.0),
        ("BREAK", -1.0),
        ("b", 1.0),
    ]
    assert parse_attention("breakfast BREAKfast") == [("breakfast BREAKfast", 1.0)]
    assert parse_attention(r"a\b \\ \[c\]") == [(r"ab \ [c]", 1.0)]
    assert parse_attention("a] b)") == [("a] b)", 1.0)]


def test_a_weight_that_is_no_number_is_an_error():
    with pytest.raises(InvalidRequest, match="prompt weight"):
        parse_attention("(a:1.2.3)")


@pytest.mark.parametrize(
    ("tag", "lora"),
    [
        ("<lora:x>", LoraTag("x")),
        ("<lora:x:0.7>", LoraTag("x", 0.7, 0.7)),
        ("<lora:x:0.7:0.5>", LoraTag("x", 0.7, 0.5)),
        ("<lora:x:0.7:0.5:8>", LoraTag("x", 0.7, 0.5, 8)),
        ("<lora:x:te=0.2:unet=0.3>", LoraTag("x", 0.2, 0.3)),
        ("<lora:x:1:dyn=4>", LoraTag("x", 1, 1, 4)),
    ],
)
def test_lora_tags(tag, lora):
    found = extract_loras(f"a {tag} b")
    assert (found.text, found.loras, found.others) == ("a  b", (lora,), ())


def test_other_tags_and_wrong_ones():
    found = extract_loras("<hypernet:y:1> a <lora:x:1> <b>")
    assert (found.text, found.others) == (" a  <b>", ("<hypernet:y:1>",))
    for wrong in ("<lora:x:strong>", "<lora:te=1>", "<lora:x:1:1:half>"):
        with pytest.raises(InvalidRequest):
            extract_loras(wrong)
