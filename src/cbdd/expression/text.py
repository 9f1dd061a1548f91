"""Operators on strings: joining, cutting, searching, case, regular expressions.

Where a string is expected, numbers, dates and the like are written as text; null and missing count
as the empty string, or make the result null, as each operator of MongoDB does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import (
    TYPE_DATE,
    TYPE_NULL,
    TYPE_REGEX,
    TYPE_STRING,
    TYPE_SYMBOL,
    TYPE_TIMESTAMP,
)
from cbdd.expression.arrays import search_bound
from cbdd.expression.calendar import iso_text
from cbdd.expression.describe import describe
from cbdd.expression.node import (
    NULL_VALUE,
    array_of,
    document_of,
    is_nullish,
    truth,
)
from cbdd.expression.number import int32_value
from cbdd.expression.number_text import number_text
from cbdd.expression.pattern import Pattern, compile_pattern, regex_parts
from cbdd.expression.value import MISSING, Value

_WHITESPACE: Final = (
    "\0\t\n\x0b\x0c\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a"
)


def string_value(text: str) -> Value:
    """Return a BSON string."""
    return raw_string(text.encode("utf-8"))


def raw_string(data: bytes) -> Value:
    """Return the BSON string of UTF-8 bytes."""
    return Value(TYPE_STRING, (len(data) + 1).to_bytes(4, "little") + data + b"\0")


def is_string(value: Value) -> bool:
    """Tell whether a value is a string."""
    return value.bson_type == TYPE_STRING


def string_bytes(value: Value) -> bytes:
    """Return the UTF-8 bytes of a string or symbol."""
    return value.data[4:-1]


def coerced(value: Value) -> bytes:
    """Return a value as text, where an operator takes more than strings.

    :raises OperationFailure: it is of a type without a text.
    """
    if value.bson_type == TYPE_STRING or value.bson_type == TYPE_SYMBOL:
        return string_bytes(value)
    if is_nullish(value):
        return b""
    if value.is_number():
        return number_text(value).encode("ascii")
    if value.bson_type == TYPE_DATE:
        return iso_text(int.from_bytes(value.data, "little", signed=True)).encode("ascii")
    if value.bson_type == TYPE_TIMESTAMP:
        increment = int.from_bytes(value.data[:4], "little")
        seconds = int.from_bytes(value.data[4:], "little")
        return f"Timestamp({seconds}, {increment})".encode("ascii")
    raise refusal(16007, f"can't convert from BSON type {value.type_name()} to String")


def concatenate(name: str, values: list[Value]) -> Value:
    """$concat."""
    parts: list[bytes] = []
    for value in values:
        if is_nullish(value):
            return NULL_VALUE
        if value.bson_type != TYPE_STRING:
            raise refusal(16702, f"$concat only supports strings, not {value.type_name()}")
        parts.append(string_bytes(value))
    return raw_string(b"".join(parts))


def change_case(name: str, values: list[Value]) -> Value:
    """$toLower and $toUpper: of ASCII letters, as MongoDB does."""
    text = coerced(values[0])
    return raw_string(text.lower() if name == "$toLower" else text.upper())


def compare_ignoring_case(name: str, values: list[Value]) -> Value:
    """$strcasecmp."""
    left, right = coerced(values[0]).upper(), coerced(values[1]).upper()
    return int32_value((left > right) - (left < right))


def length_in_code_points(name: str, values: list[Value]) -> Value:
    """$strLenCP."""
    if values[0].bson_type != TYPE_STRING:
        raise refusal(
            34471, f"$strLenCP requires a string argument, found: {values[0].type_name()}"
        )
    return int32_value(len(values[0].text()))


def length_in_bytes(name: str, values: list[Value]) -> Value:
    """$strLenBytes."""
    if values[0].bson_type != TYPE_STRING:
        raise refusal(
            34473, f"$strLenBytes requires a string argument, found: {values[0].type_name()}"
        )
    return int32_value(len(string_bytes(values[0])))


def _offset(name: str, value: Value, what: str, code: int) -> int:
    """Return start (code 34450 and on) or length (34452 and on) of $substrCP."""
    if not value.is_number():
        raise refusal(
            code, f"$substrCP: {what} must be a numeric type (is BSON type {value.type_name()})"
        )
    number = value.integer()
    if number is None or not -(1 << 31) <= number < 1 << 31:
        raise refusal(
            code + 1,
            f"$substrCP: {what} cannot be represented as a 32-bit integral value:"
            f" {describe(value)}",
        )
    return number


def substring_in_code_points(name: str, values: list[Value]) -> Value:
    """$substrCP."""
    text = coerced(values[0]).decode("utf-8")
    start = _offset(name, values[1], "starting index", 34450)
    length = _offset(name, values[2], "length", 34452)
    if length < 0:
        raise refusal(34454, "$substrCP: length must be a nonnegative integer.")
    if start < 0:
        raise refusal(34455, "$substrCP: the starting index must be nonnegative integer.")
    return string_value(text[start : start + length])


def substring_in_bytes(name: str, values: list[Value]) -> Value:
    """$substrBytes and $substr: may not cut a character."""
    text = coerced(values[0])
    bounds: list[int] = []
    for position in (1, 2):
        value = values[position]
        what = "starting index" if position == 1 else "length"
        if not value.is_number():
            raise refusal(
                16033 + position,
                f"{name}:  {what} must be a numeric type (is BSON type {value.type_name()})",
            )
        bounds.append(int(value.number() or 0))
    start, length = bounds
    if start < 0:
        raise refusal(50752, f"{name}:  starting index must be non-negative (got: {start})")
    if start > len(text):
        return raw_string(b"")
    if start < len(text) and _is_continuation(text[start]):
        raise refusal(
            28656, f"{name}:  Invalid range, starting index is a UTF-8 continuation byte."
        )
    end = len(text) if length < 0 else min(len(text), start + length)
    if end < len(text) and _is_continuation(text[end]):
        raise refusal(
            28657, f"{name}:  Invalid range, ending index is in the middle of a UTF-8 character."
        )
    return raw_string(text[start:end])


def _is_continuation(byte: int) -> bool:
    return byte & 0xC0 == 0x80


def index_of(name: str, values: list[Value]) -> Value:
    """$indexOfCP and $indexOfBytes."""
    if is_nullish(values[0]):
        return NULL_VALUE
    for position, (code, which) in enumerate(((40091, "first"), (40092, "second"))):
        if values[position].bson_type != TYPE_STRING:
            raise refusal(
                code + (2 if name == "$indexOfCP" else 0),
                f"{name} requires a string as the {which} argument, found:"
                f" {values[position].type_name()}",
            )
    start = search_bound(name, "starting", values[2]) if len(values) > 2 else 0
    if name == "$indexOfBytes":
        data, token = string_bytes(values[0]), string_bytes(values[1])
        end = search_bound(name, "ending", values[3]) if len(values) > 3 else len(data)
        return int32_value(-1 if start > len(data) else data.find(token, start, end))
    text, part = values[0].text(), values[1].text()
    end = search_bound(name, "ending", values[3]) if len(values) > 3 else len(text)
    return int32_value(-1 if start > len(text) else text.find(part, start, end))


def split(name: str, values: list[Value]) -> Value:
    """$split."""
    text, separator = values
    if is_nullish(text) or is_nullish(separator):
        return NULL_VALUE
    if text.bson_type != TYPE_STRING:
        raise refusal(
            40085,
            "$split requires an expression that evaluates to a string as a first argument, found:"
            f" {text.type_name()}",
        )
    if separator.bson_type == TYPE_REGEX:
        pattern, options = regex_parts(separator)
        pieces = compile_pattern(pattern, options).pieces(text.text(), 0)
        return array_of([string_value(piece) for piece in pieces])
    if separator.bson_type != TYPE_STRING:
        raise refusal(
            40086,
            "$split requires an expression that evaluates to a string as a second argument, found:"
            f" {separator.type_name()}",
        )
    if not string_bytes(separator):
        raise refusal(40087, "$split requires a non-empty separator")
    return array_of(
        [raw_string(piece) for piece in string_bytes(text).split(string_bytes(separator))]
    )


def trim(name: str, named: dict[str, Value]) -> Value:
    """$trim, $ltrim, $rtrim."""
    text = named["input"]
    if is_nullish(text):
        return NULL_VALUE
    if text.bson_type != TYPE_STRING:
        raise refusal(
            50699,
            f"{name} requires its input to be a string, got {describe(text)} (of type"
            f" {text.type_name()}) instead.",
        )
    characters = _WHITESPACE
    if "chars" in named:
        chars = named["chars"]
        if is_nullish(chars):
            return NULL_VALUE
        if chars.bson_type != TYPE_STRING:
            raise refusal(
                50700,
                f"{name} requires 'chars' to be a string, got {describe(chars)} (of type"
                f" {chars.type_name()}) instead.",
            )
        characters = chars.text()
    found = text.text()
    if name != "$rtrim":
        found = found.lstrip(characters)
    if name != "$ltrim":
        found = found.rstrip(characters)
    return string_value(found)


def replace(name: str, named: dict[str, Value]) -> Value:
    """$replaceOne and $replaceAll."""
    codes = {"input": 51746, "find": 51745, "replacement": 51744}
    for part, code in codes.items():
        value = named[part]
        is_pattern = part == "find" and value.bson_type == TYPE_REGEX
        if not is_nullish(value) and value.bson_type != TYPE_STRING and not is_pattern:
            raise refusal(
                code, f"{name} requires that '{part}' be a string, found: {describe(value)}"
            )
    for part in codes:
        if is_nullish(named[part]):
            return NULL_VALUE
    count = 1 if name == "$replaceOne" else -1
    text, replacement = named["input"].text(), named["replacement"].text()
    if named["find"].bson_type == TYPE_REGEX:
        pattern, options = regex_parts(named["find"])
        pieces = compile_pattern(pattern, options).pieces(text, max(0, count))
        return string_value(replacement.join(pieces))
    return string_value(text.replace(named["find"].text(), replacement, count))


# -- regular expressions -----------------------------------------------------------------------


def match(name: str, named: dict[str, Value]) -> Value:
    """$regexMatch, $regexFind, $regexFindAll."""
    text, pattern = named["input"], named["regex"]
    if not is_nullish(text) and text.bson_type != TYPE_STRING:
        raise refusal(51104, f"{name} needs 'input' to be of type string")
    options = _options(name, named)
    if not is_nullish(pattern) and pattern.bson_type not in (TYPE_STRING, TYPE_REGEX):
        raise refusal(51105, f"{name} needs 'regex' to be of type string or regex")
    if is_nullish(text) or is_nullish(pattern):
        if name == "$regexMatch":
            return truth(False)
        return NULL_VALUE if name == "$regexFind" else array_of([])
    compiled = _compiled(name, pattern, options)
    subject = text.text()
    if name == "$regexMatch":
        return truth(compiled.is_in(subject))
    if name == "$regexFind":
        found = compiled.find(subject)
        return NULL_VALUE if found is None else _found(found)
    return array_of([_found(each) for each in compiled.find_all(subject)])


def _options(name: str, named: dict[str, Value]) -> str:
    options = named.get("options")
    if options is None or is_nullish(options):
        return ""
    if options.bson_type != TYPE_STRING:
        raise refusal(51106, f"{name} needs 'options' to be of type string")
    return options.text()


def _compiled(name: str, pattern: Value, options: str) -> Pattern:
    if pattern.bson_type == TYPE_STRING:
        return compile_pattern(pattern.text(), options)
    text, own = regex_parts(pattern)
    if own and options:
        raise refusal(
            51107, f"{name}: found regex option(s) specified in both 'regex' and 'option' fields"
        )
    return compile_pattern(text, own or options)


def _found(found: Any) -> Value:
    captures = [NULL_VALUE if group is None else string_value(group) for group in found.groups()]
    return document_of(
        [b"match", b"idx", b"captures"],
        [string_value(found.group()), int32_value(found.start()), array_of(captures)],
    )


def is_given(value: Value) -> bool:
    """Tell whether a named operand was given at all."""
    return value.bson_type not in (MISSING, TYPE_NULL)


TEXT: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$concat": (0, -1, concatenate),
    "$toLower": (1, 1, change_case),
    "$toUpper": (1, 1, change_case),
    "$strcasecmp": (2, 2, compare_ignoring_case),
    "$strLenCP": (1, 1, length_in_code_points),
    "$strLenBytes": (1, 1, length_in_bytes),
    "$substrCP": (3, 3, substring_in_code_points),
    "$substrBytes": (3, 3, substring_in_bytes),
    "$substr": (3, 3, substring_in_bytes),
    "$indexOfCP": (2, 4, index_of),
    "$indexOfBytes": (2, 4, index_of),
    "$split": (2, 2, split),
}
NAMED_TEXT: Final[
    dict[str, tuple[list[str], list[str], Callable[[str, dict[str, Value]], Value]]]
] = {
    "$trim": (["input"], ["chars"], trim),
    "$ltrim": (["input"], ["chars"], trim),
    "$rtrim": (["input"], ["chars"], trim),
    "$replaceOne": (["input", "find", "replacement"], [], replace),
    "$replaceAll": (["input", "find", "replacement"], [], replace),
    "$regexMatch": (["input", "regex"], ["options"], match),
    "$regexFind": (["input", "regex"], ["options"], match),
    "$regexFindAll": (["input", "regex"], ["options"], match),
}
