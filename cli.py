"""The `img-open` command: one request, run here or sent to a server, and what belongs to it.

Exit codes: 0 done, 1 an error of the pack (one clear text on stderr), 2 wrong arguments,
3 not finished yet but resumable, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import codecs
import json
import math
import os
import sys
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from . import terminal
from .base.command import command, version
from .base.errors import Cancelled, ImgOpenError, InvalidRequest, TaskTimeout, TaskUncertain

if TYPE_CHECKING:
    from .api.request import Request

RESUMABLE = (TaskTimeout, TaskUncertain)
JPEG_SUFFIXES = (".jpg", ".jpeg")
THREADS_MOST = 256
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PICTURE_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def build_parser() -> argparse.ArgumentParser:
    """All sub-commands with their help; rooms that own a command add their own arguments."""
    from .engines import api_command, doctor, profile_command, tasks_command
    from .gateway import command as gateway_command
    from .preprocessors import models_command
    from .preprocessors.estimators import ESTIMATORS

    parser = argparse.ArgumentParser(
        prog="img-open",
        description="Img Open requests (A1111 web UI and ControlNet words), run here or on a server.",
    )
    parser.add_argument("--version", action="version", version=f"img-open {version()}")
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
    preprocess.add_argument(
        "output", type=Path, metavar="OUT", help="JPEG if it ends in .jpg or .jpeg, else PNG"
    )
    preprocess.add_argument("--processor-res", type=int, default=-1, help="pixels; default: the module's own")
    for name in ("threshold-a", "threshold-b"):
        preprocess.add_argument(f"--{name}", type=finite, default=-1, help="default: the module's own")
    preprocess.add_argument(
        "--estimator",
        choices=ESTIMATORS,
        default=ESTIMATORS[0],
        help="who finds the people, for the openpose modules; OpenPose's own networks are for non-commercial "
        "use and make a map only when they are named here",
    )
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

    checkup = commands.add_parser("doctor", help="which packages work here, and what to do about the others")
    doctor.add_arguments(checkup)
    checkup.set_defaults(handler=doctor.run)

    tasks = commands.add_parser("tasks", help="what was asked of servers: list, show, resume, cancel, purge")
    tasks_command.add_arguments(tasks)
    tasks.set_defaults(handler=tasks_command.run)

    api = commands.add_parser("api", help="every operation of the API: list, show, call; check your own file")
    api_command.add_arguments(api)
    api.set_defaults(handler=api_command.run)

    profile = commands.add_parser("profile", help="servers and keys (kept in a file only you can read)")
    profile_command.add_arguments(profile)
    profile.set_defaults(handler=profile_command.run)
    return parser


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", metavar="REQUEST", help="file with the request in any known form, or -")
    from .engines.save import folder_argument

    parser.add_argument(
        "--out",
        type=folder_argument,
        required=True,
        metavar="DIR",
        help="folder for pictures and result.json; an earlier result in it is replaced",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def read_request(source: str) -> tuple[Request, list[str]]:
    """A request from a file, a PNG or standard input, and what could not be taken over from it."""
    from .api import convert
    from .nodes.workflow_file import from_workflow, workflow_in

    data = read_input() if source == "-" else read_file(Path(source))
    notices: list[str] = []
    if data.startswith(PICTURE_SIGNATURES) or data[8:12] == b"WEBP":
        return convert.from_infotext(data, notices), notices
    try:
        # Windows PowerShell writes what it redirects as UTF-16.
        text = data.decode("utf-16" if data.startswith(UTF16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{source} is neither text nor a PNG.", "Give JSON, a curl command or a web-UI PNG."
        ) from error
    workflow = workflow_in(text)
    if workflow is not None:
        return from_workflow(workflow, notices), notices
    return convert.from_text(text, notices), notices


def read_input() -> bytes:
    if sys.stdin is None:
        raise InvalidRequest("Standard input is closed.", "Name a file, or pipe the request in.")
    try:
        return sys.stdin.buffer.read()
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"Standard input cannot be read ({error}).", "Name a file.") from error


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).", "Check the path.") from error
    except ValueError as error:  # a NUL character in the name
        raise InvalidRequest.field("the path", str(path), "a file name") from error


def finite(text: str) -> float:
    """For argparse: a number, but not nan or infinite."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return number


def run_request(arguments: argparse.Namespace) -> int:
    from .engines.console import print_notes, print_result
    from .engines.diffusers import DiffusersEngine
    from .engines.diffusers_load import require_installed
    from .engines.save import prepare_folder, save_result
    from .gateway.command import models_from
    from .storage.fetch import Fetcher
    from .storage.pictures import Pictures

    require_installed()
    if not 1 <= arguments.threads <= THREADS_MOST:
        raise InvalidRequest.field("--threads", arguments.threads, f"from 1 to {THREADS_MOST}")
    request, notices = read_request(arguments.request)
    print_notes(notices)
    folder = prepare_folder(arguments.out)
    try:
        models = models_from(arguments)
    except RuntimeError as error:  # pathlib's word for `~nobody`
        raise InvalidRequest(f"A model's path cannot be used: {error}", "Write the path out.") from error
    engine = DiffusersEngine(models, device=arguments.device, threads=arguments.threads)
    pictures = Pictures(Fetcher(), allow_files=True)
    with terminal.Bar(enabled=not arguments.quiet) as bar:
        result = engine.run(request, pictures=pictures, progress=bar.update)
    return print_result(result, save_result(result, folder, request.output_format), notices)


def submit_request(arguments: argparse.Namespace) -> int:
    from .api.profiles import chosen_profile
    from .engines.console import StopSignal, after_stop, print_notes, print_result
    from .engines.remote import RemoteEngine
    from .engines.save import prepare_folder, save_result
    from .storage.fetch import Fetcher
    from .storage.pictures import Pictures

    engine = RemoteEngine(chosen_profile(arguments.url, arguments.profile), deadline_s=arguments.deadline)
    request, notices = read_request(arguments.request)
    print_notes(notices)
    folder = prepare_folder(arguments.out)
    pictures = Pictures(Fetcher(), allow_files=True)
    with StopSignal() as stop:
        try:
            with terminal.Bar(enabled=not arguments.quiet) as bar:
                result = engine.run(
                    request, pictures=pictures, progress=bar.update, cancelled=stop, nonce=arguments.again
                )
        except Cancelled as error:
            raise after_stop(error, engine.journal, engine.profile.dialect) from error
    # What came over the wire is kept as it came: PNG repeats every pixel, a second JPEG would not.
    return print_result(result, save_result(result, folder, "png"), notices)


def preprocess_picture(arguments: argparse.Namespace) -> int:
    from .base.pictures import decode_picture, encode_jpeg, encode_png
    from .controlnet.modules import effective_sliders, find_module
    from .engines.console import print_notes
    from .preprocessors.run import run_module
    from .preprocessors.runtime import PlainRuntime

    module = find_module(arguments.module).name
    resolution, a, b, notices = effective_sliders(
        module, arguments.processor_res, arguments.threshold_a, arguments.threshold_b
    )
    picture = decode_picture(read_file(arguments.input), source=str(arguments.input))
    if arguments.output.exists() and arguments.output.samefile(arguments.input):
        raise InvalidRequest(
            f"{arguments.output} is the picture itself: the map would replace it.", "Give another OUT."
        )
    runtime = PlainRuntime()
    detected = run_module(
        module,
        picture,
        processor_res=resolution,
        threshold_a=a,
        threshold_b=b,
        estimator=arguments.estimator,
        runtime=runtime,
    )
    print_notes([*notices, *runtime.notices])
    encode = encode_jpeg if arguments.output.suffix.lower() in JPEG_SUFFIXES else encode_png
    write_file(arguments.output, encode(detected))
    print(f"{arguments.output}: {detected.shape[1]} x {detected.shape[0]}")
    return 0


def convert_request(arguments: argparse.Namespace) -> int:
    from .api import convert
    from .engines.console import print_notes
    from .nodes.workflow_file import dumps, to_canvas, to_workflow

    request, notices = read_request(arguments.request)
    request = convert.without_logins(request, notices)
    if arguments.to == "curl":
        text = convert.to_curl(request, notices=notices)
    elif arguments.to in ("workflow", "canvas"):
        # Workflows are shared, and saved into pictures: signatures of links do not belong into them.
        shown = convert.shareable(request, notices)
        text = dumps(to_workflow(shown) if arguments.to == "workflow" else to_canvas(shown))
    else:
        notices += convert.signed_links(request)
        body = convert.to_webui(request, notices) if arguments.to == "a1111" else convert.to_img_open(request)
        text = convert.json_text(body)
    print(text)
    print_notes(notices)
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
        print(f"    {_module_details(row)}".rstrip())
    print(f"\nWhat a module that is not ready needs, in full: {command('models list')}")
    return 0


def _module_details(row: dict[str, Any]) -> str:
    """Control model of the type, and the licences of code and weights."""
    told = (
        ("control model", row["control_models"]),
        ("code", [row["code"]] if row["code"] else []),
        ("weights", dict.fromkeys(each["licence"] for each in row["weights"])),
    )
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in told if values)


def write_file(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be written ({error.strerror}).", "Choose another place."
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `img-open` script."""
    try:
        terminal.prepare_streams()
        parsed = build_parser().parse_args(arguments)
        status = int(parsed.handler(parsed) or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except Cancelled as error:
        return terminal.complain(str(error), 130)
    except RESUMABLE as error:
        return terminal.complain(f"img-open: {error}", 3)
    except ImgOpenError as error:
        return terminal.complain(f"img-open: {error}", 1)
    except KeyboardInterrupt:
        return terminal.complain("\nStopped.", 130)
    except Exception as error:
        if isinstance(error, OSError) and terminal.is_about_output(error):
            terminal.give_up_output()
            if isinstance(error, BrokenPipeError):  # `img-open ... | head` has seen enough
                return 0
            return terminal.complain(f"img-open: standard output cannot be written ({error.strerror}).", 1)
        if os.environ.get("IMG_OPEN_DEBUG"):
            raise
        return terminal.complain(
            f"img-open: This is a bug of img-open ({type(error).__name__}: {str(error)[:200]}). "
            "IMG_OPEN_DEBUG=1 shows the traceback.",
            1,
        )


if __name__ == "__main__":
    sys.exit(main())
