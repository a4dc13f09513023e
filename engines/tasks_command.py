"""`img-open tasks`: what was asked of servers, what became of it, and the user's word where it is needed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from ..api.journal import FINISHED, UNFINISHED, Journal, Task
from ..api.profiles import URL_NAME, Profile, load_profile, profile_for_url
from ..base.errors import Cancelled, InvalidRequest, ProfileError
from ..base.log import scrub_json
from .console import StopSignal, after_stop, print_result
from .remote import RemoteEngine
from .remote_tools import ToolRunner
from .save import folder_argument, prepare_folder, save_result
from .types import Progress, ProgressFn

_DAY_S = 86400.0
_DAYS_MOST = 100_000.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands on the parser of `img-open tasks`."""
    actions = parser.add_subparsers(dest="tasks_action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="tasks, the latest first")
    listing.add_argument("--state", choices=(*UNFINISHED, *FINISHED), action="append", default=[])
    listing.add_argument("--profile", default="", help="only this profile's")
    for name, text in (
        ("show", "everything the journal knows of a task, as JSON"),
        ("resume", "wait for a task (or find it again) and save its pictures"),
        ("retry", "an uncertain task: submit it again, under the same id, at the next run of its request"),
        ("drop", "an uncertain task: forget it; the next run of its request is a new task"),
        ("cancel", "stop a task at the server, where the server can"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("task_id", metavar="ID")
        if name == "resume":
            action.add_argument(
                "--out", type=folder_argument, required=True, metavar="DIR", help="for the pictures"
            )
    purge = actions.add_parser("purge", help="remove finished tasks and their pictures from this machine")
    purge.add_argument("--days", type=float, default=30.0, help="only those older than this (default 30)")


def run(args: argparse.Namespace, journal: Journal | None = None, progress: ProgressFn | None = None) -> int:
    """Do what the arguments say. Returns the exit status; raises the pack's errors."""
    journal = journal or Journal()
    action = str(args.tasks_action)
    if action == "list":
        lines = [_line(task) for task in journal.list(states=args.state, profile=args.profile)]
        print("\n".join(lines) if lines else "No tasks.")
    elif action == "show":
        print(json.dumps(_shown(journal.show(args.task_id)), ensure_ascii=False, indent=2))
    elif action == "resume":
        return _resume(args, journal, progress or _print_progress)
    elif action in ("retry", "drop"):
        task = journal.resolve(args.task_id, action)
        print(f"{task.task_id} is {task.state} now; run its request again.")
    elif action == "cancel":
        _engine(journal, args.task_id).cancel(args.task_id)
        print(f"{args.task_id} is {journal.show(args.task_id).state}.")
    else:
        if not 0 <= args.days <= _DAYS_MOST:
            raise InvalidRequest.field("--days", args.days, f"from 0 to {_DAYS_MOST:.0f}")
        gone = journal.purge(older_than_s=args.days * _DAY_S)
        age = f" older than {args.days:g} days" if args.days else ""
        more = " (--days 0 removes every finished one)" if args.days else ""
        print(f"Removed {len(gone)} finished tasks{age} and their files{more}.")
    return 0


def _resume(args: argparse.Namespace, journal: Journal, progress: ProgressFn) -> int:
    engine = _engine(journal, args.task_id)
    folder = prepare_folder(args.out)
    with StopSignal() as stop:
        try:
            result = engine.attach(args.task_id, progress, stop)
        except Cancelled as error:
            raise after_stop(error, journal, engine.profile.dialect) from error
    return print_result(result, save_result(result, folder, "png"))


def _engine(journal: Journal, task_id: str) -> RemoteEngine:
    return ToolRunner(profile_of(journal.show(task_id)), journal).engine_of(task_id)


def profile_of(task: Task) -> Profile:
    """The profile a task was submitted with; refuses one that leads to another server by now."""
    by_url = task.profile.startswith(URL_NAME)
    profile = profile_for_url(task.server) if by_url else load_profile(task.profile)
    if profile.base_url != task.server:
        raise ProfileError(
            f"Profile {task.profile!r} leads to {profile.base_url} now, but the task is at {task.server}.",
            "Put the old address back, or add a profile of another name for it and use its id there.",
            profile=task.profile,
        )
    if profile.name != task.profile:
        raise InvalidRequest(f"Task {task.task_id} belongs to {task.profile!r}.", "Run its request again.")
    return profile


def _line(task: Task) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(task.changed))
    prompt = " ".join(str(task.request.get("prompt", "")).split())[:40]
    head = f"{task.task_id:<36} {task.state:<10} {when}  {task.profile:<12}"
    return f"{head} {prompt}  {task.message[:80]}".rstrip()


def _shown(task: Task) -> dict[str, Any]:
    hidden = ("row_id", "intent", "owner", "owner_until")
    return scrub_json({name: value for name, value in vars(task).items() if name not in hidden})


def _print_progress(report: Progress) -> None:
    print(f"{report.fraction:4.0%} {report.stage} {report.message}".rstrip(), file=sys.stderr)
