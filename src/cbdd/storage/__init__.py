"""Ordered trees of bytes in one file: pages, log, recovery, transactions, processes.

Start with `engine.StorageEngine`; the format is described in page.py, node.py, meta.py and
frame.py, the protocol in transaction.py, checkpoint.py, recovery.py and follow.py.
"""

from cbdd.storage.cursor import Cursor
from cbdd.storage.engine import StorageEngine
from cbdd.storage.io import Clock, Io, Randomness
from cbdd.storage.options import StorageOptions
from cbdd.storage.read_transaction import ReadTransaction
from cbdd.storage.transaction import WriteTransaction
from cbdd.storage.write_queue import QueuedWrite

__all__ = [
    "Clock",
    "Cursor",
    "Io",
    "QueuedWrite",
    "Randomness",
    "ReadTransaction",
    "StorageEngine",
    "StorageOptions",
    "WriteTransaction",
]
