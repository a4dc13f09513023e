"""The `img-open` command: one request, run here or sent to a server, and what belongs to it.

Exit codes: 0 done, 1 an error of the pack (one clear text on stderr), 2 wrong arguments,
3 not finished yet but resumable, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from .base.errors import Cancelled, ImgOpenError, InvalidRequest, TaskTimeout, TaskUncertain

if TYPE_CHECKING:
    from .api.request import Request

RESUMABLE = (TaskTimeout, TaskUncertain)
PICTURE_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def build_parser() -> argparse.ArgumentParser:
    """All sub-commands with their help; rooms that own a command add their own arguments."""
    from .engines import api_command, tasks_command
    from .gateway import command as gateway_command
    from .preprocessors import models_command

    parser = argparse.ArgumentParser(
        prog="img-open",
        description="Img Open requests (A1111 web UI and ControlNet words), run here or on a server.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a request on this machine", description="Run a request here.")
    add_request_arguments(run)
    gateway_command.add_model_arguments(run)
    run.set_defaults(handler=run_request)

    submit = commands.add_parser("submit", help="send a request to a server and wait for its pictures")
    add_request_arguments(submit)
    target = submit.add_mutually_exclusive_group()
    target.add_argument(
        "--profile", default=None, help="profile to use (img-open profile list); default: cloud"
    )
    target.add_argument(
        "--url", help="address of a gateway that takes no key, for example http://127.0.0.1:8170"
    )
    submit.add_argument(
        "--deadline", type=float, metavar="SECONDS", help="stop waiting after this long (the task goes on)"
    )
    submit.add_argument(
        "--again",
        metavar="WORD",
        default="",
        help="any new word makes and pays a new task for the same request",
    )
    submit.set_defaults(handler=submit_request)

    preprocess = commands.add_parser("preprocess", help="make a control image from a picture")
    preprocess.add_argument("module", help="name or label of the preprocessor (img-open modules)")
    preprocess.add_argument("input", type=Path, metavar="IN")
    preprocess.add_argument("output", type=Path, metavar="OUT")
    for name in ("processor-res", "threshold-a", "threshold-b"):
        preprocess.add_argument(f"--{name}", type=float, default=-1, help="default: the module's own")
    preprocess.set_defaults(handler=preprocess_picture)

    serve = commands.add_parser("serve", help="serve the Img Open API over the local engine")
    gateway_command.add_arguments(serve)
    serve.set_defaults(handler=gateway_command.serve)

    convert = commands.add_parser(
        "convert", help="translate a request: Img Open JSON, curl, web-UI JSON, web-UI PNG, ComfyUI workflow"
    )
    convert.add_argument("request", metavar="REQUEST", help="file to read, or - for standard input")
    convert.add_argument(
        "--to",
        choices=["img-open", "curl", "a1111", "workflow", "canvas"],
        required=True,
        help="workflow: ComfyUI's API format; canvas: what its canvas saves and loads",
    )
    convert.set_defaults(handler=convert_request)

    modules = commands.add_parser("modules", help="list the preprocessors with their sliders")
    modules.add_argument("--json", action="store_true", help="machine-readable")
    modules.set_defaults(handler=list_modules)

    models = commands.add_parser(
        "models", help="weights of the preprocessors: what is here, what can be fetched"
    )
    models_command.add_arguments(models)
    models.set_defaults(handler=models_command.run)

    tasks = commands.add_parser("tasks", help="what was asked of servers: list, show, resume, cancel, purge")
    tasks_command.add_arguments(tasks)
    tasks.set_defaults(handler=tasks_command.run)

    api = commands.add_parser("api", help="every operation of the API: list, show, call; check your own file")
    api_command.add_arguments(api)
    api.set_defaults(handler=api_command.run)

    add_profile_arguments(
        commands.add_parser("profile", help="servers and keys (kept in a file only you can read)")
    )
    return parser


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", metavar="REQUEST", help="file with the request in any known form, or -")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for pictures and result.json"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="add|list|remove")
    add = actions.add_parser(
        "add", help="add or replace a profile; key id and secret are asked for, never arguments"
    )
    add.add_argument("name")
    add.add_argument(
        "--url", required=True, help="base address of the server, https unless it is this machine"
    )
    add.add_argument(
        "--no-key", action="store_true", help="the server takes no key (a gateway on this machine)"
    )
    add.add_argument(
        "--storage",
        choices=["inline", "s3", "served", "none"],
        help="how local pictures become links the server can read; default: inline for gateways, else none",
    )
    add.add_argument(
        "--storage-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the storage, for example bucket=pictures (docs/storage.md); may be repeated",
    )
    add.add_argument(
        "--dialect",
        choices=["cloud", "gateway"],
        help="gateway: an `img-open serve` on another machine; default: gateway on this one, else cloud",
    )
    actions.add_parser("list", help="names of the profiles")
    actions.add_parser("remove", help="remove a profile").add_argument("name")
    parser.set_defaults(handler=manage_profiles)


def read_request(source: str) -> tuple[Request, list[str]]:
    """A request from a file, a PNG or standard input, and what could not be taken over from it."""
    from .api import convert
    from .nodes.workflow_file import from_workflow, workflow_in

    data = sys.stdin.buffer.read() if source == "-" else read_file(Path(source))
    notices: list[str] = []
    if data.startswith(PICTURE_SIGNATURES) or data[8:12] == b"WEBP":
        return convert.from_infotext(data, notices), notices
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{source} is neither text nor a PNG.", "Give JSON, a curl command or a web-UI PNG."
        ) from error
    workflow = workflow_in(text)
    if workflow is not None:
        return from_workflow(workflow, notices), notices
    return convert.from_text(text, notices), notices


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).", "Check the path.") from error


def run_request(arguments: argparse.Namespace) -> int:
    from .engines.diffusers import DiffusersEngine
    from .engines.save import save_result
    from .gateway.command import models_from
    from .storage.fetch import Fetcher
    from .storage.pictures import Pictures
    from .terminal import Bar

    request, notices = read_request(arguments.request)
    engine = DiffusersEngine(models_from(arguments), device=arguments.device, threads=arguments.threads)
    pictures = Pictures(Fetcher(), allow_files=True)
    with Bar(enabled=not arguments.quiet) as bar:
        result = engine.run(request, pictures=pictures, progress=bar.update)
    say(notices)
    report(save_result(result, arguments.out, request.output_format), result.infos)
    return 0


def submit_request(arguments: argparse.Namespace) -> int:
    from .api.profiles import load_profile, profile_for_url
    from .engines.remote import RemoteEngine
    from .engines.save import save_result
    from .storage.fetch import Fetcher
    from .storage.pictures import Pictures
    from .terminal import Bar

    request, notices = read_request(arguments.request)
    profile = profile_for_url(arguments.url) if arguments.url else load_profile(arguments.profile or "cloud")
    engine = RemoteEngine(profile, deadline_s=arguments.deadline)
    pictures = Pictures(Fetcher(), allow_files=True)
    with Bar(enabled=not arguments.quiet) as bar:
        result = engine.run(request, pictures=pictures, progress=bar.update, nonce=arguments.again)
    say(notices)
    # What came over the wire is kept as it came: PNG repeats every pixel, a second JPEG would not.
    report(save_result(result, arguments.out, "png"), result.infos)
    return 0


def preprocess_picture(arguments: argparse.Namespace) -> int:
    from .base.pictures import decode_picture, encode_png
    from .controlnet.modules import effective_sliders, find_module
    from .preprocessors.run import run_module
    from .preprocessors.runtime import PlainRuntime

    module = find_module(arguments.module).name
    resolution, a, b, notices = effective_sliders(
        module, int(arguments.processor_res), arguments.threshold_a, arguments.threshold_b
    )
    picture = decode_picture(read_file(arguments.input), source=str(arguments.input))
    detected = run_module(
        module, picture, processor_res=resolution, threshold_a=a, threshold_b=b, runtime=PlainRuntime()
    )
    say(notices)
    write_file(arguments.output, encode_png(detected))
    print(f"{arguments.output}: {detected.shape[1]} x {detected.shape[0]}")
    return 0


def convert_request(arguments: argparse.Namespace) -> int:
    from .api import convert
    from .nodes.workflow_file import dumps, to_canvas, to_workflow

    request, notices = read_request(arguments.request)
    if arguments.to == "curl":
        text = convert.to_curl(request, notices=notices)
    elif arguments.to in ("workflow", "canvas"):
        # Workflows are shared, and saved into pictures: signatures of links do not belong into them.
        shown = convert.shareable(request, notices)
        text = dumps(to_workflow(shown) if arguments.to == "workflow" else to_canvas(shown))
    else:
        body = convert.to_webui(request, notices) if arguments.to == "a1111" else convert.to_img_open(request)
        text = json.dumps(body, ensure_ascii=False, indent=2)
    print(text)
    say(notices)
    return 0


def list_modules(arguments: argparse.Namespace) -> int:
    from .preprocessors.describe import describe_modules

    rows = describe_modules()
    if arguments.json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    for row in rows:
        mark = "ready" if row["available"] else shorten(row["reason"], 72, placeholder=" ...")
        print(f"{row['name']:27} {', '.join(row['tags']) or '-':32} {mark}")
    print("\nWhat a module that is not ready needs, in full: img-open models list")
    return 0


def manage_profiles(arguments: argparse.Namespace) -> int:
    from .api import profiles

    if arguments.action == "list":
        print("\n".join(profiles.list_profiles()))
    elif arguments.action == "remove":
        profiles.remove_profile(arguments.name)
        print(f"Removed {arguments.name}.")
    else:
        key_id, secret = ("", "") if arguments.no_key else ask_for_key()
        given = {"storage": arguments.storage, "dialect": arguments.dialect}
        profile = profiles.Profile(
            name=arguments.name,
            base_url=arguments.url,
            access_key_id=key_id,
            access_key_secret=secret,
            storage_options=storage_options(arguments.storage_option),
            **{name: value for name, value in given.items() if value},
        )
        print(f"Saved {arguments.name} in {profiles.save_profile(profile)} (readable by you only).")
    return 0


def storage_options(pairs: list[str]) -> dict[str, Any]:
    """`NAME=VALUE` pairs as a mapping, numbers and true/false as such; the storage knows its own names."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or not value:
            raise InvalidRequest.field("--storage-option", pair, "NAME=VALUE")
        plain = value in ("true", "false") or value.isdecimal()
        options[name] = json.loads(value) if plain else value
    return options


def ask_for_key() -> tuple[str, str]:
    """Ask on the terminal; the secret is not echoed and never stands on the command line."""
    import getpass

    try:
        return input("Access key id: ").strip(), getpass.getpass("Access key secret (not shown): ").strip()
    except EOFError as error:
        raise InvalidRequest(
            "No key was given.", "Run this command on a terminal, or add --no-key."
        ) from error


def write_file(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be written ({error.strerror}).", "Choose another place."
        ) from error


def say(notices: list[str]) -> None:
    for notice in notices:
        print(f"note: {notice}", file=sys.stderr)


def report(paths: list[Path], infos: list[Any]) -> None:
    for info in infos:
        print(f"{info.verdict}: {info.field}: {info.message}", file=sys.stderr)
    for path in paths:
        print(path)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `img-open` script."""
    parsed = build_parser().parse_args(arguments)
    try:
        return parsed.handler(parsed) or 0
    except Cancelled as error:
        print(error, file=sys.stderr)
        return 130
    except RESUMABLE as error:
        print(f"img-open: {error}", file=sys.stderr)
        return 3
    except ImgOpenError as error:
        print(f"img-open: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
