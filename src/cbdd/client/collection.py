"""`Collection`: a group of documents, with the methods of PyMongo's `Collection`.

Its methods are in three parts: `collection_reads`, `collection_writes` and `collection_indexes`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import bson
from bson.codec_options import CodecOptions
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cbdd.catalog import CollectionWriters
from cbdd.catalog.namespace import check_collection_name
from cbdd.catalog.refusal import NAMESPACE_NOT_FOUND, refusal
from cbdd.client.collection_indexes import CollectionIndexes
from cbdd.client.collection_reads import CollectionReads
from cbdd.client.collection_writes import CollectionWrites
from cbdd.client.session import ClientSession
from cbdd.client.settings import ReadPreferenceMode, durability_of
from cbdd.client.unsupported import refuse_arguments
from cbdd.storage import ReadTransaction

if TYPE_CHECKING:
    from cbdd.client.database import Database

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])


class Collection(
    CollectionReads[DocumentT], CollectionWrites[DocumentT], CollectionIndexes[DocumentT]
):
    """A collection; got from a database by name, it exists once it has a document or an index.

    >>> import cbdd
    >>> client = cbdd.connect("shop.cbdd")
    >>> orders = client.shop.orders
    >>> orders.full_name
    'shop.orders'
    >>> _ = orders.insert_one({"_id": 1, "item": "tea"})
    >>> orders.count_documents({"item": "tea"})
    1
    >>> client.close()
    """

    def __init__(
        self,
        database: Database[DocumentT],
        name: str,
        create: bool | None = False,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        session: ClientSession | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            database, name, codec_options, read_preference, write_concern, read_concern
        )
        if create or kwargs:
            warnings.warn(
                "the arguments 'create' and those of create are deprecated, use create_collection",
                DeprecationWarning,
                stacklevel=2,
            )
            database.create_collection(name, session=session, **kwargs)

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreferenceMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Collection[Any]:
        """Return this collection with other options; those not given stay.

        :param write_concern: ``WriteConcern(j=True)`` makes every write wait for the disk.

        >>> import cbdd
        >>> from bson.codec_options import CodecOptions
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     aware = client.shop.orders.with_options(CodecOptions(tz_aware=True))
        ...     aware.codec_options.tz_aware
        True
        """
        return type(self)(
            self._database,
            self._name,
            False,
            codec_options or self.codec_options,
            read_preference or self.read_preference,
            write_concern or self.write_concern,
            read_concern or self.read_concern,
        )

    def __getitem__(self, name: str) -> Collection[DocumentT]:
        return type(self)(
            self._database,
            f"{self._name}.{name}",
            False,
            self.codec_options,
            self.read_preference,
            self.write_concern,
            self.read_concern,
        )

    def __getattr__(self, name: str) -> Collection[DocumentT]:
        if name.startswith("_"):
            full_name = f"{self._name}.{name}"
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. To access the {full_name} "
                f"collection, use database[{full_name!r}]."
            )
        return self[name]

    def drop(
        self,
        session: ClientSession | None = None,
        comment: object = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Drop this collection with its indexes; one that does not exist is no error."""
        self._database.with_options(write_concern=self.write_concern).drop_collection(
            self._name, session, comment, encrypted_fields
        )

    def rename(
        self,
        new_name: str,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> MutableMapping[str, Any]:
        """Give this collection another name; this object keeps the old one.

        :param kwargs: ``dropTarget=True`` drops a collection that has the new name.
        :raises OperationFailure: code 26, there is no such collection; 48, the name is taken.
        """
        if not isinstance(new_name, str):
            raise TypeError(f"new_name must be an instance of str, not {type(new_name)}")
        check_collection_name(new_name)
        drop_target = bool(kwargs.pop("dropTarget", False))
        refuse_arguments("rename", **kwargs)
        session = self._session_outside_transaction(session, "renameCollection")

        def run(writers: CollectionWriters) -> None:
            catalog = writers.catalog
            entry = catalog.find(writers.txn, self._database.name, self._name)
            if entry is None:
                raise refusal(
                    NAMESPACE_NOT_FOUND, f"Source collection {self.full_name} does not exist"
                )
            catalog.rename(writers.txn, entry, entry.database, new_name, drop_target)

        self._store.write(session, "renameCollection", durability_of(self.write_concern), run)
        return {"ok": 1.0}

    def options(
        self, session: ClientSession | None = None, comment: object = None
    ) -> MutableMapping[str, Any]:
        """Return the options this collection was made with."""

        def read(txn: ReadTransaction) -> MutableMapping[str, Any]:
            entry = self._entry(txn)
            if entry is None or not entry.options:
                return {}
            return bson.decode(bson.encode(entry.options), self.codec_options)

        return self._store.read(self._session(session), read)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__!r} object is not callable. If you meant to call the "
            f"{self._name.split('.')[-1]!r} method it is failing because no such method exists."
        )

    __iter__ = None

    def __next__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__!r} object is not iterable")

    next = __next__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Collection):
            return self._database == other._database and self._name == other._name
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._database, self._name))

    def __bool__(self) -> NoReturn:
        raise NotImplementedError(
            f"{type(self).__name__} objects do not implement truth value testing or bool(). "
            "Please compare with None instead: collection is not None"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database!r}, {self._name!r})"
