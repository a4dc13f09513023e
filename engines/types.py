"""What every engine takes and gives, with no engine in sight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..api.request import Request
    from ..storage.pictures import Pictures

Stage = Literal[
    "queued", "loading", "preprocess", "sampling", "decoding", "uploading", "running", "downloading", "done"
]


@dataclass(frozen=True)
class Progress:
    """One report on the way.

    Attributes:
        fraction: 0..1 of the whole request.
        stage: what is going on now.
        message: a short text for people, may be empty.
        preview: intermediate picture, uint8 (H, W, 3) RGB, or None.
    """

    fraction: float
    stage: Stage
    message: str = ""
    preview: NDArray[np.uint8] | None = None


ProgressFn = Callable[[Progress], None]
CancelledFn = Callable[[], bool]


@dataclass(frozen=True)
class Info:
    """What an engine has to say about one field of the request.

    Attributes:
        field: wire name, dotted below the top level (`alwayson_scripts.controlnet.args[0].control_mode`).
        verdict: `notice` (honoured, but worth saying), `approximated`, or `refused` (left out).
        message: why and what happened instead.
    """

    field: str
    verdict: Literal["notice", "approximated", "refused"]
    message: str


@dataclass
class Result:
    """What came out of one request.

    Attributes:
        images: uint8 (H, W, 3) RGB each, in the order iteration by iteration.
        seeds: the seed of each image, same length as `images`.
        control_images: the units' maps as the engine used them, uint8 (H, W, 3).
        infos: field by field what was not honoured exactly.
        task_id: the server's or caller's id, empty for a local run.
        audits: per image the server's audit entries (`label`, `confidence`); empty locally.
        withheld: one text per picture that the server made but does not hand out.
        response: the answer as JSON values, scrubbed (no signatures in links).
        media: files of sounds and films, in the answer's order.
    """

    images: list[NDArray[np.uint8]] = field(default_factory=list["NDArray[np.uint8]"])
    seeds: list[int] = field(default_factory=list[int])
    control_images: list[NDArray[np.uint8]] = field(default_factory=list["NDArray[np.uint8]"])
    infos: list[Info] = field(default_factory=list[Info])
    task_id: str = ""
    audits: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])
    withheld: list[str] = field(default_factory=list[str])
    response: dict[str, Any] = field(default_factory=dict[str, Any])
    media: list[Path] = field(default_factory=list["Path"])


class Engine(Protocol):
    """Anything that turns a request into pictures."""

    name: str

    def run(
        self,
        request: Request,
        *,
        pictures: Pictures | None = None,
        progress: ProgressFn | None = None,
        cancelled: CancelledFn | None = None,
    ) -> Result:
        """Make the pictures. Raises errors of `base.errors`; `Cancelled` within one step of the wish."""
        ...
