"""`img-open models list|pull`: which annotator weights are here, and fetching the missing ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..base.errors import ImgOpenError, InvalidRequest
from . import weight_files
from .registry import PREPROCESSORS, available, find_preprocessor
from .weights_table import WEIGHTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands on the parser of `img-open models`."""
    actions = parser.add_subparsers(dest="models_action", required=True)
    listing = actions.add_parser("list", help="every module, whether it runs here, and if not, why")
    listing.add_argument(
        "--weights", action="store_true", help="list the weight files instead of the modules"
    )
    pulling = actions.add_parser(
        "pull", help="download the weights of modules (asks nothing: calling it is consent)"
    )
    pulling.add_argument("names", nargs="+", metavar="MODULE", help="module names or weight keys")
    for each in (listing, pulling):
        each.add_argument(
            "--folder", type=Path, action="append", default=[], help="a folder of annotator weights"
        )


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say. Returns the exit status: 0, or 1 if a download failed."""
    folders = tuple(args.folder)
    if args.models_action == "pull":
        return _pull(args.names, folders)
    for line in weight_lines(folders) if args.weights else module_lines(folders):
        print(line)
    return 0


def module_lines(folders: tuple[Path, ...] = ()) -> list[str]:
    """One line per module: name, `runs` or `-`, and why it does not run."""
    lines: list[str] = []
    for name in PREPROCESSORS:
        runs, reason = available(name, folders)
        lines.append(f"{name:<32} {'runs' if runs else '-':<5} {reason}".rstrip())
    return lines


def weight_lines(folders: tuple[Path, ...] = ()) -> list[str]:
    """One line per weight: key, size, licence, and where it is or where to get it."""
    lines: list[str] = []
    for key, entry in WEIGHTS.items():
        found = weight_files.find(key, folders)
        where = str(found) if found else f"missing: {entry.link}"
        lines.append(f"{key:<18} {entry.megabytes:>7g} MB  {entry.licence:<40} {where}")
    return lines


def keys_for(names: list[str]) -> list[str]:
    """The weights behind these names (modules or weight keys), each once; `InvalidRequest` for others."""
    keys: list[str] = []
    for name in names:
        if name in WEIGHTS:
            keys.append(name)
            continue
        entry = find_preprocessor(name)
        if entry.kind == "unavailable":
            raise InvalidRequest(f"The module {name} has no weights to fetch: {entry.note}.")
        keys += entry.weights
    return list(dict.fromkeys(keys))


def _pull(names: list[str], folders: tuple[Path, ...]) -> int:
    from .download import pull

    failed = False
    for key in keys_for(names):
        entry = WEIGHTS[key]
        found = weight_files.find(key, folders)
        if found is not None:
            print(f"{key}: {found} is here already")
            continue
        print(f"{key}: {entry.repo}/{entry.file}, about {entry.megabytes:g} MB, licence {entry.licence}")
        try:
            path = pull(key, weight_files.destination(folders), progress=_bar)
        except ImgOpenError as error:
            print(f"\n{key}: {error}", file=sys.stderr)
            failed = True
        else:
            print(f"\n{key}: {path}")
    return int(failed)


def _bar(fraction: float) -> None:
    done = int(fraction * 40)
    sys.stderr.write(f"\r[{'#' * done}{'.' * (40 - done)}] {fraction:4.0%}")
    sys.stderr.flush()
