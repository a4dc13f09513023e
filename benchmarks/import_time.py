"""How long ComfyUI waits for the pack at its start: import of the root, entry point, every schema.

usage: python benchmarks/import_time.py [--runs 7]

Needs a ComfyUI checkout (COMFYUI_DIR, else ~/comfy/ComfyUI). Each run is a fresh process that has loaded the
host's own modules first; a first run, which fills the byte-code cache, is not counted. Limit: 0.1 s
of CPU time, which is the wall time of a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "comfyui"
LIMIT = 0.1  # seconds

sys.path.insert(0, str(TESTS))


def measure(folder: Path, python: Path, home: Path) -> dict[str, Any]:
    """One fresh process; seconds for the root alone and for everything, and what was imported."""
    from comfy_host import environment

    done = subprocess.run(
        [str(python), str(TESTS / "pack_probe.py"), str(folder), str(ROOT)],
        cwd=folder,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=180,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    from comfy_host import find

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    found = find()
    if isinstance(found, str):
        print(found)
        return 1
    with tempfile.TemporaryDirectory() as home:
        runs = [measure(*found, Path(home)) for _ in range(arguments.runs + 1)][1:]
    for name, key in (
        ("root alone", "import_seconds"),
        ("root, entry point, schemas", "seconds"),
        ("the same in CPU time", "cpu_seconds"),
    ):
        times = [run[key] * 1000 for run in runs]
        print(f"{name:28} median {statistics.median(times):6.1f} ms, {min(times):.1f} to {max(times):.1f}")
    middle = statistics.median(run["cpu_seconds"] for run in runs)
    own = [name for name in runs[0]["after_entrypoint"] if not name.startswith("imported_pack")]
    print(f"modules of others: {len(own)}: {', '.join(sorted({name.partition('.')[0] for name in own}))}")
    print(f"limit {LIMIT * 1000:.0f} ms: {'held' if middle < LIMIT else 'MISSED'}")
    return 0 if middle < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
