"""`img-open models list|pull`: which annotator weights are here, and fetching the missing ones."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from ..base.command import command
from ..base.errors import ImgOpenError, InvalidRequest
from . import weight_files
from .registry import PREPROCESSORS, available, find_preprocessor, missing_packages
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
    for line in weight_lines(folders) if args.weights else [*module_lines(folders), *legend(folders)]:
        print(line)
    return 0


def module_lines(folders: tuple[Path, ...] = ()) -> list[str]:
    """One line per module: name, and `runs`, the weights it lacks, or the number of a reason (`legend`)."""
    numbers = {reason: number for number, reason in enumerate(_reasons(folders), 1)}
    lines: list[str] = []
    for name in PREPROCESSORS:
        reason = _reason(name, folders)
        if not reason:
            state = "runs"
        elif reason in numbers:
            state = f"-     see [{numbers[reason]}]"
        else:
            state = "pull  " + ", ".join(_brief(key) for key in _missing_weights(name, folders))
        lines.append(f"{name:<32} {state}")
    return lines


def legend(folders: tuple[Path, ...] = ()) -> list[str]:
    """What `module_lines` leaves out: how to get weights, and every other reason, each once."""
    running = sum(available(name, folders)[0] for name in PREPROCESSORS)
    lines = ["", f"{running} of {len(PREPROCESSORS)} modules run here."]
    lines.append(f"pull: `{command('models pull MODULE')}` fetches weights; list --weights has the links.")
    for number, (reason, count) in enumerate(_reasons(folders).items(), 1):
        lines.append(f"[{number}] ({count} module{'s' if count > 1 else ''}) {reason}")
    return lines


def _reasons(folders: tuple[Path, ...]) -> Counter[str]:
    """Why modules do not run, weights apart, with how many share each reason, in the table's order."""
    names = (name for name in PREPROCESSORS if not _missing_weights(name, folders))
    answers = (_reason(name, folders) for name in names)
    return Counter(reason for reason in answers if reason)


def _reason(name: str, folders: tuple[Path, ...]) -> str:
    """Why a module does not run, its packages alone where some are missing: many share those."""
    return missing_packages(find_preprocessor(name)) or available(name, folders)[1]


def _missing_weights(name: str, folders: tuple[Path, ...]) -> list[str]:
    """Keys of the weights that a module waits for; none where something else is missing first."""
    keys = [key for key in PREPROCESSORS[name].weights if weight_files.find(key, folders) is None]
    _, reason = available(name, folders)
    return keys if keys and reason == weight_files.describe_missing(keys[0], folders) else []


def _brief(key: str) -> str:
    entry = WEIGHTS[key]
    return f"{Path(entry.file).name} ({entry.megabytes:g} MB, {entry.licence})"


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
        if not entry.weights:
            raise InvalidRequest(f"The module {name} needs no weights.", "Leave it out.")
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
