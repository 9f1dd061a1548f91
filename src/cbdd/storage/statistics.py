"""Facts about an open database: sizes, log, cache, processes."""

from __future__ import annotations

from cbdd.errors import CorruptDataError
from cbdd.storage.follow import acquire_snapshot, release_snapshot
from cbdd.storage.free_pages import read_freelist
from cbdd.storage.meta import FORMAT
from cbdd.storage.state import DatabaseState


def statistics_of(state: DatabaseState) -> dict[str, object]:
    """The facts as plain values, for JSON. Sizes are bytes, times microseconds since the epoch."""
    key = state.next_owner()
    try:
        snapshot = acquire_snapshot(state, False, key)
        with state.apply_lock:
            meta = state.meta
            free = 0
            size = state.io.size(state.fd)
            try:
                for run in read_freelist(state, meta):
                    free += run.count
            except CorruptDataError:
                free = -1  # `check` says what is wrong with the list
            return {
                "path": state.path,
                "format": FORMAT,
                "min_reader": meta.min_reader,
                "min_writer": meta.min_writer,
                "writer_version": meta.writer_version,
                "uuid": meta.uuid.hex(),
                "created_us": meta.created_us,
                "page_size_bytes": meta.page_size,
                "page_count": meta.page_count,
                "free_pages": free,
                "file_size_bytes": size,
                "preallocated_bytes": max(0, size - meta.page_count * meta.page_size),
                "generation": meta.generation,
                "checkpoint_lsn": meta.checkpoint_lsn,
                "checkpoint_us": meta.written_us,
                "root_checksum": f"{meta.directory_checksum:016x}",
                "is_clean": meta.is_clean,
                "lsn": state.tip.lsn,
                "visible_lsn": snapshot.lsn,
                "durable_lsn": state.durable_lsn,
                "log_segment": state.tip_position.segment,
                "log_bytes": state.log_bytes,
                "durability": state.options.durability,
                "trees": len(snapshot.trees),
                "cache_budget_bytes": state.options.cache_size_bytes,
                "cache_clean_bytes": state.pager.cached_bytes,
                "cache_dirty_bytes": state.dirty_bytes(),
                "pages_read": state.pager.pages_read,
                "is_poisoned": state.is_poisoned,
                "background_error": state.background_error,
                "processes": _processes(state),
            }
    finally:
        release_snapshot(state, key)


def _processes(state: DatabaseState) -> list[dict[str, object]]:
    """Who has the file open, and the oldest generation each still reads."""
    if state.shm is None:
        return []
    return [
        {
            "pid": slot.pid,
            "started_us": slot.started_us,
            "pinned_generation": slot.pinned_generation,
            "pinned_since_us": slot.pinned_since_us,
        }
        for slot in state.shm.slots()
    ]
