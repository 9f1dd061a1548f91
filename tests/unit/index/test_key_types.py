"""Values read back from index keys are exactly the values that were indexed, or none at all."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

from cbdd.index.definition import IndexDefinition
from cbdd.index.key_types import AS_DOUBLE, AS_INT64, UNKNOWN, USUAL, decode_fields, type_code
from cbdd.index.keys import extract_keys

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS
)
READABLE: list[Any] = [
    0, 1, -1, 127, 128, -128, 300, 2**31 - 1, -(2**31), 2**31, -(2**31) - 1, 2**53, 2**63 - 1,
    -(2**63), Int64(0), Int64(1), Int64(-5), Int64(2**40), 0.0, 1.0, -1.0, 1.5, -1.5, 0.1, -0.1,
    1e300, -1e300, 1e-300, 5e-324, 2.0**53, 2.0**62, -(2.0**63), 2.0**63, 2.0**63 - 1024,
    123456789.25, math.inf, -math.inf, "", "a", "a\0b", "\x01\x00\x01", "é", "\U0001f600",
    True, False, ObjectId("0123456789abcdef01234567"), datetime(2020, 1, 1, tzinfo=UTC),
    DatetimeMS(-(2**60)), Timestamp(5, 6), Timestamp(2**32 - 1, 2**32 - 1), Binary(b""),
    Binary(b"ab\0c", 4), Binary(bytes(300), 128), MinKey(), MaxKey(),
]  # fmt: skip
UNREADABLE: list[Any] = [
    None, math.nan, -0.0, Decimal128("1.0"), Decimal128("0.1"), {"a": 1}, {}, Regex("a"),
    bson.Code("x"), Binary(b"ab", 2),
]  # fmt: skip


def read_back(document: dict[str, Any], keys: list[tuple[str, int]]) -> list[bytes] | None:
    definition = IndexDefinition("n", keys)
    extracted = extract_keys(definition, bson.encode(document))
    return decode_fields(definition, extracted.keys[0], extracted.types)


def element(value: Any) -> bytes:
    """Return the BSON type byte and bytes of a value."""
    data = bson.encode({"": value})
    return data[4:5] + data[6:-1]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("value", READABLE, ids=repr)
def test_value_is_read_back_with_its_type(value: Any, direction: int) -> None:
    assert read_back({"a": value}, [("a", direction)]) == [element(value)]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("value", UNREADABLE, ids=repr)
def test_value_that_its_key_does_not_tell_is_not_made_up(value: Any, direction: int) -> None:
    assert read_back({"a": value}, [("a", direction)]) is None
    assert read_back({"b": 1, "a": value}, [("b", 1), ("a", direction)]) is None


def test_missing_field_is_not_taken_for_null() -> None:
    assert read_back({"b": 1}, [("a", 1)]) is None


def test_compound_keys_are_taken_apart() -> None:
    dice = random.Random(11)
    for _ in range(500):
        values = [dice.choice(READABLE) for _ in range(3)]
        keys = [(name, dice.choice([1, -1])) for name in "abc"]
        found = read_back(dict(zip("abc", values)), keys)
        assert found == [element(value) for value in values]


def test_every_double_comes_back() -> None:
    dice = random.Random(12)
    for _ in range(5000):
        value = dice.choice([1, -1]) * math.ldexp(dice.random(), dice.randrange(-1070, 1020))
        if value != 0:
            assert read_back({"a": value}, [("a", 1)]) == [element(value)]
        whole = Int64(dice.randrange(-(2**63), 2**63) >> dice.randrange(63))
        assert read_back({"a": whole}, [("a", 1)]) == [element(whole)]
        if whole != 0 or math.copysign(1, float(whole)) > 0:
            assert read_back({"a": float(whole)}, [("a", 1)]) == [element(float(whole))]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1, USUAL), (Int64(1), AS_INT64), (Int64(2**31), USUAL), (1.0, AS_DOUBLE), (1.5, USUAL),
        (2.0**63, USUAL), (-(2.0**63), AS_DOUBLE), (-0.0, UNKNOWN), (math.nan, UNKNOWN),
        ("x", USUAL), ({"a": 1}, UNKNOWN), (None, UNKNOWN),
    ],
)  # fmt: skip
def test_codes(value: Any, code: int) -> None:
    data = bson.encode({"": value})
    assert type_code(data, data[4], 6) == code


def test_usual_values_need_no_bytes() -> None:
    definition = IndexDefinition("n", [("a", 1), ("b", 1)])
    assert extract_keys(definition, bson.encode({"a": 1, "b": "x"})).types == b""
    assert extract_keys(definition, bson.encode({"a": 1, "b": 2.0})).types == b"\0\x03"


def test_indexes_of_the_first_version_keep_no_types() -> None:
    definition = IndexDefinition("n", [("a", 1)], key_string_version=1)
    extracted = extract_keys(definition, bson.encode({"a": 2.0}))
    assert extracted.types == b""
    assert decode_fields(definition, extracted.keys[0], b"") is None


def test_multikey_index_is_not_read_back() -> None:
    definition = IndexDefinition("n", [("a", 1)], is_multikey=True)
    extracted = extract_keys(definition, bson.encode({"a": 2}))
    assert decode_fields(definition, extracted.keys[0], b"") is None
