"""Documents inserted in a row: all, or up to the one that is refused."""

from __future__ import annotations

import random
from typing import Any

import bson
import pytest
from pymongo.errors import BulkWriteError, OperationFailure

import cbdd
from cbdd.catalog import CollectionWriters, InsertRun
from cbdd.errors import TransactionTooLargeError

pytestmark = pytest.mark.index


def encoded(*ids: Any) -> list[bytes]:
    return [bson.encode({"_id": each}) for each in ids]


def test_it_stands_at_the_refused_one_and_can_go_on(tmp_path: Any) -> None:
    with cbdd.connect(tmp_path / "a.cbdd", background=False) as client:
        store = client._store
        with store.engine.begin_write("insert") as txn:
            writers = CollectionWriters(store.catalog, txn, True)
            run = InsertRun(encoded([1]))
            with pytest.raises(OperationFailure):
                run.run(writers, "shop", "things", False)
            assert writers.find("shop", "things") is None  # nothing was allowed: nothing is made
            run = InsertRun(encoded(1, 2, 1, 3, 2))
            refused = []
            while run.position < 5:
                try:
                    run.run(writers, "shop", "things", False)
                except OperationFailure:
                    refused.append(run.position)
                    run.position += 1
            assert refused == [2, 4]
            txn.commit()
        assert [each["_id"] for each in client.shop.things.find()] == [1, 2, 3]
        assert client.check().is_clean


@pytest.mark.parametrize("ordered", [True, False])
def test_a_bulk_counts_what_is_in(tmp_path: Any, ordered: bool) -> None:
    with cbdd.connect(tmp_path / "a.cbdd", background=False) as client:
        things = client.shop.things
        things.insert_one({"_id": 3})
        with pytest.raises(BulkWriteError) as refused:
            things.insert_many([{"_id": n} for n in (1, 2, 3, 4, 3, 5)], ordered=ordered)
        details = refused.value.details
        assert details is not None
        assert [each["index"] for each in details["writeErrors"]] == ([2] if ordered else [2, 4])
        assert details["nInserted"] == (2 if ordered else 4)
        expected = [1, 2, 3] if ordered else [1, 2, 3, 4, 5]
        assert sorted(each["_id"] for each in things.find()) == expected


def documents_of(source: random.Random, count: int) -> list[dict[str, Any]]:
    """With a field of an index that has many of each value, one with arrays, and a unique one."""
    return [
        {
            "_id": n,
            "a": source.randrange(50),
            "many": [source.randrange(9) for _ in range(source.randrange(4))],
            "u": source.randrange(count * 20),
            "x": source.choice([1, 1.0, "text", None]),
        }
        for n in range(count)
    ]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("in_session", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_indexes_have_what_was_inserted_wherever_one_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, ordered: bool, in_session: bool, seed: int
) -> None:
    """Entries are put at the end of a run: also where the run ends early."""
    monkeypatch.setattr("cbdd.client.bulk.BATCH_INSERTS", 300)
    source = random.Random(seed)
    with cbdd.connect(tmp_path / "a.cbdd", background=False) as client:
        things = client.shop.things
        for keys in ("a", "many", [("x", 1), ("a", -1)]):
            things.create_index(keys)
        things.create_index("u", unique=True)
        documents = documents_of(source, 700)
        with client.start_session() as session:
            if in_session:
                session.start_transaction()
            try:
                things.insert_many(
                    documents, ordered=ordered, session=session if in_session else None
                )
            except BulkWriteError as error:
                assert error.details is not None
                assert {each["code"] for each in error.details["writeErrors"]} == {11000}
            if in_session:
                with pytest.raises(OperationFailure, match="aborted"):
                    session.commit_transaction()
        there = list(things.find(hint=[("$natural", 1)]))
        assert bool(there) != in_session
        assert client.check().is_clean
        for field in ("a", "many", "x"):
            for value in (0, 1, 7, 1.0, "text", None):
                by_index = {each["_id"] for each in things.find({field: value})}
                scanned = things.find({field: value}, hint=[("$natural", 1)])
                assert by_index == {each["_id"] for each in scanned}, (field, value)


def test_a_capped_collection_drops_documents_of_the_same_run(tmp_path: Any) -> None:
    with cbdd.connect(tmp_path / "a.cbdd", background=False) as client:
        things = client.shop.create_collection("things", capped=True, size=4096, max=20)
        things.create_index("a")
        things.insert_many([{"_id": n, "a": n % 7} for n in range(500)])
        assert [each["_id"] for each in things.find()] == list(range(480, 500))
        assert things.count_documents({"a": 3}) == sum(n % 7 == 3 for n in range(480, 500))
        assert client.check().is_clean


def test_a_transaction_that_is_too_large_for_its_entries_is_given_up(tmp_path: Any) -> None:
    path = tmp_path / "a.cbdd"
    with cbdd.connect(path, background=False, max_transaction_bytes=60_000) as client:
        things = client.shop.things
        things.create_index("a")
        with client.start_session() as session:
            session.start_transaction()
            with pytest.raises(TransactionTooLargeError):
                things.insert_many([{"_id": n, "a": "x" * 30} for n in range(900)], session=session)
            with pytest.raises(OperationFailure, match="aborted"):
                session.commit_transaction()
        assert things.count_documents({}) == 0
        things.insert_many([{"_id": n, "a": "x" * 30} for n in range(900)])  # in parts
        assert things.count_documents({"a": "x" * 30}) == 900
        assert client.check().is_clean
