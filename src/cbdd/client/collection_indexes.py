"""The index methods of `Collection`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import bson
from pymongo.operations import IndexModel

from cbdd.catalog import CollectionWriters, parse_index
from cbdd.catalog.refusal import NAMESPACE_NOT_FOUND, refusal
from cbdd.client.arguments import IndexKeys, check_list
from cbdd.client.command_cursor import CommandCursor
from cbdd.client.commands import index_document
from cbdd.client.core import CollectionCore
from cbdd.client.session import ClientSession
from cbdd.client.unsupported import refuse_keywords, unsupported
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_pattern import default_index_name
from cbdd.storage import ReadTransaction

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])

_COMMAND_OPTIONS: Final = ("maxTimeMS", "commitQuorum")
"""Options of the command, not of the index: how long it may take, which servers must have it."""


class CollectionIndexes(CollectionCore[DocumentT]):
    """Making, listing and dropping indexes."""

    def create_index(
        self,
        keys: IndexKeys,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> str:
        """Build an index over the documents there are, and keep it from then on.

        :param keys: a field name, or a list of (field, direction) pairs or names.
        :param kwargs: ``name``, ``unique``, ``sparse``, ``partialFilterExpression``,
            ``expireAfterSeconds``, ``hidden``, ``wildcardProjection``; options of other kinds of
            indexes raise. ``progress`` is a function that is told how many documents are done and
            how many there are.
        :return: the name of the index.
        :raises DuplicateKeyError: it is unique and two documents share a key; nothing is changed.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     client.shop.orders.create_index([("item", 1), ("qty", -1)])
        'item_1_qty_-1'
        """
        for option in _COMMAND_OPTIONS:
            kwargs.pop(option, None)
        progress = kwargs.pop("progress", None)
        models = [IndexModel(keys, **kwargs)]
        return self.create_indexes(models, session, comment, progress=progress)[0]

    def create_indexes(
        self,
        indexes: Sequence[IndexModel],
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> list[str]:
        """Build several indexes, all or none of them.

        :param indexes: a list of `pymongo.IndexModel`.
        :param kwargs: ``progress``, as for `create_index`.
        """
        check_list("indexes", indexes)
        progress = kwargs.pop("progress", None)
        for option in _COMMAND_OPTIONS:
            kwargs.pop(option, None)
        refuse_keywords("create_indexes", kwargs)
        names: list[str] = []
        requests = []
        for model in indexes:
            if not isinstance(model, IndexModel):
                raise TypeError(f"{model!r} is not an instance of pymongo.operations.IndexModel")
            names.append(model.document["name"])
            requests.append(parse_index(model.document))
        session = self._session(session)

        def build(writers: CollectionWriters) -> None:
            writers.progress = progress
            for request in requests:
                writers.create_index(self._database.name, self._name, request)

        self._store.write(
            session, "createIndexes", self._durability(session), build, self.full_name
        )
        return names

    def drop_index(
        self,
        index_or_name: IndexKeys,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> None:
        """Drop one index, given by name or by the list of pairs it was made with.

        :raises OperationFailure: code 27, there is no such index; 72, it is the one on ``_id``.
        """
        name = index_or_name
        if isinstance(name, list):
            name = default_index_name(name)
        if not isinstance(name, str):
            raise TypeError(f"index_or_name must be an instance of str or list, not {type(name)}")
        self._drop(name, session, kwargs)

    def drop_indexes(
        self, session: ClientSession | None = None, comment: object = None, **kwargs: Any
    ) -> None:
        """Drop every index but the one on ``_id``."""
        self._drop("*", session, kwargs)

    def reindex(
        self,
        name: str | None = None,
        session: ClientSession | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[str]:
        """Make indexes anew from the documents, in one transaction, whatever the old ones hold.

        For an index that disagrees with its documents or whose pages are damaged; CBDD's own.

        :param name: only this index; default: all, the one on ``_id`` too.
        :param progress: a function that is told how many documents are done and how many there are,
            for each index.
        :return: the names of the indexes that were made.
        :raises OperationFailure: code 26, there is no such collection; 27, no such index.
        :raises DuplicateKeyError: it is unique and two documents share a key; nothing is changed.
        :raises CorruptDataError: the documents themselves are damaged; nothing is changed.
        """
        session = self._session_outside_transaction(session, "reIndex")

        def rebuild(writers: CollectionWriters) -> list[str]:
            entry = writers.catalog.find(writers.txn, self._database.name, self._name)
            if entry is None:
                raise refusal(NAMESPACE_NOT_FOUND, "collection does not exist")
            writers.catalog.rebuild_indexes(writers.txn, entry, name, progress)
            return [each.name for each in entry.indexes if name in (None, each.name)]

        return self._store.write(
            session, "reIndex", self._durability(session), rebuild, self.full_name
        )

    def list_indexes(
        self, session: ClientSession | None = None, comment: object = None
    ) -> CommandCursor[MutableMapping[str, Any]]:
        """List the indexes as the listIndexes command does."""
        session = self._session(session)

        def read(txn: ReadTransaction) -> list[MutableMapping[str, Any]]:
            entry = self._store.catalog.find(txn, self._database.name, self._name)
            return [] if entry is None else [self._shown(each) for each in entry.indexes]

        return CommandCursor(
            self._store.read(session, read, "listIndexes", self.full_name), session
        )

    def index_information(
        self, session: ClientSession | None = None, comment: object = None
    ) -> MutableMapping[str, Any]:
        """Return the indexes by name, each with its key as a list of pairs."""
        information: dict[str, Any] = {}
        for index in self.list_indexes(session, comment):
            index["key"] = list(index["key"].items())
            information[index.pop("name")] = index
        return information

    def create_search_index(
        self,
        model: object,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Collection.create_search_index")

    def create_search_indexes(
        self,
        models: object,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Collection.create_search_indexes")

    def list_search_indexes(
        self,
        name: str | None = None,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Collection.list_search_indexes")

    def update_search_index(
        self,
        name: str,
        definition: object,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Collection.update_search_index")

    def drop_search_index(
        self,
        name: str,
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Collection.drop_search_index")

    def _shown(self, definition: IndexDefinition) -> MutableMapping[str, Any]:
        """Return an index as listIndexes shows it, its values decoded as this collection does."""
        shown: MutableMapping[str, Any] = index_document(definition)
        if definition.options:
            shown = bson.decode(bson.encode(shown), self.codec_options)
        return shown

    def _drop(self, name: str, session: ClientSession | None, keywords: dict[str, Any]) -> None:
        for option in _COMMAND_OPTIONS:
            keywords.pop(option, None)
        refuse_keywords("drop_index", keywords)
        session = self._session_outside_transaction(session, "dropIndexes")

        def drop(writers: CollectionWriters) -> None:
            entry = writers.catalog.find(writers.txn, self._database.name, self._name)
            if entry is None:
                return
            if name == "*":
                writers.catalog.drop_all_indexes(writers.txn, entry)
            else:
                writers.catalog.drop_index(writers.txn, entry, name)

        self._store.write(session, "dropIndexes", self._durability(session), drop, self.full_name)
