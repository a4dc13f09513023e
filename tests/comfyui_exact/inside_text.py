"""Runs inside ComfyUI's own Python and prints facts about SDXL's texts (engines/comfy_prompt.py).

usage: inside_text.py COMFYUI_DIR PACK_ROOT TABLES_JSON [probe ...]

The checkpoint is tests/comfyui/tiny_sdxl.py's, loaded by the host's own loader; only its larger text model is
cut to three layers, by an option of that loader.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import inside_models as tiny

COMFYUI, ROOT = Path(sys.argv[1]), Path(sys.argv[2])
WANTED = sys.argv[4:]
HOME = tempfile.TemporaryDirectory()
FOLDER = Path(HOME.name)
tiny.start(COMFYUI, ROOT)

import folder_paths  # noqa: E402
import torch  # noqa: E402
from comfy_extras.nodes_clip_sdxl import CLIPTextEncodeSDXL  # noqa: E402
from img_open.engines.comfy_prompt import TextEncoder, conditioning  # noqa: E402
from img_open.engines.comfy_sampling import WebUiGuider  # noqa: E402

LAYERS = 3
WIDTH_L = 768


def load() -> tuple[Any, Any]:
    """MODEL and CLIP of the tiny SDXL checkpoint, and an embedding that fits it."""
    import comfy.sd

    script = ROOT / "tests" / "comfyui" / "tiny_sdxl.py"
    subprocess.run([sys.executable, str(script), str(COMFYUI), str(FOLDER)], check=True, capture_output=True)
    embeddings = FOLDER / "embeddings"
    embeddings.mkdir()
    generator = torch.Generator().manual_seed(3)
    vectors = {"clip_l": torch.randn(2, WIDTH_L, generator=generator) * 0.02}
    vectors["clip_g"] = torch.randn(2, 1280, generator=generator) * 0.02
    torch.save(vectors, embeddings / "glow.pt")
    folder_paths.folder_names_and_paths["embeddings"] = ([str(embeddings)], {".pt"})
    model, clip, *_ = comfy.sd.load_checkpoint_guess_config(
        str(FOLDER / "checkpoints" / "tiny_sdxl.ckpt"),
        embedding_directory=[str(embeddings)],
        te_model_options={"clip_g_model_config": {"num_hidden_layers": LAYERS}},
    )
    return model, clip


MODEL, CLIP = load()


def ours(text: str, emphasis: Any = "web-ui", negative: bool = False, clip_skip: int = 0) -> Any:
    with torch.inference_mode():
        return conditioning(TextEncoder(CLIP, emphasis, clip_skip), text, 20, negative=negative)


def theirs(text: str, width: int = 64, height: int = 64) -> Any:
    """The host's own node. 0.3.48 has it in the old form."""
    sizes = {"width": width, "height": height, "crop_w": 0, "crop_h": 0}
    sizes |= {"target_width": width, "target_height": height}
    with torch.inference_mode():
        if hasattr(CLIPTextEncodeSDXL, "execute"):
            return CLIPTextEncodeSDXL.execute(clip=CLIP, text_g=text, text_l=text, **sizes)[0]
        return CLIPTextEncodeSDXL().encode(clip=CLIP, text_g=text, text_l=text, **sizes)[0]


def equal(one: Any, other: Any) -> bool:
    """Same entries in every bit: vectors and pooled."""
    return all(
        torch.equal(a, b) and torch.equal(x["pooled_output"], y["pooled_output"])
        for (a, x), (b, y) in zip(one, other, strict=True)
    )


def plain() -> dict[str, Any]:
    """Without weights both emphases are the host's own encoding, in one chunk and in two."""
    short, long = "a red disc on a table", " ".join(["cat"] * 90)
    out: dict[str, Any] = {"kind": type(MODEL.model).__name__}
    for name, text in (("short", short), ("long", long)):
        for emphasis in ("web-ui", "host"):
            out[f"{name} {emphasis}"] = equal(ours(text, emphasis), theirs(text))
    out["long has two chunks"] = int(ours(long)[0][0].shape[1]) == 154
    out["clip skip is ignored"] = equal(ours(short, clip_skip=4), ours(short))
    out["weights of the host"] = equal(ours("a (red:1.4) disc", "host"), theirs("a (red:1.4) disc"))
    return out


def emphasis() -> dict[str, float]:
    """Distance from the web UI's formula, written out from the host's vectors: per text model, per chunk."""
    found = ours("a (red:1.4) [disc] BREAK on a (((table)))")
    first, second = theirs("a red disc")[0], theirs("on a table")[0]
    wanted = []
    for vectors, weights in (
        (first[0], {2: 1.4, 3: 1 / 1.1}),
        (second[0], {3: 1.1**3}),
    ):
        parts = []
        for part in (vectors[..., :WIDTH_L], vectors[..., WIDTH_L:]):
            made = part.clone()
            for place, weight in weights.items():
                made[:, place] *= weight
            parts.append(made * (part.mean() / made.mean()))
        wanted.append(torch.cat(parts, dim=-1))
    expected = torch.cat(wanted, dim=1)
    return {
        "vectors": float((found[0][0] - expected).abs().max() / expected.abs().max()),
        "pooled": float((found[0][1]["pooled_output"] - first[1]["pooled_output"]).abs().max()),
        "moved": float((found[0][0][:, :77] - first[0]).abs().max() / expected.abs().max()),
    }


def negative() -> dict[str, Any]:
    """An empty negative prompt is all zeros, as in the web UI; any other is a text like the positive one."""
    empty, space = ours("", negative=True)[0], ours("", negative=False)[0]
    return {
        "zeros": not bool(empty[0].any()) and not bool(empty[1]["pooled_output"].any()),
        "shape": list(empty[0].shape) == [1, 77, WIDTH_L + 1280],
        "positive is a text": bool(space[0].any()),
        "words count": equal(ours("blurry", negative=True), theirs("blurry")),
    }


def embedding() -> dict[str, Any]:
    """A bare file name is the host's embedding:name, in both text models."""
    return {
        "same": equal(ours("a glow disc"), theirs("a embedding:glow disc")),
        "differs from the word": not equal(ours("a glow disc"), theirs("a glow disc")),
    }


def sizes() -> dict[str, bool]:
    """What the U-Net is told of the sizes, in every bit: by the host's node and by our guider."""

    import comfy.samplers

    other = ours("blurry")

    def told(positive: Any, size: tuple[int, int]) -> Any:
        seen: list[Any] = []

        def look(apply_model: Any, given: dict[str, Any]) -> Any:
            # The rows are in the host's order; here the positive one counts.
            seen.append(given["c"]["y"][given["cond_or_uncond"].index(0)].clone())
            return given["input"] * 0.9

        model = MODEL.clone()
        model.set_model_unet_function_wrapper(look)
        noise = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(9))
        guider = WebUiGuider(model, positive, other, 3.0, size)
        sampler = comfy.samplers.sampler_object("euler")
        with torch.inference_mode():
            sigmas = torch.tensor([5.0, 0.0])
            guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True)
        return seen[0]

    text, stated = "a red disc", (832, 1216)
    entries = ours(text)
    own, wide = told(entries, (0, 0)), told(entries, stated)
    return {
        "the latent's size": torch.equal(own, told(theirs(text, 96, 64), (0, 0))),
        "a stated size": torch.equal(wide, told(theirs(text, *stated), (0, 0))),
        "they differ": not torch.equal(wide, own),
    }


def main() -> None:
    import time

    facts: dict[str, Any] = {}
    for probe in (plain, emphasis, negative, embedding, sizes):
        if not WANTED or probe.__name__ in WANTED:
            began = time.monotonic()
            facts[probe.__name__] = probe()
            print(probe.__name__, round(time.monotonic() - began, 1), file=sys.stderr)
    print("FACTS " + json.dumps(facts))


main()
