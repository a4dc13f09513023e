"""The nodes of the API's operations, made from the catalogue, and ImgOpenApiCall for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..base.errors import InvalidRequest
from ..base.places import config_dir
from .background import watch
from .bodies import json_object, merge_patch
from .call_table import API_CALL
from .host import Bar
from .operation_list import published_tables
from .operation_results import as_json, outputs
from .schema import schema
from .units import chain

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engines.types import ProgressFn, Result
    from ..storage.pictures import Pictures
    from .fields import NodeTable
    from .operation_tables import OperationNode


def published_classes() -> list[type[io.ComfyNode]]:
    """The node classes of the published operations, in the catalogue's order."""
    return [node_class(name, table) for name, table in published_tables().items()]


def local_classes() -> list[type[io.ComfyNode]]:
    """The node classes of the user's own operations. None when their file has a mistake (it is logged)."""
    if not (config_dir() / "catalogue.yaml").is_file():
        return []
    from .operation_tables import local_operations

    return [node_class(node.operation.id, node.table) for node in local_operations()]


def node_class(operation_id: str, table: NodeTable) -> type[io.ComfyNode]:
    """The ComfyUI class of one operation.

    There is no `fingerprint_inputs`: an unchanged node keeps its result, here and, through the journal, after
    a restart of the host. `run_again` makes the same request a new task.
    """

    class OperationClass(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return schema(table)

        @classmethod
        async def execute(cls, **inputs: Any) -> io.NodeOutput:
            from .operation_tables import node_of

            return await run_operation(node_of(operation_id), inputs, cls.hidden.unique_id)

    OperationClass.__name__ = OperationClass.__qualname__ = table.id
    OperationClass.__doc__ = table.description
    return OperationClass


async def run_operation(node: OperationNode, inputs: dict[str, Any], unique_id: str | None) -> io.NodeOutput:
    """Submit, wait in a thread of its own, and hand over what came out."""
    from ..api.profiles import load_profile
    from ..engines.remote_tools import ToolRunner

    values = {**node.table.defaults(), **inputs}
    body, pictures = build(node, values)
    profile = load_profile(values["profile"])

    def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> Result:
        runner = ToolRunner(profile, deadline_s=float(values.get("deadline") or profile.deadline_s))
        return runner.run(
            node.operation.id,
            body,
            pictures=pictures,
            progress=progress,
            cancelled=cancelled,
            nonce=nonce_of(values),
        )

    bar = Bar(unique_id)
    result = await watch(work, bar, "img-open-api")
    bar.text(summary(result))
    return io.NodeOutput(*outputs(node.operation, node.table.outputs, result))


def build(node: OperationNode, values: dict[str, Any]) -> tuple[dict[str, Any], Pictures]:
    """The body and its pictures from a node's inputs.

    Raises:
        InvalidRequest: a value that cannot be read; a required picture that is neither wired nor linked.
        PictureError: a picture that cannot be sent.
    """
    from ..engines.callbacks import callback_url
    from ..storage.pictures import Pictures
    from .operation_fields import body_from, check_pictures

    pictures = Pictures()
    body = body_from(node.parts, values, wired_pictures(node, values, pictures))
    callback = node.operation.field_for("callback")
    if callback is not None and callback.name not in body and (address := callback_url()):
        body[callback.name] = address
    units = [unit.complete(pictures) for unit in chain(values.get("units"))]
    if units:
        body.setdefault("alwayson_scripts", {})["controlnet"] = {"args": units}
    whole = merge_patch(body, json_object("extra_json", values["extra_json"]))
    check_pictures(node.operation, node.parts, whole)
    return whole, pictures


def wired_pictures(node: OperationNode, values: dict[str, Any], pictures: Pictures) -> dict[str, list[str]]:
    """Links of the pictures that are wired to a node, by input; the pictures go into `pictures`."""
    from .pixels import frames, masks, single

    found: dict[str, list[str]] = {}
    for part in node.parts:
        if part.way != "picture" or part.wired is None or values.get(part.wired.id) is None:
            continue
        name, value = part.wired.id, values[part.wired.id]
        is_mask = part.wired.socket == "MASK"
        arrays = masks(value, name) if is_mask else frames(value, name)
        if not part.many:
            arrays = [single(arrays, name)]
        found[name] = [pictures.add(array, "mask" if is_mask else "photo") for array in arrays]
    return found


def nonce_of(values: dict[str, Any]) -> str:
    """The journal's nonce from the widget: 0 is none."""
    return str(values["run_again"]) if values["run_again"] else ""


def summary(result: Result) -> str:
    """What stays on the node: the task, and everything that was not as asked."""
    lines = [f"task {result.task_id}" if result.task_id else ""]
    lines += ["seeds " + ", ".join(str(seed) for seed in result.seeds) if result.seeds else ""]
    lines += [
        info.message if info.field == "task" else f"{info.field}: {info.message}" for info in result.infos
    ]
    return "\n".join(part for part in [*lines, *result.withheld] if part)


class ImgOpenApiCall(io.ComfyNode):
    """Any body to any path of a profile's server."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(API_CALL)

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..api.models import SubmitReply
        from ..api.profiles import load_profile
        from ..engines.remote_tools import ToolRunner

        values = {**API_CALL.defaults(), **inputs}
        path, body = call_path(str(values["path"])), json_object("body", values["body"])
        profile = load_profile(values["profile"])

        def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> Result:
            runner = ToolRunner(profile)
            return runner.call(path, body, progress=progress, cancelled=cancelled, nonce=nonce_of(values))

        bar = Bar(cls.hidden.unique_id)
        result = await watch(work, bar, "img-open-call")
        named = SubmitReply.model_validate(result.response).task_id
        bar.text(f"task {named}" if named else "answered")
        return io.NodeOutput(as_json(result.response), named)


def call_path(words: str) -> str:
    """An absolute path: what begins with / as it is, anything else below the API's own prefix.

    Raises:
        InvalidRequest: empty, or a whole URL; the server is the profile's alone.
    """
    from ..api.catalogue import PREFIX

    words = words.strip()
    if not words or "://" in words or words.startswith("//"):
        raise InvalidRequest.field(
            "path",
            words,
            f"a path such as tool/roop or {PREFIX}/tool/roop",
            "It takes no host: the server is the profile's.",
        )
    return words if words.startswith("/") else f"{PREFIX}/{words}"
