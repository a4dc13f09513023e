# SPDX-License-Identifier: Apache-2.0
"""Measure whether the demo model obeys, on scenes it never saw, and write figures, card and sheet.

``python demo/training/evaluate.py [--model demo/model] [--scenes 200] [--work WORK]`` writes
``evaluation.json``, ``README.md`` and ``samples.png`` into the model's folder, and with WORK (the
training's work folder) also ``loss.png``. Half of the scenes hold one object, half two or three.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import measures
import scenes

BATCH = 25
WEIGHTS = (0.0, 0.25, 0.5, 1.0)


def unseen(count: int) -> list[scenes.Scene]:
    """The evaluation's scenes: first half one object, then two and three in turn."""
    single = [scenes.make_scene(scenes.UNSEEN + index, 1) for index in range(count // 2)]
    return single + [
        scenes.make_scene(scenes.UNSEEN + index, 2 + index % 2) for index in range(count // 2, count)
    ]


def generate(sampler, prompts: list[str], make_units, seeds: list[int]) -> list[np.ndarray]:
    """Sample in small batches.

    Args:
        make_units: function of a slice of the prompts that gives the units for it.
    """
    pictures: list[np.ndarray] = []
    for start in range(0, len(prompts), BATCH):
        part = slice(start, start + BATCH)
        pictures += list(sampler(prompts[part], make_units(part), seeds[part]))
    return pictures


def judge(scene: scenes.Scene, picture: np.ndarray) -> dict:
    """What of a scene's prompt and shape a picture has; colours are taken inside the scene's own masks."""
    found = measures.segment(picture)
    hues = [
        measures.colour_name(measures.mean_hue(picture, measures.shrink(thing.mask)))
        for thing in scene.things
    ]
    back = measures.colour_name(measures.mean_hue(picture, measures.outside(scene.mask)))
    right = [hue == thing.colour for hue, thing in zip(hues, scene.things, strict=True)]
    return {
        "colour": float(np.mean(right)),
        "background": float(back == scene.background),
        "iou": measures.overlap(found, scene.mask),
        "edges_px": measures.edge_distance(picture, scene.canny),
        "hues": [*hues, back],
    }


def judge_free(scene: scenes.Scene, picture: np.ndarray) -> dict:
    """The same without a control image: colours inside what stands out, and which shape that is."""
    found = measures.segment(picture)
    hue = measures.colour_name(measures.mean_hue(picture, measures.shrink(found))) if found.any() else None
    back = measures.colour_name(measures.mean_hue(picture, measures.outside(found)))
    return {
        "colour": float(hue == scene.things[0].colour),
        "background": float(back == scene.background),
        "shape": float(measures.shape_name(found) == scene.things[0].shape),
    }


def mean(rows: list[dict]) -> dict:
    """Mean of every number in some verdicts, rounded."""
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0] if name != "hues"}


def split(rows: list[dict]) -> dict:
    """Means for single-object scenes (first half) and for the rest."""
    half = len(rows) // 2
    return {"single": mean(rows[:half]), "several": mean(rows[half:])}


def _shapes_of(scene_list, pictures, order) -> float:
    """Mean overlap of what pictures show with the masks of scenes in some order."""
    return round(
        float(
            np.mean(
                [
                    measures.overlap(measures.segment(picture), scene_list[index].mask)
                    for picture, index in zip(pictures, order, strict=False)
                ]
            )
        ),
        4,
    )


def experiment_control(sampler, count: int, name: str) -> dict:
    """Prompt and control image agree: weight 1, either kind of control image."""
    chosen = unseen(count)
    maps = np.stack([getattr(scene, name) for scene in chosen])
    pictures = generate(
        sampler,
        [scene.caption() for scene in chosen],
        lambda part: (_unit(name, maps[part]),),
        list(range(count)),
    )
    return split([judge(scene, picture) for scene, picture in zip(chosen, pictures, strict=False)])


def experiment_weights(sampler, count: int) -> dict:
    """Overlap over the weight, the window 0-0.5, and the chance level of shuffled pairs."""
    chosen = unseen(count)
    maps = np.stack([scene.canny for scene in chosen])
    prompts, order = [scene.caption() for scene in chosen], range(count)
    result: dict = {"iou": {}, "edges_px": {}}
    free: list[np.ndarray] = []
    for label, options in [(f"{weight:g}", {"weight": weight}) for weight in WEIGHTS] + [
        ("0-0.5", {"end": 0.5})
    ]:
        pictures = generate(
            sampler,
            prompts,
            lambda part: (_unit("canny", maps[part], **options),),  # noqa: B023
            list(order),
        )
        free = free or pictures
        result["iou"][label] = _shapes_of(chosen, pictures, order)
        distances = [
            measures.edge_distance(picture, scene.canny)
            for picture, scene in zip(pictures, chosen, strict=True)
        ]
        result["edges_px"][label] = round(float(np.mean(distances)), 3)
    # Pairs from the same half, so that number and size of the objects are alike: only the place is chance.
    half = count // 2
    shuffled = [
        [(index + shift) % half + (half if index >= half else 0) for index in order]
        for shift in (1, 2, 3, 5, 8)
    ]
    result["chance_iou"] = round(float(np.mean([_shapes_of(chosen, free, one) for one in shuffled])), 4)
    single = zip(chosen[:half], free[:half], strict=True)
    result["free"] = mean([judge_free(scene, picture) for scene, picture in single])
    return result


def experiment_modes(sampler, count: int) -> dict:
    """Prompt and control image disagree (another shape): who wins in which control mode."""
    control = [scenes.make_scene(scenes.UNSEEN + 10_000 + index, 1) for index in range(count)]
    asked, seed = [], scenes.UNSEEN + 20_000
    for scene in control:
        while True:
            other, seed = scenes.make_scene(seed, 1), seed + 1
            if other.things[0].shape != scene.things[0].shape:
                break
        asked.append(other)
    maps = np.stack([scene.canny for scene in control])
    result = {}
    for mode in ("prompt", "balanced", "control"):
        pictures = generate(
            sampler,
            [scene.caption() for scene in asked],
            lambda part: (_unit("canny", maps[part], mode=mode),),  # noqa: B023
            list(range(count)),
        )
        rows = []
        for scene, other, picture in zip(control, asked, pictures, strict=False):
            verdict = judge_free(other, picture)
            rows.append(
                {
                    "colour": verdict["colour"],
                    "background": verdict["background"],
                    "asked_shape": verdict["shape"],
                    "control_iou": measures.overlap(measures.segment(picture), scene.mask),
                    "control_edges_px": measures.edge_distance(picture, scene.canny),
                }
            )
        result[mode] = mean(rows)
    return result


def experiment_second_unit(sampler, count: int) -> dict:
    """Two objects, one unit each (canny and depth): the second unit's object, without and with it."""
    chosen = [scenes.make_scene(scenes.UNSEEN + 40_000 + index, 2) for index in range(count)]
    near = [
        np.stack([~measures.outside(scene.things[index].mask, 4) for scene in chosen]) for index in (0, 1)
    ]
    canny = np.where(near[0], np.stack([scene.canny for scene in chosen]), 0).astype(np.uint8)
    far = np.stack([np.minimum(scene.depth, 60) for scene in chosen])
    depth = np.where(near[1], np.stack([scene.depth for scene in chosen]), far)
    result = {}
    for label, second in (("without", False), ("with", True)):
        pictures = generate(
            sampler,
            [scene.caption() for scene in chosen],
            lambda part: (_unit("canny", canny[part]), *((_unit("depth", depth[part]),) if second else ())),  # noqa: B023
            list(range(count)),
        )
        rows = []
        for scene, picture in zip(chosen, pictures, strict=False):
            found = measures.segment(picture)
            rows.append({"first_iou": _local(found, scene, 0), "second_iou": _local(found, scene, 1)})
        result[label] = mean(rows)
    return result


def _local(found: np.ndarray, scene: scenes.Scene, index: int) -> float:
    """Overlap with one object, in the half plane nearer to it than to the other object."""
    y, x = np.mgrid[0 : scenes.SIZE, 0 : scenes.SIZE]
    this, other = scene.things[index], scene.things[1 - index]
    mine = np.hypot(x - this.x, y - this.y) < np.hypot(x - other.x, y - other.y)
    return measures.overlap(found & mine, this.mask & mine)


def experiment_languages(sampler, count: int) -> dict:
    """The same scenes and seeds in English and in Chinese."""
    chosen = unseen(count)
    maps = np.stack([scene.canny for scene in chosen])
    verdicts = {}
    for language in ("en", "zh"):
        pictures = generate(
            sampler,
            [scene.caption(language) for scene in chosen],
            lambda part: (_unit("canny", maps[part]),),
            list(range(count)),
        )
        verdicts[language] = [judge(scene, picture) for scene, picture in zip(chosen, pictures, strict=False)]
    same = [
        float(np.mean([a == b for a, b in zip(one["hues"], other["hues"], strict=False)]))
        for one, other in zip(verdicts["en"], verdicts["zh"], strict=False)
    ]
    return {"zh": split(verdicts["zh"]), "same_colours": round(float(np.mean(same)), 4)}


def experiment_limit(sampler, count: int) -> dict:
    """What the autoencoder alone loses: the true pictures, encoded and decoded."""
    import torch

    chosen = unseen(count)
    vae, rows = sampler.networks["vae"], []
    for scene in chosen:
        picture = torch.from_numpy(scene.picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            decoded = vae.decode(vae.encode(picture).latent_dist.mean).sample
        rows.append(
            judge(scene, ((decoded[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())
        )
    return split(rows)


def _unit(name: str, maps: np.ndarray, **options):
    import sampling

    return sampling.Unit(name, maps, **options)


EXPERIMENTS = {
    "weights": experiment_weights,
    "canny": lambda sampler, count: experiment_control(sampler, count, "canny"),
    "depth": lambda sampler, count: experiment_control(sampler, count, "depth"),
    "modes": experiment_modes,
    "second_unit": experiment_second_unit,
    "languages": experiment_languages,
    "autoencoder_alone": experiment_limit,
}


def _job(arguments: tuple[str, str, int]) -> tuple[str, dict]:
    """One experiment in a process of its own."""
    import sampling
    import torch

    torch.set_num_threads(1)
    name, model, count = arguments
    return name, EXPERIMENTS[name](sampling.Sampler(model), count)


def main() -> None:
    """Command line: see the module's docstring."""
    folder = Path(__file__).resolve().parents[1] / "model"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=folder)
    parser.add_argument("--scenes", type=int, default=200, help="number of unseen scenes, even (default 200)")
    parser.add_argument(
        "--only", nargs="*", choices=list(EXPERIMENTS), help="some experiments; prints, writes nothing"
    )
    parser.add_argument(
        "--work", type=Path, help="the training's work folder, for the loss curve and the steps"
    )
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.scenes < 4 or arguments.scenes % 2:
        parser.error("--scenes must be even and at least 4")
    started, result = time.monotonic(), {}
    jobs = [(name, str(arguments.model), arguments.scenes) for name in arguments.only or EXPERIMENTS]
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for name, figures in pool.imap_unordered(_job, jobs):
            result[name] = figures
            print(name, json.dumps(figures), f"{time.monotonic() - started:.0f} s", flush=True)
    if arguments.only:
        return
    import card

    result = {"scenes": arguments.scenes} | {name: result[name] for name in EXPERIMENTS}
    (arguments.model / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    card.write(arguments.model, result, arguments.work)


if __name__ == "__main__":
    main()
