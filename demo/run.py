"""The main job, shown: the seed page's request becomes pictures, in the process and over HTTP.

    python3 dev.py demo [--model PATH] [--controlnet PATH] [--out DIR] [--size N]

Writes the control image, both results, two contact sheets and the request to `demo/out/`, prints the
times, and checks that both ways gave the same pixels. Exit code 1 if they did not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..base.command import command as run_line
from ..base.errors import ImgOpenError, NetworkError
from ..base.pictures import decode_picture, encode_png

HERE = Path(__file__).resolve().parent
PICTURE = HERE / "picture.png"
CLI = [sys.executable, "-m", "img_open.cli"]
# The demo model draws shapes and colours; it has never seen the page's "1girl".
PROMPT = "{best quality}, a (red:1.1) star on a blue background"
START_SECONDS = 120.0


def page_request(size: int, checkpoint: str, control_model: str) -> dict[str, Any]:
    """The page's example with pictures, prompt, module, thresholds, model names and size for the demo model.

    Weight and step window too: with the page's 0.7 and 0.35 - 0.75 (made to hide a QR code) the control image
    is only hinted at. `request.json` beside this file is the same request, to be read and run by hand.
    """
    body = json.loads((HERE / "page_request.json").read_text("utf-8"))
    scripts = body["alwayson_scripts"]
    unit = scripts["controlnet"]["args"][0]
    body.update(
        prompt=PROMPT, negative_prompt="blurry, (worst quality, low quality:1.4)", width=size, height=size
    )
    body.update(cfg_scale=3, hr_resize_x=2 * size, hr_resize_y=2 * size)
    scripts.update(sd_model_checkpoint=checkpoint, sd_vae="Automatic", output_image_format="png")
    scripts.update(id_task="demo-1686666", image_link=str(PICTURE))
    unit.update(
        image_link=str(PICTURE), module="canny", threshold_a=100, threshold_b=200, model=control_model
    )
    unit.update(weight=1.0, guidance_start=0.0, guidance_end=1.0)
    return body


def fresh_home(out: Path) -> dict[str, str]:
    """Variables that keep journal and gateway tasks of the demo inside `out`, empty at the start.

    Otherwise the second demo would be answered from the first one's stored result.
    """
    home = out / "home"
    shutil.rmtree(home, ignore_errors=True)
    return {**os.environ, "IMG_OPEN_HOME": str(home.resolve())}


def timed(title: str, command: list[str], environment: dict[str, str]) -> float:
    """Run one `img-open` command in a process of its own; its progress bar goes to the terminal."""
    print(f"\n> {short(run_line(' '.join(shown(part) for part in command)))}", flush=True)
    started = time.monotonic()
    code = subprocess.run([*CLI, *command], env=environment).returncode
    if code:
        raise ImgOpenError(
            f"The step “{title}” failed with exit code {code}.", "Its own message stands above."
        )
    return time.monotonic() - started


def short(line: str) -> str:
    """A command line with paths below the current folder made relative."""
    return line.replace(f"{Path.cwd()}{os.sep}", "")


def shown(part: str) -> str:
    """A path as a reader wants it: relative where that is possible."""
    with contextlib.suppress(ValueError):
        return str(Path(part).relative_to(Path.cwd())) if Path(part).is_absolute() else part
    return part


@contextlib.contextmanager
def gateway(model_arguments: list[str], environment: dict[str, str]) -> Iterator[str]:
    """A gateway process on a free port of this machine; yields its address and stops it afterwards."""
    command = [*CLI, "serve", "--port", "0", *model_arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment)
    try:
        yield wait_for_address(process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for_address(process: subprocess.Popen[str]) -> str:
    """The address that the gateway prints once it listens."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    # Read by a thread: a child that says nothing must not hold the demo for ever.
    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    with contextlib.suppress(queue.Empty):
        while line := lines.get(timeout=max(deadline - time.monotonic(), 0.1)):
            found = re.search(r"Listening on (http://\S+)", line)
            if found:
                return found.group(1)
    raise NetworkError("The gateway process did not start.", f"Run `{run_line('serve')}` to see why.")


def same_pixels(first: Path, second: Path) -> bool:
    import numpy as np

    a, b = (decode_picture(path.read_bytes()) for path in (first, second))
    return a.shape == b.shape and bool(np.array_equal(a, b))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a real checkpoint file or diffusers folder")
    parser.add_argument("--controlnet", type=Path, help="a real canny control model")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    parser.add_argument(
        "--size", type=int, default=128, help="width and height; 512 suits a real SD1.5 model"
    )
    options = parser.parse_args(arguments)
    try:
        return show(options)
    except ImgOpenError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def show(options: argparse.Namespace) -> int:
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.model.stem if options.model else "demo"
    control_model = options.controlnet.stem if options.controlnet else "canny"
    models = [*(["--model", str(options.model)] if options.model else [])]
    models += ["--controlnet", str(options.controlnet)] if options.controlnet else []

    request = out / "request.json"
    request.write_text(json.dumps(page_request(options.size, checkpoint, control_model), indent=2), "utf-8")
    control, local, remote = out / "control.png", out / "local", out / "gateway"
    environment = fresh_home(out)
    command = preprocess_command(control, options.size)
    rows = [("control image (canny)", timed("preprocess", command, environment))]
    command = ["run", str(request), "--out", str(local), *models]
    rows.append(("in a process of its own", timed("run", command, environment)))
    with gateway(models, environment) as address:
        command = ["submit", str(request), "--url", address, "--out", str(remote)]
        rows.append(("through a gateway process", timed("submit", command, environment)))

    equal = same_pixels(local / "image_00.png", remote / "image_00.png")
    print_table(rows, equal)
    sheets = draw_sheets(out, control, local, remote, trained=not options.model)
    print_where(out, sheets)
    return 0 if equal else 1


def preprocess_command(control: Path, size: int) -> list[str]:
    sliders = ["--processor-res", str(size), "--threshold-a", "100", "--threshold-b", "200"]
    return ["preprocess", "canny", str(PICTURE), str(control), *sliders]


def draw_sheets(out: Path, control: Path, local: Path, remote: Path, *, trained: bool) -> list[Path]:
    """The contact sheets: for the demo model first what each parameter does; both ways side by side."""
    from .sheet import labelled_grid, parameter_sheet

    def picture(path: Path) -> Any:
        return decode_picture(path.read_bytes())

    cells = [
        (picture(PICTURE), "picture"),
        (picture(control), "canny 100 / 200"),
        (picture(local / "image_00.png"), "in the process"),
        (picture(remote / "image_00.png"), "through the gateway"),
    ]
    sheets = [out / "contact_sheet.png"]
    sheets[0].write_bytes(encode_png(labelled_grid([("one request, twice", cells)])))
    if trained:
        sheets.insert(0, out / "parameters.png")
        print("\nWhat prompt, weight, mode and step window do (demo model), a dot a picture:", flush=True)
        sheets[0].write_bytes(encode_png(parameter_sheet(PICTURE, say=say)))
    return sheets


def say(text: str) -> None:
    print(text, end="", flush=True)


def print_table(rows: list[tuple[str, float]], equal: bool) -> None:
    print(f"\n{'step':32}{'seconds, start-up included':>28}")
    for title, seconds in rows:
        print(f"{title:32}{seconds:28.1f}")
    print(f"\nBoth results equal, pixel for pixel: {'yes' if equal else 'NO'}")


def print_where(out: Path, sheets: list[Path]) -> None:
    first, *others = (short(str(path.resolve())) for path in sheets)
    also = f", then {' and '.join(others)}" if others else ""
    print(f"\nLook at {first} first{also}. Everything else is in {short(str(out.resolve()))}.")
    request = short(str(HERE / "request.json"))
    print(f"A request of your own: change {request} and run it:")
    print(f"> {short(run_line(f'run {request} --out out'))}")


if __name__ == "__main__":
    sys.exit(main())
