"""Example workflows, node by node. Wires pass over what starts lower (LANE), so none runs behind a node."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from workflow_builder import Canvas, Node, Slot
from workflow_words import note

SEED = 1221212
BAD = "lowres, blurry, text, watermark"
BASE = "v1-5-pruned-emaonly-fp16.safetensors"
DRAWN, REAL = "anything-v5.safetensors", "Realistic_Vision_V5.1_fp16-no-ema.safetensors"
UNITS, REPORT, MAPS = 3, 2, 3  # outputs: units of a unit; report and maps of Generate
LANE = 170
INPUT, MAP = ("Input · 输入", "input"), ("Control map · 控制图", "map")
MAKE, RESULT = ("Generate · 生成", "generate"), ("Result · 结果", "result")
DEMO = {"sd_model_checkpoint": "demo", "width": 128, "height": 128, "profile": "local"}


def start(name: str) -> Canvas:
    """A canvas with the note, and its first group begun."""
    canvas = Canvas()
    canvas.note(note(name))
    canvas.group(*INPUT)
    return canvas


def unit(canvas: Canvas, image: Slot, **values: Any) -> Node:
    """A ControlNet unit on a picture, as detailed as the generation."""
    return canvas.add("ImgOpenControlNetApply", **{"image": image, "pixel_perfect": True, **values})


def generate(canvas: Canvas, **values: Any) -> Node:
    """Generate with an SD1.5 checkpoint."""
    usual = {"sd_model_checkpoint": BASE, "negative_prompt": BAD, "seed": SEED}
    return canvas.add("ImgOpenGenerate", **{**usual, **values})


def results(canvas: Canvas, node: Node, name: str, maps: bool = True) -> None:
    """What comes out of Generate: pictures, control images if there are any, and the report."""
    canvas.add("SaveImage", images=(node, 0), filename_prefix=f"img-open-{name}")
    if maps:
        canvas.add("PreviewImage", images=(node, MAPS), title="Control images · 控制图")
    canvas.add("PreviewAny", source=(node, REPORT), title="Report · 报告")


def with_unit(module: str, model: str, prompt: str, **values: Any) -> Callable[[str], Canvas]:
    """The simplest graph: a picture, one unit, Generate. `unit_*` are the unit's values."""
    of_unit = {key.removeprefix("unit_"): value for key, value in values.items() if key.startswith("unit_")}
    of_request = {key: value for key, value in values.items() if not key.startswith("unit_")}

    def make(name: str) -> Canvas:
        canvas = start(name)
        picture = canvas.add("LoadImage")
        canvas.group(*MAP, top=LANE)
        one = unit(canvas, (picture, 0), module=module, model=model, **of_unit)
        given = dict(of_request)
        if given.pop("from_picture", False):
            given["init_image"] = (picture, 0)
        canvas.group(*MAKE)
        made = generate(canvas, prompt=prompt, units=(one, UNITS), **given)
        canvas.group(*RESULT)
        results(canvas, made, name, maps=not module.startswith("reference"))
        return canvas

    return make


def preprocess(name: str) -> Canvas:
    """One picture, two modules that need no weights."""
    canvas = start(name)
    picture = canvas.add("LoadImage")
    canvas.group(*MAP)
    edges = canvas.add(
        "ImgOpenPreprocessor", image=(picture, 0), module="canny", threshold_a=100.0, threshold_b=200.0
    )
    grid = canvas.add("ImgOpenPreprocessor", image=(picture, 0), module="t2ia_color_grid")
    canvas.group(*RESULT)
    canvas.add("PreviewImage", images=(edges, 0))
    canvas.add("PreviewImage", images=(grid, 0))
    return canvas


# A dancer, arms up: OpenPose's 18 points in hundredths of the canvas.
DANCER = (
    (50, 16), (50, 27), (42, 28), (34, 20), (30, 9), (58, 28), (68, 22), (74, 12), (45, 52), (43, 70),
    (40, 90), (55, 52), (64, 64), (56, 78), (48, 14), (52, 14), (46, 16), (54, 16),
)  # fmt: skip


def dancer() -> str:
    """The dancer as OpenPose JSON."""
    points = [number for x, y in DANCER for number in (x / 100, y / 100, 1)]
    people = [{"pose_keypoints_2d": points}]
    return json.dumps({"people": people, "canvas_width": 512, "canvas_height": 512})


def pose_drawn(name: str) -> Canvas:
    """OpenPose JSON as a picture: nothing else is needed."""
    canvas = start(name)
    drawn = canvas.add("ImgOpenPoseRender", pose=dancer())
    canvas.group(*MAP)
    canvas.add("SaveImage", images=(drawn, 0), filename_prefix=f"img-open-{name}")
    return canvas


def pose_from_text(name: str) -> Canvas:
    """A pose that no photograph was needed for, drawn, then a unit without a module."""
    canvas = start(name)
    drawn = canvas.add("ImgOpenPoseRender", pose=dancer())
    canvas.group(*MAP)
    one = unit(canvas, (drawn, 0), module="none", model="control_v11p_sd15_openpose_fp16.safetensors")
    canvas.add("PreviewImage", images=(drawn, 0))
    canvas.group(*MAKE)
    made = generate(canvas, prompt="a ballet dancer on a stage, spotlight", units=(one, UNITS))
    canvas.group(*RESULT)
    results(canvas, made, name)
    return canvas


def background_removal(name: str) -> Canvas:
    """A mask cuts the subject out, and the same mask keeps it while Generate paints another background."""
    canvas = start(name)
    picture = canvas.add("LoadImage")
    bright = canvas.add("LoadImageMask", channel="red")
    canvas.group("Mask · 遮罩", "map", top=300)
    mask = canvas.add("ThresholdMask", mask=(bright, 0), value=0.5)
    canvas.column(2 * LANE + 430)
    outside = canvas.add("ImgOpenMask", mask=(mask, 0), invert=True, blur_x=1, blur_y=1)
    canvas.group("Cut out · 抠图", "result", top=LANE + 330)
    cut = canvas.add("JoinImageWithAlpha", image=(picture, 0), alpha=(outside, 0))
    canvas.column(LANE + 430)
    canvas.add("SaveImage", images=(cut, 0), filename_prefix=f"img-open-{name}-cut")
    canvas.group(*MAKE)
    made = generate(
        canvas,
        prompt="plain white studio background, soft even light",
        init_image=(picture, 0),
        init_mask=(mask, 0),
        inpainting_mask_invert="repaint not masked",
        inpaint_full_res=False,
        denoising_strength=0.9,
    )
    canvas.group(*RESULT)
    results(canvas, made, name, maps=False)
    return canvas


def local_and_remote(name: str) -> Canvas:
    """The same request here and on a server; only the models' names and the size are each side's own."""
    canvas = start(name)
    picture = canvas.add("LoadImage")
    canvas.group(*MAP)
    near = unit(canvas, (picture, 0), module="canny", model="control_v11p_sd15_canny_fp16.safetensors")
    far = unit(canvas, (picture, 0), module="canny", model="canny")
    request = {"prompt": "a red star on a blue background", "negative_prompt": "", "sampler_index": "Euler a"}
    canvas.group(*MAKE)
    here = generate(canvas, run_on="local", units=(near, UNITS), title="Here · 本机", **request)
    there = generate(
        canvas, run_on="remote", units=(far, UNITS), title="On a server · 服务器", **request, **DEMO
    )
    canvas.group(*RESULT)
    results(canvas, here, f"{name}-local", maps=False)
    canvas.column(there["pos"][1])
    results(canvas, there, f"{name}-remote", maps=False)
    return canvas


def remote_page(name: str) -> Canvas:
    """Prompt, sampler, steps and seed of the page; names and size of the demo model."""
    from img_open.demo.run import HERE

    page = json.loads((HERE / "page_request.json").read_text("utf-8"))
    canvas = start(name)
    picture = canvas.add("LoadImage")
    canvas.group(*MAP, top=LANE)
    limits = {"threshold_a": 64.0, "threshold_b": 64.0, "guidance_start": 0.35, "guidance_end": 0.75}
    one = unit(canvas, (picture, 0), module="canny", model="canny", weight=0.7, **limits)
    canvas.group(*MAKE)
    made = canvas.add(
        "ImgOpenRemoteSubmit",
        units=(one, UNITS),
        init_image=(picture, 0),
        prompt=page["prompt"],
        negative_prompt=page["negative_prompt"],
        sampler_index=page["sampler_index"],
        steps=page["steps"],
        cfg_scale=page["cfg_scale"],
        seed=SEED,
        denoising_strength=page["denoising_strength"],
        **DEMO,
    )
    canvas.group(*RESULT)
    canvas.add("SaveImage", images=(made, 0), filename_prefix=f"img-open-{name}")
    canvas.add("PreviewAny", source=(made, 1), title="Seeds · 种子")
    canvas.add("PreviewAny", source=(made, 3), title="Answer · 应答")
    return canvas


FAN = ("a red circle on a blue background", "a yellow circle on a green background", "蓝色背景上的粉色圆形")


def fan_out(name: str) -> Canvas:
    """Three requests travel at once; one chain of tasks leads to Collect."""
    canvas = Canvas()
    canvas.note(note(name))
    canvas.group("Requests · 请求", "generate")
    chain: dict[str, Slot] = {}
    for number, prompt in enumerate(FAN, 1):
        if number > 1:
            canvas.column()
        values = {"prompt": prompt, "sampler_index": "Euler a", "seed": number, "cfg_scale": 3.0}
        sent = canvas.add("ImgOpenSubmitAsync", **values, **DEMO, **chain)
        chain = {"tasks": (sent, 0)}
    canvas.group("Collect · 收集", "map")
    collected = canvas.add("ImgOpenCollect", **chain)
    canvas.group(*RESULT)
    canvas.add("SaveImage", images=(collected, 0), filename_prefix=f"img-open-{name}")
    canvas.add("PreviewAny", source=(collected, 3), title="Report · 报告")
    return canvas


def api_operations(name: str) -> Canvas:
    """An operation as a node of its own, and a call of any path."""
    canvas = start(name)
    picture = canvas.add("LoadImage")
    canvas.group("Operations · 接口操作", "generate")
    shown = canvas.add(
        "ImgOpenApiCntPreview", sourceImage=(picture, 0), preprocessor="canny", profile="local"
    )
    body = '{"pageSize": 20, "pageNum": 1}'
    listed = canvas.add("ImgOpenApiCall", path="sd/v2/queryModelList", body=body, profile="local")
    canvas.group(*RESULT)
    canvas.add("SaveImage", images=(shown, 0), filename_prefix=f"img-open-{name}")
    canvas.add("PreviewAny", source=(listed, 0), title="Answer · 应答")
    return canvas
