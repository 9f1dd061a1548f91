"""Room on the disk: commits pay for their checkpoint in advance, and a reserve stays untouched.

A commit needs space in the log now and pages in the database file later, when a checkpoint writes
the nodes it changed. If the second were found missing only then, a full disk would keep everything
in the log for good, and even a delete, which copies pages, would fail. So, before it is appended,
a commit makes sure that the file has room for all that is not yet written, itself included:

    pages in use | paid for: what the next checkpoint writes | reserve |  end of the file
    0        page count                                                   (preallocated)

The log keeps a tail of its own in the same way. An ordinary commit leaves both reserves whole, or
is refused with ``DISK_FULL`` before anything is written. A commit that removes more than it adds
may use them; so may a checkpoint, which gives a part of the file's tail back to the disk when even
a new segment does not fit. What checkpoints free fills the reserves again.

Invariants: the tail begins at the page count of the meta page in use and is never reachable; it
is cut only by who is alone with the file, holds the checkpoint lock, or holds the writer lock while
there is no log (so that no checkpoint can be writing beyond the page count). The books here are
estimates on the safe side: a checkpoint that finds no room fails and changes nothing.

Where the file system cannot preallocate, or with ``reserve_bytes=0``, none of this is done.
"""

from __future__ import annotations

from typing import Final

from cbdd.errors import CorruptDataError
from cbdd.storage.btree import PageLedger
from cbdd.storage.freelist import decode_runs
from cbdd.storage.io import FULL_ERRNOS, UNSUPPORTED_ERRNOS
from cbdd.storage.page import Run
from cbdd.storage.state import DatabaseState

GROWTH_BYTES: Final = 1 << 20
GIVE_BACK_BYTES: Final = 64 << 10
LOG_RESERVE_BYTES: Final = 32 << 10
SEAL_ROOM_BYTES: Final = 256
CHECKPOINT_PAGES: Final = 6  # directory and freelist, beside the changed nodes


def reserve_pages(state: DatabaseState) -> int:
    """Pages of the reserve."""
    return state.options.reserve_bytes // state.pager.page_size


def make_room(state: DatabaseState, ledger: PageLedger, keeps_reserve: bool) -> bool:
    """Whether the file has, or could be given, room for a commit's share of a checkpoint.

    The caller holds the writer lock and is up to date.

    :param ledger: what the commit adds.
    :param keeps_reserve: it must not use the reserve.
    """
    if not state.options.reserve_bytes or not state.can_allocate:
        return True
    nodes = max(0, state.dirty_nodes) + ledger.new_nodes + CHECKPOINT_PAGES
    nodes += (len(state.ledger.pages) + len(ledger.pages)) >> 8
    runs = state.dirty_run_pages + ledger.new_run_pages
    if keeps_reserve:
        runs += reserve_pages(state)
    meta = state.meta
    if state.room_generation != meta.generation:
        state.room_generation = meta.generation
        state.room_pages = state.io.size(state.fd) // meta.page_size - meta.page_count
        state.room_reusable = -1
    if nodes + runs <= state.room_pages:
        return True
    if state.room_reusable < 0:
        state.room_reusable = _reusable_pages(state)
    short = max(0, nodes - state.room_reusable) + runs - state.room_pages
    return short <= 0 or _grow(state, short)


def _reusable_pages(state: DatabaseState) -> int:
    """Pages in the file that the next checkpoint can take."""
    meta = state.meta
    if not meta.freelist_length:
        return 0
    limit = meta.generation - 1
    for generation in list(state.pins):
        limit = min(limit, generation)
    try:
        run = Run(meta.freelist_page, meta.freelist_length, meta.freelist_checksum)
        runs = decode_runs(state.pager.read_run(run))
    except CorruptDataError:
        return 0  # the checkpoint that needs the list reports it
    total = 0
    for free in runs:
        if free.generation <= limit:
            total += free.count
    return total


def _grow(state: DatabaseState, pages: int) -> bool:
    """Preallocate at least ``pages`` more at the end of the file."""
    size = state.pager.page_size
    end = state.io.size(state.fd) // size
    state.room_pages = end - state.meta.page_count
    for wanted in (max(pages, GROWTH_BYTES // size), pages):
        try:
            state.io.allocate(state.fd, end * size, wanted * size)
        except OSError as error:
            if error.errno in UNSUPPORTED_ERRNOS:
                state.can_allocate = False
                return True
            if error.errno not in FULL_ERRNOS:
                raise
        else:
            state.room_pages += wanted
            return True
    return False


def log_reserve(state: DatabaseState, keeps_reserve: bool) -> int:
    """Bytes of the log's end that a commit must leave."""
    if not state.options.reserve_bytes:
        return 0
    return LOG_RESERVE_BYTES if keeps_reserve else SEAL_ROOM_BYTES


def give_back(state: DatabaseState) -> bool:
    """Cut a piece off the file's tail, so that a small file fits beside it; False: none left.

    For its callers see the invariants above.
    """
    size = state.pager.page_size
    end = state.io.size(state.fd)
    needed = max(0, state.dirty_nodes) + state.dirty_run_pages + CHECKPOINT_PAGES
    spare = end - (state.meta.page_count + needed) * size
    if spare <= 0 or not state.options.reserve_bytes:
        return False
    state.room_generation = -1
    state.io.truncate(state.fd, end - min(spare, max(GIVE_BACK_BYTES, size)))
    return True


def settle_length(state: DatabaseState) -> None:
    """Leave the reserve at the end of the file and nothing else. The caller is alone with it."""
    if not state.options.reserve_bytes:
        return
    size = state.pager.page_size
    wanted = (state.meta.page_count + reserve_pages(state)) * size
    end = state.io.size(state.fd)
    state.room_generation = -1
    try:
        if end > wanted:
            state.io.truncate(state.fd, wanted)
        elif end < wanted:
            state.io.allocate(state.fd, end, wanted - end)
    except OSError:
        return  # a longer or shorter tail holds nothing; the next commit tries again
