"""The tool family of the API as a process: the misbehaving server of tests/http with tools added.

Tools answer a submit with an id of the server's own and are asked with the caller's `businessTaskId`. The
ledger is the other server's: one entry per caller's id, `works` counts how often somebody would have to pay.
Standard library only.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "http"))

import faulty_server
from faulty_server import PREFIX

PICTURE_TOOLS = {
    "comfyui/text2image",
    "instantID",
    "roop",
    "v2/roop",
    "face/fusion",
    "imgExpand",
    "cnt/preview",
}
IDS = ("businessTaskId", "taskId", "task_id")


class ToolHandler(faulty_server.Handler):
    """The other handler, and before it: tools, v3, training, the model list."""

    def do_POST(self) -> None:
        path = self.path.removeprefix(PREFIX)
        if path == self.path or (path.startswith("/sd/v2/") and not path.endswith("queryModelList")):
            return super().do_POST()
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:  # the client was killed while it sent this: half a request is none
            self.close_connection = True
            return None
        body: dict[str, Any] = json.loads(raw or b"{}")
        wanted = self.world.options.key
        if wanted and self.headers.get("X-Request-req-accessKeySecret") != wanted:
            return self.envelope(None, "401", "bad credentials", 401)
        if path == "/sd/v2/queryModelList":
            return self.models(body)
        if path == "/sd/queryTaskInfo":
            return self.query(str(body.get("businessTaskId")))
        if path.endswith("/queryTask"):
            return self.tool_query(path.removeprefix("/tool/").removesuffix("/queryTask"), body)
        if path.endswith("/cancelTask"):
            return self.cancel(str(body.get("businessTaskId")))
        return self.tool_submit(path, body)

    def models(self, body: dict[str, Any]) -> None:
        size, number = int(body["pageSize"]), int(body["pageNum"])
        names = [f"model-{index:02d}.safetensors" for index in range(25)]
        rows = [
            {"sdModelCheckpoint": name, "sdModelName": name} for name in names[(number - 1) * size :][:size]
        ]
        self.envelope({"rows": rows, "total": len(names), "pageSize": size, "pageNum": number})

    def tool_submit(self, path: str, body: dict[str, Any]) -> None:
        fault = self.world.next_fault("submit")
        with self.world.lock:
            self.world.bodies.append({"_path": path, **body})
            del self.world.bodies[:-20]
        task_id = next((str(body[name]) for name in IDS if body.get(name)), f"none-{time.time_ns()}")
        kind, after, _ = fault.partition("-after")
        if after or fault == "ok":
            self.world.accept({
                "alwayson_scripts": {"id_task": task_id}, "n_iter": body.get("imageCount", 1),
                "seed": body.get("seed", 0), "path": path,
            })  # fmt: skip
        code = path.removeprefix("/tool/")
        data: dict[str, Any] = {"task_id": f"server-{task_id}", "status": 0}
        if code == "prompts/expand":  # answers at once
            data = {
                "taskId": "1",
                "status": 0,
                "prompts": [f"{body['sourcePrompt']}, detailed", "soft light"],
            }
        if not self.misbehave(kind, data):
            self.envelope(data)

    def tool_query(self, code: str, body: dict[str, Any]) -> None:
        task_id = str(body.get("businessTaskId"))
        fault = self.world.next_fault("query")
        with self.world.lock:
            task = self.world.tasks.get(task_id)
        if task is None:
            return self.envelope(None, "404", "unknown task", 404)
        done = (time.time() - task["at"]) / max(self.world.settings["work_s"], 1e-9)
        data: dict[str, Any] = {"taskId": f"server-{task_id}", "businessTaskId": task_id, "status": 1}
        if fault == "failed" or task_id in self.world.cancelled:
            data |= {"status": -1, "desc": "no face found"}
        elif done < 1:
            data |= {"status": 0, "outputImageUrl": None, "desc": "in the queue"}
        else:
            data |= self.output(code, task_id, task)
        if not self.misbehave(fault, data):
            self.envelope(data)
        return None

    def output(self, code: str, task_id: str, task: dict[str, Any]) -> dict[str, Any]:
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        if code == "interrogate":
            return {"caption": "a lighthouse at dawn"}
        if code == "identifyStyle":
            return {"style": "oil painting"}
        if code == "sing":
            return {"audioUrl": f"{base}/media/{task_id}/song.wav?sig=abc"}
        links = [f"{base}/result/{task_id}/{index}.png?sig=abc" for index in range(task["images"])]
        return {"outputImageUrl": links[0]} if len(links) == 1 else {"outputImageUrlList": links}

    def result(self) -> None:
        if not self.path.startswith("/media/"):
            return super().result()
        self.send(200, wave(), "audio/wav")
        return None


def wave() -> bytes:
    """A tenth of a second of a 440 Hz sine, 8 kHz mono, 16 bit."""
    import io
    import math
    import struct
    import wave as waves

    file = io.BytesIO()
    with waves.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        samples = [round(20000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(800)]
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return file.getvalue()


if __name__ == "__main__":
    faulty_server.Handler = ToolHandler  # type: ignore[misc]
    faulty_server.main()
