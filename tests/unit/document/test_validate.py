"""Only well-formed documents within the limits are stored, with the names MongoDB allows."""

from __future__ import annotations

import random
from typing import Any

import bson
import pytest
from bson import Binary, Code, Regex, Timestamp
from bson.errors import InvalidBSON, InvalidDocument
from pymongo.errors import DocumentTooLarge, WriteError

from cbdd.document.validate import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    check_document_id,
    check_replacement,
    validate_document,
)
from tests.unit.document.test_raw import EVERY_TYPE, raw_document


def nested(levels: int, inner: Any) -> Any:
    for level in range(levels):
        inner = {"d": inner} if level % 2 else [inner]
    return inner


def test_every_type_is_accepted() -> None:
    validate_document(bson.encode(EVERY_TYPE))
    validate_document(bson.encode({}))
    validate_document(raw_document((0x06, "undefined", b""), (0x0E, "symbol", b"\2\0\0\0s\0")))


def test_document_of_exactly_the_limit_is_accepted() -> None:
    overhead = len(bson.encode({"a": Binary(b"")}))
    validate_document(bson.encode({"a": Binary(bytes(MAX_DOCUMENT_BYTES - overhead))}))


def test_larger_document_is_too_large() -> None:
    overhead = len(bson.encode({"a": Binary(b"")}))
    data = bson.encode({"a": Binary(bytes(MAX_DOCUMENT_BYTES - overhead + 1))})
    with pytest.raises(DocumentTooLarge, match="16777217 bytes"):
        validate_document(data)


def test_hundred_levels_are_accepted_and_one_more_is_not() -> None:
    validate_document(bson.encode({"d": nested(MAX_DEPTH - 1, 1)}))
    with pytest.raises(InvalidDocument, match="100 levels"):
        validate_document(bson.encode({"d": nested(MAX_DEPTH, 1)}))
    with pytest.raises(InvalidDocument, match="100 levels"):
        validate_document(bson.encode({"d": nested(MAX_DEPTH - 1, Code("f", {}))}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\5\0\0\0",
        b"\4\0\0\0\0",
        b"\5\0\0\0\1",
        b"\6\0\0\0\0\0",
        b"\5\0\0\0\0more",
        raw_document((0x02, "a", b"\2\0\0\0ab")),
        raw_document((0x02, "a", b"\2\0\0\0\xff\0")),
        raw_document((0x08, "a", b"\2")),
        raw_document((0x03, "a", b"\6\0\0\0\0\0")),
        raw_document((0x03, "a", b"\5\0\0\0\1")),
        raw_document((0x05, "a", b"\6\0\0\0\2\1\0\0\0ab")),
        raw_document((0x0F, "a", b"\5\0\0\0\0")),
        raw_document((0x15, "a", b"")),
    ],
)
def test_malformed_documents_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        validate_document(data)


def test_names_that_are_not_utf8_are_refused() -> None:
    data = bytearray(bson.encode({"abc": 1}))
    data[6] = 0xFF
    with pytest.raises(InvalidDocument, match="utf-8"):
        validate_document(bytes(data))


def test_damaged_documents_are_refused_or_still_decode() -> None:
    rng = random.Random(11)
    data = bson.encode(EVERY_TYPE)
    accepted = 0
    for _ in range(4000):
        damaged = bytearray(data)
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            validate_document(bytes(damaged))
        except InvalidDocument:
            continue
        accepted += 1
        try:
            bson.decode(bytes(damaged))
        except InvalidBSON as error:
            # A date that Python cannot hold is still a date.
            assert "DATETIME_AUTO" in str(error)
    assert accepted > 0


@pytest.mark.parametrize(("value", "name"), [([1], "array"), (Regex("a"), "regex")])
def test_id_of_a_forbidden_type_has_code_53(value: object, name: str) -> None:
    with pytest.raises(WriteError, match=name) as caught:
        check_document_id(bson.encode({"x": 1, "_id": value}))
    assert caught.value.code == 53


def test_undefined_id_has_code_53() -> None:
    with pytest.raises(WriteError, match="undefined") as caught:
        check_document_id(raw_document((0x06, "_id", b"")))
    assert caught.value.code == 53


def test_dollar_name_inside_the_id_has_code_52() -> None:
    with pytest.raises(WriteError, match=r"\$a is not valid") as caught:
        check_document_id(bson.encode({"_id": {"b": 1, "$a": 1}}))
    assert caught.value.code == 52


def test_two_ids_have_code_2() -> None:
    one = (0x10, "_id", b"\1\0\0\0")
    with pytest.raises(WriteError, match="multiple _id") as caught:
        check_document_id(raw_document(one, one))
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "document",
    [
        {"_id": 1},
        {"_id": "a", "user_id": 1, "in": {"parent_id": 2}},
        {"_id": 1, "in": {"_id": 2}},
        {"_id": 1, "in": [{"_id": {"_id": 3}, "t": Timestamp(0, 0)}], "n": 0.0, "é_id": 1},
        {"_id": None, "n": 1},
    ],
)
def test_what_is_stored_as_it_is_is_known_when_it_is_validated(document: dict[str, Any]) -> None:
    data = bson.encode(document)
    assert validate_document(data)
    assert check_document_id(data)


@pytest.mark.parametrize(
    "elements",
    [
        [],
        [(0x0A, "a", b"")],
        [(0x0A, "a", b""), (0x0A, "_id", b"")],
        [(0x0A, "_id", b""), (0x0A, "_id", b"")],
        [(0x0A, "_id", b""), (0x0A, "user_id", b""), (0x0A, "_id", b"")],
        [(0x0A, "_id", b""), (0x11, "t", bytes(8))],
        [(0x0A, "_id", b""), (0x11, "t", bytes(8)), (0x0A, "b", b"")],
        [(0x11, "_id", bytes(8))],
        [(0x06, "_id", b"")],
        [(0x0B, "_id", b"a\0\0")],
        [(0x03, "_id", bson.encode({"$a": 1}))],
        [(0x04, "_id", bson.encode({"0": 1}))],
        [(0x03, "a", bson.encode({"_id": 1}))],
        [(0x0A, "_ie", b"")],
        [(0x0A, "_i", b"")],
    ],
)
def test_what_has_to_be_looked_at_again_is_known_too(
    elements: list[tuple[int, str, bytes]],
) -> None:
    assert not validate_document(raw_document(*elements))


@pytest.mark.parametrize("length", range(20))
def test_text_of_any_length_is_looked_at_to_its_end(length: int) -> None:
    """Names and strings, with a byte that is no UTF-8, or the end of a text, at every place."""

    def document(name: bytes, text: bytes) -> bytes:
        value = (len(text) + 1).to_bytes(4, "little") + text + b"\0"
        body = b"\x02" + name + b"\0" + value + b"\x10\xc3\xa9\0\1\0\0\0\0"
        return (len(body) + 4).to_bytes(4, "little") + body

    plain = b"abcdefghijklmnopqrst"[:length]
    validate_document(document(plain, plain))
    validate_document(document(b"\x01" * length, b"\x7f" * length))
    for at in range(length):
        for bad in (b"\x80", b"\xff"):
            broken = plain[:at] + bad + plain[at + 1 :]
            with pytest.raises(InvalidDocument):
                validate_document(document(broken, plain))
            with pytest.raises(InvalidDocument):
                validate_document(document(plain, broken))
        letter = "é".encode()
        validate_document(document(plain[:at] + letter + plain[at:], plain))
        validate_document(document(plain, plain[:at] + letter + plain[at:]))
        validate_document(document(plain, plain[:at] + b"\0" + plain[at + 1 :]))
    unending = b"\x20\0\0\0\x02" + plain.ljust(27, b"n")
    with pytest.raises(InvalidDocument, match="does not end"):
        validate_document(unending)


def test_dollar_names_may_be_inserted_but_not_replace() -> None:
    data = bson.encode({"_id": 1, "$price": 2, "in": {"$x": 1}})
    validate_document(data)
    check_document_id(data)
    with pytest.raises(WriteError, match=r"\$price") as caught:
        check_replacement(data)
    assert caught.value.code == 52
    check_replacement(bson.encode({"_id": 1, "in": {"$x": 1}, "a.b": 1}))
