"""A real ComfyUI server for tests: found, started with a temporary base directory, driven over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACK = "img-open"
HOW = (
    "ComfyUI tests skipped: {reason}. To enable them set COMFYUI_DIR to a ComfyUI checkout (default "
    "~/comfy/ComfyUI) and COMFYUI_PYTHON to its Python (default: the checkout's .venv or venv)."
)


def find() -> tuple[Path, Path] | str:
    """The checkout and its Python, or one line that says why not."""
    folder = Path(os.environ.get("COMFYUI_DIR") or Path.home() / "comfy" / "ComfyUI").expanduser()
    if not (folder / "main.py").is_file():
        return HOW.format(reason=f"no checkout at {folder.name}")
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    candidates = [Path(named)] if (named := os.environ.get("COMFYUI_PYTHON")) else []
    candidates += [folder / name / Path(*inside) for name in (".venv", "venv")]
    for python in candidates:
        if python.is_file():
            return folder, python
    return HOW.format(reason="the checkout has no environment of its own")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_tiny_models(folder: Path, python: Path, models: Path) -> None:
    """Random weights shaped like SD1.5, small enough for a CPU, written with ComfyUI's own classes."""
    subprocess.run(
        [str(python), str(Path(__file__).with_name("tiny_models.py")), str(folder), str(models)],
        check=True,
        capture_output=True,
        timeout=280,
        env=environment(models.parent),
    )


def environment(home: Path) -> dict[str, str]:
    """One thread, and none of the user's own profiles, keys or data."""
    variables = {
        key: value for key, value in os.environ.items() if not key.startswith(("IMG_OPEN", "PYTHON"))
    }
    return {
        **variables,
        "OMP_NUM_THREADS": "1",
        "PYTHONUTF8": "1",
        "IMG_OPEN_HOME": str(home / "img-open-home"),
    }


@dataclass
class Run:
    """How a prompt ended.

    Attributes:
        status: `success`, `error` or `interrupted`.
        messages: ComfyUI's (event, data) pairs, with time stamps in milliseconds.
        outputs: per node what its `ui` holds.
    """

    status: str
    messages: list[tuple[str, dict[str, Any]]]
    outputs: dict[str, Any]

    @property
    def error(self) -> str:
        """The text people see, empty without an error."""
        for event, data in self.messages:
            if event == "execution_error":
                return str(data["exception_message"])
        return ""

    @property
    def seconds(self) -> float:
        """From the first to the last message."""
        times = [data["timestamp"] for _, data in self.messages if "timestamp" in data]
        return (times[-1] - times[0]) / 1000


@dataclass
class Host:
    """One running server.

    Attributes:
        base: its base directory (input/, output/, models/ ...).
        options: further arguments of its command line.
        url: where it listens.
    """

    folder: Path
    python: Path
    base: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything the server has printed."""
        return (self.base / "server.log").read_text("utf-8", errors="replace")

    def launch(self) -> None:
        """Make the base directory and start the server in it."""
        for name in ("custom_nodes", "input", "output", "user", "temp"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        link = self.base / "custom_nodes" / PACK
        if not link.exists():
            link.symlink_to(ROOT, target_is_directory=True)
        command = [
            str(self.python),
            "main.py",
            "--cpu",
            "--port",
            str(self.port),
            "--base-directory",
            str(self.base),
        ]
        command += ["--database-url", "sqlite:///:memory:", "--disable-auto-launch", *self.options]
        with (self.base / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment(self.base), stdout=log, stderr=subprocess.STDOUT
            )

    def wait_until_up(self, timeout: float = 180) -> Host:
        """Wait until it answers and has loaded the pack."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"ComfyUI ended at once:\n{self.log[-3000:]}")
            try:
                known = self.get("/object_info")
            except OSError:
                time.sleep(0.2)
                continue
            if not any(name.startswith("ImgOpen") for name in known):
                self.stop()
                raise RuntimeError(f"ComfyUI runs, but the pack was not loaded:\n{self.log[-6000:]}")
            return self
        self.stop()
        raise RuntimeError(f"ComfyUI did not start within {timeout:.0f} s:\n{self.log[-3000:]}")

    def stop(self) -> None:
        """End the server."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def get(self, path: str) -> Any:
        """GET, as JSON."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def post(self, path: str, body: Any) -> Any:
        """POST of JSON, the answer as JSON. HTTP errors are answers here, with their status as `_status`."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return {**json.loads(error.read() or b"{}"), "_status": error.code}

    def queue(self, graph: dict[str, Any]) -> str:
        """Queue an API graph; the prompt's id. Fails when the host refuses it."""
        answer = self.post("/prompt", {"prompt": graph, "client_id": uuid.uuid4().hex})
        if "prompt_id" not in answer:
            raise AssertionError(json.dumps(answer, indent=1)[:4000])
        return str(answer["prompt_id"])

    def wait(self, prompt_id: str, timeout: float = 120) -> Run:
        """Wait until the prompt has ended."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return _run(history[prompt_id])
            time.sleep(0.05)
        raise AssertionError(f"The prompt did not end within {timeout:.0f} s:\n{self.log[-3000:]}")

    def run(self, graph: dict[str, Any], timeout: float = 120) -> Run:
        """Queue and wait."""
        return self.wait(self.queue(graph), timeout)

    def wait_until_running(self, prompt_id: str, timeout: float = 30) -> None:
        """Wait until the prompt is being executed."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if any(entry[1] == prompt_id for entry in self.get("/queue")["queue_running"]):
                return
            time.sleep(0.02)
        raise AssertionError("The prompt did not begin to run.")


def _run(entry: dict[str, Any]) -> Run:
    messages = [(event, data) for event, data in entry["status"]["messages"]]
    names = {event for event, _ in messages}
    status = "success" if "execution_success" in names else "error"
    if "execution_interrupted" in names:
        status = "interrupted"
    return Run(status, messages, entry["outputs"])
