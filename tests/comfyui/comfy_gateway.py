"""An `img-open serve` process with the demo model, for tests."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from comfy_host import environment, free_port


def command() -> list[str]:
    """The `img-open` command of the environment that runs the tests."""
    return [str(Path(sys.executable).with_name("img-open.exe" if os.name == "nt" else "img-open"))]


def add_profile(home: Path, name: str, url: str, *options: str) -> None:
    """`img-open profile add` for the user whose data lies under `home`: a server without keys."""
    subprocess.run(
        [*command(), "profile", "add", name, "--url", url, "--no-key", *options],
        env={**environment(home.parent), "IMG_OPEN_HOME": str(home)},
        check=True,
        capture_output=True,
        timeout=60,
    )


class Gateway:
    """One gateway process on loopback, without keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything it has printed."""
        return (self.folder / "gateway.log").read_text("utf-8", errors="replace")

    def launch(self) -> None:
        """Start the process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = ["serve", "--port", str(self.port), "--data", str(self.folder / "data")]
        with (self.folder / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command(), *arguments],
                env=environment(self.folder),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self, timeout: float = 120) -> Gateway:
        """Wait until it answers."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                    return self
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"The gateway did not start:\n{self.log[-3000:]}")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)

    def write_profile(self, home: Path, name: str, *options: str) -> None:
        """`img-open profile add`, for the user whose data lies under `home`."""
        add_profile(home, name, self.url, *options)

    def tasks(self) -> list[dict[str, Any]]:
        """The ledger: every task the gateway has taken, oldest first."""
        with sqlite3.connect(f"file:{self.folder / 'data' / 'tasks.sqlite3'}?mode=ro", uri=True) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM tasks ORDER BY rowid")]

    def task(self, task_id: str) -> dict[str, Any]:
        """What queryTaskInfo says."""
        request = urllib.request.Request(
            f"{self.url}/AIGCImgOpenServ/saas/sd/v2/queryTaskInfo",
            json.dumps({"businessTaskId": task_id}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())["data"]
