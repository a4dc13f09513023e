"""Loads the pack the way ComfyUI does and tells what that brought in, and how long it took.

usage: pack_probe.py COMFYUI_DIR PACK_DIR   (run with ComfyUI's own Python, in COMFYUI_DIR)

The host's own modules are loaded first, so that only the pack's share is counted. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import sys
import time
from pathlib import Path

comfyui, pack_dir = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(comfyui))
sys.argv = ["main.py", "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

# In the order of the host's main.py; importing is all that matters here.
import utils.extra_config  # noqa: E402, F401, I001
import execution  # noqa: E402, F401
import server  # noqa: E402, F401
import nodes  # noqa: E402, F401
import comfy.model_patcher  # noqa: E402
from comfy_api.latest import io  # noqa: E402, F401

before = set(sys.modules)
gc.collect()  # what the host's imports left behind is not the pack's to clean up
start, cpu = time.perf_counter(), time.process_time()
spec = importlib.util.spec_from_file_location("imported_pack", pack_dir / "__init__.py")
assert spec is not None
assert spec.loader is not None
pack = importlib.util.module_from_spec(spec)
sys.modules["imported_pack"] = pack
spec.loader.exec_module(pack)
import_seconds = time.perf_counter() - start
after_import = set(sys.modules) - before


async def load() -> list[str]:
    """What the host does with the entry point: every node's schema."""
    classes = await (await pack.comfy_entrypoint()).get_node_list()
    return [node.GET_SCHEMA().node_id for node in classes]


ids = asyncio.run(load())
seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
print(
    json.dumps(
        {
            "ids": ids,
            "has_v1": hasattr(pack, "NODE_CLASS_MAPPINGS"),
            "after_import": sorted(after_import),
            "after_entrypoint": sorted(set(sys.modules) - before),
            "import_seconds": import_seconds,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
        }
    )
)
