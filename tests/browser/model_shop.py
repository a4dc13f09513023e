"""Starts `model_server.py` and tells a host about it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from comfy_gateway import add_profile
from comfy_host import free_port


class Shop:
    """One running server of models, covers and weight files."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        script = str(Path(__file__).with_name("model_server.py"))
        self._process = subprocess.Popen(
            [sys.executable, script, "--port", str(self.port)], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def set(self, **settings: Any) -> None:
        """Change how it behaves."""
        data = json.dumps(settings).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_set", data), timeout=10).close()

    def ledger(self) -> list[str]:
        """Every path that was asked for, and the bodies of questions."""
        with urllib.request.urlopen(f"{self.url}/_ledger", timeout=10) as answer:
            return json.loads(answer.read())

    def write_profile(self, home: Path, name: str, *options: str) -> None:
        """`img-open profile add` for the user whose data lies under `home`: a server like the cloud."""
        add_profile(home, name, self.url, *options)

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
