"""Words for the fields of the API's operations: Chinese for all, English where the catalogue has none.

By the last part of a field's wire name: label, Chinese meaning, English meaning (empty: the catalogue's own).
A test keeps the list complete.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """Words of one field."""

    label: str
    zh: str
    en: str = ""


FIELD_WORDS: dict[str, Words] = {
    "prompt": Words("提示词", "要画什么；中英文均可。", "What to paint"),
    "negative_prompt": Words("反向提示词", "画面中不要出现的内容。", "what to keep out of the picture"),
    "negativePrompt": Words("反向提示词", "画面中不要出现的内容。", "What to keep out of the picture"),
    "n_iter": Words("批次数", "生成的批次数。", "number of batches; n_iter x batch_size pictures in all"),
    "iterationCount": Words("批次数", "生成的批次数。", "number of batches"),
    "batch_size": Words("每批数量", "每批的图片数；总张数 = n_iter × batch_size。", "pictures per batch"),
    "singleBatchImageCount": Words("每批数量", "每批的图片数。", "pictures per batch"),
    "steps": Words("步数", "采样步数。", "sampling steps"),
    "sampleStep": Words("步数", "采样步数。", "sampling steps"),
    "hr_scale": Words("高分辨率修复倍数", "高分辨率修复的放大倍数。", "hires fix: factor of enlargement"),
    "highDefinitionRepairScale": Words(
        "高分辨率修复倍数", "高分辨率修复的放大倍数。", "hires fix: factor of enlargement"
    ),
    "seed": Words("种子", "随机种子；-1 表示随机。", "random seed; -1 is random"),
    "subSeed": Words("变异种子", "额外的变异种子。", "seed of the variation"),
    "subSeedStrength": Words(
        "变异强度", "变异种子混入的强度。", "how much of the variation's noise is mixed in"
    ),
    "initialNoiseHeight": Words("初始噪声高度", "初始噪声的高度。", "height of the first noise"),
    "initialNoiseWeight": Words(
        "初始噪声宽度",
        "初始噪声的宽度（接口把 Width 拼成了 Weight）。",
        "width of the first noise (the API spells it Weight)",
    ),
    "restore_faces": Words("面部修复", "是否修复面部。", "repair faces afterwards"),
    "restoreFaces": Words("面部修复", "是否修复面部。", "repair faces afterwards"),
    "enable_hr": Words("高分辨率修复", "是否启用高分辨率修复。", "hires fix: a second pass at a larger size"),
    "enableHighDefinitionRepair": Words(
        "高分辨率修复", "是否启用高分辨率修复。", "hires fix: a second pass at a larger size"
    ),
    "tilling": Words(
        "平铺",
        "是否生成可平铺的图（接口的拼写如此）。",
        "paint a picture that tiles without a seam (the API spells it so)",
    ),
    "width": Words("宽度", "图片宽度，单位像素。", "width of the picture"),
    "height": Words("高度", "图片高度，单位像素。", "height of the picture"),
    "cfg_scale": Words(
        "提示词引导系数",
        "遵循提示词的程度，一般取 7 到 11。",
        "how strictly the prompt is followed; 7 to 11 is usual",
    ),
    "promptGuidanceFactor": Words(
        "提示词引导系数", "遵循提示词的程度。", "how strictly the prompt is followed"
    ),
    "promptGuideFactor": Words("提示词引导系数", "遵循提示词的程度。", "how strictly the prompt is followed"),
    "guidanceScale": Words("提示词引导系数", "遵循提示词的程度。", "prompt guidance"),
    "fluxGuidance": Words(
        "Flux 引导系数", "与提示词的相关程度，类似 CFG。", "how strictly the prompt is followed, like CFG"
    ),
    "sampler_index": Words("采样器", "采样器名称。", "name of the sampler"),
    "samplerName": Words("采样器名称", "采样器名称。", "name of the sampler"),
    "samplerIndex": Words("采样器", "采样算法。", "sampling method"),
    "sampler": Words(
        "采样器", "采样器名称；可选值未公开。", "sampler; which names there are is not published"
    ),
    "hr_second_pass_steps": Words(
        "高分辨率修复步数", "高分辨率修复第二遍的步数。", "hires fix: steps of the second pass"
    ),
    "highDefinitionRepairPostSteps": Words(
        "高分辨率修复步数", "高分辨率修复第二遍的步数。", "hires fix: steps of the second pass"
    ),
    "highDefinitionRepairEnlarger": Words(
        "放大算法", "高分辨率修复的放大算法。", "hires fix: name of the upscaler"
    ),
    "hr_upscaler": Words("放大算法", "高分辨率修复的放大算法。", "hires fix: name of the upscaler"),
    "hr_resize_x": Words(
        "高分辨率修复 x",
        "高分辨率修复后的尺寸；接口页面把它说成高度，WebUI 中是宽度。",
        "hires fix: the vendor's page calls it the height, the web UI the width",
    ),
    "hr_resize_y": Words(
        "高分辨率修复 y",
        "高分辨率修复后的尺寸；接口页面把它说成宽度，WebUI 中是高度。",
        "hires fix: the vendor's page calls it the width, the web UI the height",
    ),
    "denoising_strength": Words("重绘幅度", "重绘幅度，0 到 1。", "how much is painted anew"),
    "deNoisingStrength": Words("重绘幅度", "重绘幅度，0 到 1。", "how much is painted anew"),
    "sd_model_checkpoint": Words(
        "大模型", "模型列表中的模型代码。", "checkpoint: its code in the server's model list"
    ),
    "baseModelCode": Words(
        "基础模型代码",
        "SD 基础模型的代码（页面没有说明它在请求体的哪一层）。",
        "code of the SD base model; the page does not say at which place of the body it belongs",
    ),
    "sd_vae": Words("VAE", "VAE 文件名。", "file name of the VAE"),
    "vaeName": Words(
        "VAE",
        "VAE 名称（页面没有说明它在请求体的哪一层）。",
        "name of the VAE; the page does not say at which place of the body it belongs",
    ),
    "override_settings": Words("覆盖设置", "WebUI 的其他设置，JSON 对象。", "further settings of the web UI"),
    "CLIP_stop_at_last_layers": Words(
        "CLIP 跳过层", "CLIP 终止层数。", "1 uses all layers of CLIP, 2 skips the last"
    ),
    "output_image_format": Words(
        "输出格式", "输出图片格式，jpg 或 png。", "file format of the result, jpg or png"
    ),
    "targetImageFormat": Words(
        "输出格式",
        "输出图片格式（页面没有说明它在请求体的哪一层）。",
        "file format of the result; the page does not say at which place of the body it belongs",
    ),
    "ADetailer": Words("ADetailer", "ADetailer 插件的设置，JSON 对象。", "settings of the ADetailer plug-in"),
    "resize_mode": Words(
        "缩放模式",
        "0 拉伸，1 裁剪，2 填充，3 直接缩放（潜空间放大）。",
        "how the init picture is resized: 0 stretch, 1 crop, 2 fill, 3 stretch the latent",
    ),
    "resizeMode": Words("缩放模式", "图片缩放模式。", "how the init picture is resized, as a number"),
    "imageResizeScale": Words("缩放比例", "图片缩放比例。", "factor by which the init picture is resized"),
    "mask_blur": Words("遮罩模糊", "遮罩边缘的模糊像素数。", "blur of the mask's edge in pixels"),
    "mask_blur_x": Words("遮罩横向模糊", "遮罩的横向模糊。", "horizontal blur alone, in pixels"),
    "mask_blur_y": Words("遮罩纵向模糊", "遮罩的纵向模糊。", "vertical blur alone, in pixels"),
    "inpainting_fill": Words(
        "遮罩内容",
        "遮罩区域下面先填什么：0 填充，1 原图，2 潜空间噪声，3 空白潜空间。",
        "start under the mask: 0 fill, 1 original, 2 latent noise, 3 latent nothing",
    ),
    "inpaint_full_res": Words(
        "仅遮罩区域",
        "重绘区域：真为仅遮罩区域，假为整张图。",
        "true: paint only the masked region, at full size; false: the whole picture",
    ),
    "inpaint_full_res_padding": Words(
        "区域边距", "仅重绘遮罩区域时四周保留的像素数。", "only masked: margin around the masked region"
    ),
    "inpainting_mask_invert": Words(
        "遮罩模式", "0 重绘遮罩内，1 重绘遮罩外。", "0: repaint what is masked, 1: what is not"
    ),
    "initial_noise_multiplier": Words(
        "初始噪声倍数", "叠加在原图上的噪声倍数。", "strength of the noise laid over the init picture"
    ),
    "image_cfg_scale": Words(
        "图像引导系数", "instruct-pix2pix 模型的图像引导系数。", "picture guidance of instruct-pix2pix models"
    ),
    "styles": Words("样式", "样式名称。", "names of styles"),
    "scriptName": Words("脚本名", "脚本名称。", "name of a script"),
    "scriptArgs": Words("脚本参数", "脚本参数，JSON 对象。", "arguments of the script"),
    "callbackUrl": Words(
        "回调地址", "服务器把结果发送到这个地址。", "address to which the server posts the result"
    ),
    "firstPhaseWidth": Words("首遍宽度", "第一遍的宽度。", "width of the first pass"),
    "firstPhaseHeight": Words("首遍高度", "第一遍的高度。", "height of the first pass"),
    "saasDrawingExternalImageParameterBO": Words(
        "扩展参数", "脚本与设置，JSON 对象。", "further scripts and settings"
    ),
    "image_link": Words("图片链接", "图生图的输入图链接。", "picture to start from"),
    "mask_link": Words("遮罩链接", "遮罩链接，白色为重绘。", "mask, white is repainted"),
    "sourceImageUrl": Words(
        "图片链接", "图生图的起点图片（页面没有说明它在请求体的哪一层）。", "picture to start from"
    ),
    "sourceImage": Words("输入图", "输入图。", "picture to look at"),
    "image": Words("输入图", "输入图。", "picture to look at"),
    "imageUrl": Words("输入图", "要检测人脸的图片。", "picture to search for faces"),
    "sourceUrl": Words("人脸图", "提供人脸的图片。"),
    "targetUrl": Words("目标图", "被换脸的图片。"),
    "fileUrlList": Words("训练图片", "训练图片，10 到 100 张。", "10 to 100 training pictures"),
    "id_task": Words("任务 ID", "自定义的任务 ID；留空则自动生成。", "your own task id"),
    "businessTaskId": Words("自定义任务 ID", "自定义的任务 ID；留空则自动生成。", "your own task id"),
    "taskId": Words("任务 ID", "自定义的任务 ID；留空则自动生成。", "your own task id"),
    "task_id": Words("任务 ID", "自定义的任务 ID；留空则自动生成。", "your own task id"),
    "units": Words(
        "单元", "来自 ControlNet 单元节点的单元。", "ControlNet units, from ControlNet Unit nodes"
    ),
    "sdModelCheckpoint": Words("模型代码", "按模型代码筛选。", "list only this model code"),
    "sdModelName": Words("模型名称", "按模型名称筛选。", "list only models of this name"),
    "pageSize": Words("每页行数", "每页返回的行数。", "rows per page"),
    "pageNum": Words("页码", "页码，从 1 开始。", "page number, from 1"),
    "toolCode": Words(
        "工具代码",
        "工具路径中 tool/ 之后的部分，例如 roop 或 hair/change。",
        "the part of the tool's path after tool/, such as roop or hair/change",
    ),
    "maxEpochs": Words("训练轮数", "训练的轮数。", "epochs of training"),
    "batchSize": Words("每步张数", "每一步的图片数。", "pictures per training step"),
    "learningRate": Words(
        "学习率", "学习率，以文本传送以保持精度。", "learning rate, as text so that no digit is lost"
    ),
    "maxTokenLength": Words("最大词元数", "提示词的最大词元长度。", "longest prompt in tokens"),
    "clipSkip": Words("CLIP 跳过层", "CLIP 跳过的层数。", "layers of CLIP that are skipped"),
    "randomCrop": Words("随机裁剪", "是否随机裁剪。", "crop at random"),
    "pretrainedModel": Words("基础模型", "训练所用的基础模型。", "model to start from"),
    "repeats": Words("重复次数", "每张图每轮的重复次数。", "repeats of each picture per epoch"),
    "mixedPrecision": Words("混合精度", "训练精度，例如 bf16。", "precision of the training, such as bf16"),
    "savePrecision": Words(
        "保存精度", "保存时的精度，例如 bf16。", "precision of the saved file, such as bf16"
    ),
    "numCpuThreadsPerProcess": Words("CPU 线程数", "每个进程的 CPU 线程数。", "CPU threads per process"),
    "cacheLatents": Words("缓存潜变量", "是否缓存潜变量。", "keep the encoded pictures in memory"),
    "cacheLatentsToDisk": Words(
        "潜变量缓存到磁盘", "是否把潜变量缓存到磁盘。", "keep the encoded pictures on disk"
    ),
    "lrScheduler": Words(
        "学习率调度", "学习率调度器，例如 constant。", "scheduler of the learning rate, such as constant"
    ),
    "lrWarmupSteps": Words("预热步数", "学习率预热的步数。", "warm-up steps of the learning rate"),
    "optimizerType": Words("优化器", "优化器，例如 Lion。", "optimizer, such as Lion"),
    "resolution": Words("训练分辨率", "训练分辨率，例如 384。", "training resolution, such as 384"),
    "enableBucket": Words("分桶", "是否按长宽比分桶。", "sort pictures into buckets by aspect ratio"),
    "minBucketReso": Words("最小分桶尺寸", "分桶的最小尺寸。", "smallest bucket size"),
    "maxBucketReso": Words("最大分桶尺寸", "分桶的最大尺寸。", "largest bucket size"),
    "textEncoderLr": Words(
        "文本编码器学习率", "文本编码器的学习率，以文本传送。", "learning rate of the text encoder, as text"
    ),
    "unetLr": Words("UNet 学习率", "UNet 的学习率，以文本传送。", "learning rate of the UNet, as text"),
    "networkDropout": Words("网络丢弃率", "LoRA 网络的丢弃率。", "dropout of the network"),
    "rankDropout": Words("秩丢弃率", "LoRA 秩的丢弃率。", "dropout of ranks"),
    "moduleDropout": Words("模块丢弃率", "LoRA 模块的丢弃率。", "dropout of modules"),
    "networkModule": Words(
        "网络模块", "网络模块，例如 networks.lora。", "network module, such as networks.lora"
    ),
    "networkDim": Words("网络维度", "LoRA 的秩，例如 128。", "rank of the network, such as 128"),
    "networkAlpha": Words("网络 alpha", "LoRA 的 alpha。", "alpha of the network"),
    "networkArgs": Words("网络参数", "网络的其他参数。", "further arguments of the network"),
    "v2": Words("SD 2.x", "基础模型是否为 SD 2.x。", "whether the model to start from is an SD 2.x one"),
    "flipAug": Words("翻转增强", "是否做水平翻转增强。", "augment by flipping"),
    "colorAug": Words("颜色增强", "是否做颜色增强。", "augment by colour"),
    "gradientAccumulationSteps": Words("梯度累积步数", "梯度累积的步数。", "steps of gradient accumulation"),
    "noiseOffset": Words("噪声偏移", "噪声偏移量。", "noise offset"),
    "comfyTaskType": Words("工作流", "要运行的工作流。", "workflow to run"),
    "fidelityWeight": Words(
        "保真度", "质量与保真度的平衡，0 到 1，以文本传送。", "balance of quality and fidelity, as text"
    ),
    "faceIdx": Words(
        "人脸序号",
        "目标人脸的序号，从左到右由 1 数起。",
        "number of the face to replace, counted from 1 left to right",
    ),
    "mode": Words("模式", "0 为 SD，1 为 SDXL。", "kind of model the prompt is for: 0 SD, 1 SDXL"),
    "sourcePrompt": Words("原提示词", "要扩写的文本。", "text to expand"),
    "raw_prompt": Words("原提示词", "要扩写的文本。", "text to rewrite"),
    "topK": Words(
        "topK",
        "只从概率最高的 K 个词中取样，0 为关闭。",
        "sample from the K likeliest words; 0 switches it off",
    ),
    "topP": Words(
        "topP", "只从累计概率 P 以内的词中取样。", "sample from the likeliest words up to this probability"
    ),
    "temperature": Words("温度", "取样温度。", "sampling temperature"),
    "repetitionPenalty": Words("重复惩罚", "对重复的惩罚。", "penalty for repetition"),
    "maxTokens": Words("最多词元", "最多生成的词元数。", "most tokens to write"),
    "minTokens": Words("最少词元", "最少生成的词元数。", "fewest tokens to write"),
    "sequencesNum": Words("条数", "生成的条数。", "how many texts to write"),
    "model": Words("模型", "反推所用的模型。", "model that describes the picture"),
    "imageCount": Words("张数", "要生成的图片数。", "how many pictures to make"),
    "verticalExpansionRatio": Words("纵向扩展", "纵向扩展的倍数。", "factor by which the height grows"),
    "horizontalExpansionRatio": Words(
        "横向扩展",
        "横向扩展的倍数（范围未公开）。",
        "factor by which the width grows; its range is not published",
    ),
    "preprocessor": Words("预处理器", "ControlNet 预处理器的名称。", "name of the ControlNet preprocessor"),
}

GROUP_NAMES: dict[str, tuple[str, str]] = {
    "drawing": ("Drawing", "绘图"),
    "task": ("Tasks", "任务查询"),
    "training": ("Training", "训练"),
    "tool": ("Tools", "工具"),
    "image_check": ("Image check", "图片审核"),
    "video": ("Video", "视频"),
    "audio": ("Audio", "音频"),
    "translate": ("Translation", "翻译"),
}
