"""ImgOpenRemoteSubmit: one request to the cloud or a gateway, its pictures back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..base.errors import InvalidRequest, TaskFailed
from .background import watch
from .bodies import request_body
from .host import Bar
from .schema import schema
from .tables import REMOTE_SUBMIT
from .units import chain

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.request import Request
    from ..engines.types import ProgressFn, Result
    from ..storage.pictures import Pictures


class ImgOpenRemoteSubmit(io.ComfyNode):
    """Submits, waits in a thread of its own, and hands over pictures, seeds, task id and answer.

    There is no `fingerprint_inputs`: an unchanged node keeps its result, here and, through the journal, after
    a restart of the host. `run_again` makes the same request a new task.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(REMOTE_SUBMIT)

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..api.profiles import load_profile
        from ..engines.remote import RemoteEngine

        values = {**REMOTE_SUBMIT.defaults(), **inputs}
        request, pictures = build(values)
        profile = load_profile(values["profile"])
        nonce = str(values["run_again"]) if values["run_again"] else ""

        def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> Result:
            engine = RemoteEngine(profile, deadline_s=float(values["deadline"]))
            return engine.run(request, pictures=pictures, progress=progress, cancelled=cancelled, nonce=nonce)

        bar = Bar(cls.hidden.unique_id)
        result = await watch(work, bar, "img-open-remote")
        bar.finish(result.images)
        bar.text(_summary(result))
        return _outputs(result)


def build(values: dict[str, Any]) -> tuple[Request, Pictures]:
    """The request and its pictures from the node's inputs.

    Raises:
        InvalidRequest: see `request_body`; also an enabled unit for which there is no picture.
        PictureError: a picture that cannot be sent.
    """
    from ..api.request import Request
    from ..storage.pictures import Pictures
    from .pixels import frames, masks, single

    pictures = Pictures()
    image, mask = values["init_image"], values["init_mask"]
    body = request_body(
        values,
        init_image=pictures.add(single(frames(image, "init_image"), "init_image"))
        if image is not None
        else "",
        init_mask=pictures.add(single(masks(mask, "init_mask"), "init_mask"), "mask")
        if mask is not None
        else "",
        units=tuple(unit.complete(pictures) for unit in chain(values["units"])),
    )
    request = Request.from_wire(body)
    _check_units(request)
    return request, pictures


def _check_units(request: Request) -> None:
    """A server would take the task and let it fail: said here, where it costs nothing, as locally."""
    for number, unit in enumerate(request.units):
        if unit.enabled and unit.image is None and request.init_image is None:
            index = f"alwayson_scripts.controlnet.args[{number}]"
            raise InvalidRequest(
                f"{index} ({unit.module}) is enabled, but there is no picture for it.",
                "Wire image of the ControlNet Unit node, or fill in its image_link, or wire init_image.",
                field=f"{index}.image_link",
            )


def _outputs(result: Result) -> io.NodeOutput:
    from .operation_results import audit_line
    from .pixels import to_image

    if not result.images:
        raise TaskFailed(
            f"The task {result.task_id} gave no picture. {' '.join(result.withheld)}".strip(),
            "Look at the server's answer for its reason.",
            response=result.response,
        )
    seeds = ",".join(str(seed) for seed in result.seeds)
    answer = json.dumps(result.response, ensure_ascii=False, indent=1)
    audits = "\n".join(audit_line(one) for one in result.audits)
    return io.NodeOutput(to_image(result.images), seeds, result.task_id, answer, audits)


def _summary(result: Result) -> str:
    """What stays on the node: task, seeds, and everything that was not as asked."""
    lines = [f"task {result.task_id}", "seeds " + ", ".join(str(seed) for seed in result.seeds)]
    lines += [f"{info.field}: {info.message}" for info in result.infos]
    lines += result.withheld
    if len({image.shape for image in result.images}) > 1:
        lines.append("The pictures differ in size: smaller ones lie in the upper left corner.")
    return "\n".join(lines)
