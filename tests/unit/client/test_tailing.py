"""Tailable cursors: what comes in at the end of a capped collection, and when they die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bson
import pytest
from pymongo.cursor import CursorType
from pymongo.errors import OperationFailure

import cbdd
from cbdd.client.tailing import tail_query
from cbdd.query.executor import Query
from tests.unit.client.conftest import ManualClock

Client = cbdd.Client[dict[str, Any]]
Shop = cbdd.Database[dict[str, Any]]
Log = cbdd.Collection[dict[str, Any]]
TAILABLE = CursorType.TAILABLE
TAILABLE_AWAIT = CursorType.TAILABLE_AWAIT


class WaitingClock(ManualClock):
    """Half a second passes between two looks at it; `arrive` is called once, while one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = -1_000_000
        self.arrive: Callable[[], None] | None = None

    def monotonic(self) -> float:
        self.looks += 1
        self.seconds += 0.5
        if self.looks == 2 and self.arrive is not None:
            self.arrive()
        return self.seconds


@pytest.fixture
def clock() -> WaitingClock:
    return WaitingClock()


@pytest.fixture
def log(shop: Shop) -> Log:
    return shop.create_collection("log", capped=True, size=1 << 20, max=5)


def ids(cursor: Any) -> list[Any]:
    return [document["_id"] for document in cursor]


def insert(log: Log, *numbers: int) -> None:
    log.insert_many([{"_id": n, "n": n} for n in numbers])


def test_cursor_returns_what_is_there_and_stays_alive(log: Log) -> None:
    insert(log, 1, 2, 3)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1, 2, 3]
    assert cursor.alive
    assert cursor.cursor_id
    assert ids(cursor) == []
    assert cursor.alive


def test_cursor_returns_what_comes_later(log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1]
    insert(log, 2, 3)
    assert ids(cursor) == [2, 3]
    insert(log, 4)
    assert cursor.next()["_id"] == 4
    with pytest.raises(StopIteration):
        cursor.next()
    assert cursor.alive
    assert cursor.retrieved == 4


def test_documents_come_in_the_order_of_insertion(log: Log) -> None:
    insert(log, 3, 1, 2)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [3, 1, 2]
    insert(log, 0)
    assert ids(cursor) == [0]


def test_each_batch_goes_on_behind_the_last(log: Log) -> None:
    insert(log, 1, 2, 3, 4, 5)
    cursor = log.find(cursor_type=TAILABLE, batch_size=2)
    assert ids(cursor) == [1, 2, 3, 4, 5]


def test_large_documents_come_in_several_batches(shop: Shop) -> None:
    log = shop.create_collection("large", capped=True, size=1 << 24)
    log.insert_many([{"_id": n, "x": "y" * 300_000} for n in range(20)])
    log.insert_many([{"_id": n} for n in range(20, 200)])
    assert ids(log.find(cursor_type=TAILABLE)) == list(range(200))


def test_two_cursors_do_not_disturb_each_other(log: Log) -> None:
    insert(log, 1, 2)
    first, second = log.find(cursor_type=TAILABLE), log.find(cursor_type=TAILABLE)
    assert ids(first) == [1, 2]
    insert(log, 3)
    assert ids(second) == [1, 2, 3]
    assert ids(first) == [3]


def test_empty_capped_collection_gives_a_dead_cursor(log: Log) -> None:
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == []
    assert not cursor.alive
    insert(log, 1)
    assert ids(cursor) == []


def test_missing_collection_gives_a_dead_cursor(shop: Shop) -> None:
    cursor = shop.nothing.find(cursor_type=TAILABLE)
    assert ids(cursor) == []
    assert not cursor.alive


@pytest.mark.parametrize("kind", [TAILABLE, TAILABLE_AWAIT])
def test_collection_that_is_not_capped_is_refused(shop: Shop, kind: int) -> None:
    shop.plain.insert_one({})
    cursor = shop.plain.find(cursor_type=kind)
    with pytest.raises(OperationFailure, match="non capped collection") as raised:
        cursor.next()
    assert raised.value.code == 2
    assert not cursor.alive


def test_empty_collection_that_is_not_capped_is_refused_too(shop: Shop) -> None:
    shop.create_collection("plain")
    with pytest.raises(OperationFailure) as raised:
        shop.plain.find(cursor_type=TAILABLE).next()
    assert raised.value.code == 2


def test_filter_is_asked_of_every_document(log: Log) -> None:
    insert(log, 1, 2)
    cursor = log.find({"n": {"$mod": [2, 0]}}, cursor_type=TAILABLE)
    assert ids(cursor) == [2]
    insert(log, 3, 5)
    assert ids(cursor) == []
    assert cursor.alive
    insert(log, 4)
    assert ids(cursor) == [4]


def test_filter_that_matches_nothing_yet_leaves_the_cursor_alive(log: Log) -> None:
    insert(log, 1)
    cursor = log.find({"n": 2}, cursor_type=TAILABLE)
    assert ids(cursor) == []
    assert cursor.alive
    insert(log, 2)
    assert ids(cursor) == [2]


def test_projection_shapes_documents(log: Log) -> None:
    insert(log, 1)
    cursor = log.find({}, {"_id": 0, "n": 1}, cursor_type=TAILABLE)
    assert list(cursor) == [{"n": 1}]
    insert(log, 2)
    assert list(cursor) == [{"n": 2}]


def test_limit_ends_the_cursor(log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE, limit=3)
    assert ids(cursor) == [1]
    assert cursor.alive
    insert(log, 2, 3, 4)
    assert ids(cursor) == [2, 3]
    assert not cursor.alive
    assert ids(cursor) == []


def test_skip_leaves_out_the_first_matches_even_later_ones(log: Log) -> None:
    insert(log, 1, 2)
    cursor = log.find({"n": {"$ne": 2}}, cursor_type=TAILABLE, skip=2)
    assert ids(cursor) == []
    insert(log, 3, 4)
    assert ids(cursor) == [4]
    insert(log, 5)
    assert ids(cursor) == [5]


def test_natural_order_is_the_only_sort(log: Log) -> None:
    insert(log, 1, 2)
    assert ids(log.find(cursor_type=TAILABLE).sort("$natural", 1)) == [1, 2]
    for sort in ([("n", 1)], [("$natural", -1)]):
        with pytest.raises(OperationFailure, match=r"\$natural: 1") as raised:
            ids(log.find(cursor_type=TAILABLE, sort=sort))
        assert raised.value.code == 2


def test_negative_limit_is_refused(log: Log) -> None:
    insert(log, 1)
    with pytest.raises(OperationFailure) as raised:
        ids(log.find(cursor_type=TAILABLE, limit=-1))
    assert raised.value.code == 2


def test_record_ids_are_shown(log: Log) -> None:
    insert(log, 1)
    [document] = log.find(cursor_type=TAILABLE, show_record_id=True)
    assert document["$recordId"] == 1


def test_drop_while_tailing_kills_the_cursor(log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1]
    log.drop()
    assert ids(cursor) == []
    assert not cursor.alive


def test_new_collection_of_the_same_name_is_not_followed(shop: Shop, log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1]
    log.drop()
    shop.create_collection("log", capped=True, size=4096)
    insert(log, 1, 2)
    assert ids(cursor) == []
    assert not cursor.alive


def test_rename_while_tailing_kills_the_cursor(shop: Shop, log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1]
    log.rename("other")
    assert ids(cursor) == []
    assert not cursor.alive


def test_closed_cursor_is_dead(log: Log) -> None:
    insert(log, 1, 2)
    cursor = log.find(cursor_type=TAILABLE, batch_size=1)
    assert cursor.next()["_id"] == 1
    cursor.close()
    assert not cursor.alive
    insert(log, 3)
    assert ids(cursor) == []


def test_rewound_cursor_begins_anew(log: Log) -> None:
    insert(log, 1, 2)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1, 2]
    assert ids(cursor.rewind()) == [1, 2]
    assert cursor.alive
    assert ids(cursor.clone()) == [1, 2]


def test_cursor_holds_no_snapshot_between_batches(client: Client, log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1]
    for n in range(2, 6):
        log.replace_one({"_id": 1}, {"n": n})
        client.checkpoint()
    insert(log, 2)
    assert ids(cursor) == [2]


def test_tailable_cursor_in_a_transaction_is_refused(client: Client, log: Log) -> None:
    insert(log, 1)
    with client.start_session() as session, session.start_transaction():
        with pytest.raises(OperationFailure, match="tailable"):
            ids(log.find(cursor_type=TAILABLE, session=session))
        session.abort_transaction()


# -- a place that is gone ------------------------------------------------------------------


def test_results_raise_when_their_place_was_dropped(client: Client, log: Log) -> None:
    insert(log, 1, 2, 3, 4, 5)
    results = tail_query(client._store, None, "shop", "log", Query.compile({}), 0.0)
    assert [bson.decode(each)["_id"] for each in results.next_batch(2, 0)] == [1, 2]
    insert(log, 6, 7)
    with pytest.raises(OperationFailure, match="position in capped collection") as raised:
        results.next_batch(2, 0)
    assert raised.value.code == 136


def test_place_that_is_still_there_is_not_lost(log: Log) -> None:
    insert(log, 1, 2, 3, 4, 5)
    cursor = log.find(cursor_type=TAILABLE, batch_size=2)
    assert [cursor.next()["_id"], cursor.next()["_id"]] == [1, 2]
    insert(log, 6)
    assert ids(cursor) == [3, 4, 5, 6]


def test_cursor_whose_place_was_dropped_is_dead(log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1]
    insert(log, 2, 3, 4, 5, 6)
    try:
        assert ids(cursor) == []
    except OperationFailure as error:
        assert error.code == 136
    assert not cursor.alive


def test_cursor_whose_place_was_dropped_ends_as_in_pymongo(log: Log) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1]
    insert(log, 2, 3, 4, 5, 6)
    assert ids(cursor) == []
    assert not cursor.alive


def test_error_of_a_lost_place_has_its_name(client: Client, log: Log) -> None:
    insert(log, 1)
    results = tail_query(client._store, None, "shop", "log", Query.compile({}), 0.0)
    results.next_batch(1, 0)
    log.delete_one({"_id": 1})
    insert(log, 2, 3)
    with pytest.raises(OperationFailure) as raised:
        insert(log, 4, 5, 6, 7)
        results.next_batch(1, 0)
    assert raised.value.details is not None
    assert raised.value.details["codeName"] == "CappedPositionLost"


@pytest.mark.parametrize("deleted", [{"_id": 3}, {}])
def test_document_after_a_deleted_last_one_is_not_missed(log: Log, deleted: Any) -> None:
    insert(log, 1, 2, 3)
    cursor = log.find(cursor_type=TAILABLE)
    assert ids(cursor) == [1, 2, 3]
    log.delete_many(deleted)
    insert(log, 4, 5, 6)
    # Its place is gone, so the cursor dies; it does not go on as if nothing had happened.
    assert ids(cursor) == [] and not cursor.alive
    assert ids(log.find(cursor_type=TAILABLE))[-3:] == [4, 5, 6]


# -- waiting -------------------------------------------------------------------------------


def test_waiting_cursor_returns_at_once_what_is_there(log: Log) -> None:
    insert(log, 1, 2)
    cursor = log.find(cursor_type=TAILABLE_AWAIT)
    assert [cursor.next()["_id"], cursor.next()["_id"]] == [1, 2]
    assert cursor.alive


def test_waiting_ends_after_a_while_and_the_cursor_lives_on(log: Log, clock: WaitingClock) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE_AWAIT)
    assert cursor.next()["_id"] == 1
    before = clock.seconds
    with pytest.raises(StopIteration):
        cursor.next()
    assert clock.seconds - before >= 1.0
    assert cursor.alive


def test_document_that_arrives_while_waiting_is_returned(log: Log, clock: WaitingClock) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE_AWAIT).max_await_time_ms(100_000)
    assert cursor.next()["_id"] == 1
    clock.arrive = lambda: insert(log, 2)
    clock.looks = 0
    assert cursor.next()["_id"] == 2


def test_drop_while_waiting_ends_the_wait(log: Log, clock: WaitingClock) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE_AWAIT).max_await_time_ms(100_000)
    assert cursor.next()["_id"] == 1
    clock.arrive = log.drop
    clock.looks = 0
    with pytest.raises(StopIteration):
        cursor.next()
    assert not cursor.alive
    assert clock.looks < 100


def test_cursor_that_only_tails_does_not_wait(log: Log, clock: WaitingClock) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE).max_await_time_ms(100_000)
    assert ids(cursor) == [1]
    clock.arrive = lambda: insert(log, 2)
    clock.looks = 0
    assert ids(cursor) == []
    assert clock.looks <= 2


def test_max_await_time_of_zero_does_not_wait(log: Log, clock: WaitingClock) -> None:
    insert(log, 1)
    cursor = log.find(cursor_type=TAILABLE_AWAIT).max_await_time_ms(0)
    assert cursor.next()["_id"] == 1
    clock.looks = 0
    with pytest.raises(StopIteration):
        cursor.next()
    assert clock.looks <= 2
    assert cursor.alive


def test_waiting_on_an_empty_collection_is_over_at_once(log: Log, clock: WaitingClock) -> None:
    cursor = log.find(cursor_type=TAILABLE_AWAIT).max_await_time_ms(100_000)
    before = clock.seconds
    assert ids(cursor) == []
    assert not cursor.alive
    assert clock.seconds - before < 10


@pytest.mark.parametrize("kind", [TAILABLE, TAILABLE_AWAIT])
def test_one_document_by_its_place_does_not_wait_for_others(log: Log, kind: int) -> None:
    insert(log, 0, 1, 2, 3, 4)
    assert log.find(cursor_type=kind)[3]["_id"] == 3
    with pytest.raises(IndexError, match="no such item"):
        log.find(cursor_type=kind)[5]
