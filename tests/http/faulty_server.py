"""A server that speaks the Img Open API and misbehaves on script. Standard library only; run as a process.

    python faulty_server.py --state FILE [--port 0] [--dialect cloud|gateway] [--chaos 0.1]

It prints one line of JSON with its ports. The ledger (what was accepted, how often) is kept in `--state`, so
that a restarted server still knows its tasks. `--dialect cloud` works again for every submit, repeated ids
included, as the worst case of what the cloud may do; `gateway` takes a repeated id as the same task.

    POST /_script {"submit": [...], "query": [...], "result": [...]}   faults, one per call, then good answers
    POST /_set    {"work_s": 0.1, "images": "empty", ...}              lasting settings
    GET  /_ledger                                                      what happened
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time
import zlib
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PREFIX = "/AIGCImgOpenServ/saas"
SUBMITS = {f"{PREFIX}/sd/v2/{name}" for name in ("controlnet", "text2image", "image2image")}
QUERIES = {f"{PREFIX}/sd/v2/queryTaskInfo", f"{PREFIX}/sd/queryTaskInfo"}
CHAOS = {
    "submit": ["busy", "500", "500-after", "cut", "cut-after", "half-after", "html-after", "silence-after"],
    "query": ["500", "cut", "html", "half", "silence", "busy"],
    "result": ["500", "cut", "half", "half-quiet", "html"],
}


def png(width: int, height: int, color: tuple[int, int, int], rows: int | None = None) -> bytes:
    """A one-coloured RGB PNG; `rows` fewer than `height` makes a broken one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = (b"\0" + bytes(color) * width) * (height if rows is None else rows)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", zlib.compress(body, 1)) + chunk(b"IEND", b"")


def color_of(seed: int) -> tuple[int, int, int]:
    """The colour of the picture of a seed, so that a client can check what it got."""
    return seed % 251, seed // 251 % 251, 77


class World:
    """Everything the handlers share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.lock = threading.Lock()
        self.random = random.Random(options.chaos_seed)
        self.state = Path(options.state)
        self.reset()
        if self.state.exists():
            self.tasks = json.loads(self.state.read_text())

    def reset(self) -> None:
        """As freshly started, without tasks."""
        options = self.options
        self.tasks: dict[str, dict[str, Any]] = {}
        self.script: dict[str, list[str]] = {"submit": [], "query": [], "result": []}
        self.settings: dict[str, Any] = {"work_s": options.work_s, "silence_s": options.silence_s}
        self.counts: dict[str, int] = {}
        self.cancelled: list[str] = []
        self.intranet: list[dict[str, str]] = []
        self.key_leaks: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    def next_fault(self, kind: str) -> str:
        with self.lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if self.script[kind]:
                return self.script[kind].pop(0)
            if self.random.random() < self.options.chaos:
                return self.random.choice(CHAOS[kind])
        return "ok"

    def accept(self, body: dict[str, Any]) -> str:
        """Write a task into the ledger; a repeated id is new work unless this is a gateway."""
        scripts = body.get("alwayson_scripts") or {}
        task_id = str(scripts.get("id_task") or f"server-{time.time_ns()}")
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self.lock:
            task = self.tasks.get(task_id)
            if task is None:
                count = int(body.get("n_iter", 1)) * int(body.get("batch_size", 1))
                self.tasks[task_id] = {
                    "works": 1, "submits": 1, "seed": int(body.get("seed", 0)), "images": count,
                    "at": time.time(), "hash": digest, "same": True,
                }  # fmt: skip
            else:
                task["submits"] += 1
                task["same"] = task["same"] and task["hash"] == digest
                if self.options.dialect == "cloud":
                    task["works"] += 1
            self._save()
        return task_id

    def _save(self) -> None:
        part = self.state.with_suffix(".part")
        part.write_text(json.dumps(self.tasks))
        part.replace(self.state)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, format: str, *args: Any) -> None:
        pass

    # --- answers ----------------------------------------------------------------------------------------

    def send(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response_only(status)
        self.send_header("Date", headers.pop("Date", formatdate(usegmt=True)))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def envelope(self, data: Any, code: str = "200", msg: str = "success", status: int = 200) -> None:
        self.send(status, json.dumps({"code": code, "msg": msg, "data": data}).encode())

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def misbehave(self, fault: str, data: Any) -> bool:
        """Answer with a fault that any call can have; False when it is none of these."""
        good = json.dumps({"code": "200", "msg": "success", "data": data}).encode()
        if fault == "busy":
            self.send(429, b'{"code": "429", "msg": "queue full", "data": null}', Retry_After="1")
        elif fault == "busy-skewed":
            # The server's clock is an hour ahead; the pause meant is one second.
            now = time.time() + 3600
            self.send(
                429, b"{}", Retry_After=formatdate(now + 1, usegmt=True), Date=formatdate(now, usegmt=True)
            )
        elif fault == "500":
            self.send(500, b"<html><title>oops</title></html>", "text/html")
        elif fault == "500-envelope":
            self.envelope(None, "500", "internal trouble", 500)
        elif fault == "cut":
            self.cut()
        elif fault == "half":
            self.send(200, good[: len(good) // 2], length=str(len(good)))
            self.cut()
        elif fault == "truncated":
            self.send(200, good[: len(good) // 2])
        elif fault == "html":
            self.send(200, b"<!DOCTYPE html><html><title>Please log in</title></html>", "text/html")
        elif fault == "silence":
            time.sleep(self.world.settings["silence_s"])
            self.cut()
        elif fault == "slow":
            time.sleep(self.world.settings["slow_s"])
            self.send(200, good)
        elif fault == "echo":
            self.envelope(dict(self.headers.items()), "778", f"you sent {dict(self.headers.items())}")
        elif fault == "envelope-400":
            self.envelope(None, "400", "prompt was not liked")
        elif fault == "envelope-777":
            self.envelope(None, "777", "never seen before")
        elif fault == "redirect":
            self.send(302, b"", Location=f"http://127.0.0.1:{self.world.intranet_port}/stolen")
        elif fault == "huge":
            self.send(200, b"[" + b" " * (34 * 1024 * 1024) + b"]")
        elif fault == "list":
            self.send(200, b"[1, 2, 3]")
        else:
            return False
        return True

    # --- calls ------------------------------------------------------------------------------------------

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:  # the client was killed while it sent this: half a request is none
            self.close_connection = True
            return None
        body: dict[str, Any] = json.loads(raw or b"{}")
        if self.path == "/_script":
            with self.world.lock:
                for kind, faults in body.items():
                    self.world.script[kind] = list(faults)
            return self.send(200, b"{}")
        if self.path == "/_reset":
            self.world.reset()
            return self.send(200, b"{}")
        if self.path == "/_set":
            self.world.settings.update(body)
            return self.send(200, b"{}")
        wanted = self.world.options.key
        if wanted and self.headers.get("X-Request-req-accessKeySecret") != wanted:
            return self.envelope(None, "401", "bad credentials", 401)
        if self.path in SUBMITS:
            return self.submit(body)
        if self.path in QUERIES:
            return self.query(str(body.get("businessTaskId")))
        if self.path == f"{PREFIX}/sd/v2/cancelTask" and self.world.options.dialect == "gateway":
            return self.cancel(str(body.get("businessTaskId")))
        return self.envelope(None, "404", "no such path", 404)

    def submit(self, body: dict[str, Any]) -> None:
        fault = self.world.next_fault("submit")
        with self.world.lock:
            self.world.bodies.append(body)
            del self.world.bodies[:-20]
        kind, after, _ = fault.partition("-after")
        task_id = str((body.get("alwayson_scripts") or {}).get("id_task"))
        if after or fault in ("ok", "twice"):
            task_id = self.world.accept(body)
        if fault == "twice":  # a proxy on the way delivered the same call twice
            self.world.accept(body)
        if not self.misbehave(kind, {"task_id": task_id}):
            self.envelope({"task_id": task_id})

    def query(self, task_id: str) -> None:
        fault = self.world.next_fault("query")
        with self.world.lock:
            task = self.world.tasks.get(task_id)
        if task is None:
            return self.envelope(None, "404", "unknown task", 404)
        data = self.state_of(task_id, task, fault)
        if not self.misbehave(fault, data):
            self.envelope(data)
        return None

    def state_of(self, task_id: str, task: dict[str, Any], fault: str) -> dict[str, Any]:
        settings = self.world.settings
        data: dict[str, Any] = {"id_task": task_id, "temporaryImageDto": None, "differentialImageRspList": []}
        status = settings.get("status")
        if fault.startswith("status:"):
            status = int(fault.partition(":")[2])
        if task_id in self.world.cancelled or fault == "failed":
            return {**data, "status": -1, "desc": "cancelled" if fault != "failed" else "out of memory"}
        done = (time.time() - task["at"]) / max(settings["work_s"], 1e-9)
        if status is not None or done < 1:
            share = min(max(done, 0.0), 0.99)
            preview = "data:image/png;base64," + _base64(png(4, 4, (int(255 * share), 0, 0)))
            data["temporaryImageDto"] = {"progress": share, "image": preview, "stage": "sampling"}
            return {**data, "status": 1 if status is None else status, "desc": "step by step"}
        count = 0 if settings.get("images") == "empty" else task["images"]
        data["differentialImageRspList"] = [self.entry(task_id, task, index) for index in range(count)]
        return {**data, "status": 2, "desc": "success"}

    def entry(self, task_id: str, task: dict[str, Any], index: int) -> dict[str, Any]:
        withheld = self.world.settings.get("withhold") == index
        port = self.server.server_address[1]
        return {
            "img_audit": [{"confidence": 0.99, "label": "porn" if withheld else "nonLabel"}],
            "img_audit_status": not withheld,
            "image_status": 1,
            "image_url": None if withheld else f"http://127.0.0.1:{port}/result/{task_id}/{index}.png?sig=abc",
            "seed": task["seed"] + index,
        }  # fmt: skip

    def cancel(self, task_id: str) -> None:
        with self.world.lock:
            known = task_id in self.world.tasks
            if known:
                self.world.cancelled.append(task_id)
        if not known:
            return self.envelope(None, "404", "unknown task", 404)
        return self.envelope({"id_task": task_id, "status": -1, "desc": "cancelled"})

    def do_GET(self) -> None:
        if any(name.lower().startswith("x-request-req-") for name in self.headers):
            self.world.key_leaks.append(self.path)
        if self.path == "/_ledger":
            world = self.world
            with world.lock:
                ledger = {
                    "tasks": world.tasks, "counts": world.counts, "cancelled": world.cancelled,
                    "intranet": world.intranet, "key_leaks": world.key_leaks, "bodies": world.bodies,
                }  # fmt: skip
                text = json.dumps(ledger)
            return self.send(200, text.encode())
        return self.result()

    def result(self) -> None:
        _, _, task_id, name = self.path.partition("?")[0].split("/")
        fault = self.world.next_fault("result")
        seed = self.world.tasks[task_id]["seed"] + int(name.partition(".")[0])
        picture = png(16, 8, color_of(seed))
        if fault == "half":
            self.send(200, picture[:60], "image/png", length=str(len(picture)))
            self.cut()
        elif fault == "half-quiet":
            self.send(200, picture[: len(picture) // 2], "image/png")
        elif fault == "private":
            self.send(302, b"", Location=f"http://127.0.0.1:{self.world.intranet_port}/admin")
        elif fault == "metadata":
            self.send(302, b"", Location="http://169.254.169.254/latest/meta-data/")
        elif fault == "bomb":  # 60000 x 60000: 10 GB when decoded
            self.send(200, png(60000, 60000, (0, 0, 0), rows=10), "image/png")
        elif fault == "endless":
            self.endless()
        elif fault == "gone":
            self.send(410, b"expired", "text/plain")
        elif not self.misbehave(fault, None):
            self.send(200, picture, "image/png")

    def endless(self) -> None:
        self.send_response_only(200)
        self.end_headers()
        self.close_connection = True
        block = b"\0" * (1024 * 1024)
        try:
            for _ in range(4096):
                self.wfile.write(block)
        except OSError:
            pass


class Server(ThreadingHTTPServer):
    """One thread per connection; clients that hang up, as killed ones do, are no news."""

    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Intranet(BaseHTTPRequestHandler):
    """Another server on this machine, which nobody should be led to."""

    world: World

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.world.intranet.append({"path": self.path, **dict(self.headers.items())})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(png(16, 8, (1, 2, 3)))

    do_POST = do_GET


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dialect", choices=("cloud", "gateway"), default="gateway")
    parser.add_argument("--key", default="")
    parser.add_argument("--work-s", type=float, default=0.0)
    parser.add_argument("--silence-s", type=float, default=3.0)
    parser.add_argument("--chaos", type=float, default=0.0)
    parser.add_argument("--chaos-seed", type=int, default=1)
    options = parser.parse_args()
    world = World(options)
    Handler.world = Intranet.world = world
    server = Server(("127.0.0.1", options.port), Handler)
    intranet = Server(("127.0.0.1", 0), Intranet)
    world.intranet_port = intranet.server_address[1]
    threading.Thread(target=intranet.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_address[1], "intranet": world.intranet_port}), flush=True)
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
