"""The client: PyMongo's names, arguments, results and errors over a file.

    connect -> Client -> Database -> Collection -> Cursor
                  \\-> ClientSession

This layer checks arguments and shapes results. What is stored and found is decided below, in
`cbdd.catalog` and `cbdd.query`; how a statement gets its transaction is in `store`, what the
writing statements do in `statements`.
"""

from cbdd.client.client import Client
from cbdd.client.collection import Collection
from cbdd.client.command_cursor import CommandCursor
from cbdd.client.connect import connect
from cbdd.client.cursor import Cursor, RawBatchCursor
from cbdd.client.database import Database
from cbdd.client.session import ClientSession

__all__ = [
    "Client",
    "ClientSession",
    "Collection",
    "CommandCursor",
    "Cursor",
    "Database",
    "RawBatchCursor",
    "connect",
]
