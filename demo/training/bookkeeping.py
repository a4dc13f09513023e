# SPDX-License-Identifier: Apache-2.0
"""What every training stage needs beside its networks: clock, checkpoint, log, averaged weights."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import torch


class Run:
    """One stage's clock, learning-rate schedule, checkpoint and log.

    The schedule follows time, not steps, so that a stage ends when it was told to on any machine;
    the time already spent is part of the checkpoint, so that a resumed stage goes on where it was.

    Args:
        work: folder of checkpoints and logs.
        stage: name, also of the files.
        minutes: length of the stage in wall-clock minutes.
        peak: highest learning rate; a short linear rise, then a cosine down to 3 % of it.
        rise: steps of that rise.
    """

    def __init__(self, work: Path, stage: str, minutes: float, peak: float, rise: int = 100):
        self.path, self.log_path = work / f"{stage}.pt", work / f"{stage}.jsonl"
        self.stage, self.minutes, self.peak, self.rise = stage, minutes, peak, rise
        self.step, self.spent, self._since, self._saved = 0, 0.0, time.monotonic(), time.monotonic()
        self._sums: dict[str, float] = {}
        self._count = 0

    @property
    def progress(self) -> float:
        """Share of the stage's time that is over, 0..1."""
        return (
            min(1.0, (self.spent + time.monotonic() - self._since) / 60 / self.minutes)
            if self.minutes
            else 1.0
        )

    def learning_rate(self) -> float:
        """The rate for the next step."""
        return (
            self.peak
            * min(1, (self.step + 1) / self.rise)
            * (0.03 + 0.97 * (1 + math.cos(math.pi * self.progress)) / 2)
        )

    def restore(self, parts: dict) -> bool:
        """Load the checkpoint into ``parts`` (objects with ``load_state_dict``), if there is one."""
        if not self.path.exists():
            return False
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        self.step, self.spent = state["step"], state["spent"]
        self._since = time.monotonic()
        print(
            f"{self.stage}: resumed at step {self.step}, {self.spent / 60:.1f} of {self.minutes} min",
            flush=True,
        )
        return True

    def save(self, parts: dict, force: bool = False) -> None:
        """Write the checkpoint, at most once in two minutes unless forced; never leaves half a file."""
        now = time.monotonic()
        if not force and now - self._saved < 120:
            return
        self._saved = now
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"step": self.step, "spent": self.spent + now - self._since}
        scratch = self.path.with_suffix(".tmp")
        torch.save(state, scratch)
        scratch.replace(self.path)

    def log(self, every: int = 50, **values: float) -> None:
        """Count a step; print and append the means of ``values`` once in ``every`` steps."""
        self.step += 1
        self._count += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        if self._count < every:
            return
        row = {"step": self.step, "minutes": round((self.spent + time.monotonic() - self._since) / 60, 2)}
        row |= {name: round(total / self._count, 5) for name, total in self._sums.items()}
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(self.stage, row, flush=True)
        self._sums, self._count = {}, 0


class Average:
    """Exponential moving average of a network's weights."""

    def __init__(self, parameters, decay: float):
        self.parameters, self.decay = list(parameters), decay
        self.values = [parameter.detach().clone() for parameter in self.parameters]
        self.count = 0

    def update(self) -> None:
        """Take the present weights in; early on the average follows faster."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self.parameters], 1 - decay)

    def apply(self) -> None:
        """Replace the weights by their average (for export)."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.values, strict=False):
                parameter.copy_(value)

    def state_dict(self) -> dict:
        """For :meth:`Run.save`."""
        return {"values": self.values, "count": self.count}

    def load_state_dict(self, state: dict) -> None:
        """For :meth:`Run.restore`."""
        self.values, self.count = state["values"], state["count"]
