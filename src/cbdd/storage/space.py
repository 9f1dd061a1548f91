"""Room on the disk: commits pay for their checkpoint in advance, and a reserve stays untouched.

A commit needs space in the log now and pages in the database file later, when a checkpoint writes
the nodes it changed. If the second were found missing only then, a full disk would keep everything
in the log for good, and even a delete, which copies pages, would fail. So, before it is appended,
a commit makes sure that the file has room for all that is not yet written, itself included:

    pages in use | paid for: what the next checkpoint writes | reserve |  end of the file
    0        page count                                                   (preallocated)

The log keeps a tail of its own in the same way. An ordinary commit leaves both reserves whole, or
is refused with ``DISK_FULL`` before anything is written. A commit that removes more than it adds
may use them down to what two rotations of the log take; so may a checkpoint, which gives a part
of the file's tail back to the disk when even a new segment does not fit. What checkpoints free
fills the reserves again; free pages at the end of the file become part of the tail. Deleting uses
the tail up, what it frees lies scattered in the file: so, where the disk refuses more, what fits
there asks nothing of the tail, the list of free pages included, and half of the room of the two
rotations may still be in segments that the first of them removes.

While there is space, files grow by large pieces. Once some is refused, they grow by what is
needed until the next ordinary checkpoint, so that neither takes what the other lacks.

Invariants: the tail begins behind every page count that a meta page on disk names, so nothing
reaches it, and cutting it leaves each of them a file that is long enough. It is cut only by who
holds the checkpoint lock, is alone with the file, or holds the writer lock while there is no log
(so that no checkpoint can be writing there). The books here are estimates on the safe side: a
checkpoint that finds no room fails and changes nothing.

Where the file system cannot preallocate, or with ``reserve_bytes=0``, none of this is done.
"""

from __future__ import annotations

import errno
from typing import Final

from cbdd.errors import CorruptDataError
from cbdd.storage.frame import FRAMES_OFFSET
from cbdd.storage.free_pages import read_freelist
from cbdd.storage.freelist import ENTRY, FreeRun, joined_runs
from cbdd.storage.io import FULL_ERRNOS, UNSUPPORTED_ERRNOS
from cbdd.storage.meta import LOG_ARCHIVED, read_copies
from cbdd.storage.state import DatabaseState
from cbdd.storage.wal import list_segments

GROWTH_BYTES: Final = 1 << 20
LOG_RESERVE_BYTES: Final = 32 << 10
COMMIT_BYTES: Final = 4096  # of a small one, beyond the log's reserve
SEAL_ROOM_BYTES: Final = 256
RESERVE_PAGE_BYTES: Final = 8192  # what the option counts larger pages as
BLOCK_BYTES: Final = 4096  # of the file system: files take whole ones
ROTATIONS_BYTES: Final = 2 * (FRAMES_OFFSET + BLOCK_BYTES) + 4 * BLOCK_BYTES
CHECKPOINT_PAGES: Final = 6  # directory and freelist of a small file, beside the changed nodes
DIRECTORY_ENTRY_BYTES: Final = 96  # in a page that is half full


def reserve_pages(state: DatabaseState) -> int:
    """Pages of the reserve: a delete copies as many pages however large they are."""
    return state.options.reserve_bytes // min(state.pager.page_size, RESERVE_PAGE_BYTES)


def has_room(state: DatabaseState, nodes: int, runs: int, freed: int, own: int) -> bool:
    """Whether the file has room for a commit as it is; parameters as of `make_room`."""
    if not state.options.reserve_bytes or not state.can_allocate:
        return True
    _open_books(state, own)
    return _needed_room(state, nodes, runs, freed, True) <= state.room_pages


def make_room(
    state: DatabaseState,
    nodes: int,
    runs: int,
    freed: int,
    keeps_reserve: bool,
    own: int,
    is_needed: bool = True,
) -> bool:
    """Whether the file has, or could be given, room for a commit's share of a checkpoint.

    The caller holds the writer lock and is up to date.

    :param nodes: pages that the commit adds for nodes, ``runs`` those for runs.
    :param freed: runs of pages that it frees.
    :param keeps_reserve: it must not use the reserve.
    :param own: generation of its snapshot, which ends with it.
    :param is_needed: False where less may do: then being refused says nothing about the disk.
    """
    if not state.options.reserve_bytes or not state.can_allocate:
        return True
    _open_books(state, own)
    needed = _needed_room(state, nodes, runs, freed, keeps_reserve)
    short = needed - state.room_pages
    refusal = _grow(state, short, is_needed) if short > 0 else 0
    if not refusal or not is_needed:
        return not refusal
    rotation = _rotation_pages(state)
    if _fits_inside(state, nodes + _kept_pages(state, keeps_reserve), runs, freed, own):
        needed = max(state.room_uncut, runs + state.dirty_run_pages) + rotation
    if refusal == errno.EFBIG and not keeps_reserve:
        # This file may not be longer, which says nothing about the disk: segments find their own.
        return needed - rotation <= state.room_pages
    size = state.pager.page_size
    spare = removable_bytes(state) // size
    short = needed - min(spare, rotation // 2) - state.room_pages
    return short <= 0 or not _grow(state, short, True)


def removable_bytes(state: DatabaseState) -> int:
    """Length of the segments that only the older meta page needs: the next checkpoint removes them.

    After one that failed, the newer meta page may need more than the current segment.
    """
    if state.options.archive or state.meta.may_ignore & LOG_ARCHIVED:
        return 0  # they go elsewhere, which may be on the same disk
    total = 0
    held = state.segments.numbers_open()
    for number in list_segments(state.io, state.directory, state.name):
        if number >= state.meta.first_segment:
            continue
        segment = state.segments.get(number, False)
        if segment is not None:
            total += state.io.size(segment.fd)
            if number not in held:
                state.segments.close(number)
    return total


def _rotation_pages(state: DatabaseState) -> int:
    """Pages of the reserve that two rotations of the log may need; half may be in segments."""
    size = state.pager.page_size
    return min(reserve_pages(state) // 2, (ROTATIONS_BYTES + size - 1) // size)


def _needed_room(
    state: DatabaseState, nodes: int, runs: int, freed: int, keeps_reserve: bool
) -> int:
    """Pages of the tail that a commit needs, with what it must leave."""
    kept = _kept_pages(state, keeps_reserve)
    return _needed_tail(state, nodes + kept, runs, freed) + _rotation_pages(state)


def _kept_pages(state: DatabaseState, keeps_reserve: bool) -> int:
    """Pages of the reserve that a commit must leave, beside those for rotations."""
    return reserve_pages(state) - _rotation_pages(state) if keeps_reserve else 0


def _open_books(state: DatabaseState, own: int) -> None:
    """Look at the file once for each generation: its tail, and what is free inside it."""
    meta = state.meta
    if state.room_generation == meta.generation:
        return
    state.room_generation = meta.generation
    newest = meta.page_count
    for copy in read_copies(state.io, state.fd):
        if copy.meta is not None:
            newest = max(newest, copy.meta.page_count)
    state.room_uncut = newest - meta.page_count
    state.room_pages = state.io.size(state.fd) // meta.page_size - meta.page_count
    state.room_reusable = _reusable_pages(state, own)


def _needed_tail(state: DatabaseState, nodes: int, runs: int, freed: int) -> int:
    """Pages of the tail that the next checkpoint needs, with so many nodes and run pages more.

    Nodes go to free pages first. The part of the tail that another meta page still counts as its
    own can be written to, but not cut off. While a checkpoint is under way, this is what it needs
    and what the one after it does.

    :param freed: runs of pages that are freed, beside those already on the books.
    """
    nodes += _nodes_to_write(state) - state.room_reusable
    runs += state.dirty_run_pages + _list_pages(state, freed)
    return max(state.room_uncut, max(0, nodes) + runs)


def _nodes_to_write(state: DatabaseState) -> int:
    """Pages that the next checkpoint writes one by one; the first of the list of free ones, too."""
    pages = max(0, state.dirty_nodes) + CHECKPOINT_PAGES
    return pages + len(state.base_trees) * DIRECTORY_ENTRY_BYTES // state.pager.page_size


def _list_pages(state: DatabaseState, freed: int) -> int:
    """Pages of the next list of free pages, beyond its first."""
    listed = state.meta.freelist_length + (len(state.ledger.pages) + freed) * ENTRY.size
    return listed // state.pager.page_size


def _fits_inside(state: DatabaseState, nodes: int, runs: int, freed: int, own: int) -> bool:
    """Whether free pages in the file hold all nodes, and the list of free pages side by side.

    Nodes take the lowest pages and runs the lowest that lie side by side, each from the start of
    what is free there. So what is left of one place is still in one piece, however many of the
    others took theirs from it.
    """
    nodes += _nodes_to_write(state)
    together = runs + state.dirty_run_pages + _list_pages(state, freed) + 1
    found = 0
    for run in joined_runs(_reusable_runs(state, own)):
        found += run.count
        if run.count >= together and found >= nodes + together:
            return True
    return False


def _reusable_pages(state: DatabaseState, own: int) -> int:
    """Pages in the file that the next checkpoint can take; ``own`` as of `_reusable_runs`."""
    total = 0
    for free in _reusable_runs(state, own):
        total += free.count
    return total


def _reusable_runs(state: DatabaseState, own: int) -> list[FreeRun]:
    """What is free in the file and can be taken by the next checkpoint.

    :param own: generation on which one pin counts for nothing.
    """
    limit = state.meta.generation - 1
    pins = list(state.pins.values())
    if own in pins:
        pins.remove(own)
    if state.shm is not None:
        for slot in state.shm.slots():
            if slot.number != state.slot and slot.pinned_generation:
                pins.append(slot.pinned_generation)
    for generation in pins:
        limit = min(limit, generation)
    try:
        runs = read_freelist(state, state.meta)
    except CorruptDataError:
        return []  # the checkpoint that needs the list reports it
    return [free for free in runs if free.generation <= limit]


def _grow(state: DatabaseState, pages: int, is_needed: bool) -> int:
    """Preallocate at least ``pages`` more at the end of the file; returns why not, or 0."""
    size = state.pager.page_size
    end = state.io.size(state.fd) // size
    state.room_pages = end - state.meta.page_count
    is_tight = state.segments.is_tight
    sizes = [pages] if is_tight else [max(pages, GROWTH_BYTES // size), pages]
    refusal = 0
    for wanted in sizes:
        try:
            state.io.allocate(state.fd, end * size, wanted * size)
        except OSError as error:
            if error.errno in UNSUPPORTED_ERRNOS:
                state.can_allocate = False
                return 0
            if error.errno not in FULL_ERRNOS:
                raise
            refusal = error.errno
            if is_needed:
                note_tight(state)
        else:
            state.room_pages += wanted
            return 0
    return refusal


def note_tight(state: DatabaseState) -> None:
    """The disk has refused space: take only what is needed from now on."""
    state.segments.is_tight = True


def log_reserve(state: DatabaseState, keeps_reserve: bool) -> int:
    """Bytes of the log's end that a commit must leave."""
    if not state.options.reserve_bytes:
        return 0
    return LOG_RESERVE_BYTES if keeps_reserve else SEAL_ROOM_BYTES


def rotation_bytes(state: DatabaseState) -> int:
    """Room that two rotations of the log may need."""
    return _rotation_pages(state) * state.pager.page_size


def give_back(state: DatabaseState, needed_bytes: int, kept_bytes: int = 0) -> bool:
    """Cut a piece off the file's tail, so that a small file fits beside it; False: none left.

    For its callers see the invariants above.

    :param kept_bytes: not given, beside what a checkpoint needs.
    """
    note_tight(state)
    spare = _spare_bytes(state, kept_bytes)
    wanted = (needed_bytes // BLOCK_BYTES + 2) * BLOCK_BYTES
    if spare < wanted:
        return False
    size = state.pager.page_size
    cut = (wanted + size - 1) // size
    state.io.truncate(state.fd, state.io.size(state.fd) // size * size - cut * size)
    return True


def is_log_cramped(state: DatabaseState) -> bool:
    """Whether an ordinary commit has no room in the log as it is."""
    segment = state.log.segment
    if segment is None or not state.options.reserve_bytes:
        return False
    return segment.allocated - state.log.end < LOG_RESERVE_BYTES + COMMIT_BYTES


def trim_tail(state: DatabaseState) -> None:
    """Leave no more than the reserve in the tail; the disk is tight and the log needs space.

    The caller holds the checkpoint and the writer lock and is about to publish a generation.
    """
    size = state.pager.page_size
    spare = _spare_bytes(state, reserve_pages(state) * size)
    if spare > 0:
        state.io.truncate(state.fd, state.io.size(state.fd) // size * size - spare)


def _spare_bytes(state: DatabaseState, kept_bytes: int) -> int:
    """Bytes of the tail, in whole pages, that neither a checkpoint nor ``kept_bytes`` needs."""
    if not state.options.reserve_bytes:
        return 0
    state.room_generation = -1
    _open_books(state, -1)
    size = state.pager.page_size
    needed = _needed_tail(state, 0, 0, 0)
    if _fits_inside(state, 0, 0, 0, -1):
        needed = max(state.room_uncut, state.dirty_run_pages)
    elif state.tip.lsn == state.meta.checkpoint_lsn:  # only the list of free pages is written anew
        needed = max(state.room_uncut, _list_pages(state, 0) + 1)
    state.room_generation = -1  # a commit's books leave out its own snapshot; these do not
    return (state.room_pages - needed) * size - kept_bytes


def settle_length(state: DatabaseState) -> None:
    """Leave the reserve at the end of the file and nothing else, or what the disk has of it.

    The caller is alone with the file. Both meta slots name the same pages.
    """
    if not state.options.reserve_bytes:
        return
    size = state.pager.page_size
    wanted = state.meta.page_count + reserve_pages(state)
    state.room_generation = -1
    try:
        end = (state.io.size(state.fd) + size - 1) // size
        if end > wanted:
            state.io.truncate(state.fd, wanted * size)
        step = wanted - end
        while step > 0:
            if _could_allocate(state, end, step):
                end += step
                step = wanted - end
            else:
                step //= 2
    except OSError:
        return  # a longer or shorter tail holds nothing; the next commit tries again


def _could_allocate(state: DatabaseState, page: int, pages: int) -> bool:
    """Preallocate pages from one on, unless the disk is full."""
    size = state.pager.page_size
    try:
        state.io.allocate(state.fd, page * size, pages * size)
    except OSError as error:
        if error.errno not in FULL_ERRNOS:
            raise
        return False
    return True
