"""Title, one-line description and further advice of each example workflow, in both languages."""

from __future__ import annotations

_MODELS = (
    "Choose a checkpoint (`sd_model_checkpoint`) and a control model (`model` of the unit) of yours, "
    "both SD1.5."
)
_MODELS_ZH = "请选择您自己的 SD1.5 大模型（`sd_model_checkpoint`）和控制模型（单元的 `model`）。"


def _pull(module: str, size: str) -> str:
    return (
        f"{_MODELS} The module needs weights ({size}); when it misses them, the node offers "
        f"a button that fetches `{module}`. Or "
        "set module to `none` and load a ready map."
    )


def _pull_zh(module: str, size: str) -> str:
    return (
        f"{_MODELS_ZH}预处理器需要权重（{size}）：缺少时节点会给出下载 `{module}` 的按钮；"
        "也可以把 module 设为 `none` 并载入现成的控制图。"
    )


Words = tuple[str, str, str]
WORDS: dict[str, dict[str, Words]] = {
    "anime-to-real": {
        "en": (
            "Anime to real",
            "A drawing becomes a photograph: its lines hold the shape, a photographic checkpoint "
            "paints anew.",
            f"{_MODELS} More `denoising_strength` leaves more of the drawing's flat colours behind.",
        ),
        "zh": (
            "动漫转真人",
            "把绘画变成照片：线条保持形状，写实大模型重新绘制。",
            f"{_MODELS_ZH}提高 `denoising_strength` 会更彻底地去掉平涂的颜色。",
        ),
    },
    "real-to-anime": {
        "en": (
            "Real to anime",
            "A photograph becomes an anime picture: its lines hold the shape, an anime checkpoint "
            "paints anew.",
            f"Load a photograph. {_MODELS}",
        ),
        "zh": (
            "真人转动漫",
            "把照片变成动漫：线条保持形状，动漫大模型重新绘制。",
            f"请载入一张照片。{_MODELS_ZH}",
        ),
    },
    "pose-and-expression": {
        "en": (
            "Pose and expression",
            "Body, hands and face of a photograph are kept; everything else is painted by the prompt.",
            f"Load a picture of a person. {_pull('openpose_full', 'about 350 MB')} `openpose_faceonly` "
            "keeps the "
            "expression alone.",
        ),
        "zh": (
            "姿态与表情",
            "保留照片中人物的身体、手和面部姿态，其余由提示词绘制。",
            f"请载入人物图片。{_pull_zh('openpose_full', '约 350 MB')}`openpose_faceonly` 只保留表情。",
        ),
    },
    "pose-from-text": {
        "en": (
            "Pose from text",
            "A pose written as OpenPose JSON is drawn and holds the figure; no photograph is needed.",
            f"{_MODELS} Paste the JSON of a pose editor, or wire `pose` of a Preprocessor with an openpose "
            "module. The coordinates are shares of the canvas or pixels.",
        ),
        "zh": (
            "文本姿势",
            "把写成 OpenPose JSON 的姿势画出来，用来固定人物的动作；不需要照片。",
            f"{_MODELS_ZH}可粘贴姿势编辑器的 JSON，或接入使用 openpose 模块的预处理器的 `pose`。"
            "坐标可以是画布的比例或像素。",
        ),
    },
    "lineart-colouring": {
        "en": (
            "Line-art colouring",
            "Black lines on white are inverted to a control image and coloured as the prompt says.",
            f"Load a line drawing. {_MODELS}",
        ),
        "zh": (
            "线稿上色",
            "白底黑线的线稿反相成为控制图，并按提示词上色。",
            f"请载入线稿。{_MODELS_ZH}",
        ),
    },
    "fixed-subject": {
        "en": (
            "A fixed subject",
            "reference_only shows the model a picture while it paints: the subject stays, the scene changes.",
            "Choose an SD1.5 checkpoint of yours; no control model is needed. threshold_a is the "
            "style fidelity.",
        ),
        "zh": (
            "固定主体",
            "reference_only 让模型在绘制时参考一张图片：主体不变，场景改变。",
            "请选择您自己的 SD1.5 大模型，不需要控制模型。threshold_a 是风格保真度。",
        ),
    },
    "super-resolution": {
        "en": (
            "Super-resolution",
            "The tile unit repeats the picture while hires fix doubles its size and adds detail.",
            f"{_MODELS} Less `denoising_strength` invents less; hr_scale is the factor. This is repainting: "
            "it adds what is likely, not what was there.",
        ),
        "zh": (
            "超分辨率",
            "tile 单元保持原图，高清修复把尺寸放大一倍并补充细节。",
            f"{_MODELS_ZH}降低 `denoising_strength` 会减少虚构；hr_scale 是倍数。"
            "这是重绘：补充的是可能的细节，而不是原有的细节。",
        ),
    },
    "background-removal": {
        "en": (
            "Background removal with a mask",
            "A mask cuts the subject out with a transparent background; Generate paints another one "
            "around it.",
            "The mask is the subject, and is yours to paint: *Open in MaskEditor* on your picture, "
            "then wire its "
            "MASK instead. Nothing here finds the subject by itself. The API's own *background "
            "remove* does, but "
            "its path is not published: once your contract names it, *API Call* can send it.",
        ),
        "zh": (
            "用遮罩去除背景",
            "用遮罩把主体抠成透明背景；“生成”在它周围绘制新的背景。",
            "遮罩即主体，由您绘制：在图片上选择 *Open in MaskEditor*，再改接它的 MASK。"
            "这里没有任何节点会自动寻找主体。"
            "接口自带的“背景去除”可以，但其路径没有公开：您的合同给出路径后，可用“接口调用”发送。",
        ),
    },
    "depth": {
        "en": (
            "Depth",
            "The depth of a picture is kept; material, light and style come from the prompt.",
            _pull("depth_midas", "about 490 MB"),
        ),
        "zh": (
            "深度",
            "保留图片的空间深度，材质、光线和风格由提示词决定。",
            _pull_zh("depth_midas", "约 490 MB"),
        ),
    },
    "scribble": {
        "en": (
            "Scribble",
            "Rough strokes become a finished picture; scribble_xdog makes strokes of any picture.",
            f"{_MODELS} White strokes on black of your own: set module to `none`.",
        ),
        "zh": (
            "涂鸦",
            "粗略的笔画变成完整的图片；scribble_xdog 可以从任何图片得到笔画。",
            f"{_MODELS_ZH}使用自己的黑底白线涂鸦时，把 module 设为 `none`。",
        ),
    },
    "segmentation": {
        "en": (
            "Segmentation",
            "Every area of the picture keeps what it is (sky, person, grass); how it looks is the prompt's.",
            _pull("seg_ofade20k", "about 950 MB"),
        ),
        "zh": (
            "语义分割",
            "图片的每个区域保持其类别（天空、人物、草地），外观由提示词决定。",
            _pull_zh("seg_ofade20k", "约 950 MB"),
        ),
    },
    "local-and-remote": {
        "en": (
            "Local and remote side by side",
            "One request twice: left it runs on this machine, right on a server. Only `run_on`, names "
            "and size differ.",
            "Left: your own SD1.5 checkpoint and canny control model. Right: 1. `img-open serve`  2. "
            "`img-open "
            "profile add local --url http://127.0.0.1:8170 --no-key`  3. press R on the canvas. With "
            "the same "
            "models on both sides, give both the same names and size.",
        ),
        "zh": (
            "本机与远程对比",
            "同一请求运行两次：左边在本机，右边在服务器。只有 `run_on`、模型名称和尺寸不同。",
            "左边：您自己的 SD1.5 大模型和 canny 控制模型。右边：先运行上面的两条命令，再在画布上按 R。"
            "两边有相同模型时，请填写相同的名称和尺寸。",
        ),
    },
    "video-frames": {
        "en": (
            "Video frames, one control image per frame",
            "Every frame of a film gets its own control image and its own latent; the film is put "
            "together again.",
            "Choose a short film, an SD1.5 checkpoint and a canny control model of yours. All frames "
            "are sampled as "
            "one batch: cut long films into parts that fit your memory. Frames are painted one by one, so "
            "expect some flicker.",
        ),
        "zh": (
            "视频逐帧控制",
            "视频的每一帧都有自己的控制图和 latent，最后重新合成视频。",
            "请选择一段短视频、您自己的 SD1.5 大模型和 canny 控制模型。所有帧作为一个批次采样："
            "长视频请按显存分段。"
            "各帧独立绘制，会有一些闪烁。",
        ),
    },
}
