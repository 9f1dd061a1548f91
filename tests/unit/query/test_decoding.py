"""Batches are decoded with the collector of cyclic garbage standing still."""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions, TypeRegistry
from bson.errors import InvalidBSON

from cbdd.query import decoding
from cbdd.query.decoding import decode_into, pieces_of

MANY = [bson.encode({"_id": n, "tags": [{"n": n}]}) for n in range(2000)]


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    was_enabled = gc.isenabled()
    yield
    if was_enabled:
        gc.enable()
    else:
        gc.disable()


def decode(documents: list[bytes], options: CodecOptions[Any]) -> list[Any]:
    found: deque[Any] = deque()
    decode_into(found, documents, options)
    return list(found)


def options(document_class: type[Any] = dict) -> CodecOptions[Any]:
    return CodecOptions(document_class=document_class)


def test_documents_keep_their_order_behind_what_is_there() -> None:
    found: deque[Any] = deque([0])
    decode_into(found, MANY, options())
    decode_into(found, MANY[:1], options())
    decode_into(found, [], options())
    assert list(found) == [0, *[bson.decode(each) for each in MANY], bson.decode(MANY[0])]


def test_the_collector_stands_still_meanwhile() -> None:
    seen: list[bool] = []

    class Watching(dict[str, Any]):
        def __setitem__(self, name: str, value: object) -> None:
            seen.append(gc.isenabled())
            super().__setitem__(name, value)

    gc.enable()
    assert decode(MANY[:60], options(Watching)) == [bson.decode(each) for each in MANY[:60]]
    assert len(seen) >= 120 and not any(seen)
    assert gc.isenabled()


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


@pytest.mark.parametrize("was_enabled", [True, False])
def test_a_child_that_is_forked_meanwhile_goes_on_collecting(was_enabled: bool) -> None:
    is_decoding, may_go_on = threading.Event(), threading.Event()

    class Waiting(dict[str, Any]):
        def __setitem__(self, name: str, value: object) -> None:
            is_decoding.set()
            may_go_on.wait(30)
            super().__setitem__(name, value)

    if was_enabled:
        gc.enable()
    else:
        gc.disable()
    thread = threading.Thread(target=decode, args=(MANY[:2], options(Waiting)))
    thread.start()
    try:
        assert is_decoding.wait(30)
        assert not gc.isenabled()
        child = os.fork()
        if child == 0:
            os._exit(int(gc.isenabled()) + 2 * len(decoding._DECODING))
        _, status = os.waitpid(child, 0)
    finally:
        may_go_on.set()
        thread.join()
    assert os.waitstatus_to_exitcode(status) == int(was_enabled)
    assert gc.isenabled() == was_enabled


def test_pieces_have_so_many_documents_and_bytes() -> None:
    small, large = b"s" * 10, b"l" * 100
    assert pieces_of([large], 3, 50) == [[large]]
    assert pieces_of([small] * 3, 3, 50) == [[small] * 3]
    assert pieces_of([small] * 7, 3, 50) == [[small] * 3, [small] * 3, [small]]
    assert pieces_of([small] * 12, 64, 50) == [[small] * 5, [small] * 5, [small] * 2]
    assert pieces_of([small, large, large, small, small], 64, 50) == [
        [small],
        [large],
        [large],
        [small, small],
    ]


@pytest.mark.parametrize("most_documents", [1, 2, 63, 64, 65])
@pytest.mark.parametrize("most_bytes", [1, 99, 100, 101, 1000])
def test_pieces_are_all_documents_in_order(most_documents: int, most_bytes: int) -> None:
    documents = [bytes(n * n % 251) + b"." for n in range(200)]
    pieces = pieces_of(documents, most_documents, most_bytes)
    assert [each for piece in pieces for each in piece] == documents
    for piece in pieces:
        assert 0 < len(piece) <= most_documents
        assert len(piece) == 1 or sum(map(len, piece)) <= most_bytes
