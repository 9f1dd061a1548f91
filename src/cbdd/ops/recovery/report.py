"""What recovering a file saved, and what it could not."""

from __future__ import annotations

from typing import Any, Final

MOST_IDS: Final = 1000
"""Of each kind so many `_id`s are listed; the counts are whole."""

EXACTLY: Final = "exactly"
AT_MOST: Final = "at most"
AT_LEAST: Final = "at least"
"""How well lost documents could be counted."""


class LostCommits:
    """Commits that nothing has any more; ``last_lsn`` None when nobody knows how many."""

    def __init__(self, first_lsn: int, last_lsn: int | None) -> None:
        self.first_lsn = first_lsn
        self.last_lsn = last_lsn

    def to_dict(self) -> dict[str, object]:
        """The range for JSON."""
        return {"first_lsn": self.first_lsn, "last_lsn": self.last_lsn}

    def __str__(self) -> str:
        if self.last_lsn is None:
            return f"those after LSN {self.first_lsn - 1}"
        if self.first_lsn == self.last_lsn:
            return f"LSN {self.first_lsn}"
        return f"LSN {self.first_lsn} to {self.last_lsn}"


class Documents:
    """How many documents met with one fate, and the `_id`s of some, where they are known."""

    def __init__(self) -> None:
        self.count = 0
        self.ids: list[Any] = []

    def add(self, identity: object = None, is_known: bool = True) -> None:
        """Count one."""
        self.count += 1
        if is_known and len(self.ids) < MOST_IDS:
            self.ids.append(identity)

    def remove(self, identity: object) -> None:
        """Count one less: it met with another fate after all."""
        self.count -= 1
        if identity in self.ids:
            self.ids.remove(identity)

    def to_dict(self) -> dict[str, object]:
        """The documents for JSON."""
        return {"count": self.count, "ids": self.ids}


class CollectionOutcome:
    """One collection of the new file.

    ``saved`` documents verify and are the newest that were stored. ``lost`` ones were there and
    are nowhere any more; ``lost_bound`` says how well they could be counted: exactly, at most so
    many, at least so many. ``stale`` ones were there, and what is saved of them is an older version
    that verifies.
    ``resurrected`` ones are older versions too, of documents that may have been deleted since.
    ``displaced`` ones were left out for another document with the same key of a unique index.
    """

    def __init__(self, database: str, name: str) -> None:
        self.database = database
        self.name = name
        self.name_is_known = True
        self.saved = 0
        self.lost = Documents()
        self.lost_bound = EXACTLY
        self.stale = Documents()
        self.resurrected = Documents()
        self.displaced = Documents()
        self.indexes: list[str] = []
        self.indexes_left_out: dict[str, str] = {}

    @property
    def documents(self) -> int:
        """Documents of the collection in the new file."""
        return self.saved + self.stale.count + self.resurrected.count

    @property
    def is_whole(self) -> bool:
        """Whether everything is there, as it was."""
        return (
            self.name_is_known
            and self.lost_bound != AT_LEAST
            and not (self.lost.count or self.stale.count or self.resurrected.count)
            and not self.displaced.count
            and not self.indexes_left_out
        )

    def to_dict(self) -> dict[str, object]:
        """The outcome for JSON."""
        return {
            "database": self.database,
            "collection": self.name,
            "name_is_known": self.name_is_known,
            "documents": self.documents,
            "saved": self.saved,
            "lost": self.lost.to_dict(),
            "lost_bound": self.lost_bound,
            "stale": self.stale.to_dict(),
            "resurrected": self.resurrected.to_dict(),
            "displaced": self.displaced.to_dict(),
            "indexes": self.indexes,
            "indexes_left_out": self.indexes_left_out,
        }


class RecoverReport:
    """The whole: where the new file stands, what was damaged, and each collection's outcome.

    ``lsn`` is that of the newest commit in the new file. Unless ``catalog_is_complete``, the file
    may have had collections that nothing is left of. ``lost_commits`` are gaps in the log: what
    they changed is unknown, so documents not written after them may be older than they were.
    ``originals`` has the SHA-256 of every file that was read, the same before and after.
    """

    def __init__(self, path: str, output: str) -> None:
        self.path = path
        self.output = output
        self.generation = 0
        self.lsn = 0
        self.last_commit_us = 0
        self.commits_replayed = 0
        self.lost_commits: list[LostCommits] = []
        self.notes: list[str] = []
        self.damaged_pages: list[int] = []
        self.catalog_is_complete = True
        self.collections: list[CollectionOutcome] = []
        self.originals: dict[str, str] = {}
        self.seconds = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether the new file has everything that was asked for."""
        if self.lost_commits or not self.catalog_is_complete:
            return False
        return all(each.is_whole for each in self.collections)

    def to_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return {
            "path": self.path,
            "output": self.output,
            "is_whole": self.is_whole,
            "generation": self.generation,
            "lsn": self.lsn,
            "last_commit_us": self.last_commit_us,
            "commits_replayed": self.commits_replayed,
            "lost_commits": [each.to_dict() for each in self.lost_commits],
            "notes": self.notes,
            "damaged_pages": self.damaged_pages,
            "catalog_is_complete": self.catalog_is_complete,
            "collections": [each.to_dict() for each in self.collections],
            "originals": self.originals,
            "seconds": self.seconds,
        }
