"""Files that earlier releases wrote are opened, read by their indexes, and written.

`files/format-1.cbdd.gz` holds indexes of key string version 1 and catalog entries of format 1.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import bson
import pytest

import cbdd
from cbdd.index.key_string import KEY_STRING_VERSION

FILES = Path(__file__).with_name("files")


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "format-1.cbdd"
    path.write_bytes(gzip.decompress((FILES / "format-1.cbdd.gz").read_bytes()))
    return path


def key_versions(client: cbdd.Client[Any]) -> dict[str, int]:
    store = client._store
    with store.begin_read() as txn:
        entry = store.catalog.find(txn, "shop", "orders")
        assert entry is not None
        return {index.name: index.key_string_version for index in entry.indexes}


def test_old_file_is_read_as_it_was(old_file: Path) -> None:
    with cbdd.connect(str(old_file)) as client:
        assert client.check().problems == []
        orders = client.shop.orders
        assert sorted(client.list_database_names()) == ["other", "shop"]
        assert orders.count_documents({}) == 160
        assert (
            orders.distinct("tags") == ["a", "b", 0, 1, 2, 3, 4]
            or len(orders.distinct("tags")) == 7
        )
        for filter in ({"k": 3}, {"k": 3, "v": {"$gte": 1}}, {"u": 7}, {"tags": "a"}, {"_id": 9}):
            scanned = list(orders.find(filter, hint={"$natural": 1}, sort=[("_id", 1)]))
            assert list(orders.find(filter, sort=[("_id", 1)])) == scanned
            assert len(scanned) > 0
        assert set(key_versions(client).values()) == {1}


def test_old_index_is_not_taken_to_tell_types(old_file: Path) -> None:
    with cbdd.connect(str(old_file)) as client:
        orders = client.shop.orders
        projection = {"_id": 0, "v": 1}
        read = [bson.encode(each) for each in orders.find({"k": 3}, projection)]
        scanned = orders.find({"k": 3}, projection, hint={"$natural": 1})
        assert sorted(read) == sorted([bson.encode(each) for each in scanned])


def test_old_file_is_written_on_in_its_own_format(old_file: Path) -> None:
    with cbdd.connect(str(old_file)) as client:
        orders = client.shop.orders
        orders.insert_one({"_id": 1000, "k": 3, "v": 2.0, "u": 1000})
        orders.update_many({"k": 3}, {"$set": {"v": 5.0}})
        orders.update_many({"k": 3}, {"$set": {"v": 5}})
        orders.delete_many({"k": 4})
        assert orders.create_index("v") == "v_1"
        assert key_versions(client) == {
            "_id_": 1, "k_1_v_-1": 1, "u_1": 1, "tags_1": 1, "v_1": KEY_STRING_VERSION,
        }  # fmt: skip
        assert client.check().problems == []
    with cbdd.connect(str(old_file)) as client:
        assert client.check().problems == []
        assert client.shop.orders.count_documents({"v": 5}) == client.shop.orders.count_documents(
            {"k": 3}
        )
