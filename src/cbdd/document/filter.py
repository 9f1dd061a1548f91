"""A question about one document, for layers below the query language.

Indexes and collections may belong to only those documents that match a filter. What a filter means
is known further up; whoever opens a file passes a `FilterCompiler` down, and everything below only
ever asks `matches`.
"""

from __future__ import annotations


class DocumentFilter:
    """A compiled filter; immutable, shared by threads.

    Filters of partial indexes that mean the same have the same `signature`.
    """

    signature: str = ""

    def matches(self, document: bytes) -> bool:
        """Tell whether a document matches."""
        raise NotImplementedError


class FilterCompiler:
    """Compiles filters; stateless."""

    def compile(self, filter: bytes) -> DocumentFilter:
        """Return the compiled form of a filter, which is BSON.

        :raises OperationFailure: the filter is not one.
        """
        raise NotImplementedError

    def compile_partial(self, filter: bytes) -> DocumentFilter:
        """Return the compiled filter of a partial index.

        :raises OperationFailure: it is no filter, or not one that a partial index may have.
        """
        raise NotImplementedError
