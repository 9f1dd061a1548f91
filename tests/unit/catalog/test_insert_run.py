"""Documents inserted in a row: all, or up to the one that is refused."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo.errors import BulkWriteError, OperationFailure

import cbdd
from cbdd.catalog import CollectionWriters, InsertRun

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
