"""Fields are found in raw BSON by offset, and damaged input fails safely."""

from __future__ import annotations

import datetime
import random

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.errors import InvalidBSON

from cbdd.document.raw import (
    TYPE_DB_POINTER,
    TYPE_SYMBOL,
    TYPE_UNDEFINED,
    elements,
    find_field,
    skip_name,
    skip_value,
    value_start,
)

EVERY_TYPE = {
    "double": 1.5,
    "string": "text",
    "document": {"x": {"y": 1}},
    "array": [1, "two", [3]],
    "binary": Binary(b"abc", 5),
    "object id": ObjectId("5f0000000000000000000001"),
    "boolean": True,
    "date": datetime.datetime(2024, 2, 29),
    "null": None,
    "regex": Regex("^a", "i"),
    "code": Code("f()"),
    "code with scope": Code("g()", {"n": 1}),
    "int32": 7,
    "timestamp": Timestamp(1, 2),
    "int64": Int64(8),
    "decimal": Decimal128("9.5"),
    "min key": MinKey(),
    "max key": MaxKey(),
    "reference": DBRef("c", 1),
}


def raw_document(*fields: tuple[int, str, bytes]) -> bytes:
    body = b"".join(bytes([kind]) + name.encode() + b"\0" + value for kind, name, value in fields)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def test_every_field_is_found_where_its_element_begins() -> None:
    data = bson.encode(EVERY_TYPE)
    for name, value in EVERY_TYPE.items():
        element = find_field(data, 0, name.encode())
        start = value_start(data, element)
        end = skip_value(data, data[element], start)
        alone = raw_document((data[element], name, data[start:end]))
        assert alone == bson.encode({name: value})


def test_missing_field_is_minus_one() -> None:
    data = bson.encode({"abc": 1, "ab": 2, "": 3})
    for name in (b"a", b"abcd", b"b", b"ABC"):
        assert find_field(data, 0, name) == -1
    assert find_field(bson.encode({}), 0, b"a") == -1


def test_name_that_begins_like_another_is_not_confused_with_it() -> None:
    data = bson.encode({"abc": 1, "ab": 2, "": 3, "a": 4})
    found = [bson.decode(data)[name] for name in ("abc", "ab", "", "a")]
    offsets = [find_field(data, 0, name.encode()) for name in ("abc", "ab", "", "a")]
    values = [data[value_start(data, offset)] for offset in offsets]
    assert values == found


def test_first_of_two_fields_with_one_name_counts() -> None:
    data = raw_document((0x10, "a", b"\1\0\0\0"), (0x10, "a", b"\2\0\0\0"))
    assert find_field(data, 0, b"a") == 4


def test_field_of_an_inner_document_is_found_from_its_start() -> None:
    data = bson.encode({"skip": 1, "in": {"x": 1, "y": "found"}, "y": "outer"})
    inner = value_start(data, find_field(data, 0, b"in"))
    start = value_start(data, find_field(data, inner, b"y"))
    assert data[start + 4 : start + 9] == b"found"


def test_elements_list_all_fields_in_order() -> None:
    data = bson.encode(EVERY_TYPE)
    listed = elements(data, 0)
    assert [name.decode() for _, name, _, _ in listed] == list(EVERY_TYPE)
    assert listed[-1][3] == len(data) - 1
    assert elements(bson.encode({}), 0) == []


def test_deprecated_types_are_skipped_by_their_length() -> None:
    pointer = b"\2\0\0\0c\0" + bytes(12)
    data = raw_document(
        (TYPE_UNDEFINED, "u", b""),
        (TYPE_DB_POINTER, "p", pointer),
        (TYPE_SYMBOL, "s", b"\3\0\0\0ab\0"),
        (0x10, "last", b"\5\0\0\0"),
    )
    assert data[value_start(data, find_field(data, 0, b"last"))] == 5


@pytest.mark.parametrize(
    ("bson_type", "value"),
    [
        (0x02, b"\0\0\0\0"),
        (0x02, b"\xff\xff\xff\xff"),
        (0x02, b"\x40\0\0\0a\0"),
        (0x03, b"\4\0\0\0"),
        (0x05, b"\xff\xff\xff\xff\0"),
        (0x07, b"short"),
        (0x0B, b"never ends"),
        (0x10, b"\1\0\0"),
        (0x14, b""),
        (0x00, b""),
    ],
)
def test_impossible_values_raise(bson_type: int, value: bytes) -> None:
    with pytest.raises(InvalidBSON):
        skip_value(value, bson_type, 0)


def test_name_without_end_raises() -> None:
    with pytest.raises(InvalidBSON):
        skip_name(b"abc", 0)


def test_damaged_documents_never_loop_or_read_outside() -> None:
    rng = random.Random(7)
    data = bson.encode(EVERY_TYPE)
    for _ in range(3000):
        damaged = bytearray(data[: rng.randrange(5, len(data) + 1)])
        for _ in range(rng.randrange(4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        for name in (b"max key", b"nowhere"):
            try:
                assert find_field(bytes(damaged), 0, name) < len(damaged)
            except InvalidBSON:
                pass
