"""The client and its databases by name."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import CollectionInvalid, OperationFailure

import cbdd

Client = cbdd.Client[dict[str, Any]]


def test_names_lead_to_databases_and_collections(client: Client) -> None:
    assert client["shop"] == client.shop == client.get_database("shop")
    assert client.shop["orders"] == client.shop.orders == client.shop.get_collection("orders")
    assert client.shop.orders.archive == client.shop["orders.archive"]
    assert client.shop.orders.archive.full_name == "shop.orders.archive"
    assert client.shop != client.other
    assert len({client.shop, client.shop, client.other}) == 2
    assert client.shop.client is client
    assert repr(client.shop.orders).startswith("Collection(Database(Client('")


def test_asking_for_something_makes_nothing(client: Client) -> None:
    client.shop.orders.find_one({"a": 1})
    assert client.list_database_names() == []


def test_databases_are_listed_once_they_have_a_collection(client: Client) -> None:
    client.shop.orders.insert_one({})
    client.archive.create_collection("old")
    assert client.list_database_names() == ["archive", "shop"]
    assert list(client.list_databases()) == [
        {"name": "archive", "empty": False},
        {"name": "shop", "empty": False},
    ]
    assert list(client.list_databases(filter={"name": {"$gt": "b"}}, nameOnly=True)) == [
        {"name": "shop"}
    ]


def test_dropped_database_is_gone_with_its_collections(client: Client) -> None:
    client.shop.orders.insert_one({})
    client.shop.stock.create_index("a")
    client.other.orders.insert_one({})
    client.drop_database("shop")
    client.drop_database(client.nothing)
    assert client.list_database_names() == ["other"]
    assert client.shop.list_collection_names() == []


def test_server_info_and_hello_answer(client: Client) -> None:
    assert client.server_info()["version"] == cbdd.__version__
    assert client.admin.command("ping") == {"ok": 1.0}
    assert client.admin.command({"buildInfo": 1})["maxBsonObjectSize"] == 16 * 1024 * 1024
    assert client.admin.command("hello")["isWritablePrimary"] is True
    assert client.admin.command("isMaster")["ismaster"] is True
    assert client.admin.command("listDatabases", nameOnly=True)["databases"] == []


def test_unknown_command_has_mongodbs_code(client: Client) -> None:
    with pytest.raises(OperationFailure, match="no such command: 'nonsense'") as raised:
        client.admin.command("nonsense")
    assert raised.value.code == 59
    answer = client.admin.command("nonsense", check=False)
    assert answer["ok"] == 0.0 and answer["code"] == 59
    assert client.admin.command("nonsense", allowable_errors=[59])["codeName"] == "CommandNotFound"


def test_statistics_commands_count(client: Client) -> None:
    client.shop.orders.insert_many([{}, {}])
    client.shop.orders.create_index("a")
    assert client.shop.command("collStats", "orders") == {
        "ns": "shop.orders",
        "count": 2,
        "nindexes": 2,
        "capped": False,
        "ok": 1.0,
    }
    stats = client.shop.command("dbStats")
    assert (stats["collections"], stats["objects"], stats["indexes"]) == (1, 2, 2)


def test_what_a_deployment_has_is_absent(client: Client) -> None:
    assert client.address is None and client.primary is None
    assert client.nodes == frozenset() and client.secondaries == client.arbiters == set()
    assert client.is_primary and not client.is_mongos
    assert client.options.storage.durability == "off"
    client.append_metadata(None)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.watch(),
        lambda c: c.bulk_write([]),
        lambda c: c.topology_description,
        lambda c: c.eq_props(),
        lambda c: c.shop.watch(),
        lambda c: c.shop.aggregate([]),
        lambda c: c.shop.cursor_command("find"),
        lambda c: c.shop.orders.watch(),
        lambda c: c.shop.orders.aggregate([{"$match": {}}]),
        lambda c: c.shop.orders.aggregate_raw_batches([]),
        lambda c: c.shop.orders.create_search_index({}),
        lambda c: c.shop.orders.create_search_indexes([]),
        lambda c: c.shop.orders.list_search_indexes(),
        lambda c: c.shop.orders.update_search_index("a", {}),
        lambda c: c.shop.orders.drop_search_index("a"),
        lambda c: c.list_databases(nonsense=1),
        lambda c: c.shop.list_collections(nonsense=1),
        lambda c: c.shop.orders.create_indexes([], nonsense=1),
        lambda c: c.shop.orders.count_documents({}, collation={"locale": "en"}),
        lambda c: c.shop.orders.rename("a", nonsense=True),
        lambda c: c.shop.orders.drop(encrypted_fields={"a": 1}),
        lambda c: c.shop.orders.update_one({}, {"$set": {"a": 1}}, collation={"locale": "en"}),
        lambda c: c.shop.orders.update_many({}, {"$set": {"a": 1}}, collation={"locale": "en"}),
        lambda c: c.shop.orders.replace_one({}, {}, collation={"locale": "en"}),
        lambda c: c.shop.orders.delete_one({}, collation={"locale": "en"}),
        lambda c: c.shop.orders.delete_many({}, collation={"locale": "en"}),
        lambda c: c.shop.orders.find_one_and_replace({}, {}, collation={"locale": "en"}),
    ],
)
def test_what_is_not_there_yet_says_so(client: Client, call: Any) -> None:
    with pytest.raises(OperationFailure, match="not supported by this release") as raised:
        call(client)
    assert raised.value.code == 238
    assert client.list_database_names() == []


def test_aggregate_names_the_stages_it_was_asked_for(client: Client) -> None:
    with pytest.raises(OperationFailure, match=r"\$match, \$group"):
        client.shop.orders.aggregate([{"$match": {}}, {"$group": {"_id": None}}])


def test_damaged_index_is_found_by_check_and_by_validate(client: Client) -> None:
    orders = client.shop.orders
    orders.create_index("a")
    orders.insert_one({"_id": 1, "a": 1})
    assert client.shop.validate_collection("orders")["valid"]
    engine = client._store.engine
    with engine.begin_write("damage") as txn:
        entry = client._store.catalog.find(txn, "shop", "orders")
        assert entry is not None
        cursor = txn.cursor(entry.indexes[1].tree_id)
        cursor.first()
        txn.delete(entry.indexes[1].tree_id, cursor.key)
        txn.commit()
    problems = client.check().problems
    assert [problem.code for problem in problems] == ["INDEX_ENTRY_MISSING"]
    with pytest.raises(CollectionInvalid, match="lacks a key"):
        client.shop.validate_collection(orders)
    with pytest.raises(cbdd.CorruptDataError, match="INDEX_ENTRY_MISSING"):
        orders.delete_one({"_id": 1})
    orders.drop_index("a_1")
    orders.create_index("a")
    assert client.check().is_clean
