# SPDX-License-Identifier: Apache-2.0
"""The joint stage: UNet and both ControlNets learn together from cached latents; and the export.

In each batch some rows have no control image, some canny, some depth, so one pass of the UNet
teaches all three. The text encoder and the conditioning embeddings are frozen here (their outputs
are cached): on a CPU that halves the cost of a step.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import binding
import networks
import numpy as np
import stages
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
import vocabulary
from bookkeeping import Average, Run

#: Shares of a batch: without a control image, with canny, with depth.
SHARES = {"none": 0.25, "canny": 0.42, "depth": 0.33}
#: Share of the rows with an empty (or meaningless) prompt, for classifier-free guidance.
EMPTY = 0.12
#: Seconds between two averagings of the processes' weights.
ROUND = 12.0


class Cache:
    """The cached scenes of a work folder and the text states of their captions."""

    def __init__(self, work: Path, seed: int):
        folders = sorted(path.parent for path in work.glob("cache_*/done"))
        if not folders:
            raise FileNotFoundError(f"no finished cache in {work}: run the cache stage first")
        self.arrays = [
            {
                name: np.load(folder / f"{name}.npy", mmap_mode="r")
                for name in ("latents", "labels", *networks.CONTROLS)
            }
            for folder in folders
        ]
        self.words = [json.loads((folder / "words.json").read_text(encoding="utf-8")) for folder in folders]
        self.several = [[i for i, (_, things) in enumerate(words) if len(things) > 1] for words in self.words]
        self.tokenizer = stages.tokenizer(work)
        self.encoder = load_text_encoder(work, seed)
        self._states: dict[str, torch.Tensor] = {}

    def rows(self, random: np.random.Generator, count: int, several: float = 0.0) -> list[tuple[int, int]]:
        """Random scenes, as (folder, row).

        Args:
            several: share to take from the scenes of two and three objects only.
        """
        found = []
        for _ in range(count):
            folder = int(random.integers(len(self.words)))
            pool = self.several[folder] if random.random() < several else range(len(self.words[folder]))
            found.append((folder, int(pool[int(random.integers(len(pool)))])))
        return found

    def take(self, name: str, rows: list[tuple[int, int]]) -> torch.Tensor:
        """One of the arrays at some rows, float32."""
        return torch.from_numpy(
            np.stack([self.arrays[folder][name][row] for folder, row in rows]).astype(np.float32)
        )

    def captions(self, random: np.random.Generator, rows: list[tuple[int, int]]) -> list[str]:
        """A caption for each row, in a random language and form; some empty."""
        captions = []
        for folder, row in rows:
            background, things = self.words[folder][row]
            if random.random() < EMPTY:
                captions.append("" if random.random() < 0.7 else stages.habits(random))
                continue
            things = [things[i] for i in random.permutation(len(things))]
            text = vocabulary.caption(
                things,
                background,
                str(random.choice(stages.LANGUAGES, p=[0.45, 0.35, 0.2])),
                int(random.integers(20)),
            )
            captions.append(text if random.random() > 0.1 else f"{text}, {stages.habits(random)}")
        return captions

    def states(self, captions: list[str]) -> torch.Tensor:
        """Text states ``(len(captions), 77, 96)``; those of frequent captions are remembered."""
        missing = sorted({text for text in captions if text not in self._states})
        fresh = {}
        if missing:
            with torch.no_grad():
                states = self.encoder(input_ids=stages.tokens(self.tokenizer, missing)).last_hidden_state
            fresh = dict(zip(missing, states, strict=False))
            if len(self._states) < 12_000:
                self._states |= {text: state.clone() for text, state in fresh.items()}
        return torch.stack([fresh[text] if text in fresh else self._states[text] for text in captions])


def load_text_encoder(work: Path, seed: int):
    """The warmed-up text encoder."""
    encoder = networks.build(seed)["text_encoder"].eval().requires_grad_(False)
    encoder.load_state_dict(
        torch.load(work / "text.pt", map_location="cpu", weights_only=True)["text_encoder"]
    )
    return encoder


def _learners(seed: int) -> torch.nn.ModuleDict:
    """UNet and ControlNets; the latter take cached features in place of pictures."""
    built = networks.build(seed)
    learners = torch.nn.ModuleDict({name: built[name] for name in ("unet", *networks.CONTROLS)})
    for name in networks.CONTROLS:
        learners[name].controlnet_cond_embedding = torch.nn.Identity()
    return learners.train().to(memory_format=torch.channels_last)


def loss_of(
    learners, cache: Cache, random: np.random.Generator, alphas: torch.Tensor, batch: int, probe=None
) -> dict[str, torch.Tensor]:
    """Mean squared error of the predicted velocity over a new random batch: the whole, and by kind of row.

    Args:
        alphas: cumulative products of the schedule, ``(1000,)``.
        batch: number of rows.
        probe: a :class:`binding.Probe`; adds its losses, and prefers several objects and noisy times.
    """
    rows = cache.rows(random, batch, several=0.7 if probe else 0.0)
    clean = cache.take("latents", rows)
    noise = torch.from_numpy(random.standard_normal(clean.shape, dtype=np.float32))
    # One time from each of `batch` equal slices: less noise in the loss than independent draws.
    slices = ((random.permutation(batch) + random.random(batch)) / batch) ** (0.65 if probe else 1)
    times = torch.from_numpy((slices * len(alphas)).astype(np.int64))
    keep, spoil = alphas[times].sqrt()[:, None, None, None], (1 - alphas[times]).sqrt()[:, None, None, None]
    noisy, velocity = keep * clean + spoil * noise, keep * noise - spoil * clean
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    captions = cache.captions(random, rows)
    text = cache.states(captions)
    ends = np.round(np.cumsum(list(SHARES.values())) * batch).astype(int).tolist()
    parts = {name: slice(start, end) for name, start, end in zip(SHARES, [0, *ends], ends, strict=False)}
    outputs = []
    for name in networks.CONTROLS:
        part = parts[name]
        features = cache.take(name, rows[part]).contiguous(memory_format=torch.channels_last)
        down, middle = learners[name](
            noisy[part], times[part], text[part], controlnet_cond=features, return_dict=False
        )
        outputs.append([*down, middle])
    # Rows without a control image come first: their residuals are zero.
    free = parts["none"].stop
    residuals = [F.pad(torch.cat(pair), (0, 0, 0, 0, 0, 0, free, 0)) for pair in zip(*outputs, strict=True)]
    predicted = learners["unet"](
        noisy,
        times,
        text,
        down_block_additional_residuals=residuals[:-1],
        mid_block_additional_residual=residuals[-1],
    ).sample
    errors = (predicted - velocity).pow(2).mean((1, 2, 3))
    result = {"loss": errors.mean()} | {name: errors[part].mean() for name, part in parts.items()}
    if probe:
        probed = probe.losses(cache, rows, captions, parts)
        result |= probed | {"loss": result["loss"] + sum(probed.values())}
    return result


def _worker(rank: int, processes: int, work: Path, stage: str, minutes: float, seed: int, batch: int) -> None:
    """One process: steps of its own for some seconds, then all take the mean of their weights.

    On a machine with other work to do, averaging gradients after each step would make every process wait
    for the slowest. Here each does as many steps as it can, and counts for as many in the mean.
    """
    from diffusers import DDIMScheduler

    torch.set_num_threads(1)
    if processes > 1:
        rendezvous = f"file://{(work / 'rendezvous').resolve()}"
        distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=processes)
    learners, probe = _learners(seed), None
    if stage == "binding":
        _restore(learners, work / "joint.pt")
        probe = learners["probe"] = binding.Probe(learners)
    parameters = list(learners.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    average = Average(parameters, 0.95 if stage == "joint" else 0.9)
    run = Run(
        work, stage, minutes, 1.2e-3 if stage == "joint" else 8e-4, rise=100 if stage == "joint" else 20
    )
    parts = {"learners": learners, "optimizer": optimizer, "average": average}
    run.restore(parts)
    random = np.random.default_rng([seed, 4, rank, run.step])
    data = Cache(work, seed)
    alphas = DDIMScheduler(**networks.SCHEDULER).alphas_cumprod
    while True:
        # Process 0's clock counts for all: they must agree on the last round.
        clock = torch.tensor([run.progress, run.learning_rate()], dtype=torch.float64)
        if processes > 1:
            distributed.broadcast(clock, 0)
        if clock[0] >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = clock[1].item()
        steps, ends = 0, time.monotonic() + ROUND
        while not steps or time.monotonic() < ends:
            losses = loss_of(learners, data, random, alphas, batch, probe)
            optimizer.zero_grad()
            losses["loss"].backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            steps += 1
            if rank == 0:
                run.log(25, **{name: value.item() for name, value in losses.items()}, rate=clock[1].item())
        if processes > 1:
            _take_mean(parameters, steps)
        average.update()
        if rank == 0:
            run.save(parts)
    if rank == 0:
        run.save(parts, force=True)
    if processes > 1:
        distributed.barrier()
        distributed.destroy_process_group()


def _take_mean(parameters: list[torch.nn.Parameter], steps: int) -> None:
    """Replace the weights by their mean over all processes, each counted as often as it made steps."""
    with torch.no_grad():
        flat = torch.cat([*(parameter.flatten() for parameter in parameters), torch.ones(1)]) * steps
        distributed.all_reduce(flat)
        means = (flat[:-1] / flat[-1]).split([parameter.numel() for parameter in parameters])
        for parameter, mean in zip(parameters, means, strict=True):
            parameter.copy_(mean.view_as(parameter))


def _restore(learners, path: Path) -> None:
    """Load the averaged weights of a checkpoint; a probe that comes after them is left out."""
    state = torch.load(path, map_location="cpu", weights_only=True)["average"]
    parameters = list(learners.parameters())
    average = Average(parameters, 0)
    average.load_state_dict(state | {"values": state["values"][: len(parameters)]})
    average.apply()


def train(work: Path, stage: str, minutes: float, seed: int, processes: int, batch: int) -> None:
    """Run a stage in ``processes`` one-thread processes (faster than threads by far).

    Args:
        stage: ``"joint"``, or ``"binding"``: from the joint stage's end on, with the probe of
            :mod:`binding` and mostly scenes of several objects.
    """
    (work / "rendezvous").unlink(missing_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    multiprocessing.spawn(_worker, (processes, work, stage, minutes, seed, batch), nprocs=processes)


def export(work: Path, folder: Path, seed: int) -> None:
    """Write the averaged weights of the last checkpoint as a diffusers folder."""
    learners = _learners(seed)
    _restore(learners, next(path for path in (work / "binding.pt", work / "joint.pt") if path.exists()))
    built = {
        "text_encoder": load_text_encoder(work, seed),
        "unet": learners["unet"],
        "vae": stages.load_vae(work, seed),
    }
    for name in networks.CONTROLS:
        embedding = stages.load_embedding(work, name, seed)
        learners[name].controlnet_cond_embedding = embedding
        built[name] = learners[name]
    networks.save(
        {name: network.to(memory_format=torch.contiguous_format) for name, network in built.items()}, folder
    )
