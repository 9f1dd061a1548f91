"""The first batch of a query that belongs to no session: all that most queries ever read.

What `Execution` does, from the snapshot to the documents, without a stop in between. A query that
ends within its first batch has let go of its snapshot when it returns.
"""

from __future__ import annotations

from cbdd.catalog import Catalog
from cbdd.query.executor import Execution, Query, count
from cbdd.query.point import Client
from cbdd.storage import ReadTransaction, StorageEngine


class FirstBatch:
    """The first documents of a query, as the projection wants them, and what goes on from there."""

    def __init__(
        self, documents: list[bytes], execution: Execution | None, txn: ReadTransaction | None
    ) -> None:
        """
        :param execution: None when there are no more documents.
        :param txn: the snapshot of the execution, to be closed by who gets it.
        """
        self.documents = documents
        self.execution = execution
        self.txn = txn


class QueryReader:
    """Begins the queries of one collection, and counts what they would find."""

    def __init__(self, client: Client, engine: StorageEngine, catalog: Catalog, key: bytes) -> None:
        """
        :param key: the collection's, of `catalog_key`.
        """
        self._client = client
        self._engine = engine
        self._catalog = catalog
        self._key = key

    def begin(self, query: Query, documents: int, size_bytes: int) -> FirstBatch:
        """Run a query until there are so many documents or bytes, or no more.

        :param size_bytes: 0 for no bound.

        Raises what a query raises; nothing is held then.
        """
        if self._client.is_closed:
            self._client.require_open()
        txn = self._engine.begin_read()
        try:
            execution = Execution(txn, self._catalog.find_key(txn, self._key), query)
            batch: list[bytes] = []
            if execution.fill(batch, documents, size_bytes):
                return FirstBatch(batch, execution, txn)
        except BaseException:
            txn.close()
            raise
        txn.close()
        return FirstBatch(batch, None, None)

    def count(self, query: Query) -> int:
        """Count the documents of a query; raises what it raises."""
        if self._client.is_closed:
            self._client.require_open()
        txn = self._engine.begin_read()
        try:
            return count(txn, self._catalog.find_key(txn, self._key), query)
        finally:
            txn.close()
            self._client.watch_expiry()
