"""Reading the trees of a backup: its own pages and those of the backups it is based on.

To the pager a backup looks like a database file: `BackupIo` finds the image of a page in the newest
backup of the chain that has it. A page of the same number in an older one is from before it was
written anew; a wrong one would be found by its checksum.
"""

from __future__ import annotations

from typing import Final

from cbdd.storage.backup import PAGES, Backup, backup_chain, read_index
from cbdd.storage.directory import directory_of, load_trees
from cbdd.storage.io import Io, translated
from cbdd.storage.page import reference_page
from cbdd.storage.pager import Pager
from cbdd.storage.tree import Tree

_CACHE_BYTES: Final = 32 << 20
_ENDLESS: Final = 1 << 62


class BackupIo(Io):
    """Reads pages by their place in the database that was backed up."""

    def __init__(self, io: Io, page_size: int) -> None:
        self._io = io
        self._page_size = page_size
        self._images: dict[int, tuple[int, int, int]] = {}

    def add(self, fd: int, page: int, offset: int, pages: int) -> None:
        """Note where an image is, unless a newer backup has the page."""
        self._images.setdefault(page, (fd, offset, pages))

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Read from the image that begins at a place of the database; nothing if there is none."""
        page, inside = divmod(offset, self._page_size)
        image = self._images.get(page)
        if image is None or inside:
            return b""
        found, start, pages = image
        return self._io.pread(found, min(length, pages * self._page_size), start)

    def size(self, fd: int) -> int:
        """Not known, and not asked for but to bound what is read."""
        return _ENDLESS


class StoredPages:
    """A backup open for reading; a context manager."""

    def __init__(self, io: Io, path: str) -> None:
        """
        :raises UsageError: there is no backup, or one that it is based on is missing.
        :raises CorruptDataError: it is damaged.
        """
        self._io = io
        self._fds: list[int] = []
        self.chain: list[Backup] = backup_chain(io, path)
        self.backup = self.chain[0]
        pages = BackupIo(io, self.backup.page_size)
        try:
            for each in self.chain:
                fd = self._open(f"{each.path}/{PAGES}")
                for ref, offset, count in read_index(io, each):
                    pages.add(fd, reference_page(ref), offset, count)
        except BaseException:
            self.close()
            raise
        self.meta = self.backup.meta()
        seed = int.from_bytes(self.backup.uuid[:8], "little")
        self.pager = Pager(pages, -1, path, self.backup.page_size, seed, _CACHE_BYTES)

    def __enter__(self) -> StoredPages:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        while self._fds:
            self._io.close(self._fds.pop())

    def trees(self) -> dict[int, Tree]:
        """Every tree of the database as it was.

        :raises CorruptDataError: the directory of trees is damaged.
        """
        return load_trees(directory_of(self.meta), self.pager)

    def _open(self, path: str) -> int:
        try:
            fd = self._io.open(path, False, True)
        except OSError as error:
            raise translated(error, "read the backup", path) from error
        self._fds.append(fd)
        return fd
