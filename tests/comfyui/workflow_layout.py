"""How large a node is on the canvas, and which boxes and wires of a workflow get in each other's way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

TITLE, SLOT, WIDGET, TEXT, PICTURE, EDGE = 30, 20, 24, 90, 300, 16  # pixels of the canvas at scale 1
COLUMN_GAP, ROW_GAP = 110, 80
GROUP_EDGE, GROUP_TITLE = 24, 44
# Nodes that show a picture, a film or a text below their widgets once they have run.
SHOWS = {"LoadImage", "LoadImageMask", "LoadVideo", "SaveImage", "SaveVideo", "PreviewImage", "PreviewAny"}
WIDE = {"ImgOpenGenerate", "ImgOpenRemoteSubmit", "ImgOpenSubmitAsync", "SaveVideo"}
STRAIGHTNESS = 0.25  # of a wire's length: how far its ends run level (LiteGraph's spline)


def size_of(kind: str, sockets: int, outputs: int, widgets: int, texts: int) -> tuple[int, int]:
    """Width and height (without the title bar) that hold every widget; a folded node needs less.

    Args:
        sockets: inputs without a widget.
        widgets: all widgets, `texts` of them boxes of several lines.
    """
    rows = max(sockets, outputs) * SLOT + (widgets - texts) * WIDGET + texts * TEXT
    return 420 if kind in WIDE else 360, rows + EDGE + (PICTURE if kind in SHOWS else 0)


@dataclass(frozen=True)
class Box:
    """A node's outline with its title bar: left, top, right, bottom."""

    id: int
    left: float
    top: float
    right: float
    bottom: float


def boxes(workflow: dict[str, Any]) -> list[Box]:
    """The nodes of a workflow file, in the sizes that it holds."""
    return [
        Box(node["id"], x, y - TITLE, x + node["size"][0], y + node["size"][1])
        for node in workflow["nodes"]
        for x, y in [node["pos"]]
    ]


def overlaps(found: list[Box]) -> list[tuple[int, int]]:
    """Pairs of nodes that cover each other."""
    return [
        (one.id, two.id)
        for one, two in combinations(found, 2)
        if min(one.right, two.right) > max(one.left, two.left)
        and min(one.bottom, two.bottom) > max(one.top, two.top)
    ]


Wire = tuple[int, int, tuple[float, float], tuple[float, float]]  # nodes and points that it joins


def wires(workflow: dict[str, Any]) -> list[Wire]:
    """The wires of a workflow file, slots being where the front-end draws them."""
    nodes = {node["id"]: node for node in workflow["nodes"]}
    joined: list[Wire] = []
    for _, source, output, target, slot, _ in workflow["links"]:
        inputs = nodes[target]["inputs"]
        plain = [index for index, each in enumerate(inputs) if "widget" not in each]
        (x0, y0), (x1, y1) = nodes[source]["pos"], nodes[target]["pos"]
        row = plain.index(slot) if slot in plain else slot  # the other ones are a widget's own
        start = (x0 + nodes[source]["size"][0] - 10, y0 + (output + 0.7) * SLOT)
        joined.append((source, target, start, (x1 + 10, y1 + (row + 0.7) * SLOT)))
    return joined


def hidden(found: list[Box], joined: list[Wire]) -> list[tuple[int, int, int]]:
    """(source, target, node) for each wire that runs behind a node which it does not join."""
    return [
        (wire[0], wire[1], box.id)
        for wire in joined
        for box in found
        if box.id not in wire[:2] and any(_inside(box, *point) for point in spline(wire[2], wire[3]))
    ]


def spline(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of the curve that the canvas draws between two slots."""
    reach = STRAIGHTNESS * math.dist(start, end)
    corners = (start, (start[0] + reach, start[1]), (end[0] - reach, end[1]), end)
    points: list[tuple[float, float]] = []
    for step in range(81):
        t = step / 80
        shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        x = sum(share * corner[0] for share, corner in zip(shares, corners, strict=True))
        y = sum(share * corner[1] for share, corner in zip(shares, corners, strict=True))
        points.append((x, y))
    return points


def _inside(box: Box, x: float, y: float) -> bool:
    return box.left < x < box.right and box.top < y < box.bottom
