"""Key strings against an independent model of MongoDB's comparison order.

The model maps a value to nested Python tuples that compare like the value: numbers as exact
fractions, documents as (class, name, value) triples. It shares no code with the encoder.
"""

from __future__ import annotations

import datetime
import decimal
import math
import struct
from fractions import Fraction
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.decimal128 import create_decimal128_context
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cbdd.index.key_string import bracket_of_key, encode_python, invert

CONTEXT = create_decimal128_context()
EPOCH = datetime.datetime(1970, 1, 1)
THOROUGH = settings(derandomize=True, deadline=None, max_examples=1000)
USUAL = settings(derandomize=True, deadline=None, max_examples=400)


def number_model(value: Any) -> tuple[Any, ...]:
    if isinstance(value, Decimal128):
        value = value.to_decimal()
        if value.is_nan():
            return (0,)
        if value.is_infinite():
            return (3,) if value > 0 else (1,)
    elif isinstance(value, float):
        if math.isnan(value):
            return (0,)
        if math.isinf(value):
            return (3,) if value > 0 else (1,)
    return (2, Fraction(value))


def document_model(value: dict[str, Any]) -> tuple[Any, ...]:
    fields = []
    for name, field in value.items():
        field_class, content = model(field)
        fields.append((field_class, name.encode(), content))
    return tuple(fields)


def model(value: Any) -> tuple[int, Any]:
    """Return (canonical class, content): tuples that compare as MongoDB compares the values."""
    if isinstance(value, MinKey):
        return (-1, ())
    if value is None:
        return (5, ())
    if isinstance(value, bool):
        return (40, value)
    if isinstance(value, (int, float, Decimal128)):
        return (10, number_model(value))
    if isinstance(value, Code):
        text = str(value).encode()
        if value.scope is None:
            return (60, text)
        return (65, (text, document_model(dict(value.scope))))
    if isinstance(value, str):
        return (15, value.encode())
    if isinstance(value, dict):
        return (20, document_model(value))
    if isinstance(value, list):
        return (25, tuple(model(item) for item in value))
    if isinstance(value, Binary):
        return (30, (len(value), value.subtype, bytes(value)))
    if isinstance(value, ObjectId):
        return (35, value.binary)
    if isinstance(value, datetime.datetime):
        return (45, (value - EPOCH) // datetime.timedelta(milliseconds=1))
    if isinstance(value, Timestamp):
        return (47, (value.time, value.inc))
    if isinstance(value, Regex):
        letters = "".join(c for c, bit in REGEX_FLAGS if value.flags & bit)
        return (50, (value.pattern.encode(), letters.encode()))
    assert isinstance(value, MaxKey)
    return (127, ())


REGEX_FLAGS = [("i", 2), ("m", 8), ("s", 16), ("x", 64)]

BOUNDARIES: list[int] = [
    sign * (power + offset)
    for sign in (1, -1)
    for power in (0, 1, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**52, 2**53, 2**54, 2**62)
    for offset in (-1, 0, 1)
]
BOUNDARIES += [2**63 - 1, -(2**63) + 1, -(2**63)]
FLOATS = [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 0.1, 0.5, 1 / 3]
FLOATS += [1 - 2**-53, 1.0, 1 + 2**-52, 1.5, 127.5, 128.5, 1e16, 2.0**62, 2.0**63, 1e300, 1e308]
FLOATS += [2.0**64, 1.7976931348623157e308, 9223372036854774784.0, 4503599627370495.5]
DECIMALS = ["0", "-0", "0E-6176", "1E-6176", "9.999999999999999999999999999999999E+6144", "0.1"]
DECIMALS += ["4.940656458412465441765687928682213E-324", "1.797693134862315708145274237317044E+308"]
DECIMALS += ["0.5", "1.00", "19.99", "9223372036854775807.5", "9007199254740992.1", "1E+6111"]
DECIMALS += ["9007199254740993", "4503599627370496.5", "2.4703282292062327208299493E-324", "3.5"]
DECIMALS += ["9223372036854775808", "9223372036854775808.1", "18446744073709551616", "1E-331"]
SPECIAL_NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    Decimal128("NaN"),
    Decimal128("-NaN"),
    Decimal128("Infinity"),
    Decimal128("-Infinity"),
]


def to_decimal128(value: Fraction) -> Decimal128:
    with decimal.localcontext(CONTEXT):
        return Decimal128(decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator))


def near_double(value: float, ulps: int, scale: int) -> Decimal128:
    """Return a decimal at (about) `ulps` thousandths of a unit in the last place from a double."""
    if not math.isfinite(value) or abs(value) > 1e300:
        value = 1.5
    step = Fraction(math.ulp(value)) * ulps / 1000
    return to_decimal128(Fraction(value) + step + Fraction(scale, 10**30))


def from_parts(sign: int, coefficient: int, exponent: int) -> Decimal128:
    digits = tuple(int(c) for c in str(coefficient))
    return Decimal128(CONTEXT.create_decimal(decimal.Decimal((sign, digits, exponent))))


doubles = st.one_of(
    st.sampled_from(FLOATS),
    st.sampled_from(FLOATS).map(lambda v: -v),
    st.floats(allow_nan=True),
    st.integers(min_value=-(2**20), max_value=2**20).map(lambda v: v / 64),
    st.integers(min_value=0, max_value=2**63 - 1).map(
        lambda bits: struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    ),
)
integers = st.one_of(
    st.sampled_from(BOUNDARIES),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.integers(min_value=-300, max_value=300),
)
decimals = st.one_of(
    st.sampled_from(DECIMALS).map(Decimal128),
    st.sampled_from(DECIMALS)
    .map(lambda text: Decimal128(text).to_decimal().copy_negate())
    .map(Decimal128),
    st.builds(near_double, doubles, st.integers(-2000, 2000), st.sampled_from([0, 0, 1, -1])),
    integers.map(lambda value: Decimal128(str(value))),
    st.builds(
        from_parts,
        st.integers(0, 1),
        st.integers(0, 10**34 - 1),
        st.one_of(st.integers(-6176, 6111), st.integers(-40, 5)),
    ),
)
numbers = st.one_of(
    st.sampled_from(SPECIAL_NUMBERS),
    doubles,
    integers.map(lambda v: v if -(2**31) <= v < 2**31 else Int64(v)),
    integers.map(Int64),
    decimals,
)
names = st.text(alphabet="ab.$é", max_size=3)
texts = st.one_of(st.text(alphabet="\x00\x01\x02ab", max_size=6), st.text(max_size=8))
scalars = st.one_of(
    numbers,
    st.sampled_from([None, True, False, MinKey(), MaxKey()]),
    texts,
    st.builds(Binary, st.binary(max_size=4), st.sampled_from([0, 5, 6, 128])),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.integers(min_value=-(2**40), max_value=2**40).map(
        lambda ms: EPOCH + datetime.timedelta(milliseconds=ms)
    ),
    st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 3)),
    st.builds(
        Regex, st.text(alphabet="ab^\x01", max_size=3), st.sampled_from([0, 2, 8, 10, 18, 64])
    ),
    texts.map(Code),
    st.builds(Code, texts, st.dictionaries(names, st.integers(0, 3), max_size=2)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)


def check_pair(left: Any, right: Any) -> None:
    left_key, right_key = encode_python(left), encode_python(right)
    left_model, right_model = model(left), model(right)
    assert (left_key < right_key) == (left_model < right_model)
    assert (left_key == right_key) == (left_model == right_model)
    assert (invert(left_key) > invert(right_key)) == (left_key < right_key)
    if left_key != right_key:
        assert not left_key.startswith(right_key)
        assert not right_key.startswith(left_key)
    same_class = left_model[0] == right_model[0]
    assert (bracket_of_key(left_key) == bracket_of_key(right_key)) == same_class


@THOROUGH
@given(numbers, numbers)
@example(Int64(2**53 + 1), float(2**53))
@example(Decimal128("0.1"), 0.1)
@example(Decimal128("9007199254740993"), Int64(2**53 + 1))
@example(-(2.0**63), Int64(-(2**63)))
@example(Decimal128("-9223372036854775808"), Int64(-(2**63)))
def test_numbers_of_all_types_order_by_mathematical_value(left: Any, right: Any) -> None:
    check_pair(left, right)


@THOROUGH
@given(doubles, st.integers(-2000, 2000), st.integers(-2000, 2000))
def test_decimals_between_neighbouring_doubles_order_exactly(
    value: float, left_ulps: int, right_ulps: int
) -> None:
    left, right = near_double(value, left_ulps, 0), near_double(value, right_ulps, 0)
    check_pair(left, right)
    check_pair(left, value)
    if math.isfinite(value):
        check_pair(right, math.nextafter(value, math.inf))


@THOROUGH
@given(values, values)
def test_any_two_values_order_as_in_the_model(left: Any, right: Any) -> None:
    check_pair(left, right)


@USUAL
@given(st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=5), st.data())
def test_equal_numbers_of_other_types_give_equal_keys_inside_arrays(
    value: Any, data: st.DataObject
) -> None:
    def retype(item: Any) -> Any:
        if isinstance(item, list):
            return [retype(inner) for inner in item]
        kind = number_model(item)
        if kind[0] != 2:
            return item
        choices: list[Any] = [item]
        exact: Fraction = kind[1]
        if exact.denominator == 1 and abs(exact) < 10**34:
            choices.append(Decimal128(str(exact.numerator)))
            if -(2**63) <= exact < 2**63:
                choices.append(Int64(int(exact)))
        if abs(exact) < 10**300 and Fraction(float(exact)) == exact:
            choices.append(float(exact))
        return data.draw(st.sampled_from(choices))

    assert encode_python(value) == encode_python(retype(value))


@USUAL
@given(
    st.lists(st.tuples(values, values), min_size=2, max_size=6),
    st.tuples(st.booleans(), st.booleans()),
)
def test_joined_keys_order_as_compound_values(
    rows: list[tuple[Any, Any]], descending: tuple[bool, bool]
) -> None:
    def joined(row: tuple[Any, Any]) -> bytes:
        parts = [encode_python(value) for value in row]
        return b"".join(
            invert(part) if down else part for part, down in zip(parts, descending, strict=True)
        )

    by_key = sorted(range(len(rows)), key=lambda i: joined(rows[i]))
    by_model = list(range(len(rows)))
    for column in (1, 0):
        by_model.sort(key=lambda i: model(rows[i][column]), reverse=descending[column])
    assert [joined(rows[i]) for i in by_key] == [joined(rows[i]) for i in by_model]


@USUAL
@given(texts, texts)
def test_text_orders_by_its_bytes_even_with_nul(left: str, right: str) -> None:
    assert (encode_python(left) < encode_python(right)) == (left.encode() < right.encode())
