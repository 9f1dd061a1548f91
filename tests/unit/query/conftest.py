"""A collection in a real file for each test, and shorthand for asking it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions

from cbdd.catalog import Catalog, CollectionEntry, CollectionWriters, parse_index
from cbdd.query import Execution, Query, count, distinct, explain
from cbdd.query.implication import QueryFilters
from cbdd.storage import ReadTransaction, StorageEngine, StorageOptions

AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


class Items:
    """The collection shop.items of an open file."""

    def __init__(self, path: Path) -> None:
        options = StorageOptions(durability="off", background=False, flight_recorder=False)
        self.engine = StorageEngine.open(str(path), options)
        self.catalog = Catalog(self.engine, filters=QueryFilters())

    def insert(self, *documents: dict[str, Any]) -> None:
        txn = self.engine.begin_write("insert")
        try:
            writer = CollectionWriters(self.catalog, txn, True).find_or_create("shop", "items")
            for document in documents:
                writer.insert(bson.encode(document))
            txn.commit()
        finally:
            txn.abort()

    def create_index(self, keys: dict[str, int], **options: Any) -> None:
        txn = self.engine.begin_write("createIndexes")
        try:
            writers = CollectionWriters(self.catalog, txn, True)
            writers.create_index("shop", "items", parse_index({"key": keys, **options}))
            txn.commit()
        finally:
            txn.abort()

    def find(self, filter: dict[str, Any] | None = None, **query: Any) -> list[dict[str, Any]]:
        with self.engine.begin_read() as txn:
            execution = Execution(txn, self.entry(txn), Query.compile(filter, **query))
            found = []
            while execution.step():
                found.append(bson.decode(execution.result(), AWARE))
            return found

    def ids(self, filter: dict[str, Any] | None = None, **query: Any) -> list[Any]:
        return [document["_id"] for document in self.find(filter, **query)]

    def count(self, filter: dict[str, Any] | None = None, **query: Any) -> int:
        with self.engine.begin_read() as txn:
            return count(txn, self.entry(txn), Query.compile(filter, **query))

    def distinct(self, key: str, filter: dict[str, Any] | None = None) -> list[Any]:
        with self.engine.begin_read() as txn:
            found = distinct(txn, self.entry(txn), key, Query.compile(filter))
            values: list[Any] = bson.decode(found)["values"]
            return values

    def explain(self, filter: dict[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        with self.engine.begin_read() as txn:
            return explain(txn, self.entry(txn), Query.compile(filter, **query))

    def stages(self, filter: dict[str, Any] | None = None, **query: Any) -> list[str]:
        """Name the stages of the winning plan, topmost first."""
        stage = self.explain(filter, **query)["queryPlanner"]["winningPlan"]
        names = [stage["stage"]]
        while "inputStage" in stage:
            stage = stage["inputStage"]
            names.append(stage["stage"])
        return names

    def entry(self, txn: ReadTransaction) -> CollectionEntry | None:
        return self.catalog.find(txn, "shop", "items")


@pytest.fixture
def items(tmp_path: Path) -> Iterator[Items]:
    collection = Items(tmp_path / "shop.cbdd")
    yield collection
    collection.engine.close()
