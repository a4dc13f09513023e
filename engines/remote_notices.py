"""What a user should know about a remote result that the server itself does not say."""

from __future__ import annotations

import re

from ..api.journal import Intent, Task
from ..api.request import Request
from ..api.sendable import Sendable
from ..base.errors import InvalidRequest, LinkRefused
from ..controlnet.hires import hires_target
from ..storage.addresses import judge
from .types import Info, Result


def with_notices(result: Result, task: Task, intent: Intent, request: Sendable) -> Result:
    """The result with infos about the id under which the task really ran, and about pictures' sizes."""
    if intent.own_id and task.task_id != intent.task_id:
        text = f"{intent.task_id!r} names another task on this server; this one is {task.task_id!r}."
        result.infos.append(Info("alwayson_scripts.id_task", "approximated", text))
    wanted = expected_size(request)
    others = {(image.shape[1], image.shape[0]) for image in result.images} - {wanted}
    if wanted is not None and others:
        came = ", ".join(f"{width} x {height}" for width, height in sorted(others))
        text = f"{wanted[0]} x {wanted[1]} was asked for; the server made {came}."
        result.infos.append(Info("width", "notice", text))
    return result


def expected_size(request: Sendable) -> tuple[int, int] | None:
    """(width, height) of the pictures a request asks for; None where it follows from something else."""
    if not isinstance(request, Request) or request.init_mask:  # a repainted part goes back into its picture
        return None
    if not request.enable_hr or request.init_image:
        return request.width // 8 * 8, request.height // 8 * 8
    try:
        return hires_target(
            request.width, request.height, request.hr_scale, request.hr_resize_x, request.hr_resize_y
        ).final_image
    except InvalidRequest:
        return None


def refused_result_link(error: LinkRefused, task: Task) -> LinkRefused:
    """The error about a result link; the profile's setting is named only where it would help."""
    address = re.search(r"\(([0-9A-Fa-f:.]+)(?:%\w+)?, ", error.message)
    may_help = address is not None and judge(address[1]).kind == "private"
    hint = (
        "The task is finished and not lost. If results in your own network are meant to be fetched, "
        "set allow_private_results in the profile and run the request again."
        if may_help
        else "The task is finished, but no setting opens such a link. Ask the server's operator with this id."
    )
    return LinkRefused(
        f"{error.message} It is a result link of task {task.task_id}.",
        hint,
        **{**error.details, "task_id": task.task_id},
    )
