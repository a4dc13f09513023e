"""The web UI's prompt language on ComfyUI's CLIP: one text to CONDITIONING, LoRA tags to patched models.

Used of the host: the tokenizers inside a CLIP, `encode_from_tokens`, `clip_layer`, `load_embed` and
`load_lora_for_models`. Tested on ComfyUI 0.3.48 and 0.3.64.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..a1111.chunks import CHUNK, Chunk, Embedding, Vector, by_first_token, chunks
from ..a1111.prompt import LoraTag, extract_loras, parse_and, parse_schedule
from ..base.errors import InvalidRequest, Unsupported
from .comfy_names import find_name, stem

if TYPE_CHECKING:
    import torch

Emphasis = Literal["web-ui", "host"]
Conditioning = list[Any]

# Keys of a CONDITIONING entry that our guider reads; other guiders leave them alone.
CALLS = "img_open_calls"  # (first, last) model call in which the entry counts, from 0
WEIGHT = "img_open_weight"  # of a part joined by AND


class TextEncoder:
    """A CLIP of ComfyUI with the web UI's reading of one text.

    Args:
        clip: ComfyUI's CLIP.
        emphasis: "web-ui" multiplies a token's vector and restores the chunk's mean; "host" goes from the
            empty prompt's vector towards it, as ComfyUI does.
        clip_skip: 0 leaves the CLIP as it is wired; n takes the output of the n-th last layer. SD2 and SDXL
            ignore it, as in the web UI.

    Raises:
        Unsupported: the text model is not a CLIP (T5 and others have no chunks).
    """

    def __init__(self, clip: Any, emphasis: Emphasis = "web-ui", clip_skip: int = 0) -> None:
        self._tokenizers = _tokenizers(clip)
        self.skips = set(self._tokenizers) == {"l"}
        if clip_skip and self.skips:
            clip = clip.clone()
            clip.clip_layer(-clip_skip)
        self._clip, self._emphasis = clip, emphasis
        self._vectors: dict[tuple[str, str], Any] = {}
        self._embeddings = by_first_token(self._find_embeddings())
        self._known: dict[str, tuple[torch.Tensor, dict[str, Any]]] = {}

    @property
    def is_sdxl(self) -> bool:
        """Whether this is SDXL's pair of text models."""
        return set(self._tokenizers) == {"l", "g"}

    @property
    def used_embeddings(self) -> list[str]:
        """Names of the embeddings met so far."""
        return sorted({name for name, _ in self._vectors})

    def encode(self, text: str) -> tuple[torch.Tensor, dict[str, Any]]:
        """One text without AND and editing: tensor (1, 77 * chunks, width) and the entry's options."""
        if text not in self._known:
            self._known[text] = self._encode(text)
        return self._known[text]

    def _encode(self, text: str) -> tuple[torch.Tensor, dict[str, Any]]:
        parts = chunks(text, self._plain_tokens, self._embeddings)
        host = self._emphasis == "host"
        tokens = {key: [self._row(key, part, host) for part in parts] for key in self._tokenizers}
        made = self._clip.encode_from_tokens(tokens, return_pooled=True, return_dict=True)
        vectors = made.pop("cond")
        if not host:
            vectors = self._emphasise(vectors, parts)
        return vectors, made

    def _plain_tokens(self, text: str) -> list[int]:
        tokenizer = next(iter(self._tokenizers.values()))
        return list(
            tokenizer.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        )

    def _row(self, key: str, chunk: Chunk, weighted: bool) -> list[tuple[Any, float]]:
        """A chunk as the host wants it: 77 tokens with weights."""
        tokenizer = self._tokenizers[key]
        pad = tokenizer.end_token if tokenizer.pad_with_end else 0
        row: list[tuple[Any, float]] = [(tokenizer.start_token, 1.0)]
        for token, weight in zip(chunk.tokens, chunk.weights, strict=True):
            item = self._vector(key, token) if isinstance(token, Vector) else token
            row.append((item, weight if weighted else 1.0))
        row.append((tokenizer.end_token, 1.0))
        return [*row, *[(pad, 1.0)] * (CHUNK + 2 - len(row))]

    def _emphasise(self, vectors: torch.Tensor, parts: Sequence[Chunk]) -> torch.Tensor:
        import torch

        if all(weight == 1.0 for part in parts for weight in part.weights):
            return vectors
        widths = [int(tokenizer.embedding_size) for tokenizer in self._tokenizers.values()]
        if sum(widths) != vectors.shape[-1]:
            widths = [int(vectors.shape[-1])]
        done: list[torch.Tensor] = []
        for part, chunk in zip(parts, vectors.split(CHUNK + 2, dim=1), strict=True):
            weights = [1.0, *part.weights, *[1.0] * (CHUNK - len(part.weights)), 1.0]
            factors = torch.tensor(weights, dtype=chunk.dtype, device=chunk.device)[None, :, None]
            done.append(torch.cat([_emphasised(one, factors) for one in chunk.split(widths, dim=-1)], dim=-1))
        return torch.cat(done, dim=1)

    # --- embeddings ---

    def _find_embeddings(self) -> list[Embedding]:
        import folder_paths

        return [
            Embedding(stem(name), tuple(self._plain_tokens(stem(name))), partial(self._count, stem(name)))
            for name in folder_paths.get_filename_list("embeddings")
        ]

    def _count(self, name: str) -> int:
        return int(self._load(next(iter(self._tokenizers)), name).shape[0])

    def _vector(self, key: str, token: Vector) -> Any:
        vectors = self._load(key, token.embedding)
        return vectors[min(token.index, vectors.shape[0] - 1)]

    def _load(self, key: str, name: str) -> Any:
        import comfy.sd1_clip

        if (name, key) not in self._vectors:
            tokenizer = self._tokenizers[key]
            loaded = comfy.sd1_clip.load_embed(
                name, tokenizer.embedding_directory, tokenizer.embedding_size, tokenizer.embedding_key
            )
            if loaded is None:
                raise InvalidRequest(
                    f"The embedding {name} does not fit this checkpoint's text model.",
                    "Use one made for its family, or take the word out of the prompt.",
                    field="prompt",
                )
            self._vectors[name, key] = loaded.reshape(-1, loaded.shape[-1])
        return self._vectors[name, key]


def _tokenizers(clip: Any) -> dict[str, Any]:
    """The CLIP tokenizers of a text model by their key ("l", "g", "h"), in the order of its vectors."""
    from comfy.sd1_clip import SDTokenizer

    found = {
        name.removeprefix("clip_"): value
        for name, value in vars(clip.tokenizer).items()
        if isinstance(value, SDTokenizer) and name.startswith("clip_")
    }
    others = [name for name, value in vars(clip.tokenizer).items() if isinstance(value, SDTokenizer)]
    if not found or len(others) != len(found):
        raise Unsupported(
            "The web UI's prompt syntax is defined for CLIP text models (SD1.5, SD2, SDXL), and this "
            "is another.",
            "Use ComfyUI's own text nodes with this model.",
        )
    return found


def _emphasised(vectors: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Vectors of one chunk times their weights, with the mean they had before."""
    weighted = vectors * factors
    before, after = vectors.mean(), weighted.mean()
    # The web UI divides by the new mean, which works because CLIP's vectors have one (about a tenth of their
    # spread). Where a text model centres its vectors the quotient is noise, up to infinity.
    if min(abs(before), abs(after)) < 0.01 * vectors.std():
        return weighted
    return weighted * (before / after)


def conditioning(
    encoder: TextEncoder, text: str, steps: int, hires_steps: int = 0, negative: bool = False
) -> Conditioning:
    """A prompt without network tags as CONDITIONING: one entry per part (AND) and per stage of its editing.

    Args:
        encoder: the text model.
        text: the prompt.
        steps: model calls of the (first) pass: steps, twice that for samplers of second order.
        hires_steps: model calls of the second pass, if the conditioning is for that; else 0.
        negative: this is the negative prompt; an empty one is all zeros for SDXL, as in the web UI.

    Raises:
        InvalidRequest: a weight that is no number, an embedding that does not fit.
    """
    if negative and not text and encoder.is_sdxl:
        return [_zeros(encoder)]
    total = hires_steps or steps
    parts, texts = parse_and(text)
    made: Conditioning = []
    for index, weight in parts:
        first = 0
        stages = parse_schedule(texts[index], steps, hires_steps or None)
        for last, shown in stages:
            if last < first:
                continue
            vectors, options = encoder.encode(shown)
            entry = dict(options)
            if len(parts) > 1 or weight != 1.0:
                entry |= {"strength": weight, WEIGHT: weight}
            if len(stages) > 1:
                entry |= {
                    CALLS: (first, last),
                    "start_percent": min(first / total, 1.0),
                    "end_percent": min((last + 1) / total, 1.0),
                }
            made.append([vectors, entry])
            first = last + 1
    return made


def _zeros(encoder: TextEncoder) -> list[Any]:
    vectors, options = encoder.encode("")
    pooled = options.get("pooled_output")
    nothing = {} if pooled is None else {"pooled_output": pooled * 0}
    return [vectors * 0, {**options, **nothing}]


@dataclass(frozen=True)
class Networks:
    """A prompt without its `<lora:...>` tags, the models with them applied, and what is worth telling."""

    text: str
    model: Any
    clip: Any
    notices: tuple[str, ...]


def apply_networks(prompt: str, model: Any, clip: Any) -> Networks:
    """Take the tags out of a prompt and apply the LoRA files they name.

    Args:
        prompt: the positive prompt.
        model: ComfyUI's MODEL, or None when only text is wanted.
        clip: ComfyUI's CLIP.

    Raises:
        InvalidRequest: there is a tag, but no MODEL to apply it to.
        MissingModel: no such file; the nearest names are in the text.
    """
    found = extract_loras(prompt)
    notices = [f"{tag}: left out, this engine knows <lora:...> only." for tag in found.others]
    for tag in found.loras:
        if model is None:
            raise InvalidRequest(
                f"The prompt asks for the LoRA {tag.name}, but no MODEL is wired in.",
                "Wire model, or choose to keep or drop the tags.",
                field="prompt",
            )
        model, clip, told = _apply(tag, model, clip)
        notices.append(told)
    return Networks(found.text, model, clip, tuple(notices))


def _apply(tag: LoraTag, model: Any, clip: Any) -> tuple[Any, Any, str]:
    import comfy.sd
    import comfy.utils
    import folder_paths

    name = find_name(tag.name, folder_paths.get_filename_list("loras"), "LoRA")
    weights = comfy.utils.load_torch_file(folder_paths.get_full_path_or_raise("loras", name), safe_load=True)
    model, clip = comfy.sd.load_lora_for_models(model, clip, weights, tag.unet, tag.te)
    told = f"LoRA {name}: {tag.unet:g} on the model, {tag.te:g} on the text model."
    if tag.dyn is not None:
        told += f" Its rank limit {tag.dyn} is left out."
    return model, clip, told


def without_tags(prompt: str) -> tuple[str, list[str]]:
    """A prompt without its tags, and what they were."""
    found = extract_loras(prompt)
    return found.text, [
        f"{name}: left out." for name in (*(lora.name for lora in found.loras), *found.others)
    ]
