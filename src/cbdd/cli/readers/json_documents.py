"""A JSON array of documents, or documents one after another, read as a stream.

The text is cut into documents by counting brackets outside of strings, then each piece is parsed by
itself. So a document with a mistake inside is one bad record, and the next one is read; and memory
holds one document and one chunk, however long the array is. Bytes are scanned, not characters: in
UTF-8 no byte of a longer character looks like a bracket or a quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from cbdd.cli.readers.extended_json import read_text
from cbdd.cli.readers.json_lines import BYTE_ORDER_MARK
from cbdd.cli.readers.record import Record

CHUNK_BYTES: Final = 1 << 16
MAX_TEXT_BYTES: Final = 256 << 20
"""Longest text of one document; beyond it a bracket is missing, or it would not fit anyway."""

_MARK: Final = re.compile(rb'["{}\[\]]')
_STRING_END: Final = re.compile(rb'["\\]')
_BLANK: Final = re.compile(rb"[\s,]*")
_SCALAR_END: Final = re.compile(rb"[,\]\s]")


def read_json_documents(stream: BinaryIO) -> Iterator[Record]:
    """Read the documents of a JSON array, or of JSON texts that follow each other."""
    return _DocumentScanner(stream).records()


class _DocumentScanner:
    """Cuts a stream into the texts of its documents."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        self._line = 1
        self._is_at_end = False
        self._in_array = False

    def records(self) -> Iterator[Record]:
        """Yield a record for each document."""
        self._more()
        self._drop(len(BYTE_ORDER_MARK) if self._buffer.startswith(BYTE_ORDER_MARK) else 0)
        if self._skip_blank() == b"[":
            self._in_array = True
            self._drop(1)
        while True:
            first = self._skip_blank()
            place = f"line {self._line}"
            if not first:
                if self._in_array:
                    yield Record(place, error="the array does not end: no ']'", is_last=True)
                return
            if first == b"]" and self._in_array:
                self._in_array = False
                self._drop(1)
                if self._skip_blank():
                    place = f"line {self._line}"
                    yield Record(place, error="text after the end of the array", is_last=True)
                return
            end = self._end_of_value(first)
            if end < 0:
                yield Record(place, error="the text ends inside this document", is_last=True)
                return
            text = self._buffer[:end]
            self._drop(end)
            yield read_text(place, text)

    def _end_of_value(self, first: bytes) -> int:
        """Return where the value at the start of the buffer ends, -1 when the text ends first."""
        if first in b"{[":
            return self._end_of_brackets()
        if first == b'"':
            return self._end_of_string(1)
        return self._end_of_scalar()

    def _end_of_brackets(self) -> int:
        depth = 0
        position = 0
        while True:
            found = self._search(_MARK, position)
            if found < 0:
                return -1
            mark = self._buffer[found]
            position = found + 1
            if mark == 0x22:
                position = self._end_of_string(position)
                if position < 0:
                    return -1
            elif mark in b"{[":
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return position

    def _end_of_string(self, position: int) -> int:
        """Return the offset after the closing quote of the string that `position` is in."""
        while True:
            found = self._search(_STRING_END, position)
            if found < 0:
                return -1
            if self._buffer[found] == 0x22:
                return found + 1
            position = found + 2

    def _end_of_scalar(self) -> int:
        found = self._search(_SCALAR_END, 1)
        return len(self._buffer) if found < 0 else found

    def _search(self, pattern: re.Pattern[bytes], position: int) -> int:
        """Find a mark at or after `position`, reading on as needed; -1 at the end."""
        while True:
            found = pattern.search(self._buffer, position)
            if found:
                return found.start()
            position = max(position, len(self._buffer))
            if len(self._buffer) > MAX_TEXT_BYTES or not self._more():
                return -1

    def _skip_blank(self) -> bytes:
        """Drop white space and commas; return the byte that follows, empty at the end."""
        while True:
            found = _BLANK.match(self._buffer)
            assert found is not None
            self._drop(found.end())
            if self._buffer:
                return self._buffer[:1]
            if not self._more():
                return b""

    def _drop(self, length: int) -> None:
        self._line += self._buffer.count(b"\n", 0, length)
        self._buffer = self._buffer[length:]

    def _more(self) -> bool:
        size = max(CHUNK_BYTES, len(self._buffer))  # doubling: a long document is copied few times
        chunk = b"" if self._is_at_end else self._stream.read(size)
        self._is_at_end = not chunk
        self._buffer += chunk
        return bool(chunk)
