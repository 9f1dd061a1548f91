"""Opening a file, a compressed file or standard input as a stream of records."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Final, cast

from cbdd.cli.readers.bson_stream import read_bson
from cbdd.cli.readers.csv_rows import CsvOptions, read_csv
from cbdd.cli.readers.formats import Format
from cbdd.cli.readers.json_documents import read_json_documents
from cbdd.cli.readers.json_lines import read_json_lines
from cbdd.cli.readers.record import Record
from cbdd.cli.readers.waiting_input import WaitingInput

STANDARD_INPUT: Final = "-"
BUFFER_BYTES: Final = 1 << 20


class Source:
    """An open source of documents; a context manager.

    :param size_bytes: size of the file as it is on disk, None when nobody knows (a pipe).
    """

    def __init__(
        self, raw: BinaryIO, stream: BinaryIO, size_bytes: int | None, format: Format
    ) -> None:
        self._raw = raw
        self._stream = stream
        self.size_bytes = size_bytes
        self.format = format

    def records(self, csv_options: CsvOptions | None = None) -> Iterator[Record]:
        """Yield the records; what the disk or the compression refuses is the last one."""
        try:
            yield from self._read(csv_options or CsvOptions())
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            yield Record("the source", error=f"cannot be read on: {reason}", is_last=True)

    def bytes_read(self) -> int:
        """How far reading has come, in bytes of the file as it is on disk."""
        return self._raw.tell() if self.size_bytes is not None else 0

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._raw is not sys.stdin.buffer:
            self._stream.close()
            self._raw.close()

    def _read(self, csv_options: CsvOptions) -> Iterator[Record]:
        if self.format is Format.JSONL:
            return read_json_lines(self._stream)
        if self.format is Format.JSON:
            return read_json_documents(self._stream)
        if self.format is Format.BSON:
            return read_bson(self._stream)
        return read_csv(self._stream, csv_options)

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_source(path: str, format: Format) -> Source:
    """Open a source; `-` is standard input, `.gz` is uncompressed on the way.

    :raises OSError: it cannot be opened, or is a directory.
    """
    if path == STANDARD_INPUT:
        stream = _standard_input()
        return Source(stream, stream, None, format)
    raw = open(path, "rb", buffering=BUFFER_BYTES)
    status = os.fstat(raw.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    if path.lower().endswith(".gz"):
        unpacked = io.BufferedReader(gzip.GzipFile(fileobj=raw), BUFFER_BYTES)
        return Source(raw, cast(BinaryIO, unpacked), size, format)
    return Source(raw, raw, size, format)


def _standard_input() -> BinaryIO:
    """Standard input; when it is no plain file, such that waiting for it ends with Ctrl-C."""
    stream = cast(BinaryIO, sys.stdin.buffer)
    try:
        fd = stream.fileno()
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return stream
        return cast(BinaryIO, io.BufferedReader(WaitingInput(fd), BUFFER_BYTES))
    except (OSError, ValueError):  # no descriptor behind it, or not the main thread
        return stream
