"""Statements of many writes: `insert_many` and `bulk_write`.

Writes are encoded some thousands ahead, as a driver does for one message, so a document that cannot
be encoded is met before the writes around it happen. They are then committed in batches: a batch is
one transaction, a write that is refused leaves it as it was, and the batch goes on or, if ordered,
ends and is committed. A batch that changes more than `max_transaction_bytes` is committed in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

from bson.codec_options import CodecOptions
from pymongo.errors import InvalidOperation, OperationFailure

from cbdd.catalog import CollectionWriters, InsertRun
from cbdd.client.arguments import (
    check_collation,
    check_document,
    check_let,
    check_replacement,
    check_update,
    encode,
    encode_update,
    give_id,
)
from cbdd.client.statements import (
    DeleteStatement,
    UpdateStatement,
    WriteTarget,
    decode_id,
)
from cbdd.client.write_errors import BulkOutcome
from cbdd.document.encoding import encode_documents
from cbdd.document.validate import validate_document
from cbdd.errors import TransactionTooLargeError
from cbdd.query.point_write import SingleDelete, SingleUpdate, plain_value_key

BATCH_WRITES: Final = 1000
BATCH_INSERTS: Final = 4000
"""Where nothing else is written: each commit copies the nodes it changes, with random keys most of
them for each thousand documents. Others wait for some tens of milliseconds."""
BATCH_BYTES: Final = 1 << 20
MESSAGE_WRITES: Final = 100_000
MESSAGE_BYTES: Final = 48_000_000


class Write:
    """One write of many, encoded: what the caller gave, and how to run it.

    Subclasses compile what they hold only when they run, so that a wrong operator refuses one
    write and not all of them.
    """

    def __init__(self, index: int, operation: object, size: int) -> None:
        self.index = index
        self.operation = operation
        self.size = size

    def run(self, target: WriteTarget, writers: CollectionWriters, outcome: BulkOutcome) -> None:
        """Run it and add what it did to the outcome; raise when it is refused."""
        raise NotImplementedError


class InsertWrite(Write):
    """An insert of one document."""

    def __init__(
        self, index: int, operation: Mapping[str, Any], codec_options: CodecOptions[Any]
    ) -> None:
        self.document = encode(operation, codec_options)
        validate_document(self.document)
        super().__init__(index, operation, len(self.document))

    def run(self, target: WriteTarget, writers: CollectionWriters, outcome: BulkOutcome) -> None:
        target.insert(writers, InsertRun([self.document]))
        outcome.result["nInserted"] += 1


class UpdateWrite(Write):
    """An update or a replacement."""

    def __init__(
        self,
        index: int,
        operation: dict[str, Any],
        is_replacement: bool,
        codec_options: CodecOptions[Any],
        let: Mapping[str, Any] | None,
    ) -> None:
        self._filter = encode(operation["q"], codec_options)
        self._update = encode_update(operation["u"], codec_options)
        super().__init__(index, operation, len(self._filter) + len(self._update))
        self._is_replacement = is_replacement
        self._given = operation
        self._codec_options = codec_options
        self._let = let
        is_only = operation.keys() <= {"q", "u", "multi", "upsert"}
        self._is_plain = is_only and let is None and type(self._update) is bytes

    def run(self, target: WriteTarget, writers: CollectionWriters, outcome: BulkOutcome) -> None:
        given = self._given
        if self._is_plain and self._run_single(target, writers, outcome):
            return
        statement = UpdateStatement.compile(
            self._filter,
            self._update,
            is_replacement=self._is_replacement,
            is_multi=given["multi"],
            upsert=given["upsert"],
            array_filters=given.get("arrayFilters"),
            hint=given.get("hint"),
            sort=given.get("sort"),
            codec_options=self._codec_options,
            timestamps=writers.catalog.timestamps,
            let=self._let,
        )
        counts = statement.run(target, writers)
        self._add_counts(counts.matched, counts.modified, counts.upserted, outcome)
        if counts.error is not None:
            raise counts.error

    def _run_single(
        self, target: WriteTarget, writers: CollectionWriters, outcome: BulkOutcome
    ) -> bool:
        """Take the short way of single documents, if there is one; return whether it did."""
        writer = target.find(writers)
        found = plain_value_key(self._given["q"], None if writer is None else writer.entry)
        if found is None:
            return False
        field, value_key = found
        single = SingleUpdate(
            writers.catalog,
            target.database,
            target.name,
            field,
            value_key,
            cast("bytes", self._update),
            self._is_replacement,
            self._codec_options,
            self._filter if self._given["upsert"] else None,
        )
        single.run(writers)
        if not single.is_lost:
            self._add_counts(single.matched, single.modified, single.upserted, outcome)
        return not single.is_lost

    def _add_counts(
        self, matched: int, modified: int, upserted: bytes | None, outcome: BulkOutcome
    ) -> None:
        result = outcome.result
        result["nMatched"] += matched
        result["nModified"] += modified
        if upserted is not None:
            identity = decode_id(upserted, self._codec_options)
            result["nUpserted"] += 1
            result["upserted"].append({"index": self.index, "_id": identity})


class DeleteWrite(Write):
    """A deletion of one or all documents that match."""

    def __init__(
        self,
        index: int,
        operation: dict[str, Any],
        codec_options: CodecOptions[Any],
        let: Mapping[str, Any] | None,
    ) -> None:
        self._filter = encode(operation["q"], codec_options)
        self._let = let
        super().__init__(index, operation, len(self._filter))
        self._limit = operation["limit"]
        self._hint = operation.get("hint")
        self._given = operation["q"]
        self._is_plain = self._hint is None and let is None

    def run(self, target: WriteTarget, writers: CollectionWriters, outcome: BulkOutcome) -> None:
        writer = target.find(writers) if self._is_plain else None
        found = None if writer is None else plain_value_key(self._given, writer.entry)
        if found is not None:
            field, value_key = found
            single = SingleDelete(writers.catalog, target.database, target.name, field, value_key)
            single.run(writers)
            if not single.is_lost:
                outcome.result["nRemoved"] += single.matched
                return
        statement = DeleteStatement.compile(self._filter, self._limit, self._hint, self._let)
        outcome.result["nRemoved"] += statement.run(target, writers)


class BulkWrite:
    """Many writes to one collection, collected and then run once.

    PyMongo's requests (`InsertOne`, `UpdateMany`, ...) add themselves to it through `add_insert`
    and its siblings.
    """

    def __init__(
        self,
        codec_options: CodecOptions[Any],
        ordered: bool,
        let: Mapping[str, Any] | None = None,
    ) -> None:
        check_let(let)
        self._let = let
        self._codec_options = codec_options
        self._ordered = ordered
        self._operations: list[tuple[str, Any]] = []

    def add(self, request: Any) -> None:
        """Add one of PyMongo's requests."""
        try:
            add_to = request._add_to_bulk
        except AttributeError:
            raise TypeError(f"{request!r} is not a valid request") from None
        add_to(self)

    def add_insert(self, document: Any) -> Any:
        """Add an insert; a document without `_id` gets one, which is returned."""
        check_document("document", document)
        identity = give_id(document)
        self._operations.append(("insert", document))
        return identity

    def add_update(
        self,
        selector: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        multi: bool,
        upsert: bool | None,
        collation: object = None,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: object = None,
        sort: object = None,
    ) -> None:
        """Add an update."""
        check_update(update)
        operation = {"q": selector, "u": update, "multi": multi, "upsert": bool(upsert)}
        if array_filters is not None:
            operation["arrayFilters"] = array_filters
        self._add("update", operation, collation, hint, sort)

    def add_replace(
        self,
        selector: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool | None,
        collation: object = None,
        hint: object = None,
        sort: object = None,
    ) -> None:
        """Add a replacement."""
        check_replacement(replacement)
        operation = {"q": selector, "u": replacement, "multi": False, "upsert": bool(upsert)}
        self._add("replace", operation, collation, hint, sort)

    def add_delete(
        self,
        selector: Mapping[str, Any],
        limit: int,
        collation: object = None,
        hint: object = None,
    ) -> None:
        """Add a deletion of the first document that matches (limit 1), or of all (0)."""
        self._add("delete", {"q": selector, "limit": limit}, collation, hint, None)

    def run(self, target: WriteTarget) -> dict[str, Any]:
        """Run the writes and return what they did.

        :raises BulkWriteError: writes were refused.
        """
        if not self._operations:
            raise InvalidOperation("No operations to execute")
        outcome = BulkOutcome()
        position = 0
        while position < len(self._operations):
            message = self._encode_message(position)
            position += len(message)
            for batch in _batches(message):
                work = partial(self._run_batch, target, batch, outcome)
                commit_parts(target, len(batch), work, self._ordered, outcome)
        outcome.raise_errors()
        return outcome.result

    def _add(
        self, kind: str, operation: dict[str, Any], collation: object, hint: object, sort: object
    ) -> None:
        check_collation(collation)
        if hint is not None:
            operation["hint"] = hint
        if sort is not None:
            operation["sort"] = sort
        self._operations.append((kind, operation))

    def _encode_message(self, position: int) -> list[Write]:
        """Encode the writes from `position` on that would fit into one message of a driver."""
        message: list[Write] = []
        size = 0
        for index in range(position, min(position + MESSAGE_WRITES, len(self._operations))):
            kind, operation = self._operations[index]
            if kind == "insert":
                write: Write = InsertWrite(index, operation, self._codec_options)
            elif kind == "delete":
                write = DeleteWrite(index, operation, self._codec_options, self._let)
            else:
                is_replacement = kind == "replace"
                options = self._codec_options
                write = UpdateWrite(index, operation, is_replacement, options, self._let)
            message.append(write)
            size += write.size
            if size >= MESSAGE_BYTES:
                break
        return message

    def _run_batch(
        self,
        target: WriteTarget,
        batch: list[Write],
        outcome: BulkOutcome,
        start: int,
        end: int,
        writers: CollectionWriters,
    ) -> None:
        batch = batch[start:end]
        inserts = [each for each in batch if isinstance(each, InsertWrite)]
        if len(inserts) == len(batch):
            run = InsertRun([each.document for each in inserts])
            given = [each.operation for each in inserts]
            run_inserts(target, run, given, batch[0].index, self._ordered, outcome, writers)
            return
        for write in batch:
            try:
                write.run(target, writers, outcome)
            except OperationFailure as error:
                refuse(error, write.index, write.operation, outcome, writers)
                if self._ordered:
                    return


class InsertMany:
    """The writes of `insert_many`: nothing but inserts, of which only the bytes are kept."""

    def __init__(
        self, documents: list[Any], codec_options: CodecOptions[Any], ordered: bool
    ) -> None:
        """
        :param documents: as they were given, each with its `_id`.
        """
        self._documents = documents
        self._codec_options = codec_options
        self._ordered = ordered

    def run(self, target: WriteTarget) -> dict[str, Any]:
        """As `BulkWrite.run`."""
        if not self._documents:
            raise InvalidOperation("No operations to execute")
        outcome = BulkOutcome()
        position = 0
        while position < len(self._documents):
            message, are_stored_form = encode_documents(
                self._documents, position, self._codec_options, MESSAGE_WRITES, MESSAGE_BYTES
            )
            start = 0
            while start < len(message):
                batch = _first_batch(message, start)
                work = partial(
                    self._run_batch, target, batch, are_stored_form, position + start, outcome
                )
                commit_parts(target, len(batch), work, self._ordered, outcome)
                start += len(batch)
            position += len(message)
        outcome.raise_errors()
        return outcome.result

    def _run_batch(
        self,
        target: WriteTarget,
        encoded: list[bytes],
        are_stored_form: bool,
        first: int,
        outcome: BulkOutcome,
        start: int,
        end: int,
        writers: CollectionWriters,
    ) -> None:
        run = InsertRun(encoded[start:end], are_stored_form)
        given = self._documents[first + start : first + end]
        run_inserts(target, run, given, first + start, self._ordered, outcome, writers)


def commit_parts(
    target: WriteTarget,
    count: int,
    work: Callable[[int, int, CollectionWriters], None],
    ordered: bool,
    outcome: BulkOutcome,
) -> None:
    """Commit so many writes at once or, where that is more than a transaction may change, in parts.

    :param work: runs the writes from one on until before another.
    :raises BulkWriteError: `ordered`, and a write was refused.
    :raises TransactionTooLargeError: one write is too much, or the transaction of a session is.
    """
    may_split = not target.is_in_transaction  # which its failure ends
    start, most = 0, count
    while start < count:
        end = min(start + most, count)
        before = outcome.counts()
        try:
            target.write("bulkWrite", partial(work, start, end))
        except TransactionTooLargeError:
            if end - start == 1 or not may_split:
                raise
            outcome.take_back(before)
            most = (end - start) // 2
            continue
        if ordered:
            outcome.raise_errors()
        start = end


def run_inserts(
    target: WriteTarget,
    run: InsertRun,
    given: Sequence[object],
    first: int,
    ordered: bool,
    outcome: BulkOutcome,
    writers: CollectionWriters,
) -> None:
    """Run a batch of nothing but inserts, which is one call as long as none is refused.

    :param first: index of the first one among all writes of the statement.
    """
    while run.position < len(run.documents):
        before = run.position
        try:
            target.insert(writers, run)
            outcome.result["nInserted"] += run.position - before
        except OperationFailure as error:
            outcome.result["nInserted"] += run.position - before
            at = run.position
            run.position += 1
            refuse(error, first + at, given[at], outcome, writers)
            if ordered:
                return


def refuse(
    error: OperationFailure,
    index: int,
    operation: object,
    outcome: BulkOutcome,
    writers: CollectionWriters,
) -> None:
    """Note a refused write; a transaction of a session ends with its first error."""
    outcome.refuse(error, index, operation)
    if not writers.is_exclusive:
        outcome.raise_errors()


def _first_batch(message: list[bytes], start: int) -> list[bytes]:
    """Return the documents from one on that are committed at once."""
    end = start + 1
    size = len(message[start])
    most = min(len(message), start + BATCH_INSERTS)
    while end < most:
        size += len(message[end])
        if size > BATCH_BYTES:
            break
        end += 1
    return message[start:end]


def _batches(message: list[Write]) -> list[list[Write]]:
    """Split a message into what is committed at once."""
    batches: list[list[Write]] = []
    batch: list[Write] = []
    size = 0
    for write in message:
        if batch and (len(batch) >= BATCH_WRITES or size + write.size > BATCH_BYTES):
            batches.append(batch)
            batch = []
            size = 0
        batch.append(write)
        size += write.size
    batches.append(batch)
    return batches
