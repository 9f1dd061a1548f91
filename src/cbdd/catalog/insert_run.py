"""Inserting many documents in a row: one call for all, and its place when one is refused."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.catalog.collection_writers import CollectionWriters
from cbdd.catalog.stored_document import stored_document
from cbdd.catalog.writer import CollectionWriter
from cbdd.document.validate import check_document_id

MANY: Final = 32
"""Documents whose index entries are put in key order."""


@mypyc_attr(acyclic=True)
class InsertRun:
    """Documents to insert one after the other, encoded and validated."""

    def __init__(self, documents: list[bytes], are_stored_form: bool = False) -> None:
        """
        :param are_stored_form: what `validate_document` said of all of them.
        """
        self.documents = documents
        self._are_stored_form = are_stored_form
        self.position = 0
        """The next one; where `run` has raised, the one that was refused."""

    def run(self, writers: CollectionWriters, database: str, name: str, bypass: bool) -> None:
        """Insert those from the position on; the collection is made by the first that is allowed.

        :param bypass: whether they need not match the validator of the collection.
        :raises OperationFailure: one is refused; those before it are in, and it is as if it had
            not been tried.
        """
        writer: CollectionWriter | None = None
        timestamps = writers.catalog.timestamps
        documents = self.documents
        try:
            while self.position < len(documents):
                document = documents[self.position]
                is_stored_form = self._are_stored_form or check_document_id(document)
                if writer is None:
                    writer = writers.find_or_create(database, name)
                    writer.skips_validation = bypass
                    if len(documents) - self.position >= MANY:
                        writer.keep_entries()
                if not is_stored_form:
                    document = stored_document(document, timestamps)
                writer.insert(document)
                self.position += 1
        finally:
            if writer is not None:
                writer.put_kept()
