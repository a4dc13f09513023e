"""The graph engine: a request as nodes of ComfyUI, so that its cache, memory, previews and interrupt apply.

`expand` is plain data: it imports nothing of ComfyUI and runs anywhere. Stock nodes do what means the same in
both worlds; where the web UI means something else, a small node of the pack stands in.
"""

# pyright: basic

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..a1111.noise import image_seeds
from ..a1111.prompt import extract_loras, parse_and, parse_schedule
from ..a1111.samplers import SamplerSpec, find_sampler
from ..base.errors import InvalidRequest, MissingModel
from .comfy_graph import Expansion, Graph, HostFacts, Link
from .comfy_owners import missing_file, takes_control_model
from .comfy_passes import Run, add_batch, hires_plan, size_of, start_of
from .comfy_report import EXTRA_FIELDS, report_fields, report_text
from .comfy_units import Units, Wires

if TYPE_CHECKING:
    from ..api.request import Request

__all__ = ["Expansion", "HostFacts", "expand", "missing_models", "report_text"]

_BUILT_IN_VAE = ("", "automatic", "none")
_SOURCES = {"gpu": "nv", "nv": "nv", "cpu": "cpu"}


def expand(request: Request, host: HostFacts | None = None, *, seed: int, prefix: str = "") -> Expansion:
    """A request as a graph in ComfyUI's API format.

    Args:
        request: what to make. Its links are left to picture nodes, which fetch them when the graph runs.
        host: what the host has; None to take every name as it is written.
        seed: of the first picture, resolved (the request's own may be -1).
        prefix: of all node ids.

    Returns:
        The nodes, where the pictures and control images come out, the seeds, and in `infos` every field that
        is not honoured exactly.

    Raises:
        InvalidRequest: values that cannot be used together, a unit without a picture or model.
        MissingModel: a checkpoint, control model or upscaler that the host has not, with the nearest names.
    """
    host = host or HostFacts()
    graph = Graph(prefix)
    spec = find_sampler(request.sampler_index)
    report_fields(graph, request, host, spec)
    request = _as_it_is_run(request)
    _check_size(request)
    checkpoint = host.checkpoint(request.checkpoint)
    if not request.checkpoint:
        graph.say(
            "alwayson_scripts.sd_model_checkpoint",
            "notice",
            f"No checkpoint was named: {checkpoint} was used.",
        )
    loader = graph.add("checkpoint", "CheckpointLoaderSimple", ckpt_name=checkpoint)
    vae = _vae(graph, request, host, loader, checkpoint)
    start = start_of(graph, request, vae)
    model = _model(graph, spec, loader)
    texts = _texts(graph, request, spec, loader, model, 0)
    wires = Wires(*texts)
    units = Units(graph, request, host, start.latent, vae, start.units, seed)
    units.add(wires)
    stated = (request.width, request.height)
    guider = _guider(graph, "guider", request, wires, None if stated == size_of(request) else stated)
    second = _second_guider(units, wires, spec, loader, model, guider) if request.enable_hr else None
    settings = noise_settings(request)
    run = Run(request, host, spec, wires.model, vae, guider, second, seed, settings, wires.finish)
    batches = [add_batch(graph, run, start, number) for number in range(request.n_iter)]
    strength = float(settings["variation_strength"])
    return Expansion(
        graph.nodes,
        _joined(graph, batches),
        wires.maps,
        image_seeds(seed, request.image_count, strength),
        graph.infos,
    )


def missing_models(request: Request, host: HostFacts) -> list[MissingModel]:
    """Which of the request's checkpoint and control models the host has not, as the errors that say so."""
    missing: list[MissingModel] = []
    wanted = [(host.checkpoint, request.checkpoint)]
    for unit in request.units:
        if not unit.enabled or unit.model.strip().lower() in ("", "none"):
            continue
        if takes_control_model(unit):
            wanted.append((host.control_model, unit.model))
        elif (error := missing_file(unit, host)) is not None:
            missing.append(error)
    for find, name in wanted:
        try:
            find(name)
        except MissingModel as error:
            missing.append(error)
    return missing


def noise_settings(request: Request) -> dict[str, Any]:
    """What the request says about its noise besides the seed, as inputs of a Noise node.

    Raises:
        InvalidRequest: a value of the wrong type.
    """
    settings, extra = request.override_settings, request.unknown_fields
    source = str(settings.get("randn_source") or "cpu").lower()
    if source not in _SOURCES:
        raise InvalidRequest.field("override_settings.randn_source", source, "CPU, GPU or NV")
    numbers: dict[str, float] = {}
    for name in EXTRA_FIELDS:
        value = extra.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise InvalidRequest.field(name, value, "a number")
        numbers[name] = value or 0
    return {
        "source": _SOURCES[source],
        "ensd": int(settings.get("eta_noise_seed_delta") or 0),
        "variation_seed": max(int(numbers["subseed"]), 0),
        "variation_strength": float(numbers["subseed_strength"]),
        "resize_from_width": max(int(numbers["seed_resize_from_w"]), 0),
        "resize_from_height": max(int(numbers["seed_resize_from_h"]), 0),
    }


def _as_it_is_run(request: Request) -> Request:
    """Without hires fix where there is an init picture; the report says so."""
    if request.init_image is not None and request.enable_hr:
        return request.replace(enable_hr=False)
    return request


def _check_size(request: Request) -> None:
    if min(size_of(request)) < 8:
        raise InvalidRequest.field(
            "width x height", f"{request.width}x{request.height}", "8 pixels or more each"
        )
    if request.enable_hr:
        hires_plan(request)
        if request.denoising_strength <= 0:
            raise InvalidRequest.field(
                "denoising_strength",
                request.denoising_strength,
                "greater than 0 with enable_hr",
                "Common are 0.3 to 0.7.",
            )


def _vae(graph: Graph, request: Request, host: HostFacts, loader: str, checkpoint: str) -> Link:
    """The VAE asked for; the checkpoint's own for unknown names too, as in the web UI."""
    word = request.vae.strip().lower()
    own: Link = [loader, 2]
    if word == "none" or (word in _BUILT_IN_VAE and host.models is None):
        return own
    try:
        name = host.vae(checkpoint if word in _BUILT_IN_VAE else request.vae)
    except MissingModel as error:
        if word not in _BUILT_IN_VAE:
            text = f"{error.message} The checkpoint's own VAE is used. {error.hint}"
            graph.say("alwayson_scripts.sd_vae", "refused", text)
        return own
    return [graph.add("vae", "VAELoader", vae_name=name), 0]


def _model(graph: Graph, spec: SamplerSpec, loader: str) -> Link:
    """The checkpoint's model; for LCM with the web UI's fifty noise levels and boundary scalings."""
    if spec.base != "LCM":
        return [loader, 0]
    patched = graph.add("lcm", "ModelSamplingDiscrete", model=[loader, 0], sampling="lcm", zsnr=False)
    return [patched, 0]


def _texts(
    graph: Graph, request: Request, spec: SamplerSpec, loader: str, model: Link, hires_steps: int
) -> list[Link]:
    """[model, positive, negative] with the prompt's LoRA applied."""
    tag = "hires-" if hires_steps else ""
    shared = {"steps": request.steps * spec.order, "hires_steps": hires_steps, "clip_skip": request.clip_skip}
    positive = graph.add(
        f"{tag}positive",
        "ImgOpenPrompt",
        clip=[loader, 1],
        model=model,
        text=request.prompt,
        emphasis="web-ui",
        network_tags="apply",
        **shared,
    )
    # The web UI neither reads nor removes tags in the negative prompt, and its text model has the LoRA too.
    negative = graph.add(
        f"{tag}negative",
        "ImgOpenPrompt",
        clip=[positive, 2] if extract_loras(request.prompt).loras else [loader, 1],
        text=request.negative_prompt,
        emphasis="web-ui",
        network_tags="keep",
        negative=True,
        **shared,
    )
    return [[positive, 1], [positive, 0], [negative, 0]]


def _guider(
    graph: Graph, name: str, request: Request, wires: Wires, size: tuple[int, int] | None = None
) -> Link:
    width, height = size or (None, None)
    guider = graph.add(
        name,
        "ImgOpenGuider",
        model=wires.model,
        positive=wires.positive,
        negative=wires.negative,
        cfg=request.cfg_scale,
        width=width,
        height=height,
    )
    return [guider, 0]


def _second_guider(
    units: Units, wires: Wires, spec: SamplerSpec, loader: str, start: Link, first: Link
) -> Link:
    """The guider of the second pass; the first one's unless the prompt is edited or the latents are cut."""
    request, plan = units.request, hires_plan(units.request)
    # SDXL is told the size before the cut.
    size = None if plan.upscale_to == plan.final_image else plan.upscale_to
    if not _is_edited(request):
        return first if size is None else _guider(units.graph, "hires-guider", request, wires, size)
    steps = request.hr_second_pass_steps or request.steps
    model, positive, negative = _texts(units.graph, request, spec, loader, start, steps * spec.order)
    second = Wires(model, positive, negative)
    units.add(second, "hires-")
    return _guider(units.graph, "hires-guider", request, second, size)


def _is_edited(request: Request) -> bool:
    texts = [*parse_and(extract_loras(request.prompt).text)[1], request.negative_prompt]
    return any(len(parse_schedule(text, request.steps)) > 1 for text in texts)


def _joined(graph: Graph, batches: list[Link]) -> Link:
    joined = batches[0]
    for number, batch in enumerate(batches[1:], 2):
        joined = [graph.add(f"join-{number}", "ImageBatch", image1=joined, image2=batch), 0]
    return joined
