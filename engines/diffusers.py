# pyright: basic
"""The local engine: Stable Diffusion 1.x checkpoints and ControlNets through diffusers, without ComfyUI.

Meanings (steps, seeds, emphasis, control modes, step windows, hires fix) are the web UI's; the sampling loop
is the pack's own, over diffusers' networks and schedulers, for the pipelines know no factors per residual.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from ..a1111.noise import image_seeds, resolve_seed
from ..a1111.prompt import extract_loras
from ..base.errors import Cancelled, ImgOpenError, InvalidRequest, MissingModel, TaskFailed, Unsupported
from ..base.log import get_logger
from ..preprocessors.runtime import PlainRuntime
from .diffusers_init import prepare_init
from .diffusers_job import Job, Setting, passes_of
from .diffusers_load import Loader, Networks, require_diffusers
from .diffusers_prompt import TextEncoder
from .diffusers_report import request_infos
from .diffusers_samplers import SamplerPlan, plan_sampler
from .diffusers_units import (
    ReadyUnit,
    geometry_of,
    load_units,
    make_unit,
    shown_maps,
    unit_files,
    unit_notices,
)
from .models import LocalModels, ModelFile
from .types import Info, Progress, Result

if TYPE_CHECKING:
    from ..api.request import Request
    from ..preprocessors.runtime import Runtime
    from ..storage.pictures import Pictures
    from .types import CancelledFn, ProgressFn

_log = get_logger("engines.diffusers")
_BUILT_IN_VAE = ("", "automatic", "none")


class DiffusersEngine:
    """Runs requests on this machine. One at a time: further calls wait for their turn.

    The same request gives the same pictures, bit for bit, on the same device with the same number of threads;
    on the CPU also whatever `batch_size` and `n_iter` are, because images are made one by one there. On CUDA
    the images of a batch are sampled together and may differ from single ones by rounding (1/255).

    Args:
        models: what checkpoints, control models and VAEs there are.
        device: `auto` (CUDA, else MPS, else CPU) or a torch device.
        threads: CPU threads of torch while a request runs; the number before is restored.
        annotators: folders with weights of learned preprocessors.
    """

    name = "diffusers"

    def __init__(
        self, models: LocalModels, device: str = "auto", threads: int = 1, annotators: tuple[str, ...] = ()
    ) -> None:
        if threads < 1:
            raise InvalidRequest.field("threads", threads, "1 or more")
        self.models = models
        self._device = device
        self._threads = threads
        self._loader = Loader()
        self._lock = threading.Lock()
        self._stop: CancelledFn | None = None
        self._runtime = PlainRuntime(
            device,
            threads=threads,
            folders=annotators,
            is_cancelled=lambda: self._stop is not None and self._stop(),
        )

    def run(
        self,
        request: Request,
        *,
        pictures: Pictures | None = None,
        progress: ProgressFn | None = None,
        cancelled: CancelledFn | None = None,
    ) -> Result:
        """Make the pictures of one request.

        Args:
            request: what to make; a random seed (-1) is drawn here and reported in the result.
            pictures: resolves the request's links; None for one that fetches public links only.
            progress: receives reports, about one picture per second among them.
            cancelled: asked before every model call.

        Returns:
            Pictures in order, iteration by iteration, their seeds, the control images, and in `infos` every
            field that was not honoured exactly.

        Raises:
            Cancelled: within one step of the wish.
            InvalidRequest, PictureError: a field or picture that cannot be used.
            MissingModel: checkpoint or control model not there; nearest names are in the text.
            MissingDependency, Unsupported: samplers, modules and model families this engine has not.
            TaskFailed: the networks produced no picture (not a number, out of memory).
        """
        report = progress or _nobody

        def check() -> None:
            if cancelled is not None and cancelled():
                raise Cancelled("The request was cancelled.", "Nothing was kept.")

        require_diffusers()
        with self._turn(check, report), _threads(self._threads), _memory_errors():
            self._stop = cancelled
            try:
                return self._run(request, pictures or _public_pictures(), progress, check)
            finally:
                self._stop = None

    def _run(
        self, request: Request, pictures: Pictures, progress: ProgressFn | None, check: Callable[[], None]
    ) -> Result:
        import torch

        report = progress or _nobody
        infos = request_infos(request)
        plan = plan_sampler(request.sampler_index)
        infos += _sampler_infos(plan)
        img2img = request.init_image is not None
        passes = passes_of(request, img2img)
        files = unit_files(request, self.models)
        checkpoint, said = self._checkpoint(request)
        infos += said
        report(Progress(0.0, "loading", checkpoint.name))
        device = _torch_device(self._device)
        networks = self._loader.checkpoint(checkpoint)
        vae, said = self._vae(request, checkpoint)
        infos += said
        networks = Networks(
            networks.unet, vae or networks.vae, networks.text_encoder, networks.tokenizer, networks.scheduler
        )
        units = load_units(files, self._loader, networks.unet.config.cross_attention_dim)
        skip, said = _clip_skip(request, networks)
        infos += said
        check()
        seeds = image_seeds(resolve_seed(request.seed_number), request.image_count)
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        offload = device.type == "cuda" and any(unit.low_vram for _, unit, _ in units)
        with torch.inference_mode():
            _place(networks, [network for _, _, network in units], device, dtype, offload)
            ready, init = self._pictures(request, pictures, units, len(passes) > 1, seeds[0], report, check)
            for each in ready:
                infos += unit_notices(each, device.type)
            setting = Setting(
                request=request,
                networks=networks,
                plan=plan,
                units=ready,
                init=init,
                encoder=TextEncoder(networks, skip, device),
                prompt=extract_loras(request.prompt).text,
                device=device,
                dtype=dtype,
                offload=offload,
                check=check,
                progress=progress,
            )
            group = request.batch_size if device.type == "cuda" else 1
            images = Job(setting).run(seeds, group)
        report(Progress(1.0, "done"))
        maps = [picture for each in ready for picture in shown_maps(each)]
        return Result(images=images, seeds=seeds, control_images=maps, infos=infos, task_id=request.id_task)

    def _pictures(
        self,
        request: Request,
        pictures: Pictures,
        units: list[tuple[int, Any, Any]],
        hires: bool,
        seed: int,
        report: ProgressFn,
        check: Callable[[], None],
    ) -> tuple[list[ReadyUnit], Any]:
        """The units with their control images, and the init picture of img2img (or None)."""
        picture = pictures.get(request.init_image) if request.init_image else None
        mask = pictures.get(request.init_mask) if request.init_mask and picture is not None else None
        geometry = geometry_of(request, seed, hires)
        ready: list[ReadyUnit] = []
        for index, unit, network in units:
            check()
            report(Progress(0.05, "preprocess", unit.module))
            ready.append(
                make_unit(
                    index,
                    unit,
                    network,
                    pictures=pictures,
                    init_image=picture,
                    init_mask=mask,
                    geometry=geometry,
                    runtime=cast("Runtime", self._runtime),
                )
            )
        size = (request.width // 8 * 8, request.height // 8 * 8)
        return ready, None if picture is None else prepare_init(request, picture, mask, size)

    def _checkpoint(self, request: Request) -> tuple[ModelFile, list[Info]]:
        file = self.models.find_checkpoint(request.checkpoint)
        if request.checkpoint or len(self.models.names("checkpoint")) < 2:
            return file, []
        place = "alwayson_scripts.sd_model_checkpoint"
        return file, [Info(place, "notice", f"No checkpoint was named: {file.name} was used.")]

    def _vae(self, request: Request, checkpoint: ModelFile) -> tuple[Any, list[Info]]:
        """The VAE asked for; None for the checkpoint's own, also for unknown names, as in the web UI."""
        word = request.vae.strip().lower()
        if word == "none":
            return None, []
        try:
            if word not in _BUILT_IN_VAE:
                return self._loader.vae(self.models.find_vae(request.vae)), []
            return self._loader.vae(self.models.find_vae(checkpoint.stem)), []
        except MissingModel as error:
            if word in _BUILT_IN_VAE:
                return None, []
            text = f"{error.message} The checkpoint's own VAE was used. {error.hint}"
            return None, [Info("alwayson_scripts.sd_vae", "refused", text)]

    @contextmanager
    def _turn(self, check: Callable[[], None], report: ProgressFn) -> Iterator[None]:
        """Wait for the engine to be free; a cancel is heard meanwhile."""
        check()
        if not self._lock.acquire(blocking=False):
            report(Progress(0.0, "queued"))
            while not self._lock.acquire(timeout=0.2):
                check()
        try:
            yield
        finally:
            self._lock.release()


def _nobody(progress: Progress) -> None:
    """Where reports go when nobody asked for them."""


def _public_pictures() -> Pictures:
    from ..storage.pictures import Pictures

    return Pictures()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """torch's CPU threads while a request runs; the process' own number comes back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _memory_errors() -> Iterator[None]:
    import torch

    try:
        yield
    except ImgOpenError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TaskFailed(
            "There is not enough memory for this request.",
            "Ask for a smaller size or batch, or set low_vram on the ControlNet units.",
        ) from error


def _torch_device(name: str) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InvalidRequest.field("device", name, "auto, cpu, cuda, cuda:N or mps") from error
    missing = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise Unsupported(f"The device {name} is not available to torch on this machine.", "Use auto or cpu.")
    return device


def _place(networks: Networks, controls: list[Any], device: Any, dtype: Any, offload: bool) -> None:
    """Everything onto the device. The VAE stays in full precision: SD 1.x VAEs overflow in half."""
    import torch

    _move(networks.unet, device, dtype)
    _move(networks.text_encoder, device, dtype)
    _move(networks.vae, device, torch.float32)
    for control in controls:
        _move(control, "cpu" if offload else device, dtype)


def _move(module: Any, device: Any, dtype: Any) -> None:
    import torch

    # torch's own method: diffusers' one warns about every cast, even one that changes nothing.
    torch.nn.Module.to(module, device=device, dtype=dtype)


def _sampler_infos(plan: SamplerPlan) -> list[Info]:
    if not plan.note:
        return []
    return [
        Info("sampler_index", "approximated", f"{plan.spec.name} differs from the web UI's: {plan.note}.")
    ]


def _clip_skip(request: Request, networks: Networks) -> tuple[int, list[Info]]:
    layers = int(networks.text_encoder.config.num_hidden_layers)
    if request.clip_skip <= layers:
        return request.clip_skip, []
    place = "alwayson_scripts.override_settings.CLIP_stop_at_last_layers"
    text = f"{request.clip_skip} is more than this checkpoint's {layers} text layers: {layers} was used."
    return layers, [Info(place, "approximated", text)]
