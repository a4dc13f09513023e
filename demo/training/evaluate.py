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
MODES = ("prompt", "balanced", "control")


def unseen(count: int) -> list[scenes.Scene]:
    """The evaluation's scenes: first half one object, then two and three in turn."""
    single = [scenes.make_scene(scenes.UNSEEN + index, 1) for index in range(count // 2)]
    return single + [
        scenes.make_scene(scenes.UNSEEN + index, 2 + index % 2) for index in range(count // 2, count)
    ]


def disagreeing(count: int) -> tuple[list[scenes.Scene], list[scenes.Scene]]:
    """Scenes for the control image, and others of another shape for the prompt."""
    control = [scenes.make_scene(scenes.UNSEEN + 10_000 + index, 1) for index in range(count)]
    asked, seed = [], scenes.UNSEEN + 20_000
    for scene in control:
        while (other := scenes.make_scene(seed, 1)).things[0].shape == scene.things[0].shape:
            seed += 1
        asked.append(other)
        seed += 1
    return control, asked


def pairs(count: int) -> tuple[list[scenes.Scene], np.ndarray, np.ndarray]:
    """Scenes of two objects with a canny map of the first one and a depth map of the second one."""
    chosen = [scenes.make_scene(scenes.UNSEEN + 40_000 + index, 2) for index in range(count)]
    near = [np.stack([~measures.outside(one.things[index].mask, 4) for one in chosen]) for index in (0, 1)]
    canny = np.where(near[0], np.stack([one.canny for one in chosen]), 0).astype(np.uint8)
    far = np.stack([np.minimum(one.depth, 60) for one in chosen])
    return chosen, canny, np.where(near[1], np.stack([one.depth for one in chosen]), far)


def jobs(count: int, sweep: int) -> dict[str, tuple[list[str], list[dict]]]:
    """Everything to draw: label -> prompts, and the units as arguments of :class:`sampling.Unit`.

    The picture at place ``i`` starts from the noise of seed ``i``, whatever the label: only what the
    label says differs.
    """
    held = unseen(count)
    drawn = {
        "held": (
            [one.caption() for one in held],
            [{"name": "canny", "maps": np.stack([one.canny for one in held])}],
        )
    }
    chosen = unseen(sweep)
    english, canny = [one.caption() for one in chosen], np.stack([one.canny for one in chosen])
    for weight in WEIGHTS:
        units = [{"name": "canny", "maps": canny, "weight": weight}] if weight else []
        drawn[f"weight {weight:g}"] = (english, units)
    drawn["window 0-0.5"] = (english, [{"name": "canny", "maps": canny, "end": 0.5}])
    drawn["depth"] = (english, [{"name": "depth", "maps": np.stack([one.depth for one in chosen])}])
    drawn["zh"] = ([one.caption("zh") for one in chosen], [{"name": "canny", "maps": canny}])
    control, asked = disagreeing(sweep // 2)
    for mode in MODES:
        unit = {"name": "canny", "maps": np.stack([one.canny for one in control]), "mode": mode}
        drawn[f"mode {mode}"] = ([one.caption() for one in asked], [unit])
    both, first, second = pairs(sweep // 2)
    words = [one.caption() for one in both]
    drawn["first unit"] = (words, [{"name": "canny", "maps": first}])
    drawn["both units"] = (words, [{"name": "canny", "maps": first}, {"name": "depth", "maps": second}])
    return drawn


_sampler = None


def _start(model: str) -> None:
    """Load the model, once per process."""
    global _sampler
    import sampling
    import torch

    torch.set_num_threads(1)
    _sampler = sampling.Sampler(model)


def _draw(job: tuple) -> tuple[str, int, np.ndarray]:
    """Draw one batch."""
    import sampling

    label, start, prompts, units = job
    seeds = list(range(start, start + len(prompts)))
    return label, start, _sampler(prompts, tuple(sampling.Unit(**unit) for unit in units), seeds)


def draw(model: Path, count: int, sweep: int, processes: int) -> dict[str, np.ndarray]:
    """Draw all jobs in batches over some one-thread processes.

    Returns:
        label -> uint8 pictures ``(n, 128, 128, 3)``.
    """
    batches = []
    for label, (prompts, units) in jobs(count, sweep).items():
        for start in range(0, len(prompts), BATCH):
            part = slice(start, start + BATCH)
            cut = [unit | {"maps": unit["maps"][part]} for unit in units]
            batches.append((label, start, prompts[part], cut))
    found: dict[str, dict[int, np.ndarray]] = {}
    begun = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes, _start, (str(model),)) as pool:
        for number, (label, start, pictures) in enumerate(pool.imap_unordered(_draw, batches), 1):
            found.setdefault(label, {})[start] = pictures
            print(f"{number} of {len(batches)} batches, {time.monotonic() - begun:.0f} s", flush=True)
    return {
        label: np.concatenate([parts[start] for start in sorted(parts)]) for label, parts in found.items()
    }


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


def mean_overlap(pictures, chosen) -> float:
    """Mean overlap of what pictures show with the masks of as many scenes."""
    return float(
        np.mean(
            [measures.overlap(measures.segment(a), b.mask) for a, b in zip(pictures, chosen, strict=True)]
        )
    )


def weigh(pictures: dict[str, np.ndarray], count: int) -> dict:
    """Overlap and edges over the weight, for the window, and the chance level of shuffled pairs."""
    chosen, half = unseen(count), count // 2
    result: dict = {"iou": {}, "edges_px": {}}
    for label in (*(f"weight {weight:g}" for weight in WEIGHTS), "window 0-0.5"):
        key, drawn = label.split()[1], pictures[label]
        result["iou"][key] = round(mean_overlap(drawn, chosen), 4)
        distances = [measures.edge_distance(a, b.canny) for a, b in zip(drawn, chosen, strict=True)]
        result["edges_px"][key] = round(float(np.mean(distances)), 3)
    # Pairs from the same half, so that number and size of the objects are alike: only the place is chance.
    free = pictures["weight 0"]
    rolled = [
        chosen[:half][shift:] + chosen[:half][:shift] + chosen[half:][shift:] + chosen[half:][:shift]
        for shift in (1, 2, 3, 5, 8)
    ]
    result["chance_iou"] = round(float(np.mean([mean_overlap(free, one) for one in rolled])), 4)
    result["free"] = mean([judge_free(a, b) for a, b in zip(chosen[:half], free[:half], strict=True)])
    return result


def compare_modes(pictures: dict[str, np.ndarray], count: int) -> dict:
    """Prompt and control image disagree about the shape: who wins in which control mode."""
    control, asked = disagreeing(count // 2)
    result = {}
    for mode in MODES:
        rows = []
        for scene, other, picture in zip(control, asked, pictures[f"mode {mode}"], strict=True):
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


def compare_units(pictures: dict[str, np.ndarray], count: int) -> dict:
    """Two objects: overlap with each, with the first unit alone and with both."""
    chosen, result = pairs(count // 2)[0], {}
    for key, label in (("without", "first unit"), ("with", "both units")):
        rows = []
        for scene, picture in zip(chosen, pictures[label], strict=True):
            found = measures.segment(picture)
            rows.append({"first_iou": _local(found, scene, 0), "second_iou": _local(found, scene, 1)})
        result[key] = mean(rows)
    return result


def _local(found: np.ndarray, scene: scenes.Scene, index: int) -> float:
    """Overlap with one object, in the half plane nearer to it than to the other object."""
    y, x = np.mgrid[0 : scenes.SIZE, 0 : scenes.SIZE]
    this, other = scene.things[index], scene.things[1 - index]
    mine = np.hypot(x - this.x, y - this.y) < np.hypot(x - other.x, y - other.y)
    return measures.overlap(found & mine, this.mask & mine)


def autoencoder_limit(model: Path, count: int) -> dict:
    """What the autoencoder alone loses: the true pictures, encoded and decoded."""
    import networks
    import torch

    chosen, vae, rows = unseen(count), networks.load(model)["vae"], []
    for scene in chosen:
        picture = torch.from_numpy(scene.picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            decoded = vae.decode(vae.encode(picture).latent_dist.mean).sample
        decoded = ((decoded[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        rows.append(judge(scene, decoded))
    return split(rows)


def measure(model: Path, count: int, sweep: int, processes: int) -> dict:
    """All figures of the model card.

    Args:
        model: a diffusers folder.
        count: number of unseen scenes for the canny map at weight 1, a multiple of 4.
        sweep: number for the weights, depth and Chinese, likewise; half of it for modes and second unit.
        processes: one-thread processes to draw with.
    """
    pictures = draw(model, count, sweep, processes)

    def verdicts(label: str, chosen: list[scenes.Scene]) -> list[dict]:
        return [judge(scene, picture) for scene, picture in zip(chosen, pictures[label], strict=True)]

    chosen = unseen(sweep)
    english, chinese = verdicts("weight 1", chosen), verdicts("zh", chosen)
    same = [
        a == b
        for one, other in zip(english, chinese, strict=True)
        for a, b in zip(one["hues"], other["hues"], strict=True)
    ]
    return {
        "scenes": count,
        "sweep_scenes": sweep,
        "canny": split(verdicts("held", unseen(count))),
        "depth": split(verdicts("depth", chosen)),
        "weights": weigh(pictures, sweep),
        "modes": compare_modes(pictures, sweep),
        "second_unit": compare_units(pictures, sweep),
        "languages": {"zh": split(chinese), "same_colours": round(float(np.mean(same)), 4)},
        "autoencoder_alone": autoencoder_limit(model, sweep),
    }


def main() -> None:
    """Command line: see the module's docstring."""
    folder = Path(__file__).resolve().parents[1] / "model"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=folder)
    parser.add_argument("--scenes", type=int, default=200, help="number of unseen scenes, even (default 200)")
    parser.add_argument(
        "--sweep-scenes", type=int, help="the number for the other figures (default: as many as --scenes)"
    )
    parser.add_argument(
        "--work", type=Path, help="the training's work folder, for the loss curve and the steps"
    )
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    sweep = arguments.sweep_scenes or arguments.scenes
    if min(arguments.scenes, sweep) < 20 or arguments.scenes % 4 or sweep % 4:
        parser.error("--scenes and --sweep-scenes must be multiples of 4 and at least 20")
    import card
    import torch

    torch.set_num_threads(1)
    result = measure(arguments.model, arguments.scenes, sweep, arguments.processes)
    print(json.dumps(result, indent=1))
    (arguments.model / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    card.write(arguments.model, result, arguments.work)


if __name__ == "__main__":
    main()
