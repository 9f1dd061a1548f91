"""The records of a collection: a tree of 8-byte record ids, big-endian, to BSON documents.

Record ids start at 1 and grow, so the order of the tree is the order of insertion. Sequences that
must survive a drop or a crash live in tree 2:

    key                             value (8 bytes, big-endian)
    "capped" NUL collection id      bytes of the documents of a capped collection
    "collection"                    next collection id
    "record-ids" NUL collection id  highest record id ever reserved for a transaction
    "tree"                          next tree id

A missing sequence stands for its first value, so a new file needs no writes.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be

from cbdd.catalog.entry import CollectionEntry
from cbdd.errors import CorruptDataError
from cbdd.storage import ReadTransaction, WriteTransaction

CATALOG_TREE: Final = 1
SEQUENCE_TREE: Final = 2
FIRST_USER_TREE: Final = 16
FIRST_COLLECTION_ID: Final = 1

RECORD_ID_BYTES: Final = 8

_TREE_SEQUENCE: Final = b"tree"
_COLLECTION_SEQUENCE: Final = b"collection"
_RECORD_ID_SEQUENCE: Final = b"record-ids\0"
_CAPPED_SEQUENCE: Final = b"capped\0"


def encode_record_id(record_id: int) -> bytes:
    """Return the key of a record."""
    return record_id.to_bytes(RECORD_ID_BYTES, "big")


def decode_record_id(key: bytes) -> int:
    """Return the record id that a key or an index entry's value stands for."""
    if len(key) == RECORD_ID_BYTES and key[0] < 0x80:
        return int(read_i64_be(key, 0))
    return int.from_bytes(key, "big")  # of a damaged file


def read_record(txn: ReadTransaction, entry: CollectionEntry, record_id: int) -> bytes | None:
    """Return the document stored under a record id, or None."""
    return txn.get(entry.record_tree, encode_record_id(record_id))


def last_record_id(txn: ReadTransaction, entry: CollectionEntry) -> int:
    """Return the highest record id in use, 0 when the collection is empty."""
    if not txn.has_tree(entry.record_tree):
        return 0
    key = txn.last_key(entry.record_tree)
    return 0 if key is None else decode_record_id(key)


def next_tree_id(txn: WriteTransaction) -> int:
    """Allot a tree id."""
    return _advance(txn, _TREE_SEQUENCE, FIRST_USER_TREE)


def next_collection_id(txn: WriteTransaction) -> int:
    """Allot a collection id."""
    return _advance(txn, _COLLECTION_SEQUENCE, FIRST_COLLECTION_ID)


def peek_tree_id(txn: ReadTransaction) -> int:
    """Return the tree id that would be allotted next."""
    return _read(txn, _TREE_SEQUENCE, FIRST_USER_TREE)


def peek_collection_id(txn: ReadTransaction) -> int:
    """Return the collection id that would be allotted next."""
    return _read(txn, _COLLECTION_SEQUENCE, FIRST_COLLECTION_ID)


def reserved_record_id(txn: ReadTransaction, collection_id: int) -> int:
    """Return the highest record id reserved for a transaction, 0 when there is none."""
    return _read(txn, _reservation_key(collection_id), 0)


def reserve_record_ids(txn: WriteTransaction, collection_id: int, highest: int) -> None:
    """Note that record ids up to `highest` belong to a transaction."""
    txn.put(SEQUENCE_TREE, _reservation_key(collection_id), encode_record_id(highest))


def forget_collection(txn: WriteTransaction, collection_id: int) -> None:
    """Drop the sequences of a collection that is dropped."""
    txn.delete(SEQUENCE_TREE, _reservation_key(collection_id))
    txn.delete(SEQUENCE_TREE, _CAPPED_SEQUENCE + encode_record_id(collection_id))


def capped_size(txn: ReadTransaction, collection_id: int) -> int:
    """Return the bytes of all documents of a capped collection."""
    return _read(txn, _CAPPED_SEQUENCE + encode_record_id(collection_id), 0)


def put_capped_size(txn: WriteTransaction, collection_id: int, size: int) -> None:
    """Note the bytes of all documents of a capped collection."""
    key = _CAPPED_SEQUENCE + encode_record_id(collection_id)
    txn.put(SEQUENCE_TREE, key, encode_record_id(size))


def _reservation_key(collection_id: int) -> bytes:
    return _RECORD_ID_SEQUENCE + encode_record_id(collection_id)


def _advance(txn: WriteTransaction, key: bytes, first: int) -> int:
    value = _read(txn, key, first)
    txn.put(SEQUENCE_TREE, key, encode_record_id(value + 1))
    return value


def _read(txn: ReadTransaction, key: bytes, missing: int) -> int:
    stored = txn.get(SEQUENCE_TREE, key)
    if stored is None:
        return missing
    if len(stored) != RECORD_ID_BYTES:
        raise CorruptDataError(
            "CATALOG_SEQUENCE",
            f"the sequence {key!r} holds {len(stored)} bytes instead of {RECORD_ID_BYTES}",
            "run `cbdd check`",
            {"key": key, "value": stored},
        )
    return decode_record_id(stored)
