"""The operands of the keywords of JSON schemas: read, and refused as MongoDB refuses them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from pymongo.errors import OperationFailure

from cbdd.catalog.refusal import (
    BAD_VALUE,
    FAILED_TO_PARSE,
    TYPE_MISMATCH,
    not_supported,
    refusal,
)
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_NULL,
    TYPE_STRING,
)
from cbdd.expression.describe import describe
from cbdd.expression.number import decimal_of, double_of
from cbdd.expression.pattern import Pattern, compile_pattern
from cbdd.expression.value import MISSING, TYPE_NAMES, Value, is_number
from cbdd.query.schema_rules import TypeSet

_NUL_IN_PATH: Final = 9867600
_INT64_END: Final = 1 << 63

KEYWORDS: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "bsonType",
        "dependencies",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "patternProperties",
        "properties",
        "required",
        "title",
        "type",
        "uniqueItems",
    }
)
_OF_ENCRYPTION: Final = ("encrypt", "encryptMetadata")
_UNSUPPORTED: Final = ("$ref", "$schema", "default", "definitions", "format", "id")
"""Draft 4 has them, MongoDB has not."""

NUMBERS: Final = TypeSet([bson_type for bson_type in TYPE_NAMES if is_number(bson_type)])
STRINGS: Final = TypeSet([TYPE_STRING])
ARRAYS: Final = TypeSet([TYPE_ARRAY])
OBJECTS: Final = TypeSet([TYPE_DOCUMENT])

_JSON_TYPES: Final[dict[str, int]] = {
    "array": TYPE_ARRAY,
    "boolean": TYPE_BOOLEAN,
    "null": TYPE_NULL,
    "object": TYPE_DOCUMENT,
    "string": TYPE_STRING,
}
_BSON_TYPES: Final[dict[str, int]] = {
    name: bson_type for bson_type, name in TYPE_NAMES.items() if bson_type != MISSING
}


def keyword_refusal(code: int, keyword: str, problem: str) -> OperationFailure:
    """Return the error for a keyword and what is wrong with its operand."""
    return refusal(code, f"$jsonSchema keyword '{keyword}' {problem}")


def read_keywords(schema: Value) -> dict[str, Value]:
    """Return the operands of a schema by keyword; all keywords are known, title and description
    are strings.
    """
    operands: dict[str, Value] = {}
    for keyword, operand in schema.fields():
        if keyword in _OF_ENCRYPTION:
            raise not_supported(FAILED_TO_PARSE, f"$jsonSchema keyword '{keyword}'", "in a filter")
        if keyword in _UNSUPPORTED:
            raise keyword_refusal(FAILED_TO_PARSE, keyword, "is not currently supported")
        if keyword not in KEYWORDS:
            raise refusal(FAILED_TO_PARSE, f"Unknown $jsonSchema keyword: {keyword}")
        if keyword in operands:
            raise refusal(FAILED_TO_PARSE, f"Duplicate $jsonSchema keyword: {keyword}")
        operands[keyword] = operand
    for keyword in ("description", "title"):
        if keyword in operands and operands[keyword].bson_type != TYPE_STRING:
            raise keyword_refusal(TYPE_MISMATCH, keyword, "must be of type string")
    if "type" in operands and "bsonType" in operands:
        raise refusal(
            FAILED_TO_PARSE, "Cannot specify both $jsonSchema keywords 'type' and 'bsonType'"
        )
    return operands


def read_types(keyword: str, operand: Value) -> TypeSet:
    """Return the types that `type` or `bsonType` names."""
    known = _JSON_TYPES if keyword == "type" else _BSON_TYPES
    types: list[int] = []
    names = sorted(_type_names(keyword, operand))
    for name in names:
        if name == "number":
            types += [bson_type for bson_type in TYPE_NAMES if is_number(bson_type)]
        elif name in known:
            types.append(known[name])
        elif name == TYPE_NAMES[MISSING]:
            raise refusal(
                BAD_VALUE,
                "'missing' is not a legal type name. To query for non-existence of a field, use"
                " {$exists:false}.",
            )
        else:
            raise refusal(BAD_VALUE, f"Unknown type name alias: {name}")
    if not types:
        raise keyword_refusal(FAILED_TO_PARSE, keyword, "must name at least one type")
    return TypeSet(types, is_single=len(names) == 1)


def _type_names(keyword: str, operand: Value) -> list[str]:
    if operand.bson_type == TYPE_STRING:
        entries = [operand]
    elif operand.bson_type == TYPE_ARRAY:
        entries = [entry for _, entry in operand.fields()]
    else:
        raise keyword_refusal(
            TYPE_MISMATCH, keyword, "must be either a string or an array of strings"
        )
    names: list[str] = []
    for entry in entries:
        if entry.bson_type != TYPE_STRING:
            raise keyword_refusal(TYPE_MISMATCH, keyword, "array elements must be strings")
        name = entry.text()
        if name == "integer":
            raise refusal(FAILED_TO_PARSE, "$jsonSchema type 'integer' is not currently supported.")
        if name in names:
            raise keyword_refusal(FAILED_TO_PARSE, keyword, f"has duplicate value: {name}")
        names.append(name)
    return names


def read_size(keyword: str, operand: Value) -> int:
    """Return the operand of a keyword that counts: a whole number from 0 to 2^63 - 1."""
    text = f"{keyword}: {describe(operand)}"
    if not operand.is_number():
        raise refusal(FAILED_TO_PARSE, f"Expected a number in: {text}")
    size = operand.integer()
    if operand.bson_type == TYPE_DOUBLE and size is None:
        double = double_of(operand)
        if math.isnan(double):
            raise refusal(FAILED_TO_PARSE, f"Expected an integer, but found NaN in: {text}")
        if math.isfinite(double):
            raise refusal(FAILED_TO_PARSE, f"Expected an integer: {text}")
    if size is None or not -_INT64_END <= size < _INT64_END:
        raise refusal(FAILED_TO_PARSE, f"Cannot represent as a 64-bit integer: {text}")
    if size < 0:
        raise refusal(FAILED_TO_PARSE, f"Expected a non-negative number in: {text}")
    return size


def require_number(keyword: str, operand: Value) -> None:
    """Refuse an operand that is no number."""
    if not operand.is_number():
        raise keyword_refusal(TYPE_MISMATCH, keyword, "must be a number")


def read_divisor(operand: Value) -> Decimal:
    """Return the operand of `multipleOf`: positive, perhaps NaN or infinity."""
    require_number("multipleOf", operand)
    divisor = decimal_of(operand)
    if divisor.is_signed() or divisor.is_zero():
        raise keyword_refusal(FAILED_TO_PARSE, "multipleOf", "must have a positive value")
    return divisor


def require_finite(divisor: Decimal) -> None:
    """Refuse a divisor that is NaN or infinite."""
    if not divisor.is_finite():
        problem = "NaN" if divisor.is_nan() else "infinite"
        raise refusal(BAD_VALUE, f"divisor cannot be {problem}")


def read_flag(keyword: str, operand: Value) -> bool:
    """Return the operand of a keyword that is true or false."""
    if operand.bson_type != TYPE_BOOLEAN:
        raise keyword_refusal(TYPE_MISMATCH, keyword, "must be a boolean")
    return operand.is_true()


def require_object(keyword: str, operand: Value) -> None:
    """Refuse an operand that is no document."""
    if operand.bson_type != TYPE_DOCUMENT:
        raise keyword_refusal(TYPE_MISMATCH, keyword, "must be an object")


def read_entries(keyword: str, operand: Value) -> list[Value]:
    """Return the values listed by `enum` or `required`."""
    if operand.bson_type != TYPE_ARRAY:
        raise keyword_refusal(
            TYPE_MISMATCH,
            keyword,
            f"must be an array, but found an element of type {operand.type_name()}",
        )
    return [entry for _, entry in operand.fields()]


def read_required(operand: Value) -> list[str]:
    """Return the names `required` lists."""
    names: list[str] = []
    for entry in read_entries("required", operand):
        if entry.bson_type != TYPE_STRING:
            raise keyword_refusal(
                TYPE_MISMATCH,
                "required",
                "must be an array of strings, but found an element of type: " + entry.type_name(),
            )
        name = entry.text()
        if name in names:
            raise keyword_refusal(
                FAILED_TO_PARSE, "required", "array cannot contain duplicate values"
            )
        names.append(name)
    if not names:
        raise keyword_refusal(FAILED_TO_PARSE, "required", "cannot be an empty array")
    _require_no_nul(names)
    return names


def read_dependency(property_name: str, operand: Value) -> list[str]:
    """Return the names that the dependency of one property lists."""
    where = f"'{property_name}' in $jsonSchema keyword 'dependencies'"
    names: list[str] = []
    for _, entry in operand.fields():
        if entry.bson_type != TYPE_STRING:
            raise refusal(
                TYPE_MISMATCH,
                f"array {where} can only contain strings, but found element of type: "
                + entry.type_name(),
            )
        name = entry.text()
        if name in names:
            raise refusal(FAILED_TO_PARSE, f"array {where} contains duplicate element: {name}")
        names.append(name)
    if not names:
        raise refusal(FAILED_TO_PARSE, f"property {where} cannot be an empty array")
    _require_no_nul(names)
    return names


def _require_no_nul(names: list[str]) -> None:
    for name in names:
        if "\0" in name:
            raise refusal(_NUL_IN_PATH, f"field path must not contain a null byte: {name!r}")


def read_schemas(keyword: str, operand: Value) -> list[Value]:
    """Return the schemas that `allOf`, `anyOf` or `oneOf` lists."""
    if operand.bson_type != TYPE_ARRAY:
        raise keyword_refusal(TYPE_MISMATCH, keyword, "must be an array")
    schemas = [entry for _, entry in operand.fields()]
    if not schemas:
        raise keyword_refusal(BAD_VALUE, keyword, "must be a non-empty array")
    for schema in schemas:
        if schema.bson_type != TYPE_DOCUMENT:
            raise keyword_refusal(
                TYPE_MISMATCH,
                keyword,
                "must be an array of objects, but found an element of type " + schema.type_name(),
            )
    return schemas


def read_name_pattern(pattern: str) -> Pattern:
    """Compile a pattern that `patternProperties` names."""
    try:
        return compile_pattern(pattern, "")
    except OperationFailure as error:
        raise refusal(BAD_VALUE, f"Invalid regular expression: {pattern}") from error
