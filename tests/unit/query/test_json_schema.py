"""$jsonSchema: what each keyword says of a document, and which schemas are refused."""

from __future__ import annotations

import datetime
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from cbdd.query import parse_filter
from cbdd.query.implication import QueryFilters
from tests.unit.query.asking import matches, refusal_of, update_refusal
from tests.unit.query.conftest import Items

NAN = float("nan")
INFINITY = float("inf")
MISSING = object()
Schema = dict[str, Any]


def fits(schema: Schema, document: dict[str, Any]) -> bool:
    return matches({"$jsonSchema": schema}, document)


def fits_at_a(schema: Schema, value: Any) -> bool:
    """Tell whether a document with `value` at a follows a schema for a."""
    document = {} if value is MISSING else {"a": value}
    return fits({"properties": {"a": schema}}, document)


def refused(schema: Schema) -> tuple[int | None, str]:
    return refusal_of({"$jsonSchema": schema})


def repeated(name: str, *values: Any) -> RawBSONDocument:
    """A document that has a name more than once."""
    body = b"".join([bson.encode({name: value})[4:-1] for value in values])
    return RawBSONDocument((len(body) + 5).to_bytes(4, "little") + body + b"\0")


VALUES: dict[str, Any] = {
    "double": 1.5,
    "string": "x",
    "object": {"x": 1},
    "array": ["x", 1],
    "binData": Binary(b"x", 5),
    "objectId": ObjectId("0" * 24),
    "bool": False,
    "date": datetime.datetime(2020, 1, 1),
    "null": None,
    "regex": Regex("x"),
    "javascript": Code("x"),
    "javascriptWithScope": Code("x", {"x": 1}),
    "int": 1,
    "timestamp": Timestamp(1, 1),
    "long": Int64(1),
    "decimal": Decimal128("1"),
    "minKey": MinKey(),
    "maxKey": MaxKey(),
}


@pytest.mark.parametrize("name", VALUES)
def test_bson_type_is_that_type_only(name: str) -> None:
    found = [other for other, value in VALUES.items() if fits_at_a({"bsonType": name}, value)]
    assert found == [name]
    assert fits_at_a({"bsonType": name}, MISSING)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("object", ["object"]),
        ("array", ["array"]),
        ("string", ["string"]),
        ("boolean", ["bool"]),
        ("null", ["null"]),
        ("number", ["double", "int", "long", "decimal"]),
        (["null", "string"], ["string", "null"]),
        (["number", "boolean"], ["double", "bool", "int", "long", "decimal"]),
    ],
)
def test_type_by_the_names_of_json(name: Any, expected: list[str]) -> None:
    found = [other for other, value in VALUES.items() if fits_at_a({"type": name}, value)]
    assert found == expected


def test_bson_types_may_be_several() -> None:
    assert fits_at_a({"bsonType": ["objectId", "double"]}, 1.0)
    assert not fits_at_a({"bsonType": ["objectId", "double"]}, 1)
    assert not fits_at_a({"bsonType": ["objectId", "double"]}, [1.0])
    assert fits_at_a({"bsonType": ["number", "int"]}, 1.5)


def test_a_document_is_an_object() -> None:
    for schema in ({}, {"type": "object"}, {"bsonType": ["object", "double"]}):
        assert fits(schema, {})
        assert fits(schema, {"a": 1})
    for name in ("string", "array", "null"):
        assert not fits({"type": name}, {})
    assert not fits({"bsonType": "objectId"}, {"_id": 1})


def test_null_is_there_and_missing_is_not() -> None:
    schema = {"properties": {"a": {"bsonType": "null"}}, "required": ["a"]}
    assert fits(schema, {"a": None})
    assert not fits(schema, {})


NUMBER_RULES: list[tuple[Schema, list[Any], list[Any]]] = [
    ({"minimum": 3}, [3, 3.0, Int64(3), Decimal128("3.00"), 4, INFINITY], [2, 2.999, Int64(-9)]),
    ({"minimum": 3, "exclusiveMinimum": True}, [3.001, Int64(4)], [3, 3.0, Decimal128("3")]),
    ({"minimum": 3, "exclusiveMinimum": False}, [3], [2]),
    ({"maximum": 3}, [3, 3.0, Int64(-9), -INFINITY], [4, 3.001, Decimal128("3.01"), INFINITY]),
    ({"maximum": 3, "exclusiveMaximum": True}, [2, 2.999], [3, Int64(3), Decimal128("3")]),
    ({"maximum": 3, "exclusiveMaximum": False}, [3], [4]),
    ({"minimum": 1, "maximum": 2}, [1, 1.5, 2], [0, 3]),
    ({"minimum": Decimal128("0.1")}, [0.2, Decimal128("0.1")], [0, Decimal128("0.09")]),
    ({"minimum": 2**53}, [Int64(2**53), Int64(2**53 + 1)], [Int64(2**53 - 1)]),
    ({"maximum": float(2**53)}, [Int64(2**53)], [Int64(2**53 + 1)]),
    ({"minimum": 0}, [], [NAN, Decimal128("NaN")]),
    ({"maximum": 0}, [], [NAN, Decimal128("NaN")]),
    ({"minimum": NAN}, [NAN], [0, INFINITY]),
    ({"multipleOf": 3}, [0, 3, -9, 6.0, Int64(9), Decimal128("12")], [1, 3.5, Int64(2**62)]),
    ({"multipleOf": 2.5}, [5, 7.5, -2.5, 0, Decimal128("10.0")], [3, 2.6, Decimal128("1")]),
    ({"multipleOf": 0.1}, [0.3, 1, 0.7, -0.1, 1.1], [0.35, 0.01]),
    ({"multipleOf": Decimal128("0.01")}, [19.99, Decimal128("4.350"), 7], [0.001]),
    ({"multipleOf": Int64(2**62)}, [Int64(2**62), 0], [Int64(2**61), 1.5]),
    ({"multipleOf": Decimal128("1E-6176")}, [1, 0.5, Decimal128("9E+6144")], [NAN]),
    ({"multipleOf": Decimal128("7E+6000")}, [0, Decimal128("1.4E+6001")], [7]),
    ({"multipleOf": 1}, [1e300], [NAN, INFINITY, -INFINITY, Decimal128("NaN"), 1.5]),
    ({"multipleOf": 7}, [7e20], [1e20, Decimal128("Infinity")]),
]

STRING_RULES: list[tuple[Schema, list[Any], list[Any]]] = [
    ({"minLength": 0}, ["", "x"], []),
    ({"minLength": 2}, ["ab", "éé", "a" * 300], ["", "a", "é", "\U0001f600"]),
    ({"maxLength": 2}, ["", "ab", "éé", "\U0001f600\U0001f600", "\0\0"], ["abc", "ééé", "a" * 300]),
    ({"maxLength": 0}, [""], ["a"]),
    ({"minLength": 1, "maxLength": 2.0}, ["a", "ab"], ["", "abc"]),
    ({"minLength": Decimal128("1"), "maxLength": Int64(1)}, ["a"], ["", "ab"]),
    ({"pattern": "a+b"}, ["ab", "caabc"], ["b", "", "A+B"]),
    ({"pattern": "^x$"}, ["x"], ["xx"]),
    ({"pattern": "^(a+)+$"}, ["a" * 10], ["a" * 10 + "b"]),
    ({"pattern": "^é"}, ["é"], ["e"]),
]

ARRAY_RULES: list[tuple[Schema, list[Any], list[Any]]] = [
    ({"minItems": 2}, [[1, 2], [1, 2, 3]], [[], [[1, 2]]]),
    ({"maxItems": 2}, [[], [1, 2]], [[1, 2, 3]]),
    ({"maxItems": 0}, [[]], [[None]]),
    ({"uniqueItems": False}, [[1, 1]], []),
    (
        {"uniqueItems": True},
        [[], [1], [1, 2, 3], ["a", "A"], [{}, "", [], None], [[1, 2], [2, 1]], [1, True], [{}, []]],
        [
            [1, 1],
            [Int64(1), 1],
            [1.0, Decimal128("1.00")],
            [NAN, NAN],
            ["a", "b", "a"],
            [None, None],
            [[1, 2], [1, 2.0]],
            [{"x": 1, "y": 2}, {"y": 2.0, "x": 1}],
            [{"z": [{"x": 1, "y": 2}]}, {"z": [{"y": 2, "x": 1}]}],
        ],
    ),
    ({"items": {"type": "number"}}, [[], [1, 2.5]], [["x"], [1, "x"], [None], [[1]]]),
    ({"items": {"minimum": 5}}, [[5], ["x"], [[1]]], [[4], [5, 4]]),
    ({"items": {"items": {"type": "string"}}}, [[["x"]], ["x", 1], []], [[[1]], [["x"], ["x", 1]]]),
    ({"items": []}, [[], [1, "x"]], []),
    (
        {"items": [{"maxLength": 1}, {"maxLength": 2}]},
        [[], ["1"], ["1", "12", "123"], [1, 2]],
        [["12"], ["1", "123"]],
    ),
    (
        {"items": [{"type": "number"}, {"type": "string"}], "additionalItems": False},
        [[], [1], [1, "x"]],
        [[1, "x", 2], ["x"]],
    ),
    (
        {"items": [{"type": "number"}], "additionalItems": {"type": "object"}},
        [[], [1], [1, {}, {}]],
        [[1, 1], [1, {}, None]],
    ),
    ({"items": [{"type": "number"}], "additionalItems": True}, [[1, "x"]], [["x"]]),
    ({"items": [], "additionalItems": False}, [[]], [[1]]),
    ({"items": {}, "additionalItems": False}, [[1, 2]], []),
    ({"additionalItems": False}, [[1, 2]], []),
    ({"additionalItems": {"type": "object"}}, [[1, 2]], []),
    ({"items": [{"not": {}}], "additionalItems": {"not": {}}}, [[]], [[1]]),
]

OBJECT_RULES: list[tuple[Schema, list[Any], list[Any]]] = [
    ({"minProperties": 1}, [{"x": 1}, {"x": 1, "y": 2}], [{}]),
    ({"maxProperties": 1}, [{}, {"x": 1}], [{"x": 1, "y": 2}]),
    ({"minProperties": 1, "maxProperties": 1}, [{"x": [1, 2]}], [{}, {"x": 1, "y": 1}]),
    ({"required": ["x"]}, [{"x": 1}, {"x": None}, {"y": 1, "x": []}], [{}, {"y": {"x": 1}}]),
    ({"required": ["x", "y"]}, [{"y": 1, "x": 1}], [{"x": 1}, {"y": 1}, {}]),
    ({"properties": {}}, [{}, {"x": 1}], []),
    (
        {"properties": {"x": {"type": "string"}, "y": {"minimum": 3}}},
        [{}, {"x": "s"}, {"y": 3}, {"x": "s", "y": "s", "z": 1}],
        [{"x": 1}, {"y": 2}, {"x": "s", "y": 2}],
    ),
    ({"properties": {"x": {"not": {}}}}, [{}, {"y": 1}], [{"x": None}]),
    ({"properties": {"": {"type": "string"}}}, [{}, {"": "x"}], [{"": 1}]),
    (
        {"properties": {"x": {"properties": {"y": {"required": ["z"]}}}}},
        [{}, {"x": 1}, {"x": {"y": 1}}, {"x": {"y": {"z": 1}}}],
        [{"x": {"y": {}}}],
    ),
    (
        {"patternProperties": {"^a": {"type": "number"}, "b$": {"maximum": 9}}},
        [{}, {"c": "s"}, {"a": 1}, {"ab": 9}, {"cb": "s"}],
        [{"a": "s"}, {"ab": 10}, {"cb": 10}, {"c": 1, "a1": None}],
    ),
    (
        {"properties": {"aa": {"type": "number"}}, "patternProperties": {"^a": {"maximum": 5}}},
        [{"aa": 5}, {"b": "x"}],
        [{"aa": 6}, {"aa": "x"}, {"ab": 6}],
    ),
    ({"additionalProperties": False}, [{}], [{"x": 1}]),
    ({"additionalProperties": True}, [{}, {"x": 1}], []),
    (
        {"properties": {"x": {}}, "additionalProperties": False},
        [{}, {"x": 1}],
        [{"y": 1}, {"x": 1, "y": 1}, {"xx": 1}],
    ),
    (
        {"properties": {"x": {}}, "additionalProperties": {"type": "number"}},
        [{"x": "s"}, {"y": 1}],
        [{"y": "s"}, {"x": 1, "y": 1, "z": None}],
    ),
    (
        {
            "properties": {"x": {}},
            "patternProperties": {"^b": {"type": "string"}},
            "additionalProperties": {"type": "number"},
        },
        [{"x": None, "b1": "s", "z": 1}],
        [{"b1": 1}, {"z": "s"}],
    ),
    ({"patternProperties": {"é": {}}, "additionalProperties": False}, [{"café": 1}], [{"cafe": 1}]),
    (
        {"dependencies": {"x": ["y", "z"]}},
        [{}, {"y": 1}, {"x": 1, "y": 1, "z": 1}],
        [{"x": 1}, {"x": 1, "y": 1}, {"x": None, "z": 1}],
    ),
    (
        {"dependencies": {"x": {"required": ["y"], "properties": {"z": {"type": "string"}}}}},
        [{}, {"z": 1}, {"x": 1, "y": 1}, {"x": 1, "y": 1, "z": "s"}],
        [{"x": 1}, {"x": 1, "y": 1, "z": 1}],
    ),
    (
        {"dependencies": {"x": ["y"], "z": {"maxProperties": 2}}},
        [{"x": 1, "y": 1}, {"z": 1, "q": 1}],
        [{"x": 1, "z": 1}, {"x": 1, "y": 1, "z": 1}],
    ),
    ({"dependencies": {}}, [{}], []),
    ({"dependencies": {"title": "t", "description": "d"}}, [{}, {"title": 1}], []),
]

ALL_RULES = [
    *[("number", *rule) for rule in NUMBER_RULES],
    *[("string", *rule) for rule in STRING_RULES],
    *[("array", *rule) for rule in ARRAY_RULES],
    *[("object", *rule) for rule in OBJECT_RULES],
]
OF_TYPE = {
    "number": ["double", "int", "long", "decimal"],
    "string": ["string"],
    "array": ["array"],
    "object": ["object"],
}


@pytest.mark.parametrize(("kind", "schema", "good", "bad"), ALL_RULES)
def test_a_keyword_judges_values_of_its_type(
    kind: str, schema: Schema, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        assert fits_at_a(schema, value), value
        assert fits_at_a({"type": kind, **schema}, value), value
        assert not fits_at_a({"not": schema}, value), value
    for value in bad:
        assert not fits_at_a(schema, value), value
        assert not fits_at_a({"type": kind, **schema}, value), value
        assert fits_at_a({"not": schema}, value), value


@pytest.mark.parametrize(("kind", "schema", "good", "bad"), ALL_RULES)
def test_a_keyword_says_nothing_of_other_types_and_of_missing(
    kind: str, schema: Schema, good: list[Any], bad: list[Any]
) -> None:
    for name, value in VALUES.items():
        if name not in OF_TYPE[kind]:
            assert fits_at_a(schema, value), name
            assert not fits_at_a({**schema, "type": kind}, value), name
    assert fits_at_a(schema, MISSING)
    assert fits_at_a({**schema, "type": kind}, MISSING)


@pytest.mark.parametrize(("kind", "schema", "good", "bad"), ALL_RULES)
def test_a_keyword_judges_items_and_properties_alike(
    kind: str, schema: Schema, good: list[Any], bad: list[Any]
) -> None:
    everywhere: list[tuple[Schema, list[Any]]] = [
        ({"items": schema}, []),
        ({"items": [{}, schema]}, [None]),
        ({"items": [{}], "additionalItems": schema}, [None]),
    ]
    for schemas, before in everywhere:
        for value in good:
            assert fits_at_a(schemas, [*before, value]), value
        for value in bad:
            assert not fits_at_a(schemas, [*before, value]), value
    for value in good:
        assert fits({"additionalProperties": schema}, {"x": value})
        assert fits({"patternProperties": {"x": schema}}, {"x": value})
    for value in bad:
        assert not fits({"additionalProperties": schema}, {"x": value})
        assert not fits({"patternProperties": {"x": schema}}, {"x": value})


@pytest.mark.parametrize(("kind", "schema", "good", "bad"), ALL_RULES)
def test_a_keyword_judges_the_whole_document(
    kind: str, schema: Schema, good: list[Any], bad: list[Any]
) -> None:
    if kind != "object":
        good, bad = [{}, {"a": 1}], []  # a document is nothing else
    for document in good:
        assert fits(schema, document)
        assert not fits({"not": schema}, document)
    for document in bad:
        assert not fits(schema, document)
        assert fits({"not": schema}, document)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"enum": ["x", 5]}, ["x", 5, 5.0, Int64(5), Decimal128("5.0")], ["y", 6, ["x"], [5]]),
        ({"enum": [None]}, [None], [1, [], [None]]),
        ({"enum": [1, True]}, [1, True], [False, 0]),
        ({"enum": [NAN]}, [NAN, Decimal128("NaN")], [0]),
        ({"enum": [[1, 2, "3"]]}, [[1, 2, "3"], [1.0, 2, "3"]], [[2, "3", 1], [1, 2], 1]),
        ({"enum": [[]]}, [[]], [[1], {}]),
        (
            {"enum": [{"n": "tiny", "s": [{"a": 1, "b": 2}]}]},
            [{"n": "tiny", "s": [{"a": 1, "b": 2}]}, {"s": [{"b": 2.0, "a": 1}], "n": "tiny"}],
            [{"n": "tiny"}, {"n": "tiny", "s": [{"a": 1, "b": 2}], "x": 1}, {}],
        ),
        ({"enum": [{}]}, [{}], [{"a": 1}, []]),
        ({"enum": [Regex("x")]}, [Regex("x")], ["x", Regex("x", "i")]),
        ({"enum": [ObjectId("0" * 24)]}, [ObjectId("0" * 24)], [ObjectId("1" * 24)]),
        ({"allOf": [{}]}, [1, {}], []),
        ({"allOf": [{"type": "number"}, {"minimum": 0}]}, [0, 1.5], ["x", -1, [0]]),
        ({"anyOf": [{"type": "string"}, {"minimum": 1}]}, ["x", 1, []], [0]),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, ["x", {}], [[{}], 1]),
        ({"oneOf": [{"minimum": 0}, {"maximum": 3}]}, [4, -1], [1, "x"]),
        ({"oneOf": [{"type": "string"}, {"pattern": "ing"}]}, ["str", 1], ["string"]),
        ({"oneOf": [{}]}, [1], []),
        ({"oneOf": [{}, {}]}, [], [1]),
        ({"oneOf": [{"type": "string"}, {"type": "null"}, {}]}, [1], ["x", None]),
        ({"not": {"type": "number"}}, ["x", None], [1, 1.5]),
        ({"not": {}}, [], [1, None]),
        ({"type": "string", "not": {"maxLength": 4}}, ["string"], ["str", 1]),
        ({"type": "number", "anyOf": [{"minimum": 1}]}, [1], [0, "x"]),
        ({"type": "number", "oneOf": [{"minimum": 4}]}, [4], [3, "x"]),
        ({"type": "number", "enum": [1, "x"]}, [1], ["x", 2]),
        ({"minimum": 1, "maxLength": 2, "maxItems": 1}, [1, "ab", [1]], [0, "abc", [1, 2]]),
    ],
)
def test_logical_keywords(schema: Schema, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert fits_at_a(schema, value), value
        assert not fits_at_a({"not": schema}, value), value
    for value in bad:
        assert not fits_at_a(schema, value), value
        assert fits_at_a({"not": schema}, value), value
    assert fits_at_a(schema, MISSING)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"enum": [{"_id": 0, "a": "x"}, 5]}, [{"_id": 0, "a": "x"}, {"a": "x", "_id": 0}], [{}]),
        ({"enum": [1, None]}, [], [{}]),
        ({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1, "b": 1}], [{"a": 1}]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1}, {"b": 1}], [{}]),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1}], [{"a": 1, "b": 1}, {}]),
        ({"not": {"properties": {"a": {"type": "string"}}}}, [{"a": 1}], [{"a": "x"}, {}]),
        ({"allOf": [{"type": "string"}]}, [], [{}]),
        ({"anyOf": [{"type": "string"}, {}]}, [{}], []),
        ({"not": {}}, [], [{}]),
    ],
)
def test_logical_keywords_of_the_whole_document(
    schema: Schema, good: list[Any], bad: list[Any]
) -> None:
    assert [fits(schema, document) for document in good] == [True] * len(good)
    assert [fits(schema, document) for document in bad] == [False] * len(bad)


def test_title_and_description_say_nothing() -> None:
    assert fits({"title": "t", "description": "d"}, {})
    assert not fits_at_a({"title": "t", "description": "d", "type": "string"}, 1)


def test_a_schema_of_many_keywords() -> None:
    schema = {
        "bsonType": "object",
        "title": "an order",
        "required": ["_id", "customer", "lines"],
        "additionalProperties": False,
        "properties": {
            "_id": {"bsonType": ["objectId", "long", "int"]},
            "customer": {
                "bsonType": "object",
                "required": ["name"],
                "properties": {
                    "name": {"bsonType": "string", "minLength": 1},
                    "mail": {"bsonType": "string", "pattern": "^[^@ ]+@[^@ ]+$"},
                },
            },
            "lines": {
                "bsonType": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {
                    "type": "object",
                    "required": ["sku", "count"],
                    "properties": {
                        "sku": {"enum": ["tea", "pot", "cup"]},
                        "count": {"bsonType": "number", "minimum": 0, "exclusiveMinimum": True},
                    },
                },
            },
        },
    }
    order = {
        "_id": 1,
        "customer": {"name": "ada", "mail": "ada@example.org"},
        "lines": [{"sku": "tea", "count": 2}, {"sku": "pot", "count": 1.0}],
    }
    assert fits(schema, order)
    for wrong in (
        {"_id": "x"},
        {"customer": {}},
        {"customer": {"name": ""}},
        {"customer": {"name": "ada", "mail": "nobody"}},
        {"lines": []},
        {"lines": [{"sku": "tea", "count": 0}]},
        {"lines": [{"sku": "ink", "count": 1}]},
        {"lines": [{"sku": "tea", "count": 1}, {"count": Int64(1), "sku": "tea"}]},
        {"lines": {"sku": "tea", "count": 1}},
        {"paid": True},
    ):
        assert not fits(schema, {**order, **wrong}), wrong
    assert not fits(schema, {"_id": 1, "lines": order["lines"]})


@pytest.mark.parametrize(
    ("schema", "document", "expected"),
    [
        ({"required": ["a.b"]}, {"a": {"b": 1}}, True),
        ({"required": ["a.b"]}, {"a": {}}, False),
        ({"required": ["a.b"]}, {"a": [{}, {"b": 1}]}, True),
        ({"required": ["a.b"]}, {"a.b": 1}, False),
        ({"required": ["a.0"]}, {"a": [5]}, True),
        ({"dependencies": {"a.b": ["c.d"]}}, {"a": {"b": 1}, "c": {"d": 1}}, True),
        ({"dependencies": {"a.b": ["c.d"]}}, {"a": {"b": 1}, "c": {}}, False),
        ({"dependencies": {"a.b": ["c.d"]}}, {"a": {}}, True),
        ({"dependencies": {"a.b": {"required": ["c"]}}}, {"a": {"b": 1}}, False),
        ({"properties": {"a.b": {}}, "additionalProperties": False}, {"a": {"b": 1}}, False),
        ({"properties": {"a.b": {"enum": [None]}}, "required": ["a.b"]}, {"a": 1}, False),
    ],
)
def test_names_with_dots_are_paths(
    schema: Schema, document: dict[str, Any], expected: bool
) -> None:
    assert fits(schema, document) == expected
    nested = {"properties": {"x": schema}}
    assert fits(nested, {"x": document}) == expected


IN_C: Schema = {"c": {"type": "null"}}


@pytest.mark.parametrize(
    ("schema", "a", "expected"),
    [
        ({"type": "string"}, {"b": "x"}, True),
        ({"type": "string"}, {"b": 1}, False),
        ({"type": "string"}, {}, True),
        ({"type": "string"}, 5, True),
        ({"type": "string"}, [{"b": 1}, {"b": "x"}], True),
        ({"type": "array"}, [{"b": 1}], False),
        ({"minimum": 5}, [{"b": 1}, {"b": 7}], True),
        ({"minimum": 5}, [{"b": 1}, {"b": 2}], False),
        ({"minimum": 5}, [{"b": 1}, {"b": [7]}], True),
        ({"minimum": 5}, {"b": [1]}, True),
        ({"type": "string", "minimum": 5}, [{"b": "x"}, {"b": 1}], True),
        ({"type": ["string", "null"], "minimum": 5}, [{"b": "x"}, {"b": 1}], False),
        ({"type": "number", "minimum": 5}, {"b": 6}, True),
        ({"type": "number", "minimum": 5}, {"b": 4}, False),
        ({"maxLength": 1}, {"b": "xx"}, False),
        ({"pattern": "x"}, {"b": "y"}, False),
        ({"multipleOf": 2}, {"b": 3}, False),
        ({"enum": [1]}, {"b": 1}, True),
        ({"enum": [1]}, {"b": [1]}, False),
        ({"minItems": 2}, {"b": [1]}, False),
        ({"items": [{}, {"type": "null"}]}, {"b": [1, 2]}, False),
        ({"not": {"type": "null"}}, {"b": None}, False),
        ({"anyOf": [{"type": "null"}, {"minimum": 1}]}, {"b": 0}, False),
        ({"required": ["c"]}, {"b": {}}, False),
        ({"required": ["c.d"]}, {"b": {"c": {"d": 1}}}, True),
        ({"dependencies": {"c": ["d"]}}, {"b": {"c": 1}}, False),
        ({"dependencies": {"c": ["d"]}}, {"b": {"d": 1}}, True),
        ({"maxProperties": 0}, {"b": {"c": 1}}, False),
        ({"properties": IN_C}, {"b": {"c": 1}}, False),
        ({"properties": {"c.d": {"type": "null"}}}, {"b": {"c": {"d": 1}}}, False),
        ({"properties": IN_C, "required": ["c"]}, [{"b": {}}, {"b": {"c": 1}}], False),
        ({"properties": {"c": {}}, "required": ["c"]}, [{"b": {}}, {"b": {"c": 1}}], True),
    ],
)
def test_a_schema_for_a_path_is_about_any_of_its_values(
    schema: Schema, a: Any, expected: bool
) -> None:
    assert fits({"properties": {"a.b": schema}}, {"a": a}) == expected
    assert fits({"properties": {"x": {"properties": {"a.b": schema}}}}, {"x": {"a": a}}) == expected


def test_of_a_repeated_name_the_first_counts() -> None:
    filter = parse_filter({"$jsonSchema": {"properties": {"a": {"type": "string"}}}})
    assert filter.matches(repeated("a", "x", 1).raw)
    assert not filter.matches(repeated("a", 1, "x").raw)


def test_a_schema_may_name_a_property_twice() -> None:
    schema = {"properties": repeated("a", {"type": "number"}, {"minimum": 3})}
    assert fits(schema, {"a": 3})
    assert not fits(schema, {"a": 2})
    assert not fits(schema, {"a": "x"})


def test_it_stands_where_a_filter_does() -> None:
    text = {"$jsonSchema": {"required": ["a"], "properties": {"a": {"type": "string"}}}}
    assert matches({**text, "b": 1}, {"a": "x", "b": 1})
    assert not matches({**text, "b": 1}, {"a": "x", "b": 2})
    assert matches({"$and": [text, {"b": 1}]}, {"a": "x", "b": 1})
    assert matches({"$or": [text, {"b": 1}]}, {"a": 5, "b": 1})
    assert matches({"$nor": [text]}, {"a": 5})
    assert not matches({"$nor": [text]}, {"a": "x"})
    assert matches({"c": {"$elemMatch": text}}, {"c": [1, {"a": 1}, {"a": "x"}]})
    assert not matches({"c": {"$elemMatch": text}}, {"c": [1, {"a": 1}, "x"]})
    assert matches({"c": {"$elemMatch": {"b": 1, **text}}}, {"c": [{"a": "x", "b": 1}]})
    assert matches({"c": {"$all": [{"$elemMatch": text}]}}, {"c": [{"a": "x"}]})


@pytest.mark.parametrize(
    ("filter", "code", "message"),
    [
        ({"$jsonSchema": "x"}, 14, "$jsonSchema must be an object"),
        ({"$jsonSchema": []}, 14, "$jsonSchema must be an object"),
        ({"a": {"$jsonSchema": {}}}, 2, "unknown operator: $jsonSchema"),
        ({"a": {"$not": {"$jsonSchema": {}}}}, 2, "unknown operator: $jsonSchema"),
        ({"a": {"$elemMatch": {"$gt": 1, "$jsonSchema": {}}}}, 2, "unknown operator: $jsonSchema"),
    ],
)
def test_where_it_does_not_stand_it_is_refused(
    filter: dict[str, Any], code: int, message: str
) -> None:
    assert refusal_of(filter) == (code, message)


def test_updates_do_not_take_schemas() -> None:
    assert update_refusal({"a": []}, {"$pull": {"a": {"$jsonSchema": {}}}}) == 224
    spec = {"$set": {"a.$[i]": 1}}
    assert update_refusal({"a": []}, spec, {"i": 1, "$jsonSchema": {}}) == 224


def test_it_is_a_validator() -> None:
    rule = QueryFilters().compile(bson.encode({"$jsonSchema": {"required": ["a"]}}))
    assert rule.matches(bson.encode({"a": 1}))
    assert not rule.matches(bson.encode({}))


def test_indexes_do_not_change_the_answer(items: Items) -> None:
    items.insert({"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 2, "b": 2}, {"_id": 3, "a": "x"})
    schema = {"$jsonSchema": {"required": ["a"], "properties": {"a": {"minimum": 2}}}}
    for _ in range(2):
        assert items.ids(schema) == [2, 3]
        assert items.ids({**schema, "a": {"$gte": 1}}) == [2]
        either = {"$or": [{"$jsonSchema": {"maxProperties": 2}}, {"b": 2}]}
        assert sorted(items.ids(either)) == [2, 3]
        assert items.ids({"$nor": [schema]}) == [1]
        assert items.count(schema) == 2
        items.create_index({"a": 1})


OF_KEYWORD: list[tuple[Schema, int, str]] = [
    ({"$ref": "#/x"}, 9, "is not currently supported"),
    ({"$schema": "x"}, 9, "is not currently supported"),
    ({"default": 1}, 9, "is not currently supported"),
    ({"definitions": {}}, 9, "is not currently supported"),
    ({"format": "email"}, 9, "is not currently supported"),
    ({"id": "x"}, 9, "is not currently supported"),
    ({"title": 1}, 14, "must be of type string"),
    ({"description": {}}, 14, "must be of type string"),
    ({"type": 1}, 14, "must be either a string or an array of strings"),
    ({"bsonType": {}}, 14, "must be either a string or an array of strings"),
    ({"type": ["string", 2]}, 14, "array elements must be strings"),
    ({"bsonType": [2]}, 14, "array elements must be strings"),
    ({"type": []}, 9, "must name at least one type"),
    ({"bsonType": []}, 9, "must name at least one type"),
    ({"type": ["null", "null"]}, 9, "has duplicate value: null"),
    ({"bsonType": ["int", "long", "int"]}, 9, "has duplicate value: int"),
    ({"minimum": "0"}, 14, "must be a number"),
    ({"maximum": {}}, 14, "must be a number"),
    ({"exclusiveMinimum": 1, "minimum": 1}, 14, "must be a boolean"),
    ({"exclusiveMaximum": 5, "maximum": 1}, 14, "must be a boolean"),
    ({"multipleOf": "1"}, 14, "must be a number"),
    ({"multipleOf": 0}, 9, "must have a positive value"),
    ({"multipleOf": -1.5}, 9, "must have a positive value"),
    ({"multipleOf": -INFINITY}, 9, "must have a positive value"),
    ({"pattern": 0}, 14, "must be a string"),
    ({"pattern": Regex("x")}, 14, "must be a string"),
    ({"uniqueItems": 1}, 14, "must be a boolean"),
    ({"items": 1}, 14, "must be an array or an object, not int"),
    (
        {"items": [{}, "x"]},
        14,
        "requires that each element of the array is an object, but found a string",
    ),
    ({"additionalItems": ""}, 14, "must be either an object or a boolean, but got a string"),
    ({"required": {}}, 14, "must be an array, but found an element of type object"),
    ({"required": []}, 9, "cannot be an empty array"),
    ({"required": [1]}, 14, "must be an array of strings, but found an element of type: int"),
    ({"required": ["a", "b", "a"]}, 9, "array cannot contain duplicate values"),
    ({"properties": []}, 14, "must be an object"),
    ({"patternProperties": 1}, 14, "must be an object"),
    ({"patternProperties": {"^a": 1}}, 14, "has property '^a' which is not an object"),
    ({"additionalProperties": 1}, 14, "must be an object or a boolean"),
    ({"dependencies": []}, 14, "must be an object"),
    ({"allOf": {}}, 14, "must be an array"),
    ({"anyOf": []}, 2, "must be a non-empty array"),
    ({"oneOf": [{}, 0]}, 14, "must be an array of objects, but found an element of type int"),
    ({"not": []}, 14, "must be an object, but found an element of type array"),
    ({"enum": 1}, 14, "must be an array, but found an element of type int"),
    ({"enum": []}, 9, "cannot be an empty array"),
    ({"enum": [1, 1.0]}, 9, "array cannot contain duplicate values."),
    ({"enum": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}, 9, "array cannot contain duplicate values."),
]
KEYWORD = "$jsonSchema keyword"
NOT_INT64 = "Cannot represent as a 64-bit integer"
UNKNOWN: Schema = {"foo": 1}
WITH_UNKNOWN: list[Schema] = [
    UNKNOWN,
    *[
        {keyword: UNKNOWN}
        for keyword in ("items", "additionalItems", "additionalProperties", "not")
    ],
    *[{keyword: [{}, UNKNOWN]} for keyword in ("items", "allOf", "anyOf", "oneOf")],
    *[{keyword: {"a": UNKNOWN}} for keyword in ("properties", "patternProperties", "dependencies")],
    {"properties": {"a.b": UNKNOWN}},
]
REFUSED: list[tuple[Schema, int, str]] = [
    *[
        (schema, code, f"{KEYWORD} '{next(iter(schema))}' {problem}")
        for schema, code, problem in OF_KEYWORD
    ],
    *[(schema, 9, "Unknown $jsonSchema keyword: foo") for schema in WITH_UNKNOWN],
    ({"type": "integer"}, 9, "$jsonSchema type 'integer' is not currently supported."),
    ({"type": ["null", "integer"]}, 9, "$jsonSchema type 'integer' is not currently supported."),
    ({"bsonType": "integer"}, 9, "$jsonSchema type 'integer' is not currently supported."),
    ({"type": "unknown"}, 2, "Unknown type name alias: unknown"),
    ({"bsonType": ["number", "unknown"]}, 2, "Unknown type name alias: unknown"),
    ({"type": "int"}, 2, "Unknown type name alias: int"),
    ({"type": "bool"}, 2, "Unknown type name alias: bool"),
    ({"bsonType": "boolean"}, 2, "Unknown type name alias: boolean"),
    ({"type": [], "bsonType": []}, 9, f"Cannot specify both {KEYWORD}s 'type' and 'bsonType'"),
    *[
        ({flag: False}, 9, f"{KEYWORD} '{limit}' must be a present if {flag} is present")
        for limit, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
    ],
    ({"minLength": "0"}, 9, 'Expected a number in: minLength: "0"'),
    ({"maxLength": {}}, 9, "Expected a number in: maxLength: {}"),
    ({"maxLength": -1}, 9, "Expected a non-negative number in: maxLength: -1"),
    ({"maxLength": 5.5}, 9, "Expected an integer: maxLength: 5.5"),
    ({"minItems": NAN}, 9, "Expected an integer, but found NaN in: minItems: nan"),
    ({"maxItems": 1e19}, 9, f"{NOT_INT64}: maxItems: 1e+19"),
    ({"maxItems": INFINITY}, 9, f"{NOT_INT64}: maxItems: inf"),
    ({"minProperties": [1]}, 9, "Expected a number in: minProperties: [ 1 ]"),
    ({"maxProperties": None}, 9, "Expected a number in: maxProperties: null"),
    ({"minItems": Decimal128("1.5")}, 9, f'{NOT_INT64}: minItems: Decimal128("1.5")'),
    ({"properties": {"a": 1}}, 14, "Nested schema for $jsonSchema property 'a' must be an object"),
    ({"patternProperties": {"(": {}}}, 2, "Invalid regular expression: ("),
    *[
        (
            {"dependencies": {"a": operand}},
            code,
            f"{what} 'a' in {KEYWORD} 'dependencies' {problem}",
        )
        for operand, code, what, problem in (
            (1, 14, "property", "must be either an object or an array"),
            ([], 9, "property", "cannot be an empty array"),
            ([1], 14, "array", "can only contain strings, but found element of type: int"),
            (["b", "b"], 9, "array", "contains duplicate element: b"),
        )
    ],
]


@pytest.mark.parametrize(("schema", "code", "message"), REFUSED)
def test_wrong_schema_is_refused_at_every_depth(schema: Schema, code: int, message: str) -> None:
    assert refused(schema) == (code, message)
    assert refused({"properties": {"x": schema}}) == (code, message)
    assert refused({"properties": {"x.y": schema}}) == (code, message)
    assert refused({"items": schema}) == (code, message)
    assert refused({"not": schema}) == (code, message)


@pytest.mark.parametrize(
    ("schema", "code", "message"),
    [
        ({"pattern": "("}, 51091, "invalid"),
        ({"multipleOf": NAN}, 2, "divisor cannot be NaN"),
        ({"multipleOf": INFINITY}, 2, "divisor cannot be infinite"),
        ({"multipleOf": Decimal128("NaN")}, 2, "divisor cannot be NaN"),
    ],
)
def test_what_says_nothing_of_a_document_is_not_judged_there(
    schema: Schema, code: int, message: str
) -> None:
    assert fits(schema, {"a": 1})
    found = refused({"properties": {"x": schema}})
    assert found[0] == code
    assert message in found[1]


@pytest.mark.parametrize("keyword", ["encrypt", "encryptMetadata"])
def test_encryption_is_refused_as_not_supported(keyword: str) -> None:
    code, message = refused({"properties": {"x": {keyword: {}}}})
    assert code == 9
    assert f"'{keyword}' is not supported in a filter by this release" in message


def test_missing_is_no_type() -> None:
    code, message = refused({"bsonType": "missing"})
    assert code == 2
    assert message.startswith("'missing' is not a legal type name.")
    assert message.endswith("use {$exists:false}.")


def test_a_keyword_may_not_be_repeated() -> None:
    with_twice = repeated("type", "object", "object")
    assert refusal_of({"$jsonSchema": with_twice}) == (9, "Duplicate $jsonSchema keyword: type")


@pytest.mark.parametrize("schema", [{"required": ["a\0"]}, {"dependencies": {"a": ["b.\0c"]}}])
def test_a_name_with_a_null_byte_is_refused(schema: Schema) -> None:
    assert refused(schema)[0] == 9867600


def nested(levels: int) -> Schema:
    schema: Schema = {"type": "number"}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def test_schemas_may_nest_a_hundred_deep_but_not_deeper() -> None:
    assert fits_at_a(nested(98), 1)
    assert not fits_at_a(nested(99), 1)
    assert refused({"properties": {"a": nested(100)}}) == (
        2,
        "exceeded maximum query tree depth of 100",
    )


def test_filters_around_a_schema_count() -> None:
    filter: dict[str, Any] = {"$jsonSchema": nested(70)}
    for _ in range(30):
        filter = {"$and": [filter]}
    assert not matches(filter, {})
    assert refusal_of({"$and": [filter]})[0] == 2


def test_operand_deeper_than_any_document_is_refused() -> None:
    value: object = 1
    for _ in range(250):
        value = [value]
    assert refused({"enum": [value]})[0] == 15
