"""sqlite3: each document JSON text with its id as primary key, WAL mode, expression indexes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from benchmarks.documents import Document
from benchmarks.rivals.base import Contestant

_BATCH = 1000


class Sqlite(Contestant):
    name = "sqlite3"
    package = "sqlite3"

    def __init__(self, path: str, durability: str, indexes: Iterable[str] = ()) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        execute = self.connection.execute
        execute("PRAGMA journal_mode=WAL")
        execute(f"PRAGMA synchronous={durability.upper()}")
        execute("CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, body TEXT)")
        for field in indexes:
            kind = "UNIQUE INDEX" if field == "key" else "INDEX"
            execute(
                f"CREATE {kind} IF NOT EXISTS by_{field} ON documents "
                f"(json_extract(body, '$.{field}'))"
            )

    def insert_many(self, documents: list[Document]) -> None:
        connection = self.connection
        for start in range(0, len(documents), _BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO documents VALUES (?, ?)",
                [(d["_id"], json.dumps(d)) for d in documents[start : start + _BATCH]],
            )
            connection.execute("COMMIT")

    def insert_one(self, document: Document) -> None:
        self.connection.execute(
            "INSERT INTO documents VALUES (?, ?)", (document["_id"], json.dumps(document))
        )

    def _all(self, query: str, parameters: tuple[Any, ...] = ()) -> list[Document]:
        return [json.loads(row[0]) for row in self.connection.execute(query, parameters)]

    def get(self, number: int) -> Document | None:
        query = "SELECT body FROM documents WHERE id = ?"
        row = self.connection.execute(query, (number,)).fetchone()
        return None if row is None else json.loads(row[0])

    def by_key(self, key: str) -> Document | None:
        query = "SELECT body FROM documents WHERE json_extract(body, '$.key') = ?"
        row = self.connection.execute(query, (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def by_rank(self, low: int, high: int) -> list[Document]:
        return self._all(
            "SELECT body FROM documents WHERE json_extract(body, '$.rank') >= ? "
            "AND json_extract(body, '$.rank') < ?",
            (low, high),
        )

    def scores_above(self, score: float) -> list[Document]:
        return self._all(
            "SELECT body FROM documents WHERE json_extract(body, '$.score') > ?", (score,)
        )

    def read_all(self) -> int:
        rows = self.connection.execute("SELECT body FROM documents")
        return sum(1 for row in rows if json.loads(row[0]))

    def sorted_by(self, field: str, limit: int) -> list[Document]:
        return self._all(
            f"SELECT body FROM documents ORDER BY json_extract(body, '$.{field}') LIMIT ?",
            (limit,),
        )

    def increment(self, number: int) -> None:
        self.connection.execute(
            "UPDATE documents SET body = json_set(body, '$.n', json_extract(body, '$.n') + 1) "
            "WHERE id = ?",
            (number,),
        )

    def update_many(self, score: float) -> int:
        done = self.connection.execute(
            "UPDATE documents SET body = json_set(body, '$.n', json_extract(body, '$.n') + 1) "
            "WHERE json_extract(body, '$.score') > ?",
            (score,),
        )
        return done.rowcount

    def delete(self, number: int) -> None:
        self.connection.execute("DELETE FROM documents WHERE id = ?", (number,))

    def count_ranks(self, low: int, high: int) -> int:
        query = (
            "SELECT count(*) FROM documents WHERE json_extract(body, '$.rank') >= ? "
            "AND json_extract(body, '$.rank') < ?"
        )
        return int(self.connection.execute(query, (low, high)).fetchone()[0])

    def skip_ranks(self, low: int, skip: int, limit: int) -> list[Document]:
        return self._all(
            "SELECT body FROM documents WHERE json_extract(body, '$.rank') >= ? "
            "ORDER BY json_extract(body, '$.rank') LIMIT ? OFFSET ?",
            (low, limit, skip),
        )

    def checkpoint(self) -> None:
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self.connection.close()
