"""The rules of JSON schemas one by one: leaves say no to what they do not speak of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Code, Decimal128, Int64, Regex
from bson.errors import InvalidBSON

from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, TYPE_INT32, TYPE_NULL, TYPE_STRING
from cbdd.expression.pattern import compile_pattern
from cbdd.expression.value import MISSING, value_of
from cbdd.query.path import FieldPath, ValuePredicate
from cbdd.query.schema_rules import (
    NO_LIMIT,
    AllOf,
    AnyOf,
    AtPath,
    Count,
    Dependency,
    HasFields,
    HasTypes,
    Items,
    JsonSchema,
    NotRule,
    OneOf,
    OnlyFor,
    OtherProperties,
    Properties,
    TypeSet,
)
from cbdd.query.schema_values import EqualsAny, Length, Multiple, UniqueItems, unordered_key

INTEGER = HasTypes(TypeSet([TYPE_INT32]))
TEXT = HasTypes(TypeSet([TYPE_STRING]))
NEVER = AnyOf([])
ALWAYS = AllOf([])


def asked(rule: ValuePredicate, value: Any) -> bool:
    """Ask a rule about a value that lies inside a document, not at its start."""
    data = bson.encode({"before": [1, 2], "": value, "after": "x"})
    start = len(bson.encode({"before": [1, 2]})) - 1 + 2  # its type and its empty name
    found = value_of(value)
    assert data[start : start + len(found.data)] == found.data
    return rule.matches_value(data, found.bson_type, start, start + len(found.data))


def asked_of_missing(rule: ValuePredicate) -> bool:
    return rule.matches_value(b"", MISSING, 0, 0)


def key(value: Any) -> bytes:
    found = value_of(value)
    return unordered_key(found.data, found.bson_type, 0, len(found.data), 0)


LEAVES: list[ValuePredicate] = [
    INTEGER,
    Length(0, NO_LIMIT),
    Count(TYPE_ARRAY, 0, NO_LIMIT),
    Count(TYPE_DOCUMENT, 0, NO_LIMIT),
    Multiple(Decimal(1)),
    EqualsAny({key(5), key("x"), key({"a": 1})}),
    UniqueItems(),
    Items(0, NO_LIMIT, ALWAYS),
    HasFields([]),
    Properties({}, []),
    OtherProperties(set(), [], [], None),
    AtPath(FieldPath("a"), ALWAYS),
]


@pytest.mark.parametrize("rule", LEAVES, ids=lambda rule: type(rule).__name__)
def test_a_leaf_says_no_to_missing_and_to_other_types(rule: ValuePredicate) -> None:
    assert not asked_of_missing(rule)
    assert not asked(rule, None)
    assert not asked(rule, True)


@pytest.mark.parametrize("rule", LEAVES, ids=lambda rule: type(rule).__name__)
def test_only_for_lets_other_types_pass(rule: ValuePredicate) -> None:
    limited = OnlyFor(TypeSet([TYPE_NULL]), rule)
    assert asked_of_missing(limited)
    assert asked(limited, "text")
    assert not asked(limited, None)


def test_types_are_a_set_of_bson_types() -> None:
    types = TypeSet([TYPE_STRING, TYPE_NULL], is_single=False)
    assert types.includes(TYPE_STRING) and types.includes(TYPE_NULL)
    assert not types.includes(TYPE_INT32) and not types.includes(MISSING)
    assert types.first == TYPE_STRING
    assert asked(HasTypes(types), "x") and asked(HasTypes(types), None)
    assert not asked(HasTypes(types), 1)


@pytest.mark.parametrize(
    ("rules", "all_of", "any_of", "one_of"),
    [
        ([], True, False, False),
        ([ALWAYS], True, True, True),
        ([NEVER], False, False, False),
        ([ALWAYS, NEVER], False, True, True),
        ([NEVER, ALWAYS], False, True, True),
        ([ALWAYS, ALWAYS], True, True, False),
        ([ALWAYS, NEVER, ALWAYS], False, True, False),
    ],
)
def test_combined_rules(
    rules: list[ValuePredicate], all_of: bool, any_of: bool, one_of: bool
) -> None:
    assert asked(AllOf(rules), 1) == all_of
    assert asked(AnyOf(rules), 1) == any_of
    assert asked(OneOf(rules), 1) == one_of
    assert asked(NotRule(AllOf(rules)), 1) != all_of


def test_a_dependency_wants_its_rule_where_the_condition_holds() -> None:
    assert asked(Dependency(NEVER, NEVER), 1)
    assert asked(Dependency(ALWAYS, ALWAYS), 1)
    assert not asked(Dependency(ALWAYS, NEVER), 1)


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 0), ("abc", 3), ("é", 1), ("\u20ac\u20ac", 2), ("\U0001f600", 1), ("e\u0301", 2)],
)
def test_length_counts_code_points(text: str, length: int) -> None:
    assert asked(Length(length, length), text)
    assert not asked(Length(length + 1, NO_LIMIT), text)
    assert length == 0 or not asked(Length(0, length - 1), text)


def test_count_is_of_one_type() -> None:
    assert asked(Count(TYPE_ARRAY, 2, 2), [1, [2, 3]])
    assert not asked(Count(TYPE_ARRAY, 0, NO_LIMIT), {"a": 1})
    assert asked(Count(TYPE_DOCUMENT, 1, 1), {"a": {"b": 1, "c": 2}})
    assert not asked(Count(TYPE_DOCUMENT, 2, NO_LIMIT), {"a": 1})


@pytest.mark.parametrize(
    ("divisor", "good", "bad"),
    [
        ("3", [0, -0.0, 3, -3, 6.0, Int64(-9), Decimal128("9.0"), 3e17], [1, 2.5, Int64(2**62)]),
        ("0.5", [1, 0.5, -1.5, Decimal128("2.50")], [0.25, Decimal128("0.1")]),
        ("1E+3", [1000, 2e3, Decimal128("1E+4")], [100, 1500]),
        ("1E-6176", [1, 1e-300, Decimal128("9.999E+6144")], []),
        ("9E+6111", [0, Decimal128("1.8E+6112")], [9, Decimal128("1E+6111")]),
        ("1000000000000000", [10**15, 1e15, Int64(3 * 10**15)], [1, 5e14]),
    ],
)
def test_multiples(divisor: str, good: list[Any], bad: list[Any]) -> None:
    rule = Multiple(Decimal(divisor))
    for number in good:
        assert asked(rule, number), number
    for number in [*bad, float("nan"), float("inf"), Decimal128("NaN"), Decimal128("-Infinity")]:
        assert not asked(rule, number), number


EQUAL: list[tuple[Any, Any]] = [
    (1, 1.0),
    (Int64(1), Decimal128("1.00")),
    (0.0, -0.0),
    (float("nan"), Decimal128("NaN")),
    ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}),
    ({"x": {"a": 1, "b": 2}, "y": 0}, {"y": 0, "x": {"b": 2, "a": 1}}),
    ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),
    ([], []),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (1, "1"),
    (1, True),
    (0, None),
    ("a", "A"),
    ({}, []),
    ({"a": 1}, {"a": 1, "b": 1}),
    ({"a": 1}, {"b": 1}),
    ({"a": "b"}, {"a": Code("b")}),
    ([1, 2], [2, 1]),
    ([1, [2]], [[1], 2]),
    ([[1], [2]], [[1, 2]]),
    ([{}, 1], [{"a": 1}]),
    ({"0": 1}, [1]),
    ("x", Regex("x")),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal_values_have_one_key(left: Any, right: Any) -> None:
    assert key(left) == key(right)
    assert asked(EqualsAny({key(left)}), right)
    assert not asked(UniqueItems(), [left, "between", right])


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_values_have_different_keys(left: Any, right: Any) -> None:
    assert key(left) != key(right)
    assert not asked(EqualsAny({key(left)}), right)
    assert asked(UniqueItems(), [left, right])


def test_keys_end_before_the_stack_does() -> None:
    value: Any = 1
    for _ in range(190):
        value = [value]
    inner = value_of(value)
    data = inner.data
    for _ in range(30):
        body = b"\x040\0" + data + b"\0"
        data = (len(body) + 4).to_bytes(4, "little") + body
    with pytest.raises(InvalidBSON):
        unordered_key(data, TYPE_ARRAY, 0, len(data), 0)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, NO_LIMIT, [True, True, False, False]),
        (0, 1, [True, True, True, False]),
        (1, 2, [True, True, False, True]),
        (2, NO_LIMIT, [True, True, True, True]),
    ],
)
def test_items_are_asked_by_position(first: int, last: int, expected: list[bool]) -> None:
    rule = Items(first, last, INTEGER)
    assert [asked(rule, value) for value in ([], [1, 2], [1, "x"], ["x", 1])] == expected


def test_properties_follow_their_rules() -> None:
    rule = Properties({b"a": INTEGER, b"b": TEXT}, [])
    assert asked(rule, {})
    assert asked(rule, {"b": "x", "c": None, "a": 1})
    assert not asked(rule, {"a": "x"})
    assert not asked(rule, {"c": 1, "b": 1})
    assert not asked(rule, [1])
    also = Properties({b"a": INTEGER}, [HasFields(["b"])])
    assert asked(also, {"b": 1})
    assert not asked(also, {"a": 1})


def test_other_properties_follow_the_patterns_of_their_names() -> None:
    patterns = [compile_pattern("^a", ""), compile_pattern("b$", "")]
    rule = OtherProperties({b"known"}, patterns, [INTEGER, TEXT], NEVER)
    assert asked(rule, {})
    assert asked(rule, {"known": None, "a": 1, "b": "x"})
    assert not asked(rule, {"ab": 1})
    assert not asked(rule, {"a": "x"})
    assert not asked(rule, {"other": 1})
    free = OtherProperties(set(), patterns, [INTEGER, TEXT], None)
    assert asked(free, {"other": 1})


def test_fields_may_be_paths() -> None:
    rule = HasFields(["a", "b.c"])
    assert asked(rule, {"a": None, "b": {"c": []}})
    assert asked(rule, {"a": 1, "b": [{}, {"c": 1}]})
    assert not asked(rule, {"a": 1, "b": {}})
    assert not asked(rule, {"b": {"c": 1}})


def test_a_path_leads_to_any_value() -> None:
    rule = AtPath(FieldPath("a.b", expands_leaf=False), INTEGER)
    assert asked(rule, {"a": {"b": 1}})
    assert asked(rule, {"a": [{"b": "x"}, {"b": 1}]})
    assert not asked(rule, {"a": {"b": [1]}})
    assert asked(AtPath(FieldPath("a.b"), INTEGER), {"a": {"b": [1]}})


def test_a_schema_is_a_match_expression() -> None:
    schema = JsonSchema(Properties({b"a": INTEGER}, []))
    inner = bson.encode({"a": 1})
    data = bson.encode({"x": {"a": "x"}, "y": {"a": 1}})
    assert schema.matches(inner)
    assert not schema.matches(bson.encode({"a": "x"}))
    assert schema.matches_at(data, data.index(inner))
    assert not schema.matches_at(data, data.index(bson.encode({"a": "x"})))
    assert asked(schema, {"a": 1})
    assert not asked(schema, {"a": "x"})
    assert not asked(schema, [1])
    assert schema.position_at(inner, 0) == -1
