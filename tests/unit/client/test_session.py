"""Sessions and transactions: PyMongo's states and errors, snapshot isolation, retries."""

from __future__ import annotations

import errno
import gc
from typing import Any

import pytest
from bson.timestamp import Timestamp
from pymongo.client_session import TransactionOptions
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    CursorNotFound,
    DuplicateKeyError,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

import cbdd
from cbdd.errors import DurabilityError, LockedError, WriteConflictError
from cbdd.storage import Io
from tests.unit.client.conftest import OPTIONS, ManualClock

Client = cbdd.Client[dict[str, Any]]
Orders = cbdd.Collection[dict[str, Any]]

TRANSIENT = "TransientTransactionError"
UNKNOWN = "UnknownTransactionCommitResult"


# -- states ----------------------------------------------------------------------------------


def test_committed_writes_are_visible_and_not_before(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        session.start_transaction()
        orders.insert_one({"_id": 1}, session=session)
        assert orders.count_documents({}) == 0
        assert orders.count_documents({}, session=session) == 1
        session.commit_transaction()
        assert orders.count_documents({}) == 1


def test_aborted_writes_are_gone(client: Client, orders: Orders) -> None:
    orders.insert_one({"_id": 0})
    with client.start_session() as session:
        session.start_transaction()
        orders.insert_many([{"_id": 1}, {"_id": 2}], session=session)
        orders.update_one({"_id": 0}, {"$set": {"a": 1}}, session=session)
        orders.delete_one({"_id": 1}, session=session)
        session.abort_transaction()
    assert list(orders.find()) == [{"_id": 0}]


def test_leaving_the_block_commits_and_an_exception_aborts(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        with session.start_transaction():
            orders.insert_one({"_id": 1}, session=session)
        with pytest.raises(ZeroDivisionError), session.start_transaction():
            orders.insert_one({"_id": 2}, session=session)
            raise ZeroDivisionError
        with pytest.raises(KeyboardInterrupt), session.start_transaction():
            orders.insert_one({"_id": 3}, session=session)
            raise KeyboardInterrupt
    assert list(orders.find()) == [{"_id": 1}]


def test_ending_a_session_aborts_its_transaction(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        session.start_transaction()
        orders.insert_one({"_id": 1}, session=session)
    assert session.has_ended
    assert orders.count_documents({}) == 0
    session.end_session()


def test_ended_session_cannot_be_used(client: Client, orders: Orders) -> None:
    session = client.start_session()
    session.end_session()
    for call in (
        lambda: orders.find_one({}, session=session),
        lambda: orders.insert_one({}, session=session),
        lambda: session.start_transaction(),
        lambda: session.commit_transaction(),
        lambda: session.abort_transaction(),
        lambda: session.session_id,
    ):
        with pytest.raises(InvalidOperation, match="ended session"):
            call()


def test_session_of_another_client_is_refused(
    client: Client, orders: Orders, tmp_path: Any
) -> None:
    other: Client = cbdd.Client(str(tmp_path / "other.cbdd"), **OPTIONS)
    with (
        other,
        other.start_session() as session,
        pytest.raises(InvalidOperation, match="Can only use session"),
    ):
        orders.find_one({}, session=session)


def test_something_else_as_a_session_is_refused(orders: Orders) -> None:
    with pytest.raises(ValueError, match="must be a ClientSession"):
        orders.find_one({}, session="session")


def test_order_of_calls_is_checked_as_pymongo_checks_it(client: Client, orders: Orders) -> None:
    session = client.start_session()
    with pytest.raises(InvalidOperation, match="No transaction started"):
        session.commit_transaction()
    with pytest.raises(InvalidOperation, match="No transaction started"):
        session.abort_transaction()
    session.start_transaction()
    with pytest.raises(InvalidOperation, match="already in progress"):
        session.start_transaction()
    session.commit_transaction()
    session.commit_transaction()
    with pytest.raises(InvalidOperation, match="after calling commitTransaction"):
        session.abort_transaction()
    session.start_transaction()
    orders.insert_one({"_id": 1}, session=session)
    session.commit_transaction()
    session.commit_transaction()
    with pytest.raises(InvalidOperation, match="after calling commitTransaction"):
        session.abort_transaction()
    session.start_transaction()
    session.abort_transaction()
    with pytest.raises(InvalidOperation, match="twice"):
        session.abort_transaction()
    with pytest.raises(InvalidOperation, match="after calling abortTransaction"):
        session.commit_transaction()
    session.end_session()


def test_in_transaction_follows_the_states(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        assert not session.in_transaction
        session.start_transaction()
        assert session.in_transaction
        orders.find_one({}, session=session)
        assert session.in_transaction
        session.commit_transaction()
        assert not session.in_transaction


def test_session_outside_a_transaction_commits_each_statement(
    client: Client, orders: Orders
) -> None:
    with client.start_session() as session:
        orders.insert_one({"_id": 1}, session=session)
        assert orders.count_documents({}) == 1


def test_session_has_pymongos_properties(client: Client) -> None:
    options = TransactionOptions(write_concern=WriteConcern(j=True))
    with client.start_session(default_transaction_options=options) as session:
        assert session.client is client
        assert session.options.causal_consistency
        assert session.options.default_transaction_options is options
        assert session.session_id["id"].subtype == 4
        assert session.cluster_time is None and session.operation_time is None
        session.advance_operation_time(Timestamp(5, 1))
        session.advance_cluster_time({"clusterTime": Timestamp(6, 1)})
        assert session.operation_time == Timestamp(5, 1)
        with pytest.raises(TypeError):
            session.advance_operation_time(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            session.advance_cluster_time({"clusterTime": 5})


def test_transaction_options_are_checked(client: Client) -> None:
    with client.start_session() as session:
        session.start_transaction(
            ReadConcern("snapshot"), WriteConcern("majority", j=True), ReadPreference.PRIMARY
        )
        session.abort_transaction()
        with pytest.raises(ConfigurationError, match="unacknowledged"):
            session.start_transaction(write_concern=WriteConcern(w=0))
        with pytest.raises(OperationFailure, match="max_commit_time_ms"):
            session.start_transaction(max_commit_time_ms=5)
        with pytest.raises(OperationFailure, match="not replicated"):
            session.start_transaction(write_concern=WriteConcern(w=3))
        assert not session.in_transaction


def test_bound_session_is_used_by_statements_that_name_none(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        with session.bind(end_session=False), session.start_transaction():
            orders.insert_one({"_id": 1})
            assert orders.count_documents({}) == 1
        assert orders.count_documents({}) == 1
        with session.bind():
            pass
        assert session.has_ended


# -- isolation -------------------------------------------------------------------------------


def test_transaction_reads_the_snapshot_of_its_first_statement(
    client: Client, orders: Orders
) -> None:
    orders.insert_one({"_id": 1})
    with client.start_session() as session:
        session.start_transaction()
        orders.insert_one({"_id": 2})
        assert orders.count_documents({}, session=session) == 2
        orders.insert_one({"_id": 3})
        assert orders.count_documents({}, session=session) == 2
        assert orders.distinct("_id", session=session) == [1, 2]
        session.commit_transaction()


def test_second_committer_of_the_same_document_conflicts(client: Client, orders: Orders) -> None:
    orders.insert_one({"_id": 1, "n": 0})
    with client.start_session() as first, client.start_session() as second:
        for session in (first, second):
            session.start_transaction()
            orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        first.commit_transaction()
        with pytest.raises(WriteConflictError) as raised:
            second.commit_transaction()
        assert raised.value.code == 112
        assert raised.value.has_error_label(TRANSIENT)
        with pytest.raises(OperationFailure) as again:
            second.commit_transaction()
        assert again.value.code == 251
    assert orders.find_one() == {"_id": 1, "n": 1}


def test_two_transactions_insert_different_documents_without_a_conflict(
    client: Client, orders: Orders
) -> None:
    orders.insert_one({"_id": 0})
    orders.create_index("a")
    with client.start_session() as first, client.start_session() as second:
        first.start_transaction()
        second.start_transaction()
        orders.insert_one({"_id": 1, "a": 1}, session=first)
        orders.insert_one({"_id": 2, "a": 1}, session=second)
        orders.insert_one({"_id": 3, "a": 1})
        second.commit_transaction()
        first.commit_transaction()
    assert sorted(d["_id"] for d in orders.find()) == [0, 1, 2, 3]
    assert orders.count_documents({"a": 1}) == 3


def test_two_transactions_with_the_same_unique_key_conflict_and_then_duplicate(
    client: Client, orders: Orders
) -> None:
    orders.create_index("a", unique=True)
    with client.start_session() as first, client.start_session() as second:
        for n, session in enumerate((first, second)):
            session.start_transaction()
            orders.insert_one({"_id": n, "a": 1}, session=session)
        first.commit_transaction()
        with pytest.raises(WriteConflictError):
            second.commit_transaction()
        second.start_transaction()
        with pytest.raises(DuplicateKeyError):
            orders.insert_one({"_id": 5, "a": 1}, session=second)


def test_record_ids_of_a_transaction_stay_above_what_it_can_see(
    client: Client, orders: Orders
) -> None:
    order: list[Any] = []
    with client.start_session() as session:
        for n in range(0, 30, 3):
            orders.insert_one({"_id": n})
            with session.start_transaction():
                orders.insert_one({"_id": n + 1}, session=session)
            orders.insert_one({"_id": n + 2})
            order += [n, n + 1, n + 2]
    assert [d["_id"] for d in orders.find()] == order


def test_record_ids_of_a_transaction_when_all_it_can_see_was_deleted(
    client: Client, orders: Orders
) -> None:
    orders.insert_many([{"_id": n} for n in range(3000)])
    with client.start_session() as session, session.start_transaction():
        assert orders.find_one({"_id": 0}, session=session) is not None
        orders.delete_many({})
        orders.insert_one({"_id": "new"}, session=session)
    assert list(orders.find()) == [{"_id": "new"}]
    assert client.check().is_clean


@pytest.mark.parametrize("count", [0, 3, 3000])
def test_a_transaction_whose_collection_was_dropped_conflicts(
    client: Client, orders: Orders, count: int
) -> None:
    orders.insert_many([{"_id": n} for n in range(3000)])
    orders.delete_many({"_id": {"$gte": count}})
    with client.start_session() as session:
        session.start_transaction()
        assert len(list(orders.find({}, session=session))) == count
        orders.drop()
        with pytest.raises(WriteConflictError) as caught:
            orders.insert_one({"_id": "new"}, session=session)
            session.commit_transaction()
        assert caught.value.has_error_label("TransientTransactionError")
    assert list(orders.find()) == []
    assert client.check().is_clean


def test_statement_outside_waits_for_nobody_in_a_transaction(
    client: Client, orders: Orders
) -> None:
    orders.insert_one({"_id": 1, "n": 0})
    with client.start_session() as session:
        session.start_transaction()
        orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        orders.update_one({"_id": 1}, {"$inc": {"n": 10}})
        with pytest.raises(WriteConflictError):
            session.commit_transaction()
    assert orders.find_one() == {"_id": 1, "n": 10}


def test_snapshot_session_reads_from_one_snapshot(client: Client, orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    with client.start_session(snapshot=True) as session:
        assert orders.count_documents({}, session=session) == 1
        orders.insert_one({"_id": 2})
        assert orders.count_documents({}, session=session) == 1
        assert orders.find_one({"_id": 2}, session=session) is None
        with pytest.raises(InvalidOperation, match="snapshot sessions"):
            session.start_transaction()
    assert orders.count_documents({}) == 2


# -- errors inside ---------------------------------------------------------------------------


def test_refused_write_ends_the_transaction_as_on_a_server(client: Client, orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    with client.start_session() as session:
        session.start_transaction()
        orders.insert_one({"_id": 2}, session=session)
        with pytest.raises(DuplicateKeyError):
            orders.insert_one({"_id": 1}, session=session)
        assert session.in_transaction
        with pytest.raises(OperationFailure, match="has been aborted") as raised:
            orders.insert_one({"_id": 3}, session=session)
        assert raised.value.code == 251
        assert raised.value.has_error_label(TRANSIENT)
        with pytest.raises(OperationFailure, match="has been aborted"):
            session.commit_transaction()
    assert list(orders.find()) == [{"_id": 1}]


def test_refused_write_among_many_ends_the_transaction(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        session.start_transaction()
        with pytest.raises(BulkWriteError) as raised:
            orders.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}], ordered=False, session=session)
        assert [error["index"] for error in raised.value.details["writeErrors"]] == [1]
        session.abort_transaction()
    assert orders.count_documents({}) == 0


def test_update_that_fails_half_way_ends_the_transaction(client: Client, orders: Orders) -> None:
    orders.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": "x"}])
    with client.start_session() as session:
        session.start_transaction()
        with pytest.raises(OperationFailure):
            orders.update_many({}, {"$inc": {"a": 1}}, session=session)
        with pytest.raises(OperationFailure, match="has been aborted"):
            orders.find_one({}, session=session)
    assert [d["a"] for d in orders.find()] == [1, "x"]


def test_wrong_query_ends_the_transaction(client: Client, orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    with client.start_session() as session:
        session.start_transaction()
        orders.insert_one({"_id": 2}, session=session)
        with pytest.raises(OperationFailure, match="hint"):
            list(orders.find({}, hint="nonsense", session=session))
        with pytest.raises(OperationFailure, match="has been aborted"):
            session.commit_transaction()


def test_mistake_in_python_leaves_the_transaction_alone(client: Client, orders: Orders) -> None:
    with client.start_session() as session, session.start_transaction():
        orders.insert_one({"_id": 1}, session=session)
        with pytest.raises(TypeError):
            orders.insert_one(5, session=session)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="only works with"):
            orders.update_one({}, {"a": 1}, session=session)
    assert orders.count_documents({}) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda c, s: c.shop.drop_collection("orders", session=s),
        lambda c, s: c.shop.orders.drop(session=s),
        lambda c, s: c.shop.orders.rename("x", session=s),
        lambda c, s: c.shop.orders.drop_index("a_1", session=s),
        lambda c, s: c.shop.orders.drop_indexes(session=s),
        lambda c, s: c.shop.orders.create_index("b", session=s),
        lambda c, s: c.drop_database("shop", session=s),
    ],
)
def test_what_mongodb_refuses_in_a_transaction_is_refused(
    client: Client, orders: Orders, call: Any
) -> None:
    orders.insert_one({"_id": 1})
    with client.start_session() as session:
        session.start_transaction()
        with pytest.raises(OperationFailure) as raised:
            call(client, session)
        assert raised.value.code == 263
        session.abort_transaction()


def test_collection_and_index_can_be_made_in_a_transaction(client: Client) -> None:
    with client.start_session() as session, session.start_transaction():
        fresh = client.shop.create_collection("fresh", session=session)
        fresh.create_index("a", unique=True, session=session)
        fresh.insert_one({"_id": 1, "a": 1}, session=session)
        client.shop.implicit.insert_one({"_id": 1}, session=session)
        assert client.shop.list_collection_names() == []
        assert client.shop.list_collection_names(session) == ["fresh", "implicit"]
    assert client.shop.fresh.count_documents({"a": 1}) == 1
    assert list(client.shop.fresh.index_information()) == ["_id_", "a_1"]


# -- cursors in transactions -----------------------------------------------------------------


def test_writing_while_reading_a_cursor_of_the_transaction(client: Client, orders: Orders) -> None:
    orders.insert_many({"_id": n} for n in range(500))
    with client.start_session() as session, session.start_transaction():
        seen = 0
        for document in orders.find({}, session=session):
            orders.update_one({"_id": document["_id"]}, {"$set": {"a": 1}}, session=session)
            seen += 1
        assert seen == 500
    assert orders.count_documents({"a": 1}) == 500


def test_cursor_ends_with_its_transaction(client: Client, orders: Orders) -> None:
    orders.insert_many({"_id": n} for n in range(500))
    with client.start_session() as session:
        session.start_transaction()
        cursor = orders.find({}, session=session)
        next(cursor)
        session.commit_transaction()
        with pytest.raises(CursorNotFound) as raised:
            list(cursor)
        assert raised.value.code == 43
        gc.collect()
        assert not cursor.alive


def test_cursor_of_a_snapshot_session_ends_with_the_session(client: Client, orders: Orders) -> None:
    orders.insert_many({"_id": n} for n in range(500))
    session = client.start_session(snapshot=True)
    cursor = orders.find({}, session=session)
    next(cursor)
    session.end_session()
    with pytest.raises(CursorNotFound):
        list(cursor)


# -- commits and retries ---------------------------------------------------------------------


def test_with_transaction_returns_what_the_callback_returns(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        result = session.with_transaction(
            lambda s: orders.insert_one({"_id": 1}, session=s).inserted_id
        )
    assert result == 1
    assert orders.count_documents({}) == 1


def test_with_transaction_runs_again_after_a_conflict(
    client: Client, orders: Orders, clock: ManualClock
) -> None:
    orders.insert_one({"_id": 1, "n": 0})
    attempts = 0

    def callback(session: cbdd.ClientSession) -> None:
        nonlocal attempts
        attempts += 1
        orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        if attempts < 4:
            orders.update_one({"_id": 1}, {"$inc": {"n": 100}})

    with client.start_session() as session:
        session.with_transaction(callback)
    assert attempts == 4
    assert len(clock.pauses) == 3
    assert orders.find_one() == {"_id": 1, "n": 301}


def test_with_transaction_gives_up_after_120_seconds(
    client: Client, orders: Orders, clock: ManualClock
) -> None:
    orders.insert_one({"_id": 1, "n": 0})
    attempts = 0

    def callback(session: cbdd.ClientSession) -> None:
        nonlocal attempts
        attempts += 1
        clock.seconds += 50.0
        orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        orders.update_one({"_id": 1}, {"$inc": {"n": 100}})

    with client.start_session() as session, pytest.raises(NetworkTimeout) as raised:
        session.with_transaction(callback)
    assert raised.value.has_error_label(TRANSIENT)
    assert isinstance(raised.value.__cause__, WriteConflictError)
    assert attempts == 3


def test_with_transaction_passes_other_errors_on_and_aborts(client: Client, orders: Orders) -> None:
    def callback(session: cbdd.ClientSession) -> None:
        orders.insert_one({"_id": 1}, session=session)
        raise ZeroDivisionError

    with client.start_session() as session:
        with pytest.raises(ZeroDivisionError):
            session.with_transaction(callback)
        assert not session.in_transaction
    assert orders.count_documents({}) == 0


def test_with_transaction_accepts_a_callback_that_ends_the_transaction(
    client: Client, orders: Orders
) -> None:
    def callback(session: cbdd.ClientSession) -> str:
        orders.insert_one({"_id": 1}, session=session)
        session.abort_transaction()
        return "done"

    with client.start_session() as session:
        assert session.with_transaction(callback) == "done"
    assert orders.count_documents({}) == 0


def test_error_with_the_transient_label_is_retried_whoever_raised_it(
    client: Client, clock: ManualClock
) -> None:
    attempts = 0

    def callback(session: cbdd.ClientSession) -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise PyMongoError("try again", error_labels=[TRANSIENT])
        return attempts

    with client.start_session() as session:
        assert session.with_transaction(callback) == 3


class SickDisk(Io):
    """A disk whose syncs fail while it is sick."""

    def __init__(self) -> None:
        self.is_sick = False

    def sync(self, fd: int) -> None:
        if self.is_sick:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)


def sick_client(path: str, clock: ManualClock) -> tuple[Client, SickDisk]:
    """Open a file on a disk that falls sick with the first transaction."""
    disk = SickDisk()
    client: Client = cbdd.Client(path, io=disk, clock=clock, **{**OPTIONS, "durability": "full"})
    client.shop.orders.insert_one({"_id": 0})
    disk.is_sick = True
    return client, disk


def test_failed_sync_is_an_unknown_outcome_and_stays_one(path: str, clock: ManualClock) -> None:
    client, disk = sick_client(path, clock)
    session = client.start_session()
    session.start_transaction()
    client.shop.orders.insert_one({"_id": 1}, session=session)
    with pytest.raises(DurabilityError) as raised:
        session.commit_transaction()
    assert raised.value.has_error_label(UNKNOWN)
    assert not raised.value.has_error_label(TRANSIENT)
    disk.is_sick = False
    with pytest.raises(DurabilityError):
        session.commit_transaction()
    with pytest.raises(DurabilityError):
        client.shop.orders.insert_one({"_id": 2})
    client.close()
    with cbdd.Client(path, **OPTIONS) as again:
        assert again.shop.orders.count_documents({"_id": {"$in": [0, 2]}}) == 1
        assert again.check().is_clean


def test_with_transaction_does_not_retry_an_unknown_outcome(path: str, clock: ManualClock) -> None:
    client, _ = sick_client(path, clock)
    attempts = 0

    def callback(session: cbdd.ClientSession) -> None:
        nonlocal attempts
        attempts += 1
        client.shop.orders.insert_one({"_id": 1}, session=session)

    with client.start_session() as session, pytest.raises(DurabilityError):
        session.with_transaction(callback)
    assert attempts == 1
    assert clock.pauses == []
    client.close()


class Txn:
    """A transaction that notes or fails its commit."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.asked: list[str | None] = []

    def commit(self, durability: str | None) -> None:
        self.asked.append(durability)
        if self.error is not None:
            raise self.error

    def abort(self) -> None:
        pass


class Writers:
    """What a session holds of its open transaction."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.txn = Txn(error)


def replace_writers(session: cbdd.ClientSession, writers: Writers) -> None:
    session._end_writers()
    session._writers = writers  # type: ignore[assignment]


def test_interrupted_commit_is_an_unknown_outcome(client: Client, orders: Orders) -> None:
    with client.start_session() as session:
        session.start_transaction()
        orders.find_one({}, session=session)
        replace_writers(session, Writers(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            session.commit_transaction()
        with pytest.raises(cbdd.CbddError, match="COMMIT_INTERRUPTED") as raised:
            session.commit_transaction()
        assert raised.value.has_error_label(UNKNOWN)


def test_commit_that_waited_too_long_for_the_lock_may_be_tried_again(
    client: Client, orders: Orders
) -> None:
    with client.start_session() as session:
        session.start_transaction()
        orders.find_one({}, session=session)
        replace_writers(session, Writers(LockedError("LOCK_TIMEOUT", "held by process 5")))
        with pytest.raises(LockedError) as raised:
            session.commit_transaction()
        assert raised.value.has_error_label(TRANSIENT)


@pytest.mark.parametrize(("journaled", "expected"), [(True, "full"), (None, "off")])
def test_journaled_transaction_asks_for_full_durability(
    client: Client, orders: Orders, journaled: bool | None, expected: str
) -> None:
    writers = Writers()
    with client.start_session() as session:
        session.start_transaction(write_concern=WriteConcern(j=journaled))
        orders.find_one({}, session=session)
        replace_writers(session, writers)
        session.commit_transaction()
    assert writers.txn.asked == [expected]
