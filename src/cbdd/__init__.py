"""CBDD: an embedded document database. One file, BSON documents, the PyMongo API.

    import cbdd

    with cbdd.connect("shop.cbdd") as client:
        orders = client.get_default_database().orders
        orders.insert_one({"item": "tea", "qty": 2})
        print(orders.find_one({"item": "tea"}))

`connect` opens a file, or a MongoDB deployment when it is given a ``mongodb://`` URI. Errors are
PyMongo's, and `CbddError` and its subclasses for what only a file can suffer.
"""

from cbdd.client import (
    Client,
    ClientSession,
    Collection,
    CommandCursor,
    Cursor,
    Database,
    RawBatchCursor,
    connect,
)
from cbdd.errors import (
    CbddError,
    ClosedError,
    CorruptDataError,
    DiskFaultError,
    DiskFullError,
    DurabilityError,
    ForkedError,
    LockedError,
    NetworkFileSystemWarning,
    NewerFormatError,
    NotADatabaseError,
    ReadOnlyError,
    ReplacedFileError,
    TransactionTooLargeError,
    UsageError,
    WriteConflictError,
)
from cbdd.storage.version import VERSION

__version__ = VERSION

__all__ = [
    "CbddError",
    "Client",
    "ClientSession",
    "ClosedError",
    "Collection",
    "CommandCursor",
    "CorruptDataError",
    "Cursor",
    "Database",
    "DiskFaultError",
    "DiskFullError",
    "DurabilityError",
    "ForkedError",
    "LockedError",
    "NetworkFileSystemWarning",
    "NewerFormatError",
    "NotADatabaseError",
    "RawBatchCursor",
    "ReadOnlyError",
    "ReplacedFileError",
    "TransactionTooLargeError",
    "UsageError",
    "WriteConflictError",
    "__version__",
    "connect",
]
