"""A fresh engine and catalog for each test, and shorthand for what every test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import pytest

from cbdd.catalog import Catalog, CollectionWriters, parse_index
from cbdd.catalog.check import check_catalog
from cbdd.query.implication import QueryFilters
from cbdd.storage import ReadTransaction, StorageEngine, StorageOptions


class Shop:
    """One open file with a catalog; `write` runs a function in a committed transaction."""

    def __init__(self, path: Path) -> None:
        options = StorageOptions(durability="off", background=False, flight_recorder=False)
        self.engine = StorageEngine.open(str(path), options)
        self.catalog = Catalog(self.engine, filters=QueryFilters())

    def write(self, work: Callable[[CollectionWriters], Any]) -> Any:
        txn = self.engine.begin_write("test")
        try:
            result = work(CollectionWriters(self.catalog, txn, True))
            txn.commit()
            return result
        finally:
            txn.abort()

    def read(self, work: Callable[[ReadTransaction], Any]) -> Any:
        with self.engine.begin_read() as txn:
            return work(txn)

    def insert(self, *documents: dict[str, Any], name: str = "orders") -> list[int]:
        return self.write(
            lambda writers: [
                writers.find_or_create("shop", name).insert(bson.encode(document))
                for document in documents
            ]
        )

    def create_index(self, keys: dict[str, int], name: str = "orders", **options: Any) -> bool:
        request = parse_index({"key": keys, **options})
        return self.write(lambda writers: writers.create_index("shop", name, request))

    def documents(self, name: str = "orders") -> list[dict[str, Any]]:
        def scan(txn: ReadTransaction) -> list[dict[str, Any]]:
            entry = self.catalog.find(txn, "shop", name)
            assert entry is not None
            cursor = txn.cursor(entry.record_tree)
            found = []
            more = cursor.first()
            while more:
                found.append(bson.decode(cursor.value))
                more = cursor.step()
            return found

        return self.read(scan)

    def entry(self, name: str = "orders") -> Any:
        return self.read(lambda txn: self.catalog.find(txn, "shop", name))

    def problems(self) -> list[str]:
        found = self.read(lambda txn: check_catalog(txn, self.catalog.filters))
        return [problem.message for problem in found]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "shop.cbdd")
    yield shop
    problems = shop.problems()
    shop.engine.close()
    assert problems == []
