"""`cbdd indexes`: list the indexes of a collection."""

from __future__ import annotations

import json as json_text
from typing import Any

from cbdd.cli.arguments import (
    CollectionArgument,
    DatabaseOption,
    FileArgument,
    JsonOption,
    SalvageOption,
)
from cbdd.cli.opening import existing_collection, open_for_reading
from cbdd.cli.output import print_json, stdout_console, table


def indexes(
    file: FileArgument,
    collection: CollectionArgument,
    database: DatabaseOption = None,
    salvage: SalvageOption = False,
    json: JsonOption = False,
) -> None:
    """List the indexes of a collection."""
    with open_for_reading(file, salvage) as client:
        found = [
            dict(each) for each in existing_collection(client, database, collection).list_indexes()
        ]
    if json:
        for each in found:
            print_json(each)
        return
    listed = table("name", "keys", "options")
    for each in found:
        listed.add_row(each["name"], keys_text(each["key"]), options_text(each))
    stdout_console().print(listed)


def keys_text(key: dict[str, Any]) -> str:
    """Return the keys of an index for people: ``dest, -dep_delay``."""
    return ", ".join(f"-{name}" if direction == -1 else name for name, direction in key.items())


def options_text(index: dict[str, Any]) -> str:
    """Return what is special about an index: ``unique``."""
    special = {key: value for key, value in index.items() if key not in ("v", "key", "name")}
    parts = [
        key if value is True else f"{key}={json_text.dumps(value, default=str)}"
        for key, value in special.items()
    ]
    return ", ".join(parts)
