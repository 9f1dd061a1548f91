"""Cursors over results that are already in memory: lists of databases, collections, indexes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from cbdd.client.arguments import check_not_negative

if TYPE_CHECKING:
    from cbdd.client.session import ClientSession

DocumentT = TypeVar("DocumentT", bound=Mapping[str, object])


class CommandCursor(Generic[DocumentT]):
    """The results of a command; iterate over it once.

    >>> cursor = CommandCursor([{"name": "a"}, {"name": "b"}])
    >>> [document["name"] for document in cursor]
    ['a', 'b']
    """

    def __init__(
        self, documents: Iterable[DocumentT], session: ClientSession | None = None
    ) -> None:
        self._data = deque(documents)
        self._session = session

    def batch_size(self, batch_size: int) -> CommandCursor[DocumentT]:
        """Accepted and without effect: everything is here already."""
        check_not_negative("batch_size", batch_size)
        return self

    def next(self) -> DocumentT:
        """Return the next document; `StopIteration` after the last."""
        if not self._data:
            raise StopIteration
        return self._data.popleft()

    def __next__(self) -> DocumentT:
        return self.next()

    def __iter__(self) -> CommandCursor[DocumentT]:
        return self

    def try_next(self) -> DocumentT | None:
        """Return the next document, or None."""
        return self._data.popleft() if self._data else None

    def to_list(self, length: int | None = None) -> list[DocumentT]:
        """Return the remaining documents, at most `length` of them, as a list."""
        if isinstance(length, int) and length < 1:
            raise ValueError("to_list() length must be greater than 0")
        documents: list[DocumentT] = []
        while self._data and (length is None or len(documents) < length):
            documents.append(self._data.popleft())
        return documents

    @property
    def alive(self) -> bool:
        """Whether there are more documents."""
        return bool(self._data)

    @property
    def cursor_id(self) -> int:
        """0: everything is read."""
        return 0

    @property
    def address(self) -> None:
        """None: there is no server."""
        return None

    @property
    def session(self) -> ClientSession | None:
        """The session the command was given, or None."""
        return self._session

    def close(self) -> None:
        """Let go of the documents that were not fetched."""
        self._data.clear()

    def __enter__(self) -> CommandCursor[DocumentT]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
