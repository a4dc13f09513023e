"""`img-open profile`: servers and keys, in a file that only its owner can read."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..api import profiles
from ..api.profiles import Profile
from ..base.errors import InvalidRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands on the parser of `img-open profile`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="add|change|list|remove")
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
    add_auto_remote(add)
    change = actions.add_parser("change", help="change a saved profile; its address and its keys stay")
    change.add_argument("name")
    add_auto_remote(change)
    actions.add_parser("list", help="names of the profiles")
    actions.add_parser("remove", help="remove a profile").add_argument("name")


def add_auto_remote(parser: argparse.ArgumentParser) -> None:
    """Declare the switch by which nodes with `run_on` auto may (or may not) choose a server."""
    parser.add_argument(
        "--auto-remote",
        action=argparse.BooleanOptionalAction,
        help="nodes set to `auto` may use this server without asking where a model is not on this machine "
        "(with a key that may cost money); default: no",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say. Returns the exit status; raises the pack's errors."""
    if arguments.action == "list":
        print("\n".join(profiles.list_profiles()))
    elif arguments.action == "remove":
        profiles.remove_profile(arguments.name)
        print(f"Removed {arguments.name}.")
    elif arguments.action == "change":
        change_saved(arguments)
    else:
        key_id, secret = ("", "") if arguments.no_key else ask_for_key()
        given: dict[str, Any] = {
            name: value
            for name, value in (
                ("storage", arguments.storage),
                ("dialect", arguments.dialect),
                ("auto_remote", arguments.auto_remote),
            )
            if value is not None
        }
        profile = Profile(
            name=arguments.name,
            base_url=arguments.url,
            access_key_id=key_id,
            access_key_secret=secret,
            storage_options=storage_options(arguments.storage_option),
            **given,
        )
        check_storage(profile)
        print(f"Saved {arguments.name} in {profiles.save_profile(profile)} (readable by you only).")
    return 0


def change_saved(arguments: argparse.Namespace) -> None:
    """`profile change`: the one setting that can be changed without asking for the keys again."""
    if arguments.auto_remote is None:
        raise InvalidRequest("Nothing was named to change.", "Add --auto-remote or --no-auto-remote.")
    path = profiles.set_auto_remote(arguments.name, arguments.auto_remote)
    may = "may" if arguments.auto_remote else "may not"
    print(f"Nodes set to auto {may} use {arguments.name} without asking now (saved in {path}).")


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


def check_storage(profile: Profile) -> None:
    """Refuse settings of the storage that could only fail later, at the first picture."""
    if profile.storage == "s3":
        from ..storage.s3 import S3Options

        S3Options.from_mapping(profile.storage_options)
    elif profile.storage == "served":
        from ..storage.served import ServedOptions

        ServedOptions.from_mapping(profile.storage_options)


def ask_for_key() -> tuple[str, str]:
    """Ask on the terminal; the secret is not echoed and never stands on the command line."""
    import getpass

    try:
        return input("Access key id: ").strip(), getpass.getpass("Access key secret (not shown): ").strip()
    except EOFError as error:
        raise InvalidRequest(
            "No key was given.", "Run this command on a terminal, or add --no-key."
        ) from error
