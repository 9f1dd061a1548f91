"""Reading a filter: from BSON to a tree of match expressions.

A filter is a document of conditions that must all hold. A name without $ is a path, with either a
value (equality, or a pattern) or a document of operators; a name with $ combines whole filters.

    {"qty": {"$gt": 5, "$lt": 9}, "$or": [{"a": 1}, {"b": /x/}]}
    And( $gt(qty, 5), $lt(qty, 9), Or( And($eq(a, 1)), And(Regex(b, x)) ) )

The operators that need an operand and a path are in `cbdd.query.operators`; this module knows the
structure: what is an operator document, what combines, how deep it may go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from pymongo.errors import DocumentTooLarge

from cbdd.catalog.refusal import (
    BAD_VALUE,
    FAILED_TO_PARSE,
    OVERFLOW,
    QUERY_FEATURE_NOT_ALLOWED,
    not_supported,
    refusal,
)
from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, TYPE_REGEX, TYPE_UNDEFINED
from cbdd.document.validate import MAX_DOCUMENT_BYTES
from cbdd.expression.context import ExpressionContext
from cbdd.expression.number import double_of
from cbdd.expression.pattern import regex_parts
from cbdd.expression.value import Value, document_value, encode_document
from cbdd.query.array_match import ElementMatch
from cbdd.query.comparison import equality
from cbdd.query.computed import Computed, Sample
from cbdd.query.json_schema import parse_json_schema
from cbdd.query.matcher import And, MatchExpression, Not, Or
from cbdd.query.operators import OPERATORS, UNSUPPORTED_OPERATORS
from cbdd.query.path import FieldPath
from cbdd.query.regex import Regex

MAX_FILTER_DEPTH: Final = 100
MAX_FILTER_BYTES: Final = MAX_DOCUMENT_BYTES + (16 << 10)
"""What a command may have: a document and some room around it, as in MongoDB's drivers."""

_COMBINING: Final = ("$and", "$or", "$nor")
_OF_DOCUMENTS: Final = ("$and", "$or", "$nor", "$jsonSchema")
"""In an $elemMatch they make a filter of the operand."""
_UNSUPPORTED_TOP_LEVEL: Final = (
    "$where",
    "$text",
    "$atomic",
    "$isolated",
)


def parse_filter(
    filter: Mapping[str, Any] | bytes | None,
    codec_options: CodecOptions[Any] | None = None,
    context: ExpressionContext | None = None,
) -> MatchExpression:
    """Compile a filter, given as a mapping or as BSON; None and {} match every document.

    :param context: what $expr is evaluated in; default: without variables. Who gives one calls
        its `require_sound` when everything of the statement is compiled.

    Raises `OperationFailure` for operators that do not exist, are not supported or have operands
    of the wrong form, and `DocumentTooLarge` for a filter that no driver could send.
    """
    if filter is None:
        return And([])
    encoded = encode_document(filter, codec_options)
    if len(encoded) > MAX_FILTER_BYTES:
        raise DocumentTooLarge(
            f"filter too large ({len(encoded)} bytes) - filters are supported up to "
            f"{MAX_FILTER_BYTES} bytes"
        )
    try:
        value = document_value(encoded)
        surroundings = context or ExpressionContext()
        expression = parse_document(value, 0, surroundings)
    except InvalidBSON as error:
        raise refusal(OVERFLOW, f"filter is nested too deeply: {error}") from error
    if context is None:
        surroundings.require_sound()
    return expression


def parse_document(
    filter: Value, depth: int, context: ExpressionContext | None = None
) -> MatchExpression:
    """Compile a filter document nested `depth` filters deep.

    :param context: what $expr is evaluated in; None where it is not allowed.
    """
    check_depth(depth)
    children: list[MatchExpression] = []
    for name, value in filter.fields():
        if name.startswith("$"):
            if name != "$comment":
                children.append(_parse_top_level(name, value, depth, context))
        elif value.bson_type == TYPE_DOCUMENT and is_operator_document(value):
            children.extend(parse_operators(name, value, depth))
        else:
            children.append(_parse_implicit(FieldPath(name), value))
    return children[0] if len(children) == 1 else And(children)


def check_depth(depth: int) -> None:
    """Raise `OperationFailure` for a filter nested more than `MAX_FILTER_DEPTH` deep."""
    if depth > MAX_FILTER_DEPTH:
        raise refusal(BAD_VALUE, f"exceeded maximum query tree depth of {MAX_FILTER_DEPTH}")


def _parse_top_level(
    name: str, value: Value, depth: int, context: ExpressionContext | None
) -> MatchExpression:
    if name in _COMBINING:
        children = _parse_filter_list(name, value, depth, context)
        if name == "$and":
            return And(children)
        return Or(children) if name == "$or" else Not(Or(children))
    if name == "$expr" or name == "$sampleRate":
        if context is None and depth:
            raise refusal(BAD_VALUE, f"{name} can only be applied to the top-level document")
        where = "in this context" if context is None else context.refused_in
        if context is None or where:
            raise refusal(QUERY_FEATURE_NOT_ALLOWED, f"{name} is not allowed {where}")
        if name == "$expr":
            return Computed(context.compile(value), context)
        return _parse_sample(value, context)
    if name == "$alwaysTrue" or name == "$alwaysFalse":
        if value.integer() != 1:
            raise refusal(FAILED_TO_PARSE, f"{name} must be an integer value of 1")
        return And([]) if name == "$alwaysTrue" else Or([])
    if name == "$jsonSchema":
        if context is None and depth == 0:
            raise refusal(QUERY_FEATURE_NOT_ALLOWED, f"{name} is not allowed in this context")
        return parse_json_schema(value, depth)
    if name in _UNSUPPORTED_TOP_LEVEL:
        raise not_supported(BAD_VALUE, name, "in a filter")
    if name == "$not":
        raise refusal(
            BAD_VALUE,
            "unknown top level operator: $not. If you are trying to negate an entire expression,"
            " use $nor.",
        )
    raise refusal(
        BAD_VALUE,
        f"unknown top level operator: {name}. If you have a field name that starts with a '$'"
        " symbol, consider using $getField or $setField.",
    )


def _parse_sample(value: Value, context: ExpressionContext) -> MatchExpression:
    if not value.is_number():
        raise refusal(BAD_VALUE, "argument to $sampleRate must be a numeric type")
    rate = double_of(value)
    if not 0 <= rate <= 1:
        raise refusal(BAD_VALUE, "numeric argument to $sampleRate must be in [0, 1]")
    return Sample(rate, context)


def _parse_filter_list(
    name: str, value: Value, depth: int, context: ExpressionContext | None
) -> list[MatchExpression]:
    if value.bson_type != TYPE_ARRAY:
        raise refusal(BAD_VALUE, f"{name} must be an array")
    children: list[MatchExpression] = []
    for _, entry in value.fields():
        if entry.bson_type != TYPE_DOCUMENT:
            raise refusal(BAD_VALUE, f"{name} argument's entries must be objects")
        children.append(parse_document(entry, depth + 1, context))
    if not children:
        raise refusal(BAD_VALUE, f"{name} argument must be a non-empty array")
    return children


def _parse_implicit(path: FieldPath, value: Value) -> MatchExpression:
    """Compile {path: value}."""
    if value.bson_type == TYPE_REGEX:
        pattern, options = regex_parts(value)
        return Regex(path, pattern, options)
    if value.bson_type == TYPE_UNDEFINED:
        raise refusal(BAD_VALUE, f"cannot compare to undefined, in the field '{path.text}'")
    return equality(path, value)


def is_operator_document(value: Value) -> bool:
    """Tell whether a document value is a set of operators: its first name begins with $.

    A DBRef ($ref with $id) is a value, though its names begin with $.
    """
    names = [name for name, _ in value.fields()]
    if not names or not names[0].startswith("$"):
        return False
    return not (names[0] == "$ref" and "$id" in names) and names[0] not in ("$id", "$db")


def parse_operators(path_text: str, value: Value, depth: int) -> list[MatchExpression]:
    """Compile the operators of {path: {operators}}, one expression each."""
    check_depth(depth)
    fields = value.fields()
    expressions: list[MatchExpression] = []
    for name, operand in fields:
        if name == "$not":
            expressions.append(_parse_not(path_text, operand, depth))
        elif name == "$elemMatch":
            expressions.append(_parse_element_match(path_text, operand, depth))
        elif name == "$all":
            expressions.append(_parse_all(path_text, operand, depth))
        elif name == "$regex":
            expressions.append(_parse_regex(path_text, operand, fields))
        elif name == "$options":
            if not _has_name(fields, "$regex"):
                raise refusal(BAD_VALUE, "$options needs a $regex")
        else:
            parse = OPERATORS.get(name)
            if parse is None:
                raise _unknown_operator(name)
            expressions.append(parse(path_text, operand))
    return expressions


def _unknown_operator(name: str) -> Exception:
    if name in UNSUPPORTED_OPERATORS:
        return not_supported(BAD_VALUE, name, "in a filter")
    return refusal(BAD_VALUE, f"unknown operator: {name}")


def _has_name(fields: list[tuple[str, Value]], wanted: str) -> bool:
    for name, _ in fields:
        if name == wanted:
            return True
    return False


def _parse_not(path_text: str, operand: Value, depth: int) -> MatchExpression:
    if operand.bson_type == TYPE_REGEX:
        return Not(_parse_implicit(FieldPath(path_text), operand))
    if operand.bson_type != TYPE_DOCUMENT:
        raise refusal(BAD_VALUE, "$not needs a regex or a document")
    children = parse_operators(path_text, operand, depth + 1)
    if not operand.fields():
        raise refusal(BAD_VALUE, "$not cannot be empty")
    return Not(children[0] if len(children) == 1 else And(children))


def _parse_element_match(path_text: str, operand: Value, depth: int) -> MatchExpression:
    if operand.bson_type != TYPE_DOCUMENT:
        raise refusal(BAD_VALUE, "$elemMatch needs an Object")
    path = FieldPath(path_text, expands_leaf=False)
    if is_operator_document(operand) and operand.fields()[0][0] not in _OF_DOCUMENTS:
        children = parse_operators("", operand, depth + 1)
        return ElementMatch(path, And(children), is_object=False)
    return ElementMatch(path, parse_document(operand, depth + 1), is_object=True)


def _parse_all(path_text: str, operand: Value, depth: int) -> MatchExpression:
    """$all: every operand is equal to some value at the path; an empty list matches nothing."""
    if operand.bson_type != TYPE_ARRAY:
        raise refusal(BAD_VALUE, "$all needs an array")
    children: list[MatchExpression] = []
    element_matches = 0
    for _, entry in operand.fields():
        if entry.bson_type == TYPE_DOCUMENT and is_operator_document(entry):
            name, condition = entry.fields()[0]
            if name != "$elemMatch":
                raise refusal(BAD_VALUE, "no $ expressions in $all")
            element_matches += 1
            children.append(_parse_element_match(path_text, condition, depth + 1))
        else:
            children.append(_parse_implicit(FieldPath(path_text), entry))
    if element_matches not in (0, len(children)):
        raise refusal(BAD_VALUE, "$all/$elemMatch has to be consistent")
    return And(children) if children else Or([])


def _parse_regex(
    path_text: str, operand: Value, fields: list[tuple[str, Value]]
) -> MatchExpression:
    options = ""
    has_options = False
    for name, value in fields:
        if name == "$options":
            if value.type_name() != "string":
                raise refusal(BAD_VALUE, "$options has to be a string")
            options = value.text()
            has_options = True
    if operand.type_name() == "string":
        return Regex(FieldPath(path_text), operand.text(), options)
    if operand.bson_type != TYPE_REGEX:
        raise refusal(BAD_VALUE, "$regex has to be a string")
    pattern, own_options = regex_parts(operand)
    if has_options and own_options:
        raise refusal(51075, "options set in both $regex and $options")
    return Regex(FieldPath(path_text), pattern, options or own_options)
