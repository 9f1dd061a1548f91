"""What can be chosen when a database is opened."""

from __future__ import annotations

from typing import Final

from cbdd.errors import UsageError
from cbdd.storage.page import MAX_PAGE_SIZE, MIN_PAGE_SIZE

FULL: Final = "full"
NORMAL: Final = "normal"
OFF: Final = "off"
DURABILITIES: Final = (FULL, NORMAL, OFF)
MIN_CACHE_BYTES: Final = 1 << 20


class StorageOptions:
    """Options of one open database.

    :param page_size_bytes: size of a page, a power of two from 4096 to 65536; used at creation.
    :param cache_size_bytes: budget for nodes in memory, clean and dirty.
    :param durability: ``full``: a commit returns when it is on disk; ``normal``: synced every
        ``sync_interval_seconds`` and at checkpoints, a power cut loses at most that; ``off``:
        synced at checkpoints only. A crash of the process loses nothing in any of them.
    :param checkpoint_log_bytes: log size from which on a checkpoint is due: it starts when no
        statement has begun and nobody has written for a moment, within seconds, or at twice the
        size.
    :param lock_timeout_seconds: how long to wait for a lock another process holds.
    :param read_only: never write; works on read-only media.
    :param salvage: with ``read_only``: open although the log is damaged or missing, or the file is
        cut, and show what is before the damage; what is behind raises. Without it such a file is
        refused.
    :param must_exist: fail rather than create the file.
    :param background: checkpoints and interval syncs run on a thread; else inline, as tests want.
    :param flight_recorder: keep ``NAME-events``.
    :param max_transaction_bytes: keys and values one transaction may change.
    :param reserve_bytes: space kept at the end of the file, so that deleting, checkpoints and
        closing work on a full disk; 0 keeps none. With pages of more than 8 KiB it is as many
        times as large.
    :param archive: a directory in which segments of the log are kept when they are no longer needed
        beside the file, for restoring to a point in time. From then on segments are only removed by
        processes that give it.
    :param ends_archive: the log is not archived any more.
    :param archive_retention_seconds: segments whose commits are all older are removed from the
        archive; 0 keeps them for good.
    :param log_allocation_bytes: the log grows by this much at a time, so that most syncs change no
        metadata.
    """

    def __init__(
        self,
        page_size_bytes: int = 8192,
        cache_size_bytes: int = 256 << 20,
        durability: str = FULL,
        checkpoint_log_bytes: int = 32 << 20,
        lock_timeout_seconds: float = 30.0,
        sync_interval_seconds: float = 0.2,
        read_only: bool = False,
        salvage: bool = False,
        must_exist: bool = False,
        background: bool = True,
        flight_recorder: bool = True,
        max_transaction_bytes: int = 1 << 30,
        log_allocation_bytes: int = 1 << 20,
        reserve_bytes: int = 384 << 10,
        archive: str = "",
        archive_retention_seconds: float = 0.0,
        ends_archive: bool = False,
    ) -> None:
        self.page_size_bytes = page_size_bytes
        self.cache_size_bytes = cache_size_bytes
        self.durability = durability
        self.checkpoint_log_bytes = checkpoint_log_bytes
        self.lock_timeout_seconds = float(lock_timeout_seconds)
        self.sync_interval_seconds = float(sync_interval_seconds)
        self.read_only = read_only
        self.salvage = salvage
        self.must_exist = must_exist
        self.background = background
        self.flight_recorder = flight_recorder
        self.max_transaction_bytes = max_transaction_bytes
        self.log_allocation_bytes = log_allocation_bytes
        self.reserve_bytes = reserve_bytes
        self.archive = archive
        self.ends_archive = ends_archive
        self.archive_retention_seconds = float(archive_retention_seconds)
        self._validate()

    def _validate(self) -> None:
        size = self.page_size_bytes
        if not MIN_PAGE_SIZE <= size <= MAX_PAGE_SIZE or size & (size - 1):
            raise UsageError(
                "OPTION", f"page_size_bytes is {size}", "use a power of two from 4096 to 65536"
            )
        if self.durability not in DURABILITIES:
            raise UsageError(
                "OPTION", f"durability is {self.durability!r}", "use 'full', 'normal' or 'off'"
            )
        if self.salvage and not self.read_only:
            raise UsageError(
                "OPTION", "salvage without read_only", "use read_only=True, salvage=True"
            )
        if self.cache_size_bytes < MIN_CACHE_BYTES:
            raise UsageError(
                "OPTION",
                f"cache_size_bytes is {self.cache_size_bytes}",
                f"use at least {MIN_CACHE_BYTES}",
            )
        if self.archive_retention_seconds < 0:
            raise UsageError(
                "OPTION",
                f"archive_retention_seconds is {self.archive_retention_seconds}",
                "use 0 to keep segments for good",
            )
        if self.reserve_bytes < 0:
            raise UsageError("OPTION", f"reserve_bytes is {self.reserve_bytes}", "use 0 or more")
        if self.checkpoint_log_bytes < 1 or self.max_transaction_bytes < 1:
            raise UsageError("OPTION", "sizes must be positive", "use a larger number of bytes")
