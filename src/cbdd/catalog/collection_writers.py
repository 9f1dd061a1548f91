"""The collections one write transaction works on.

A transaction may touch several collections, make some, and run many statements. `CollectionWriters`
keeps the writer of each for as long as the transaction lives, so that record ids are found once and
an index made half-way is used from then on.
"""

from __future__ import annotations

from collections.abc import Callable

from cbdd.catalog.catalog import Catalog
from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.index_spec import IndexRequest, is_same_index
from cbdd.catalog.refusal import NOT_IN_TRANSACTION, refusal
from cbdd.catalog.writer import CollectionWriter
from cbdd.storage import WriteTransaction


class CollectionWriters:
    """A write transaction seen from the catalog; belongs to one thread, ends with it."""

    def __init__(self, catalog: Catalog, txn: WriteTransaction, is_exclusive: bool) -> None:
        """Begin.

        :param is_exclusive: whether the transaction holds the writer lock until it ends.
        """
        self.catalog = catalog
        self.txn = txn
        self.is_exclusive = is_exclusive
        self.progress: Callable[[int, int], None] | None = None
        """Told how far an index build is: records done, and all records."""
        self._made: set[bytes] = set()
        self._writers: dict[bytes, CollectionWriter] = {}

    def find(self, database: str, name: str) -> CollectionWriter | None:
        """Return the writer of a collection, or None when there is no such collection."""
        entry = self.catalog.find(self.txn, database, name)
        return None if entry is None else self._writer_of(entry)

    def find_or_create(self, database: str, name: str) -> CollectionWriter:
        """Return the writer of a collection, which is made when it is not there."""
        entry = self.catalog.find(self.txn, database, name)
        if entry is None:
            entry = self.create(database, name, {})
        return self._writer_of(entry)

    def create(self, database: str, name: str, options: dict[str, object]) -> CollectionEntry:
        """Make a collection."""
        entry = self.catalog.create(self.txn, database, name, options)
        self._made.add(entry.key)
        return entry

    def create_index(self, database: str, name: str, request: IndexRequest) -> bool:
        """Build an index, on a new collection if need be; False when it exists already.

        :raises OperationFailure: code 263 in a transaction that does not hold the writer lock and
            did not make the collection: documents that others insert would miss the index.
        """
        entry = self.find_or_create(database, name).entry
        if is_same_index(entry, request, self.catalog.filters):
            return False
        if not self.is_exclusive and entry.key not in self._made:
            raise refusal(
                NOT_IN_TRANSACTION,
                f"Cannot create new indexes on existing collection {entry.namespace} in a "
                "multi-document transaction.",
            )
        self.catalog.create_index(self.txn, entry, request, self.progress)
        return True

    def _writer_of(self, entry: CollectionEntry) -> CollectionWriter:
        writer = self._writers.get(entry.key)
        if writer is not None and writer.entry.collection_id == entry.collection_id:
            if writer.entry.record != entry.record:
                writer.entry = entry
            return writer
        is_own = self.is_exclusive or entry.key in self._made
        if entry.is_capped and not is_own:
            raise refusal(
                NOT_IN_TRANSACTION,
                f"Collection '{entry.namespace}' is a capped collection. Writes in transactions "
                "are not allowed on capped collections.",
            )
        writer = CollectionWriter(self.txn, entry, None if is_own else self.catalog.blocks)
        self._writers[entry.key] = writer
        return writer
