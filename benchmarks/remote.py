"""What the remote engine costs on top of the wire, against a server process on loopback.

usage: python benchmarks/remote.py [--pairs 12] [--write]

1. From "server done" to IMAGE, and from submit to IMAGE: the engine (journal, checks, files on disk) and a
   bare loop with `requests` and Pillow, alternating, at the same poll interval. Limit: 1.05.
2. Sixteen submits side by side against one, each 2.25 s of work and a picture of 128 px. Limit: 1.3.
3. Bytes that leave for ten tasks which share a control image of four megapixels, through an S3 bucket (a moto
   process behind a counting proxy; needs boto3 and moto). Limit: the picture once.

`--write` puts the table into docs/benchmarks.md. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HTTP = ROOT / "tests" / "http"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- remote: begin (written by benchmarks/remote.py) -->"
END = "<!-- remote: end -->"
PREFIX = "/AIGCImgOpenServ/saas/sd/v2"
POLL_S = 0.5
WORK_S = 0.75  # the work ends in the middle between two questions, for both sides
SIDE = 1024
LIMITS = {"latency": 1.05, "parallel": 1.3}


def serve(side: int) -> None:
    """The server of the tests, with a picture of this size as every result."""
    import numpy as np
    from PIL import Image

    sys.path.insert(0, str(HTTP))
    faulty_server = importlib.import_module("faulty_server")
    noise = np.random.default_rng(1).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG", compress_level=1)
    data = file.getvalue()
    small = faulty_server.png  # intermediate pictures stay as they are: 4 x 4
    faulty_server.png = lambda width, *rest, **more: data if width == 16 else small(width, *rest, **more)
    faulty_server.main()


@contextmanager
def server(folder: Path, work_s: float, side: int) -> Iterator[str]:
    """Its address while the block lasts."""
    state = folder / f"ledger-{work_s}.json"
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(side), f"--state={state}", f"--work-s={work_s}"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.kill()
        process.wait()


def body(seed: int, task_id: str = "") -> dict[str, Any]:
    scripts = {"sd_model_checkpoint": "demo", **({"id_task": task_id} if task_id else {})}
    return {
        "prompt": "a lighthouse", "seed": str(seed), "steps": 4, "batch_size": 1, "width": 512, "height": 512,
        "sampler_index": "Euler", "resize_mode": 0, "alwayson_scripts": scripts,
    }  # fmt: skip


def bare(url: str) -> Callable[[int], tuple[str, Any]]:
    """Submit, ask every POLL_S, fetch, decode: the least a program can do. Returns (task id, IMAGE)."""
    import numpy as np
    import requests
    import torch
    from PIL import Image

    session = requests.Session()
    session.trust_env = False

    def post(path: str, values: dict[str, Any]) -> dict[str, Any]:
        return session.post(f"{url}{PREFIX}/{path}", json=values, timeout=60).json()["data"]

    def run(seed: int) -> tuple[str, Any]:
        task_id = post("text2image", body(seed, f"bare-{seed}"))["task_id"]
        while (data := post("queryTaskInfo", {"businessTaskId": task_id}))["status"] != 2:
            time.sleep(POLL_S)
        answer = session.get(data["differentialImageRspList"][0]["image_url"], timeout=60)
        pixels = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.float32) / 255.0
        return task_id, torch.from_numpy(pixels).unsqueeze(0)

    return run


def ours(url: str, folder: Path, **settings: Any) -> Callable[[int], tuple[str, Any]]:
    """The same through the engine, with its journal on this disk."""
    from img_open.api.journal import Journal
    from img_open.api.profiles import Profile
    from img_open.api.request import Request
    from img_open.engines.remote import RemoteEngine
    from img_open.engines.remote_poll import Patience
    from img_open.nodes.pixels import to_image

    profile = Profile("bench", url, dialect="gateway", spend_limit_images=0, **settings)
    patience = Patience(deadline_s=60, poll_s=POLL_S, poll_most_s=POLL_S)
    engine = RemoteEngine(profile, Journal(folder / "tasks.sqlite"), patience=patience)

    def run(seed: int) -> tuple[str, Any]:
        result = engine.run(Request.from_wire(body(seed)))
        return result.task_id, to_image(result.images)

    return run


def done_at(url: str, task_id: str) -> float:
    """When the server had finished a task (both processes share one clock)."""
    with urllib.request.urlopen(f"{url}/_ledger", timeout=10) as answer:
        return float(json.load(answer)["tasks"][task_id]["at"]) + WORK_S


def latency(folder: Path, pairs: int) -> dict[str, list[float]]:
    """Seconds from "server done" to IMAGE, and from submit to IMAGE, of both ways, pair by pair."""
    found: dict[str, list[float]] = {"bare": [], "ours": [], "bare whole": [], "ours whole": []}
    with server(folder, WORK_S, SIDE) as url:
        ways = {"bare": bare(url), "ours": ours(url, folder)}
        for way in ways.values():
            way(1)
        for number in range(pairs):
            for name in ("bare", "ours") if number % 2 else ("ours", "bare"):
                start = time.time()
                task_id, _image = ways[name](100 + number)
                end = time.time()
                found[name].append(end - done_at(url, task_id))
                found[f"{name} whole"].append(end - start)
    return found


def parallel(folder: Path, rounds: int = 5) -> tuple[float, float]:
    """Seconds for one submit and for sixteen side by side, medians."""
    with server(folder, 2.25, 128) as url:
        run = ours(url, folder / "parallel", max_concurrent=16)
        run(1)
        one: list[float] = []
        sixteen: list[float] = []
        for number in range(rounds):
            start = time.monotonic()
            run(1000 + number)
            one.append(time.monotonic() - start)
            start = time.monotonic()
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(run, range(2000 + 16 * number, 2016 + 16 * number)))
            sixteen.append(time.monotonic() - start)
    return statistics.median(one), statistics.median(sixteen)


def uploads(folder: Path) -> tuple[int, list[int]]:
    """Bytes of the picture, and of every upload, for ten tasks with one control image of 4 megapixels."""
    import numpy as np
    from img_open.api.journal import Journal
    from img_open.api.profiles import Profile
    from img_open.api.request import Request
    from img_open.engines.remote import RemoteEngine
    from img_open.storage.pictures import Pictures, encode_for_upload

    picture = np.random.default_rng(2).integers(0, 256, (2048, 2048, 3), np.uint8)
    size = len(encode_for_upload(picture, "map")[0])
    with server(folder, 0.1, 128) as url, bucket() as (endpoint, sizes):
        options = {
            "bucket": "pictures", "endpoint_url": endpoint, "region": "us-east-1", "path_style": True,
            "access_key_id": "bench-id", "secret_access_key": "bench-secret",
        }  # fmt: skip
        profile = Profile("bench", url, storage="s3", storage_options=options, dialect="gateway")
        journal = Journal(folder / "uploads" / "tasks.sqlite")

        def run(seed: int) -> None:
            pictures = Pictures()
            unit = {"module": "none", "model": "canny", "image_link": pictures.add(picture, "map")}
            request = body(seed)
            request["alwayson_scripts"]["controlnet"] = {"args": [unit]}
            RemoteEngine(profile, journal).run(Request.from_wire(request), pictures=pictures)

        for seed in range(10):  # a new engine each time, as separate runs of a node would have
            run(3000 + seed)
    return size, sizes


@contextmanager
def bucket() -> Iterator[tuple[str, list[int]]]:
    """A moto process with a bucket behind a proxy that counts; its address, and the bytes of every PUT."""
    import requests

    spec = importlib.util.spec_from_file_location("s3_tests", ROOT / "tests" / "unit" / "test_storage_s3.py")
    assert spec is not None
    assert spec.loader is not None
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                requests.put(f"http://127.0.0.1:{port}/pictures", timeout=5)
                break
            except requests.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        proxy = tests.Counting(f"http://127.0.0.1:{port}")
        sizes: list[int] = []
        yield proxy.url, sizes
        sizes += proxy.uploads()
        proxy.server.shutdown()
    finally:
        process.kill()
        process.wait()


def table(found: dict[str, list[float]], one: float, sixteen: float, size: int, sent: list[int]) -> str:
    """The report as Markdown."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    rows = [
        ("server done → IMAGE", "bare", "ours", LIMITS["latency"]),
        ("submit → IMAGE", "bare whole", "ours whole", LIMITS["latency"]),
    ]
    lines = ["| | reference | this pack | ratio | limit |", "| --- | --- | --- | --- | --- |"]
    for title, reference, pack, limit in rows:
        ratio = medians[pack] / medians[reference]
        lines.append(
            f"| {title} | {medians[reference] * 1000:.0f} ms (bare loop) | {medians[pack] * 1000:.0f} ms"
            f" | {ratio:.3f} | {limit} |"
        )
    lines.append(
        f"| 16 submits side by side | {one:.2f} s (one) | {sixteen:.2f} s | {sixteen / one:.2f}"
        f" | {LIMITS['parallel']} |"
    )
    lines.append(
        f"| uploads, 10 tasks, one 4-megapixel control image | {size} bytes (the picture) |"
        f" {sum(sent)} bytes in {len(sent)} upload | {sum(sent) / size:.2f} | 1 |"
    )
    note = (
        f"{len(found['ours'])} pairs, medians; {SIDE} x {SIDE} PNG, asked every {POLL_S:g} s, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}. IMAGE is the float tensor; the engine "
        "has also written the journal (durable commits) and the picture to disk by then."
    )
    return "\n".join([*lines, "", note])


def write(text: str) -> None:
    """Put the report into the page, between its marks."""
    page = PAGE.read_text("utf-8") if PAGE.exists() else "# Benchmarks\n"
    part = f"{BEGIN}\n\n{text}\n\n{END}"
    if BEGIN in page:
        page = page.split(BEGIN)[0] + part + page.split(END)[1]
    else:
        page = f"{page.rstrip()}\n\n## Remote engine\n\n`python benchmarks/remote.py --write`\n\n{part}\n"
    PAGE.write_text(page, "utf-8")


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        side = int(sys.argv.pop(2))
        del sys.argv[1]
        serve(side)
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    arguments = parser.parse_args()
    threading.stack_size(512 * 1024)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["IMG_OPEN_HOME"] = str(folder / "home")
        text = table(latency(folder, arguments.pairs), *parallel(folder), *uploads(folder))
    print(text)
    if arguments.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
