"""`cbdd diff`: what differs between two files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cbdd.cli.arguments import JsonOption, ValuesOption
from cbdd.cli.failures import BAD_INPUT
from cbdd.cli.opening import open_for_reading
from cbdd.cli.output import print_json, printable, stdout_console, table
from cbdd.ops.inspection import CollectionDifference, compare_files
from cbdd.ops.inspection.values import shown_value

BeforeArgument = Annotated[
    str, typer.Argument(metavar="A", help="The earlier file.", show_default=False)
]
AfterArgument = Annotated[
    str, typer.Argument(metavar="B", help="The later file.", show_default=False)
]


def diff(
    before: BeforeArgument,
    after: AfterArgument,
    values: ValuesOption = False,
    json: JsonOption = False,
) -> None:
    """Say which documents were added, removed and changed from A to B.

    What two files share, as a file and an earlier copy of it do, is not read. Exit code: 0 nothing
    differs, 1 something does.
    """
    with open_for_reading(before) as old, open_for_reading(after) as new:
        found = compare_files(old, new)
        rows = [_row(each, values) for each in found.collections]
    if json:
        print_json(
            {"differs": not found.is_empty, "pages_read": found.pages_read, "collections": rows}
        )
    else:
        _show(rows, found.pages_read)
    if not found.is_empty:
        raise typer.Exit(BAD_INPUT)


def _row(each: CollectionDifference, values: bool) -> dict[str, Any]:
    row = each.to_dict()
    if values:
        documents = each.documents
        row["documents"] = [
            *([shown_value(value, True), None] for value in documents.removed.values()),
            *([None, shown_value(value, True)] for value in documents.added.values()),
            *(
                [shown_value(old, True), shown_value(new, True)]
                for old, new in documents.changed.values()
            ),
        ]
    return row


def _show(rows: list[dict[str, Any]], pages_read: int) -> None:
    console = stdout_console()
    if not rows:
        console.print(f"nothing differs ({pages_read:,} pages read)")
        return
    made = table("collection", "", "#added", "#removed", "#changed")
    for row in rows:
        state = row["state"] + (", other definition" if row["definition_differs"] else "")
        counts = [f"{row[name]:,}" for name in ("added", "removed", "changed")]
        made.add_row(printable(row["collection"]), state, *counts)
    console.print(made)
    for row in rows:
        for old, new in row.get("documents", []):
            for sign, document in (("-", old), ("+", new)):
                if document is not None:
                    console.print(printable(f"{sign} {row['collection']} {document}"), markup=False)
    console.print(f"{pages_read:,} pages read")
