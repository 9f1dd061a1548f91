"""`Database`: a group of collections, with the methods of PyMongo's `Database`."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from bson.codec_options import CodecOptions
from bson.dbref import DBRef
from pymongo.errors import CollectionInvalid, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cbdd.catalog import CollectionWriters
from cbdd.catalog.collection_options import create_options
from cbdd.catalog.namespace import check_database_name
from cbdd.catalog.refusal import NOT_IN_TRANSACTION, refusal
from cbdd.client.arguments import check_mapping
from cbdd.client.collection import Collection
from cbdd.client.command_cursor import CommandCursor
from cbdd.client.commands import list_collections, run_command, server_status
from cbdd.client.modify_collection import modify_collection
from cbdd.client.session import ClientSession, session_for
from cbdd.client.settings import ReadPreferenceMode, Settings, durability_of
from cbdd.client.unsupported import refuse_arguments, unsupported

if TYPE_CHECKING:
    from cbdd.client.client import Client

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])


class Database(Settings, Generic[DocumentT]):
    """A database; got from a client by name, it exists once it has a collection.

    >>> import cbdd
    >>> client = cbdd.connect("shop.cbdd")
    >>> shop = client.shop
    >>> _ = shop.create_collection("orders")
    >>> shop.list_collection_names()
    ['orders']
    >>> client.close()
    """

    def __init__(
        self,
        client: Client[DocumentT],
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> None:
        super().__init__(
            codec_options or client.codec_options,
            read_preference or client.read_preference,
            write_concern or client.write_concern,
            read_concern or client.read_concern,
        )
        if not isinstance(name, str):
            raise TypeError(f"name must be an instance of str, not {type(name)}")
        check_database_name(name)
        self._client = client
        self._name = name

    @property
    def client(self) -> Client[DocumentT]:
        """The client this database was got from."""
        return self._client

    @property
    def name(self) -> str:
        """The name of this database."""
        return self._name

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Database[Any]:
        """Return this database with other options; those not given stay."""
        return type(self)(
            self._client,
            self._name,
            codec_options or self.codec_options,
            read_preference or self.read_preference,
            write_concern or self.write_concern,
            read_concern or self.read_concern,
        )

    # -- collections -----------------------------------------------------------------------

    def __getitem__(self, name: str) -> Collection[DocumentT]:
        return self._client._collection_class(self, name)

    def __getattr__(self, name: str) -> Collection[DocumentT]:
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. To access the {name} "
                f"collection, use database[{name!r}]."
            )
        return self[name]

    def get_collection(
        self,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Collection[DocumentT]:
        """Return a collection with its own options."""
        return self._client._collection_class(
            self, name, False, codec_options, read_preference, write_concern, read_concern
        )

    def create_collection(
        self,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        session: ClientSession | None = None,
        check_exists: bool | None = True,
        **kwargs: Any,
    ) -> Collection[DocumentT]:
        """Make a collection; inserting makes one too.

        :param kwargs: ``capped`` with ``size`` (bytes) and ``max`` (documents): a collection that
            drops its oldest documents; ``validator`` with ``validationLevel`` and
            ``validationAction``: a filter that documents must match.
        :raises CollectionInvalid: it exists already.
        """
        collection = self.get_collection(
            name, codec_options, read_preference, write_concern, read_concern
        )
        options = create_options(kwargs)
        session = session_for(self._client, session)
        is_plain = session is None or not session.in_transaction
        if check_exists and is_plain and name in self.list_collection_names(session):
            raise CollectionInvalid(f"collection {name} already exists")
        self._client._store.write(
            session,
            "create",
            durability_of(collection._write_concern_for(session)),
            lambda writers: writers.create(self._name, name, options),
        )
        return collection

    def list_collection_names(
        self,
        session: ClientSession | None = None,
        filter: Mapping[str, Any] | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> list[str]:
        """List the names of the collections.

        :param filter: a filter on the documents of `list_collections`.
        """
        if filter is not None:
            check_mapping("filter", filter)
        return [each["name"] for each in self.list_collections(session, filter, comment, **kwargs)]

    def list_collections(
        self,
        session: ClientSession | None = None,
        filter: Mapping[str, Any] | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> CommandCursor[MutableMapping[str, Any]]:
        """List the collections as the listCollections command does.

        :param filter: a filter on these documents, e.g. ``{"name": "orders"}``.
        """
        session = session_for(self._client, session)
        store = self._client._store
        documents = store.read(
            session,
            lambda txn: list_collections(store.catalog, txn, self._name, filter, dict(kwargs)),
        )
        return CommandCursor(documents, session)

    def drop_collection(
        self,
        name_or_collection: str | Collection[Any],
        session: ClientSession | None = None,
        comment: object = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Drop a collection with its indexes; one that does not exist is no error."""
        name = name_or_collection
        if isinstance(name, Collection):
            name = name.name
        if not isinstance(name, str):
            raise TypeError(f"name_or_collection must be an instance of str, not {type(name)}")
        refuse_arguments("drop_collection", encrypted_fields=encrypted_fields)
        database, collection = self._name, name
        session = self._session_outside_transaction(session, "drop")

        def drop(writers: CollectionWriters) -> dict[str, Any]:
            entry = writers.catalog.find(writers.txn, database, collection)
            if entry is None:
                return {"ok": 1.0}
            writers.catalog.drop(writers.txn, entry)
            return {"nIndexesWas": len(entry.indexes), "ns": entry.namespace, "ok": 1.0}

        return self._client._store.write(session, "drop", durability_of(self.write_concern), drop)

    def validate_collection(
        self,
        name_or_collection: str | Collection[Any],
        scandata: bool = False,
        full: bool = False,
        session: ClientSession | None = None,
        background: bool | None = None,
        comment: object = None,
    ) -> dict[str, Any]:
        """Check every record of a collection against every index entry.

        :raises CollectionInvalid: something is wrong; the message says what.
        """
        name = name_or_collection
        if isinstance(name, Collection):
            name = name.name
        if not isinstance(name, str):
            raise TypeError(
                f"name_or_collection must be an instance of str or Collection, not {type(name)}"
            )
        result = self.command({"validate": name}, session=session)
        if not result["valid"]:
            raise CollectionInvalid(f"{name} invalid: {result!r}")
        return result

    def dereference(
        self,
        dbref: DBRef,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> DocumentT | None:
        """Return the document a `DBRef` points to, or None."""
        if not isinstance(dbref, DBRef):
            raise TypeError(f"cannot dereference a {type(dbref)}")
        if dbref.database is not None and dbref.database != self._name:
            raise ValueError(
                "trying to dereference a DBRef that points to another database "
                f"({dbref.database!r} not {self._name!r})"
            )
        return self[dbref.collection].find_one(
            {"_id": dbref.id}, session=session, comment=comment, **kwargs
        )

    # -- commands --------------------------------------------------------------------------

    def command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        check: bool = True,
        allowable_errors: Sequence[str | int] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        codec_options: CodecOptions[Any] | None = None,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run a command: ping, buildInfo, hello, listDatabases, dbStats, collStats, validate,
        serverStatus or collMod.

        :param check: whether an error raises; else its document is returned.
        :raises OperationFailure: code 59 for any other command.
        """
        document = {command: value} if isinstance(command, str) else dict(command)
        document.update(kwargs)
        session = session_for(self._client, session)
        store = self._client._store
        try:
            if next(iter(document)).lower() == "collmod":
                self._session_outside_transaction(session, "collMod")
                return store.write(
                    session,
                    "collMod",
                    durability_of(self.write_concern),
                    lambda writers: modify_collection(writers, self._name, document),
                )
            if next(iter(document)).lower() == "serverstatus":
                return server_status(store)
            return store.read(
                session,
                lambda txn: run_command(store.catalog, txn, self._name, document),
                next(iter(document)),
                self._name,
            )
        except OperationFailure as error:
            details = dict(error.details or {})
            allowed = allowable_errors or ()
            if check and error.code not in allowed and details.get("errmsg") not in allowed:
                raise
            return details

    def cursor_command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        read_preference: ReadPreferenceMode | None = None,
        codec_options: CodecOptions[Any] | None = None,
        session: ClientSession | None = None,
        comment: object = None,
        max_await_time_ms: int | None = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Database.cursor_command")

    def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        session: ClientSession | None = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Database.aggregate")

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
        raise unsupported("Database.watch (a change stream)")

    # -- inside ----------------------------------------------------------------------------

    def _session_outside_transaction(
        self, session: ClientSession | None, command: str
    ) -> ClientSession | None:
        """Check a session for a command that MongoDB refuses inside a transaction."""
        session = session_for(self._client, session)
        if session is not None and session.in_transaction:
            raise refusal(
                NOT_IN_TRANSACTION, f"Cannot run '{command}' in a multi-document transaction."
            )
        return session

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Database):
            return self._client == other._client and self._name == other._name
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._client, self._name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r}, {self._name!r})"

    __iter__ = None

    def __next__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__!r} object is not iterable")

    next = __next__

    def __bool__(self) -> NoReturn:
        raise NotImplementedError(
            f"{type(self).__name__} objects do not implement truth value testing or bool(). "
            "Please compare with None instead: database is not None"
        )
