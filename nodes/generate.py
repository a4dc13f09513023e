"""ImgOpenGenerate: a whole request on one node, made here as graph operations, or on a server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..base.command import command
from ..base.errors import ImgOpenError, MissingModel, TaskFailed
from .background import watch
from .bodies import check_choice
from .host import Bar
from .remote_submit import build
from .schema import schema
from .tables import GENERATE, RUN_ON

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.request import Request
    from ..engines.comfy import Expansion, HostFacts
    from ..engines.types import ProgressFn, Result
    from ..storage.pictures import Pictures

_NO_MAPS = "There is no control image: the request has no unit that hands one out."


class ImgOpenGenerate(io.ComfyNode):
    """Local: expands into nodes, for the host's cache, previews and interrupt. Remote: as Remote Submit.

    An unchanged node keeps its result, except that a random seed (-1) on this machine is drawn anew.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(GENERATE, enable_expand=True)

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Changes at every queue for run_on local with seed -1 alone: where a server may be asked (remote,
        auto), a repeated queue must not pay again. What is wired in comes here as None.
        """
        values = {**GENERATE.defaults(), **inputs}
        if values["run_on"] == "local" and values["seed"] == -1:
            return f"drawn {time.time_ns()}"
        return "as asked"

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        values = {**GENERATE.defaults(), **inputs}
        check_choice("run_on", values["run_on"], RUN_ON)
        request, pictures = build(values)
        bar = Bar(cls.hidden.unique_id)
        facts = host_facts()
        place, why = where(values["run_on"], request, facts, values["profile"])
        if place == "remote":
            return await _remote(request, pictures, values, bar, why)
        return await _local(request, pictures, facts, cls.hidden.unique_id, bar, why)


def where(run_on: str, request: Request, facts: HostFacts, profile: str) -> tuple[str, str]:
    """("local" or "remote", the reason). `auto` goes to a server only if its profile allows that unasked.

    Raises:
        MissingModel: auto, a model is not here, and the profile does not allow it.
    """
    from ..api.profiles import load_profile
    from ..engines.comfy import missing_models

    if run_on != "auto":
        return run_on, ""
    missing = missing_models(request, facts)
    if not missing:
        return "local", "auto: all models are here"
    try:
        allowed = load_profile(profile).auto_remote
    except ImgOpenError:
        allowed = False
    if allowed:
        return "remote", f"auto: {missing[0].message} So the request goes to {profile}."
    raise MissingModel(
        f"{missing[0].message} The profile {profile} may not be used without asking.",
        f"{missing[0].hint} Or set run_on to remote, or allow it: Settings > Img Open > profile {profile} > "
        f"auto nodes may choose this server, or `{command(f'profile change {profile} --auto-remote')}`.",
    )


def host_facts() -> HostFacts:
    """What this ComfyUI has: models by the names its loaders use, and nodes of other packs."""
    import folder_paths

    import nodes as host_nodes

    from ..engines.comfy import HostFacts
    from ..engines.models import LocalModels, ModelFile

    files = [
        ModelFile(name, Path(folder_paths.get_full_path(folder, name) or name), kind)
        for folder, kind in (("checkpoints", "checkpoint"), ("controlnet", "controlnet"), ("vae", "vae"))
        for name in folder_paths.get_filename_list(folder)
    ]
    return HostFacts(
        models=LocalModels(files),
        upscalers=_files("upscale_models"),
        node_types=frozenset(host_nodes.NODE_CLASS_MAPPINGS),
        face_models=_files("facerestore_models"),
        files={folder: _files(folder) for folder in ("clip_vision", "ipadapter", "instantid")},
    )


def _files(folder: str) -> tuple[str, ...]:
    import folder_paths

    if folder not in folder_paths.folder_names_and_paths:
        return ()
    return tuple(folder_paths.get_filename_list(folder))


async def _local(
    request: Request, pictures: Pictures, facts: HostFacts, unique_id: str, bar: Bar, why: str
) -> io.NodeOutput:
    from ..a1111.noise import resolve_seed
    from ..engines.comfy import expand, report_text
    from ..storage.pictures import PREFIX
    from .picture_store import STORE

    for _, link in request.links():
        if link.startswith(PREFIX):
            STORE.put(link, pictures.get(link))
    seed = resolve_seed(request.seed_number)

    def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> Expansion:
        # In a thread: a name with a hash may have to read files of gigabytes.
        return expand(request, facts, seed=seed, prefix=f"{unique_id}.")

    made = await watch(work, bar, "img-open-expand")
    seeds = ",".join(str(each) for each in made.seeds)
    told = ["run here", why, f"seeds {seeds}", *_lines(made.infos)]
    bar.text("\n".join(filter(None, told)))
    maps: Any = ExecutionBlocker(_NO_MAPS)
    if made.control_images:
        maps = made.control_images[0]
        for number, each in enumerate(made.control_images[1:], 2):
            key = f"{unique_id}.maps-{number}"
            made.nodes[key] = {"class_type": "ImageBatch", "inputs": {"image1": maps, "image2": each}}
            maps = [key, 0]
    report = report_text(request, made.infos)
    return io.NodeOutput(made.images, seeds, report, maps, "", expand=made.nodes)


async def _remote(
    request: Request, pictures: Pictures, values: dict[str, Any], bar: Bar, why: str
) -> io.NodeOutput:
    from ..api.profiles import load_profile
    from ..engines.remote import RemoteEngine
    from .pixels import to_image

    profile = load_profile(values["profile"])
    nonce = str(values["run_again"]) if values["run_again"] else ""

    def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> Result:
        engine = RemoteEngine(profile, deadline_s=float(values["deadline"]))
        return engine.run(request, pictures=pictures, progress=progress, cancelled=cancelled, nonce=nonce)

    result = await watch(work, bar, "img-open-remote")
    bar.finish(result.images)
    seeds = ",".join(str(seed) for seed in result.seeds)
    told = [
        f"run on {values['profile']}",
        why,
        f"task {result.task_id}",
        f"seeds {seeds}",
        *_lines(result.infos),
    ]
    bar.text("\n".join(filter(None, [*told, *result.withheld])))
    if not result.images:
        raise TaskFailed(
            f"The task {result.task_id} gave no picture. {' '.join(result.withheld)}".strip(),
            "Look at the server's answer for its reason.",
            response=result.response,
        )
    maps = to_image(result.control_images) if result.control_images else ExecutionBlocker(_NO_MAPS)
    report = "\n".join(_lines(result.infos)) or "The server reports nothing that it left out."
    return io.NodeOutput(to_image(result.images), seeds, report, maps, result.task_id)


def _lines(infos: list[Any]) -> list[str]:
    return [f"{info.verdict}: {info.field}: {info.message}" for info in infos]
