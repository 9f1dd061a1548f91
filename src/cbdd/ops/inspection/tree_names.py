"""What each tree of a file is of, as far as its catalog can be read."""

from __future__ import annotations

import warnings
from typing import Final

from pymongo.errors import PyMongoError

from cbdd.client.connect import connect
from cbdd.errors import CbddError, NetworkFileSystemWarning

SYSTEM_NAMES: Final = {0: "(directory)", 1: "(catalog)", 2: "(sequences)"}


class TreeNames:
    """Names of trees by number; ``records`` are those that hold documents."""

    def __init__(self, path: str) -> None:
        self.names: dict[int, str] = dict(SYSTEM_NAMES)
        self.records: set[int] = set()
        try:
            self._read(path)
        except CbddError:
            return  # names are a help only: what is wrong with the file is for others to tell

    def name_of(self, tree: int) -> str:
        """The collection, or the collection and index; empty when nothing tells."""
        return self.names.get(tree, "")

    def _read(self, path: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NetworkFileSystemWarning)
            client = connect(path, must_exist=True, read_only=True, salvage=True)
        with client:
            store = client._store
            with store.begin_read() as txn:
                for database in store.catalog.list_databases(txn):
                    for name in store.catalog.list_names(txn, database):
                        try:
                            entry = store.catalog.find(txn, database, name)
                        except PyMongoError:
                            continue  # one definition that cannot be read does not hide others
                        if entry is None:
                            continue
                        self.records.add(entry.record_tree)
                        self.names[entry.record_tree] = entry.namespace
                        for definition in entry.indexes:
                            named = f"{entry.namespace} {definition.name}"
                            self.names[definition.tree_id] = named
