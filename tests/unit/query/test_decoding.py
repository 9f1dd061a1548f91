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

from cbdd.query.decoding import decode_into

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
            os._exit(int(gc.isenabled()))
        _, status = os.waitpid(child, 0)
    finally:
        may_go_on.set()
        thread.join()
    assert os.waitstatus_to_exitcode(status) == int(was_enabled)
    assert gc.isenabled() == was_enabled
