"""What a database has to do here; one that cannot do a thing leaves the method out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from benchmarks.documents import Document


class Contestant:
    """One open database with one collection.

    :param path: a name in a fresh folder.
    :param durability: ``full``: a write that has returned survives a power cut; ``normal``: it
        survives the process; ``off``: it may be lost.
    :param indexes: the fields that have an index; ``key`` is unique.
    """

    name: ClassVar[str] = ""
    package: ClassVar[str] = ""
    durabilities: ClassVar[tuple[str, ...]] = ("full", "normal", "off")
    largest: ClassVar[int] = 10**9
    """More documents than this would take hours."""
    most_operations: ClassVar[int] = 10**9
    """No more single operations than this are timed."""
    is_file: ClassVar[bool] = True
    has_indexes: ClassVar[bool] = True
    has_processes: ClassVar[bool] = True
    """Whether several threads and processes may use it at once."""

    def __init__(self, path: str, durability: str, indexes: Iterable[str] = ()) -> None:
        raise NotImplementedError

    def insert_many(self, documents: list[Document]) -> None:
        raise NotImplementedError

    def insert_one(self, document: Document) -> None:
        raise NotImplementedError

    def get(self, number: int) -> Document | None:
        raise NotImplementedError

    def by_key(self, key: str) -> Document | None:
        raise NotImplementedError

    def by_rank(self, low: int, high: int) -> list[Document]:
        """Those with ``low <= rank < high``."""
        raise NotImplementedError

    def scores_above(self, score: float) -> list[Document]:
        raise NotImplementedError

    def read_all(self) -> int:
        """Decode every document; return how many there are."""
        raise NotImplementedError

    def sorted_by(self, field: str, limit: int) -> list[Document]:
        """The first by ``rank`` or ``score``."""
        raise NotImplementedError

    def increment(self, number: int) -> None:
        raise NotImplementedError

    def update_many(self, score: float) -> int:
        """Add 1 to ``n`` of those above a score; return how many."""
        raise NotImplementedError

    def delete(self, number: int) -> None:
        raise NotImplementedError

    def count_ranks(self, low: int, high: int) -> int:
        raise NotImplementedError

    def skip_ranks(self, low: int, skip: int, limit: int) -> list[Document]:
        """Those from ``low`` on by rank, without the first ``skip``."""
        raise NotImplementedError

    def checkpoint(self) -> None:
        """Move the log into the file."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def can(contestant: type[Contestant], method: str) -> bool:
    """Whether it has a method of its own."""
    return getattr(contestant, method) is not getattr(Contestant, method)


def each(work: Callable[[Any], object], items: Iterable[Any]) -> None:
    """Do it for each."""
    for item in items:
        work(item)
