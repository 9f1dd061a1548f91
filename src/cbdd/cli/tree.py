"""`cbdd tree`: the shape of a collection's tree or of one of its indexes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cbdd.cli.arguments import CollectionArgument, DatabaseOption, FileArgument, JsonOption
from cbdd.cli.failures import DAMAGED, CommandError
from cbdd.cli.opening import existing_collection, open_for_inspection
from cbdd.cli.output import facts_table, print_json, size_text, stdout_console, table
from cbdd.ops.inspection import shape_of

IndexArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="INDEX",
        help="Name of an index; without it the documents are looked at.",
        show_default=False,
    ),
]


def tree(
    file: FileArgument,
    collection: CollectionArgument,
    index: IndexArgument = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Show the shape of a tree: its depth, and pages and fill of each level.

    Without INDEX the tree of the documents. Exit code 3 when pages of it are damaged.
    """
    with open_for_inspection(file) as client:
        target = existing_collection(client, database, collection)
        store = client._store
        with store.begin_read() as txn:
            entry = store.catalog.find(txn, target.database.name, target.name)
            assert entry is not None
            number = entry.record_tree
            if index is not None:
                definition = entry.index_named(index)
                if definition is None:
                    names = ", ".join(each.name for each in entry.indexes)
                    raise CommandError(
                        f"no index {index} on {entry.namespace}; there are {names}",
                        code="NAMESPACE_NOT_FOUND",
                    )
                number = definition.tree_id
            shape = shape_of(store.engine._state, txn._tree(number), number)
    facts = shape.to_dict()
    if json:
        print_json(facts)
    else:
        _show(facts)
    if shape.damaged:
        raise typer.Exit(DAMAGED)


def _show(facts: dict[str, Any]) -> None:
    console = stdout_console()
    runs = f"{facts['runs']:,} of {facts['run_pages']:,} pages, {size_text(facts['run_bytes'])}"
    console.print(
        facts_table(
            {
                "tree": facts["tree"],
                "root page": facts["root_page"] or "-",
                "depth": facts["depth"],
                "entries": f"{facts['entries']:,}",
                "large values": runs,
                "only in the log": f"{facts['unwritten_nodes']:,} pages",
            }
        )
    )
    made = table("level", "#pages", "#entries", "#fill", "#least fill")
    for each in facts["levels"]:
        name = "leaves" if each["level"] == 0 else str(each["level"])
        fill, least = f"{each['fill']:.0%}", f"{each['least_fill']:.0%}"
        made.add_row(name, f"{each['pages']:,}", f"{each['entries']:,}", fill, least)
    console.print(made)
    if facts["damaged_pages"]:
        console.print(f"damaged pages: {', '.join(map(str, facts['damaged_pages']))}")
