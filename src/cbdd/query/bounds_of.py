"""From a filter to the bounds of one index: what each field of the index is limited to.

Only conjuncts count (what must hold for every match), and among them those that speak of a field of
the index: comparisons, $in, their negations, anchored patterns, $type, $exists: false, $elemMatch
on values, and $or over one field. A predicate that cannot be narrowed leaves its field open; that
is slow, never wrong, because found documents are asked again unless the bounds are exact.

On a multikey index two conjuncts on one field may be met by different elements of an array. Then
only the better one gives bounds. Inside one $elemMatch both speak of the same element.
"""

from __future__ import annotations

from typing import Final

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_OBJECT_ID,
    TYPE_REGEX,
    TYPE_STRING,
)
from cbdd.index.bounds import (
    NULL_UNKNOWN,
    FieldBounds,
    Interval,
    all_bounds,
    bracket_bounds,
    complement_bounds,
    field_null_keys,
    intersect_bounds,
    point,
    predicate_bounds,
    text_prefix_bounds,
    union_bounds,
)
from cbdd.index.definition import IndexDefinition
from cbdd.index.interval import normalised
from cbdd.query.array_match import ElementMatch
from cbdd.query.comparison import Comparison, In
from cbdd.query.matcher import And, MatchExpression, Not, Or, PathExpression
from cbdd.query.predicate import Exists, HasType
from cbdd.query.regex import Regex

_FALSE: Final = b"\x00"
_PLAIN_TYPES: Final = (TYPE_INT32, TYPE_INT64, TYPE_STRING, TYPE_OBJECT_ID)
"""Values of which an index has one key, whatever else is known of it."""


class IndexBounds:
    """What a filter says about the fields of an index.

    `fields` has one entry per field, None where nothing narrows it, and `expressions` the conjuncts
    it comes from; `is_complete` says that every conjunct of the filter went into it.
    """

    def __init__(self) -> None:
        self.fields: list[FieldBounds | None] = []
        self.expressions: list[list[MatchExpression]] = []
        self.is_complete = False


def conjuncts_of(expression: MatchExpression) -> list[MatchExpression]:
    """Return the expressions that must all hold, nested conjunctions opened."""
    if not isinstance(expression, And):
        return [expression]
    found: list[MatchExpression] = []
    for child in expression.children:
        found.extend(conjuncts_of(child))
    return found


def index_bounds(definition: IndexDefinition, conjuncts: list[MatchExpression]) -> IndexBounds:
    """Return what `conjuncts` say about the fields of the index."""
    result = IndexBounds()
    used = 0
    for i in range(len(definition.fields)):
        best: FieldBounds | None = None
        expressions: list[MatchExpression] = []
        for conjunct in conjuncts:
            if common_path(conjunct) != definition.fields[i][0]:
                continue
            bounds = expression_bounds(conjunct, field_null_keys(definition, i))
            if best is None:
                best = bounds
                expressions.append(conjunct)
            elif not definition.is_multikey:
                best = intersect_bounds(best, bounds)
                expressions.append(conjunct)
            elif _narrowness(bounds) > _narrowness(best):
                best = bounds
                expressions = [conjunct]
        used += len(expressions)
        result.fields.append(best)
        result.expressions.append(expressions)
    result.is_complete = used == len(conjuncts)
    return result


def _narrowness(bounds: FieldBounds) -> tuple[int, int]:
    """Rank bounds without counting: points before ranges, few before many, closed before open."""
    if bounds.is_everything:
        return 0, 0
    if bounds.is_points:
        return 2, -len(bounds.intervals)
    closed = 0
    for interval in bounds.intervals:
        if interval.low is None or interval.high is None:
            closed -= 1
    return 1, closed


def common_path(expression: MatchExpression) -> str:
    """Return the one path that all of the expression speaks of, or ''."""
    if isinstance(expression, PathExpression):
        return expression.path.text
    if isinstance(expression, Not):
        return common_path(expression.child)
    children: list[MatchExpression] = []
    if isinstance(expression, (And, Or)):
        children = expression.children
    path = ""
    for child in children:
        child_path = common_path(child)
        if not child_path or (path and path != child_path):
            return ""
        path = child_path
    return path


def expression_bounds(expression: MatchExpression, null_keys: int) -> FieldBounds:
    """Return the bounds of an expression that speaks of one path."""
    if isinstance(expression, Comparison):
        value = expression.value
        return predicate_bounds(
            expression.operator, value.data, value.bson_type, 0, len(value.data), null_keys
        )
    if isinstance(expression, In):
        return _membership_bounds(expression, null_keys)
    if isinstance(expression, Not):
        return _negated_bounds(expression.child, null_keys)
    if isinstance(expression, Or):
        return union_bounds([expression_bounds(c, null_keys) for c in expression.children])
    if isinstance(expression, Regex):
        return _pattern_bounds(expression)
    if isinstance(expression, HasType):
        return _type_bounds(expression)
    if isinstance(expression, ElementMatch):
        return _element_bounds(expression)
    return all_bounds()


def _membership_bounds(expression: In, null_keys: int) -> FieldBounds:
    parts: list[FieldBounds] = []
    points: list[Interval] = []
    for value in expression.values:
        if value.bson_type in _PLAIN_TYPES:
            points.append(point(value.key()))
            continue
        parts.append(
            predicate_bounds("$eq", value.data, value.bson_type, 0, len(value.data), null_keys)
        )
    for pattern in expression.patterns:
        parts.append(expression_bounds(pattern, null_keys))
    if not parts:
        return FieldBounds(normalised(points), True)
    return union_bounds([FieldBounds(points, True), *parts])


def _negated_bounds(child: MatchExpression, null_keys: int) -> FieldBounds:
    if isinstance(child, (Comparison, In)):
        return complement_bounds(expression_bounds(child, null_keys))
    if isinstance(child, Exists):
        return predicate_bounds("$exists", _FALSE, TYPE_BOOLEAN, 0, 1, null_keys)
    return all_bounds()


def _pattern_bounds(expression: Regex) -> FieldBounds:
    prefix = literal_prefix(expression.pattern, expression.options)
    if prefix:
        strings = text_prefix_bounds(prefix.encode("utf-8"))
    else:
        strings = bracket_bounds(TYPE_STRING)
    return union_bounds([strings, bracket_bounds(TYPE_REGEX)])


def _type_bounds(expression: HasType) -> FieldBounds:
    if TYPE_ARRAY in expression.types:
        return all_bounds()  # an array is not in the index as such, its elements are
    return union_bounds([bracket_bounds(bson_type) for bson_type in sorted(expression.types)])


def _element_bounds(expression: ElementMatch) -> FieldBounds:
    if expression.is_object or any([part.isdigit() for part in expression.path.text.split(".")]):
        return all_bounds()  # an array that a number leads to is in the index as a whole
    bounds = all_bounds()
    for child in conjuncts_of(expression.condition):
        if isinstance(child, (Comparison, In)):
            bounds = intersect_bounds(bounds, expression_bounds(child, NULL_UNKNOWN))
    return bounds


def literal_prefix(pattern: str, options: str) -> str:
    """Return the text that every match of an anchored pattern begins with, '' when unknown."""
    if not pattern.startswith("^") or options.strip("su") or "|" in pattern:
        return ""
    prefix = ""
    for character in pattern[1:]:
        if character in "*?{":
            return prefix[:-1]  # the character before may be absent
        if not (character.isalnum() or character in " _-:/,;@#%&=<>!~'\""):
            break
        prefix += character
    return prefix
