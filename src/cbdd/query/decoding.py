"""Decoding documents, with the collector of cyclic garbage standing still.

Whatever the codec makes is alive when it returns, so the collector finds nothing while it works;
but with every 700 objects it looks, and where the documents are kept it looks through everything in
the program again and again, which took as long as decoding. So it stands still, for the whole
process, while a few documents are decoded, unless somebody has switched it off.

Invariants: it is on again whatever the codec raises, and in a child that another thread forks
meanwhile: `_DECODING` has every thread that has it switched off. What cannot be told is that
another thread wants it off from that very moment on.
"""

from __future__ import annotations

import gc
from collections import deque
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions

from cbdd.storage.io import register_at_fork, thread_id

_DECODING: Final[set[int]] = set()


def decode_into(target: deque[Any], documents: list[bytes], options: CodecOptions[Any]) -> None:
    """Append documents, decoded, in the same order; raises what `bson.decode_all` raises.

    The target grows while the collector still stands: what it needs for that is an object, too.
    """
    data = b"".join(documents)
    if len(documents) < 2 or not gc.isenabled():
        target.extend(bson.decode_all(data, options))
        return
    me = thread_id()
    try:
        _DECODING.add(me)
        gc.disable()
        target.extend(bson.decode_all(data, options))
    finally:
        try:
            gc.enable()
        finally:
            _DECODING.discard(me)


def pieces_of(documents: list[bytes], most_documents: int, most_bytes: int) -> list[list[bytes]]:
    """Split documents, in their order, into pieces of at most so many and so many bytes.

    A document that is larger is a piece of its own.
    """
    pieces: list[list[bytes]] = []
    start = 0
    size = 0
    for position, document in enumerate(documents):
        size += len(document)
        if position > start and (size > most_bytes or position - start >= most_documents):
            pieces.append(documents[start:position])
            start = position
            size = len(document)
    if start == 0:
        return [documents]
    pieces.append(documents[start:])
    return pieces


def _nothing() -> None:
    """What is to be done in the parent."""


def _after_fork_in_child() -> None:
    """Go on collecting: threads that were decoding are not here to see to it."""
    if _DECODING:
        _DECODING.clear()
        gc.enable()


register_at_fork(_nothing, _nothing, _after_fork_in_child)
