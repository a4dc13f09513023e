"""Chromium driven from Python through `driver.cjs`, found or explained."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

HOW = (
    "Browser tests skipped: {reason}. They need Chromium (IMG_OPEN_CHROMIUM, else `chromium` or "
    "`google-chrome` on the path), node, and playwright-core (`npm install -g playwright-core`, or its "
    "folder in "
    "IMG_OPEN_PLAYWRIGHT)."
)


def find_browser() -> tuple[str, str, str] | str:
    """node, Chromium and the folder of playwright-core; or one line that says what is missing."""
    node = shutil.which("node")
    if node is None:
        return HOW.format(reason="no node")
    named = os.environ.get("IMG_OPEN_CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = named or next((found for name in names if (found := shutil.which(name))), None)
    if chromium is None:
        return HOW.format(reason="no Chromium")
    library = os.environ.get("IMG_OPEN_PLAYWRIGHT") or _global_library()
    if not library or not (Path(library) / "package.json").is_file():
        return HOW.format(reason="no playwright-core")
    return node, chromium, library


def _global_library() -> str:
    npm = shutil.which("npm")
    if npm is None:
        return ""
    answer = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, timeout=60)
    return str(Path(answer.stdout.strip()) / "playwright-core")


class Page:
    """One browser page. Commands raise AssertionError with the browser's own words."""

    def __init__(self, node: str, chromium: str, library: str) -> None:
        self._ids = itertools.count()
        self._process = subprocess.Popen(
            [node, str(Path(__file__).with_name("driver.cjs")), chromium],
            env={**os.environ, "IMG_OPEN_PLAYWRIGHT": library},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def do(self, command: str, seconds: float = 180, **options: Any) -> Any:
        """Run one command of the driver and return its value."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({"id": next(self._ids), "command": command, **options})
        watchdog = threading.Timer(seconds, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not answer:
            raise AssertionError(f"The browser ended during {command}.")
        told = json.loads(answer)
        if "error" in told:
            raise AssertionError(f"{command}: {told['error']}")
        return told["value"]

    def run(self, code: str, argument: Any = None) -> Any:
        """The value of JavaScript (the body of an async function) in the page."""
        return self.do("eval", code=code, argument=argument)

    def wait(self, code: str, argument: Any = None, seconds: float = 60) -> None:
        """Wait until JavaScript (the body of a function) gives something true."""
        self.do("wait", seconds + 30, code=code, argument=argument, timeout=int(seconds * 1000))

    def own_errors(self) -> list[str]:
        """What the console says about the pack."""
        told = self.do("errors")
        return [
            one["text"]
            for one in told
            if "[Img Open]" in one["text"] or "img-open" in one["from"] or "img-open" in one["text"]
        ]

    def close(self) -> None:
        """End browser and driver."""
        try:
            self.do("close", 20)
            self._process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
