"""TinyDB: one JSON file, read and written whole each time."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from benchmarks.documents import Document
from benchmarks.rivals.base import Contestant


class Tiny(Contestant):
    name = "tinydb"
    package = "tinydb"
    durabilities = ("normal", "off")
    largest = 1_000
    most_operations = 50
    has_indexes = False
    has_processes = False

    def __init__(self, path: str, durability: str, indexes: Iterable[str] = ()) -> None:
        tinydb = importlib.import_module("tinydb")
        self.database: Any = tinydb.TinyDB(path)
        self.field: Any = tinydb.where
        self.document: Any = importlib.import_module("tinydb.table").Document
        self.operations: Any = importlib.import_module("tinydb.operations")

    def _stored(self, document: Document) -> Any:
        return self.document(document, doc_id=document["_id"])

    def insert_many(self, documents: list[Document]) -> None:
        self.database.insert_multiple([self._stored(each) for each in documents])

    def insert_one(self, document: Document) -> None:
        self.database.insert(self._stored(document))

    def get(self, number: int) -> Document | None:
        found: Document | None = self.database.get(doc_id=number)
        return found

    def by_key(self, key: str) -> Document | None:
        found: Document | None = self.database.get(self.field("key") == key)
        return found

    def by_rank(self, low: int, high: int) -> list[Document]:
        rank = self.field("rank")
        found: list[Document] = self.database.search((rank >= low) & (rank < high))
        return found

    def scores_above(self, score: float) -> list[Document]:
        found: list[Document] = self.database.search(self.field("score") > score)
        return found

    def read_all(self) -> int:
        return len(self.database.all())

    def sorted_by(self, field: str, limit: int) -> list[Document]:
        found: list[Document] = sorted(self.database.all(), key=lambda each: each[field])
        return found[:limit]

    def increment(self, number: int) -> None:
        self.database.update(self.operations.increment("n"), doc_ids=[number])

    def update_many(self, score: float) -> int:
        changed = self.database.update(self.operations.increment("n"), self.field("score") > score)
        return len(changed)

    def delete(self, number: int) -> None:
        self.database.remove(doc_ids=[number])

    def count_ranks(self, low: int, high: int) -> int:
        rank = self.field("rank")
        return int(self.database.count((rank >= low) & (rank < high)))

    def close(self) -> None:
        self.database.close()
