"""`img-open serve` with arguments that cannot be: refused at once, by the argument's name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from img_open.base.errors import InvalidRequest, MissingModel
from img_open.gateway.command import add_arguments, serve

NOBODY = "~no-such-user-here/models"


def served(folder: Path, *arguments: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    serve(parser.parse_args(["--port", "0", "--data", str(folder), *arguments]))


@pytest.mark.parametrize(
    ("arguments", "field", "text"),
    [
        (("--threads", "0"), "--threads", "--threads is 0, but must be 1 or more."),
        (("--threads", "-2"), "--threads", "-2"),
        (("--model", NOBODY), "--model", "there is no home folder ~no-such-user-here on this machine"),
        (("--controlnet", NOBODY), "--controlnet", "no home folder"),
        (("--models-folder", NOBODY), "--models-folder", "no home folder"),
        (("--keys", NOBODY), "--keys", "no home folder"),
        (("--data", NOBODY), "--data", "no home folder"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    tmp_path: Path, arguments: tuple[str, ...], field: str, text: str
) -> None:
    with pytest.raises(InvalidRequest) as told:
        served(tmp_path, *arguments)
    assert told.value.details["field"] == field
    assert text in told.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"There is no model at .*/nowhere"):
        served(tmp_path / "data", "--model", str(tmp_path / "nowhere"))
