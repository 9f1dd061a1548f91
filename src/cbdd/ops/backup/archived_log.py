"""The log behind a backup: segments from an archive, and from beside the live database."""

from __future__ import annotations

from cbdd.errors import UsageError
from cbdd.storage.archive import archived_name, archived_segments
from cbdd.storage.backup import Backup
from cbdd.storage.frame import SEGMENT_HEADER_BYTES, SegmentHeader, decode_segment_header
from cbdd.storage.io import Io, read_exact, translated
from cbdd.storage.wal import list_segments, segment_path


class ArchivedLog:
    """The segments that continue a backup. Of one that both places have the live one is read."""

    def __init__(self, io: Io, backup: Backup, archive: str, live: str) -> None:
        """
        :param archive: the directory of the archive, empty for none.
        :param live: path of the database that the log lies beside, empty for none.
        """
        self.io = io
        self.uuid = backup.uuid
        self._live = live
        self._paths: dict[int, str] = {}
        if archive:
            for number in _listed(io, archive, backup.uuid):
                self._paths[number] = f"{archive}/{archived_name(backup.uuid, number)}"
        if live:
            cut = live.rfind("/")
            for number in list_segments(io, live[:cut] or "/", live[cut + 1 :]):
                header = _header_of(io, segment_path(live, number))
                if header is not None and header.uuid == backup.uuid:
                    self._paths[number] = segment_path(live, number)
        self.segments = self._needed(backup.lsn)

    def path_of(self, number: int) -> str:
        """Path of a segment."""
        return self._paths[number]

    def shared_state_path(self) -> str:
        """Path of the shared state of the live database, which tells what was durable."""
        return f"{self._live}-shm" if self._live else ""

    def _needed(self, lsn: int) -> list[int]:
        """The segments that may have commits after an LSN."""
        numbers = sorted(self._paths)
        first = 0
        for position, number in enumerate(numbers):
            header = _header_of(self.io, self._paths[number])
            if header is not None and header.previous_lsn <= lsn:
                first = position
        return numbers[first:]


def _listed(io: Io, archive: str, uuid: bytes) -> list[int]:
    try:
        if io.path_identity(archive) is None:
            raise UsageError(
                "NOT_FOUND",
                f"there is no archive at {archive}",
                "check the path",
                {"path": archive},
            )
        return archived_segments(io, archive, uuid)
    except OSError as error:
        raise translated(error, "read the archive", archive) from error


def _header_of(io: Io, path: str) -> SegmentHeader | None:
    fd = io.open(path, False, True)
    try:
        return decode_segment_header(read_exact(io, fd, SEGMENT_HEADER_BYTES, 0))
    finally:
        io.close(fd)
