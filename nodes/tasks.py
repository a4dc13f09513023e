"""Tasks on the canvas: one by its id, many side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..base.errors import InvalidRequest, TaskFailed
from .background import watch
from .bodies import check_choice
from .host import Bar
from .operation_results import as_json, image_batch
from .operations import nonce_of, summary
from .pixels import to_image
from .remote_submit import build
from .schema import build_input, build_output, schema
from .task_tables import COLLECT, FAILURES, MODEL, MODELS_ROUTE, SOCKETS, SUBMIT_ASYNC, TASK, TOGETHER

if TYPE_CHECKING:
    from ..engines.remote_collect import Collected
    from ..engines.remote_tools import Look
    from ..engines.types import ProgressFn, Result

_DEAD = ("failed", "cancelled", "lost", "uncertain")


@dataclass(frozen=True)
class TaskHandle:
    """What travels on an IMGOPEN_TASK wire, in tuples: a task of a profile's server."""

    profile: str
    task_id: str


def handles(value: object) -> tuple[TaskHandle, ...]:
    """What came in at a `tasks` socket; nothing wired is none."""
    if value is None:
        return ()
    if not isinstance(value, tuple) or not all(isinstance(one, TaskHandle) for one in value):
        raise InvalidRequest.field("tasks", type(value).__name__, "the tasks output of a Submit Async node")
    return value


class ImgOpenTask(io.ComfyNode):
    """A task by its id."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(TASK)

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """By the journal: a finished task keeps its result; an unfinished one is looked at in every run."""
        from ..api.journal import FINISHED, Journal

        task_id = str(inputs.get("task_id") or "").strip()
        known = [task for task in Journal().list(most=-1) if task_id in (task.task_id, task.server_task_id)]
        if known and known[0].state in FINISHED:
            return f"{known[0].state} {known[0].changed}"
        return f"unfinished {time.time_ns()}"

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..api.profiles import load_profile
        from ..engines.remote_tools import Look, ToolRunner

        values = {**TASK.defaults(), **inputs}
        task_id = str(values["task_id"]).strip()
        if not task_id:
            raise InvalidRequest.field("task_id", task_id, "the id of a task")
        runner = ToolRunner(load_profile(values["profile"]), deadline_s=float(values["deadline"]))

        def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> Look:
            if not values["wait"]:
                return runner.look(task_id, cancelled)
            return Look("done", 1.0, "", runner.attach(task_id, progress, cancelled))

        bar = Bar(cls.hidden.unique_id)
        look = await watch(work, bar, "img-open-task")
        bar.finish([] if look.result is None else look.result.images)
        bar.text(f"{look.state} {look.message}".strip() if look.result is None else summary(look.result))
        return io.NodeOutput(*_task_outputs(runner, look, task_id))


def _task_outputs(runner: Any, look: Look, task_id: str) -> list[Any]:
    from ..api.operation_outputs import outputs_of

    state = f"{look.state}: {look.message}" if look.message else look.state
    if look.result is None:
        nothing = ExecutionBlocker(f"Task {task_id} has no result yet ({state}).")
        return [nothing, state, look.progress, "", ""]
    result = look.result
    pictures = (
        image_batch(result.images)
        if result.images
        else ExecutionBlocker(f"Task {task_id} holds no picture. {' '.join(result.withheld)}".strip())
    )
    texts = outputs_of(runner.operation_of(task_id), result.response).texts
    return [pictures, state, look.progress, "\n".join(texts), as_json(result.response)]


class ImgOpenSubmitAsync(io.ComfyNode):
    """Submits and hands the task on at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(SUBMIT_ASYNC)

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Changes when a task came to an end without a result. Running again is free: the journal returns the
        task of an unchanged request while it runs or has its result, and makes a new one only for a dead one.
        """
        from ..api.journal import Journal

        dead = Journal().list(states=_DEAD, profile=str(inputs.get("profile") or ""), most=1)
        return f"{dead[0].row_id} {dead[0].changed}" if dead else "none"

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..api.profiles import load_profile
        from ..engines.remote import RemoteEngine

        values = {**SUBMIT_ASYNC.defaults(), **inputs}
        before = handles(values["tasks"])
        request, pictures = build(values)
        profile = load_profile(values["profile"])

        def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> str:
            engine = RemoteEngine(profile)
            return engine.submit(
                request, pictures, progress=progress, cancelled=cancelled, nonce=nonce_of(values)
            )

        bar = Bar(cls.hidden.unique_id)
        task_id = await watch(work, bar, "img-open-submit")
        bar.text(f"task {task_id}")
        return io.NodeOutput((*before, TaskHandle(profile.name, task_id)), task_id)


class ImgOpenCollect(io.ComfyNode):
    """Waits for many tasks; its `tasks` inputs take lists as well."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        made = schema(COLLECT, is_input_list=True)
        made.outputs = [
            io.Image.Output(display_name=out.name, tooltip=out.tooltip, is_output_list=True)
            if out.name == "images"
            else build_output(out)
            for out in COLLECT.outputs
        ]
        return made

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..api.profiles import load_profile
        from ..engines.remote_collect import collect
        from ..engines.remote_tools import ToolRunner

        values = COLLECT.defaults()
        for name in ("together", "if_one_fails", "deadline"):
            values[name] = inputs[name][0] if inputs.get(name) else values[name]
        check_choice("together", values["together"], TOGETHER)
        check_choice("if_one_fails", values["if_one_fails"], FAILURES)
        wanted = _wanted(inputs)
        runners = {
            name: ToolRunner(load_profile(name), deadline_s=float(values["deadline"]))
            for name in {one.profile for one in wanted}
        }

        def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> list[Collected]:
            waits = [
                lambda told, stop, one=one: runners[one.profile].attach(one.task_id, told, stop)
                for one in wanted
            ]
            return collect(waits, progress, cancelled)

        bar = Bar(cls.hidden.unique_id)
        found = await watch(work, bar, "img-open-collect")
        report = _report(wanted, found)
        bar.finish([picture for one in found if one.result is not None for picture in one.result.images])
        bar.text(report)
        results = _good(wanted, found, str(values["if_one_fails"]))
        return _collected(results, wanted, report, values["together"] == TOGETHER[0])


def _wanted(inputs: dict[str, Any]) -> list[TaskHandle]:
    """All tasks of all inputs in their order, each once."""
    names = ["tasks", *(f"tasks_{number}" for number in range(2, SOCKETS + 1))]
    chains = [handles(chain) for name in names for chain in inputs.get(name) or []]
    wanted = list(dict.fromkeys(one for chain in chains for one in chain))
    if not wanted:
        raise InvalidRequest("There is no task to collect.", "Wire the tasks output of Submit Async nodes.")
    return wanted


def _report(wanted: list[TaskHandle], found: list[Collected]) -> str:
    lines: list[str] = []
    for handle, one in zip(wanted, found, strict=True):
        if one.error is not None:
            lines.append(f"{handle.task_id}: {one.error}")
        elif one.result is not None:
            withheld = f"; {' '.join(one.result.withheld)}" if one.result.withheld else ""
            images = len(one.result.images)
            lines.append(
                f"{handle.task_id}: 1 picture{withheld}"
                if images == 1
                else f"{handle.task_id}: {images} pictures{withheld}"
            )
    return "\n".join(lines)


def _good(wanted: list[TaskHandle], found: list[Collected], failures: str) -> list[Result]:
    failed = [handle.task_id for handle, one in zip(wanted, found, strict=True) if one.error is not None]
    results = [one.result for one in found if one.result is not None]
    first = next((one.error for one in found if one.error is not None), None)
    if first is not None and (failures == FAILURES[0] or not results):
        if len(wanted) == 1:
            raise first
        raise TaskFailed(
            f"{len(failed)} of {len(wanted)} tasks gave no result: {', '.join(failed[:5])}. {first}",
            "The results of the others are kept. Run again, or leave failed tasks out with if_one_fails.",
        ) from first
    return results


def _collected(
    results: list[Result], wanted: list[TaskHandle], report: str, one_batch: bool
) -> io.NodeOutput:
    pictures = [picture for result in results for picture in result.images]
    if not pictures:
        raise TaskFailed(f"The tasks gave no picture. {report}", "The report says what the server told.")
    batches = [image_batch(pictures)] if one_batch else [to_image([picture]) for picture in pictures]
    seeds = ",".join(str(seed) for result in results for seed in result.seeds)
    return io.NodeOutput(batches, seeds, "\n".join(one.task_id for one in wanted), report)


class ImgOpenModel(io.ComfyNode):
    """A model of the server, from the list that the host fetches from the pack's own route."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        made = schema(MODEL)
        (field,) = MODEL.inputs
        remote = io.RemoteOptions(route=MODELS_ROUTE, refresh_button=True, timeout=4000, max_retries=1)
        plain = build_input(field)
        made.inputs = [
            io.Combo.Input(
                plain.id, options=[field.default], default=field.default, tooltip=plain.tooltip, remote=remote
            )
        ]
        return made

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        name = str(inputs.get("model") or "").strip()
        if not name:
            raise InvalidRequest.field("model", name, "a model of the list", "Press the refresh button.")
        return io.NodeOutput(name)
