"""A disk in memory: what programs see, what a power cut leaves, and the writes in between.

`MemoryDisk` holds files as a kernel would: ``data`` is what programs read, ``durable`` what was
synced, ``pending`` the changes in between. Names have the same two views; `MemoryIo.sync_directory`
makes them durable. `MemoryIo` is the view of one process: give each process its own, with a pid of
its own, and they exclude each other by locks as real ones do.

``capacity`` limits the bytes in all files together; ``fault`` fails calls; ``listener`` is told
after every change; ``file_system`` is the type it says it has. ``MemoryIo.host``, 16 bytes, is the
machine that a process is on.
"""

from __future__ import annotations

import errno
import itertools
import random

from cbdd.storage.io import Io

SECTOR_BYTES = 512
_disk_numbers = itertools.count(1000)


class Inode:
    """One file: its current contents, its durable contents, and what lies between."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.data = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[str, int, bytes]] = []

    def apply(self, kind: str, offset: int, data: bytes) -> None:
        apply_change(self.data, kind, offset, data)
        self.pending.append((kind, offset, data))

    def sync(self) -> None:
        self.durable = bytearray(self.data)
        self.pending = []


def apply_change(target: bytearray, kind: str, offset: int, data: bytes) -> None:
    """Apply one pending change to a file image."""
    if kind == "truncate":
        if offset <= len(target):
            del target[offset:]
        else:
            target.extend(bytes(offset - len(target)))
        return
    if kind == "allocate":
        length = int.from_bytes(data, "little")
        if offset + length > len(target):
            target.extend(bytes(offset + length - len(target)))
        return
    if offset > len(target):
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


class MemoryDisk:
    """Files under absolute paths; directories need not be made."""

    def __init__(self) -> None:
        self.device = next(_disk_numbers)
        self.inodes = itertools.count(1)
        self.names: dict[str, Inode] = {}
        self.directories: set[str] = set()  # empty ones: the others need not be made
        self.durable_names: dict[str, Inode] = {}
        self.name_changes: list[dict[str, Inode]] = []
        self.operations = 0
        self.listener: CrashListener | None = None
        self.fault: Fault | None = None
        self.capacity: int | None = None
        self.file_system = "memory"
        self.locks: dict[tuple[int, int], dict[tuple[int, int], bool]] = {}

    @staticmethod
    def holding(files: dict[str, bytes], numbers: dict[str, int] | None = None) -> MemoryDisk:
        """A disk on which these files are durable; of equal numbers: one file with two names."""
        disk = MemoryDisk()
        linked: dict[int, Inode] = {}
        for name, data in files.items():
            inode = Inode(next(disk.inodes))
            if numbers and name in numbers:
                inode = linked.setdefault(numbers[name], inode)
            inode.data = bytearray(data)
            inode.durable = bytearray(data)
            disk.names[name] = inode
        disk.durable_names = dict(disk.names)
        return disk

    def files(self) -> dict[str, bytes]:
        """What programs see, by path."""
        return {name: bytes(inode.data) for name, inode in self.names.items()}

    def changed(self) -> None:
        """A call has changed the disk: a place to crash."""
        self.operations += 1
        if self.listener is not None:
            self.listener.on_change(self)

    def names_changed(self) -> None:
        self.name_changes.append(dict(self.names))
        self.changed()

    def image(self) -> MemoryDisk:
        """What is there after the process died: everything programs could see."""
        return self._copy(self.names, {n: bytes(i.data) for n, i in self.names.items()})

    def power_cut(self) -> MemoryDisk:
        """What a power cut leaves at least: synced contents under synced names."""
        return self._copy(
            self.durable_names, {n: bytes(i.durable) for n, i in self.durable_names.items()}
        )

    def torn(self, source: random.Random) -> MemoryDisk:
        """A power cut after which some of the unsynced writes are there, one of them torn."""
        names = source.choice([self.durable_names, *self.name_changes])
        contents: dict[str, bytes] = {}
        for name, inode in names.items():
            target = bytearray(inode.durable)
            keep = source.choice([0.0, 0.3, 0.5, 0.8, 1.0])
            for kind, offset, data in inode.pending:
                if source.random() > keep:
                    continue
                if kind == "write" and source.random() < 0.3:
                    cut = source.randrange(0, len(data) + 1)
                    boundary = (offset + cut) // SECTOR_BYTES * SECTOR_BYTES - offset
                    data = data[: max(0, boundary if source.random() < 0.7 else cut)]
                apply_change(target, kind, offset, data)
            contents[name] = bytes(target)
        return self._copy(names, contents)

    def _copy(self, names: dict[str, Inode], contents: dict[str, bytes]) -> MemoryDisk:
        disk = MemoryDisk()
        copies: dict[int, Inode] = {}
        for name, inode in names.items():
            copy = copies.get(inode.number)
            if copy is None:
                copy = Inode(next(disk.inodes))
                copy.data = bytearray(contents[name])
                copy.durable = bytearray(contents[name])
                copies[inode.number] = copy
            disk.names[name] = copy
        disk.durable_names = dict(disk.names)
        return disk

    def size(self) -> int:
        return sum(len(inode.data) for inode in set(self.names.values()))


class CrashListener:
    """Told after every change of the disk."""

    def on_change(self, disk: MemoryDisk) -> None:
        raise NotImplementedError


class Fault:
    """Fails the n-th call, once or for ever after."""

    def __init__(self, call: int, number: int, forever: bool, kinds: tuple[str, ...] = ()) -> None:
        self.left = call
        self.number = number
        self.forever = forever
        self.kinds = kinds
        self.fired = ""

    def check(self, kind: str) -> None:
        if self.kinds and kind not in self.kinds:
            return
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.forever):
            self.fired = self.fired or kind
            raise OSError(self.number, errno.errorcode[self.number])


class KilledError(BaseException):
    """The simulated process was killed: nothing it would still do happens."""


class MemoryIo(Io):
    """The engine's view of a simulated disk; each instance is a process of its own."""

    def __init__(self, disk: MemoryDisk, pid: int = 1) -> None:
        self.disk = disk
        self.pid = pid
        self.is_dead = False
        self.calls_to_live: int | None = None
        self.fds: dict[int, Inode] = {}
        self.next_fd = 3
        self.host = b"memory's machine"
        self.locks = disk.locks

    def _fault(self, kind: str) -> None:
        if self.is_dead:
            raise KilledError
        if self.calls_to_live is not None:
            self.calls_to_live -= 1
            if self.calls_to_live < 0:
                self.die()
                raise KilledError
        if self.disk.fault is not None:
            self.disk.fault.check(kind)

    def open(self, path: str, create: bool, read_only: bool) -> int:
        self._fault("open")
        disk = self.disk
        if create:
            if path in disk.names:
                raise FileExistsError(errno.EEXIST, "exists", path)
            disk.names[path] = Inode(next(disk.inodes))
            disk.names_changed()
        elif path not in disk.names:
            raise FileNotFoundError(errno.ENOENT, "missing", path)
        fd = self.next_fd
        self.next_fd += 1
        self.fds[fd] = disk.names[path]
        return fd

    def close(self, fd: int) -> None:
        if self.is_dead:
            raise KilledError
        inode = self.fds.pop(fd)
        for key in [k for k in self.locks if k[0] == inode.number]:
            holders = self.locks[key]
            holders.pop((id(self), fd), None)

    def die(self) -> None:
        """The process is killed: the kernel closes its descriptors."""
        for fd in list(self.fds):
            self.close(fd)
        self.is_dead = True

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        self._fault("pread")
        return bytes(self.fds[fd].data[offset : offset + length])

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        self._fault("pwrite")
        grown = offset + len(data) - len(self.fds[fd].data)
        self._require_space(grown)
        self.fds[fd].apply("write", offset, bytes(data))
        self.disk.changed()
        return len(data)

    def _require_space(self, grown: int) -> None:
        capacity = self.disk.capacity
        if capacity is not None and grown > 0 and self.disk.size() + grown > capacity:
            raise OSError(errno.ENOSPC, "full")

    def size(self, fd: int) -> int:
        self._fault("size")
        return len(self.fds[fd].data)

    def truncate(self, fd: int, size: int) -> None:
        self._fault("truncate")
        self.fds[fd].apply("truncate", size, b"")
        self.disk.changed()

    def allocate(self, fd: int, offset: int, length: int) -> None:
        self._fault("allocate")
        self._require_space(offset + length - len(self.fds[fd].data))
        self.fds[fd].apply("allocate", offset, length.to_bytes(8, "little"))
        self.disk.changed()

    def sync(self, fd: int) -> None:
        self._fault("sync")
        self.fds[fd].sync()
        self.disk.changed()

    def start_writing(self, fd: int, end: int) -> None:
        self._fault("start_writing")  # what is not synced may be on disk or not in any case

    def sync_directory(self, path: str) -> None:
        self._fault("sync_directory")
        self.disk.durable_names = dict(self.disk.names)
        self.disk.name_changes = []
        self.disk.changed()

    def drop_cache(self, fd: int) -> None:
        self._fault("drop_cache")

    def unlink(self, path: str) -> None:
        self._fault("unlink")
        if path not in self.disk.names:
            raise FileNotFoundError(errno.ENOENT, "missing", path)
        del self.disk.names[path]
        self.disk.names_changed()

    def rename(self, source: str, target: str) -> None:
        self._fault("rename")
        if source not in self.disk.names:
            raise FileNotFoundError(errno.ENOENT, "missing", source)
        self.disk.names[target] = self.disk.names.pop(source)
        self.disk.names_changed()

    def link(self, source: str, target: str) -> None:
        self._fault("link")
        if target in self.disk.names:
            raise FileExistsError(errno.EEXIST, "exists", target)
        if source not in self.disk.names:
            raise FileNotFoundError(errno.ENOENT, "missing", source)
        self.disk.names[target] = self.disk.names[source]
        self.disk.names_changed()

    def copy_mode(self, source: int, target: int) -> None:
        self._fault("copy_mode")

    def make_directory(self, path: str) -> None:
        self._fault("make_directory")
        if self.path_identity(path) is not None:
            raise FileExistsError(errno.EEXIST, "exists", path)
        self.disk.directories.add(path)

    def remove_directory(self, path: str) -> None:
        self._fault("remove_directory")
        self.disk.directories.discard(path)

    def list_directory(self, path: str) -> list[str]:
        self._fault("list_directory")
        start = f"{path.rstrip('/')}/"
        found: list[str] = []
        directories: set[str] = set()
        for name in self.disk.names:
            if not name.startswith(start):
                continue
            entry = name[len(start) :]
            if "/" in entry:
                directories.add(entry[: entry.index("/")])
            else:
                found.append(entry)
        found.extend(directories)
        return found

    def path_identity(self, path: str) -> tuple[int, int, int, int] | None:
        self._fault("path_identity")
        inode = self.disk.names.get(path)
        if inode is not None:
            return self._identity(inode)
        if path in self.disk.directories or any(
            name.startswith(f"{path}/") for name in self.disk.names
        ):
            return (self.disk.device, 0, 1, 0)
        return None

    def place(self, fd: int) -> str:
        return ""

    def identity(self, fd: int) -> tuple[int, int, int, int]:
        self._fault("identity")
        return self._identity(self.fds[fd])

    def _identity(self, inode: Inode) -> tuple[int, int, int, int]:
        links = sum(1 for other in self.disk.names.values() if other is inode)
        # Every process has an engine of its own: the identity tells them apart.
        return (self.disk.device * 1000 + self.pid, inode.number, links, len(inode.data))

    def is_regular(self, path: str) -> bool:
        return path in self.disk.names

    def resolve(self, path: str) -> str:
        return path

    def lock(self, fd: int, offset: int, exclusive: bool) -> bool:
        self._fault("lock")
        holders = self.locks.setdefault((self.fds[fd].number, offset), {})
        me = (id(self), fd)
        for holder, is_exclusive in holders.items():
            if holder != me and (exclusive or is_exclusive):
                return False
        holders[me] = exclusive
        return True

    def unlock(self, fd: int, offset: int) -> None:
        self._fault("unlock")
        self.locks.get((self.fds[fd].number, offset), {}).pop((id(self), fd), None)

    def process_id(self) -> int:
        return self.pid

    def file_system_type(self, path: str) -> str:
        return self.disk.file_system

    def machine_identity(self) -> bytes:
        return self.host
