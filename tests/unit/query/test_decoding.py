"""Batches are decoded with the collector of cyclic garbage standing still."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions, TypeRegistry
from bson.errors import InvalidBSON

from cbdd.query.decoding import Batch

MANY = [bson.encode({"_id": n, "tags": [{"n": n}]}) for n in range(2000)]


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    was_enabled = gc.isenabled()
    yield
    if was_enabled:
        gc.enable()
    else:
        gc.disable()


def decode(documents: list[bytes], options: CodecOptions[Any], piece: int = 50) -> list[Any]:
    found: deque[Any] = deque()
    batch = Batch(documents, options, piece, 1 << 20)
    while batch.decode_into(found):
        pass
    return list(found)


def options(document_class: type[Any] = dict) -> CodecOptions[Any]:
    return CodecOptions(document_class=document_class)


@pytest.mark.parametrize("piece", [1, 2, 999, 1000, 1999, 2000, 2001])
def test_documents_keep_their_order(piece: int) -> None:
    assert decode(MANY, options(), piece) == [bson.decode(each) for each in MANY]
    assert decode(MANY[:1], options(), piece) == [bson.decode(MANY[0])]
    assert Batch(MANY[:3], options(), piece, 1).take() == b"".join(MANY[:3])


def test_a_piece_has_so_many_bytes_as_the_first_lets_expect() -> None:
    size = len(MANY[0])
    for most_bytes, count in ((1, 1), (size, 1), (3 * size - 1, 2), (3 * size, 3), (100 * size, 5)):
        found: deque[Any] = deque()
        assert Batch(MANY, options(), 5, most_bytes).decode_into(found)
        assert len(found) == count


def test_the_collector_stands_still_meanwhile() -> None:
    seen: list[bool] = []

    class Watching(dict[str, Any]):
        def __setitem__(self, name: str, value: object) -> None:
            seen.append(gc.isenabled())
            super().__setitem__(name, value)

    gc.enable()
    batch = Batch(MANY[:120], options(Watching), 50, 1 << 20)
    kept: deque[Any] = deque()
    between = []
    while batch.decode_into(kept):
        between.append(gc.isenabled())
    assert list(kept) == [bson.decode(each) for each in MANY[:120]]
    assert len(seen) >= 240 and not any(seen)
    assert between == [True, True] and gc.isenabled()


def test_it_stays_switched_off_where_it_was() -> None:
    gc.disable()
    decode(MANY, options())
    assert not gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    gc.enable()
    with pytest.raises(InvalidBSON):
        decode([MANY[0], MANY[1][:-1] + b"\x01"], options())
    assert gc.isenabled()


def test_a_decoder_of_the_caller_may_decode_documents_itself() -> None:
    class Nested(dict[str, Any]):
        def __setitem__(self, name: str, value: object) -> None:
            decode(MANY[:2], options())
            super().__setitem__(name, value)

    gc.enable()
    registry = TypeRegistry()
    nested = CodecOptions(document_class=Nested, type_registry=registry)
    assert decode(MANY[:3], nested) == [bson.decode(each) for each in MANY[:3]]
    assert gc.isenabled()
