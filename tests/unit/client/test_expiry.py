"""Documents whose time is over: which go, when, and what a wrong clock does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from pymongo.errors import InvalidOperation

import cbdd
from cbdd.catalog.namespace import catalog_key
from cbdd.catalog.record_store import CATALOG_TREE
from cbdd.client.expiry import BATCH_DOCUMENTS, LEAP_SECONDS, SWEEP_SECONDS, ExpirySweeper
from cbdd.errors import CorruptDataError
from tests.unit.client.conftest import OPTIONS, ManualClock

Client = cbdd.Client[dict[str, Any]]
Orders = cbdd.Collection[dict[str, Any]]

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WallClock(ManualClock):
    """A clock whose time of day is set by the test; the other one runs on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW

    def now_us(self) -> int:
        return (self.now - EPOCH) // timedelta(microseconds=1)

    def tick(self, seconds: float) -> None:
        """Let time pass: both clocks go on."""
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds


class WatchedClock(WallClock):
    """Tells when the expiry thread is in the middle of a sweep."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.is_sweeping = threading.Event()

    def now_us(self) -> int:
        if threading.current_thread().name == "cbdd-expiry":
            self.looks += 1
            if self.looks == 2:  # the first look is for leaps, before the sweep begins
                self.is_sweeping.set()
        return super().now_us()


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def watched(path: str) -> Iterator[Client]:
    """A client that sweeps in the background."""
    client: Client = cbdd.Client(path, clock=WatchedClock(), **{**OPTIONS, "background": True})
    yield client
    client.close()


def opened(path: str, **options: Any) -> Client:
    return cbdd.Client(path, **options)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def ids(collection: Orders) -> list[Any]:
    return [document["_id"] for document in collection.find({}, {"_id": 1}).sort("_id")]


def sweeper(client: Client) -> ExpirySweeper:
    return client._store._sweeper


def test_documents_go_when_their_time_is_over(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=60)
    orders.insert_many([{"_id": n, "t": ago(n)} for n in (0, 59, 60, 61, 3600)])
    assert client.expire_documents() == 3
    assert ids(orders) == [0, 59]
    assert client.expire_documents() == 0


def test_document_goes_in_the_millisecond_its_time_is_over(
    client: Client, clock: WallClock, orders: Orders
) -> None:
    orders.create_index("t", expireAfterSeconds=60)
    orders.insert_one({"_id": 1, "t": NOW})
    clock.tick(59.999)
    assert client.expire_documents() == 0
    clock.tick(0.001)
    assert client.expire_documents() == 1


def test_zero_seconds_mean_the_date_itself(client: Client, orders: Orders) -> None:
    orders.create_index("at", expireAfterSeconds=0)
    orders.insert_many([{"_id": 1, "at": ago(1)}, {"_id": 2, "at": NOW}, {"_id": 3, "at": ago(-1)}])
    assert client.expire_documents() == 2
    assert ids(orders) == [3]


def test_dates_beyond_those_of_python_count(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    dates = [DatetimeMS(-(2**62)), DatetimeMS(0), DatetimeMS(2**62)]
    orders.insert_many([{"_id": n, "t": date} for n, date in enumerate(dates)])
    assert client.expire_documents() == 2
    assert ids(orders) == [2]


def test_longest_time_there_is_expires_nothing_young(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=2**31 - 1)
    orders.insert_many([{"_id": 1, "t": datetime(1961, 12, 1)}, {"_id": 2, "t": ago(3600)}])
    assert client.expire_documents() == 1
    assert ids(orders) == [2]


@pytest.mark.parametrize(
    "value",
    [
        "2001-01-01",
        1.5,
        0,
        None,
        True,
        ObjectId("000000000000000000000000"),
        Timestamp(1, 1),
        Decimal128("1"),
        [],
        ["2001-01-01", 5],
        {"t": datetime(2001, 1, 1)},
        [[datetime(2001, 1, 1)]],
    ],
)
def test_document_without_a_date_stays(client: Client, orders: Orders, value: object) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    orders.insert_many([{"_id": 1, "t": value}, {"_id": 2}])
    assert client.expire_documents() == 0
    assert ids(orders) == [1, 2]


def test_earliest_date_of_an_array_counts(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=60)
    orders.insert_many(
        [
            {"_id": 1, "t": [ago(-900), ago(61)]},
            {"_id": 2, "t": [ago(0), ago(59)]},
            {"_id": 3, "t": ["x", None, ago(61), 5]},
            {"_id": 4, "t": [ago(61), ago(62), ago(63)]},
        ]
    )
    assert client.expire_documents() == 3
    assert ids(orders) == [2]


def test_dates_inside_subdocuments_and_arrays_of_them_count(client: Client, orders: Orders) -> None:
    orders.create_index("a.t", expireAfterSeconds=0)
    orders.insert_many(
        [
            {"_id": 1, "a": {"t": ago(1)}},
            {"_id": 2, "a": [{"t": ago(-5)}, {"t": ago(5)}]},
            {"_id": 3, "a": [{"t": ago(-5)}, {"x": ago(5)}]},
        ]
    )
    assert client.expire_documents() == 2
    assert ids(orders) == [3]


def test_descending_index_expires_documents(client: Client, orders: Orders) -> None:
    orders.create_index([("t", -1)], expireAfterSeconds=60)
    orders.insert_many([{"_id": n, "t": ago(n)} for n in (0, 61)])
    assert client.expire_documents() == 1
    assert ids(orders) == [0]


def test_partial_ttl_index_expires_only_what_is_in_it(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0, partialFilterExpression={"state": "done"})
    orders.insert_many(
        [{"_id": n, "t": ago(5), "state": state} for n, state in enumerate(["done", "open", None])]
    )
    assert client.expire_documents() == 1
    assert ids(orders) == [1, 2]


def test_sparse_ttl_index_expires_documents(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0, sparse=True)
    orders.insert_many([{"_id": 1}, {"_id": 2, "t": ago(1)}])
    assert client.expire_documents() == 1


def test_ttl_index_with_a_date_is_unique_too(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0, unique=True)
    orders.insert_many([{"_id": 1, "t": ago(1)}, {"_id": 2, "t": ago(2)}])
    assert client.expire_documents() == 2


def test_each_ttl_index_of_a_collection_counts(client: Client, orders: Orders) -> None:
    orders.create_index("a", expireAfterSeconds=0)
    orders.create_index("b", expireAfterSeconds=60)
    orders.insert_many(
        [{"_id": 1, "a": ago(1)}, {"_id": 2, "b": ago(1)}, {"_id": 3, "a": ago(-1), "b": ago(61)}]
    )
    assert client.expire_documents() == 2
    assert ids(orders) == [2]


def test_two_ttl_indexes_on_one_key_each_have_their_time(client: Client, orders: Orders) -> None:
    for state, seconds in (("old", 10), ("new", 1000)):
        orders.create_index(
            "t",
            name=state,
            expireAfterSeconds=seconds,
            partialFilterExpression={"state": state},
        )
    orders.insert_many([{"_id": n, "t": ago(60), "state": n} for n in ("old", "new")])
    assert client.expire_documents() == 1
    assert ids(orders) == ["new"]


def test_all_collections_of_all_databases_are_swept(client: Client) -> None:
    for database in ("one", "two"):
        for name in ("a", "b"):
            client[database][name].create_index("t", expireAfterSeconds=0)
            client[database][name].insert_one({"t": ago(1)})
    client.one.plain.insert_one({"t": ago(1)})
    assert client.expire_documents() == 4
    assert client.one.plain.count_documents({}) == 1


def test_more_documents_than_a_batch_go_in_one_sweep(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    orders.create_index("a")
    gone = 2 * BATCH_DOCUMENTS + 5
    orders.insert_many([{"_id": n, "t": ago(1), "a": n % 7} for n in range(gone)])
    orders.insert_one({"_id": gone, "t": ago(-1)})
    assert client.expire_documents() == gone
    assert ids(orders) == [gone]


def test_exactly_one_batch_goes(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    orders.insert_many([{"t": ago(1)} for _ in range(BATCH_DOCUMENTS)])
    assert client.expire_documents() == BATCH_DOCUMENTS
    assert orders.count_documents({}) == 0


def test_expired_documents_leave_a_capped_collection(client: Client) -> None:
    capped = client.shop.create_collection("log", capped=True, size=4096)
    capped.create_index("t", expireAfterSeconds=0)
    capped.insert_many([{"_id": n, "t": ago(n - 2)} for n in range(5)])
    assert client.expire_documents() == 3
    assert ids(capped) == [0, 1]


def test_validator_does_not_keep_expired_documents(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    orders.insert_one({"t": ago(1)})
    client.shop.command("collMod", "orders", validator={"a": 1})
    assert client.expire_documents() == 1


def test_coll_mod_changes_the_time(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=3600)
    orders.insert_one({"t": ago(60)})
    assert client.expire_documents() == 0
    index = {"name": "t_1", "expireAfterSeconds": 59}
    client.shop.command("collMod", "orders", index=index)
    assert client.expire_documents() == 1


def test_coll_mod_makes_an_index_expire_documents(client: Client, orders: Orders) -> None:
    orders.create_index("t")
    orders.insert_one({"t": ago(60)})
    assert client.expire_documents() == 0
    client.shop.command(
        "collMod", "orders", index={"keyPattern": {"t": 1}, "expireAfterSeconds": 0}
    )
    assert client.expire_documents() == 1


def test_dropped_index_expires_nothing(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    orders.insert_one({"t": ago(60)})
    orders.drop_index("t_1")
    assert client.expire_documents() == 0


def test_hidden_ttl_index_expires_documents(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0, hidden=True)
    orders.insert_one({"t": ago(1)})
    assert client.expire_documents() == 1


def test_hidden_ttl_index_does_not_stop_the_others(client: Client, shop: Any) -> None:
    shop.a.create_index("t", expireAfterSeconds=0, hidden=True)
    shop.b.create_index("t", expireAfterSeconds=0)
    shop.b.insert_one({"t": ago(1)})
    assert client.expire_documents() == 1


def test_hashed_ttl_index_expires_nothing(client: Client, orders: Orders) -> None:
    orders.create_index([("t", "hashed")], expireAfterSeconds=0)
    orders.insert_one({"t": ago(1)})
    assert client.expire_documents() == 0


def test_expire_documents_of_a_closed_client_raises(client: Client) -> None:
    client.close()
    with pytest.raises(InvalidOperation):
        client.expire_documents()


def test_expire_documents_of_a_file_without_indexes_does_nothing(client: Client) -> None:
    assert client.expire_documents() == 0
    client.shop.orders.insert_one({"t": ago(1)})
    assert client.expire_documents() == 0


# -- a clock that is wrong -----------------------------------------------------------------


def with_one_document(client: Client, expires_in: float) -> Orders:
    """A swept collection with one document that expires so many seconds from now."""
    orders = client.shop.orders
    orders.create_index("t", expireAfterSeconds=0)
    assert sweeper(client).sweep_unless_leapt() == 0
    orders.insert_one({"t": ago(-expires_in)})
    return orders


def test_first_sweep_after_opening_believes_the_clock(client: Client, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    orders.insert_one({"t": ago(1)})
    assert sweeper(client).sweep_unless_leapt() == 1


def test_sweep_a_minute_later_deletes(client: Client, clock: WallClock) -> None:
    with_one_document(client, 30)
    clock.tick(SWEEP_SECONDS)
    assert sweeper(client).sweep_unless_leapt() == 1


def test_long_time_that_passed_on_both_clocks_is_no_leap(client: Client, clock: WallClock) -> None:
    with_one_document(client, 30)
    clock.tick(7 * 24 * 3600)
    assert sweeper(client).sweep_unless_leapt() == 1


def test_leap_ahead_is_left_out_once_and_then_believed(client: Client, clock: WallClock) -> None:
    orders = with_one_document(client, 30)
    clock.now += timedelta(seconds=LEAP_SECONDS + 1)
    assert sweeper(client).sweep_unless_leapt() == 0
    assert orders.count_documents({}) == 1
    clock.tick(SWEEP_SECONDS)
    assert sweeper(client).sweep_unless_leapt() == 1


def test_leap_of_up_to_an_hour_is_believed_at_once(client: Client, clock: WallClock) -> None:
    with_one_document(client, 30)
    clock.now += timedelta(seconds=LEAP_SECONDS)
    assert sweeper(client).sweep_unless_leapt() == 1


def test_leap_that_is_taken_back_deletes_nothing(client: Client, clock: WallClock) -> None:
    orders = with_one_document(client, 7200)
    clock.now += timedelta(days=365)
    assert sweeper(client).sweep_unless_leapt() == 0
    clock.now -= timedelta(days=365)
    clock.tick(SWEEP_SECONDS)
    assert sweeper(client).sweep_unless_leapt() == 0
    clock.tick(SWEEP_SECONDS)
    assert sweeper(client).sweep_unless_leapt() == 0
    assert orders.count_documents({}) == 1
    clock.tick(7200)
    assert sweeper(client).sweep_unless_leapt() == 1


def test_second_leap_is_left_out_again(client: Client, clock: WallClock) -> None:
    orders = with_one_document(client, 30)
    for _ in range(3):
        clock.now += timedelta(days=1)
        assert sweeper(client).sweep_unless_leapt() == 0
    assert orders.count_documents({}) == 1


def test_clock_set_back_only_delays(client: Client, clock: WallClock) -> None:
    with_one_document(client, 30)
    clock.now -= timedelta(hours=2)
    assert sweeper(client).sweep_unless_leapt() == 0
    clock.tick(SWEEP_SECONDS)
    assert sweeper(client).sweep_unless_leapt() == 0
    clock.tick(7200)
    assert sweeper(client).sweep_unless_leapt() == 1


def test_expire_documents_believes_a_clock_that_has_leapt(client: Client, clock: WallClock) -> None:
    with_one_document(client, 30)
    clock.now += timedelta(days=365)
    assert client.expire_documents() == 1


# -- the thread ----------------------------------------------------------------------------


def thread_of(client: Client) -> threading.Thread | None:
    return sweeper(client)._thread


def test_thread_starts_with_the_first_ttl_index_and_ends_with_the_client(watched: Client) -> None:
    orders = watched.shop.orders
    orders.insert_one({"_id": 1})
    assert thread_of(watched) is None
    orders.create_index("t", expireAfterSeconds=0)
    assert orders.count_documents({}) == 1
    thread = thread_of(watched)
    assert thread is not None
    assert thread.is_alive()
    assert thread.daemon
    watched.close()
    assert not thread.is_alive()


def test_thread_starts_with_create_index_itself(watched: Client) -> None:
    watched.shop.orders.create_index("t", expireAfterSeconds=0)
    list(watched.shop.orders.find())
    assert thread_of(watched) is not None


def test_thread_starts_when_coll_mod_makes_a_ttl_index(watched: Client) -> None:
    orders = watched.shop.orders
    orders.create_index("t")
    assert thread_of(watched) is None
    watched.shop.command("collMod", "orders", index={"name": "t_1", "expireAfterSeconds": 60})
    orders.count_documents({})
    assert thread_of(watched) is not None


def test_thread_deletes_what_has_expired(watched: Client) -> None:
    clock = watched._store.clock
    assert isinstance(clock, WatchedClock)
    orders = watched.shop.orders
    orders.insert_many([{"_id": n, "t": ago(n)} for n in range(5)])
    orders.create_index("t", expireAfterSeconds=2)
    orders.count_documents({})
    assert clock.is_sweeping.wait(30)
    # The thread is inside its sweep, and only one sweep runs at a time.
    assert watched.expire_documents() == 0
    assert ids(orders) == [0, 1]


def test_thread_starts_when_a_file_with_a_ttl_index_is_opened(path: str) -> None:
    with opened(path, clock=WallClock(), **OPTIONS) as client:
        client.shop.orders.create_index("t", expireAfterSeconds=0)
        assert thread_of(client) is None
    clock = WatchedClock()
    reopened: Client = cbdd.Client(path, clock=clock, **{**OPTIONS, "background": True})
    try:
        assert clock.is_sweeping.wait(30)
        assert thread_of(reopened) is not None
    finally:
        reopened.close()


def test_nothing_is_swept_in_a_file_opened_for_reading(path: str) -> None:
    with opened(path, clock=WallClock(), **OPTIONS) as client:
        client.shop.orders.create_index("t", expireAfterSeconds=0)
        client.shop.orders.insert_one({"t": ago(1)})
    options = {**OPTIONS, "background": True, "read_only": True}
    with opened(path, clock=WallClock(), **options) as client:
        assert client.shop.orders.count_documents({}) == 1
        assert thread_of(client) is None


def test_starting_twice_makes_one_thread_and_stopping_twice_is_no_error(watched: Client) -> None:
    sweeper(watched).start()
    thread = thread_of(watched)
    sweeper(watched).start()
    assert thread_of(watched) is thread
    sweeper(watched).stop()
    sweeper(watched).stop()
    assert thread is not None
    assert not thread.is_alive()


def test_sweeper_that_never_started_can_be_stopped(client: Client) -> None:
    sweeper(client).stop()
    assert thread_of(client) is None


def test_threads_that_sweep_at_once_delete_each_document_once(
    client: Client, orders: Orders
) -> None:
    orders.create_index("t", expireAfterSeconds=0)
    orders.insert_many([{"t": ago(1)} for _ in range(300)])
    gate = threading.Barrier(4)
    counts: list[int] = []

    def sweep() -> None:
        gate.wait(30)
        counts.append(client.expire_documents())

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(counts) == [0, 0, 0, 300]


# -- damage --------------------------------------------------------------------------------


def test_collection_that_cannot_be_read_stops_neither_opening_nor_the_sweep(tmp_path: Path) -> None:
    path = str(tmp_path / "damaged.cbdd")
    with cbdd.connect(path, background=False) as client:
        client.shop.broken.insert_one({"_id": 1})
        client.shop.carts.create_index("left", expireAfterSeconds=5)
        client.shop.carts.insert_one({"left": datetime(2020, 1, 1, tzinfo=UTC)})
        store = client._store
        txn = store.engine.begin_write("damage")
        txn.put(CATALOG_TREE, catalog_key("shop", "broken"), b"nonsense")
        txn.commit()
    with cbdd.connect(path, background=False) as client:
        with pytest.raises(CorruptDataError, match="CATALOG_ENTRY"):
            client.expire_documents()
        assert client.shop.carts.count_documents({}) == 0
        with pytest.raises(CorruptDataError, match="CATALOG_ENTRY"):
            client.shop.broken.find_one()
