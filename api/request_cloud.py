"""The ranges that the vendor's page prints: enforced where a request goes to the cloud, nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalogue import Catalogue, Operation
from .problems import Problem, raise_problems

if TYPE_CHECKING:
    from .request import Request

# Required by the page; the pack fills the task id in itself, and the unit list comes with the operation.
_NOT_OURS = {"alwayson_scripts", "alwayson_scripts.id_task", "alwayson_scripts.controlnet"}
_HINT = "These are the ranges of the vendor's page; local engines take more."
_HINT_ZERO = 'A 0 in hr_resize_x or hr_resize_y is the web UI\'s "not given": leave the field out.'


def check_cloud_ranges(request: Request) -> None:
    """Raise `InvalidRequest` with every field that the cloud's page does not allow.

    The page "sd controlnet" is the only one with ranges; its text-to-image and image-to-image siblings share
    the fields, so the same ranges are used for them. A prompt and a checkpoint are required.
    """
    operation: Operation = Catalogue.load().operation("sd_controlnet")
    body = request.to_wire()
    problems = [
        problem
        for problem in operation.problems(body)
        if problem.field not in _NOT_OURS and not problem.field.startswith("alwayson_scripts.controlnet.")
    ]
    allowed = "the code of a model from the server's list (see img-open and the model list node)"
    problems = [found for found in problems if found.field != "alwayson_scripts.sd_model_checkpoint"]
    if not request.checkpoint:
        problems.append(Problem("alwayson_scripts.sd_model_checkpoint", None, allowed, missing=True))
    zero = any(found.field.startswith("hr_resize") and found.value == 0 for found in problems)
    raise_problems(problems, f"{_HINT} {_HINT_ZERO}" if zero else _HINT)
