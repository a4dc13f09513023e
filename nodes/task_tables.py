"""The nodes around tasks as data: one by its id, many side by side, and the server's models."""

from __future__ import annotations

from .common_fields import PROFILE
from .fields import Field, NodeTable, Out, combo, integer, line, socket, switch
from .tables import REMOTE_SUBMIT

TASKS_TYPE = "IMGOPEN_TASK"
TOGETHER = ("one batch", "list")
FAILURES = ("stop", "leave out")
SOCKETS = 8
MODELS_ROUTE = "/img_open/models"

_DEADLINE = integer(
    "deadline",
    1800,
    10,
    86400,
    "Seconds to wait. After that the node gives up with the task id; the task itself goes on.",
)

TASK = NodeTable(
    id="ImgOpenTask",
    title="Task (Img Open)",
    category="Img Open/Tasks",
    description="A task by its id: how it stands, and its result once it is there. Never submits anything.",
    inputs=(
        PROFILE,
        line("task_id", "The task's id: yours or the server's."),
        switch("wait", True, "On: wait until the task is finished. Off: only look how it stands."),
        _DEADLINE,
        integer(
            "look_again",
            0,
            0,
            4294967295,
            "Change this number to ask once more. Unfinished tasks are asked about at every run anyway.",
        ),
    ),
    outputs=(
        Out("IMAGE", "images", "The pictures, once the task is finished and has some."),
        Out(
            "STRING", "state", "running, done, failed, cancelled, uncertain or lost, and the server's words."
        ),
        Out("FLOAT", "progress", "How far the task is, 0 to 1, as far as the server tells."),
        Out("STRING", "text", "The texts of a finished tool, one per line."),
        Out("STRING", "response", "The server's answer as JSON, without signatures."),
    ),
)

_ASYNC: tuple[Field, ...] = (
    *(field for field in REMOTE_SUBMIT.inputs if field.id != "deadline"),
    socket("tasks", TASKS_TYPE, "Tasks that come before this one, from another Submit Async."),
)

SUBMIT_ASYNC = NodeTable(
    id="ImgOpenSubmitAsync",
    title="Submit Async (Img Open)",
    category="Img Open/Tasks",
    description="Sends one Img Open request and hands on its task at once, without waiting for the pictures. "
    "Collect waits for many of them.",
    inputs=_ASYNC,
    outputs=(
        Out(TASKS_TYPE, "tasks", "The incoming tasks and this one, for Collect."),
        Out("STRING", "task_id", "The task's id on the server."),
    ),
)

COLLECT = NodeTable(
    id="ImgOpenCollect",
    title="Collect (Img Open)",
    category="Img Open/Tasks",
    description="Waits for several tasks at once and hands over their pictures, in the order of the inputs.",
    inputs=(
        *(
            socket(
                "tasks" if number == 1 else f"tasks_{number}",
                TASKS_TYPE,
                "Tasks from Submit Async. Each input takes one task, a chain of them, or a list.",
            )
            for number in range(1, SOCKETS + 1)
        ),
        combo(
            "together",
            TOGETHER,
            TOGETHER[0],
            "one batch: all pictures in one batch, which must then have one size. list: one by one, in any "
            "sizes.",
        ),
        combo(
            "if_one_fails",
            FAILURES,
            FAILURES[0],
            "stop: end with an error that names the failed tasks; the others' results are kept and come at "
            "once next time. leave out: hand over the rest.",
        ),
        _DEADLINE,
    ),
    outputs=(
        Out("IMAGE", "images", "The pictures: one batch, or a list."),
        Out("STRING", "seeds", "The seed of each picture, separated by commas."),
        Out("STRING", "task_ids", "The id of each task, one per line."),
        Out("STRING", "report", "What became of each task, one line each."),
    ),
)

MODEL = NodeTable(
    id="ImgOpenModel",
    title="Server Model (Img Open)",
    category="Img Open/Tasks",
    description="The name of a model on the server, picked from its own list. Wire it into "
    "sd_model_checkpoint.",
    inputs=(
        combo(
            "model",
            (),
            "",
            "Models of the servers of all your profiles. The list is fetched in the background and kept; the "
            "button fetches it again.",
            required=True,
        ),
    ),
    outputs=(Out("STRING", "checkpoint", "The model's code, for sd_model_checkpoint."),),
)

TASK_NODES: tuple[NodeTable, ...] = (TASK, SUBMIT_ASYNC, COLLECT, MODEL)
