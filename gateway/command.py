"""`img-open serve`: arguments, models, engine, and a server that stops properly."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import places
from ..base.command import command
from ..base.errors import InvalidRequest
from .settings import DEFAULT_HOST, DEFAULT_PORT, MEBIBYTE, Settings

if TYPE_CHECKING:
    from ..engines.models import LocalModels
    from ..engines.types import Engine
    from .server import Rows
    from .worker import Previewer

_DESCRIPTION = """\
Serves the Img Open API over this machine's engine: the three sd submits, the model list, both task queries,
tool/cnt/preview with its query, and a cancel call. Without arguments it serves the demo model (checkpoint
"demo", control model "canny") to programs on this machine."""

_EPILOG = f"""\
Ports and callers
  Without --keys it listens on loopback only, refuses other hosts, checks the Host and Origin headers, and
  needs no key. With --keys FILE every call needs the two headers of the Img Open API,
  X-Request-req-accessKeyId and X-Request-req-accessKeySecret. FILE has mode 600 and holds lines
  "ID SECRET" or JSON {{"keys": [{{"id": "...", "secret": "..."}}]}}. Each key sees its own tasks only.
  The server speaks plain HTTP: put a TLS proxy in front for other machines, and name it in --public-url.

What it prints
  "Listening on http://HOST:PORT" as soon as it answers. GET /healthz tells whether it works.

Tasks
  Are kept in SQLite below --data: a restart, even a kill, loses none; a running one starts over. The same
  id_task with the same body is the same task and does no work twice; with another body it is an error (409).
  When --queue tasks are unfinished, new ones are answered "busy" (429 with Retry-After).

Pictures
  In: http(s) links or data URLs. Links to private and loopback addresses are refused unless --allow-private
  is given, link-local ones (cloud metadata) always.
  Out: links that expire after --link-hours; ask the task again for fresh ones.

Examples
  img-open serve
  img-open serve --port 0 --model ~/models/v1-5.safetensors --controlnet ~/models/control_canny.safetensors
  img-open serve --host 0.0.0.0 --keys ~/.config/img-open/gateway-keys --models-folder ~/ComfyUI/models

The dialect (failure status, progress, cancel) is described in docs/gateway.md. Default URL:
http://{DEFAULT_HOST}:{DEFAULT_PORT}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `serve` to a parser, with its description and epilog."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_model_arguments(parser)
    net = parser.add_argument_group("network")
    net.add_argument("--host", default=DEFAULT_HOST, help=f"address to listen on (default: {DEFAULT_HOST})")
    net.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"0 takes a free one (default: {DEFAULT_PORT})"
    )
    net.add_argument("--keys", metavar="FILE", help="access keys; needed for any host but loopback")
    net.add_argument("--public-url", default="", metavar="URL", help="base of result links behind a proxy")
    net.add_argument(
        "--allow-private", action="store_true", help="picture links may lead to private addresses"
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument("--queue", type=int, default=32, help="unfinished tasks at once (default: 32)")
    limits.add_argument(
        "--body-limit", type=int, default=64, metavar="MIB", help="request body (default: 64)"
    )
    limits.add_argument(
        "--body-seconds", type=float, default=120.0, metavar="S",
        help="time for a request body to arrive (default: 120)",
    )  # fmt: skip
    limits.add_argument("--connections", type=int, default=256, help="open at once (default: 256)")
    limits.add_argument(
        "--picture-limit", type=int, default=64, metavar="MIB", help="one fetched picture (default: 64)"
    )
    limits.add_argument(
        "--fetch-seconds", type=float, default=60.0, metavar="S", help="time for one link (default: 60)"
    )
    limits.add_argument(
        "--max-side", type=int, default=4096, metavar="PX",
        help="largest width or height, hires pass included (default: 4096)",
    )  # fmt: skip
    limits.add_argument("--max-images", type=int, default=64, help="pictures per task (default: 64)")
    limits.add_argument("--max-steps", type=int, default=150, help="sampling steps (default: 150)")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument(
        "--data", metavar="DIR", help=f"tasks and results (default: {_for_help(_default_data())})"
    )
    kept.add_argument("--link-hours", type=float, default=24.0, help="life of a result link (default: 24)")
    kept.add_argument("--keep-days", type=float, default=7.0, help="life of finished tasks (default: 7)")
    kept.add_argument("--verbose", action="store_true", help="log every task to standard error")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say which models run and where; `models_from` reads them."""
    models = parser.add_argument_group("models (without any of them: the demo model)")
    models.add_argument(
        "--model", action="append", default=[], metavar="PATH",
        help="a checkpoint file or diffusers folder; may be repeated",
    )  # fmt: skip
    models.add_argument(
        "--controlnet", action="append", default=[], metavar="PATH",
        help="a control model file or folder; may be repeated",
    )  # fmt: skip
    models.add_argument(
        "--models-folder", metavar="DIR", help="a folder as ComfyUI's or the web UI's models folder"
    )
    models.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    models.add_argument("--threads", type=int, default=1, help="torch threads on the CPU (default: 1)")


def serve(args: argparse.Namespace) -> int:
    """Runs the server until it is asked to stop. Returns the exit status.

    Raises:
        ImgOpenError: settings, keys file, models or port cannot be used.
    """
    from ..engines.diffusers import DiffusersEngine
    from ..engines.diffusers_load import require_installed
    from .previews import MapMaker

    require_installed()
    settings = settings_from(args)
    settings.check()
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    models = models_from(args)
    engine = DiffusersEngine(models, device=args.device, threads=args.threads)
    return run(engine, settings, rows=models.rows, previewer=MapMaker(args.device, args.threads))


def settings_from(args: argparse.Namespace) -> Settings:
    """The settings that parsed arguments stand for."""
    return Settings(
        data_dir=path_of("--data", args.data) if args.data else _default_data(),
        host=args.host,
        port=args.port,
        keys_file=path_of("--keys", args.keys) if args.keys else None,
        public_url=args.public_url,
        queue_size=args.queue,
        body_limit=args.body_limit * MEBIBYTE,
        body_seconds=args.body_seconds,
        connections=args.connections,
        picture_limit=args.picture_limit * MEBIBYTE,
        fetch_seconds=args.fetch_seconds,
        link_seconds=args.link_hours * 3600,
        keep_seconds=args.keep_days * 24 * 3600,
        allow_private=args.allow_private,
        max_side=args.max_side,
        max_images=args.max_images,
        max_steps=args.max_steps,
    )


def models_from(args: argparse.Namespace) -> LocalModels:
    """The models that parsed arguments name; the demo model's where no checkpoint is named.

    Raises:
        InvalidRequest: --threads below 1, or a path that cannot be one.
        MissingModel: there is no such file or folder.
    """
    from ..engines.models import LocalModels

    if args.threads < 1:
        raise InvalidRequest.field("--threads", args.threads, "1 or more")
    if args.models_folder:
        models = LocalModels.from_folder(path_of("--models-folder", args.models_folder))
    else:
        models = LocalModels() if args.model else LocalModels.demo()
    for path in args.model:
        models.add(path_of("--model", path), "checkpoint")
    for path in args.controlnet:
        models.add(path_of("--controlnet", path), "controlnet")
    return models


def path_of(option: str, text: str) -> Path:
    """The path that an option names, with `~` and `~user` spelled out; raises InvalidRequest."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        home = text.split("/")[0]
        raise InvalidRequest.field(
            option, text, f"a path that exists; there is no home folder {home} on this machine"
        ) from None


def run(
    engine: Engine,
    settings: Settings,
    *,
    rows: Rows | None = None,
    previewer: Previewer | None = None,
    say: Callable[[str], None] = lambda text: print(text, flush=True),
) -> int:
    """Serves an engine until SIGINT or SIGTERM; then the running task stops within a step and waits for the
    next start. Returns 0.

    Raises:
        InvalidRequest: the port is taken, or what `make_app` refuses.
    """
    with contextlib.suppress(KeyboardInterrupt):  # where signals cannot be handled in the loop
        asyncio.run(_run(engine, settings, rows, previewer, say))
    return 0


async def _run(
    engine: Engine,
    settings: Settings,
    rows: Rows | None,
    previewer: Previewer | None,
    say: Callable[[str], None],
) -> None:
    from .door import listening
    from .server import make_app

    app = make_app(engine, settings, rows=rows, previewer=previewer)
    async with listening(app, settings) as port:
        url = _url(settings.host, port)
        stop = _stop_event()
        say(f"Listening on {url}")
        say(f"Engine: {engine.name}. Use it with: {command(f'submit REQUEST.json --url {url} --out DIR')}")
        await stop.wait()
        say("Stopping; unfinished tasks are kept for the next start.")


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
    return stop


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _for_help(path: Path) -> str:
    return str(path).replace("%", "%%")  # argparse formats its help texts


def _default_data() -> Path:
    return places.data_dir() / "gateway"
