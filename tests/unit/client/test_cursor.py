"""Cursors: options, batches, snapshots, and what happens to them when they are let go."""

from __future__ import annotations

import copy
import gc
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING
from pymongo.cursor import CursorType
from pymongo.errors import (
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidOperation,
    OperationFailure,
)
from pymongo.event_loggers import CommandLogger

import cbdd
from cbdd.query import Query
from cbdd.query.first_batch import FirstBatch
from tests.unit.client.conftest import ManualClock

Orders = cbdd.Collection[dict[str, Any]]


@pytest.fixture
def orders(shop: cbdd.Database[dict[str, Any]]) -> Orders:
    """300 documents: more than two first batches."""
    orders = shop.orders
    orders.insert_many({"_id": n, "n": n % 10, "s": f"s{n:03}"} for n in range(300))
    return orders


def open_snapshots(orders: Orders) -> int:
    state = orders.database.client._store.engine._state
    return len(state.pins)


def ids(cursor: Any) -> list[Any]:
    return [document["_id"] for document in cursor]


def test_find_returns_every_document_in_the_order_of_insertion(orders: Orders) -> None:
    assert ids(orders.find()) == list(range(300))


def test_find_in_a_collection_that_does_not_exist_is_empty(shop: Any) -> None:
    assert list(shop.nothing.find({"a": 1}).sort("a")) == []
    assert shop.nothing.find_one() is None
    assert shop.list_collection_names() == []


def test_options_chain(orders: Orders) -> None:
    cursor = orders.find({"n": 3}).sort("_id", DESCENDING).skip(2).limit(3).batch_size(2)
    assert ids(cursor) == [273, 263, 253]


def test_options_can_be_arguments(orders: Orders) -> None:
    cursor = orders.find({"n": 3}, ["_id"], 2, 3, sort=[("_id", -1)], batch_size=1)
    assert list(cursor) == [{"_id": 273}, {"_id": 263}, {"_id": 253}]


@pytest.mark.parametrize(
    "sort",
    [
        [("n", ASCENDING), ("_id", DESCENDING)],
        {"n": 1, "_id": -1},
        ["n", ("_id", -1)],
    ],
)
def test_sort_by_several_fields(orders: Orders, sort: Any) -> None:
    assert ids(orders.find().sort(sort).limit(2)) == [290, 280]


def test_last_sort_wins(orders: Orders) -> None:
    assert ids(orders.find().sort("n").sort("_id", -1).limit(1)) == [299]


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, 300), (5, 5), (-5, 5), (150, 150), (-250, 250)]
)
def test_limit_counts_documents_and_a_negative_one_is_a_single_batch(
    orders: Orders, limit: int, expected: int
) -> None:
    assert len(list(orders.find().limit(limit))) == expected


def test_projection_as_list_or_document(orders: Orders) -> None:
    assert orders.find_one({}, ["n"]) == {"_id": 0, "n": 0}
    assert orders.find_one({}, {"n": 0}) == {"_id": 0, "s": "s000"}
    assert orders.find_one({}, {"_id": 0, "s": 1}) == {"s": "s000"}
    assert orders.find_one({}, {}) == {"_id": 0, "n": 0, "s": "s000"}


def test_find_one_takes_a_bare_id(orders: Orders) -> None:
    assert orders.find_one(17) == {"_id": 17, "n": 7, "s": "s017"}
    assert orders.find_one(999) is None


def test_unknown_operator_is_an_operation_failure_that_names_it(orders: Orders) -> None:
    cursor = orders.find({"a": {"$nonsense": 1}})
    with pytest.raises(OperationFailure, match=r"\$nonsense") as raised:
        cursor.next()
    assert raised.value.code == 2
    assert not cursor.alive


def test_where_is_refused_by_name(orders: Orders) -> None:
    with pytest.raises(OperationFailure, match=r"\$where"):
        list(orders.find().where("this.a > 1"))


def test_indexing_runs_a_query_of_its_own(orders: Orders) -> None:
    cursor = orders.find().sort("_id")
    assert cursor[17]["_id"] == 17
    assert cursor[0]["_id"] == 0
    assert ids(orders.find().skip(5)[2:4]) == [2, 3]
    assert ids(orders.find()[290:]) == list(range(290, 300))
    assert ids(orders.find()[5:5]) == []
    with pytest.raises(IndexError, match="no such item"):
        cursor[300]


def test_options_are_refused_once_the_query_has_run(orders: Orders) -> None:
    cursor = orders.find()
    next(cursor)
    for call in (
        lambda: cursor.limit(1),
        lambda: cursor.skip(1),
        lambda: cursor.sort("n"),
        lambda: cursor.hint("_id_"),
        lambda: cursor.batch_size(1),
        lambda: cursor[1],
    ):
        with pytest.raises(InvalidOperation, match="cannot set options"):
            call()
    cursor.close()


def test_rewind_runs_the_query_again(orders: Orders) -> None:
    cursor = orders.find().limit(3)
    assert ids(cursor) == [0, 1, 2]
    assert ids(cursor) == []
    orders.delete_one({"_id": 1})
    assert ids(cursor.rewind()) == [0, 2, 3]


def test_clone_has_the_options_and_not_the_position(orders: Orders) -> None:
    cursor = orders.find({"n": {"$in": [1]}}).sort("_id", -1).limit(2)
    assert next(cursor)["_id"] == 291
    for clone in (cursor.clone(), copy.copy(cursor), copy.deepcopy(cursor)):
        assert ids(clone) == [291, 281]


def test_alive_retrieved_and_cursor_id_follow_the_batches(orders: Orders) -> None:
    cursor = orders.find()
    assert cursor.alive and cursor.cursor_id is None and cursor.retrieved == 0
    next(cursor)
    assert cursor.alive and cursor.cursor_id and cursor.retrieved == 101
    list(cursor)
    assert not cursor.alive and cursor.cursor_id == 0 and cursor.retrieved == 300
    assert cursor.address is None
    with pytest.raises(StopIteration):
        cursor.next()


def test_to_list_takes_all_or_some(orders: Orders) -> None:
    cursor = orders.find()
    assert ids(cursor.to_list(150)) == list(range(150))
    assert ids(cursor.to_list()) == list(range(150, 300))
    assert cursor.to_list() == []


def test_snapshot_is_taken_by_the_first_document_and_kept(orders: Orders) -> None:
    cursor = orders.find()
    orders.insert_one({"_id": 300})
    assert next(cursor)["_id"] == 0
    orders.delete_many({"_id": {"$gte": 100}})
    orders.insert_one({"_id": 301})
    assert len(list(cursor)) == 300
    assert orders.count_documents({}) == 101


def test_short_result_holds_no_snapshot(orders: Orders) -> None:
    cursor = orders.find().limit(101)
    next(cursor)
    assert open_snapshots(orders) == 1
    cursor.close()
    cursor = orders.find({"n": 1})
    next(cursor)
    assert open_snapshots(orders) == 0


def test_snapshot_is_let_go_when_exhausted_closed_or_collected(orders: Orders) -> None:
    exhausted = orders.find()
    next(exhausted)
    assert open_snapshots(orders) == 1
    list(exhausted)
    assert open_snapshots(orders) == 0
    closed = orders.find()
    next(closed)
    closed.close()
    assert open_snapshots(orders) == 0
    with orders.find() as scoped:
        next(scoped)
    assert open_snapshots(orders) == 0
    forgotten = orders.find()
    next(forgotten)
    del forgotten
    gc.collect()
    assert open_snapshots(orders) == 0


def test_error_half_way_lets_the_snapshot_go(orders: Orders) -> None:
    strict = orders.with_options(codec_options=CodecOptions(document_class=bson.SON))
    cursor = strict.find()
    next(cursor)
    cursor._results.next_batch = _fail  # type: ignore[union-attr, method-assign]
    with pytest.raises(KeyboardInterrupt):
        list(cursor)
    assert not cursor.alive
    gc.collect()
    assert open_snapshots(orders) == 0


def _fail(documents: int, size_bytes: int) -> list[bytes]:
    raise KeyboardInterrupt


def test_closed_cursor_still_gives_what_it_has_read(orders: Orders) -> None:
    cursor = orders.find()
    next(cursor)
    cursor.close()
    assert len(list(cursor)) == 100


def test_documents_are_decoded_by_the_collections_options(orders: Orders) -> None:
    raw = orders.with_options(codec_options=CodecOptions(document_class=RawBSONDocument))
    found = raw.find_one({"_id": 1})
    assert isinstance(found, RawBSONDocument)
    assert found.raw == bson.encode({"_id": 1, "n": 1, "s": "s001"})


def test_raw_batches_hold_all_documents(orders: Orders) -> None:
    batches = list(orders.find_raw_batches({"n": {"$lt": 5}}, batch_size=40))
    assert len(batches) == 4
    documents = [d for batch in batches for d in bson.decode_all(batch)]
    assert ids(documents) == ids(orders.find({"n": {"$lt": 5}}))


def test_max_time_ms_bounds_the_time_spent_reading(orders: Orders, clock: ManualClock) -> None:
    assert len(list(orders.find().max_time_ms(5))) == 300
    cursor = orders.find(max_time_ms=5)
    next(cursor)
    results = cursor._results
    assert results is not None
    original = results._execution.fill  # type: ignore[attr-defined]

    def slow(batch: list[bytes], documents: int, size_bytes: int) -> bool:
        clock.seconds += 1.0
        return bool(original(batch, documents, size_bytes))

    results._execution = type("Slow", (), {})()  # type: ignore[attr-defined]
    results._execution.fill = slow  # type: ignore[attr-defined]
    with pytest.raises(ExecutionTimeout) as raised:
        list(cursor)
    assert raised.value.code == 50
    assert open_snapshots(orders) == 0


def test_max_time_ms_bounds_the_different_values_of_a_cursor(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    store = orders.database.client._store
    limit = store.time_limit
    monkeypatch.setattr(store, "time_limit", lambda given: seen.append(given) or limit(given))
    assert orders.find({"n": 3}).max_time_ms(500).distinct("n") == [3]
    assert orders.find({"n": 3}).distinct("n") == [3]
    assert seen == [500, None]


def test_few_large_documents_are_decoded_at_a_time(orders: Orders) -> None:
    """Many objects alive at once are what the garbage collector is slow with."""
    orders.insert_many([{"_id": f"large {n}", "text": "x" * 5000} for n in range(20)])
    cursor = orders.find({"text": {"$exists": True}})
    for left in (2, 1, 0, 2):
        next(cursor)
        assert len(cursor._data) == left
    assert len(list(cursor)) == 16
    orders.insert_one({"_id": "larger", "text": "x" * 50_000})
    assert orders.find({"_id": "larger"}).to_list()[0]["text"] == "x" * 50_000


def test_documents_read_ahead_are_decoded_when_asked_for(orders: Orders) -> None:
    cursor = orders.find(batch_size=200)
    first = next(cursor)
    assert (cursor.retrieved, cursor.alive) == (200, True)
    assert len(cursor._data) < 100
    cursor.close()
    assert cursor.alive
    assert [first, *cursor] == orders.find().to_list()[:200]
    assert not cursor.alive
    cursor.rewind()
    assert next(cursor) == first


def test_a_document_that_cannot_be_decoded_ends_the_cursor(orders: Orders) -> None:
    far = orders.database.get_collection("far")
    far.insert_many(
        [{"_id": n, "at": bson.DatetimeMS(2**60 if n == 100 else 0)} for n in range(300)]
    )
    cursor = far.find(batch_size=300)
    assert [next(cursor)["_id"] for _ in range(64)] == list(range(64))
    with pytest.raises(InvalidBSON):
        list(cursor)
    assert (cursor.alive, list(cursor)) == (False, [])
    assert open_snapshots(far) == 0


def test_hint_by_name_or_keys_chooses_the_index(orders: Orders) -> None:
    orders.create_index([("n", 1), ("s", -1)])
    for hint in ("n_1_s_-1", [("n", 1), ("s", -1)], {"n": 1, "s": -1}):
        plan = orders.find({"_id": {"$gte": 0}}).hint(hint).explain()
        assert "n_1_s_-1" in repr(plan["queryPlanner"]["winningPlan"])
    with pytest.raises(OperationFailure, match="hint") as raised:
        list(orders.find().hint("nonsense"))
    assert raised.value.code == 2


@pytest.mark.plan
def test_explain_tells_a_scan_from_an_index(orders: Orders) -> None:
    plan = orders.find({"n": 3}).explain()
    assert plan["queryPlanner"]["namespace"] == "shop.orders"
    assert plan["queryPlanner"]["winningPlan"]["stage"] == "COLLSCAN"
    orders.create_index("n")
    plan = orders.find({"n": 3}).explain()
    assert plan["queryPlanner"]["winningPlan"]["stage"] == "FETCH"
    assert plan["executionStats"]["nReturned"] == 30


def test_distinct_of_a_cursor_uses_its_filter(orders: Orders) -> None:
    assert sorted(orders.find({"n": {"$gt": 7}}).distinct("n")) == [8, 9]


def test_count_and_skip_and_hint(orders: Orders) -> None:
    orders.create_index("n")
    assert orders.count_documents({}) == 300
    assert orders.count_documents({"n": 3}, hint="n_1") == 30
    assert orders.count_documents({"n": 3}, skip=25) == 5
    assert orders.count_documents({"n": 3}, skip=5, limit=10) == 10
    assert orders.count_documents({"n": 3, "s": "s003"}) == 1
    assert orders.estimated_document_count() == 300
    with pytest.raises(OperationFailure):
        orders.count_documents({}, limit=0)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("collation", {"locale": "en"}),
        ("max_scan", 5),
        ("snapshot", True),
        ("oplog_replay", True),
    ],
)
def test_option_that_is_not_carried_out_is_refused(orders: Orders, option: str, value: Any) -> None:
    with pytest.raises(OperationFailure, match="not supported") as raised:
        orders.find({}, **{option: value})
    assert raised.value.code == 238


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("comment", "why"),
        ("allow_disk_use", True),
        ("no_cursor_timeout", True),
        ("allow_partial_results", True),
        ("cursor_type", CursorType.EXHAUST),
        ("return_key", False),
        ("collation", None),
    ],
)
def test_option_that_changes_no_result_is_accepted(orders: Orders, option: str, value: Any) -> None:
    assert len(list(orders.find({}, **{option: value}))) == 300


def test_a_cursor_that_is_closed_while_it_begins_holds_nothing(orders: Any) -> None:
    reading = orders._reading()
    cursor = orders.find(batch_size=2)

    class Closing:
        """A reader beside which the cursor is closed."""

        def begin(self, query: Query, documents: int, size_bytes: int) -> FirstBatch:
            first = reader.begin(query, documents, size_bytes)
            cursor.close()
            return first

    reader = reading.reader
    reading.reader = Closing()
    try:
        assert len(list(cursor)) == 2
    finally:
        reading.reader = reader
    assert not orders.database.client._store.engine._state.pins


@pytest.mark.parametrize("bad", [0, 2, 150, 299])
@pytest.mark.parametrize("is_told", [False, True])
def test_a_cursor_is_dead_behind_what_cannot_be_decoded(
    tmp_path: Any, bad: int, is_told: bool
) -> None:
    listeners = [CommandLogger()] if is_told else []
    with cbdd.connect(tmp_path / "a.cbdd", event_listeners=listeners) as client:
        things = client.shop.things
        things.insert_many(
            {"_id": n, "at": DatetimeMS(2**60 if n == bad else n)} for n in range(300)
        )
        cursor = things.find()
        found = []
        with pytest.raises(InvalidBSON):
            for document in cursor:
                found.append(document["_id"])
        assert not cursor.alive
        assert list(cursor) == cursor.to_list() == []
        assert found == list(range(len(found))) and len(found) <= bad
        assert gc.isenabled()
        assert not client._store.engine._state.pins


def test_what_is_read_but_not_decoded_is_still_to_come(orders: Orders) -> None:
    cursor = orders.find().limit(100)
    assert [next(cursor)["_id"] for _ in range(64)] == list(range(64))
    assert cursor.alive
    assert ids(cursor) == list(range(64, 100))
    assert not cursor.alive


def test_a_cursor_that_goes_back_forgets_what_it_has_read(orders: Orders) -> None:
    cursor = orders.find()
    next(cursor)
    assert ids(cursor.rewind()) == list(range(300))


def test_a_batch_of_large_documents_is_smaller(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbdd.client.cursor.MOST_BATCH_BYTES", 1000)
    size = len(bson.encode(orders.find_one() or {}))
    for cursor in (orders.find(), orders.find(batch_size=200), orders.find(limit=200)):
        next(cursor)
        assert cursor.retrieved == -(-1000 // size)
    assert len(list(orders.find(batch_size=200))) == 300
    with orders.database.client.start_session() as session:
        cursor = orders.find(session=session)
        next(cursor)
        assert cursor.retrieved == -(-1000 // size)
    assert len(list(orders.find(limit=-200))) == 200


def test_a_cursor_decodes_with_the_garbage_collector_standing_still(orders: Any) -> None:
    seen: list[bool] = []

    class Watching(dict[str, Any]):
        def __setitem__(self, name: str, value: object) -> None:
            seen.append(gc.isenabled())
            super().__setitem__(name, value)

    was_enabled = gc.isenabled()
    gc.enable()
    try:
        watched = orders.with_options(codec_options=CodecOptions(document_class=Watching))
        assert len([gc.isenabled() for _ in watched.find()]) == 300
        assert len(seen) == 900 and not any(seen)
        assert gc.isenabled()
    finally:
        if not was_enabled:
            gc.disable()


def test_a_filter_no_driver_could_send_is_refused(orders: Any) -> None:
    texts = [f"{n}" + "x" * 60_000 for n in range(280)]
    with pytest.raises(DocumentTooLarge):
        list(orders.find({"a": {"$in": texts}}))
    with pytest.raises(DocumentTooLarge):
        orders.count_documents({f"a{n}": text for n, text in enumerate(texts)})
    for ask in (lambda filter: list(orders.find(filter)), orders.count_documents):
        with pytest.raises(DocumentTooLarge):
            ask({"n" * (17 << 20): 1})


def test_a_wrong_filter_is_found_before_a_wrong_session(orders: Any) -> None:
    with pytest.raises(OperationFailure):
        orders.count_documents({"$bad": 1}, session="x")
    with pytest.raises(ValueError, match="session"):
        orders.count_documents({}, session="x")
