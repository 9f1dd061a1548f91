"""Cursors: the results of a find, read in batches from one snapshot.

A cursor runs its query when its first document is asked for. From then on it holds a snapshot; it
lets go of it when the results are exhausted, when it is closed and when it is garbage collected.
Documents are read in batches, so that a short result never holds a snapshot beyond the call that
read it, and decoded in smaller pieces as they are asked for.

A cursor inside a transaction reads from the transaction itself. Before the transaction writes
again, the rest of the results is read into memory; when the transaction ends, so does the cursor.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from threading import RLock
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar, overload

from bson.code import Code
from bson.codec_options import CodecOptions
from pymongo.cursor import CursorType
from pymongo.errors import InvalidOperation, OperationFailure

from cbdd.catalog.refusal import BAD_VALUE, CAPPED_POSITION_LOST, refusal
from cbdd.client.arguments import (
    IndexKeys,
    check_boolean,
    check_collation,
    check_int,
    check_let,
    check_mapping,
    check_not_negative,
    check_time,
    hint_of,
    index_document,
    index_pairs,
    projection_of,
)
from cbdd.client.results import BufferedResults, EndedResults, QueryResults, Results, run_query
from cbdd.client.session import ClientSession, session_for
from cbdd.client.tailing import tail_query
from cbdd.client.unsupported import refuse_arguments, unsupported
from cbdd.query.decoding import decode_into, pieces_of
from cbdd.query.executor import Query
from cbdd.query.key_range import parse_key_range

if TYPE_CHECKING:
    from cbdd.client.collection import Collection
    from cbdd.client.monitoring import CommandMonitor
    from cbdd.client.shortcuts import Reading

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])

FIRST_BATCH_DOCUMENTS: Final = 101
BATCH_DOCUMENTS: Final = 1000
BATCH_BYTES: Final = 1 << 20
MOST_BATCH_BYTES: Final = 16 << 20
"""Of a batch whose number of documents was asked for, as of a message of a server."""
PIECE_DOCUMENTS: Final = 64
PIECE_BYTES: Final = 16 << 10
"""Decoded at a time: those of a small piece are soon let go of and the next take their place, in
memory that the processor still has at hand."""
_DEFAULT_AWAIT_SECONDS: Final = 1.0
_TAILABLE: Final = CursorType.TAILABLE
_EXHAUST: Final = CursorType.EXHAUST
_QUERY_FLAGS: Final = 2 | 4 | 8 | 16 | 32 | 64 | 128


class Cursor(Generic[DocumentT]):
    """The results of `Collection.find`; iterate over it, chain options before the first document.

    >>> import cbdd
    >>> client = cbdd.connect("shop.cbdd")
    >>> _ = client.shop.fruit.insert_many([{"_id": n, "n": n % 3} for n in range(9)])
    >>> cursor = client.shop.fruit.find({"n": {"$gt": 0}}).sort("_id", -1).limit(2)
    >>> [document["_id"] for document in cursor]
    [8, 7]
    >>> client.close()
    """

    _options: CodecOptions[Any]

    def __init__(
        self,
        collection: Collection[DocumentT],
        filter: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        cursor_type: int = CursorType.NON_TAILABLE,
        sort: IndexKeys | None = None,
        allow_partial_results: bool = False,
        oplog_replay: bool = False,
        batch_size: int = 0,
        collation: object = None,
        hint: IndexKeys | None = None,
        max_scan: int | None = None,
        max_time_ms: int | None = None,
        max: IndexKeys | None = None,
        min: IndexKeys | None = None,
        return_key: bool | None = None,
        show_record_id: bool | None = None,
        snapshot: bool | None = None,
        comment: object = None,
        session: ClientSession | None = None,
        allow_disk_use: bool | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> None:
        self._results: Results | None = None
        self._killed = False
        self._collection = collection
        if type(filter) is not dict:
            check_mapping("filter", filter or {})
        if type(skip) is not int or type(limit) is not int:
            check_int("skip", skip)
            check_int("limit", limit)
        if (
            no_cursor_timeout is not False
            or allow_partial_results is not False
            or oplog_replay is not False
            or type(batch_size) is not int
            or batch_size < 0
        ):
            check_boolean("no_cursor_timeout", no_cursor_timeout)
            check_boolean("allow_partial_results", allow_partial_results)
            check_boolean("oplog_replay", oplog_replay)
            check_not_negative("batch_size", batch_size)
        if allow_disk_use is not None:
            check_boolean("allow_disk_use", allow_disk_use)
        if cursor_type != 0:
            if cursor_type not in (_TAILABLE, CursorType.TAILABLE_AWAIT, _EXHAUST):
                raise ValueError("not a valid value for cursor_type")
            if cursor_type == _EXHAUST and limit:
                raise InvalidOperation("Can't use limit and exhaust together.")
        if oplog_replay or max_scan is not None or snapshot is not None:
            refuse_arguments(
                "find", oplog_replay=oplog_replay, max_scan=max_scan, snapshot=snapshot
            )
        if collation is not None:
            check_collation(collation)
        if let is not None:
            check_let(let)
        self._let = let
        self._session = session
        self._filter: Mapping[str, Any] = filter or {}
        self._projection = None if projection is None else projection_of(projection)
        self._skip = skip
        self._limit = limit
        self._sort = index_document(sort) if sort else None
        self._hint = None if hint is None else hint_of(hint)
        self._batch_size = batch_size
        self._max_time_ms = None if max_time_ms is None else check_time(max_time_ms)
        self._allow_disk_use = allow_disk_use
        self._comment = comment
        self._min = None if min is None else _key_pairs("min", min)
        self._max = None if max is None else _key_pairs("max", max)
        self._return_key = bool(return_key)
        self._show_record_id = bool(show_record_id)
        self._max_await_time_ms: int | None = None
        self._flags = cursor_type
        self._id: int | None = None
        self._data: deque[DocumentT] = deque()
        self._pieces: deque[list[bytes]] = deque()
        self._fetching = RLock()  # what decodes may use the cursor itself
        self._retrieved = 0
        self._empty = False

    # -- options, before the first document ------------------------------------------------

    def skip(self, skip: int) -> Cursor[DocumentT]:
        """Leave out the first `skip` results."""
        check_not_negative("skip", skip)
        self._check_not_started()
        self._skip = skip
        return self

    def limit(self, limit: int) -> Cursor[DocumentT]:
        """Return at most `limit` results; 0 is no limit."""
        check_int("limit", limit)
        if self._flags & _EXHAUST:
            raise InvalidOperation("Can't use limit and exhaust together.")
        self._check_not_started()
        self._empty = False
        self._limit = limit
        return self

    def sort(self, key_or_list: IndexKeys, direction: int | str | None = None) -> Cursor[DocumentT]:
        """Sort the results.

        :param key_or_list: a field name, or a list of (field, direction) pairs or names.
        :param direction: for a single field: 1 or -1, default ascending.
        """
        self._check_not_started()
        self._sort = index_document(index_pairs(key_or_list, direction))
        return self

    def hint(self, index: IndexKeys | None) -> Cursor[DocumentT]:
        """Use this index, given by name or by its keys; None takes the hint back."""
        self._check_not_started()
        self._hint = hint_of(index)
        return self

    def batch_size(self, batch_size: int) -> Cursor[DocumentT]:
        """Read this many documents at a time; 0 leaves it to the cursor."""
        check_not_negative("batch_size", batch_size)
        self._check_not_started()
        self._batch_size = batch_size
        return self

    def max_time_ms(self, max_time_ms: int | None) -> Cursor[DocumentT]:
        """Raise `ExecutionTimeout` when reading takes longer than this; None is no limit."""
        if max_time_ms is not None:
            check_int("max_time_ms", max_time_ms)
        self._check_not_started()
        self._max_time_ms = check_time(max_time_ms)
        return self

    def max_await_time_ms(self, max_await_time_ms: int | None) -> Cursor[DocumentT]:
        """Say how long a `TAILABLE_AWAIT` cursor waits for the next document; default 1000."""
        if max_await_time_ms is not None:
            check_int("max_await_time_ms", max_await_time_ms)
        self._check_not_started()
        if self._flags & CursorType.TAILABLE_AWAIT:
            self._max_await_time_ms = max_await_time_ms
        return self

    def comment(self, comment: object) -> Cursor[DocumentT]:
        """Note a comment; there is no server log it could appear in."""
        self._check_not_started()
        self._comment = comment
        return self

    def allow_disk_use(self, allow_disk_use: bool) -> Cursor[DocumentT]:
        """Say whether a sort may use the disk."""
        check_boolean("allow_disk_use", allow_disk_use)
        self._check_not_started()
        self._allow_disk_use = allow_disk_use
        return self

    def where(self, code: str | Code) -> Cursor[DocumentT]:
        """Add ``$where``, which runs JavaScript: refused when the query runs."""
        self._check_not_started()
        if not isinstance(code, Code):
            code = Code(code)
        self._filter = {**self._filter, "$where": code}
        return self

    def collation(self, collation: object) -> Cursor[DocumentT]:
        """Accept the simple collation, which compares bytes, and refuse every other."""
        self._check_not_started()
        check_collation(collation)
        return self

    def max_scan(self, max_scan: int | None) -> Cursor[DocumentT]:
        """Not supported, as in MongoDB since 4.2; None is accepted."""
        self._check_not_started()
        refuse_arguments("find", max_scan=max_scan)
        return self

    def max(self, spec: IndexKeys) -> Cursor[DocumentT]:
        """End before this key of the hinted index: a list of (field, value) pairs."""
        self._check_not_started()
        self._max = _key_pairs("max", spec)
        return self

    def min(self, spec: IndexKeys) -> Cursor[DocumentT]:
        """Begin at this key of the hinted index: a list of (field, value) pairs."""
        self._check_not_started()
        self._min = _key_pairs("min", spec)
        return self

    def add_option(self, mask: int) -> Cursor[DocumentT]:
        """Set query flags."""
        if not isinstance(mask, int):
            raise TypeError(f"mask must be an int, not {type(mask)}")
        self._check_not_started()
        if mask & _EXHAUST and self._limit:
            raise InvalidOperation("Can't use limit and exhaust together.")
        if mask & ~_QUERY_FLAGS:
            raise unsupported(f"find: the query flags {mask}")
        self._flags |= mask
        return self

    def remove_option(self, mask: int) -> Cursor[DocumentT]:
        """Take query flags back."""
        if not isinstance(mask, int):
            raise TypeError(f"mask must be an int, not {type(mask)}")
        self._check_not_started()
        self._flags &= ~mask
        return self

    # -- results ---------------------------------------------------------------------------

    def __next__(self) -> DocumentT:
        while True:
            if self._data:
                try:
                    return self._data.popleft()
                except IndexError:  # another thread has taken it
                    continue
            if self._empty or not self._fetch():
                raise StopIteration

    def next(self) -> DocumentT:
        """Return the next document; `StopIteration` after the last."""
        return self.__next__()

    def __iter__(self) -> Cursor[DocumentT]:
        return self

    def to_list(self, length: int | None = None) -> list[DocumentT]:
        """Return the remaining documents, at most `length` of them, as a list."""
        if isinstance(length, int) and length < 1:
            raise ValueError("to_list() length must be greater than 0")
        return list(self if length is None else islice(self, length))

    @overload
    def __getitem__(self, index: int) -> DocumentT: ...

    @overload
    def __getitem__(self, index: slice) -> Cursor[DocumentT]: ...

    def __getitem__(self, index: int | slice) -> DocumentT | Cursor[DocumentT]:
        """Return one document, or this cursor with the skip and limit of a slice."""
        self._check_not_started()
        self._empty = False
        if isinstance(index, slice):
            self._set_slice(index)
            return self
        if not isinstance(index, int):
            raise TypeError(f"index {index!r} cannot be applied to Cursor instances")
        if index < 0:
            raise IndexError("Cursor instances do not support negative indices")
        clone = self.clone().skip(index + self._skip).limit(-1)
        clone._flags &= ~CursorType.TAILABLE_AWAIT
        for document in clone:
            return document
        raise IndexError("no such item for Cursor instance")

    def distinct(self, key: str) -> list[Any]:
        """Return the different values of a field among the documents that match."""
        options = {} if self._max_time_ms is None else {"maxTimeMS": self._max_time_ms}
        return self._collection.distinct(
            key, self._filter, session=self._session, hint=self._hint, **options
        )

    def explain(self) -> Any:
        """Return the plan of this query in MongoDB's form."""
        return self._collection._explain(self._compile(), self._session)

    # -- state -----------------------------------------------------------------------------

    @property
    def collection(self) -> Collection[DocumentT]:
        """The collection this cursor reads."""
        return self._collection

    @property
    def session(self) -> ClientSession | None:
        """The session this cursor was given, or None."""
        return self._session

    @property
    def retrieved(self) -> int:
        """How many documents were read so far."""
        return self._retrieved

    @property
    def alive(self) -> bool:
        """Whether there may be more documents."""
        return bool(self._data or self._pieces) or not self._killed

    @property
    def cursor_id(self) -> int | None:
        """None before the first document, 0 once everything is read."""
        return self._id

    @property
    def address(self) -> None:
        """None: there is no server."""
        return None

    def clone(self) -> Cursor[DocumentT]:
        """Return a cursor of the same query that has not started."""
        return self._clone(True)

    def __copy__(self) -> Cursor[DocumentT]:
        return self._clone(False)

    def __deepcopy__(self, memo: object) -> Cursor[DocumentT]:
        return self._clone(True)

    def rewind(self) -> Cursor[DocumentT]:
        """Go back to before the first document; the query will run again."""
        self.close()
        self._data.clear()
        self._pieces.clear()
        self._id = None
        self._retrieved = 0
        self._killed = False
        return self

    def close(self) -> None:
        """Let go of the snapshot; documents already read can still be fetched."""
        self._killed = True
        results = self._results
        self._results = None
        if results is not None:
            results.close()

    def __enter__(self) -> Cursor[DocumentT]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        results = getattr(self, "_results", None)
        if results is not None:
            self._results = None
            results.close()

    # -- inside ----------------------------------------------------------------------------

    def _check_not_started(self) -> None:
        if self._retrieved or self._id is not None:
            raise InvalidOperation("cannot set options after executing query")

    def _set_slice(self, index: slice) -> None:
        if index.step is not None:
            raise IndexError("Cursor instances do not support slice steps")
        start = 0 if index.start is None else index.start
        if start < 0:
            raise IndexError("Cursor instances do not support negative indices")
        limit = 0
        if index.stop is not None:
            limit = index.stop - start
            if limit < 0:
                raise IndexError(f"stop index must be greater than start index for slice {index!r}")
            self._empty = limit == 0
        self._skip = start
        self._limit = limit

    def _clone(self, deep: bool) -> Cursor[DocumentT]:
        clone = type(self)(self._collection, session=self._session)
        clone._filter = copy.deepcopy(self._filter) if deep else self._filter
        clone._projection = copy.deepcopy(self._projection) if deep else self._projection
        clone._sort = copy.deepcopy(self._sort)
        clone._hint = copy.deepcopy(self._hint)
        clone._skip = self._skip
        clone._limit = self._limit
        clone._let = copy.deepcopy(self._let) if deep else self._let
        clone._batch_size = self._batch_size
        clone._max_time_ms = self._max_time_ms
        clone._allow_disk_use = self._allow_disk_use
        clone._comment = self._comment
        clone._min = copy.deepcopy(self._min)
        clone._max = copy.deepcopy(self._max)
        clone._return_key = self._return_key
        clone._show_record_id = self._show_record_id
        clone._max_await_time_ms = self._max_await_time_ms
        clone._flags = self._flags
        clone._empty = self._empty
        return clone

    def _compile(self) -> Query:
        return self._compiled(self._collection.codec_options)

    def _compiled(self, options: CodecOptions[Any]) -> Query:
        query = Query.compile(
            self._filter,
            self._projection,
            self._sort,
            self._skip,
            self._limit,
            self._hint,
            options,
            self._let,
        )
        if self._min or self._max:
            has_hint = self._hint is not None
            query.key_range = parse_key_range(self._min, self._max, has_hint, options)
        query.returns_key = self._return_key
        query.shows_record_id = self._show_record_id
        query.may_use_disk = self._allow_disk_use is not False
        return query

    def _refresh(self) -> bool:
        """Read the next batch; return whether there are documents."""
        if self._killed:
            return False
        before = self._retrieved
        operation = "query" if self._results is None else "getMore"
        reading = self._collection._reading()
        started = perf_counter()
        failed = True
        try:
            if reading.monitor is None:
                self._read_batch(reading)
            else:
                with self._told(reading.monitor) as reply:
                    self._read_batch(reading)
                    self._describe(reply, operation)
            failed = False
        except OperationFailure as error:
            if not self._flags & _TAILABLE or error.code != CAPPED_POSITION_LOST:
                raise
            self.close()  # as in PyMongo: the collection went on without the cursor
        finally:
            reading.operations.note(operation, reading.full_name, started, failed)
        return self._retrieved > before

    def _fetch(self) -> bool:
        """Decode the next piece, from the next batch if need be; return whether there was one."""
        try:
            self._fetching.acquire()  # `with` makes an object, which sets off the collector
            return self._fetch_alone()
        finally:
            # Not where Ctrl-C came while it waited for another; `threading.Condition` asks, too.
            if self._fetching._is_owned():  # type: ignore[attr-defined]
                self._fetching.release()

    def _fetch_alone(self) -> bool:
        """Do what `_fetch` does while no other thread does.

        Whatever is raised, the cursor is at its end then: none of the documents behind is to be
        taken for the next one.
        """
        try:
            if self._data:  # another thread was first
                return True
            if not self._pieces and not self._refresh():
                return False
            if self._pieces:  # who tells listeners of a batch has decoded all of it
                self._decode(self._pieces.popleft())
            return True  # even if another thread has taken all of it by now
        except BaseException:
            self._pieces.clear()
            self._data.clear()
            self.close()
            raise

    def _told(self, monitor: CommandMonitor) -> AbstractContextManager[dict[str, Any]]:
        """Tell the client's listeners of this batch."""
        database = self._collection.database
        name = self._collection.name
        if self._results is not None:
            return monitor.observe({"getMore": self._id, "collection": name}, database.name)
        command: dict[str, Any] = {"find": name, "filter": self._filter or {}}
        for key, value in (
            ("projection", self._projection),
            ("sort", dict(self._sort) if self._sort else None),
            ("skip", self._skip),
            ("limit", self._limit),
        ):
            if value:
                command[key] = value
        return monitor.observe(command, database.name)

    def _describe(self, reply: dict[str, Any], operation: str) -> None:
        batch = "firstBatch" if operation == "query" else "nextBatch"
        while self._pieces:
            self._decode(self._pieces.popleft())
        reply["cursor"] = {
            "id": self._id or 0,
            "ns": self._collection.full_name,
            batch: list(self._data),
        }

    def _begin(self, reading: Reading, size: int, most_bytes: int) -> list[bytes]:
        """Run the query; return the first documents, at most so many, see `Results.next_batch`."""
        session = session_for(reading.client, self._session)
        if session is not None or self._flags & _TAILABLE or self._max_time_ms is not None:
            return self._start(reading, session).next_batch(size, most_bytes)
        first = reading.reader.begin(self._compiled(reading.codec_options), size, most_bytes)
        if first.execution is None or first.txn is None:
            self.close()
        elif self._killed:  # closed meanwhile
            first.txn.close()
        else:
            self._results = QueryResults(
                reading.store, None, first.txn, False, first.execution, None
            )
        self._id = id(self)
        return first.documents

    def _start(self, reading: Reading, session: ClientSession | None) -> Results:
        database, name = self._collection.database.name, self._collection.name
        results: Results
        if self._flags & _TAILABLE:
            if self._limit < 0:
                raise refusal(BAD_VALUE, "cannot use tailable option with the 'singleBatch' option")
            query = self._compile()
            wait = self._await_seconds()
            results = tail_query(reading.store, session, database, name, query, wait)
        else:
            results = run_query(
                reading.store, session, database, name, self._compile(), self._max_time_ms
            )
        self._results = results
        if session is not None and results.is_shared:
            session._watch(self)
        self._id = id(self)
        return results

    def _await_seconds(self) -> float:
        """Return how long a tailable cursor waits for documents."""
        if self._flags & CursorType.TAILABLE_AWAIT == _TAILABLE:
            return 0.0
        wait_ms = self._max_await_time_ms
        return _DEFAULT_AWAIT_SECONDS if wait_ms is None else wait_ms / 1000

    def _read_batch(self, reading: Reading) -> None:
        size = self._batch_size or (-self._limit if self._limit < 0 else 0)
        # All that is wanted comes in one batch where the limit is negative.
        most_bytes = 0 if self._limit < 0 else MOST_BATCH_BYTES
        if self._results is None:
            documents = self._begin(reading, size or FIRST_BATCH_DOCUMENTS, most_bytes)
        elif size:
            documents = self._results.next_batch(size, most_bytes)
        elif self._retrieved == 0:
            documents = self._results.next_batch(FIRST_BATCH_DOCUMENTS, most_bytes)
        else:
            documents = self._results.next_batch(BATCH_DOCUMENTS, BATCH_BYTES)
        self._retrieved += len(documents)
        if self._results is None or self._results.is_exhausted or self._limit < 0:
            self._id = 0
            self.close()
        self._options = reading.codec_options  # to ask the collection would cost more than a piece
        if documents:
            self._pieces.extend(self._pieces_of(documents))

    def _pieces_of(self, documents: list[bytes]) -> list[list[bytes]]:
        """Return them as they are to be decoded, at least one."""
        return pieces_of(documents, PIECE_DOCUMENTS, PIECE_BYTES)

    def _decode(self, documents: list[bytes]) -> None:
        """Append what is read of them to the data."""
        decode_into(self._data, documents, self._options)

    def _detach(self) -> None:
        """Read the rest into memory: the transaction this cursor reads from is about to write."""
        if self._results is not None:
            self._results = BufferedResults(self._results)

    def _end_with_transaction(self) -> None:
        """Stop: the transaction this cursor reads from is over."""
        if self._results is not None:
            self._results = EndedResults()


def _key_pairs(option: str, spec: object) -> list[tuple[str, Any]]:
    """Return a bound of an index as pairs of field and value."""
    if not isinstance(spec, (list, tuple, Mapping)):
        raise TypeError(f"{option} must be an instance of list or tuple, not {type(spec)}")
    if not spec:
        raise ValueError(f"{option} must not be empty")
    pairs = list(spec.items()) if isinstance(spec, Mapping) else list(spec)
    return [(str(field), value) for field, value in pairs]


class RawBatchCursor(Cursor[Any]):
    """The results of `Collection.find_raw_batches`: BSON bytes, some documents at a time."""

    def _pieces_of(self, documents: list[bytes]) -> list[list[bytes]]:
        return [documents]

    def _decode(self, documents: list[bytes]) -> None:
        self._data.append(b"".join(documents))

    def __getitem__(self, index: int | slice) -> NoReturn:
        raise InvalidOperation("Cannot call __getitem__ on RawBatchCursor")
