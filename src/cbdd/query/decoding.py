"""Decoding the documents of a batch, some at a time.

Whatever the codec makes is alive when it returns, so the collector of cyclic garbage finds nothing
while it works; but with every 700 objects it looks, and where the documents are kept it looks
through everything in the program again and again, which took as long as decoding. It stands still
meanwhile, unless somebody has switched it off, and comes when the program makes objects of its own.
"""

from __future__ import annotations

import gc
from collections import deque
from typing import Any

import bson
from bson.codec_options import CodecOptions


class Batch:
    """Documents of a query that are to be decoded."""

    def __init__(
        self,
        documents: list[bytes],
        options: CodecOptions[Any],
        most_documents: int,
        most_bytes: int,
    ) -> None:
        """
        :param documents: at least one; the first is taken to be as large as the others.
        :param most_documents: decoded at a time.
        :param most_bytes: likewise; one document in any case.
        """
        self._documents = documents
        self._options = options
        self._piece = max(1, min(most_documents, most_bytes // len(documents[0])))
        self._position = 0

    def decode_into(self, target: deque[Any]) -> bool:
        """Append the next documents; return whether there are more.

        Raises what `bson.decode_all` raises; the documents count as decoded then.
        """
        if len(self._documents) < 2 or not gc.isenabled():
            return self._decode_into(target)
        try:
            gc.disable()
            return self._decode_into(target)
        finally:
            gc.enable()

    def _decode_into(self, target: deque[Any]) -> bool:
        documents = self._documents
        start = self._position
        end = start + self._piece
        self._position = end
        if start > 0 or end < len(documents):
            documents = documents[start:end]
        target.extend(bson.decode_all(b"".join(documents), self._options))
        return end < len(self._documents)

    def take(self) -> bytes:
        """Return all documents as they are, one after the other."""
        return b"".join(self._documents)
