"""Collections: what the file holds, and the write of one document with all its index entries.

    client, query
        |
    CollectionWriters    one write transaction: the writer of each collection it touches
      |         |
    Catalog   CollectionWriter    names -> trees; record and index entries change together
      |         |
    storage   index, document

`Catalog` knows databases, collections and indexes. `CollectionWriter` is the only code that writes
records and index entries.
"""

from cbdd.catalog.catalog import Catalog
from cbdd.catalog.collection_writers import CollectionWriters
from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.index_spec import IndexRequest, parse_index
from cbdd.catalog.insert_run import InsertRun
from cbdd.catalog.record_store import read_record
from cbdd.catalog.writer import CollectionWriter

__all__ = [
    "Catalog",
    "CollectionEntry",
    "CollectionWriter",
    "CollectionWriters",
    "IndexRequest",
    "InsertRun",
    "parse_index",
    "read_record",
]
