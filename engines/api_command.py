"""`img-open api`: the operations of the API, the check of one's own catalogue file, and single calls."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, cast

from ..api.catalogue import Operation, local_catalogue_files
from ..api.local_catalogue import check_local_catalogue
from ..api.profiles import Profile, chosen_profile
from ..base import places
from ..base.errors import InvalidRequest
from ..storage.fetch import Fetcher
from ..storage.pictures import Pictures
from .remote_tools import ToolRunner
from .save import save_result
from .types import Progress, ProgressFn, Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands on the parser of `img-open api`."""
    actions = parser.add_subparsers(dest="api_action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="operations: which run, and what is published about the others")
    listing.add_argument("--group", default="", help="only this group (drawing, tool, task, training ...)")
    listing.add_argument("--runnable", action="store_true", help="only those that can be called")
    show = actions.add_parser("show", help="one operation with its fields")
    show.add_argument("operation", metavar="ID")
    actions.add_parser("check", help="check your own catalogue file; names line and key of a mistake")
    call = actions.add_parser(
        "call",
        help="run an operation, or post to a path",
        description="Run an operation of the catalogue, or post to any path of the server. The same body is "
        "not paid twice: --again makes it a new task.",
    )
    call.add_argument(
        "target", metavar="ID-OR-PATH", help="an id of `img-open api list`, or a path beginning with /"
    )
    call.add_argument("body", metavar="BODY", help="file with a JSON object, or - for standard input")
    server = call.add_mutually_exclusive_group()
    server.add_argument("--profile", help="default: cloud")
    server.add_argument("--url", help="address of a gateway on this machine that takes no key")
    call.add_argument("--out", type=Path, metavar="DIR", help="folder for pictures and result.json")
    call.add_argument("--deadline", type=float, metavar="SECONDS", help="stop waiting after this long")
    call.add_argument("--again", default="", metavar="WORD", help="any new word makes and pays a new task")


def run(args: argparse.Namespace, progress: ProgressFn | None = None) -> int:
    """Do what the arguments say. Returns the exit status; raises the pack's errors."""
    action = str(args.api_action)
    if action == "check":
        return _check()
    catalogue, problem = check_local_catalogue()
    if problem:
        print(f"note: your catalogue file is not used: {problem}", file=sys.stderr)
    if action == "list":
        for operation in catalogue:
            if args.group in ("", operation.group) and (operation.runnable or not args.runnable):
                print(_line(operation))
    elif action == "show":
        shown = catalogue.operation(args.operation).model_dump(mode="json", exclude_defaults=True)
        print(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        runner = ToolRunner(_profile(args), catalogue=catalogue, deadline_s=args.deadline)
        _report(_call(runner, args, progress or _print_progress), args.out)
    return 0


def _check() -> int:
    file = places.config_dir() / "catalogue.yaml"
    catalogue, problem = check_local_catalogue()
    if problem:
        print(problem, file=sys.stderr)
        return 1
    if not local_catalogue_files():
        print(f"There is no {file}; the {len(catalogue.runnable())} published operations can be called.")
        return 0
    own = [operation for operation in catalogue if operation.confidence == "local"]
    print(f"{file} is fine:")
    for operation in own:
        print(_line(operation))
    return 0


def _profile(args: argparse.Namespace) -> Profile:
    return chosen_profile(args.url, args.profile)


def _call(runner: ToolRunner, args: argparse.Namespace, progress: ProgressFn) -> Result:
    body = read_body(str(args.body))
    if str(args.target).startswith("/"):
        return runner.call(args.target, body, progress=progress, nonce=args.again)
    pictures = Pictures(Fetcher(), allow_files=True)
    return runner.run(args.target, body, pictures=pictures, progress=progress, nonce=args.again)


def read_body(source: str) -> dict[str, Any]:
    """The JSON object in a file or on standard input. Raises InvalidRequest."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
        value: Any = json.loads(text)
    except OSError as error:
        raise InvalidRequest(f"{source} cannot be read ({error.strerror}).", "Check the path.") from None
    except ValueError as error:
        raise InvalidRequest(
            f"{source} is not JSON: {error}.", 'Write an object such as {"key": 1}.'
        ) from None
    if not isinstance(value, dict):
        raise InvalidRequest.field("the body", cast("object", value), "a JSON object")
    return cast("dict[str, Any]", value)


def _report(result: Result, out: Path | None) -> None:
    for info in result.infos:
        print(f"{info.verdict}: {info.field}: {info.message}", file=sys.stderr)
    for text in result.withheld:
        print(text, file=sys.stderr)
    if out is not None:
        for path in save_result(result, out, "png"):
            print(path)
    for path in result.media:
        print(path)
    print(json.dumps(result.response, ensure_ascii=False, indent=2))


def _line(operation: Operation) -> str:
    state = operation.status + (", in development" if operation.in_development else "")
    titles = " / ".join(text for text in (operation.title.en, operation.title.zh) if text)
    return f"{operation.id:<26} {state:<24} {titles}"


def _print_progress(report: Progress) -> None:
    print(f"{report.fraction:4.0%} {report.stage} {report.message}".rstrip(), file=sys.stderr)
