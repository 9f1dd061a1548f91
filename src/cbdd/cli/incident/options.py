"""Arguments and options that the commands for incidents share."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from cbdd.ops.incident.store import DEFAULT_PATH, IncidentStore

NumberArgument = Annotated[
    int, typer.Argument(metavar="NUMBER", min=1, help="The incident.", show_default=False)
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="FILE",
        envvar="CBDD_INCIDENTS",
        help="The database with the incident records.",
    ),
]
ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who does this; default: your login name.",
        show_default=False,
    ),
]
DEFAULT_STORE = DEFAULT_PATH


def store_at(path: str, must_exist: bool = True) -> IncidentStore:
    """The records at a path."""
    return IncidentStore(path, must_exist=must_exist)


def person(by: str | None) -> str:
    """Who does this."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a machine that knows no name for this user
