"""A real host with a gateway, and the real front-end in Chromium: the host's own, and a newer one.

The newest front-end is tested too when IMG_OPEN_FRONT_END is its `static` folder, for example:

    pip download comfyui-frontend-package --no-deps && unzip comfyui_frontend_package-*.whl
    IMG_OPEN_FRONT_END=$PWD/comfyui_frontend_package/static pytest tests/browser

With IMG_OPEN_SCREENSHOTS set to a folder, the pictures for docs/images and the help pages land there.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "comfyui"))
sys.path.insert(0, str(Path(__file__).parent))

from browser_page import Page, find_browser
from comfy_gateway import Gateway
from comfy_host import Host, find
from graphs import write_picture
from model_shop import Shop

_REPORTED: list[str] = []
_NO_NEWER = "A newer front-end is not tested: set IMG_OPEN_FRONT_END to its static folder."


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _REPORTED:
        terminalreporter.write_line(line)


def _skip(line: str) -> None:
    if line not in _REPORTED:
        _REPORTED.append(line)
    pytest.skip(line)


@dataclass
class Site:
    """A running host and the page that shows it.

    Attributes:
        front_end: `own` or `newer`.
        home: where profiles and the journal are.
    """

    host: Host
    page: Page
    gateway: Gateway
    front_end: str
    home: Path

    def open(self, locale: str = "en", height: int = 1000) -> int:
        """Load the page anew with an empty canvas; milliseconds until it can be used."""
        self.host.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.Locale": locale})
        took = self.page.do("open", url=self.host.url + "/", height=height)
        self.page.wait("return document.querySelector('#graph-canvas') && app.extensionManager.sidebarTab")
        self.page.run("await new Promise((done) => setTimeout(done, 1500)); app.graph.clear();")
        return int(took)

    def paste(self, text: str) -> None:
        """What Ctrl+V with this text does."""
        self.page.run(
            """const data = new DataTransfer(); data.setData("text/plain", argument);
            document.querySelector("#graph-canvas").dispatchEvent(
              new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));""",
            text,
        )


@pytest.fixture(scope="session")
def programs() -> tuple[tuple[str, str, str], tuple[Path, Path]]:
    """node, Chromium, playwright-core; checkout and Python of the host. Skips with a line that says how."""
    browser, comfyui = find_browser(), find()
    if isinstance(browser, str):
        _skip(browser)
    if isinstance(comfyui, str):
        _skip(comfyui)
    return browser, comfyui  # type: ignore[return-value]


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """Everything the servers write; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="img-open-browser-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def gateway(programs: object, base: Path) -> Iterator[Gateway]:
    """`img-open serve` with the demo model."""
    server = Gateway(base / "gateway")
    try:
        server.launch()
        yield server.wait()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def shop(programs: object) -> Iterator[Shop]:
    """A server of models; the hosts that start after it take annotator weights from there, too."""
    server = Shop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.url)
        yield server
    server.stop()


@pytest.fixture(scope="session", params=["own", "newer"])
def site(
    request: pytest.FixtureRequest,
    programs: tuple[tuple[str, str, str], tuple[Path, Path]],
    base: Path,
    gateway: Gateway,
    shop: Shop,
) -> Iterator[Site]:
    """The host with one of the two front-ends, profile `local`, and a page."""
    options: tuple[str, ...] = ()
    if request.param == "newer":
        folder = os.environ.get("IMG_OPEN_FRONT_END", "")
        if not (Path(folder) / "index.html").is_file():
            _skip(_NO_NEWER)
        options = ("--front-end-root", folder)
    browser, comfyui = programs
    host = Host(*comfyui, base / request.param, options=options)
    page: Page | None = None
    try:
        host.launch()
        gateway.write_profile(host.base / "img-open-home", "local")
        host.wait_until_up()
        write_picture(host.base / "input" / "photo.png", 96, 80)
        page = Page(*browser)
        yield Site(host, page, gateway, request.param, host.base / "img-open-home")
    finally:
        if page is not None:
            page.close()
        host.stop()


@pytest.fixture(scope="session")
def keep(base: Path) -> Callable[[str], str]:
    """Where a screenshot goes: the folder in IMG_OPEN_SCREENSHOTS, else a temporary one."""
    folder = Path(os.environ.get("IMG_OPEN_SCREENSHOTS") or base / "screenshots")

    def place(name: str) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    return place


@pytest.fixture(autouse=True)
def _no_complaint(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may leave an error of the pack's own in the console."""
    yield
    if "site" in request.fixturenames:
        site: Site = request.getfixturevalue("site")
        assert site.page.own_errors() == []
