"""`cbdd stats`: how much is in the file."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer

from cbdd.cli.arguments import FileArgument, JsonOption, SalvageOption
from cbdd.cli.indexes import keys_text, options_text
from cbdd.cli.opening import open_for_reading
from cbdd.cli.output import print_json, size_text, stdout_console, table
from cbdd.client import Client, Collection


def stats(
    file: FileArgument,
    sizes: Annotated[
        bool,
        typer.Option("--sizes/--no-sizes", help="Read all documents to add up their sizes."),
    ] = True,
    salvage: SalvageOption = False,
    json: JsonOption = False,
) -> None:
    """Show how much is in the file: for each collection documents, bytes and indexes."""
    with open_for_reading(file, salvage) as client:
        facts = _facts(client, sizes)
    if json:
        print_json(facts)
    else:
        _show(facts, sizes)


def _facts(client: Client[dict[str, Any]], sizes: bool) -> dict[str, Any]:
    whole = client.statistics()
    databases = []
    for name in client.list_database_names():
        database = client[name]
        collections = [
            _collection_facts(database[each], sizes)
            for each in sorted(database.list_collection_names())
        ]
        databases.append({"name": name, "collections": collections})
    page = cast(int, whole["page_size_bytes"])
    return {
        "path": whole["path"],
        "file_size_bytes": whole["file_size_bytes"],
        "free_bytes": cast(int, whole["free_pages"]) * page,
        "log_bytes": whole["log_bytes"],
        "databases": databases,
    }


def _collection_facts(collection: Collection[dict[str, Any]], sizes: bool) -> dict[str, Any]:
    count = collection.estimated_document_count()
    facts: dict[str, Any] = {"name": collection.name, "documents": count}
    if sizes:
        total = sum(len(batch) for batch in collection.find_raw_batches())
        facts["document_bytes"] = total
        facts["mean_document_bytes"] = round(total / count) if count else 0
    facts["indexes"] = [dict(each) for each in collection.list_indexes()]
    return facts


def _show(facts: dict[str, Any], sizes: bool) -> None:
    console = stdout_console()
    console.print(
        f"{facts['path']}: {size_text(facts['file_size_bytes'])}, of it "
        f"{size_text(facts['free_bytes'])} free; log {size_text(facts['log_bytes'])}"
    )
    columns = ["collection", "#documents", *(["#size", "#mean"] if sizes else []), "indexes"]
    listed = table(*columns)
    for database in facts["databases"]:
        for each in database["collections"]:
            row = [f"{database['name']}.{each['name']}", f"{each['documents']:,}"]
            if sizes:
                row += [size_text(each["document_bytes"]), size_text(each["mean_document_bytes"])]
            listed.add_row(*row, "; ".join(_index_text(index) for index in each["indexes"]))
    if facts["databases"]:
        console.print(listed)
    else:
        console.print("no collections")


def _index_text(index: dict[str, Any]) -> str:
    special = options_text(index)
    return keys_text(index["key"]) + (f" ({special})" if special else "")
