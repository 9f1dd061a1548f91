"""LMDB with BSON: what somebody writes who wants speed and keeps the indexes up by hand.

LMDB has no log: ``full`` syncs every commit, ``normal`` leaves out the sync of the meta page, which
is what comes nearest to a write that survives the process, ``off`` syncs nothing.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import bson

from benchmarks.documents import Document
from benchmarks.rivals.base import Contestant

_NUMBER = struct.Struct(">q")
_MAP_BYTES = 8 << 30


class Lmdb(Contestant):
    name = "lmdb"
    package = "lmdb"

    def __init__(self, path: str, durability: str, indexes: Iterable[str] = ()) -> None:
        self.environment = importlib.import_module("lmdb").open(
            path,
            subdir=False,
            map_size=_MAP_BYTES,
            max_dbs=8,
            sync=durability == "full",
            metasync=durability == "full",
            lock=True,
        )
        self.documents: Any = self.environment.open_db(b"documents")
        self.indexes: dict[str, Any] = {}
        for field in indexes:
            self.indexes[field] = self.environment.open_db(field.encode())

    def _begin(self, is_writing: bool) -> Any:
        return self.environment.begin(db=self.documents, write=is_writing)

    def _put(self, txn: Any, document: Document) -> None:
        key = _NUMBER.pack(document["_id"])
        if not txn.put(key, bson.encode(document), overwrite=False):
            raise KeyError(document["_id"])
        for field, index in self.indexes.items():
            self._index(txn, index, field, document, key)

    def _index(self, txn: Any, index: Any, field: str, document: Document, key: bytes) -> None:
        if not txn.put(_entry(field, document, key), key, db=index, overwrite=False):
            raise KeyError(document[field])

    def insert_many(self, documents: list[Document]) -> None:
        for start in range(0, len(documents), 1000):
            with self._begin(True) as txn:
                for document in documents[start : start + 1000]:
                    self._put(txn, document)

    def insert_one(self, document: Document) -> None:
        with self._begin(True) as txn:
            self._put(txn, document)

    def get(self, number: int) -> Document | None:
        with self._begin(False) as txn:
            found = txn.get(_NUMBER.pack(number))
            return None if found is None else bson.decode(found)

    def by_key(self, key: str) -> Document | None:
        with self._begin(False) as txn:
            place = txn.get(key.encode(), db=self.indexes["key"])
            return None if place is None else bson.decode(txn.get(place))

    def _places(self, txn: Any, low: int) -> Iterator[tuple[int, bytes]]:
        cursor = txn.cursor(db=self.indexes["rank"])
        if cursor.set_range(_NUMBER.pack(low)):
            for entry, place in cursor:
                yield _NUMBER.unpack_from(entry)[0], place

    def by_rank(self, low: int, high: int) -> list[Document]:
        found: list[Document] = []
        with self._begin(False) as txn:
            for rank, place in self._places(txn, low):
                if rank >= high:
                    break
                found.append(bson.decode(txn.get(place)))
        return found

    def scores_above(self, score: float) -> list[Document]:
        with self._begin(False) as txn:
            decoded = (bson.decode(value) for _, value in txn.cursor())
            return [document for document in decoded if document["score"] > score]

    def read_all(self) -> int:
        with self._begin(False) as txn:
            return sum(1 for _, value in txn.cursor() if bson.decode(value))

    def sorted_by(self, field: str, limit: int) -> list[Document]:
        if field in self.indexes:
            found: list[Document] = []
            with self._begin(False) as txn:
                for _, place in self._places(txn, 0):
                    if len(found) == limit:
                        break
                    found.append(bson.decode(txn.get(place)))
            return found
        with self._begin(False) as txn:
            decoded = [bson.decode(value) for _, value in txn.cursor()]
        decoded.sort(key=lambda document: document[field])
        return decoded[:limit]

    def increment(self, number: int) -> None:
        with self._begin(True) as txn:
            key = _NUMBER.pack(number)
            document = bson.decode(txn.get(key))
            document["n"] += 1
            txn.put(key, bson.encode(document))

    def update_many(self, score: float) -> int:
        changed = 0
        with self._begin(True) as txn:
            for key, value in txn.cursor():
                document = bson.decode(value)
                if document["score"] > score:
                    document["n"] += 1
                    txn.put(key, bson.encode(document))
                    changed += 1
        return changed

    def delete(self, number: int) -> None:
        with self._begin(True) as txn:
            key = _NUMBER.pack(number)
            value = txn.pop(key)
            if value is not None:
                document = bson.decode(value)
                for field, index in self.indexes.items():
                    txn.delete(_entry(field, document, key), db=index)

    def count_ranks(self, low: int, high: int) -> int:
        with self._begin(False) as txn:
            counted = 0
            for rank, _ in self._places(txn, low):
                if rank >= high:
                    break
                counted += 1
            return counted

    def skip_ranks(self, low: int, skip: int, limit: int) -> list[Document]:
        found: list[Document] = []
        with self._begin(False) as txn:
            for number, (_, place) in enumerate(self._places(txn, low)):
                if number >= skip + limit:
                    break
                if number >= skip:
                    found.append(bson.decode(txn.get(place)))
        return found

    def checkpoint(self) -> None:
        self.environment.sync(True)

    def close(self) -> None:
        self.environment.close()


def _entry(field: str, document: Document, key: bytes) -> bytes:
    value = document[field]
    if field == "key":
        return str(value).encode()
    return (_NUMBER.pack(value) if isinstance(value, int) else str(value).encode()) + key
