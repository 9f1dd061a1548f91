"""The `.bson` files mongodump writes: BSON documents one after another, nothing between them.

Only lengths are looked at here; whether a document is well-formed is judged when it is stored. A
length that cannot be right is the end: nothing says where the next document would begin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from cbdd.cli.readers.record import Record
from cbdd.document.validate import MAX_DOCUMENT_BYTES

MIN_DOCUMENT_BYTES: Final = 5
# mongodump may meet system documents a little above the limit; skipping them needs no trust.
MAX_FRAME_BYTES: Final = MAX_DOCUMENT_BYTES + (64 << 10)


def read_bson(stream: BinaryIO) -> Iterator[Record]:
    """Read BSON documents that follow each other."""
    number = 0
    offset = 0
    while True:
        head = _read_exactly(stream, 4)
        if not head:
            return
        number += 1
        place = f"document {number} at byte {offset}"
        size = int.from_bytes(head, "little") if len(head) == 4 else 0
        if len(head) < 4 or not MIN_DOCUMENT_BYTES <= size <= MAX_FRAME_BYTES:
            yield Record(place, error=f"impossible length {size}: not BSON from here", is_last=True)
            return
        body = _read_exactly(stream, size - 4)
        if len(body) < size - 4:
            missing = size - 4 - len(body)
            yield Record(place, error=f"the file ends {missing} bytes too early", is_last=True)
            return
        offset += size
        if body[-1]:
            yield Record(place, error="not BSON: it does not end with a zero byte")
        else:
            yield Record(place, head + body)


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only where the stream ends; pipes give what they have."""
    data = stream.read(size)
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            break
        data += more
    return data
