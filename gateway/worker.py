"""The one thread that works: takes tasks from the store, runs the engine, keeps what comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ..api.request import Request
from ..base.errors import Cancelled, ImgOpenError
from ..base.log import get_logger, scrub
from ..engines.types import Engine, Progress, Result
from ..storage.fetch import Fetcher
from ..storage.pictures import Pictures
from .results import Results
from .tasks import Output, Task, TaskStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = get_logger("gateway.worker")
_PASSED = [{"label": "nonLabel", "confidence": None}]
_PURGE_EVERY_S = 3600.0
_PREVIEW_SIDE = 512


class Previewer(Protocol):
    """Makes the map of a module with its default sliders: uint8 (h, w, 3 or 4)."""

    def __call__(
        self,
        module: str,
        image: NDArray[np.uint8],
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> NDArray[np.uint8]: ...


@dataclass
class Live:
    """What is going on with the running task right now; lost with the process, and no loss."""

    seq: int
    progress: Progress = field(default_factory=lambda: Progress(0.0, "queued"))
    cancel: threading.Event = field(default_factory=threading.Event)


class Worker:
    """Runs tasks one after the other in a daemon thread.

    Args:
        store, results: where tasks and pictures live.
        engine: makes the pictures.
        previewer: makes the maps of cnt/preview.
        fetcher: fetches the links of requests.
        keep_s: finished tasks older than this are purged.
    """

    def __init__(
        self,
        store: TaskStore,
        results: Results,
        engine: Engine,
        previewer: Previewer,
        fetcher: Fetcher,
        keep_s: float,
    ) -> None:
        self._store = store
        self._results = results
        self._engine = engine
        self._previewer = previewer
        self._fetcher = fetcher
        self._keep_s = keep_s
        self._live: Live | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._purged_at = 0.0
        self._thread = threading.Thread(target=self._loop, name="img-open-worker", daemon=True)

    def start(self) -> None:
        """Takes up what an earlier process left, then works."""
        again, given_up = self._store.recover()
        if again or given_up:
            _log.info("after a restart: %d tasks wait again, %d were given up", again, given_up)
        self._thread.start()

    def wake(self) -> None:
        """There may be a new task."""
        self._wake.set()

    def cancel(self, seq: int) -> None:
        """Stops the task if it is the running one; the engine ends within a step."""
        live = self._live
        if live is not None and live.seq == seq:
            live.cancel.set()

    def progress(self, seq: int) -> Progress | None:
        """The latest report of the task if it is the running one."""
        live = self._live
        return live.progress if live is not None and live.seq == seq else None

    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def stop(self, seconds: float) -> bool:
        """Stops after the current step; the task waits for the next start. Returns whether it stopped."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        troubled = False
        while not self._stopping.is_set():
            try:
                if troubled:
                    self._store.recover()  # the task at hand may still count as running
                    troubled = False
                self._purge_now_and_then()
                claimed = self._store.claim()
                if claimed is None:
                    self._wake.wait(timeout=60)
                    self._wake.clear()
                else:
                    self._work(*claimed)
            except Exception:
                # A full disk or a locked database must not end the thread; nothing is lost by trying again.
                _log.exception("the worker met trouble and goes on")
                troubled = True
                self._stopping.wait(1.0)

    def _work(self, task: Task, body: dict[str, Any]) -> None:
        live = Live(task.seq)
        self._live = live
        if self._store.get(task.seq).cancel_wanted:
            live.cancel.set()  # the wish came between the claim and here
        started = time.monotonic()
        try:
            run = self._run_request if task.family == "sd" else self._run_preview
            output = run(body, live)
            self._store.finish(task.seq, output)
            seconds = time.monotonic() - started
            _log.info("task %d done in %.1f s, pictures: %d", task.seq, seconds, len(output.images))
        except Cancelled:
            self._ended_early(task, live)
        except ImgOpenError as error:
            self._store.fail(task.seq, scrub(str(error)))
            _log.info("task %d failed: %s", task.seq, error)
        except Exception as error:
            _log.exception("task %d failed", task.seq)
            self._store.fail(
                task.seq,
                f"The server could not finish this task (internal error, {type(error).__name__}). "
                "Its log says more; the same request may work with a new id.",
            )
        finally:
            self._live = None

    def _ended_early(self, task: Task, live: Live) -> None:
        if live.cancel.is_set():
            self._store.cancelled(task.seq)
            _log.info("task %d cancelled", task.seq)
        elif self._stopping.is_set():
            self._store.put_back(task.seq)
            _log.info("task %d waits for the next start", task.seq)
        else:
            self._store.fail(task.seq, "The engine stopped without being asked. Try again with a new id.")

    def _run_request(self, body: dict[str, Any], live: Live) -> Output:
        notices: list[str] = []
        request = Request.from_wire(body, notices=notices)

        def report(progress: Progress) -> None:
            # The engine sends a picture about once a second, a client asks when it likes: keep the last one.
            if progress.preview is None and live.progress is not None:
                progress = replace(progress, preview=live.progress.preview)
            live.progress = progress

        result = self._engine.run(
            request,
            pictures=Pictures(self._fetcher),
            progress=report,
            cancelled=lambda: live.cancel.is_set() or self._stopping.is_set(),
        )
        return self._keep(result, request.output_format, notices)

    def _keep(self, result: Result, ending: str, notices: list[str]) -> Output:
        if not result.images and not result.withheld:
            raise RuntimeError("the engine returned no pictures")
        if len(result.seeds) != len(result.images):
            raise RuntimeError(
                f"the engine returned {len(result.images)} pictures, {len(result.seeds)} seeds"
            )
        images: list[dict[str, Any]] = []
        for index, (image, seed) in enumerate(zip(result.images, result.seeds, strict=True)):
            audit = result.audits[index] if index < len(result.audits) else _PASSED
            images.append({"file": self._save(image, ending), "seed": int(seed), "audit": audit})
        infos = [
            {"field": info.field, "verdict": info.verdict, "message": scrub(info.message)}
            for info in result.infos
        ]
        said = {info["message"] for info in infos}
        infos += [{"field": "", "verdict": "notice", "message": text} for text in notices if text not in said]
        return Output(
            images=images,
            control_files=[self._save(each, "png") for each in result.control_images],
            infos=infos,
            withheld=[scrub(text) for text in result.withheld],
        )

    def _run_preview(self, body: dict[str, Any], live: Live) -> Output:
        def report(fraction: float) -> None:
            live.progress = Progress(fraction, "preprocess")

        report(0.0)
        image = Pictures(self._fetcher).get(body["sourceImage"])
        made = self._previewer(
            body["preprocessor"],
            image,
            report,
            lambda: live.cancel.is_set() or self._stopping.is_set(),
        )
        return Output(images=[{"file": self._save(made, "png"), "seed": 0, "audit": _PASSED}])

    def _save(self, image: NDArray[np.uint8], ending: str) -> str:
        from ..base.pictures import encode_jpeg, encode_png

        return self._results.save(encode_png(image) if ending == "png" else encode_jpeg(image), ending)

    def _purge_now_and_then(self) -> None:
        now = time.time()
        if now - self._purged_at > _PURGE_EVERY_S:
            self._purged_at = now
            self._results.remove(self._store.purge(now - self._keep_s))
            self._results.sweep(self._store.known_files())


def preview_data_url(progress: Progress) -> str | None:
    """The intermediate picture of a report as a small JPEG data URL, or None."""
    if progress.preview is None:
        return None
    from ..base.pictures import encode_jpeg, to_data_url

    image = progress.preview
    step = max(1, -(-max(image.shape[:2]) // _PREVIEW_SIDE))  # every n-th pixel is good enough on the way
    return to_data_url(encode_jpeg(image[::step, ::step], quality=80), "image/jpeg")
