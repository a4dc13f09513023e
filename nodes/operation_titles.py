"""Titles of the operations' nodes, and what each does: English, Chinese.

The vendor's own titles mix languages and identifiers ("Sd text2image v2", "QueryImageToolTaskInfo"); they
stay in the catalogue and in docs/api.md. Operations of a user's own catalogue file keep the titles that it
gives.
"""

from __future__ import annotations

from typing import NamedTuple


class Titles(NamedTuple):
    """Words of one operation."""

    title: str
    zh: str
    does: str
    does_zh: str


TITLES: dict[str, Titles] = {
    "sd_text2image_v2": Titles(
        "Text to Image V2", "文生图 V2", "Paints pictures from a prompt.", "按提示词生成图片。"
    ),
    "sd_text2image_v3": Titles(
        "Text to Image V3", "文生图 V3", "Paints pictures from a prompt.", "按提示词生成图片。"
    ),
    "sd_image2image_v2": Titles(
        "Image to Image V2",
        "图生图 V2",
        "Repaints a picture, or the masked part of it.",
        "重绘图片或遮罩区域。",
    ),
    "sd_image2image_v3": Titles(
        "Image to Image V3",
        "图生图 V3",
        "Repaints a picture, or the masked part of it.",
        "重绘图片或遮罩区域。",
    ),
    "sd_controlnet": Titles(
        "ControlNet Image",
        "ControlNet 生图",
        "Paints pictures under the control of ControlNet units.",
        "在 ControlNet 单元的控制下生成图片。",
    ),
    "query_model_list": Titles(
        "List Models", "查询模型列表", "Lists the models that the server has.", "列出服务器上的模型。"
    ),
    "query_task_info_v1": Titles(
        "Query Archived Task", "查询归档任务", "Shows what became of an older task.", "查看较早的任务的结果。"
    ),
    "query_task_info_v2": Titles(
        "Query Task Status", "查询任务状态", "Shows how a task stands.", "查看任务的当前状态。"
    ),
    "query_tool_task": Titles(
        "Query Tool Task", "查询工具任务", "Shows how the task of a tool stands.", "查看工具任务的当前状态。"
    ),
    "submit_training_job": Titles(
        "Submit Training Task", "提交训练任务", "Trains a model on your pictures.", "用您的图片训练模型。"
    ),
    "flux_text2image": Titles(
        "Flux Text to Image",
        "Flux 文生图",
        "Paints pictures from a prompt with Flux.",
        "用 Flux 按提示词生成图片。",
    ),
    "instant_id": Titles(
        "InstantID",
        "InstantID 人像",
        "Paints a person from one picture of the face.",
        "按一张人脸图片生成人像。",
    ),
    "single_face_swap_v2": Titles(
        "Single Face Swap V2",
        "单人换脸 V2",
        "Puts the face of one picture onto a person in another.",
        "把一张图片中的人脸换到另一张图片中的人身上。",
    ),
    "face_fusion": Titles(
        "Multiple Face Swap",
        "多人换脸",
        "Replaces one or two faces of a picture.",
        "替换图片中的一到两张人脸。",
    ),
    "face_detection": Titles(
        "Face Detection", "人脸检测", "Finds the faces in a picture.", "找出图片中的人脸。"
    ),
    "prompts_expand": Titles(
        "Prompt Expansion",
        "提示词扩写",
        "Makes longer prompts from a short one.",
        "把简短的提示词扩写成更长的提示词。",
    ),
    "sd_prompts_optimize": Titles(
        "Prompt Optimization", "提示词优化", "Rewrites a text as a prompt.", "把文本改写成提示词。"
    ),
    "interrogate": Titles("Image Description", "图转文", "Describes a picture in words.", "用文字描述图片。"),
    "roop": Titles(
        "Single Face Swap V1",
        "单人换脸 V1",
        "Puts the face of one picture onto a person in another.",
        "把一张图片中的人脸换到另一张图片中的人身上。",
    ),
    "identify_style": Titles(
        "Style Recognition", "风格识别", "Names the style of a picture.", "识别图片的风格。"
    ),
    "img_expand": Titles(
        "Outpainting", "图片外扩", "Paints on beyond the edges of a picture.", "把图片向外扩展绘制。"
    ),
    "cnt_preview": Titles(
        "ControlNet Preview",
        "ControlNet 预览",
        "Makes the control image of a picture on the server.",
        "在服务器上生成图片的控制图。",
    ),
}
