"""`Client`: one open database file, with the methods of PyMongo's `MongoClient`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar, cast

from bson.codec_options import CodecOptions
from pymongo.client_session import (  # type: ignore[attr-defined]
    SessionOptions,
    TransactionOptions,
)
from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cbdd.catalog import CollectionWriters
from cbdd.catalog.refusal import NOT_IN_TRANSACTION, refusal
from cbdd.client.collection import Collection
from cbdd.client.command_cursor import CommandCursor
from cbdd.client.commands import build_info, list_databases
from cbdd.client.database import Database
from cbdd.client.monitoring import CommandMonitor, MonitoredCollection, MonitoredDatabase
from cbdd.client.options import ClientOptions
from cbdd.client.session import ClientSession, session_for
from cbdd.client.settings import ReadPreferenceMode, Settings, durability_of
from cbdd.client.store import Store
from cbdd.client.unsupported import unsupported
from cbdd.errors import NetworkFileSystemWarning
from cbdd.storage import Clock, Io, Randomness, StorageEngine
from cbdd.storage.check import CheckReport
from cbdd.storage.report import NETWORK_FILE_SYSTEM, RecoveryReport

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])


class Client(Settings, Generic[DocumentT]):
    """An open database file; made by `cbdd.connect`, safe to use from many threads.

    >>> import cbdd
    >>> client = cbdd.connect("shop.cbdd")
    >>> client["shop"]["orders"] == client.shop.orders
    True
    >>> client.close()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        io: Io | None = None,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        **options: Any,
    ) -> None:
        """Open the file, see `cbdd.connect` for the options.

        :param io: every system call on a file; tests put their own disk here.
        :param clock: the clock; tests put their own time here.
        :param randomness: the source of identities; tests put their own dice here.
        """
        target = os.fspath(path)
        parsed = ClientOptions(target, options)
        super().__init__(
            parsed.codec_options,
            parsed.read_preference,
            parsed.write_concern,
            parsed.read_concern,
        )
        durability_of(parsed.write_concern)
        self._options = parsed
        self._clock = clock or Clock()
        self._randomness = randomness or Randomness()
        engine = StorageEngine.open(
            target, parsed.storage, io=io, clock=self._clock, randomness=self._randomness
        )
        try:
            parsed.require_agreement(engine)
            for finding in engine.recovery_report.findings:
                if finding.code == NETWORK_FILE_SYSTEM:
                    warnings.warn(finding.message, NetworkFileSystemWarning, stacklevel=3)
        except BaseException:
            engine.close()
            raise
        durability = parsed.storage.durability
        self._store = Store(
            engine.path,
            engine,
            durability,
            self._clock,
            self._randomness,
            parsed.storage.read_only,
            parsed.slow_seconds,
        )
        self._monitor: CommandMonitor | None = None
        self._collection_class: type[Collection[Any]] = Collection
        self._database_class: type[Database[Any]] = Database
        if parsed.event_listeners:
            self._monitor = CommandMonitor(engine.path, parsed.event_listeners)
            self._collection_class = MonitoredCollection
            self._database_class = MonitoredDatabase
        self._store.look_for_expiry()

    # -- the file --------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return self._store.path

    @property
    def recovery_report(self) -> RecoveryReport:
        """What opening found and did: frames redone, bytes cut, time of the last commit."""
        return self._store.engine.recovery_report

    def checkpoint(self) -> None:
        """Write everything in the log into the file and start a new log."""
        self._store.require_open()
        self._store.engine.checkpoint()

    def check(self, progress: Callable[[int, int], None] | None = None) -> CheckReport:
        """Check the whole file: pages, trees, and every index entry against its document.

        :param progress: a function that is told how many pages are read and how many there are.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     client.check().problems
        []
        """
        return self._store.check(progress)

    def backup(
        self,
        target: str | os.PathLike[str],
        base: str | os.PathLike[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Copy the database to a new directory, consistent, while others go on writing.

        Returns the manifest: what the backup is of, at which LSN, how large. `cbdd restore` makes
        a database of it.

        :param target: the directory; it must not be there yet.
        :param base: an earlier backup of this database: pages that it has are left out, and it is
            needed to restore this one.
        :param progress: a function that is told how many pages are done and how many there are.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     _ = client.shop.orders.insert_one({"item": "tea"})
        ...     client.backup("monday")["pages"] > 0
        True
        """
        self._store.require_open()
        directory = os.path.abspath(os.fspath(target))
        before = "" if base is None else os.path.abspath(os.fspath(base))
        return self._store.engine.backup(directory, before, progress).manifest

    def expire_documents(self) -> int:
        """Delete now what has expired by TTL indexes, and return the number of documents.

        A thread does the same once a minute while the file is open.

        >>> import cbdd, datetime
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     _ = client.shop.carts.create_index("left", expireAfterSeconds=3600)
        ...     _ = client.shop.carts.insert_one({"left": datetime.datetime(2020, 1, 1)})
        ...     _ = client.expire_documents()
        ...     client.shop.carts.count_documents({})
        0
        """
        return self._store.expire_documents()

    def statistics(self) -> dict[str, object]:
        """Return counts and sizes of the storage engine."""
        self._store.require_open()
        return self._store.engine.statistics()

    def counters(self) -> dict[str, object]:
        """Return how many operations of each kind this client has done, failed and slow ones too.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     _ = client.shop.orders.insert_one({"item": "tea"})
        ...     client.counters()["operations"]["insert"]
        1
        """
        return self._store.operations.counters()

    def close(self) -> None:
        """Close the file; calling it again does nothing.

        Sessions and cursors of this client end with it.
        """
        self._store.close()

    def __enter__(self) -> Client[DocumentT]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- databases -------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Database[DocumentT]:
        return self._database_class(self, name)

    def __getattr__(self, name: str) -> Database[DocumentT]:
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. To access the {name} database, "
                f"use client[{name!r}]."
            )
        return self[name]

    def get_database(
        self,
        name: str | None = None,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Database[DocumentT]:
        """Return a database with its own options.

        :param name: default: the default database, see `get_default_database`.
        """
        if name is None:
            name = self._default_name(None)
            if name is None:
                raise ConfigurationError("No default database defined")
        return self._database_class(
            self, name, codec_options, read_preference, write_concern, read_concern
        )

    def get_default_database(
        self,
        default: str | None = None,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Database[DocumentT]:
        """Return the database named by the option ``default_database``, else by `default`, else
        by the file: the default database of ``shop.cbdd`` is ``shop``.

        :raises ConfigurationError: none of them names one that is allowed.
        """
        name = self._default_name(default)
        if name is None:
            raise ConfigurationError("No default database name defined or provided.")
        return self._database_class(
            self, name, codec_options, read_preference, write_concern, read_concern
        )

    def list_database_names(
        self, session: ClientSession | None = None, comment: object = None
    ) -> list[str]:
        """List the names of the databases that have a collection."""
        return [each["name"] for each in self.list_databases(session, nameOnly=True)]

    def list_databases(
        self, session: ClientSession | None = None, comment: object = None, **kwargs: Any
    ) -> CommandCursor[dict[str, Any]]:
        """List the databases as the listDatabases command does.

        :param kwargs: ``filter`` and ``nameOnly``.
        """
        session = session_for(self, session)
        with self._told({"listDatabases": 1, **kwargs}, "admin"):
            documents = self._store.read(
                session,
                lambda txn: list_databases(self._store.catalog, txn, dict(kwargs)),
                "listDatabases",
            )
        return CommandCursor(documents, session)

    def drop_database(
        self,
        name_or_database: str | Database[Any],
        session: ClientSession | None = None,
        comment: object = None,
    ) -> None:
        """Drop a database with all its collections, in one transaction."""
        name = name_or_database
        if isinstance(name, Database):
            name = name.name
        if not isinstance(name, str):
            raise TypeError(
                f"name_or_database must be an instance of str or a Database, not {type(name)}"
            )
        database = self[name].name
        session = session_for(self, session)
        if session is not None and session.in_transaction:
            raise refusal(
                NOT_IN_TRANSACTION, "Cannot run 'dropDatabase' in a multi-document transaction."
            )

        def drop(writers: CollectionWriters) -> None:
            for entry in writers.catalog.list_collections(writers.txn, database):
                writers.catalog.drop(writers.txn, entry)

        with self._told({"dropDatabase": 1}, database):
            durability = durability_of(self._write_concern)
            self._store.write(session, "dropDatabase", durability, drop, database)

    def server_info(self, session: ClientSession | None = None) -> dict[str, Any]:
        """Return what the buildInfo command returns."""
        session_for(self, session)
        self._store.require_open()
        return build_info()

    # -- sessions --------------------------------------------------------------------------

    def start_session(
        self,
        causal_consistency: bool | None = None,
        default_transaction_options: TransactionOptions | None = None,
        snapshot: bool | None = False,
    ) -> ClientSession:
        """Start a session, for transactions or, with ``snapshot=True``, for reads from one
        snapshot.

        :param causal_consistency: accepted; one file is always causally consistent.
        """
        self._store.require_open()
        options = SessionOptions(causal_consistency, default_transaction_options, snapshot)
        return ClientSession(cast("Client[Any]", self), options)

    # -- what a deployment has and a file has not ------------------------------------------

    @property
    def address(self) -> None:
        """None: there is no server."""
        return None

    @property
    def nodes(self) -> frozenset[tuple[str, int]]:
        """Empty: there are no servers."""
        return frozenset()

    @property
    def primary(self) -> None:
        """None: there are no servers."""
        return None

    @property
    def secondaries(self) -> set[tuple[str, int]]:
        """Empty: there are no servers."""
        return set()

    @property
    def arbiters(self) -> set[tuple[str, int]]:
        """Empty: there are no servers."""
        return set()

    @property
    def is_primary(self) -> bool:
        """True unless the file was opened for reading only."""
        return not self._options.storage.read_only

    @property
    def is_mongos(self) -> bool:
        """False."""
        return False

    @property
    def options(self) -> ClientOptions:
        """The options this client was opened with."""
        return self._options

    @property
    def topology_description(self) -> NoReturn:
        """Not supported: there is no deployment to describe."""
        raise unsupported("Client.topology_description")

    def append_metadata(self, driver_info: object) -> None:
        """Accepted and without effect: there is no server to tell."""

    def eq_props(self) -> NoReturn:
        """Not supported: clients of a file are compared by their path."""
        raise unsupported("Client.eq_props")

    def bulk_write(
        self,
        models: Sequence[Any],
        session: ClientSession | None = None,
        ordered: bool = True,
        verbose_results: bool = False,
        bypass_document_validation: bool | None = None,
        comment: object = None,
        let: Mapping[str, Any] | None = None,
        write_concern: WriteConcern | None = None,
    ) -> NoReturn:
        """Not supported by this release: use `Collection.bulk_write`."""
        raise unsupported("Client.bulk_write")

    def watch(
        self,
        pipeline: Sequence[Mapping[str, Any]] | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: object = None,
        start_at_operation_time: object = None,
        session: ClientSession | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: object = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Client.watch (a change stream)")

    # -- inside ----------------------------------------------------------------------------

    def _told(
        self, command: dict[str, Any], database: str
    ) -> AbstractContextManager[dict[str, Any]]:
        """Tell the listeners, if there are any, of what the block does."""
        if self._monitor is None:
            return nullcontext({})
        return self._monitor.observe(command, database)

    def _default_name(self, default: str | None) -> str | None:
        return self._options.named_database or default or self._options.stem_database

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Client):
            return self._store.path == other._store.path
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._store.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store.path!r})"

    __iter__ = None

    def __next__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__!r} object is not iterable")

    next = __next__

    def __bool__(self) -> bool:
        return True
