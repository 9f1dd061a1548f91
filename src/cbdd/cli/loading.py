"""Storing records in batches, and keeping account of what was stored and what was not.

A batch is one commit (or a few, when it is large). In the common case nothing is looked at twice;
when a batch is refused as a whole because one of its documents cannot be stored, its documents are
stored one by one, so that the others get in and the bad one is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, OperationFailure

from cbdd.cli.failures import message_of
from cbdd.cli.readers import Record
from cbdd.client import Collection
from cbdd.errors import WriteConflictError


class Loader:
    """Stores records in a collection.

    :param stops: whether the first bad record ends it; what came before it stays stored.
    :param on_error: called with each bad record.
    """

    def __init__(
        self,
        collection: Collection[dict[str, Any]],
        batch: int,
        stops: bool,
        on_error: Callable[[Record], None],
    ) -> None:
        self.inserted = 0
        self.skipped = 0
        self.is_stopped = False
        self._collection = collection
        self._batch_size = batch
        self._stops = stops
        self._on_error = on_error
        self._batch: list[Record] = []

    def add(self, record: Record) -> None:
        """Take a record; every so often a batch is stored."""
        if record.error:
            self._refuse_after_batch(record)
            return
        self._batch.append(record)
        if len(self._batch) >= self._batch_size:
            self.flush()

    def flush(self) -> None:
        """Store what is left."""
        batch, self._batch = self._batch, []
        if not batch or self.is_stopped:
            return
        try:
            documents = [RawBSONDocument(record.document) for record in batch]
            self._collection.insert_many(documents, ordered=self._stops)
        except BulkWriteError as error:
            self._account(batch, error.details or {})
        except WriteConflictError:
            raise
        except (BSONError, OperationFailure):
            self._store_each(batch)
        else:
            self.inserted += len(batch)

    def _refuse_after_batch(self, record: Record) -> None:
        """Refuse a record that could not be read, once everything before it is stored."""
        if self._stops or record.is_last:
            self.flush()
        if not self.is_stopped:
            self._refuse(record, record.error)
            self.is_stopped = self.is_stopped or record.is_last

    def _account(self, batch: list[Record], details: Mapping[str, Any]) -> None:
        self.inserted += details.get("nInserted", 0)
        for refused in details.get("writeErrors", []):
            self._refuse(batch[refused["index"]], str(refused["errmsg"]))

    def _store_each(self, batch: list[Record]) -> None:
        for record in batch:
            if self.is_stopped:
                return
            try:
                self._collection.insert_one(RawBSONDocument(record.document))
            except WriteConflictError:
                raise
            except (BSONError, OperationFailure) as error:
                self._refuse(record, message_of(error))
            else:
                self.inserted += 1

    def _refuse(self, record: Record, message: str) -> None:
        self.skipped += 1
        self.is_stopped = self._stops
        self._on_error(Record(record.place, error=message))
