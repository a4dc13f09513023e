"""Runs inside ComfyUI's own Python: where nodes/host.py keeps networks between two calls."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from pathlib import Path

comfyui, root = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(Path(__file__).parent))

from inside_models import start  # noqa: E402

start(comfyui, root)

import comfy.model_management as memory  # noqa: E402
import torch  # noqa: E402
from img_open.nodes import host  # noqa: E402
from img_open.nodes.host import Bar, HostRuntime  # noqa: E402


class Session:
    """What onnxruntime gives has no parameters."""


built: list[str] = []


def session(name: str) -> Session:
    built.append(name)
    return Session()


runtime, later = HostRuntime(Bar(None)), HostRuntime(Bar(None))
first = [runtime.load(f"s{number}", lambda number=number: session(f"s{number}")) for number in range(4)]
again = [later.load(f"s{number}", lambda: session("again")) for number in range(4)]
later.load("s0", lambda: session("again"))  # the one used last
later.load("s4", lambda: session("s4"))  # s1 makes room
kept = later.load("s0", lambda: session("again"))
after = later.load("s1", lambda: session("s1 again"))

network = runtime.load("net", lambda: torch.nn.Conv2d(3, 3, 1))
kept_network = later.load("net", lambda: torch.nn.Conv2d(3, 3, 1)) is network

# One node's networks stay however many they are; the next node's drive out those not used for longest.
one, two = HostRuntime(Bar(None)), HostRuntime(Bar(None))
mine = [one.load(f"n{number}", lambda: torch.nn.Linear(8, 8)) for number in range(6)]
all_stay = [one.load(f"n{number}", lambda: torch.nn.Linear(8, 8)) is mine[number] for number in range(6)]
gone = weakref.ref(mine[0])
mine.clear()
two.load("other", lambda: torch.nn.Linear(8, 8))
gc.collect()
names = list(host._networks)
host._MOST_BYTES = 2 * 8 * 8 * 4  # less than two of these layers with their biases
three = HostRuntime(Bar(None))
three.load("n5", lambda: torch.nn.Linear(8, 8))
held = [loaded.model for loaded in memory.current_loaded_models]

print(
    "FACTS "
    + json.dumps(
        {
            "same": [one is other for one, other in zip(first, again, strict=True)],
            "kept": kept is first[0],
            "let go": after is not first[1],
            "built": built,
            "network": kept_network,
            "all stay": all_stay,
            "freed": gone() is None,
            "names": names,
            "by size": list(host._networks),
            "host's list": [model is host._networks["n5"] for model in held],
            "half": runtime.half,
        }
    )
)
