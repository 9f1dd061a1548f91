"""Making a new database file so that it appears whole or not at all.

The file is written under a temporary name, synced, linked to its own name and the directory
synced. Linking fails when the name is taken, so two processes that create at once end up with one
file. A temporary name that a crash left, of this or of a compaction, is removed by whoever is alone
with the database next, creates it, or finds that its file has two names.

Invariants: a temporary name belongs to whoever holds the ``creating`` lock on its file, and only
its owner may remove it; a crash releases the lock. Between opening the file and locking it the
owner can lose it to someone who takes it for a leftover: then it begins again under another name.
Once the name of the database is there, the temporary one of the same file may go at any time.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Final

from cbdd.storage.io import Clock, Io, Randomness, read_exact, write_all
from cbdd.storage.locks import CREATING
from cbdd.storage.meta import (
    HEADER_REGION_BYTES,
    MAGIC,
    META_BLOCK_BYTES,
    SLOT_OFFSETS,
    Meta,
)
from cbdd.storage.options import StorageOptions
from cbdd.storage.version import VERSION

TEMPORARY_MARK: Final = "-new-"
MOST_ATTEMPTS: Final = 8
LINKED: Final = 1
TAKEN: Final = 2
LOST: Final = 3


def create_database(
    io: Io, clock: Clock, randomness: Randomness, path: str, directory: str, options: StorageOptions
) -> bool:
    """Create an empty database; False when someone else was faster.

    :raises OSError: it could not be made; nothing is left behind.
    """
    meta = Meta()
    meta.page_size = options.page_size_bytes
    meta.uuid = randomness.token(16)
    meta.timeline = int.from_bytes(randomness.token(8), "little")
    meta.page_count = HEADER_REGION_BYTES // options.page_size_bytes
    meta.created_us = clock.now_us()
    meta.written_us = meta.created_us
    meta.writer_version = VERSION
    image = bytearray(HEADER_REGION_BYTES)
    for slot in range(2):
        meta.generation = slot + 1
        meta.slot = slot
        block = meta.encode().ljust(META_BLOCK_BYTES, b"\0")
        for offset in SLOT_OFFSETS[slot]:
            image[offset : offset + META_BLOCK_BYTES] = block
    for _attempt in range(MOST_ATTEMPTS):
        temporary = f"{path}{TEMPORARY_MARK}{randomness.token(6).hex()}"
        fd = io.open(temporary, True, False)
        try:
            outcome = _write_and_link(io, fd, bytes(image), temporary, path)
        finally:
            _unlink(io, temporary)
            io.close(fd)
        if outcome == LINKED:
            io.sync_directory(directory)
            return True
        if outcome == TAKEN:
            return False
    raise FileNotFoundError(errno.ENOENT, "temporary files vanish from its directory", path)


def _write_and_link(io: Io, fd: int, image: bytes, temporary: str, path: str) -> int:
    if not io.lock(fd, CREATING, True):
        return LOST
    write_all(io, fd, image, 0)
    io.sync(fd)
    try:
        io.link(temporary, path)
    except FileExistsError:
        return TAKEN
    except FileNotFoundError:
        return LOST
    return LINKED


def remove_leftovers(io: Io, path: str, directory: str, name: str) -> None:
    """Remove temporary names that a crash during creation left beside ``path``."""
    prefix = f"{name}{TEMPORARY_MARK}"
    database = io.path_identity(path)
    for entry in io.list_directory(directory):
        if not entry.startswith(prefix):
            continue
        leftover = f"{directory}/{entry}"
        identity = io.path_identity(leftover)
        if identity is None:
            continue
        if database is not None and identity[:2] == database[:2]:
            _unlink(io, leftover)
        else:
            _remove_if_ownerless(io, leftover)


def _remove_if_ownerless(io: Io, leftover: str) -> None:
    """Remove a file of ours that nobody is making."""
    try:
        fd = io.open(leftover, False, False)
    except (FileNotFoundError, PermissionError):
        return  # gone meanwhile, or another user's, who will remove it
    try:
        is_ours = read_exact(io, fd, len(MAGIC), 0) in (MAGIC, b"", bytes(len(MAGIC)))
        if is_ours and io.lock(fd, CREATING, True):
            _unlink(io, leftover)
    finally:
        io.close(fd)


def _unlink(io: Io, path: str) -> None:
    """Remove a name unless someone else just has."""
    with contextlib.suppress(FileNotFoundError):
        io.unlink(path)
