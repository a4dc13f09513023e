"""A gateway in a process of its own, on a free port of loopback."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

PREFIX = "/AIGCImgOpenServ/saas"
QUERY = "/sd/v2/queryTaskInfo"


def _has_ended(data: dict[str, Any]) -> bool:
    return data["status"] != 1


class Server:
    """One process; `restart` starts another one on the same folder."""

    def __init__(self, folder: Path, *arguments: str, script: str = "tiny_server.py") -> None:
        self.folder = folder
        self.ledger = folder / "ledger.txt"
        self.session = requests.Session()
        self.session.trust_env = False
        self._command = [
            sys.executable,
            str(Path(__file__).with_name(script)),
            *("--port", "0", "--data", str(folder / "data"), *arguments),
        ]
        self.start()

    def start(self) -> None:
        env = {**os.environ, "TINY_LEDGER": str(self.ledger), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=env
            )
        stdout = self.process.stdout
        assert stdout is not None
        lines: queue.Queue[str] = queue.Queue()

        def read() -> None:
            with stdout:
                for line in stdout:
                    lines.put(line)
            lines.put("")

        threading.Thread(target=read, daemon=True).start()
        line = lines.get(timeout=60)
        assert line.startswith("Listening on http://"), (line, self.log())
        self.url = line.split()[-1]

    def log(self) -> str:
        return (self.folder / "server.log").read_text(encoding="utf-8")

    def kill(self) -> None:
        """As kill -9: no chance to tidy up."""
        self.session.close()
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """As Ctrl-C or systemd: SIGTERM."""
        self.process.terminate()
        return self.process.wait(30)

    def raw(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.session.post(self.url + PREFIX + path, json=body, timeout=20, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """A call that must succeed; returns its data."""
        response = self.raw(path, body, **more)
        envelope = response.json()
        assert response.status_code == 200, envelope
        assert envelope["code"] == "200"
        assert envelope["msg"] == "success"
        return envelope["data"]

    def refused(self, status: int, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """A call that must be refused with this HTTP status; returns the envelope."""
        response = self.raw(path, body, **more)
        envelope = response.json()
        assert response.status_code == status, envelope
        assert envelope["code"] == "400"
        assert envelope["msg"]
        return envelope

    def info(self, task_id: str, **more: Any) -> dict[str, Any]:
        return self.post(QUERY, {"businessTaskId": task_id}, **more)

    def wait(
        self,
        task_id: str,
        until: Callable[[dict[str, Any]], bool] = lambda data: data["status"] != 1,
        **more: Any,
    ) -> dict[str, Any]:
        """Polls until the data fits; by default until the task has ended."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            data = self.info(task_id, **more)
            if until(data):
                return data
            time.sleep(0.02)
        raise AssertionError(f"task {task_id} still {data}")

    def picture(self, url: str) -> np.ndarray:
        response = self.session.get(url, timeout=10)
        assert response.status_code == 200, response.text
        return np.asarray(Image.open(io.BytesIO(response.content)))

    def runs(self, task_id: str) -> int:
        """How often the engine was asked to make this task."""
        return self.ledger.read_text(encoding="utf-8").split().count(task_id)


def _body(task_id: str, **fields: Any) -> dict[str, Any]:
    inner = {"id_task": task_id, "sd_model_checkpoint": "tiny", "output_image_format": "png"}
    for name in ("image_link", "mask_link", "controlnet", "output_image_format", "sd_model_checkpoint"):
        if name in fields:
            inner[name] = fields.pop(name)
    return {
        "prompt": "a lighthouse", "seed": 7, "steps": 2, "width": 64, "height": 48, **fields,
        "alwayson_scripts": inner,
    }  # fmt: skip


@pytest.fixture(scope="session")
def body() -> Callable[..., dict[str, Any]]:
    """Makes a small request: `body(task_id, **fields)`; fields of `alwayson_scripts` go there."""
    return _body


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers; all are gone at the end."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, script: str = "tiny_server.py", folder: Path | None = None) -> Server:
            server = Server(folder or tmp_path_factory.mktemp("gateway"), *arguments, script=script)
            stack.callback(server.kill)
            return server

        yield start


@pytest.fixture(scope="session")
def server(launch: Callable[..., Server]) -> Server:
    """One server without keys that most tests share."""
    return launch()


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text("# test keys\nalice alice-secret-canary\nbob bob-secret-canary\n")
    path.chmod(0o600)
    return path
