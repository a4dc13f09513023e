"""The nodes as data: what is published, in its published order."""

from __future__ import annotations

from ..preprocessors.estimators import ESTIMATORS
from .fields import Field, NodeTable, Out, combo, integer, socket
from .pose_tables import POSE_OUTPUTS
from .request_fields import REQUEST
from .unit_fields import (
    MODULE_TIP,
    PIXEL_PERFECT,
    PROCESSOR_RES,
    RESIZE_MODE,
    THRESHOLD_A,
    THRESHOLD_B,
    UNIT,
    UNIT_LOCAL,
    picture_modules,
)

UNITS_TYPE = "IMGOPEN_UNITS"
CLOUD = "cloud"


def profiles() -> list[str]:
    """Names of the profiles on this machine, the built-in cloud first. Names only: keys never come here."""
    from ..api.profiles import list_profiles
    from ..base.errors import ImgOpenError
    from ..base.log import get_logger

    try:
        names = list_profiles()
    except ImgOpenError as error:
        # A schema that raises would take the whole pack down. Running the node says the same error.
        get_logger("nodes").warning("Profiles are not listed: %s", error)
        names = []
    return [CLOUD, *(name for name in names if name != CLOUD)]


RUN_ON = ("local", "remote")

PREPROCESSOR = NodeTable(
    id="ImgOpenPreprocessor",
    title="Preprocessor (Img Open)",
    category="Img Open/ControlNet",
    description="Turns pictures into control images, as the ControlNet extension of the web UI does. "
    "A batch gives a batch.",
    inputs=(
        socket("image", "IMAGE", "The pictures to look at.", required=True),
        combo("module", picture_modules, "canny", MODULE_TIP, required=True),
        PROCESSOR_RES,
        THRESHOLD_A,
        THRESHOLD_B,
        PIXEL_PERFECT,
        RESIZE_MODE,
        integer(
            "width", 0, 0, 16384, "Pixel perfect: width of the generation. 0: the picture's own.", step=8
        ),
        integer(
            "height", 0, 0, 16384, "Pixel perfect: height of the generation. 0: the picture's own.", step=8
        ),
        integer(
            "seed",
            0,
            0,
            4294967295,
            "Image seed of the run, for modules that draw random numbers (shuffle). The others ignore it.",
        ),
        combo(
            "run_on",
            RUN_ON,
            "local",
            "local: on this machine, with the sliders above. remote: by the server of the profile "
            "(cnt/preview), with the server's own sliders; every picture is a task and may cost money.",
        ),
        combo("profile", profiles, CLOUD, "Remote: which server, and which stored key."),
        integer(
            "run_again",
            0,
            0,
            4294967295,
            "Remote: change this number to run, and pay, the same pictures once more.",
        ),
        combo(
            "estimator",
            ESTIMATORS,
            ESTIMATORS[0],
            "Who finds the people, for the openpose modules. auto: DWPose, or for bodies alone the MoveNet "
            "that comes with the pack. openpose (non-commercial): OpenPose's own networks, whose licence "
            "allows non-commercial use only; never used unless chosen here.",
        ),
    ),
    outputs=(
        Out("IMAGE", "control_image", "The control image of every picture, at the module's working size."),
        Out("INT", "resolution", "The processor_res that was used, in pixels."),
        *POSE_OUTPUTS,
    ),
)

CONTROLNET_APPLY = NodeTable(
    id="ImgOpenControlNetApply",
    title="ControlNet Unit (Img Open)",
    category="Img Open/ControlNet",
    description="One ControlNet unit with every parameter of the API. Wire conditioning and a control model "
    "to use it on this machine, wire units to send it with a remote request, or both.",
    inputs=(
        socket("positive", "CONDITIONING", "Local: positive conditioning the control is attached to."),
        socket("negative", "CONDITIONING", "Local: negative conditioning the control is attached to."),
        socket("control_net", "CONTROL_NET", "Local: the control model."),
        socket(
            "vae",
            "VAE",
            "Local: for control models that work on latents (SD3, Flux), and wherever sd_model is needed.",
        ),
        socket("image", "IMAGE", "The unit's picture. Locally a batch gives one control image per frame."),
        socket("mask", "MASK", "Mask for inpaint modules, 1 = repaint. Same size as the picture."),
        socket("latent", "LATENT", "Local: the latent that will be sampled; only its size is read."),
        socket("units", UNITS_TYPE, "Units that come before this one, from another ControlNet Unit."),
        socket(
            "effective_region_mask",
            "MASK",
            "Where the unit acts, 1 = full strength. Brought to each layer's size; any size will do.",
        ),
        *UNIT,
        socket(
            "sd_model",
            "MODEL",
            "Local: the model that will be sampled. Needed, with vae, by the modules that work in the model "
            "or in its latents: reference ones, tile_colorfix ones, inpaint_only ones. Others pass it "
            "through.",
        ),
        *UNIT_LOCAL,
    ),
    outputs=(
        Out("CONDITIONING", "positive", "Positive conditioning with the control attached."),
        Out("CONDITIONING", "negative", "Negative conditioning with the control attached."),
        Out(
            "IMAGE", "control_image", "What the control model sees. Made only when conditioning is wired in."
        ),
        Out(UNITS_TYPE, "units", "The incoming units and this one, for a remote request."),
        Out("MODEL", "model", "The model with the unit's part in it; sample with this one."),
    ),
)

_REMOTE: tuple[Field, ...] = (
    integer(
        "deadline",
        1800,
        10,
        86400,
        "Seconds to wait for the result. After that the node gives up with the task id; the task itself "
        "goes on.",
    ),
    integer(
        "run_again",
        0,
        0,
        4294967295,
        "Server: change this number to run the same request once more (on the cloud that is paid again), "
        "with seed -1 for a new picture. Otherwise an unchanged node keeps its result. Not used on this "
        "machine.",
    ),
)

REMOTE_SUBMIT = NodeTable(
    id="ImgOpenRemoteSubmit",
    title="Remote Submit (Img Open)",
    category="Img Open/Generate",
    description="Sends one Img Open request to the cloud or to a gateway, waits and hands over the pictures. "
    "Several of these run side by side.",
    inputs=(
        combo(
            "profile",
            profiles,
            CLOUD,
            "Which server, and which stored key. Profiles are made in Settings > Img Open; no key ever "
            "enters a workflow.",
            required=True,
        ),
        socket("units", UNITS_TYPE, "ControlNet units, from ControlNet Unit nodes."),
        socket("init_image", "IMAGE", "Picture to start from (image to image)."),
        socket("init_mask", "MASK", "Where to repaint the init picture, 1 = repaint."),
        *REQUEST,
        *_REMOTE,
    ),
    outputs=(
        Out("IMAGE", "images", "The pictures, in the order of the batches."),
        Out("STRING", "seeds", "The seed of each picture, separated by commas."),
        Out("STRING", "task_id", "The task's id on the server."),
        Out("STRING", "response", "The server's answer as JSON, without signatures."),
        Out("STRING", "audits", "Labels of the server's content check, one line per picture."),
    ),
)

RUN_ON = ("local", "remote", "auto")

GENERATE = NodeTable(
    id="ImgOpenGenerate",
    title="Generate (Img Open)",
    category="Img Open/Generate",
    description="A whole Img Open request: made on this machine as graph operations, or on a server.",
    inputs=(
        combo(
            "run_on",
            RUN_ON,
            "local",
            "local: on this machine, with its own models. remote: on the profile's server. auto: here if "
            "checkpoint and control models are here, else on the server if its profile has auto_remote.",
            required=True,
        ),
        socket("units", UNITS_TYPE, "ControlNet units, from ControlNet Unit nodes."),
        socket("init_image", "IMAGE", "Picture to start from (image to image)."),
        socket("init_mask", "MASK", "Where to repaint the init picture, 1 = repaint."),
        *REQUEST,
        combo("profile", profiles, CLOUD, "For remote and auto: which server, and which stored key."),
        *_REMOTE,
    ),
    outputs=(
        Out("IMAGE", "images", "The pictures, in the order of the batches."),
        Out("STRING", "seeds", "The seed of each picture, separated by commas."),
        Out("STRING", "report", "Parameter by parameter: honoured, approximated or refused."),
        Out("IMAGE", "control_images", "The units' control images."),
        Out("STRING", "task_id", "The task's id on the server; empty when made here."),
    ),
)

NODES: tuple[NodeTable, ...] = (PREPROCESSOR, CONTROLNET_APPLY, REMOTE_SUBMIT)
