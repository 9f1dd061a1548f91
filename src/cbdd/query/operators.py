"""The operator table: what each operator of {path: {$operator: operand}} makes of its operand.

An operator is added by writing a function (path, operand) -> MatchExpression and naming it in
`OPERATORS`. Those that contain further operators or look at their neighbours ($not, $elemMatch,
$all, $regex) belong to the parser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.catalog.refusal import BAD_VALUE, FAILED_TO_PARSE, refusal
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BINARY,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_MIN_KEY,
    TYPE_REGEX,
    TYPE_STRING,
    TYPE_UNDEFINED,
)
from cbdd.expression.describe import describe
from cbdd.expression.pattern import regex_parts
from cbdd.expression.value import TYPE_NAMES, Value
from cbdd.query.array_match import Size
from cbdd.query.comparison import In, equality, ordering
from cbdd.query.matcher import MatchExpression, Not
from cbdd.query.path import FieldPath
from cbdd.query.predicate import Bits, Exists, HasType, Modulo, truncated_integer
from cbdd.query.regex import Regex

UNSUPPORTED_OPERATORS: Final = (
    "$geoWithin",
    "$geoIntersects",
    "$near",
    "$nearSphere",
    "$within",
    "$maxDistance",
    "$minDistance",
    "$geoNear",
)

_INT32_MAX: Final = (1 << 31) - 1
_NUMBER_TYPES: Final = (0x01, 0x10, 0x12, 0x13)


def _parse_eq(path: str, operand: Value) -> MatchExpression:
    _refuse_undefined(operand)
    return equality(FieldPath(path), operand)


def _parse_ne(path: str, operand: Value) -> MatchExpression:
    if operand.bson_type == TYPE_REGEX:
        raise refusal(BAD_VALUE, "Can't have regex as arg to $ne.")
    return Not(_parse_eq(path, operand))


def _refuse_undefined(operand: Value) -> None:
    if operand.bson_type == TYPE_UNDEFINED:
        raise refusal(BAD_VALUE, "cannot compare to undefined")


def _parse_order(path: str, operator: str, operand: Value) -> MatchExpression:
    _refuse_undefined(operand)
    if operand.bson_type == TYPE_REGEX:
        raise refusal(
            BAD_VALUE, f"Can't have RegEx as arg to non-equality predicate over field '{path}'."
        )
    return ordering(FieldPath(path), operator, operand)


def _parse_gt(path: str, operand: Value) -> MatchExpression:
    return _parse_order(path, "$gt", operand)


def _parse_gte(path: str, operand: Value) -> MatchExpression:
    return _parse_order(path, "$gte", operand)


def _parse_lt(path: str, operand: Value) -> MatchExpression:
    return _parse_order(path, "$lt", operand)


def _parse_lte(path: str, operand: Value) -> MatchExpression:
    return _parse_order(path, "$lte", operand)


def _parse_in(path: str, operand: Value) -> MatchExpression:
    return _parse_in_list(path, "$in", operand)


def _parse_nin(path: str, operand: Value) -> MatchExpression:
    return Not(_parse_in_list(path, "$nin", operand))


def _parse_in_list(path: str, operator: str, operand: Value) -> MatchExpression:
    if operand.bson_type != TYPE_ARRAY:
        raise refusal(BAD_VALUE, f"{operator} needs an array")
    field_path = FieldPath(path)
    values: list[Value] = []
    patterns: list[MatchExpression] = []
    for _, entry in operand.fields():
        if entry.bson_type == TYPE_REGEX:
            pattern, options = regex_parts(entry)
            patterns.append(Regex(field_path, pattern, options))
            continue
        if entry.bson_type == TYPE_UNDEFINED:
            raise refusal(BAD_VALUE, f"{operator} cannot contain undefined")
        if entry.bson_type == TYPE_DOCUMENT:
            names = [name for name, _ in entry.fields()]
            if names and names[0].startswith("$") and names[0] not in ("$ref", "$id", "$db"):
                raise refusal(BAD_VALUE, f"cannot nest $ under {operator}")
        values.append(entry)
    return In(field_path, values, patterns)


def _parse_exists(path: str, operand: Value) -> MatchExpression:
    expression = Exists(FieldPath(path))
    return expression if operand.is_true() else Not(expression)


def _parse_size(path: str, operand: Value) -> MatchExpression:
    text = describe(operand)
    if not operand.is_number():
        raise refusal(BAD_VALUE, f"Failed to parse $size. Expected a number in: $size: {text}")
    size = operand.integer()
    if size is None:
        raise refusal(BAD_VALUE, f"Failed to parse $size. Expected an integer: $size: {text}")
    if size < 0:
        raise refusal(
            BAD_VALUE, f"Failed to parse $size. Expected a non-negative number in: $size: {text}"
        )
    return Size(FieldPath(path, expands_leaf=False), size)


def _parse_type(path: str, operand: Value) -> MatchExpression:
    types: set[int] = set()
    if operand.bson_type == TYPE_ARRAY:
        for _, entry in operand.fields():
            types.update(_types_of(entry))
        if not types:
            raise refusal(FAILED_TO_PARSE, "$type must match at least one type")
    else:
        types.update(_types_of(operand))
    return HasType(FieldPath(path), types)


def _types_of(operand: Value) -> list[int]:
    if operand.bson_type == TYPE_STRING:
        name = operand.text()
        if name == "number":
            return list(_NUMBER_TYPES)
        for bson_type, known in TYPE_NAMES.items():
            if name == known and name != "missing":
                return [bson_type]
        raise refusal(BAD_VALUE, f"Unknown type name alias: {name}")
    if not operand.is_number():
        raise refusal(14, "type must be represented as a number or a string")
    code = operand.integer()
    if code == 0:
        raise refusal(BAD_VALUE, "Invalid numerical type code: 0. Instead use {$exists:false}.")
    if code is None or not (1 <= code <= 19 or code == -1 or code == 127):
        raise refusal(BAD_VALUE, f"Invalid numerical type code: {describe(operand)}")
    return [TYPE_MIN_KEY if code == -1 else code]


def _parse_mod(path: str, operand: Value) -> MatchExpression:
    if operand.bson_type != TYPE_ARRAY:
        raise refusal(BAD_VALUE, "malformed mod, needs to be an array")
    entries = [entry for _, entry in operand.fields()]
    if len(entries) < 2:
        raise refusal(BAD_VALUE, "malformed mod, not enough elements")
    if len(entries) > 2:
        raise refusal(BAD_VALUE, "malformed mod, too many elements")
    divisor = _mod_operand("divisor", entries[0])
    remainder = _mod_operand("remainder", entries[1])
    if divisor == 0:
        raise refusal(BAD_VALUE, "divisor cannot be 0")
    return Modulo(FieldPath(path), divisor, remainder)


def _mod_operand(role: str, operand: Value) -> int:
    if not operand.is_number():
        raise refusal(BAD_VALUE, f"malformed mod, {role} not a number")
    number = truncated_integer(operand.data, operand.bson_type, 0)
    if number is None:
        raise refusal(BAD_VALUE, f"malformed mod, {role} value is invalid: {describe(operand)}")
    return number


def _parse_bits(path: str, operator: str, operand: Value) -> MatchExpression:
    return Bits(FieldPath(path), operator, _bit_mask(operator, operand))


def _parse_bits_all_set(path: str, operand: Value) -> MatchExpression:
    return _parse_bits(path, "$bitsAllSet", operand)


def _parse_bits_all_clear(path: str, operand: Value) -> MatchExpression:
    return _parse_bits(path, "$bitsAllClear", operand)


def _parse_bits_any_set(path: str, operand: Value) -> MatchExpression:
    return _parse_bits(path, "$bitsAnySet", operand)


def _parse_bits_any_clear(path: str, operand: Value) -> MatchExpression:
    return _parse_bits(path, "$bitsAnyClear", operand)


def _bit_mask(operator: str, operand: Value) -> int:
    if operand.bson_type == TYPE_BINARY:
        return int.from_bytes(operand.data[5:], "little")
    if operand.bson_type == TYPE_ARRAY:
        mask = 0
        for _, entry in operand.fields():
            mask |= 1 << _bit_position(operator, entry)
        return mask
    text = f"{operator}: {describe(operand)}"
    if not operand.is_number():
        raise refusal(
            BAD_VALUE, f"value takes an Array, a number, or a BinData but received: {text}"
        )
    number = operand.integer()
    if number is None or number >= 1 << 63:
        kind = "an integer" if operand.bson_type == TYPE_DOUBLE else "a number that fits a long"
        raise refusal(FAILED_TO_PARSE, f"Expected {kind}: {text}")
    if number < 0:
        raise refusal(FAILED_TO_PARSE, f"Expected a non-negative number in: {text}")
    return number


def _bit_position(operator: str, entry: Value) -> int:
    position = entry.integer()
    text = f"{operator}: {describe(entry)}"
    if position is None:
        raise refusal(BAD_VALUE, f"Failed to parse bit position. Expected a number in: {text}")
    if position < 0 or position > _INT32_MAX:
        raise refusal(
            BAD_VALUE,
            f"Failed to parse bit position. Expected a non-negative number in: {text}",
        )
    if position > 1 << 20:
        raise refusal(BAD_VALUE, f"bit position {position} is above the limit of {1 << 20}")
    return position


OPERATORS: Final[dict[str, Callable[[str, Value], MatchExpression]]] = {
    "$eq": _parse_eq,
    "$ne": _parse_ne,
    "$gt": _parse_gt,
    "$gte": _parse_gte,
    "$lt": _parse_lt,
    "$lte": _parse_lte,
    "$in": _parse_in,
    "$nin": _parse_nin,
    "$exists": _parse_exists,
    "$type": _parse_type,
    "$size": _parse_size,
    "$mod": _parse_mod,
    "$bitsAllSet": _parse_bits_all_set,
    "$bitsAllClear": _parse_bits_all_clear,
    "$bitsAnySet": _parse_bits_any_set,
    "$bitsAnyClear": _parse_bits_any_clear,
}
