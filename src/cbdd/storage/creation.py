"""Making a new database file so that it appears whole or not at all.

The file is written under a temporary name, synced, linked to its own name and the directory
synced. Linking fails when the name is taken, so two processes that create at once end up with one
file. A leftover temporary name of a crash is removed by the next opener, if it is ours: a second
name of the same file, or a file with our magic.
"""

from __future__ import annotations

from typing import Final

from cbdd.storage.io import Clock, Io, Randomness, read_exact, write_all
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


def create_database(
    io: Io, clock: Clock, randomness: Randomness, path: str, directory: str, options: StorageOptions
) -> bool:
    """Create an empty database; False when someone else was faster.

    :raises OSError: nothing is left behind.
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
    temporary = f"{path}{TEMPORARY_MARK}{randomness.token(6).hex()}"
    fd = io.open(temporary, True, False)
    try:
        write_all(io, fd, bytes(image), 0)
        io.sync(fd)
        try:
            io.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        io.close(fd)
        io.unlink(temporary)
    io.sync_directory(directory)
    return True


def remove_leftovers(io: Io, path: str, directory: str, name: str) -> None:
    """Remove temporary names that a crash during creation left beside ``path``."""
    prefix = f"{name}{TEMPORARY_MARK}"
    for entry in io.list_directory(directory):
        if entry.startswith(prefix):
            leftover = f"{directory}/{entry}"
            fd = io.open(leftover, False, True)
            try:
                is_ours = read_exact(io, fd, len(MAGIC), 0) in (MAGIC, b"")
            finally:
                io.close(fd)
            if is_ours:
                io.unlink(leftover)
