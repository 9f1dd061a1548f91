"""Opening the database file for a command, and finding the collection it names.

Commands that read open the file for reading only: nothing is created or changed, and a file on
read-only media works. UUIDs stay binary and dates out of Python's range stay numbers, so that
whatever is stored can be shown.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from pymongo.errors import ConfigurationError

import cbdd
from cbdd.cli.failures import BAD_USAGE, CANNOT_OPEN, CommandError
from cbdd.client import Client, Collection, Database
from cbdd.storage.check import SEVERE
from cbdd.storage.report import NETWORK_FILE_SYSTEM

Documents = dict[str, Any]


def open_for_reading(path: str, salvage: bool = False) -> Client[Documents]:
    """Open an existing file for reading only.

    :param salvage: show what is before damage at the end of the log, and say so on standard error.
    :raises NotADatabaseError: it does not exist, or is something else.
    """
    client = _connect(path, must_exist=True, read_only=True, salvage=salvage)
    _report(client)
    return client


def open_for_inspection(path: str) -> Client[Documents]:
    """Open for a command that reports what is damaged itself."""
    return _connect(path, must_exist=True, read_only=True, salvage=True)


def open_for_writing(
    path: str, wait_seconds: float, must_exist: bool = True, **options: Any
) -> Client[Documents]:
    """Open a file for writing, creating it if it need not exist.

    :param wait_seconds: how long to wait for a lock of another process.
    """
    client = _connect(path, must_exist=must_exist, lock_timeout_seconds=wait_seconds, **options)
    _report(client)
    return client


def database_of(client: Client[Documents], name: str | None) -> Database[Documents]:
    """Return the database named by `--database`, else the one named like the file."""
    if name is not None:
        return client[name]
    try:
        return client.get_default_database()
    except ConfigurationError as error:
        raise CommandError(
            f"no database can be named like {client.path}: use --database", BAD_USAGE, "DATABASE"
        ) from error


def existing_collection(
    client: Client[Documents], database: str | None, name: str
) -> Collection[Documents]:
    """Return a collection that exists.

    :raises CommandError: it does not; the message names those that do.
    """
    found = database_of(client, database)
    if name in found.list_collection_names():
        return found[name]
    others = [
        f"{each} --database {other}"
        for other in client.list_database_names()
        for each in client[other].list_collection_names()
        if other != found.name
    ]
    there = [*found.list_collection_names(), *others]
    listed = "; the file has: " + ", ".join(there[:20]) if there else "; the file has none"
    raise CommandError(f"no collection {found.name}.{name}{listed}", code="NAMESPACE_NOT_FOUND")


def _report(client: Client[Documents]) -> None:
    """Say on standard error what opening found that whoever reads or writes must know."""
    for finding in client.recovery_report.findings:
        if finding.severity == SEVERE or finding.code == NETWORK_FILE_SYSTEM:
            sys.stderr.write(f"cbdd: {finding.severity} {finding.code}: {finding.message}\n")


def _connect(path: str, **options: Any) -> Client[Documents]:
    if "://" in path:
        raise CommandError("the command line works on files, not on servers", BAD_USAGE, "FILE")
    if os.path.isdir(path):
        raise CommandError(f"{path} is a directory", CANNOT_OPEN, "NOT_A_FILE")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cbdd.NetworkFileSystemWarning)  # said in our own words
        return cbdd.connect(path, datetime_conversion="DATETIME_AUTO", **options)
