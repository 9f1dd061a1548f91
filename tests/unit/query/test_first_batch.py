"""The first batch of a query, and what is held after it."""

from __future__ import annotations

from pathlib import Path

import bson
import pytest
from pymongo.errors import InvalidOperation, OperationFailure

from cbdd.catalog.namespace import catalog_key
from cbdd.query import Query
from cbdd.query.first_batch import QueryReader
from tests.unit.query.conftest import Items


class Client:
    """A client that is open until it is closed."""

    is_closed = False
    watched = 0

    def require_open(self) -> None:
        if self.is_closed:
            raise InvalidOperation("closed")

    def watch_expiry(self) -> None:
        self.watched += 1


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def reader(items: Items, client: Client) -> QueryReader:
    items.insert(*[{"_id": n, "n": n} for n in range(10)])
    return QueryReader(client, items.engine, items.catalog, catalog_key("shop", "items"))


def test_what_ends_within_the_batch_holds_nothing(items: Items, reader: QueryReader) -> None:
    first = reader.begin(Query.compile({"n": {"$gte": 8}}, {"_id": 0}), 3, 0)
    assert [bson.decode(each) for each in first.documents] == [{"n": 8}, {"n": 9}]
    assert first.execution is None
    assert first.txn is None
    assert not items.engine._state.pins


def test_what_is_longer_goes_on_from_its_snapshot(items: Items, reader: QueryReader) -> None:
    first = reader.begin(Query.compile({}), 4, 0)
    items.insert({"_id": 100})
    assert first.execution is not None
    assert first.txn is not None
    assert items.engine._state.pins
    rest: list[bytes] = []
    assert not first.execution.fill(rest, 100, 0)
    assert [bson.decode(each)["_id"] for each in first.documents + rest] == list(range(10))
    first.txn.close()


def test_an_unknown_collection_is_empty(items: Items, client: Client) -> None:
    reader = QueryReader(client, items.engine, items.catalog, catalog_key("shop", "none"))
    first = reader.begin(Query.compile({}), 4, 0)
    assert (first.documents, first.execution, first.txn) == ([], None, None)


def test_what_fails_holds_nothing(items: Items, reader: QueryReader, client: Client) -> None:
    with pytest.raises(OperationFailure, match="hint"):
        reader.begin(Query.compile({}, hint="no_such_index"), 4, 0)

    client.is_closed = True
    with pytest.raises(InvalidOperation):
        reader.begin(Query.compile({}), 4, 0)
    assert not items.engine._state.pins


def test_counting_holds_nothing(items: Items, reader: QueryReader, client: Client) -> None:
    assert reader.count(Query.compile({"n": {"$gte": 8}})) == 2
    assert client.watched == 1
    with pytest.raises(OperationFailure, match="hint"):
        reader.count(Query.compile({"n": 1}, hint="no_such_index"))
    client.is_closed = True
    with pytest.raises(InvalidOperation):
        reader.count(Query.compile({}))
    assert not items.engine._state.pins


def test_the_file_is_let_go(tmp_path: Path, client: Client) -> None:
    items = Items(tmp_path / "other.cbdd")
    reader = QueryReader(client, items.engine, items.catalog, catalog_key("shop", "items"))
    reader.begin(Query.compile({}), 4, 0)
    items.engine.close()
