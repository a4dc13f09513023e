# pyright: basic
"""One sampling run: a schedule, a denoiser, and what happens between two model calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import TaskFailed
from .diffusers_control import ControlPass
from .diffusers_prompt import PromptPlan, TextEncoder
from .diffusers_samplers import Schedule

Blend = Callable[[Any], Any]


@dataclass
class Guidance:
    """What steers one run: text, control, and how strongly.

    Attributes:
        unet: diffusers' U-Net, on its device.
        encoder: turns prompt parts into vectors.
        prompts: which parts at which call.
        control: the units during this run.
        cfg: guidance scale.
        prediction: what the network predicts: `epsilon`, `v_prediction` or `sample`.
        blends: applied in turn to the predicted picture (latents (B, 4, h, w)) after every call.
        before: applied to what the network gets, latents of unit variance (B, 4, h, w); None: nothing.
    """

    unet: Any
    encoder: TextEncoder
    prompts: PromptPlan
    control: ControlPass
    cfg: float
    prediction: str
    blends: list[Blend] = field(default_factory=list[Blend])
    before: Blend | None = None


def sample(
    guidance: Guidance,
    schedule: Schedule,
    latents: Any,
    generators: list[Any],
    report: Callable[[Any], None],
    check: Callable[[], None],
) -> Any:
    """Run a schedule to its end.

    Args:
        guidance: see `Guidance`.
        schedule: the calls to make.
        latents: start, float32 (B, 4, h, w), at the noise level of the schedule's first timestep.
        generators: one per image, for samplers that add noise.
        report: called after each model call with the predicted picture's latents.
        check: raises Cancelled; asked before each model call.

    Returns:
        Latents of the finished pictures, float32 (B, 4, h, w).

    Raises:
        TaskFailed: the network produced values that are not numbers.
    """
    scheduler = schedule.scheduler
    for call, (timestep, sigma) in enumerate(schedule.calls):
        check()
        scaled = scheduler.scale_model_input(latents, timestep)
        given = scaled if guidance.before is None else guidance.before(scaled)
        output = predict(guidance, call, given, timestep)
        picture = to_picture(output, given, sigma, guidance.prediction)
        if guidance.before is not None:
            # The sampler goes on from its own latents, by the noise found in what the network got.
            picture = picture + (scaled - given) / _parts(sigma)[0]
        if guidance.blends or guidance.before is not None:
            for blend in guidance.blends:
                picture = blend(picture)
            output = from_picture(picture, scaled, sigma, guidance.prediction)
        latents = schedule.step(output, timestep, latents, generators)
        report(picture)
    check()
    if not bool(latents.isfinite().all()):
        raise TaskFailed(
            "The model produced values that are not numbers (NaN), so there is no picture.",
            "Try another checkpoint or VAE, a lower cfg_scale or lower unit weights.",
        )
    return latents


def predict(guidance: Guidance, call: int, sample: Any, timestep: Any) -> Any:
    """The guided prediction of one model call, float32 like `sample` (B, 4, h, w).

    uncond + cfg * sum of weight * (cond - uncond). Parts of different length run separately.
    """
    weights = guidance.prompts.weights
    texts = guidance.prompts.positive(call)
    vectors = [guidance.encoder.encode(text) for text in texts]
    if guidance.cfg == 1.0 and weights == [1.0]:
        return _rows(guidance, call, sample, timestep, vectors, [False])[0]
    vectors = [guidance.encoder.encode(guidance.prompts.negative(call)), *vectors]
    outputs = _rows(guidance, call, sample, timestep, vectors, [True, *[False] * len(texts)])
    guided = outputs[0]
    for weight, output in zip(weights, outputs[1:], strict=True):
        guided = guided + guidance.cfg * weight * (output - outputs[0])
    return guided


def _rows(
    guidance: Guidance, call: int, sample: Any, timestep: Any, vectors: list[Any], uncond: list[bool]
) -> list[Any]:
    """The network's output for each text, those of equal length in one call."""
    import torch

    outputs: list[Any] = [None] * len(vectors)
    images = sample.shape[0]
    dtype = guidance.unet.dtype
    for length in dict.fromkeys(each.shape[1] for each in vectors):
        members = [index for index, each in enumerate(vectors) if each.shape[1] == length]
        batch = sample.repeat(len(members), 1, 1, 1).to(dtype)
        context = torch.cat([vectors[index].expand(images, -1, -1) for index in members]).to(
            batch.device, dtype
        )
        sides = [uncond[index] for index in members for _ in range(images)]
        down, middle = guidance.control.residuals(call, batch, timestep, context, sides)
        output = guidance.unet(
            batch,
            timestep,
            encoder_hidden_states=context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        for index, part in zip(members, output.float().split(images), strict=True):
            outputs[index] = part
    return outputs


def to_picture(output: Any, sample: Any, sigma: float, prediction: str) -> Any:
    """The picture a prediction stands for. `sample` is at unit variance, `sigma` its noise level."""
    signal, noise = _parts(sigma)
    if prediction == "v_prediction":
        return signal * sample - noise * output
    if prediction == "sample":
        return output
    return (sample - noise * output) / signal


def from_picture(picture: Any, sample: Any, sigma: float, prediction: str) -> Any:
    """The inverse of `to_picture`."""
    signal, noise = _parts(sigma)
    if prediction == "v_prediction":
        return (signal * sample - picture) / noise
    if prediction == "sample":
        return picture
    return (sample - signal * picture) / noise


def _parts(sigma: float) -> tuple[float, float]:
    scale = (1.0 + sigma * sigma) ** 0.5
    return 1.0 / scale, sigma / scale
