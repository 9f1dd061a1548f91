"""Command monitoring, slow operations, counters, serverStatus, and metrics."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pymongo import InsertOne, monitoring
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

import cbdd
from cbdd.ops.telemetry import instrument

SECRET = "hunter2"


class Listener(monitoring.CommandListener):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def started(self, event: Any) -> None:
        self.events.append(event)

    def succeeded(self, event: Any) -> None:
        self.events.append(event)

    def failed(self, event: Any) -> None:
        self.events.append(event)

    def take(self) -> list[Any]:
        events, self.events = self.events, []
        return events


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def client(tmp_path: Path, listener: Listener) -> Any:
    with cbdd.connect(tmp_path / "shop.cbdd", event_listeners=[listener]) as opened:
        yield opened


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("insert_one({'_id': 1})", "insert", {"documents": [{"_id": 1}], "ordered": True}),
    ("insert_many([{'_id': 2}])", "insert", {"documents": [{"_id": 2}]}),
    ("insert_many(iter([{'_id': 3}]))", "insert", {"documents": [{"_id": 3}]}),
    (
        "update_one({'_id': 1}, {'$set': {'a': 1}}, upsert=True)",
        "update",
        {"updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 1}}, "multi": False, "upsert": True}]},
    ),
    (
        "update_many({}, update={'$set': {'a': 1}})",
        "update",
        {"updates": [{"q": {}, "u": {"$set": {"a": 1}}, "multi": True, "upsert": False}]},
    ),
    (
        "replace_one({'_id': 1}, {'b': 1})",
        "update",
        {"updates": [{"q": {"_id": 1}, "u": {"b": 1}, "multi": False, "upsert": False}]},
    ),
    ("delete_one({'_id': 1})", "delete", {"deletes": [{"q": {"_id": 1}, "limit": 1}]}),
    ("delete_many({})", "delete", {"deletes": [{"q": {}, "limit": 0}]}),
    ("find_one({'a': 1})", "find", {"filter": {"a": 1}, "limit": -1}),
    ("find({'a': 1}).sort('a').to_list()", "find", {"filter": {"a": 1}, "sort": {"a": 1}}),
    ("find_one_and_delete({'a': 1})", "findAndModify", {"query": {"a": 1}, "remove": True}),
    ("find_one_and_update({}, {'$set': {'a': 2}})", "findAndModify", {"query": {}}),
    ("bulk_write([InsertOne({'_id': 9})])", "bulkWrite", {"ops": ["InsertOne"]}),
    ("count_documents({'a': 1})", "count", {"query": {"a": 1}}),
    ("estimated_document_count()", "count", {}),
    ("distinct('a')", "distinct", {"key": "a", "query": {}}),
    ("create_index('a')", "createIndexes", {"indexes": [{"key": "a"}]}),
    ("drop_indexes()", "dropIndexes", {"index": "*"}),
    ("index_information()", "listIndexes", {}),
    ("drop()", "drop", {}),
]


@pytest.mark.parametrize(("call", "name", "fields"), CALLS)
def test_an_operation_is_told_as_a_command(
    client: Any, listener: Listener, call: str, name: str, fields: dict[str, Any]
) -> None:
    things = client.shop.things
    things.insert_one({"_id": 0, "a": 1})
    listener.take()
    eval(f"things.{call}", {"things": things, "InsertOne": InsertOne})
    started, succeeded = listener.take()
    assert isinstance(started, monitoring.CommandStartedEvent)
    assert isinstance(succeeded, monitoring.CommandSucceededEvent)
    assert (started.command_name, started.database_name) == (name, "shop")
    assert started.command[name] == "things"
    assert {key: started.command[key] for key in fields} == fields
    assert started.request_id == succeeded.request_id
    assert succeeded.command_name == name
    assert succeeded.reply["ok"] == 1.0
    assert succeeded.duration_micros > 0


def test_batches_after_the_first_are_told_as_get_more(client: Any, listener: Listener) -> None:
    client.shop.things.insert_many([{"_id": n} for n in range(7)])
    listener.take()
    assert len(list(client.shop.things.find(batch_size=3))) == 7
    names = [event.command_name for event in listener.events[::2]]
    assert names == ["find", "getMore", "getMore"]
    replies = [event.reply["cursor"] for event in listener.events[1::2]]
    assert len(replies[0]["firstBatch"]) == 3
    assert len(replies[2]["nextBatch"]) == 1
    assert replies[2]["id"] == 0


def test_write_errors_are_a_success_and_others_a_failure(client: Any, listener: Listener) -> None:
    client.shop.things.insert_one({"_id": 1})
    listener.take()
    with pytest.raises(DuplicateKeyError):
        client.shop.things.insert_one({"_id": 1})
    with pytest.raises(BulkWriteError):
        client.shop.things.insert_many([{"_id": 2}, {"_id": 1}])
    with pytest.raises(OperationFailure):
        client.shop.things.count_documents({"a": {"$nonsense": 1}})
    one, many, count = (event for event in listener.take() if hasattr(event, "duration_micros"))
    assert one.reply["writeErrors"][0]["code"] == 11000
    assert (many.reply["n"], many.reply["writeErrors"][0]["code"]) == (1, 11000)
    assert isinstance(count, monitoring.CommandFailedEvent)
    assert count.failure["code"] == 2


def test_commands_and_transactions_are_told(client: Any, listener: Listener) -> None:
    client.shop.command("ping")
    client.shop.create_collection("made")
    client.shop.list_collection_names()
    client.shop.drop_collection("made")
    client.list_database_names()
    client.drop_database("shop")
    with client.start_session() as session, session.start_transaction():
        client.shop.things.insert_one({"_id": 1}, session=session)
    with client.start_session() as session:
        session.start_transaction()
        client.shop.things.insert_one({"_id": 2}, session=session)
        session.abort_transaction()
    assert [event.command_name for event in listener.events[::2]] == [
        "ping",
        "create",
        "listCollections",
        "drop",
        "listDatabases",
        "dropDatabase",
        "insert",
        "commitTransaction",
        "insert",
        "abortTransaction",
    ]


def test_collections_with_options_are_watched_too(client: Any, listener: Listener) -> None:
    client.get_database("shop").get_collection("a").with_options().sub.insert_one({"_id": 1})
    assert listener.take()[0].command["insert"] == "a.sub"


def test_a_listener_that_fails_does_not_disturb(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Listener):
        def started(self, event: Any) -> None:
            raise RuntimeError("broken")

    with cbdd.connect(tmp_path / "a.cbdd", event_listeners=[Broken()]) as client:
        client.shop.things.insert_one({"_id": 1})
    assert "a command listener failed" in caplog.text


def test_what_is_no_listener_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        cbdd.connect(tmp_path / "a.cbdd", event_listeners=[print])
    with pytest.raises(TypeError):
        cbdd.connect(tmp_path / "a.cbdd", event_listeners=Listener())
    assert not (tmp_path / "a.cbdd").exists()


# -- slow operations and counters ------------------------------------------------------------


def test_slow_operations_are_logged_without_values(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cbdd.slow")
    with cbdd.connect(tmp_path / "a.cbdd", slow_operation_seconds=0) as client:
        things = client.shop.things
        things.insert_one({"_id": SECRET})
        things.find_one({"_id": SECRET})
        with pytest.raises(DuplicateKeyError):
            things.insert_one({"_id": SECRET})
        assert client.counters()["slow"] == 3
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith("slow insert on shop.things: ")
    assert messages[1].startswith("slow query on shop.things: ")
    assert messages[2].endswith(", failed")
    assert SECRET not in caplog.text


def test_fast_operations_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cbdd.slow")
    with cbdd.connect(tmp_path / "a.cbdd", slow_operation_seconds=1000) as client:
        client.shop.things.insert_one({"_id": 1})
    assert not caplog.records
    with pytest.raises(ValueError, match="slow_operation_seconds"):
        cbdd.connect(tmp_path / "a.cbdd", slow_operation_seconds=-1)


def test_operations_are_counted(tmp_path: Path) -> None:
    with cbdd.connect(tmp_path / "a.cbdd") as client:
        things = client.shop.things
        for number in range(3):
            things.insert_one({"_id": number})
        with pytest.raises(DuplicateKeyError):
            things.insert_one({"_id": 0})
        things.update_one({"_id": 0}, {"$set": {"a": 1}})
        things.delete_one({"_id": 1})
        list(things.find())
        counters = client.counters()
        assert counters["operations"] == {"insert": 4, "update": 1, "delete": 1, "query": 1}
        assert counters["failures"] == {"insert": 1}
        status = client.admin.command("serverStatus")
    assert status["opcounters"] == {
        "insert": 4,
        "query": 1,
        "update": 1,
        "delete": 1,
        "getmore": 0,
        "command": 0,
    }
    assert status["cbdd"]["lsn"] > 0
    assert status["ok"] == 1.0
    assert status["uptime"] >= 0


def test_counters_become_metrics(tmp_path: Path) -> None:
    metrics = pytest.importorskip("opentelemetry.sdk.metrics")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader])

    def read() -> dict[str, Any]:
        data = reader.get_metrics_data()
        return {
            metric.name: {
                point.attributes.get("operation", ""): point.value
                for point in metric.data.data_points
            }
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    with cbdd.connect(tmp_path / "a.cbdd") as client:
        instrument(client, provider)
        client.shop.things.insert_one({"_id": 1})
        found = read()
        assert found["cbdd.operations"] == {"insert": 1}
        assert found["cbdd.file_size"][""] > 65536
        assert found["cbdd.lsn"][""] > 0
    assert read().get("cbdd.operations", {}) == {}
