"""Index bounds as explain shows them: "[3, 3]", "(5, inf]", '["", "b")'.

The bounds themselves are bytes; the text is made from the expressions that gave them.
"""

from __future__ import annotations

from typing import Final

from cbdd.document.raw import (
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_DOCUMENT,
    TYPE_OBJECT_ID,
    TYPE_STRING,
)
from cbdd.expression.describe import describe
from cbdd.expression.value import TYPE_NAMES, Value, is_number
from cbdd.query.comparison import EQ, GT, GTE, LT, Comparison, In
from cbdd.query.matcher import MatchExpression, Not, Or
from cbdd.query.predicate import Exists, HasType
from cbdd.query.regex import Regex

_EVERYTHING: Final = "[MinKey, MaxKey]"

# The ends of a class of values: what a range with one end runs to.
_ENDS: Final[dict[int, tuple[str, str]]] = {
    TYPE_STRING: ('[""', "{})"),
    TYPE_DOCUMENT: ("[{}", "[])"),
    TYPE_BOOLEAN: ("[false", "true]"),
    TYPE_DATE: ("[new Date(-9223372036854775808)", "new Date(9223372036854775807)]"),
    TYPE_OBJECT_ID: (
        "[ObjectId('000000000000000000000000')",
        "ObjectId('ffffffffffffffffffffffff')]",
    ),
}


def bounds_text(expressions: list[MatchExpression], is_descending: bool) -> list[str]:
    """Return the intervals that `expressions` leave of one field of an index."""
    if not expressions:
        texts = [_EVERYTHING]
    elif len(expressions) == 1:
        texts = _expression_text(expressions[0])
    else:
        texts = _range_text(expressions)
    if is_descending:
        return [_turned(text) for text in reversed(texts)]
    return texts


def _expression_text(expression: MatchExpression) -> list[str]:
    if isinstance(expression, Comparison):
        if expression.operator == EQ:
            return [_point(expression.value)]
        return _range_text([expression])
    if isinstance(expression, In):
        texts = [_point(value) for value in sorted(expression.values, key=_key)]
        for pattern in expression.patterns:
            texts.extend(_expression_text(pattern))
        return texts
    if isinstance(expression, Or):
        return [text for child in expression.children for text in _expression_text(child)]
    if isinstance(expression, Regex):
        shown = f"/{expression.pattern}/{expression.options}"
        return [f'["", {{}}) matching {shown}', f"[{shown}, {shown}]"]
    if isinstance(expression, HasType):
        names = [TYPE_NAMES[bson_type] for bson_type in sorted(expression.types)]
        return [f"every {name}" for name in names]
    if isinstance(expression, Not):
        if isinstance(expression.child, Exists):
            return ["[null, null]"]
        if isinstance(expression.child, (Comparison, In)):
            return [f"all but {text}" for text in _expression_text(expression.child)]
    return [_EVERYTHING]


def _range_text(expressions: list[MatchExpression]) -> list[str]:
    """Return the one interval between the tightest ends, where all are comparisons."""
    low: Comparison | None = None
    high: Comparison | None = None
    for expression in expressions:
        if not isinstance(expression, Comparison):
            parts = [" or ".join(_expression_text(each)) for each in expressions]
            return [" and ".join([part for part in parts if part])]
        if expression.operator == EQ:
            return [_point(expression.value)]
        if expression.operator in (GT, GTE):
            if low is None or expression.key > low.key:
                low = expression
        elif high is None or expression.key < high.key:
            high = expression
    return [f"{_low_text(low, high)}, {_high_text(low, high)}"]


def _low_text(low: Comparison | None, high: Comparison | None) -> str:
    if low is not None:
        return ("(" if low.operator == GT else "[") + describe(low.value)
    assert high is not None
    if is_number(high.value.bson_type):
        return "[-inf"
    return _ENDS.get(high.value.bson_type, ("[MinKey", ""))[0]


def _high_text(low: Comparison | None, high: Comparison | None) -> str:
    if high is not None:
        return describe(high.value) + (")" if high.operator == LT else "]")
    assert low is not None
    if is_number(low.value.bson_type):
        return "inf]"
    return _ENDS.get(low.value.bson_type, ("", "MaxKey]"))[1]


def _point(value: Value) -> str:
    text = describe(value)
    return f"[{text}, {text}]"


def _key(value: Value) -> bytes:
    return value.key()


def _turned(text: str) -> str:
    """Return the interval as a descending field reads it: from its high end to its low one."""
    if text[0] not in "[(" or text[-1] not in "])" or text.count(", ") != 1:
        return text
    low, high = text.split(", ")
    opening = "[" if high[-1] == "]" else "("
    closing = "]" if low[0] == "[" else ")"
    return f"{opening}{high[:-1]}, {low[1:]}{closing}"
