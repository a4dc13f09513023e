"""From the result of an operation to a node's outputs: IMAGE, MASK, AUDIO, VIDEO by the host's own types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_execution.graph_utils import ExecutionBlocker

from ..base.errors import PictureError, TaskFailed
from .fields import Out
from .pixels import to_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..api.catalogue import Operation
    from ..api.operation_outputs import Outputs
    from ..engines.types import Result


def outputs(operation: Operation, outs: tuple[Out, ...], result: Result) -> list[Any]:
    """One value per output of the node. An output the answer has nothing for blocks what hangs on it.

    Raises:
        TaskFailed: every picture is withheld by the server's content check.
    """
    from ..api.operation_outputs import outputs_of

    if result.withheld and not result.images:
        raise TaskFailed(
            f"Task {result.task_id} gave no picture. {' '.join(result.withheld)}",
            "Change what is asked for.",
            task_id=result.task_id,
        )
    found = outputs_of(operation, result.response)
    return [_value(out, found, result) for out in outs]


def _value(out: Out, found: Outputs, result: Result) -> Any:
    masks = len(found.masks)
    pictures = result.images[: len(result.images) - masks] if masks else result.images
    if out.name == "images":
        return image_batch(pictures) if pictures else _nothing(result, "picture")
    if out.name == "masks":
        return _masks(result.images[-masks:]) if masks else _nothing(result, "mask")
    if out.name == "text":
        return "\n".join(found.texts)
    if out.name in ("audio", "video"):
        media = result.media[: len(found.audio)] if out.name == "audio" else result.media[len(found.audio) :]
        return (_audio if out.name == "audio" else _video)(media[0]) if media else _nothing(result, out.name)
    if out.name == "seeds":
        return ",".join(str(seed) for seed in result.seeds)
    if out.name == "audits":
        return "\n".join(audit_line(audits) for audits in result.audits)
    return result.task_id if out.name == "task_id" else as_json(result.response)


def as_json(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=1)


def audit_line(audits: list[dict[str, Any]]) -> str:
    """The labels of one picture, with what the server is sure of."""
    return ", ".join(
        str(audit.get("label", ""))
        + (f" {audit['confidence']}" if audit.get("confidence") is not None else "")
        for audit in audits
    )


def image_batch(pictures: list[NDArray[np.uint8]]) -> Any:
    """Pictures of one size as IMAGE.

    Raises:
        PictureError: they differ in size; one batch has one size.
    """
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise PictureError(
            f"The pictures differ in size ({shown}), and a batch has one size.",
            "Ask for one size, or collect them as a list (ImgOpenCollect).",
        )
    return to_image(pictures)


def _masks(pictures: list[NDArray[np.uint8]]) -> Any:
    return image_batch(pictures)[..., 0]


def _nothing(result: Result, what: str) -> ExecutionBlocker:
    return ExecutionBlocker(f"The answer of task {result.task_id} holds no {what}; see its response output.")


def _video(path: Path) -> Any:
    from comfy_api.input_impl import VideoFromFile

    return VideoFromFile(str(path))


def _audio(path: Path) -> dict[str, Any]:
    """A sound file as ComfyUI's AUDIO: waveform (1, channels, samples) float32, and its rate."""
    import av
    import numpy as np
    import torch

    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        channels, rate = stream.codec_context.channels, stream.codec_context.sample_rate
        resampler = av.AudioResampler(format="fltp", layout=stream.codec_context.layout, rate=rate)
        decoded = [frame for packet in file.decode(stream) for frame in resampler.resample(packet)]
        parts = [frame.to_ndarray().reshape(channels, -1) for frame in decoded]
    samples = np.concatenate(parts, axis=1) if parts else np.zeros((channels, 0), np.float32)
    return {"waveform": torch.from_numpy(samples.astype(np.float32)).unsqueeze(0), "sample_rate": rate}
