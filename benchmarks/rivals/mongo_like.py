"""CBDD, and what has PyMongo's interface in memory or in files."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import cbdd
from benchmarks.documents import Document
from benchmarks.rivals.base import Contestant


class MongoLike(Contestant):
    """Whatever has a collection of PyMongo's kind as ``table``."""

    table: Any

    def insert_many(self, documents: list[Document]) -> None:
        self.table.insert_many(documents)

    def insert_one(self, document: Document) -> None:
        self.table.insert_one(document)

    def get(self, number: int) -> Document | None:
        found: Document | None = self.table.find_one({"_id": number})
        return found

    def by_key(self, key: str) -> Document | None:
        found: Document | None = self.table.find_one({"key": key})
        return found

    def by_rank(self, low: int, high: int) -> list[Document]:
        return list(self.table.find({"rank": {"$gte": low, "$lt": high}}))

    def scores_above(self, score: float) -> list[Document]:
        return list(self.table.find({"score": {"$gt": score}}))

    def read_all(self) -> int:
        return sum(1 for _ in self.table.find())

    def sorted_by(self, field: str, limit: int) -> list[Document]:
        return list(self.table.find().sort(field, 1).limit(limit))

    def increment(self, number: int) -> None:
        self.table.update_one({"_id": number}, {"$inc": {"n": 1}})

    def update_many(self, score: float) -> int:
        done = self.table.update_many({"score": {"$gt": score}}, {"$inc": {"n": 1}})
        return int(done.modified_count)

    def delete(self, number: int) -> None:
        self.table.delete_one({"_id": number})

    def count_ranks(self, low: int, high: int) -> int:
        return int(self.table.count_documents({"rank": {"$gte": low, "$lt": high}}))

    def skip_ranks(self, low: int, skip: int, limit: int) -> list[Document]:
        found = self.table.find({"rank": {"$gte": low}}).sort("rank", 1).skip(skip).limit(limit)
        return list(found)


class Cbdd(MongoLike):
    name = "cbdd"
    package = "cbdd"

    def __init__(self, path: str, durability: str, indexes: Iterable[str] = ()) -> None:
        self.client: cbdd.Client[dict[str, Any]] = cbdd.connect(path, durability=durability)
        self.table = self.client["bench"]["documents"]
        for field in indexes:
            self.table.create_index(field, unique=field == "key")

    def checkpoint(self) -> None:
        self.client.checkpoint()

    def close(self) -> None:
        self.client.close()


class Mongomock(MongoLike):
    """Everything in memory, no file: nothing survives the process. It looks for duplicates of a
    unique index by reading all documents.
    """

    name = "mongomock"
    package = "mongomock"
    durabilities = ("normal", "off")
    largest = 2_000
    is_file = False
    has_processes = False

    def __init__(self, path: str, durability: str, indexes: Iterable[str] = ()) -> None:
        self.table = importlib.import_module("mongomock").MongoClient().bench.documents
        for field in indexes:
            self.table.create_index(field, unique=field == "key")

    def close(self) -> None:
        """Nothing is kept."""


class Monty(MongoLike):
    """MontyDB with its own file format; it has no indexes and no sync."""

    name = "montydb"
    package = "montydb"
    durabilities = ("normal", "off")
    largest = 2_000
    most_operations = 50
    has_indexes = False
    has_processes = False

    def __init__(self, path: str, durability: str, indexes: Iterable[str] = ()) -> None:
        montydb = importlib.import_module("montydb")
        montydb.set_storage(path, storage="flatfile", use_bson=True, cache_modified=0)
        self.client = montydb.MontyClient(path)
        self.table = self.client.bench.documents

    def close(self) -> None:
        self.client.close()
