"""ImgOpenGenerate and the small nodes in a real host, on tiny random weights."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from canvas import to_graph
from comfy_gateway import Gateway
from comfy_host import Host, Run
from graphs import CHECKPOINT, CONTROL, Graph, node, write_picture

SIZE = 64


@pytest.fixture(scope="module")
def pictures(host: Host) -> Path:
    folder = host.base / "input"
    write_picture(folder / "photo.png", 96, 80)
    return folder


def generate(**widgets: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "run_on": "local",
        "prompt": "a red disc",
        "negative_prompt": "blurry",
        "sd_model_checkpoint": "tiny_sd15",
        "sampler_index": "Euler",
        "steps": 3,
        "width": SIZE,
        "height": SIZE,
        "seed": 7,
        "cfg_scale": 3,
    }
    return node("ImgOpenGenerate", **{**usual, **widgets})


def unit(**widgets: Any) -> dict[str, Any]:
    usual = {"module": "canny", "model": "tiny_control_sd15_canny", "pixel_perfect": True}
    return node("ImgOpenControlNetApply", **{**usual, **widgets})


def saving(prefix: str) -> Graph:
    return {
        "save": node("SaveImage", images=["make", 0], filename_prefix=prefix),
        "seeds": node("PreviewAny", source=["make", 1]),
        "report": node("PreviewAny", source=["make", 2]),
    }


PHOTO: Graph = {"photo": node("LoadImage", image="photo.png")}
HOLE: Graph = {
    "all": node("SolidMask", value=0.0, width=96, height=80),
    "part": node("SolidMask", value=1.0, width=32, height=24),
    "hole": node("MaskComposite", destination=["all", 0], source=["part", 0], x=20, y=30, operation="add"),
}


def made(host: Host, prefix: str, graph: Graph) -> tuple[list[np.ndarray], Run]:
    """The saved pictures of a prompt, and the prompt."""
    from img_open.base.pictures import decode_picture

    result = host.run(graph)
    assert result.status == "success", result.error or host.log[-3000:]
    names = [image["filename"] for image in result.outputs["save"]["images"]]
    assert all(name.startswith(prefix) for name in names)
    return [decode_picture((host.base / "output" / name).read_bytes()) for name in names], result


def test_a_request_with_a_unit_runs_and_the_unit_acts(host: Host, pictures: Path) -> None:
    (plain,), result = made(host, "g-plain", {"make": generate(), **saving("g-plain")})
    assert plain.shape == (SIZE, SIZE, 3)
    assert result.outputs["seeds"]["text"] == ["7"]
    graph = {**PHOTO, "unit": unit(image=["photo", 0]), "make": generate(units=["unit", 3])}
    graph["maps"] = node("SaveImage", images=["make", 3], filename_prefix="g-map")
    (controlled,), result = made(host, "g-unit", {**graph, **saving("g-unit")})
    assert not np.array_equal(plain, controlled)
    lines = result.outputs["report"]["text"][0].splitlines()
    assert "honoured: prompt" in lines
    assert "honoured: alwayson_scripts.controlnet.args[0].module" in lines
    assert len(result.outputs["maps"]["images"]) == 1


def test_the_same_request_again_runs_nothing(host: Host, pictures: Path) -> None:
    graph = {"make": generate(prompt="once", seed=5), **saving("g-again")}
    (one,), _ = made(host, "g-again", graph)
    (other,), again = made(host, "g-again", graph)
    cached = next(data["nodes"] for event, data in again.messages if event == "execution_cached")
    assert set(graph) <= set(cached)
    assert np.array_equal(one, other)


def test_a_random_seed_is_drawn_at_every_queue_on_this_machine(host: Host, pictures: Path) -> None:
    graph = {"make": generate(prompt="drawn", seed=-1), **saving("g-drawn")}
    (one,), first = made(host, "g-drawn", graph)
    (other,), second = made(host, "g-drawn", graph)
    drawn = [run.outputs["seeds"]["text"][0] for run in (first, second)]
    assert drawn[0] != drawn[1]
    assert min(int(seed) for seed in drawn) >= 0
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("run_on", ["auto", "remote"])
def test_a_random_seed_is_not_paid_twice(host: Host, gateway: Gateway, pictures: Path, run_on: str) -> None:
    """auto is here in this test, but may be on a server next time: an unchanged node keeps its picture."""
    name = f"seed-{run_on}"
    gateway.write_profile(host.base / "img-open-home", name)
    checkpoint = "demo" if run_on == "remote" else "tiny_sd15"
    widgets = {"run_on": run_on, "profile": name, "sd_model_checkpoint": checkpoint, "seed": -1}
    graph = {"make": generate(prompt=f"kept {run_on}", **widgets), **saving("g-kept")}
    (one,), _ = made(host, "g-kept", graph)
    (other,), again = made(host, "g-kept", graph)
    cached = next(data["nodes"] for event, data in again.messages if event == "execution_cached")
    assert set(graph) <= set(cached)
    assert np.array_equal(one, other)


def test_progress_shows_on_the_node(host: Host, pictures: Path) -> None:
    """The steps of the sampler inside are the node's own progress for the canvas, and so is the text."""
    graph = {"make": generate(prompt="in view", steps=4), **saving("g-view")}
    events, binaries = asyncio.run(listen(host, graph))
    shown = [
        state["value"]
        for kind, data in events
        if kind == "progress_state"
        for state in data["nodes"].values()
        if state.get("display_node_id") == "make" and state["max"] == 4
    ]
    assert max(shown) == 4
    assert sorted(shown) == shown
    texts = [data.decode("utf-8", "replace") for data in binaries if data[:4] == b"\0\0\0\x03"]
    assert any("run here" in text and "seeds 7" in text for text in texts)


async def listen(host: Host, graph: Graph) -> tuple[list[tuple[str, dict[str, Any]]], list[bytes]]:
    """Queue a graph as a browser would, and everything the server pushed until it was done."""
    events: list[tuple[str, dict[str, Any]]] = []
    binaries: list[bytes] = []
    address = f"{host.url}/ws?clientId=watcher"
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        await asyncio.to_thread(host.post, "/prompt", {"prompt": graph, "client_id": "watcher"})
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                binaries.append(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                told = json.loads(message.data)
                events.append((told["type"], told["data"]))
                if told["type"] in ("execution_success", "execution_error"):
                    break
    return events, binaries


def test_a_batch_is_its_single_pictures(host: Host, pictures: Path) -> None:
    """Ancestral, so that the noise of the steps counts too. One level is rounding of larger products."""
    widgets = {"sampler_index": "Euler a", "steps": 4}
    batch, result = made(
        host, "g-batch", {"make": generate(batch_size=2, n_iter=2, **widgets), **saving("g-batch")}
    )
    assert result.outputs["seeds"]["text"] == ["7,8,9,10"]
    for number, picture in enumerate(batch):
        (single,), _ = made(host, "g-one", {"make": generate(seed=7 + number, **widgets), **saving("g-one")})
        assert np.abs(picture.astype(int) - single).max() <= 1
    assert not np.array_equal(batch[0], batch[1])


def test_hires_and_image_to_image_have_their_sizes(host: Host, pictures: Path) -> None:
    hires = generate(enable_hr=True, hr_resize_x=96, hr_resize_y=128, denoising_strength=0.5)
    (picture,), _ = made(host, "g-hires", {"make": hires, **saving("g-hires")})
    assert picture.shape == (128, 96, 3)
    for mode in ("Resize and Fill", "Just Resize (latent upscale)"):
        start = generate(init_image=["photo", 0], resize_mode=mode, denoising_strength=0.5)
        (picture,), _ = made(host, "g-init", {**PHOTO, "make": start, **saving("g-init")})
        assert picture.shape == (SIZE, SIZE, 3)


def test_a_unit_s_work_after_decoding_is_done(host: Host, pictures: Path) -> None:
    """recolor_intensity: the strongest channel of the finished picture is the control image."""
    from img_open.base.pictures import decode_picture

    one = unit(image=["photo", 0], module="recolor_intensity", resize_mode="Just Resize")
    graph = {**PHOTO, "unit": one, "make": generate(units=["unit", 3])}
    graph["maps"] = node("SaveImage", images=["make", 3], filename_prefix="g-intensity")
    (picture,), result = made(host, "g-finish", {**graph, **saving("g-finish")})
    name = result.outputs["maps"]["images"][0]["filename"]
    control = decode_picture((host.base / "output" / name).read_bytes())
    assert np.abs(picture.max(axis=2).astype(int) - control[..., 0]).max() <= 2


@pytest.mark.parametrize("fill", ["fill", "original", "latent noise", "latent nothing"])
def test_only_masked_changes_the_hole_and_nothing_else(host: Host, pictures: Path, fill: str) -> None:
    from img_open.base.pictures import decode_picture

    graph = {
        **PHOTO,
        **HOLE,
        "unit": unit(image=["photo", 0]),
        "make": generate(
            units=["unit", 3],
            init_image=["photo", 0],
            init_mask=["hole", 0],
            inpainting_fill=fill,
            mask_blur=2,
            inpaint_full_res_padding=4,
        ),
    }
    (picture,), _ = made(host, f"g-hole-{fill[-3:]}", {**graph, **saving(f"g-hole-{fill[-3:]}")})
    photo = decode_picture((pictures / "photo.png").read_bytes())
    changed = np.abs(picture.astype(int) - photo).max(axis=2) > 0
    assert picture.shape == photo.shape
    assert changed[34:50, 24:48].mean() > 0.9
    changed[30 - 6 : 54 + 6, 20 - 6 : 52 + 6] = False
    assert not changed.any()


def test_whole_picture_keeps_what_is_not_masked(host: Host, pictures: Path) -> None:
    graph = {
        **PHOTO,
        **HOLE,
        "make": generate(
            init_image=["photo", 0], init_mask=["hole", 0], inpaint_full_res=False, width=96, height=80
        ),
    }
    (picture,), _ = made(host, "g-whole", {**graph, **saving("g-whole")})
    from img_open.base.pictures import decode_picture

    photo = decode_picture((pictures / "photo.png").read_bytes())
    assert np.array_equal(picture[:10], photo[:10])
    assert not np.array_equal(picture[35:50, 25:45], photo[35:50, 25:45])


def test_an_interrupt_leaves_the_next_prompt_unharmed(host: Host, pictures: Path) -> None:
    editing = {"prompt": "a [red:blue:0.5] disc", "steps": 4}
    graph = {"make": generate(**editing), **saving("g-calm")}
    (calm,), _ = made(host, "g-calm", graph)
    prompt = host.queue({"make": generate(prompt="a [red:blue:0.5] disc", steps=120), **saving("g-stop")})
    host.wait_until_running(prompt)
    time.sleep(1.0)
    host.post("/interrupt", {})
    assert host.wait(prompt, 20).status == "interrupted"
    host.post("/free", {"unload_models": True, "free_memory": True})
    (after,), _ = made(host, "g-calm", {"make": generate(**editing), **saving("g-calm")})
    assert np.array_equal(calm, after)


def test_the_guider_is_the_host_s_own_without_editing_and_masks(host: Host, pictures: Path) -> None:
    base: Graph = {
        "models": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        "yes": node("ImgOpenPrompt", clip=["models", 1], text="a red disc", emphasis="host"),
        "their": node("CLIPTextEncode", clip=["models", 1], text="a red disc"),
        "no": node("CLIPTextEncode", clip=["models", 1], text="blurry"),
        "latent": node("EmptyLatentImage", width=SIZE, height=SIZE, batch_size=1),
        "noise": node("ImgOpenNoise", seed=5),
        "plan": node("ImgOpenSigmas", model=["models", 0], sampler_index="Euler", steps=3),
    }
    guiders = {
        "ours": node("ImgOpenGuider", model=["models", 0], positive=["yes", 0], negative=["no", 0], cfg=3.0),
        "theirs": node("CFGGuider", model=["models", 0], positive=["their", 0], negative=["no", 0], cfg=3.0),
    }
    for name, guider in guiders.items():
        graph = {
            **base,
            "guider": guider,
            "sample": node(
                "SamplerCustomAdvanced",
                noise=["noise", 0],
                guider=["guider", 0],
                sampler=["plan", 0],
                sigmas=["plan", 1],
                latent_image=["latent", 0],
            ),
            "save": node("SaveLatent", samples=["sample", 0], filename_prefix=f"g-{name}"),
        }
        assert host.run(graph).status == "success"
    assert np.array_equal(saved_latent(host, "g-ours"), saved_latent(host, "g-theirs"))


def test_lora_tags_and_embeddings_by_bare_name(host: Host, pictures: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for folder in ("loras", "embeddings"):
        (host.base / "models" / folder).mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    name = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    weights = {
        f"{name}.lora_down.weight": torch.randn(2, 768, generator=generator) * 0.1,
        f"{name}.lora_up.weight": torch.randn(3072, 2, generator=generator) * 0.1,
        f"{name}.alpha": torch.tensor(2.0),
    }
    save_file(weights, host.base / "models" / "loras" / "Tiny Style.safetensors")
    vectors = torch.randn(2, 768, generator=generator) * 0.02
    save_file({"emb_params": vectors}, host.base / "models" / "embeddings" / "glow.safetensors")
    texts = {"plain": "a disc", "lora": "a disc<lora:tiny style:0.8>", "word": "a disc, (glow:1.2)"}
    found: dict[str, np.ndarray] = {}
    for key, text in texts.items():
        graph = {
            "models": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
            "text": node("ImgOpenPrompt", clip=["models", 1], model=["models", 0], text=text),
            "report": node("PreviewAny", source=["text", 3]),
            "make": generate(prompt=text),
            "save": node("SaveImage", images=["make", 0], filename_prefix="g-words"),
        }
        (found[key],), result = made(host, "g-words", graph)
        said = result.outputs["report"]["text"][0]
        assert ("LoRA Tiny Style.safetensors: 0.8 on the model, 0.8 on the text model." in said) == (
            key == "lora"
        )
        assert ("Embedding glow was used." in said) == (key == "word")
    assert not np.array_equal(found["plain"], found["lora"])
    assert not np.array_equal(found["plain"], found["word"])


def saved_latent(host: Host, prefix: str) -> np.ndarray:
    """The newest latent saved under a prefix, as float32."""
    data = max((host.base / "output").glob(f"{prefix}_*.latent")).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])["latent_tensor"]
    first, last = header["data_offsets"]
    return np.frombuffer(data[8 + length :][first:last], np.float32).reshape(header["shape"])


ERRORS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("checkpoint", {"sd_model_checkpoint": "tiny_sd16"}, ["tiny_sd16", CHECKPOINT]),
    ("sampler", {"sampler_index": "Oiler"}, ["sampler_index", "Euler"]),
    ("lora", {"prompt": "a <lora:nowhere:1>"}, ["LoRA", "nowhere"]),
    ("place", {"run_on": "moon"}, ["run_on", "moon"]),
    ("link", {"image_link": "http://127.0.0.1:9/a.png"}, ["127.0.0.1"]),
    ("auto", {"run_on": "auto", "sd_model_checkpoint": "elsewhere"}, ["elsewhere", "auto-remote"]),
]


@pytest.mark.parametrize(("widgets", "words"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_what_cannot_be_done_is_one_clear_error(
    host: Host, pictures: Path, widgets: dict[str, Any], words: list[str]
) -> None:
    result = host.run({"make": generate(**widgets), **saving("g-error")}, timeout=30)
    assert result.status == "error"
    for word in words:
        assert word in result.error, result.error


def test_auto_goes_to_a_server_only_where_the_profile_says_so(
    host: Host, gateway: Gateway, pictures: Path
) -> None:
    """The demo model is on the gateway alone; `eager` is the same server with auto_remote."""
    file = host.base / "img-open-home" / "profiles.json"
    profiles = json.loads(file.read_text("utf-8"))
    rows = profiles.get("profiles", profiles)
    rows["eager"] = {**rows["local"], "auto_remote": True}
    file.write_text(json.dumps(profiles), "utf-8")
    known = len(gateway.tasks())
    widgets = {"run_on": "auto", "profile": "eager", "steps": 2}
    made(host, "g-here", {"make": generate(**widgets), **saving("g-here")})
    assert len(gateway.tasks()) == known
    there = {**widgets, "sd_model_checkpoint": "demo", "width": 128, "height": 128}
    (picture,), _ = made(host, "g-there", {"make": generate(**there), **saving("g-there")})
    assert picture.shape == (128, 128, 3)
    assert len(gateway.tasks()) == known + 1


def test_a_workflow_file_runs_as_the_request(host: Host, pictures: Path) -> None:
    """Canvas and API format are the same to the host, and what they make is the request's."""
    from img_open.api.request import Request
    from img_open.nodes.workflow_file import to_canvas, to_workflow

    link = "data:image/png;base64," + base64.b64encode((pictures / "photo.png").read_bytes()).decode()
    body = {"prompt": "a red disc", "negative_prompt": "blurry", "steps": 3, "seed": 7, "cfg_scale": 3}
    one = {"module": "canny", "model": CONTROL, "image_link": link, "pixel_perfect": True, "enabled": True}
    scripts = {"sd_model_checkpoint": CHECKPOINT, "controlnet": {"args": [one]}}
    request = Request.from_wire({**body, "width": SIZE, "height": SIZE, "alwayson_scripts": scripts})
    workflow = to_workflow(request)
    from_canvas = to_graph(host, to_canvas(request))
    assert {key: each["inputs"] for key, each in from_canvas.items()} == {
        key: each["inputs"] for key, each in workflow.items()
    }
    result = host.run(workflow)
    assert result.status == "success", result.error
    graph = {**PHOTO, "unit": unit(image=["photo", 0], processor_res=-1), "make": generate(units=["unit", 3])}
    graph["make"]["inputs"]["resize_mode"] = "Just Resize"
    wired, _ = made(host, "g-wired", {**graph, **saving("g-wired")})
    from img_open.base.pictures import decode_picture

    name = result.outputs["3"]["images"][0]["filename"]
    assert np.array_equal(decode_picture((host.base / "output" / name).read_bytes()), wired[0])
