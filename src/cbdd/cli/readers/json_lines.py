"""JSON lines: one document on each line, plain or Extended JSON; empty lines are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from cbdd.cli.readers.extended_json import read_text
from cbdd.cli.readers.record import Record

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_json_lines(stream: BinaryIO) -> Iterator[Record]:
    """Read one document from each line."""
    for number, line in enumerate(stream, 1):
        text = line.strip()
        if number == 1:
            text = text.removeprefix(BYTE_ORDER_MARK)
        if text:
            yield read_text(f"line {number}", text)
