"""Runs inside ComfyUI's own Python: where nodes/host.py keeps networks between two calls."""

from __future__ import annotations

import json
import sys
from pathlib import Path

comfyui, root = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(Path(__file__).parent))

from inside_models import start  # noqa: E402

start(comfyui, root)

import torch  # noqa: E402
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
print(
    "FACTS "
    + json.dumps(
        {
            "same": [one is other for one, other in zip(first, again, strict=True)],
            "kept": kept is first[0],
            "let go": after is not first[1],
            "built": built,
            "network": later.load("net", lambda: torch.nn.Conv2d(3, 3, 1)) is network,
            "half": runtime.half,
        }
    )
)
