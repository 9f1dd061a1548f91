"""The writing methods of `Collection`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import bson
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.collection import ReturnDocument
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    OperationFailure,
)
from pymongo.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)

from cbdd.catalog import CollectionWriters
from cbdd.client.arguments import (
    IndexKeys,
    check_boolean,
    check_collation,
    check_document,
    check_let,
    check_list,
    check_mapping,
    check_replacement,
    check_update,
    encode,
    encode_update,
    give_id,
    hint_of,
    index_document,
    projection_of,
)
from cbdd.client.bulk import BulkWrite, InsertMany
from cbdd.client.core import CollectionCore
from cbdd.client.session import TRANSIENT, ClientSession, is_unbound
from cbdd.client.settings import durability_of
from cbdd.client.statements import (
    DeleteStatement,
    InsertStatement,
    ModifyStatement,
    UpdateCounts,
    UpdateStatement,
    WriteTarget,
    decode_id,
)
from cbdd.client.unsupported import refuse_arguments
from cbdd.client.write_errors import write_error
from cbdd.document.validate import validate_document
from cbdd.errors import DiskFullError
from cbdd.query.executor import Query
from cbdd.query.point import LONG_WAY
from cbdd.query.update import compile_update

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])
T = TypeVar("T")


FIRST_PIECE = 256


def _delete_in_pieces(delete: Callable[[int], int]) -> int:
    """Delete in commits so small that a full disk has room for what each copies.

    :param delete: deletes so many of the documents and returns how many there were.
    """
    size = FIRST_PIECE
    total = 0
    while True:
        try:
            deleted = delete(size)
        except DiskFullError as error:
            if size == 1 and total:
                raise DiskFullError(
                    error.code,
                    f"{total} documents were deleted, then there was no space left to delete more",
                    "free space, then delete the rest",
                    {**error.details, "deleted": total},
                ) from error
            if size == 1:
                raise
            size //= 4
            continue
        total += deleted
        if deleted < size:
            return total


class CollectionWrites(CollectionCore[DocumentT]):
    """Inserting, replacing, updating and deleting documents."""

    _plain_target: WriteTarget | None = None
    """That of statements without a session, which nearly all are."""

    def insert_one(
        self,
        document: DocumentT | RawBSONDocument,
        bypass_document_validation: bool | None = None,
        session: ClientSession | None = None,
        comment: object = None,
    ) -> InsertOneResult:
        """Insert a document; one without ``_id`` gets one, which is added to it.

        :param document: a mapping that can be changed, or a `RawBSONDocument`.
        :raises DuplicateKeyError: a unique index holds one of its keys.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     client.shop.fruit.insert_one({"_id": 1, "name": "fig"})
        InsertOneResult(1, acknowledged=True)
        """
        is_plain = session is None and not bypass_document_validation
        if is_plain:
            done = (self._shortcuts or self._find_shortcuts()).insert(document)
            if done is not None:
                return done
        check_document("document", document)
        inserted_id = give_id(document)
        encoded = encode(document, self.codec_options)
        is_stored_form = validate_document(encoded)
        if is_plain and is_unbound():
            shortcuts = self._shortcuts or self._find_shortcuts()
            done = shortcuts.insert_encoded(encoded, is_stored_form, inserted_id)
            if done is not None:
                return done
        statement = InsertStatement(encoded)
        self._run(session, "insert", statement.run, bypass_document_validation)
        return InsertOneResult(inserted_id, self._is_acknowledged(session))

    def insert_many(
        self,
        documents: Iterable[DocumentT | RawBSONDocument],
        ordered: bool = True,
        bypass_document_validation: bool | None = None,
        session: ClientSession | None = None,
        comment: object = None,
    ) -> InsertManyResult:
        """Insert documents, some thousands of them or a mebibyte in one commit.

        :param documents: an iterable, read to its end before anything is written.
        :param ordered: whether to stop at the first document that is refused; the documents
            before it stay. Else all others are inserted.
        :raises BulkWriteError: documents were refused, see its ``details``.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     client.shop.fruit.insert_many([{"_id": 1}, {"_id": 2}]).inserted_ids
        [1, 2]
        """
        if not isinstance(documents, Iterable) or isinstance(documents, Mapping) or not documents:
            raise TypeError("documents must be a non-empty list")
        given = list(documents)
        inserted_ids: list[Any] = []
        for document in given:
            if type(document) is dict:  # all, as a rule: no calls
                if "_id" not in document:
                    document["_id"] = ObjectId()
                inserted_ids.append(document["_id"])
                continue
            check_document("document", document)
            identity = give_id(document)
            if not isinstance(document, RawBSONDocument):
                inserted_ids.append(identity)
        bulk = InsertMany(given, self.codec_options, ordered)
        self._run_bulk(session, bulk, bypass_document_validation)
        return InsertManyResult(inserted_ids, self._is_acknowledged(session))

    def replace_one(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: object = None,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: object = None,
    ) -> UpdateResult:
        """Put a document in the place of the first one that matches; ``_id`` stays.

        :param upsert: whether to insert the document when none matches.
        :param sort: which of the matching documents is the first.
        """
        if session is None and type(upsert) is bool and not bypass_document_validation:
            if collation is None and hint is None and let is None and sort is None:
                shortcuts = self._shortcuts or self._find_shortcuts()
                done = shortcuts.update(filter, replacement, True, upsert)
                if done is not None:
                    return done
        check_mapping("filter", filter)
        check_replacement(replacement)
        check_collation(collation)
        return self._update(
            filter,
            replacement,
            session,
            upsert=upsert,
            is_replacement=True,
            hint=hint,
            sort=sort,
            let=let,
            bypass=bypass_document_validation,
        )

    def update_one(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: object = None,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: object = None,
    ) -> UpdateResult:
        """Change the first document that matches.

        :param update: a document of update operators, e.g. ``{"$set": {"qty": 3}}``.
        :param upsert: whether to insert a document when none matches.
        :param array_filters: which elements ``$[name]`` in the update stands for.
        :param sort: which of the matching documents is the first.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     _ = client.shop.fruit.insert_one({"_id": 1, "qty": 2})
        ...     client.shop.fruit.update_one({"_id": 1}, {"$inc": {"qty": 5}}).modified_count
        1
        """
        if session is None and type(upsert) is bool and not bypass_document_validation:
            if collation is None and hint is None and let is None and sort is None:
                if array_filters is None:
                    shortcuts = self._shortcuts or self._find_shortcuts()
                    done = shortcuts.update(filter, update, False, upsert)
                    if done is not None:
                        return done
        check_mapping("filter", filter)
        check_update(update)
        if array_filters is not None:
            check_list("array_filters", array_filters)
        check_collation(collation)
        return self._update(
            filter,
            update,
            session,
            upsert=upsert,
            array_filters=array_filters,
            hint=hint,
            sort=sort,
            let=let,
            bypass=bypass_document_validation,
        )

    def update_many(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        upsert: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        bypass_document_validation: bool | None = None,
        collation: object = None,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: object = None,
    ) -> UpdateResult:
        """Change every document that matches, in one commit.

        When one of them cannot be changed, those before it stay changed, as in MongoDB.
        """
        check_mapping("filter", filter)
        check_update(update)
        if array_filters is not None:
            check_list("array_filters", array_filters)
        check_collation(collation)
        return self._update(
            filter,
            update,
            session,
            is_multi=True,
            upsert=upsert,
            array_filters=array_filters,
            hint=hint,
            let=let,
            bypass=bypass_document_validation,
        )

    def delete_one(
        self,
        filter: Mapping[str, Any],
        collation: object = None,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: object = None,
    ) -> DeleteResult:
        """Delete the first document that matches."""
        if session is None and collation is None and hint is None and let is None:
            done = (self._shortcuts or self._find_shortcuts()).delete(filter)
            if done is not None:
                return done
        check_collation(collation)
        return self._delete(filter, 1, hint, session, let)

    def delete_many(
        self,
        filter: Mapping[str, Any],
        collation: object = None,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: object = None,
    ) -> DeleteResult:
        """Delete every document that matches, in one commit.

        On a full disk, which may lack the room for that, in as many as it takes.
        """
        check_collation(collation)
        return self._delete(filter, 0, hint, session, let)

    def find_one_and_delete(
        self,
        filter: Mapping[str, Any],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: IndexKeys | None = None,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> DocumentT | None:
        """Delete the first document that matches and return it, or None."""
        return self._modify(
            "find_one_and_delete",
            filter,
            None,
            projection,
            sort,
            hint,
            session,
            kwargs,
            let,
        )

    def find_one_and_replace(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: IndexKeys | None = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> DocumentT | None:
        """Replace the first document that matches and return it, as it was or as it is now."""
        check_replacement(replacement)
        return self._modify(
            "find_one_and_replace",
            filter,
            replacement,
            projection,
            sort,
            hint,
            session,
            kwargs,
            let,
            is_replacement=True,
            upsert=upsert,
            return_new=return_document,
        )

    def find_one_and_update(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: IndexKeys | None = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: IndexKeys | None = None,
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> DocumentT | None:
        """Change the first document that matches and return it, as it was or as it is now.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     client.shop.counters.find_one_and_update(
        ...         {"_id": "order"}, {"$inc": {"n": 1}}, upsert=True, return_document=True
        ...     )
        {'_id': 'order', 'n': 1}
        """
        check_update(update)
        if array_filters is not None:
            check_list("array_filters", array_filters)
        return self._modify(
            "find_one_and_update",
            filter,
            update,
            projection,
            sort,
            hint,
            session,
            kwargs,
            let,
            upsert=upsert,
            return_new=return_document,
            array_filters=array_filters,
        )

    def bulk_write(
        self,
        requests: Sequence[Any],
        ordered: bool = True,
        bypass_document_validation: bool | None = None,
        session: ClientSession | None = None,
        comment: object = None,
        let: Mapping[str, Any] | None = None,
    ) -> BulkWriteResult:
        """Run several writes.

        :param requests: a list of `pymongo.InsertOne`, `UpdateOne`, `UpdateMany`, `ReplaceOne`,
            `DeleteOne` and `DeleteMany`.
        :param ordered: whether to stop at the first write that is refused.
        :raises BulkWriteError: writes were refused, see its ``details``.
        """
        check_list("requests", requests)
        bulk = BulkWrite(self.codec_options, ordered, let)
        for request in requests:
            bulk.add(request)
        result = self._run_bulk(session, bulk, bypass_document_validation)
        return BulkWriteResult(result or {}, self._is_acknowledged(session))

    # -- inside ----------------------------------------------------------------------------

    def _is_acknowledged(self, session: ClientSession | None) -> bool:
        if session is None and is_unbound():
            return self._write_concern.acknowledged
        return self._write_concern_for(self._session(session)).acknowledged

    def _target(self, session: ClientSession | None, bypass: bool | None = None) -> WriteTarget:
        if session is None and not bypass and is_unbound():
            if self._plain_target is None:
                durability = durability_of(self._write_concern)
                names = self._database.name, self._name
                self._plain_target = WriteTarget(self._store, None, durability, *names)
            return self._plain_target
        session = self._session(session)
        write_concern = self._write_concern_for(session)
        if session is not None and not write_concern.acknowledged:
            raise ConfigurationError(
                "Explicit sessions are incompatible with unacknowledged write concern: "
                f"{write_concern!r}"
            )
        return WriteTarget(
            self._store,
            session,
            durability_of(write_concern),
            self._database.name,
            self._name,
            bool(bypass),
        )

    def _run(
        self,
        session: ClientSession | None,
        operation: str,
        run: Callable[[WriteTarget, CollectionWriters], T],
        bypass: bool | None = None,
    ) -> T | None:
        """Run a statement of one write; None when it was refused and nobody asked to know."""
        target = self._target(session, bypass)
        try:
            return target.write(operation, partial(run, target))
        except OperationFailure as error:
            if error.has_error_label(TRANSIENT):
                raise  # the transaction is over; nothing was said about this write
            if not self._is_acknowledged(session):
                return None
            raise write_error(error) from error

    def _run_bulk(
        self, session: ClientSession | None, bulk: BulkWrite | InsertMany, bypass: bool | None
    ) -> dict[str, Any] | None:
        """Run a statement of many writes; None when some were refused and nobody asked to know."""
        target = self._target(session, bypass)
        try:
            return bulk.run(target)
        except BulkWriteError:
            if not self._is_acknowledged(session):
                return None
            raise

    def _update(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        session: ClientSession | None,
        upsert: bool,
        hint: IndexKeys | None,
        sort: Mapping[str, Any] | None = None,
        is_multi: bool = False,
        is_replacement: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        let: Mapping[str, Any] | None = None,
        bypass: bool | None = None,
    ) -> UpdateResult:
        check_boolean("upsert", upsert)
        check_let(let)
        if sort is not None:
            check_mapping("sort", sort)
        update_bytes = encode_update(update, self.codec_options)
        options = (session, hint, sort, let, array_filters)
        if options == (None,) * 5 and not bypass and type(update_bytes) is bytes:
            shortcuts = self._shortcuts or self._find_shortcuts()
            done = shortcuts.update_encoded(filter, update_bytes, is_replacement, upsert)
            if done is not None:
                return done
        filter_bytes = encode(filter, self.codec_options)

        def run(target: WriteTarget, writers: CollectionWriters) -> UpdateCounts:
            statement = UpdateStatement.compile(
                filter_bytes,
                update_bytes,
                is_replacement,
                is_multi,
                upsert,
                array_filters,
                hint_of(hint),
                sort,
                self.codec_options,
                writers.catalog.timestamps,
                let,
            )
            return statement.run(target, writers)

        counts = self._run(session, "update", run, bypass)
        if counts is None or not self._is_acknowledged(session):
            return UpdateResult(None, False)
        if counts.error is not None:
            raise write_error(counts.error) from counts.error
        return UpdateResult(self._update_document(counts), True)

    def _update_document(self, counts: UpdateCounts) -> dict[str, Any]:
        """Return what an update did as a server reports it."""
        document: dict[str, Any] = {"n": counts.matched, "nModified": counts.modified, "ok": 1.0}
        document["updatedExisting"] = counts.matched > 0
        if counts.upserted is not None:
            document["n"] = 1
            document["upserted"] = decode_id(counts.upserted, self.codec_options)
        return document

    def _delete(
        self,
        filter: Mapping[str, Any],
        limit: int,
        hint: IndexKeys | None,
        session: ClientSession | None,
        let: Mapping[str, Any] | None,
    ) -> DeleteResult:
        check_mapping("filter", filter)
        check_let(let)
        if (session, hint, let) == (None, None, None):
            done = (self._shortcuts or self._find_shortcuts()).delete(filter)
            if done is not None:
                return done
        filter_bytes = encode(filter, self.codec_options)

        def run(most: int, target: WriteTarget, writers: CollectionWriters) -> int:
            statement = DeleteStatement.compile(filter_bytes, most, hint_of(hint), let=let)
            return statement.run(target, writers)

        def delete(most: int) -> int:
            return self._run(session, "delete", partial(run, most)) or 0

        try:
            deleted = delete(limit)
        except DiskFullError:
            if limit or (session is not None and session.in_transaction):
                raise
            deleted = _delete_in_pieces(delete)
        return DeleteResult({"n": deleted, "ok": 1.0}, self._is_acknowledged(session))

    def _modify(
        self,
        method: str,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
        projection: Mapping[str, Any] | Iterable[str] | None,
        sort: IndexKeys | None,
        hint: IndexKeys | None,
        session: ClientSession | None,
        keywords: dict[str, Any],
        let: Mapping[str, Any] | None,
        is_replacement: bool = False,
        upsert: bool = False,
        return_new: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
    ) -> DocumentT | None:
        check_mapping("filter", filter)
        check_boolean("upsert", upsert)
        if not isinstance(return_new, bool):
            raise TypeError(
                "return_document must be ReturnDocument.BEFORE or ReturnDocument.AFTER, not "
                f"{type(return_new)}"
            )
        bypass = keywords.pop(
            "bypass_document_validation", keywords.pop("bypassDocumentValidation", None)
        )
        check_collation(keywords.pop("collation", None))
        limit = keywords.pop("maxTimeMS", None)
        refuse_arguments(method, **keywords)
        check_let(let)
        options = self.codec_options
        fields = projection_of(projection)
        update_bytes = None if update is None else encode_update(update, options)
        others = (session, sort, hint, let, array_filters, bypass, limit)
        if others == (None,) * 7 and (update_bytes is None or isinstance(update_bytes, bytes)):
            shortcuts = self._shortcuts or self._find_shortcuts()
            done: DocumentT | None = shortcuts.modify(
                filter, update_bytes, is_replacement, upsert, return_new, fields
            )
            if done is not LONG_WAY:
                return done
        query = Query.compile(
            filter,
            fields,
            sort=None if sort is None else index_document(sort),
            limit=1,
            hint=hint_of(hint),
            codec_options=options,
            let=let,
            is_upsert=upsert,
        )
        change = None
        if update_bytes is not None:
            change = compile_update(
                update_bytes,
                is_replacement,
                array_filters,
                options,
                self._store.catalog.timestamps,
            )
        statement = ModifyStatement(query, change, upsert, return_new)
        target = self._target(session, bypass)
        with self._store.time_limit(limit):
            found = target.write("findAndModify", partial(statement.run, target))
        if found is None:
            return None
        document: DocumentT = bson.decode(found, options)
        return document
