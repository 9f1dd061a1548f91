"""Sessions and transactions with PyMongo's rules.

    NONE --start--> STARTING --first statement--> IN_PROGRESS --commit--> COMMITTED
                       |                              |
                       +--commit--> COMMITTED_EMPTY   +--abort, error--> ABORTED

The snapshot is taken by the first statement, as MongoDB does. An error inside a statement ends the
transaction in the file at once, while the session still says `in_transaction`: further statements
and the commit then fail with code 251 and the label ``TransientTransactionError``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from bson.binary import Binary
from bson.timestamp import Timestamp
from pymongo.client_session import (  # type: ignore[attr-defined]
    SessionOptions,
    TransactionOptions,
)
from pymongo.errors import InvalidOperation, NetworkTimeout, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cbdd.catalog import CollectionWriters
from cbdd.catalog.refusal import NO_SUCH_TRANSACTION, refusal
from cbdd.client.settings import ReadPreferenceMode, durability_of
from cbdd.client.unsupported import refuse_arguments
from cbdd.errors import CbddError, DurabilityError, LockedError
from cbdd.storage import ReadTransaction

if TYPE_CHECKING:
    from cbdd.client.client import Client
    from cbdd.client.cursor import Cursor

T = TypeVar("T")

TRANSIENT: Final = "TransientTransactionError"
UNKNOWN_COMMIT: Final = "UnknownTransactionCommitResult"

RETRY_LIMIT_SECONDS: Final = 120.0
BACKOFF_FIRST_SECONDS: Final = 0.005
BACKOFF_MOST_SECONDS: Final = 0.5
BACKOFF_GROWTH: Final = 1.5

NONE: Final = "none"
STARTING: Final = "starting"
IN_PROGRESS: Final = "in progress"
COMMITTED: Final = "committed"
COMMITTED_EMPTY: Final = "committed empty"
ABORTED: Final = "aborted"

_bound: ContextVar[ClientSession | None] = ContextVar("cbdd_session", default=None)
bound_session: Final = _bound.get
"""Return the session bound around the statements that run now, or None."""


class ClientSession:
    """A session: a place for transactions, or for reads from one snapshot.

    Made by `Client.start_session`. A session is for one thread at a time.

    >>> import cbdd
    >>> client = cbdd.connect("shop.cbdd")
    >>> with client.start_session() as session, session.start_transaction():
    ...     _ = client.shop.orders.insert_one({"_id": 1}, session=session)
    ...     _ = client.shop.stock.insert_one({"_id": 1}, session=session)
    >>> client.shop.orders.count_documents({})
    1
    >>> client.close()
    """

    def __init__(self, client: Client[Any], options: SessionOptions) -> None:
        self._client = client
        self._options = options
        self._id = Binary(UUID(bytes=client._store.randomness.token(16), version=4).bytes, 4)
        self._state = NONE
        self._number = 0
        self._transaction_options = TransactionOptions()
        self._writers: CollectionWriters | None = None
        self._snapshot: ReadTransaction | None = None
        self._commit_error: PyMongoError | None = None
        self._cluster_time: Mapping[str, Any] | None = None
        self._operation_time: Timestamp | None = None
        self._cursors: weakref.WeakSet[Cursor[Any]] = weakref.WeakSet()
        self._has_ended = False

    @property
    def client(self) -> Client[Any]:
        """The client this session belongs to."""
        return self._client

    @property
    def options(self) -> SessionOptions:
        """The options this session was started with."""
        return self._options

    @property
    def session_id(self) -> Mapping[str, Any]:
        """A document that names this session."""
        self._check_ended()
        return {"id": self._id}

    @property
    def cluster_time(self) -> Mapping[str, Any] | None:
        """What `advance_cluster_time` was told; one file has no cluster."""
        return self._cluster_time

    @property
    def operation_time(self) -> Timestamp | None:
        """What `advance_operation_time` was told."""
        return self._operation_time

    @property
    def has_ended(self) -> bool:
        """Whether `end_session` was called."""
        return self._has_ended

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was started and neither committed nor aborted."""
        return self._state in (STARTING, IN_PROGRESS)

    def advance_cluster_time(self, cluster_time: Mapping[str, Any]) -> None:
        """Note a cluster time; every session of one file is causally consistent anyway."""
        if not isinstance(cluster_time, Mapping):
            raise TypeError(
                f"cluster_time must be a subclass of collections.Mapping, not {type(cluster_time)}"
            )
        if not isinstance(cluster_time.get("clusterTime"), Timestamp):
            raise TypeError("Invalid cluster_time")
        known = self._cluster_time
        if known is None or cluster_time["clusterTime"] > known["clusterTime"]:
            self._cluster_time = cluster_time

    def advance_operation_time(self, operation_time: Timestamp) -> None:
        """Note an operation time; every session of one file is causally consistent anyway."""
        if not isinstance(operation_time, Timestamp):
            raise TypeError(
                "operation_time must be an instance of bson.timestamp.Timestamp, not "
                f"{type(operation_time)}"
            )
        if self._operation_time is None or operation_time > self._operation_time:
            self._operation_time = operation_time

    def bind(self, end_session: bool = True) -> BoundSession:
        """Use this session for every operation inside a ``with`` block that is not given one."""
        return BoundSession(self, end_session)

    def end_session(self) -> None:
        """End the session; a transaction that is still open is aborted."""
        if self._has_ended:
            return
        try:
            if self.in_transaction:
                self.abort_transaction()
            self._close_snapshot()
        finally:
            self._has_ended = True

    def __enter__(self) -> ClientSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_session()

    def __del__(self) -> None:
        if not getattr(self, "_has_ended", True):
            self._end_writers()
            self._close_snapshot()

    def start_transaction(
        self,
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ReadPreferenceMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> TransactionContext:
        """Start a transaction; as a context manager it commits, or aborts after an error.

        :param read_concern: accepted; a transaction always reads from one snapshot.
        :param write_concern: ``j=True`` makes the commit durable, whatever the file's option.
        :param read_preference: accepted; there is one copy to read from.
        """
        self._check_ended()
        if self._options.snapshot:
            raise InvalidOperation("Transactions are not supported in snapshot sessions")
        if self.in_transaction:
            raise InvalidOperation("Transaction already in progress")
        defaults = self._options.default_transaction_options or TransactionOptions()
        options = TransactionOptions(
            read_concern or defaults.read_concern or self._client.read_concern,
            write_concern or defaults.write_concern or self._client.write_concern,
            read_preference or defaults.read_preference or self._client.read_preference,
            defaults.max_commit_time_ms if max_commit_time_ms is None else max_commit_time_ms,
        )
        refuse_arguments("start_transaction", max_commit_time_ms=options.max_commit_time_ms)
        assert options.write_concern is not None
        durability_of(options.write_concern)
        self._transaction_options = options
        self._state = STARTING
        self._number += 1
        self._commit_error = None
        return TransactionContext(self)

    def commit_transaction(self) -> None:
        """Commit; after a commit, asks for its outcome again.

        :raises WriteConflictError: another transaction changed the same data first; it has the
            label ``TransientTransactionError``: run the whole transaction again.
        :raises DurabilityError: the outcome is unknown until the file is opened again; it has the
            label ``UnknownTransactionCommitResult``.
        """
        self._check_ended()
        if self._state == NONE:
            raise InvalidOperation("No transaction started")
        if self._state == ABORTED:
            raise InvalidOperation("Cannot call commitTransaction after calling abortTransaction")
        if self._state in (STARTING, COMMITTED_EMPTY):
            self._state = COMMITTED_EMPTY
            return
        if self._state == COMMITTED:
            if self._commit_error is not None:
                raise self._commit_error
            return
        self._state = COMMITTED
        self._commit_error = self._over()
        writers = self._take_writers()
        self._commit_error = _interrupted()
        write_concern = self._transaction_options.write_concern
        assert write_concern is not None
        try:
            with self._client._told({"commitTransaction": 1}, "admin"):
                writers.txn.commit(durability_of(write_concern) or self._client._store.durability)
            self._commit_error = None
        except DurabilityError as error:
            error._add_error_label(UNKNOWN_COMMIT)
            self._commit_error = error
            raise
        except PyMongoError as error:
            if isinstance(error, LockedError):
                error._add_error_label(TRANSIENT)
            self._commit_error = self._over()
            raise
        finally:
            writers.txn.abort()

    def abort_transaction(self) -> None:
        """Give up everything the transaction did."""
        self._check_ended()
        if self._state == NONE:
            raise InvalidOperation("No transaction started")
        if self._state == ABORTED:
            raise InvalidOperation("Cannot call abortTransaction twice")
        if self._state in (COMMITTED, COMMITTED_EMPTY):
            raise InvalidOperation("Cannot call abortTransaction after calling commitTransaction")
        self._state = ABORTED
        with self._client._told({"abortTransaction": 1}, "admin"):
            self._end_writers()

    def with_transaction(
        self,
        callback: Callable[[ClientSession], T],
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ReadPreferenceMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> T:
        """Run a callback in a transaction, again after every conflict, for up to 120 seconds.

        :param callback: gets this session; it may run several times, so it should do nothing
            outside the database.
        :return: what the callback returned.
        """
        clock = self._client._store.clock
        deadline = clock.monotonic() + RETRY_LIMIT_SECONDS
        attempt = 0
        while True:
            self.start_transaction(read_concern, write_concern, read_preference, max_commit_time_ms)
            try:
                result = callback(self)
                if self.in_transaction:
                    self.commit_transaction()
                return result
            except BaseException as error:
                if self.in_transaction:
                    self.abort_transaction()
                if not isinstance(error, PyMongoError) or not error.has_error_label(TRANSIENT):
                    raise
                attempt += 1
                pause = self._backoff(attempt)
                if clock.monotonic() + pause >= deadline:
                    raise _timed_out(error) from error
            clock.sleep(pause)

    # -- what statements use ---------------------------------------------------------------

    def _check_ended(self) -> None:
        if self._has_ended:
            raise InvalidOperation("Cannot use ended session")

    def _reading(self) -> ReadTransaction | None:
        """Return the snapshot that reads of this session share, None when they share none."""
        if self.in_transaction:
            return self._require_writers("read").txn
        if not self._options.snapshot:
            return None
        if self._snapshot is None:
            self._snapshot = self._client._store.begin_read()
        return self._snapshot

    def _writing(self, operation: str) -> CollectionWriters:
        """Return the writers of the open transaction; open cursors are read to their end first."""
        writers = self._require_writers(operation)
        for cursor in list(self._cursors):
            cursor._detach()
        return writers

    def _statement_failed(self) -> None:
        """End the transaction in the file; the session learns it by its next statement."""
        if self.in_transaction:
            self._end_writers()

    def _watch(self, cursor: Cursor[Any]) -> None:
        """Note a cursor that reads from the transaction or snapshot of this session."""
        self._cursors.add(cursor)

    def _require_writers(self, operation: str) -> CollectionWriters:
        if self._state == STARTING:
            store = self._client._store
            store.require_open()
            txn = store.engine.begin_transaction(operation)
            self._writers = CollectionWriters(store.catalog, txn, False)
            self._state = IN_PROGRESS
        if self._writers is None:
            raise self._over()
        return self._writers

    def _take_writers(self) -> CollectionWriters:
        writers = self._writers
        if writers is None:
            raise self._over()
        self._writers = None
        self._end_cursors()
        return writers

    def _end_writers(self) -> None:
        writers = self._writers
        self._writers = None
        self._end_cursors()
        if writers is not None:
            writers.txn.abort()

    def _end_cursors(self) -> None:
        for cursor in list(self._cursors):
            cursor._end_with_transaction()
        self._cursors.clear()

    def _close_snapshot(self) -> None:
        self._end_cursors()
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _over(self) -> PyMongoError:
        return refusal(
            NO_SUCH_TRANSACTION,
            f"Transaction with {{ txnNumber: {self._number} }} has been aborted.",
            TRANSIENT,
        )

    def _backoff(self, attempt: int) -> float:
        jitter = int.from_bytes(self._client._store.randomness.token(4), "big") / 2**32
        return jitter * min(
            BACKOFF_FIRST_SECONDS * BACKOFF_GROWTH ** (attempt - 1), BACKOFF_MOST_SECONDS
        )


class TransactionContext:
    """The ``with`` block of `ClientSession.start_transaction`."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    def __enter__(self) -> TransactionContext:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session.in_transaction:
            if error is None:
                self._session.commit_transaction()
            else:
                self._session.abort_transaction()


class BoundSession:
    """The ``with`` block of `ClientSession.bind`."""

    def __init__(self, session: ClientSession, end_session: bool) -> None:
        self._session = session
        self._end_session = end_session
        self._token: Token[ClientSession | None] | None = None

    def __enter__(self) -> ClientSession:
        self._token = _bound.set(self._session)
        return self._session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _bound.reset(self._token)
            self._token = None
        if self._end_session:
            self._session.end_session()


def is_unbound() -> bool:
    """Whether no session is bound around the statements that run now."""
    return _bound.get() is None


def session_for(client: Client[Any], session: ClientSession | None) -> ClientSession | None:
    """Check the session a statement was given, or return the one bound around it.

    :raises InvalidOperation: it has ended, or another client started it.
    """
    if session is None:
        bound = _bound.get()
        if bound is None or bound.client is not client:
            return None
        session = bound
    if not isinstance(session, ClientSession):
        raise ValueError(f"'session' argument must be a ClientSession or None, not {type(session)}")
    session._check_ended()
    if session.client is not client:
        raise InvalidOperation("Can only use session with the Client that started it")
    return session


def _interrupted() -> CbddError:
    error = CbddError(
        "COMMIT_INTERRUPTED",
        "the commit was interrupted, so it is unknown whether it took place",
        "read what it wrote",
    )
    error._add_error_label(UNKNOWN_COMMIT)
    return error


def _timed_out(error: PyMongoError) -> PyMongoError:
    late = NetworkTimeout(f"gave up after {RETRY_LIMIT_SECONDS:.0f} seconds: {error}")
    for label in (TRANSIENT, UNKNOWN_COMMIT):
        if error.has_error_label(label):
            late._add_error_label(label)
    return late
