# SPDX-License-Identifier: Apache-2.0
"""Train the demo model: VAE, text encoder, conditioning embeddings, then UNet and ControlNets jointly.

``python demo/training/train.py --work WORK [stage ...]`` runs the named stages (default: all) and
``export`` writes the diffusers folder. Stop it at any point; the same command goes on from the
checkpoints in WORK. What it needs is printed by ``--needs``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

NEEDS = """\
Time: the stages' minutes below on two CPU cores ({total:.0f} min in all with these settings, two
one-thread processes; a longer binding stage is the first thing to spend more time on).
Memory: 4 GiB. Disk: {disk:.1f} GiB in the work folder. Network: none. Every scene is generated.
"""
STAGES = ("vae", "text", "canny", "depth", "cache", "joint", "binding", "decoder", "export")


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", help=f"any of {', '.join(STAGES)} (default: all, in this order)")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints, logs and the cache")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parents[1] / "model",
        help="diffusers folder that export writes (default: demo/model)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes (cache and joint)")
    parser.add_argument("--scenes", type=int, default=12_000, help="scenes in the cache")
    parser.add_argument("--batch", type=int, default=24, help="scenes per process and step (joint)")
    for stage, minutes in (
        ("vae", 15),
        ("text", 5),
        ("canny", 5),
        ("depth", 4),
        ("joint", 150),
        ("binding", 90),
        ("decoder", 10),
    ):
        parser.add_argument(f"--{stage}-minutes", type=float, default=minutes)
    parser.add_argument("--needs", action="store_true", help="say what the training needs, and stop")
    arguments = parser.parse_args()
    unknown = set(arguments.stages) - set(STAGES)
    if unknown:
        parser.error(f"unknown stage {', '.join(sorted(unknown))}: use {', '.join(STAGES)}")
    minutes = {
        stage: getattr(arguments, f"{stage}_minutes")
        for stage in ("vae", "text", "canny", "depth", "joint", "binding", "decoder")
    }
    needs = NEEDS.format(
        total=sum(minutes.values()) + arguments.scenes / 8000, disk=arguments.scenes * 51e3 / 2**30 + 0.3
    )
    print(needs + "".join(f"  {stage}: {value:g} min\n" for stage, value in minutes.items()), flush=True)
    if arguments.needs:
        return
    import joint
    import stages
    import torch

    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    for stage in arguments.stages or STAGES:
        if stage == "vae":
            stages.train_vae(arguments.work, minutes["vae"], arguments.seed)
        elif stage == "text":
            stages.train_text(arguments.work, minutes["text"], arguments.seed)
        elif stage in ("canny", "depth"):
            stages.train_embedding(arguments.work, stage, minutes[stage], arguments.seed)
        elif stage == "cache":
            make_cache(arguments)
        elif stage in ("joint", "binding"):
            options = (arguments.seed, arguments.processes, arguments.batch)
            joint.train(arguments.work, stage, minutes[stage], *options)
        elif stage == "decoder":
            stages.train_decoder(arguments.work, minutes["decoder"], arguments.seed)
        elif stage == "export":
            joint.export(arguments.work, arguments.out, arguments.seed)
            print(f"wrote {arguments.out}")


def make_cache(arguments: argparse.Namespace) -> None:
    """Fill the cache, one part per process."""
    part = arguments.scenes // arguments.processes
    workers = [
        multiprocessing.get_context("spawn").Process(
            target=_cache_part, args=(arguments.work, arguments.seed, index * part, part)
        )
        for index in range(arguments.processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a cache process failed; its message is above, the same command goes on")


def _cache_part(work: Path, seed: int, first: int, count: int) -> None:
    """One process's part of the cache."""
    import stages
    import torch

    torch.set_num_threads(1)
    stages.cache(work, seed, first, count)


if __name__ == "__main__":
    main()
