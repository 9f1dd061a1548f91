"""One document by its `_id`, without compiling a query: what is asked most often of all.

The answer is that of `Execution` for the filter ``{"_id": value}``: the same look-up in the same
index, on a snapshot of its own.
"""

from __future__ import annotations

from cbdd.catalog import Catalog
from cbdd.catalog.record_store import RECORD_ID_BYTES
from cbdd.query.stages import fetch_record
from cbdd.storage import StorageEngine


def find_by_id(engine: StorageEngine, catalog: Catalog, key: bytes, id_key: bytes) -> bytes | None:
    """Return the document as stored, or None.

    :param key: the collection's, of `catalog_key`.
    :param id_key: key string of the value, see `encode_plain`.
    """
    txn = engine.begin_read()
    try:
        entry = catalog.find_key(txn, key)
        if entry is None:
            return None
        index = entry.indexes[0]
        record_key = txn.get(index.tree_id, id_key)
        if record_key is None:
            return None
        return fetch_record(txn, entry, record_key[:RECORD_ID_BYTES], index.name)
    finally:
        txn.close()
