"""The files of mongodump."""

from __future__ import annotations

import io

import bson
import pytest

from cbdd.cli.readers.bson_stream import read_bson

DOCUMENTS = [{"_id": n, "text": "x" * n} for n in range(4)]
DATA = b"".join(bson.encode(document) for document in DOCUMENTS)


def test_documents_follow_each_other() -> None:
    records = list(read_bson(io.BytesIO(DATA)))
    assert [bson.decode(record.document) for record in records] == DOCUMENTS
    assert records[1].place == "document 2 at byte 25"


@pytest.mark.parametrize("cut", range(1, 27))
def test_a_file_cut_short_gives_its_whole_documents_and_says_so(cut: int) -> None:
    records = list(read_bson(io.BytesIO(DATA[:-cut])))
    assert [bool(record.error) for record in records] == [False] * 3 + [True]
    assert records[-1].is_last


@pytest.mark.parametrize("size", [-1, 0, 4, 1 << 30])
def test_an_impossible_length_ends_the_reading(size: int) -> None:
    damaged = DATA[:25] + size.to_bytes(4, "little", signed=True) + DATA[29:]
    records = list(read_bson(io.BytesIO(damaged)))
    assert [record.is_last for record in records] == [False, True]
    assert "impossible length" in records[1].error


def test_a_document_without_its_last_byte_is_bad_and_the_next_is_read() -> None:
    damaged = DATA[:24] + b"\x01" + DATA[25:]
    records = list(read_bson(io.BytesIO(damaged)))
    assert [bool(record.error) for record in records] == [True, False, False, False]
