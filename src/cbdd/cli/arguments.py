"""Arguments and options that several commands share, and how their text is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cbdd.cli.readers.extended_json import describe, parse

FileArgument = Annotated[
    str,
    typer.Argument(metavar="FILE", help="The database file, e.g. shop.cbdd.", show_default=False),
]
CollectionArgument = Annotated[
    str, typer.Argument(metavar="COLLECTION", help="Name of the collection.", show_default=False)
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        "-d",
        help="Database inside the file; default: named like the file without its ending.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs, one object on a line.")
]
ValuesOption = Annotated[
    bool,
    typer.Option("--values", help="Show keys and documents too; without it none are shown."),
]
LsnOption = Annotated[
    int | None,
    typer.Option(
        "--to-lsn", min=0, metavar="N", help="Without the commits after it.", show_default=False
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--to-time",
        metavar="TIME",
        help="Without the first commit later than this and all that follow, e.g. "
        "2026-01-31T12:00:00; in UTC unless it says otherwise.",
        show_default=False,
    ),
]
SalvageOption = Annotated[
    bool,
    typer.Option(
        "--salvage",
        help="Read what is before damage at the end of the log, which is otherwise refused.",
    ),
]
SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="KEYS",
        help="Order: '-price,name', or JSON '{\"price\": -1, \"name\": 1}'.",
        show_default=False,
    ),
]
ProjectionOption = Annotated[
    str | None,
    typer.Option(
        "--projection",
        metavar="FIELDS",
        help="Fields to show: 'name,price', or JSON '{\"_id\": 0, \"name\": 1}'.",
        show_default=False,
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=0, help="At most so many documents; 0: all.")
]
SkipOption = Annotated[int, typer.Option("--skip", min=0, help="Leave out the first so many.")]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", min=0, help="How long to wait for a lock of another process."
    ),
]
CanonicalOption = Annotated[
    bool,
    typer.Option(
        "--canonical", help="Extended JSON that keeps every type, e.g. int32 apart from int64."
    ),
]


def parse_document(text: str | None, option: str) -> dict[str, Any]:
    """Read a JSON or Extended JSON object given as an argument; None is an empty one."""
    if text is None:
        return {}
    try:
        value = parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"expected an object, found {describe(value)}", param_hint=option)
    return value


def parse_keys(text: str | None, option: str) -> list[tuple[str, Any]]:
    """Read a sort order or the keys of an index.

    >>> parse_keys("-price,name", "--sort")
    [('price', -1), ('name', 1)]
    >>> parse_keys('{"price": -1}', "--sort")
    [('price', -1)]
    """
    if text is None:
        return []
    if text.lstrip().startswith("{"):
        return list(parse_document(text, option).items())
    keys: list[tuple[str, Any]] = []
    for part in text.split(","):
        name = part.strip()
        direction = -1 if name.startswith("-") else 1
        name = name.removeprefix("-").removeprefix("+")
        field, colon, number = name.rpartition(":")
        if colon and number in ("1", "-1"):
            name, direction = field, int(number)
        if not name:
            raise typer.BadParameter(f"a field has no name in {text!r}", param_hint=option)
        keys.append((name, direction))
    return keys


def parse_time(text: str | None, option: str = "--to-time") -> int | None:
    """Read a moment as microseconds since 1970; without a zone it is in UTC.

    >>> parse_time("1970-01-01T00:00:01")
    1000000
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time: {error}", param_hint=option) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def parse_projection(text: str | None) -> dict[str, Any] | list[str] | None:
    """Read a projection: a JSON object, or names separated by commas."""
    if text is None:
        return None
    if text.lstrip().startswith("{"):
        return parse_document(text, "--projection")
    return [name for name in (part.strip() for part in text.split(",")) if name]
