"""The `data` of answers about tasks and models. Published fields first; docs/gateway.md names the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import InvalidRequest
from .tasks import State, Task, TaskStore
from .worker import Worker, preview_data_url

PENDING, DONE, FAILED = 1, 2, -1
_STATUS: dict[State, int] = {
    "queued": PENDING,
    "running": PENDING,
    "done": DONE,
    "failed": FAILED,
    "cancelled": FAILED,
}
_MODEL_TYPES = {"checkpoint": "Checkpoint", "controlnet": "ControlNet", "vae": "VAE"}
_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")

LinkFor = Callable[[str], str]


def task_data(task: Task, store: TaskStore, worker: Worker, link_for: LinkFor) -> dict[str, Any]:
    """`data` of both queryTaskInfo calls, without the id."""
    status = _STATUS[task.state]
    data: dict[str, Any] = {
        "status": status,
        "desc": _description(task, store, worker),
        "temporaryImageDto": _temporary(task, worker) if status == PENDING else None,
        "differentialImageRspList": [_image(image, link_for) for image in task.output.images],
    }
    if status == DONE:
        data["infos"] = task.output.infos
        data["control_image_urls"] = [link_for(name) for name in task.output.control_files]
        if task.output.withheld:
            data["withheld"] = task.output.withheld
    return data


def tool_data(task: Task, store: TaskStore, worker: Worker, link_for: LinkFor) -> dict[str, Any]:
    """`data` of tool/cnt/preview/queryTask."""
    status = _STATUS[task.state]
    images = task.output.images
    return {
        "task_id": task.server_id,
        "businessTaskId": task.task_id,
        "status": status,
        "desc": _description(task, store, worker),
        "temporaryImageDto": _temporary(task, worker) if status == PENDING else None,
        "outputImageUrl": link_for(images[0]["file"]) if status == DONE and images else None,
    }


def model_rows(rows: Sequence[dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of queryModelList that a body asks for: checkpoints, or another `modelType`.

    Raises:
        InvalidRequest: a filter that is no text.
    """
    filters = {name: _filter(body, name) for name in ("sdModelCheckpoint", "sdModelName", "modelType")}
    wanted_type = filters.pop("modelType") or "checkpoint"
    found: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        shown = _model_row(number, row)
        if shown["modelType"].lower() == wanted_type and all(
            text in shown[name].lower() for name, text in filters.items()
        ):
            found.append(shown)
    return found


def _description(task: Task, store: TaskStore, worker: Worker) -> str:
    if task.state == "queued":
        return f"queued, {store.ahead_of(task.seq)} ahead"
    if task.state == "running":
        if task.cancel_wanted:
            return "running, about to be cancelled"
        progress = worker.progress(task.seq)
        return f"running: {progress.message or progress.stage}" if progress is not None else "running"
    return task.description


def _temporary(task: Task, worker: Worker) -> dict[str, Any]:
    progress = worker.progress(task.seq)
    if progress is None:
        return {"progress": 0.0, "stage": "queued", "image": None}
    fraction = round(min(1.0, max(0.0, float(progress.fraction))), 4)
    return {"progress": fraction, "stage": progress.stage, "image": preview_data_url(progress)}


def _image(image: dict[str, Any], link_for: LinkFor) -> dict[str, Any]:
    return {
        "img_audit": image["audit"],
        "img_audit_status": True,
        "image_status": 1,
        "image_url": link_for(image["file"]),
        "seed": image["seed"],
    }


def _filter(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest.field(name, value, "a text")
    return value.strip().lower()


def _model_row(number: int, row: dict[str, Any]) -> dict[str, Any]:
    name = str(row["name"])
    title = name.rsplit("/", 1)[-1]
    for suffix in _SUFFIXES:
        title = title.removesuffix(suffix)
    return {
        "id": number,
        "sdModelCheckpoint": name,
        "sdModelName": title,
        "modelBaseModel": row.get("base"),
        "modelHash": row.get("hash"),
        "modelType": _MODEL_TYPES.get(str(row.get("type")), str(row.get("type"))),
        "modelVersion": None,
        "modelStatus": 1,
        "modelUploadStatus": 2,
        "modelImgUrl2": None,
    }
