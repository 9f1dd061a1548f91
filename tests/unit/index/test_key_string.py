"""The bytes of key strings, type by type, as the module's table promises them."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.errors import InvalidBSON

from cbdd.index import key_string
from cbdd.index.key_string import (
    MAX_KEY,
    MAX_KEY_DEPTH,
    MIN_KEY,
    NULL_KEY,
    UNDEFINED_KEY,
    bracket_end,
    bracket_of_key,
    encode_plain,
    encode_python,
    encode_value,
    invert,
    type_bracket,
)

# One value of each class, in MongoDB's order; (type, raw value) where Python has no such value.
ASCENDING: list[Any] = [
    MinKey(),
    (0x06, b""),
    None,
    -1,
    "text",
    {"a": 1},
    [1],
    Binary(b"b"),
    ObjectId("5f0000000000000000000001"),
    False,
    True,
    datetime.datetime(1969, 12, 31),
    datetime.datetime(2024, 1, 1),
    Timestamp(1, 1),
    Regex("a"),
    (0x0C, b"\2\0\0\0c\0" + bytes(12)),
    Code("f"),
    Code("f", {}),
    MaxKey(),
]


def encode(value: Any) -> bytes:
    if isinstance(value, tuple):
        return encode_value(value[1], value[0], 0, len(value[1]))
    return encode_python(value)


def hexed(value: Any) -> str:
    return encode_python(value).hex(" ")


def test_classes_order_as_in_mongodb() -> None:
    keys = [encode(value) for value in ASCENDING]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_no_class_byte_is_an_end_or_its_complement() -> None:
    for value in ASCENDING:
        assert 0 < encode(value)[0] < 0xFF


def test_values_without_content_are_their_class_byte() -> None:
    assert encode_python(None) == NULL_KEY == b"\x0c"
    assert encode_python(MinKey()) == MIN_KEY == b"\x04"
    assert encode_python(MaxKey()) == MAX_KEY == b"\xf0"
    assert encode((0x06, b"")) == UNDEFINED_KEY == b"\x08"
    assert hexed(False) == "58"
    assert hexed(True) == "59"


def test_text_is_terminated_and_escaped() -> None:
    assert hexed("") == "30 00"
    assert hexed("ab") == "30 61 62 00"
    assert hexed("a\0\1\2") == "30 61 01 01 01 02 02 00"


def test_symbol_equals_string() -> None:
    assert encode((0x0E, b"\3\0\0\0ab\0")) == encode_python("ab")


def test_binary_orders_by_length_then_subtype_then_bytes() -> None:
    assert hexed(Binary(b"\xff", 5)) == "48 01 05 ff"
    ordered = [
        Binary(b"\xff", 128),
        Binary(b"aa", 0),
        Binary(b"aa", 5),
        Binary(b"ab", 5),
        Binary(bytes(254)),
        Binary(bytes(255)),
        Binary(bytes(256)),
        Binary(bytes(70000)),
    ]
    keys = [encode_python(value) for value in ordered]
    assert keys == sorted(keys)
    assert keys[5][:7] == bytes.fromhex("48 ff 00 00 00 ff 00")


def test_dates_and_timestamps_are_eight_bytes() -> None:
    epoch = datetime.datetime(1970, 1, 1)
    assert hexed(epoch) == "60 80 00 00 00 00 00 00 00"
    assert hexed(epoch - datetime.timedelta(milliseconds=1)) == "60 7f ff ff ff ff ff ff ff"
    assert hexed(Timestamp(2**32 - 1, 3)) == "68 ff ff ff ff 00 00 00 03"


def test_extreme_dates_keep_their_order() -> None:
    moments = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 2, 2**63 - 1]
    keys = [encode((0x09, ms.to_bytes(8, "little", signed=True))) for ms in moments]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_regex_is_pattern_and_options() -> None:
    assert hexed(Regex("^a", "im")) == "70 5e 61 00 69 6d 00"


def test_code_with_scope_adds_the_scope_as_a_document() -> None:
    assert hexed(Code("f")) == "80 66 00"
    assert hexed(Code("f", {"n": 1})) == "88 66 00 10 6e 00 1e 02 00"


def test_documents_compare_by_class_then_name_then_value() -> None:
    assert hexed({"a": 1}) == "38 10 61 00 1e 02 00"
    ordered: list[Any] = [
        {},
        {"b": MinKey()},
        {"b": None},
        {"a": 1},
        {"a": 1, "b": 1},
        {"a": 2},
        {"b": 1},
        {"a": "text"},
    ]
    keys = [encode_python(value) for value in ordered]
    assert keys == sorted(keys)


def test_arrays_compare_element_by_element_then_by_length() -> None:
    assert hexed([1, None]) == "40 1e 02 0c 00"
    ordered: list[Any] = [[], [MinKey()], [None, 5], [1], [1, 1], [2], ["a"], [[]]]
    keys = [encode_python(value) for value in ordered]
    assert keys == sorted(keys)


def test_values_nest_to_the_depth_limit_and_no_deeper() -> None:
    value: Any = 1
    for _ in range(MAX_KEY_DEPTH):
        value = [value]
    data = bson.encode({"": value})
    assert len(encode_value(data, data[4], 6, len(data) - 1)) == 2 * MAX_KEY_DEPTH + 2
    data = bson.encode({"": {"": value}})
    with pytest.raises(InvalidBSON, match="levels"):
        encode_value(data, data[4], 6, len(data) - 1)


def test_unknown_types_raise() -> None:
    with pytest.raises(InvalidBSON):
        encode_value(b"", 0x14, 0, 0)
    for bson_type in (0x00, 0x14, 0x7E, 0x80, 0x100, -1):
        with pytest.raises(InvalidBSON):
            type_bracket(bson_type)


def test_bracket_of_a_type_spans_exactly_its_keys() -> None:
    numbers: list[Any] = [float("nan"), float("-inf"), -5, 0, 1e300, Int64(1), Decimal128("0.1")]
    for value in ASCENDING + numbers:
        if isinstance(value, tuple):
            bson_type = value[0]
        else:
            bson_type = bson.encode({"": value})[4]
        bracket = type_bracket(bson_type)
        key = encode(value)
        assert bracket <= key[0] < bracket_end(bracket)
        assert bracket_of_key(key) == bracket


def test_brackets_do_not_overlap() -> None:
    types = [*range(0x01, 0x14), 0x7F, 0xFF]
    spans = sorted({(type_bracket(t), bracket_end(type_bracket(t))) for t in types})
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start


def test_inverted_keys_sort_backwards_and_invert_back() -> None:
    keys = [encode(value) for value in ASCENDING]
    assert sorted(keys, key=invert, reverse=True) == sorted(keys)
    assert [invert(invert(key)) for key in keys] == keys


def test_byte_table_in_the_docstring_names_the_classes() -> None:
    table = key_string.__doc__ or ""
    if not table:
        pytest.skip("compiled modules have no docstring")
    for name in dir(key_string):
        if name.startswith("CLASS_"):
            assert f"\n    {getattr(key_string, name):02X}" in table, name


PLAIN: list[Any] = [
    *(0, 1, -1, 127, 128, -128, 255, 256, 2**31, -(2**31) - 1, 2**62, 2**63 - 1, -(2**63)),
    *("", "a", "\0", "\1", "a\0b\1c", "é", "\U0001f600", "x" * 300),
    ObjectId("5f0000000000000000000001"),
]


@pytest.mark.parametrize("value", PLAIN)
def test_plain_values_have_the_same_key_without_bson(value: Any) -> None:
    assert encode_plain(value) == encode_python(value)


@pytest.mark.parametrize(
    "value", [None, True, 1.0, b"a", Int64(1), 2**63, -(2**63) - 1, "\ud800", [1], {"a": 1}]
)
def test_what_is_not_plain_or_no_bson_is_none(value: Any) -> None:
    assert encode_plain(value) is None
