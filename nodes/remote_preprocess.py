"""Control images made by a server: one cnt/preview task per picture of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base.errors import TaskFailed
from .background import watch
from .host import Bar
from .operation_results import image_batch
from .operations import nonce_of
from .pixels import frames

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ..engines.remote_collect import Attach, Collected
    from ..engines.types import ProgressFn

OPERATION = "cnt_preview"
SLIDERS_ARE_THE_SERVERS = (
    "cnt/preview takes a picture and a module only: the server's sliders were used, not these."
)


async def preprocess_remotely(
    image: torch.Tensor, module: str, values: dict[str, Any], bar: Bar
) -> tuple[torch.Tensor, int]:
    """The control image of every picture (B, h, w, 3), and its short side in pixels.

    Args:
        image: IMAGE (B, H, W, C).
        module: canonical name of the preprocessor.
        values: the node's widgets: profile, run_again.

    Raises: as `ToolRunner.run`; TaskFailed when one picture gave no control image.
    """
    from ..api.profiles import load_profile
    from ..engines.remote_collect import collect
    from ..engines.remote_tools import ToolRunner

    pictures = frames(image, "image")
    runner = ToolRunner(load_profile(values["profile"]))

    def one(picture: NDArray[np.uint8]) -> Attach:
        return lambda told, stop: _preview(runner, picture, module, nonce_of(values), told, stop)

    def work(progress: ProgressFn, cancelled: Callable[[], bool]) -> list[Collected]:
        return collect([one(picture) for picture in pictures], progress, cancelled)

    maps: list[NDArray[np.uint8]] = []
    for number, found in enumerate(await watch(work, bar, "img-open-preview"), 1):
        if found.error is not None:
            raise found.error
        if found.result is None or not found.result.images:
            raise TaskFailed(
                f"The server gave no control image for picture {number}.", "See its task's answer."
            )
        maps.append(found.result.images[0])
    return image_batch(maps), min(maps[0].shape[:2])


def _preview(runner: Any, picture: Any, module: str, nonce: str, told: Any, stop: Any) -> Any:
    from ..storage.pictures import Pictures

    along = Pictures()
    body = {"sourceImage": along.add(picture), "preprocessor": module}
    return runner.run(OPERATION, body, pictures=along, progress=told, cancelled=stop, nonce=nonce)
