"""In which model calls a unit acts: guidance_start and guidance_end, counted the way the web UI counts.

The share of the work done is s/n: n the steps this sampling run executes, s the web UI's step counter. The
counter is set by the sampler's callback, that is *after* the first model call of a step; so the first call of
step i sees i - 1 (step 0: 0), and further calls of the same step see i. Every pass (hires fix) counts from 0.
"""

from __future__ import annotations

from collections.abc import Sequence


def is_active(start: float, end: float, step: int, total: int) -> bool:
    """Whether a window of start..end (0..1, both inclusive) is open at counter value `step` of `total`
    steps.
    """
    done = step / total
    return start <= done <= end


def sampling_steps(calls_per_step: Sequence[int]) -> list[int]:
    """The counter's value at every model call, given how many calls each step makes."""
    values: list[int] = []
    for step, calls in enumerate(calls_per_step):
        if calls > 0:
            values.append(max(step - 1, 0))
            values.extend([step] * (calls - 1))
    return values


def sampling_step(call_index: int, calls_per_step: Sequence[int]) -> int:
    """The counter's value at one model call (from 0); after the last planned call it stays where it was."""
    values = sampling_steps(calls_per_step)
    return values[min(call_index, len(values) - 1)]


def calls_of_order(sampler_order: int, total_steps: int) -> list[int]:
    """Model calls per step of a sampler of order 1, or of order 2 (two calls but for the last step)."""
    if sampler_order <= 1:
        return [1] * total_steps
    return [2] * (total_steps - 1) + [1] if total_steps > 0 else []


def active_calls(start: float, end: float, sampler_order: int, total_steps: int) -> list[bool]:
    """Whether the unit acts, for every model call of a run of `total_steps` steps, with the web UI's lag."""
    return calls_active(start, end, calls_of_order(sampler_order, total_steps), total_steps)


def calls_active(start: float, end: float, calls_per_step: Sequence[int], total_steps: int) -> list[bool]:
    """The same for samplers with their own number of calls per step (see a1111.samplers.calls_per_step)."""
    return [is_active(start, end, step, total_steps) for step in sampling_steps(calls_per_step)]


def active_step_range(start: float, end: float, total_steps: int) -> tuple[int, int] | None:
    """First and last step (from 0) of a first-order run that the unit acts in; None if there is none.

    For hosts that open and close a window by sigma: use the sigmas of these two steps.
    """
    active = [index for index, on in enumerate(active_calls(start, end, 1, total_steps)) if on]
    return (active[0], active[-1]) if active else None
