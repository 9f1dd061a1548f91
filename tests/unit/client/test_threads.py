"""Many threads on one client."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import bson
import pytest
from pymongo.errors import DuplicateKeyError

import cbdd
from cbdd.client import cursor as cursors
from cbdd.errors import WriteConflictError

Client = cbdd.Client[dict[str, Any]]
Orders = cbdd.Collection[dict[str, Any]]


def run_together(works: list[Callable[[], None]]) -> None:
    """Run each work in a thread of its own and raise the first error."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait()
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_increments_of_many_threads_add_up(orders: Orders) -> None:
    orders.insert_one({"_id": 1, "n": 0})

    def increment() -> None:
        for _ in range(50):
            orders.update_one({"_id": 1}, {"$inc": {"n": 1}})

    run_together([increment] * 4)
    assert orders.find_one() == {"_id": 1, "n": 200}


def test_threads_that_make_the_same_collection_and_index_agree(client: Client) -> None:
    def work(number: int) -> None:
        client.shop.orders.create_index("a")
        client.shop.orders.insert_one({"_id": number, "a": 1})

    run_together([lambda n=n: work(n) for n in range(6)])  # type: ignore[misc]
    assert client.shop.orders.count_documents({"a": 1}) == 6
    assert list(client.shop.orders.index_information()) == ["_id_", "a_1"]


def test_transfers_in_transactions_keep_the_sum(client: Client, orders: Orders) -> None:
    orders.insert_many([{"_id": n, "n": 100} for n in range(4)])

    def transfer(seed: int) -> None:
        with client.start_session() as session:
            for step in range(15):
                source, target = (seed + step) % 4, (seed + 3 * step + 1) % 4

                def move(s: cbdd.ClientSession, a: int = source, b: int = target) -> None:
                    orders.update_one({"_id": a}, {"$inc": {"n": -1}}, session=s)
                    orders.update_one({"_id": b}, {"$inc": {"n": 1}}, session=s)

                session.with_transaction(move)

    run_together([lambda seed=seed: transfer(seed) for seed in range(3)])  # type: ignore[misc]
    assert sum(d["n"] for d in orders.find()) == 400


def test_readers_see_whole_transactions(client: Client, orders: Orders) -> None:
    orders.insert_many([{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    done = threading.Event()
    torn: list[Any] = []

    def write() -> None:
        try:
            with client.start_session() as session:
                for _ in range(40):
                    with session.start_transaction():
                        orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
                        orders.update_one({"_id": 2}, {"$inc": {"n": 1}}, session=session)
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            seen = [d["n"] for d in orders.find()]
            if len(set(seen)) != 1:
                torn.append(seen)

    run_together([write, read, read])
    assert torn == []


def test_transactions_of_threads_never_share_a_record_id(client: Client, orders: Orders) -> None:
    def insert(number: int) -> None:
        with client.start_session() as session:
            for n in range(20):
                try:
                    with session.start_transaction():
                        orders.insert_one({"_id": f"{number}/{n}"}, session=session)
                except WriteConflictError:
                    orders.insert_one({"_id": f"{number}/{n}"})

    orders.create_index("x")
    run_together([lambda n=n: insert(n) for n in range(4)])  # type: ignore[misc]
    assert orders.count_documents({}) == 80


def test_durable_writes_of_many_threads_are_each_answered_for_themselves(path: str) -> None:
    client: Client = cbdd.connect(path, background=False, flight_recorder=False)
    orders = client.shop.orders
    orders.create_index("n")
    orders.insert_one({"_id": "counter", "n": 0})
    winners: list[int] = []
    counts = {"modified": 0, "deleted": 0}
    lock = threading.Lock()

    def work(number: int) -> None:
        for step in range(15):
            orders.insert_one({"_id": f"{number}/{step}", "n": step})
            try:
                orders.insert_one({"_id": step, "n": number})
            except DuplicateKeyError as error:
                assert error.details is not None
                assert error.details["keyValue"] == {"_id": step}
            else:
                winners.append(step)
            updated = orders.update_one({"_id": "counter"}, {"$inc": {"n": 1}})
            missed = orders.update_one({"_id": f"none/{step}"}, {"$inc": {"n": 1}})
            assert (missed.matched_count, missed.modified_count) == (0, 0)
            deleted = orders.delete_one({"_id": f"{(number + 1) % 6}/{step - 1}"})
            with lock:
                counts["modified"] += updated.modified_count
                counts["deleted"] += deleted.deleted_count

    run_together([lambda n=n: work(n) for n in range(6)])  # type: ignore[misc]
    assert sorted(winners) == list(range(15))
    assert counts["modified"] == 90
    assert orders.find_one({"_id": "counter"}) == {"_id": "counter", "n": 90}
    assert orders.count_documents({}) == 1 + 15 + 90 - counts["deleted"]
    assert client.check().problems == []
    client.close()
    with cbdd.connect(path) as again:
        assert again.shop.orders.count_documents({}) == 1 + 15 + 90 - counts["deleted"]


def test_threads_that_share_a_cursor_get_each_document_once(orders: Orders) -> None:
    orders.insert_many({"_id": n, "text": "x" * 50} for n in range(3000))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for size in (0, 7, 500):
            cursor = orders.find(batch_size=size)
            found: list[list[int]] = [[] for _ in range(4)]

            def work(mine: list[int], cursor: Any = cursor) -> None:
                mine.extend(document["_id"] for document in cursor)

            run_together([lambda mine=mine: work(mine) for mine in found])  # type: ignore[misc]
            assert sorted(n for mine in found for n in mine) == list(range(3000))
    finally:
        sys.setswitchinterval(interval)


def test_a_thread_whose_document_another_one_took_goes_on(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.insert_many({"_id": n, "text": "x" * 17_000} for n in range(20))  # a piece each
    real = cursors.decode_into
    taken: list[int] = []

    def decode(*args: Any) -> None:
        real(*args)
        if bson.decode(args[1][0])["_id"] == 3:
            run_together([lambda: taken.append(next(cursor)["_id"])])

    monkeypatch.setattr(cursors, "decode_into", decode)
    cursor = orders.find()
    found = [document["_id"] for document in cursor]
    assert sorted(found + taken) == list(range(20))


@pytest.mark.parametrize("has_lock", [True, False])
def test_an_interrupt_while_the_lock_is_taken_leaves_it_free(
    orders: Orders, has_lock: bool
) -> None:
    class Interrupted:
        """A lock that is taken, or not yet, when Ctrl-C comes."""

        def acquire(self) -> None:
            if has_lock:
                lock.acquire()
            raise KeyboardInterrupt

        def release(self) -> None:
            lock.release()

        def _is_owned(self) -> bool:
            return bool(lock._is_owned())

    orders.insert_many({"_id": n} for n in range(300))
    cursor: Any = orders.find()
    lock: Any = cursor._fetching
    assert next(cursor)["_id"] == 0
    cursor._data.clear()
    cursor._fetching = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        next(cursor)
    cursor._fetching = lock
    found: list[int] = []
    run_together([lambda: found.extend(document["_id"] for document in cursor)])
    assert found == list(range(64, 300))
