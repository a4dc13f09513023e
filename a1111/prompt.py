"""The prompt language of stable-diffusion-webui: emphasis, BREAK, AND, prompt editing, extra networks.

The order in which a prompt is read: extra networks are taken out, AND splits it, prompt editing gives each
part's text over the steps, and emphasis and BREAK are read in each of those texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..base.errors import InvalidRequest
from .schedule import parse_schedule

__all__ = [
    "BREAK",
    "BREAK_WEIGHT",
    "LoraTag",
    "PromptNetworks",
    "extract_loras",
    "parse_and",
    "parse_attention",
    "parse_schedule",
]

BREAK = "BREAK"
BREAK_WEIGHT = -1.0

_ROUND = 1.1
_SQUARE = 1 / 1.1

_ATTENTION_TOKEN = re.compile(
    r"""
    \\(?P<escaped>[()\[\]\\])              # a bracket or backslash that is meant literally
    | (?P<lone>\\)                         # any other backslash is dropped
    | (?P<open>[(\[])
    | :\s*(?P<weight>[+-]?[.\d]+)\s*\)     # ":1.3)"
    | (?P<close>[)\]])
    | (?P<text>[^\\()\[\]:]+|:)
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


def parse_attention(text: str) -> list[tuple[str, float]]:
    """A prompt part as pieces with their weights; a BREAK is the piece ("BREAK", -1).

    (x) multiplies by 1.1, [x] divides by it, (x:1.3) multiplies by the number; nested ones multiply. A
    bracket that is never closed holds to the end. A backslash makes a bracket literal. An empty text is one
    empty piece.

    >>> parse_attention("a (b:1.3)")
    [('a ', 1.0), ('b', 1.3)]
    """
    pieces: list[list[str | float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def weigh(since: int, factor: float) -> None:
        for piece in pieces[since:]:
            # A BREAK inside brackets gets a weight too and so becomes a word: the original does that.
            piece[1] = float(piece[1]) * factor

    for token in _ATTENTION_TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "escaped":
            pieces.append([token["escaped"], 1.0])
        elif kind == "open":
            opened[token["open"]].append(len(pieces))
        elif kind == "weight" and opened["("]:
            weigh(opened["("].pop(), _number(token["weight"], token[0]))
        elif kind == "close" and opened["(" if token["close"] == ")" else "["]:
            round_one = token["close"] == ")"
            weigh(opened["(" if round_one else "["].pop(), _ROUND if round_one else _SQUARE)
        elif kind != "lone":
            for index, part in enumerate(_BREAK.split(token[0])):
                if index:
                    pieces.append([BREAK, BREAK_WEIGHT])
                pieces.append([part, 1.0])
    for since in opened["("]:
        weigh(since, _ROUND)
    for since in opened["["]:
        weigh(since, _SQUARE)

    merged: list[tuple[str, float]] = []
    for piece, weight in pieces:
        if merged and merged[-1][1] == weight:
            merged[-1] = (merged[-1][0] + str(piece), float(weight))
        else:
            merged.append((str(piece), float(weight)))
    return merged or [("", 1.0)]


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequest.field("prompt weight", where, "a number as in (word:1.3)") from None


_AND = re.compile(r"\bAND\b")
_AND_WEIGHT = re.compile(r"(?P<text>.*?)(?:\s*:\s*(?P<weight>[-+]?(?:\d+\.?|\d*\.\d+)))?\s*", re.DOTALL)


def parse_and(prompt: str) -> tuple[list[tuple[int, float]], list[str]]:
    """A prompt split at AND: ([(index of the sub-prompt, weight), ...], the different sub-prompts).

    The picture follows uncond + cfg * sum of weight * (cond - uncond). Of two equal sub-prompts there is one.

    >>> parse_and("cat :1.2 AND dog")
    ([(0, 1.2), (1, 1.0)], ['cat', ' dog'])
    """
    places: dict[str, int] = {}
    parts: list[tuple[int, float]] = []
    for piece in _AND.split(prompt):
        match = _AND_WEIGHT.fullmatch(piece)
        text, weight = (match["text"], match["weight"]) if match else (piece, None)
        parts.append((places.setdefault(text, len(places)), float(weight) if weight else 1.0))
    return parts, list(places)


@dataclass(frozen=True)
class LoraTag:
    """`<lora:name:te:unet:dyn>`: its strength on the text encoder and on the U-Net, and its rank limit."""

    name: str
    te: float = 1.0
    unet: float = 1.0
    dyn: int | None = None


@dataclass(frozen=True)
class PromptNetworks:
    """A prompt without its extra-network tags, and what they were."""

    text: str
    loras: tuple[LoraTag, ...]
    others: tuple[str, ...]


_NETWORK = re.compile(r"<(?P<kind>\w+):(?P<items>[^>]+)>")


def extract_loras(prompt: str) -> PromptNetworks:
    """Takes `<kind:...>` tags out of a prompt; `others` are those that are not "lora", as written.

    The web UI reads the tags of the first prompt of a batch only, and never those of the negative prompt
    (where they are neither removed nor applied).

    Raises:
        InvalidRequest: a weight is not a number.
    """
    loras: list[LoraTag] = []
    others: list[str] = []

    def take(match: re.Match[str]) -> str:
        if match["kind"] == "lora":
            loras.append(_lora(match["items"], match[0]))
        else:
            others.append(match[0])
        return ""

    return PromptNetworks(_NETWORK.sub(take, prompt), tuple(loras), tuple(others))


def _lora(items: str, tag: str) -> LoraTag:
    positional: list[str] = []
    named: dict[str, str] = {}
    for item in items.split(":"):
        name, equals, value = item.partition("=")
        if equals:
            named[name] = value
        else:
            positional.append(item)
    if not positional:
        raise InvalidRequest.field("prompt tag", tag, "<lora:name:weight>")
    try:
        te = float(named.get("te", positional[1] if len(positional) > 1 else "1"))
        unet = float(named.get("unet", positional[2] if len(positional) > 2 else str(te)))
        dyn = named.get("dyn", positional[3] if len(positional) > 3 else None)
        return LoraTag(positional[0], te, unet, None if dyn is None else int(dyn))
    except ValueError:
        raise InvalidRequest.field(
            "prompt tag", tag, "<lora:name:weight> with a number as its weight"
        ) from None
