"""cnt/preview: the map of one module with its default sliders, as the published page has no slider fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MapMaker:
    """Makes maps, and keeps loaded annotators for the next one. For one thread at a time.

    Args:
        device: torch device of annotator networks, or `auto`.
        threads: torch threads while a network runs.
    """

    def __init__(self, device: str = "auto", threads: int = 1) -> None:
        from ..preprocessors.runtime import PlainRuntime

        self._progress: Callable[[float], None] = lambda _: None
        self._cancelled: Callable[[], bool] = lambda: False
        self._runtime = PlainRuntime(
            device,
            threads=threads,
            on_progress=lambda fraction: self._progress(fraction),
            is_cancelled=lambda: self._cancelled(),
        )

    def __call__(
        self,
        module: str,
        image: NDArray[np.uint8],
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> NDArray[np.uint8]:
        """The map: uint8 (h, w, 3), or (h, w, 4) for the inpaint modules.

        Raises: as `preprocessors.run.run_module`.
        """
        from ..controlnet.modules import effective_sliders
        from ..preprocessors.run import run_module

        self._progress, self._cancelled = progress, cancelled
        resolution, threshold_a, threshold_b, _ = effective_sliders(module)
        return run_module(
            module,
            image,
            processor_res=resolution,
            threshold_a=threshold_a,
            threshold_b=threshold_b,
            runtime=self._runtime,
        )
