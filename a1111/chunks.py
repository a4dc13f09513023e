"""Tokens of a prompt in chunks of 75, as stable-diffusion-webui cuts them, with embeddings by bare name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..base.errors import InvalidRequest
from .prompt import BREAK, BREAK_WEIGHT, parse_attention

CHUNK = 75
COMMA_BACKTRACK = 20


@dataclass(frozen=True)
class Vector:
    """One vector of an embedding, standing where a token stands."""

    embedding: str
    index: int


@dataclass
class Chunk:
    """Up to 75 tokens (ids or vectors of embeddings), each with its weight."""

    tokens: list[int | Vector] = field(default_factory=list["int | Vector"])
    weights: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class Embedding:
    """An embedding that a prompt may name.

    Attributes:
        name: of the file, without extension.
        tokens: how the name is spelt in tokens.
        count: tells how many vectors it has; asked only when a prompt names it, since it reads the file.
    """

    name: str
    tokens: tuple[int, ...]
    count: Callable[[], int]


def chunks(
    text: str,
    tokens_of: Callable[[str], Sequence[int]],
    embeddings: Mapping[int, Sequence[Embedding]] | None = None,
) -> list[Chunk]:
    """A prompt part (no AND, no editing brackets) cut into chunks; at least one, not padded.

    A chunk that is full ends at the last comma among its last 20 tokens; BREAK ends it at once. A name of an
    embedding is found anywhere among the tokens, the longest first.

    Args:
        text: with emphasis in brackets.
        tokens_of: the tokenizer, without start and end.
        embeddings: those there are, by the first token of their names.

    Raises:
        InvalidRequest: an embedding has more than 75 vectors.
    """
    comma = tuple(tokens_of(","))[-1:]
    cutter = _Cutter(comma[0] if comma else None)
    for piece, weight in parse_attention(text):
        if piece == BREAK and weight == BREAK_WEIGHT:
            cutter.close()
            continue
        tokens = list(tokens_of(piece))
        place = 0
        while place < len(tokens):
            found = _embedding_at(tokens, place, embeddings or {})
            if found is None:
                cutter.token(tokens[place], weight)
                place += 1
            else:
                cutter.embedding(found, weight)
                place += len(found.tokens)
    return cutter.done()


def by_first_token(embeddings: Sequence[Embedding]) -> dict[int, list[Embedding]]:
    """Embeddings as `chunks` wants them: by their first token, longer names first."""
    table: dict[int, list[Embedding]] = {}
    for each in sorted(embeddings, key=lambda one: -len(one.tokens)):
        if each.tokens:
            table.setdefault(each.tokens[0], []).append(each)
    return table


def _embedding_at(
    tokens: Sequence[int], place: int, table: Mapping[int, Sequence[Embedding]]
) -> Embedding | None:
    for each in table.get(tokens[place], ()):
        if tuple(tokens[place : place + len(each.tokens)]) == each.tokens:
            return each
    return None


class _Cutter:
    def __init__(self, comma: int | None) -> None:
        self._comma = comma
        self._done: list[Chunk] = []
        self._chunk = Chunk()
        self._last_comma = -1

    def token(self, token: int, weight: float) -> None:
        full = len(self._chunk.tokens) == CHUNK
        if token == self._comma:
            self._last_comma = len(self._chunk.tokens)
        elif full and self._last_comma != -1 and CHUNK - self._last_comma <= COMMA_BACKTRACK:
            cut = self._last_comma + 1
            rest = Chunk(self._chunk.tokens[cut:], self._chunk.weights[cut:])
            self._chunk = Chunk(self._chunk.tokens[:cut], self._chunk.weights[:cut])
            self.close()
            self._chunk = rest
        if len(self._chunk.tokens) == CHUNK:
            self.close()
        self._chunk.tokens.append(token)
        self._chunk.weights.append(weight)

    def embedding(self, found: Embedding, weight: float) -> None:
        vectors = found.count()
        if vectors > CHUNK:
            raise InvalidRequest(
                f"The embedding {found.name} has {vectors} vectors, a chunk of a prompt at most {CHUNK}.",
                "Use another one.",
            )
        if len(self._chunk.tokens) + vectors > CHUNK:
            self.close()
        self._chunk.tokens += [Vector(found.name, index) for index in range(vectors)]
        self._chunk.weights += [weight] * vectors

    def close(self) -> None:
        """End the chunk that is being filled, however full it is."""
        self._done.append(self._chunk)
        self._chunk, self._last_comma = Chunk(), -1

    def done(self) -> list[Chunk]:
        if self._chunk.tokens or not self._done:
            self._done.append(self._chunk)
        return self._done
