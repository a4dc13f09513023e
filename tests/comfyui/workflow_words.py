"""File name, needs, title, one-line description and further advice of each example, in both languages."""

from __future__ import annotations

from typing import Any

# What a workflow needs, as its note says it.
NEEDS = {
    "nothing": ("**Runs at once: no model is needed.**", "**可直接运行：不需要任何模型。**"),
    "models": (
        "**Needs SD1.5 models:** those below (ComfyUI offers to fetch what is missing), or choose your own.",
        "**需要 SD1.5 模型**：见下面的列表（缺少时 ComfyUI 会提示下载），也可以选择您自己的。",
    ),
    "server": (
        "**Needs a server,** for example the demo model that comes with the pack: 1. `img-open serve` "
        "2. `img-open profile add local --url http://127.0.0.1:8170 --no-key` 3. press R on the "
        "canvas, then "
        "Run. Any other profile can be chosen instead.",
        "**需要服务器**，例如插件自带的演示模型：1. `img-open serve` "
        "2. `img-open profile add local --url http://127.0.0.1:8170 --no-key` 3. 在画布上按 R，然后运行。"
        "也可以选择任何其他 profile。",
    ),
}
NEEDS["both"] = (f"{NEEDS['models'][0]} {NEEDS['server'][0]}", f"{NEEDS['models'][1]}{NEEDS['server'][1]}")


def _pull(module: str, size: str) -> str:
    return (
        f"The module needs weights (about {size}); when it misses them, the node offers a button that "
        f"fetches `{module}`. Or set module to `none` and load a ready map."
    )


def _pull_zh(module: str, size: str) -> str:
    return (
        f"预处理器需要权重（约 {size}）：缺少时节点会给出下载 `{module}` 的按钮；"
        "也可以把 module 设为 `none` 并载入现成的控制图。"
    )


def note(name: str) -> str:
    """A workflow's note: the same facts in both languages."""
    row = WORDS[name]
    title = f"## {row['en'][0]} · {row['zh'][0]}"
    told = ["\n\n".join((row[each][1], row[each][2], NEEDS[row["needs"]][place]))
            for place, each in enumerate(("en", "zh"))]  # fmt: skip
    return "\n\n".join((title, *told))


def file_name(name: str) -> str:
    """The file's name without its ending: the front-end shows it as the title, in every language."""
    return WORDS[name]["file"]


Words = dict[str, Any]
WORDS: dict[str, Words] = {
    "preprocess": {
        "file": "01 Control map (no model)",
        "needs": "nothing",
        "en": (
            "Control images from a picture",
            "One picture, two preprocessors: canny edges and a colour grid, with the sliders of the web UI.",
            "Load a picture, choose a module, look at the map. -1 on a slider stands for the "
            "module's own default.",
        ),
        "zh": (
            "从图片得到控制图",
            "一张图片，两个预处理器：canny 边缘和色块，滑块与 WebUI 相同。",
            "载入图片，选择预处理器，查看控制图。滑块为 -1 时使用预处理器自己的默认值。",
        ),
    },
    "pose-drawn": {
        "file": "02 Pose drawn from text (no model)",
        "needs": "nothing",
        "en": (
            "A pose drawn from text",
            "OpenPose JSON becomes a control image: no photograph, no model.",
            "Paste the JSON of a pose editor, or wire `pose` of a Preprocessor with an openpose "
            "module. The coordinates are shares of the canvas or pixels.",
        ),
        "zh": (
            "把文本姿势画成控制图",
            "OpenPose JSON 变成控制图：不需要照片，也不需要模型。",
            "可粘贴姿势编辑器的 JSON，或接入使用 openpose 模块的预处理器的 `pose`。坐标可以是画布的比例"
            "或像素。",
        ),
    },
    "generate-local": {
        "file": "03 Generate with a control map (SD1.5)",
        "needs": "models",
        "en": (
            "A whole request on this machine",
            "One node carries the whole request, with a canny unit; it unfolds into ComfyUI nodes, "
            "or goes to a server.",
            "`run_on` sends the same request to a server instead. The report says, parameter by "
            "parameter, what was honoured.",
        ),
        "zh": (
            "在本机运行完整请求",
            "一个节点承载完整请求，带一个 canny 单元；展开成 ComfyUI 的节点，或发送到服务器。",
            "`run_on` 可以把同一请求改为发送到服务器。报告逐个参数说明哪些已生效。",
        ),
    },
    "controlnet-local": {
        "file": "04 ControlNet in a ComfyUI graph (SD1.5)",
        "needs": "models",
        "en": (
            "ControlNet on this machine",
            "One ControlNet unit with every parameter of the API, used with a local checkpoint and "
            "control model.",
            "The unit runs the module itself, fits the map to the latent and attaches the control. "
            "`units` is free: wire it to Remote Submit and the same unit travels with a request.",
        ),
        "zh": (
            "在本机使用 ControlNet",
            "一个带有 API 全部参数的 ControlNet 单元，配合本机的大模型和控制模型。",
            "单元自己运行预处理器，把控制图变成 latent 的尺寸并附加控制。`units` 没有接线：把它接到远程"
            "提交，同一单元就随请求发送。",
        ),
    },
    "pose-from-text": {
        "file": "05 Pose from text (SD1.5)",
        "needs": "models",
        "en": (
            "Pose from text",
            "A pose written as OpenPose JSON is drawn and holds the figure; no photograph is needed.",
            "Paste the JSON of a pose editor, or wire `pose` of a Preprocessor with an openpose "
            "module. The coordinates are shares of the canvas or pixels.",
        ),
        "zh": (
            "文本姿势",
            "把写成 OpenPose JSON 的姿势画出来，用来固定人物的动作；不需要照片。",
            "可粘贴姿势编辑器的 JSON，或接入使用 openpose 模块的预处理器的 `pose`。坐标可以是画布的比例"
            "或像素。",
        ),
    },
    "pose-and-expression": {
        "file": "06 Pose and expression (SD1.5)",
        "needs": "models",
        "en": (
            "Pose and expression",
            "Body, hands and face of a photograph are kept; everything else is painted by the prompt.",
            "Load a picture of a person. "
            + _pull("openpose_full", "350 MB")
            + " `openpose_faceonly` keeps the expression alone.",
        ),
        "zh": (
            "姿态与表情",
            "保留照片中人物的身体、手和面部姿态，其余由提示词绘制。",
            "请载入人物图片。" + _pull_zh("openpose_full", "350 MB") + "`openpose_faceonly` 只保留表情。",
        ),
    },
    "depth": {
        "file": "07 Depth (SD1.5)",
        "needs": "models",
        "en": (
            "Depth",
            "The depth of a picture is kept; material, light and style come from the prompt.",
            _pull("depth_midas", "490 MB"),
        ),
        "zh": (
            "深度",
            "保留图片的空间深度，材质、光线和风格由提示词决定。",
            _pull_zh("depth_midas", "490 MB"),
        ),
    },
    "segmentation": {
        "file": "08 Segmentation (SD1.5)",
        "needs": "models",
        "en": (
            "Segmentation",
            "Every area of the picture keeps what it is (sky, person, grass); how it looks is the prompt's.",
            _pull("seg_ofade20k", "950 MB"),
        ),
        "zh": (
            "语义分割",
            "图片的每个区域保持其类别（天空、人物、草地），外观由提示词决定。",
            _pull_zh("seg_ofade20k", "950 MB"),
        ),
    },
    "scribble": {
        "file": "09 Scribble (SD1.5)",
        "needs": "models",
        "en": (
            "Scribble",
            "Rough strokes become a finished picture; scribble_xdog makes strokes of any picture.",
            "White strokes on black of your own: set module to `none`.",
        ),
        "zh": (
            "涂鸦",
            "粗略的笔画变成完整的图片；scribble_xdog 可以从任何图片得到笔画。",
            "使用自己的黑底白线涂鸦时，把 module 设为 `none`。",
        ),
    },
    "lineart-colouring": {
        "file": "10 Line art colouring (SD1.5)",
        "needs": "models",
        "en": (
            "Line-art colouring",
            "Black lines on white are inverted to a control image and coloured as the prompt says.",
            "Load a line drawing.",
        ),
        "zh": (
            "线稿上色",
            "白底黑线的线稿反相成为控制图，并按提示词上色。",
            "请载入线稿。",
        ),
    },
    "recolour": {
        "file": "11 Recolour a photograph (SD1.5)",
        "needs": "models",
        "en": (
            "Recolour a photograph",
            "A recolor unit paints colours by the prompt; Postprocess puts the photograph's own "
            "brightness back in.",
            "Load a black-and-white photograph of 512x512, or set the latent to its size. "
            "Postprocess is the unit's last step, on the decoded picture.",
        ),
        "zh": (
            "给照片上色",
            "recolor 单元按提示词上色；“后处理”再放回照片自己的亮度。",
            "请载入 512x512 的黑白照片，或把 latent 设为照片的尺寸。“后处理”是单元的最后一步，"
            "作用于解码后的图片。",
        ),
    },
    "anime-to-real": {
        "file": "12 Anime to real (SD1.5)",
        "needs": "models",
        "en": (
            "Anime to real",
            "A drawing becomes a photograph: its lines hold the shape, a photographic checkpoint "
            "paints anew.",
            "More `denoising_strength` leaves more of the drawing's flat colours behind.",
        ),
        "zh": (
            "动漫转真人",
            "把绘画变成照片：线条保持形状，写实大模型重新绘制。",
            "提高 `denoising_strength` 会更彻底地去掉平涂的颜色。",
        ),
    },
    "real-to-anime": {
        "file": "13 Real to anime (SD1.5)",
        "needs": "models",
        "en": (
            "Real to anime",
            "A photograph becomes an anime picture: its lines hold the shape, an anime checkpoint "
            "paints anew.",
            "Load a photograph.",
        ),
        "zh": (
            "真人转动漫",
            "把照片变成动漫：线条保持形状，动漫大模型重新绘制。",
            "请载入一张照片。",
        ),
    },
    "fixed-subject": {
        "file": "14 Fixed subject (SD1.5)",
        "needs": "models",
        "en": (
            "A fixed subject",
            "reference_only shows the model a picture while it paints: the subject stays, the scene changes.",
            "No control model is needed. threshold_a is the style fidelity.",
        ),
        "zh": (
            "固定主体",
            "reference_only 让模型在绘制时参考一张图片：主体不变，场景改变。",
            "不需要控制模型。threshold_a 是风格保真度。",
        ),
    },
    "super-resolution": {
        "file": "15 Super resolution (SD1.5)",
        "needs": "models",
        "en": (
            "Super-resolution",
            "The tile unit repeats the picture while hires fix doubles its size and adds detail.",
            "Less `denoising_strength` invents less; hr_scale is the factor. This is repainting: it "
            "adds what is likely, not what was there.",
        ),
        "zh": (
            "超分辨率",
            "tile 单元保持原图，高分辨率修复把尺寸放大一倍并补充细节。",
            "降低 `denoising_strength` 会减少虚构；hr_scale 是倍数。这是重绘：补充的是可能的细节，"
            "而不是原有的细节。",
        ),
    },
    "background-removal": {
        "file": "16 Background removal (SD1.5)",
        "needs": "models",
        "en": (
            "Background removal with a mask",
            "A mask cuts the subject out with a transparent background; Generate paints another one "
            "around it.",
            "Here the picture's red channel happens to single the subject out (the clouds too). On a "
            "picture of yours paint the mask: *Open in MaskEditor*, then wire the picture's MASK "
            "instead. Nothing here finds the subject by itself. The API's own *background remove* "
            "does, but its path is not published: once your contract names it, *API Call* can send "
            "it.",
        ),
        "zh": (
            "用遮罩去除背景",
            "用遮罩把主体抠成透明背景；“生成”在它周围绘制新的背景。",
            "这里恰好可以用图片的红色通道区分主体（也包括云）。自己的图片请绘制遮罩：选择 *Open "
            "in MaskEditor*，再改接图片的 "
            "MASK。这里没有任何节点会自动寻找主体。接口自带的“背景去除”可以，但其路径没有公开："
            "您的合同给出路径后，可用“接口调用”发送。",
        ),
    },
    "inpaint-by-hand": {
        "file": "17 Inpainting by hand (SD1.5)",
        "needs": "models",
        "en": (
            "Inpainting by hand",
            "The small nodes one by one: crop the masked region, fill it, paint it at full size, "
            "paste it back.",
            "This is what **Generate** unfolds into. The mask is a rectangle over the dress; for "
            "your own, use *Open in MaskEditor* on the picture and wire its MASK to Resize.",
        ),
        "zh": (
            "手动局部重绘",
            "逐个使用小节点：裁出遮罩区域，填充，以完整尺寸绘制，再贴回原图。",
            "这就是 **生成** 展开后的样子。遮罩是盖住裙子的矩形；要用自己的遮罩，请在图片上选择 "
            "*Open in MaskEditor*，再把它的 MASK 接到“缩放”。",
        ),
    },
    "video-frames": {
        "file": "18 Video frames (SD1.5)",
        "needs": "models",
        "en": (
            "Video frames, one control image per frame",
            "Every frame of a film gets its own control image and its own latent; the film is put "
            "together again.",
            "Choose a short film. All frames are sampled as one batch: cut long films into parts "
            "that fit your memory. Frames are painted one by one, so expect some flicker.",
        ),
        "zh": (
            "视频逐帧控制",
            "视频的每一帧都有自己的控制图和 latent，最后重新合成视频。",
            "请选择一段短视频。所有帧作为一个批次采样：长视频请分成内存放得下的几段。各帧独立绘制，"
            "会有一些闪烁。",
        ),
    },
    "local-and-remote": {
        "file": "19 Local and remote (SD1.5 and server)",
        "needs": "both",
        "en": (
            "Local and remote side by side",
            "One request twice: above it runs on this machine, below on a server. Only `run_on`, "
            "names and size differ.",
            "With the same models on both sides, give both the same names and size.",
        ),
        "zh": (
            "本机与远程对比",
            "同一请求运行两次：上面在本机，下面在服务器。只有 `run_on`、模型名称和尺寸不同。",
            "两边有相同模型时，请填写相同的名称和尺寸。",
        ),
    },
    "remote-page-request": {
        "file": "20 Request of the API page (server)",
        "needs": "server",
        "en": (
            "The API page's request, sent to a server",
            "Prompt, sampler and ControlNet unit of the Img Open page, sent to a gateway on this "
            "machine: start one with img-open serve.",
            "Prompt, sampler, steps and seed are the page's; model names and size are the demo "
            "model's. It knows nine shapes and no girl, so it paints coloured blobs: this shows the "
            "request, not a picture. For the cloud choose the profile `cloud`, its model names and "
            "768x768.",
        ),
        "zh": (
            "把 API 页面的请求发送到服务器",
            "Img Open 页面上的提示词、采样器和 ControlNet 单元，发送到本机的网关：用 img-open serve 启动。",
            "提示词、采样器、步数和种子来自页面；模型名称和尺寸是演示模型的。它只认识九种形状，"
            "不认识女孩，所以只画出色块：这里展示的是请求，而不是图片。使用云端时选择 profile "
            "`cloud`、云端的模型名称和 768x768。",
        ),
    },
    "fan-out": {
        "file": "21 Many requests at once (server)",
        "needs": "server",
        "en": (
            "Many requests at once, collected",
            "Three requests are sent to a gateway on this machine at once; Collect waits for all and "
            "makes one batch.",
            "Each *Submit Async* sends its request and hands its task on; the next one adds its own. "
            "Running again pays nothing: the tasks are known. Change `run_again` for new pictures. "
            "The demo model paints colours without a control image, but only roughly the shape.",
        ),
        "zh": (
            "同时发送多个请求并收集",
            "三个请求同时发送到本机的网关；“收集”等待全部结果并合为一批。",
            "每个“异步提交”发送请求并交出任务，下一个再加上自己的。再次运行不会重复计费：任务是已知的。"
            "要新的图片请改变 "
            "`run_again`。没有控制图时，演示模型能画对颜色，但形状只是大概。",
        ),
    },
    "api-operations": {
        "file": "22 Operations of the API (server)",
        "needs": "server",
        "en": (
            "An operation of the API, and any other call",
            "cnt preview as a node made from the API's catalogue, and a plain call that lists the "
            "server's models. For a gateway on this machine: img-open serve.",
            "Every operation with published parameters has a node under *Img Open/API*. *API Call* "
            "posts any body to any path.",
        ),
        "zh": (
            "一个接口操作，以及任意调用",
            "由接口目录生成的 cnt preview 节点，以及列出服务器模型的普通调用。用于本机的网关："
            "img-open serve。",
            "参数已公开的每个操作在 *Img Open/接口* 下都有一个节点。“接口调用”把任意请求体发送到任意路径。",
        ),
    },
}
