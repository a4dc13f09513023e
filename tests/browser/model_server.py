"""A server with a long list of models, signed covers, and weight files; run as a process.

    python model_server.py --port 8123

It speaks `queryModelList` of the Img Open API as the published page shows it (filter by name, pages, no other
filter), and the file addresses of a model hub.

    POST /_set    {"fault": "500" | "empty" | "", "pause": seconds per page, "trickle": seconds per block,
                   "copies": how often every title is there}
    GET  /_ledger [paths that were asked for]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import random
import sys
import threading
import time
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from PIL import Image, ImageDraw, ImageFilter

LIST = "/AIGCImgOpenServ/saas/sd/v2/queryModelList"
LORA_LIST = "/AIGCImgOpenServ/saas/sd/v2/someLoraList"  # not published: for a local catalogue
SIGN = "COVERSIGNATUREcanary93f1"
FIRST = ("Harbour", "Paper", "Ink", "Glass", "Velvet", "Copper", "Snow", "Amber", "Moss", "Silver", "Cedar")
SECOND = (
    "Light",
    "Lantern",
    "River",
    "Garden",
    "Atlas",
    "Dream",
    "Portrait",
    "Comet",
    "Realm",
    "Echo",
    "Vision",
)
BASES = ("SD 1.5", "SD 1.5", "SD 1.5", "SDXL", "SD 2.1")
WEIGHTS = bytes(range(256)) * 12288  # 3 MiB


def names() -> list[str]:
    """121 titles, the same in every run."""
    both = [f"{one} {two}" for one in FIRST for two in SECOND]
    random.Random(7).shuffle(both)
    return both


@lru_cache(maxsize=2)
def rows(port: int, copies: int = 1) -> list[dict[str, Any]]:
    """What the list says."""
    made: list[dict[str, Any]] = []
    titles = [name if copy == 0 else f"{name} No {copy}" for copy in range(copies) for name in names()]
    for number, name in enumerate(titles):
        code = f"{name.replace(' ', '')}_v{number % 4 + 1}_{1000 + number * 37}.safetensors"
        kind = "LoRA" if number % 9 == 4 else "ControlNet" if number % 13 == 5 else "Checkpoint"
        cover: str | None = f"http://127.0.0.1:{port}/cover/{number}.png?Signature={SIGN}&Expires=1"
        if number % 10 == 3:
            cover = None
        elif number == 6:
            cover = f"http://127.0.0.1:{port}/cover/gone.png?Signature={SIGN}"
        elif number == 7:
            cover = f"http://169.254.169.254/cover.png?Signature={SIGN}"
        elif number == 8:
            cover = f"http://127.0.0.1:{port}/cover/huge.png?Signature={SIGN}"
        made.append(
            {
                "id": number + 1,
                "sdModelCheckpoint": code,
                "sdModelName": name,
                "modelBaseModel": BASES[number % len(BASES)],
                "modelHash": hashlib.sha256(name.encode()).hexdigest().upper(),
                "modelType": kind,
                "modelVersion": f"v{number % 4 + 1}",
                "modelStatus": 1,
                "modelUploadStatus": 2,
                "modelImgUrl2": cover,
            }
        )
    for name in ("control_v11p_sd15_canny", "control_v11f1p_sd15_depth", "t2iadapter_depth_sd15v2"):
        made.append({**made[0], "sdModelCheckpoint": name, "sdModelName": name, "modelType": "ControlNet",
                     "modelImgUrl2": None, "id": len(made) + 1})  # fmt: skip
    return made


def cover(number: int) -> bytes:
    """A small landscape; every number has its own light."""
    dice = random.Random(number)
    hue = dice.random()
    width, height = 512, 400
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        draw.line([(0, y), (width, y)], fill=_colour(hue + y / height * 0.12, 0.5, 0.35 + 0.6 * y / height))
    x, r = dice.randrange(80, 430), dice.randrange(24, 58)
    draw.ellipse([x - r, 90 - r, x + r, 90 + r], fill=_colour(hue + 0.1, 0.15, 1.0))
    for layer in range(4):
        level = 170 + layer * 55
        points = [(0, height)]
        y = level
        for step in range(0, width + 32, 32):
            y = max(level - 60, min(level + 50, y + dice.randrange(-34, 35)))
            points.append((step, y))
        draw.polygon([*points, (width, height)], fill=_colour(hue + 0.5, 0.45, 0.62 - layer * 0.14))
    out = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(1.2)).save(out, "PNG")
    return out.getvalue()


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, min(1.0, value))
    return int(red * 255), int(green * 255), int(blue * 255)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    settings: ClassVar[dict[str, Any]] = {"fault": "", "pause": 0.0, "trickle": 0.0, "copies": 1}
    ledger: ClassVar[list[str]] = []
    lock = threading.Lock()

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path == "/_set":
            self.settings.update(body)
            return self._json({})
        with self.lock:
            self.ledger.append(self.path + " " + json.dumps(body))
        time.sleep(self.settings["pause"])
        if self.path == LORA_LIST:
            loras = [{"id": number, "sdLoraFileSimplifyName": f"stroke-{number}"} for number in range(3)]
            return self._json({"code": "200", "msg": "success", "data": {"rows": loras, "total": 3}})
        if self.path != LIST:
            return self._json({"code": "404", "msg": "unknown", "data": None}, 404)
        if self.settings["fault"] == "500":
            return self._json({"code": "500", "msg": "the shelf fell over", "data": None}, 500)
        found = [] if self.settings["fault"] == "empty" else self._rows()
        wanted = str(body.get("sdModelName") or "").lower()
        found = [row for row in found if wanted in row["sdModelName"].lower()]
        size, page = int(body["pageSize"]), int(body["pageNum"])
        part = found[(page - 1) * size : page * size]
        data = {"rows": part, "total": len(found), "pageSize": size, "pageNum": page}
        return self._json({"code": "200", "msg": "success", "data": data})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/_ledger":
            return self._json(self.ledger)
        with self.lock:
            self.ledger.append(self.path)
        if "/resolve/main/" in parts.path:
            return self._weights(parts.path)
        number = parts.path.removeprefix("/cover/").removesuffix(".png")
        if number == "huge":
            return self._bytes(b"\x89PNG\r\n\x1a\n" + bytes(13 * 1024 * 1024), "image/png")
        if not number.isdigit() or parse_qs(parts.query).get("Signature") != [SIGN]:
            return self._json({}, 403)
        return self._bytes(cover(int(number)), "image/png")

    def _rows(self) -> list[dict[str, Any]]:
        return rows(self.server.server_address[1], int(self.settings["copies"]))

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _weights(self, path: str) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(WEIGHTS) - start))
        self.end_headers()
        for at in range(start, len(WEIGHTS), 1 << 18):
            self.wfile.write(WEIGHTS[at : at + (1 << 18)])
            time.sleep(self.settings["trickle"])

    def _json(self, value: Any, status: int = 200) -> None:
        self._bytes(json.dumps(value).encode(), "application/json", status)

    def _bytes(self, data: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever has had enough hangs up
            self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print("ready", flush=True)
    sys.stdout.close()
    server.serve_forever()


if __name__ == "__main__":
    main()
