"""Table and plots of benchmarks/preprocessors.py: docs/benchmarks.md and docs/images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"
BEGIN = "<!-- preprocessors: begin (written by benchmarks/preprocessors.py) -->"
END = "<!-- preprocessors: end -->"


def text_of(report: dict[str, Any]) -> str:
    """The part of the page between the markers."""
    peers = report["peers"]
    lines = [
        "",
        f"{report['cores']} cores ({report['device']}), {report['threads']} threads over frames, torch with "
        f"{report['torch_threads']}; load before the run {report['load']:.1f}. The packages take turns. "
        "Milliseconds are the best",
        "per frame; the ratio is the better peer's time over this pack's, above 1 this pack is faster; in "
        "brackets the quartiles of the rounds.",
        "A batch is floats in and out for all, one picture bytes. Learned modules run on one torch thread.",
        "",
        "![time ratios](images/preprocessor_speed.png)",
        "",
        f"| module | batch | side | this pack, ms | {' | '.join(f'{peer}, ms' for peer in peers)} | ratio "
        "| by CPU time | limit |",
        "| --- | --- | --- | --- |" + " --- |" * (len(peers) + 3),
        *(_row(row, peers) for row in report["rows"]),
        "",
        f"canny at 512 x 512 takes {report['canny_over_bare']:.2f} times as long as bare `cv2.Canny` on the "
        "same pixels (limit 1.1).",
        "",
        "| second call, 256 x 256 | "
        + " | ".join(f"on another picture, {peer}" for peer in peers)
        + " | "
        + " | ".join(f"on the same one, {peer}" for peer in peers)
        + " |",
        "| --- |" + " --- |" * (2 * len(peers)),
        *(_second(row, peers) for row in report["second_call"]),
        "",
        "The peers build their network in every run, as comfyui_controlnet_aux's nodes do; the figures say",
        "how many times as fast the second call of this pack is: on a picture it has not seen (the network",
        "computes), and on one it has (content cache).",
        *_memory(report.get("memory", []), peers),
        "",
    ]
    return "\n".join([BEGIN, *lines, END])


def _row(row: dict[str, Any], peers: list[str]) -> str:
    times = " | ".join(f"{row['peers_ms'][peer]:.1f}" for peer in peers)
    return (
        f"| {row['module']} | {row['B']} | {row['side']} | {row['ours_ms']:.1f} | {times} "
        f"| {row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f}) | {row['cpu_ratio']:.2f} "
        f"| {row['limit']:.1f} |"
    )


def _second(row: dict[str, Any], peers: list[str]) -> str:
    cells = [f"{row[which][peer]:.1f}" for which in ("other", "same") for peer in peers]
    return f"| {row['module']} | " + " | ".join(cells) + " |"


def _memory(rows: list[dict[str, Any]], peers: list[str]) -> list[str]:
    if not rows:
        return []
    names = ["this pack", *peers]
    head = "".join(f" | {name}: first map, s | {name}: peak, MB" for name in names)
    lines = [
        "",
        f"| cold start and memory, 512 x 512 | batch{head} |",
        "| --- | --- |" + " --- |" * 2 * len(names),
    ]
    for row in rows:
        cells = "".join(
            f" | {row['made'][name]['seconds']:.2f} | {row['made'][name]['peak_mb']:.0f}" for name in names
        )
        lines.append(f"| {row['module']} | {row['B']}{cells} |")
    return [
        *lines,
        "",
        "Each in a process of its own, above what Python, numpy and OpenCV take. torch counts.",
    ]


def plot(report: dict[str, Any], path: Path) -> None:
    """The ratios as bars, one group per module, one colour per size."""
    import matplotlib
    import numpy as np

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = report["rows"]
    sizes = list(dict.fromkeys((row["B"], row["side"]) for row in rows))
    modules = list(dict.fromkeys(row["module"] for row in rows))
    figure, axes = pyplot.subplots(figsize=(9, 4))
    for offset, (count, side) in enumerate(sizes):
        found = {row["module"]: row["ratio"] for row in rows if (row["B"], row["side"]) == (count, side)}
        places = np.arange(len(modules)) + (offset - (len(sizes) - 1) / 2) * 0.27
        axes.bar(places, [found.get(module, 0) for module in modules], 0.25, label=f"B = {count}, {side}²")
    axes.set_xticks(np.arange(len(modules)), modules)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_ylabel("better peer's time / this pack's")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write(report: dict[str, Any]) -> None:
    """Put the table into docs/benchmarks.md, the plot and the numbers into docs/images."""
    page = PAGE.read_text("utf-8")
    part = text_of(report)
    if BEGIN in page:
        before, _, rest = page.partition(BEGIN)
        page = before + part + rest.partition(END)[2]
    else:
        page = f"{page.rstrip()}\n\n## Preprocessors\n\n{part}\n"
    PAGE.write_text(page, "utf-8")
    (IMAGES / "preprocessor_speed.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    plot(report, IMAGES / "preprocessor_speed.png")
