# pyright: basic
"""Prompts to text vectors as the web UI does: chunks of 75, emphasis that keeps the mean, AND, editing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..a1111.prompt import BREAK, BREAK_WEIGHT, parse_and, parse_attention, parse_schedule
from ..base.errors import InvalidRequest

CHUNK = 75
#: A chunk's end moves back to the last comma within this many tokens (the web UI's default).
COMMA_BACKTRACK = 20
#: Below this share of the values' spread a mean is rounding (an untrained text model's vectors have none).
_NO_MEAN = 0.01


@dataclass
class _Chunk:
    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


class TextEncoder:
    """One checkpoint's CLIP text model with the web UI's reading of prompts.

    Args:
        networks: needs `tokenizer` and `text_encoder`.
        clip_skip: 1 is the last layer's output, 2 the one before, each with the final layer norm.
        device: where the text model lies.
    """

    def __init__(self, networks: Any, clip_skip: int, device: Any) -> None:
        self._tokenizer = networks.tokenizer
        self._model = networks.text_encoder
        self._skip = clip_skip
        self._device = device
        self._known: dict[str, Any] = {}

    def encode(self, text: str) -> Any:
        """One prompt part (no AND, no editing brackets) as float32 (1, 77 * chunks, width)."""
        if text not in self._known:
            self._known[text] = self._encode(text)
        return self._known[text]

    def _encode(self, text: str) -> Any:
        import torch

        parts = [self._encode_chunk(chunk) for chunk in self.chunks(text)]
        return torch.cat(parts, dim=1)

    def _encode_chunk(self, chunk: _Chunk) -> Any:
        import torch

        start, end = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        ids = torch.tensor([[start, *chunk.tokens, end]], device=self._device)
        output = self._model(input_ids=ids, output_hidden_states=self._skip > 1)
        if self._skip > 1:
            inner = getattr(self._model, "text_model", self._model)
            vectors = inner.final_layer_norm(output.hidden_states[-self._skip])
        else:
            vectors = output.last_hidden_state
        vectors = vectors.float()
        if all(weight == 1.0 for weight in chunk.weights):
            return vectors
        weights = torch.tensor([1.0, *chunk.weights, 1.0], device=vectors.device)
        emphasised = vectors * weights[None, :, None]
        if not torch.isfinite(emphasised).all():
            raise InvalidRequest(
                f"The emphasis in the prompt is too strong to compute with (up to {max(chunk.weights):g}).",
                "Use weights such as (word:1.3) and fewer nested brackets.",
                field="prompt",
            )
        before, after = vectors.mean(), emphasised.mean()
        # The web UI divides by the new mean, which works because CLIP's vectors have one (about a tenth of
        # their spread). Where a text model centres its vectors the quotient is noise, up to infinity.
        if min(abs(before), abs(after)) < _NO_MEAN * vectors.std():
            return emphasised
        return emphasised * (before / after)

    def chunks(self, text: str) -> list[_Chunk]:
        """Tokens and weights in chunks of 75, padded with the end token; at least one chunk."""
        comma = self._tokens(",")[-1:]
        done: list[_Chunk] = []
        chunk = _Chunk()
        last_comma = -1
        for piece, weight in parse_attention(text):
            if piece == BREAK and weight == BREAK_WEIGHT:
                done.append(self._padded(chunk))
                chunk, last_comma = _Chunk(), -1
                continue
            for token in self._tokens(piece):
                if [token] == comma:
                    last_comma = len(chunk.tokens)
                elif (
                    len(chunk.tokens) == CHUNK and last_comma != -1 and CHUNK - last_comma <= COMMA_BACKTRACK
                ):
                    cut = last_comma + 1
                    rest = _Chunk(chunk.tokens[cut:], chunk.weights[cut:])
                    done.append(self._padded(_Chunk(chunk.tokens[:cut], chunk.weights[:cut])))
                    chunk, last_comma = rest, -1
                if len(chunk.tokens) == CHUNK:
                    done.append(self._padded(chunk))
                    chunk, last_comma = _Chunk(), -1
                chunk.tokens.append(token)
                chunk.weights.append(weight)
        if chunk.tokens or not done:
            done.append(self._padded(chunk))
        return done

    def _padded(self, chunk: _Chunk) -> _Chunk:
        missing = CHUNK - len(chunk.tokens)
        end = self._tokenizer.eos_token_id
        return _Chunk([*chunk.tokens, *[end] * missing], [*chunk.weights, *[1.0] * missing])

    def _tokens(self, text: str) -> list[int]:
        return list(
            self._tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
        )


class PromptPlan:
    """What to show the U-Net at each model call: several weighted conditions and one unconditional.

    Args:
        prompt: the positive prompt, without LoRA tags.
        negative: the negative prompt.
        steps: model calls of the steps the request asks for: the steps, or twice that for samplers of second
            order.
        hires_steps: the same for the second pass of the hires fix; None for the first.
    """

    def __init__(self, prompt: str, negative: str, steps: int, hires_steps: int | None = None) -> None:
        parts, texts = parse_and(prompt)
        schedules = [parse_schedule(text, steps, hires_steps) for text in texts]
        self._parts = [(weight, schedules[index]) for index, weight in parts]
        self._negative = parse_schedule(negative, steps, hires_steps)

    @property
    def weights(self) -> list[float]:
        """Weight of each positive part, in order."""
        return [weight for weight, _ in self._parts]

    def texts(self) -> list[str]:
        """Every text that will be shown, once each."""
        entries = [*self._negative, *(entry for _, part in self._parts for entry in part)]
        return list(dict.fromkeys(text for _, text in entries))

    def positive(self, call: int) -> list[str]:
        """The text of each positive part at model call `call` (0-based)."""
        return [_at(entries, call) for _, entries in self._parts]

    def negative(self, call: int) -> str:
        """The negative text at model call `call`."""
        return _at(self._negative, call)


def _at(entries: list[tuple[int, str]], call: int) -> str:
    # The web UI compares its call counter with <=, so an entry [end, text] covers end + 1 calls.
    return next((text for end, text in entries if call <= end), entries[-1][1])
