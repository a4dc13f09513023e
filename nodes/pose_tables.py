"""The node that draws poses as data."""

from __future__ import annotations

from .fields import NodeTable, Out, integer, socket, switch, text

POSE_TYPE = "POSE_KEYPOINT"  # the type other packs (comfyui_controlnet_aux ...) hand poses around with
POSE_OUTPUTS = (
    Out(
        "STRING",
        "pose",
        "OpenPose JSON, a list with one object per picture, in pixels; an empty list from modules that draw "
        "no pose, and from a server.",
    ),
    Out(
        POSE_TYPE,
        "pose_keypoint",
        "The same as objects, for Pose Render and for nodes of other packs that take POSE_KEYPOINT.",
    ),
)

POSE_RENDER = NodeTable(
    id="ImgOpenPoseRender",
    title="Pose Render (Img Open)",
    category="Img Open/ControlNet",
    description="Draws OpenPose JSON as the web UI does: bodies, hands, faces and animals on black, one "
    "picture per frame.",
    inputs=(
        text(
            "pose",
            "OpenPose JSON, as the web UI's pose editor and detect call or a Preprocessor give it: one "
            "object with people, canvas_width and canvas_height, or a list of them, one per frame. A point "
            "with a confidence below 1 counts as missing, as there. Not read while pose_keypoint is wired.",
        ),
        socket("pose_keypoint", POSE_TYPE, "The pose from a node, instead of the text."),
        switch("body", True, "Draw bodies (18 points) and animals (17 points)."),
        switch("hands", True, "Draw hands (21 points each)."),
        switch("face", True, "Draw faces (68 or 70 points)."),
        integer(
            "width",
            0,
            0,
            8192,
            "Width of the picture in pixels. 0: the JSON's canvas_width, or in proportion to a height that "
            "is given.",
        ),
        integer(
            "height",
            0,
            0,
            8192,
            "Height of the picture in pixels. 0: the JSON's canvas_height, or in proportion to a width that "
            "is given.",
        ),
    ),
    outputs=(
        Out("IMAGE", "control_image", "One picture per frame. Use it with module none."),
        Out("STRING", "pose", "The JSON of what was read, in pixels of its canvas; frames in a list."),
        Out(POSE_TYPE, "pose_keypoint", "The same as objects."),
    ),
)
