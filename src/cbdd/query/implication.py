"""Whether a filter only matches what another one matches: may a partial index answer a query?

`implies(conjuncts, expression)` says yes only when it is certain; a no costs speed, never answers.
Expressions of partial indexes are few: $eq $gt $gte $lt $lte $in $exists: true $type $and $or.
Source of what is allowed: MongoDB's manual, "Partial Indexes".
"""

from __future__ import annotations

from cbdd.catalog.refusal import CANNOT_CREATE_INDEX, refusal
from cbdd.document.filter import DocumentFilter, FilterCompiler
from cbdd.document.raw import TYPE_ARRAY, TYPE_NULL, TYPE_UNDEFINED
from cbdd.index.bounds import NULL_EXACT, FieldBounds, intersect_bounds
from cbdd.query.bounds_of import conjuncts_of, expression_bounds
from cbdd.query.comparison import Comparison, In
from cbdd.query.matcher import And, MatchExpression, Or
from cbdd.query.parser import parse_filter
from cbdd.query.predicate import Exists, HasType


class CompiledFilter(DocumentFilter):
    """A filter for the layers below: of a partial index or of a validator."""

    def __init__(self, expression: MatchExpression) -> None:
        self.expression = expression

    def matches(self, document: bytes) -> bool:
        return self.expression.matches_at(document, 0)


class QueryFilters(FilterCompiler):
    """Compiles filters of the query language."""

    def compile(self, filter: bytes) -> DocumentFilter:
        return CompiledFilter(parse_filter(filter))

    def compile_partial(self, filter: bytes) -> DocumentFilter:
        expression = parse_filter(filter)
        check_partial_filter(expression)
        compiled = CompiledFilter(expression)
        compiled.signature = _signature(expression)
        return compiled


def _signature(expression: MatchExpression) -> str:
    """Return text that is the same for filters that say the same in another order or form."""
    if isinstance(expression, (And, Or)):
        parts = sorted([_signature(child) for child in expression.children])
        if len(parts) == 1:
            return parts[0]
        return ("and" if isinstance(expression, And) else "or") + f"({', '.join(parts)})"
    if isinstance(expression, Comparison):
        return f"{expression.path.text!r} {expression.operator} {expression.key.hex()}"
    if isinstance(expression, In):
        keys = sorted([value.key().hex() for value in expression.values])
        return f"{expression.path.text!r} $in {keys}"
    if isinstance(expression, HasType):
        return f"{expression.path.text!r} $type {sorted(expression.types)}"
    return f"{_path_of(expression)!r} $exists"


def check_partial_filter(expression: MatchExpression) -> None:
    """Raise `OperationFailure` 67 unless a partial index may have this filter."""
    if isinstance(expression, (And, Or)):
        for child in expression.children:
            check_partial_filter(child)
        return
    if isinstance(expression, (Exists, HasType)):
        return
    if isinstance(expression, In) and not expression.patterns:
        return
    if isinstance(expression, Comparison):
        return
    raise refusal(
        CANNOT_CREATE_INDEX,
        f"Expression not supported in partial index: {type(expression).__name__}. Supported are "
        "$eq, $gt, $gte, $lt, $lte, $in, $exists: true, $type, $and and $or",
    )


def implies(conjuncts: list[MatchExpression], wanted: MatchExpression) -> bool:
    """Tell whether documents that match all of `conjuncts` certainly match `wanted`."""
    if isinstance(wanted, And):
        return all([implies(conjuncts, child) for child in wanted.children])
    if isinstance(wanted, Or):
        for child in wanted.children:
            if implies(conjuncts, child):
                return True
    for conjunct in conjuncts:
        if _one_implies(conjunct, wanted):
            return True
    return False


def _one_implies(given: MatchExpression, wanted: MatchExpression) -> bool:
    if isinstance(given, Or):
        for child in given.children:
            if not implies(conjuncts_of(child), wanted):
                return False
        return bool(given.children)
    if isinstance(given, (Comparison, In)):
        if isinstance(wanted, Exists):
            return given.path.text == wanted.path.text and not _may_match_missing(given)
        if isinstance(wanted, (Comparison, In)):
            return given.path.text == wanted.path.text and _is_within(given, wanted)
        if isinstance(wanted, HasType):
            return given.path.text == wanted.path.text and _has_only_types(given, wanted)
    if isinstance(given, Exists) and isinstance(wanted, Exists):
        return given.path.text == wanted.path.text
    if isinstance(given, HasType) and given.path.text == _path_of(wanted):
        if isinstance(wanted, Exists):
            return True
        return isinstance(wanted, HasType) and given.types <= wanted.types
    return False


def _path_of(expression: MatchExpression) -> str:
    if isinstance(expression, (Exists, HasType)):
        return expression.path.text
    return ""


def _may_match_missing(expression: Comparison | In) -> bool:
    """Tell whether a missing field could match."""
    return expression_bounds(expression, NULL_EXACT).includes_missing


def _is_within(given: Comparison | In, wanted: Comparison | In) -> bool:
    """Tell whether every value that answers `given` answers `wanted`.

    Compared as ranges of key strings, which say exactly which scalars match. Arrays compare by
    their elements and as wholes: those are left alone.
    """
    if _speaks_of_arrays(given) or _speaks_of_arrays(wanted):
        return False
    left = expression_bounds(given, NULL_EXACT)
    right = expression_bounds(wanted, NULL_EXACT)
    if not (left.is_exact and right.is_exact):
        return False
    return _same(intersect_bounds(left, right), left)


def _speaks_of_arrays(expression: Comparison | In) -> bool:
    values = expression.values if isinstance(expression, In) else [expression.value]
    if isinstance(expression, In) and expression.patterns:
        return True
    for value in values:
        if value.bson_type == TYPE_ARRAY or value.bson_type == TYPE_UNDEFINED:
            return True
    return False


def _same(left: FieldBounds, right: FieldBounds) -> bool:
    if len(left.intervals) != len(right.intervals):
        return False
    for i in range(len(left.intervals)):
        a, b = left.intervals[i], right.intervals[i]
        if a.low != b.low or a.high != b.high:
            return False
    return True


def _has_only_types(given: Comparison | In, wanted: HasType) -> bool:
    if isinstance(given, Comparison):
        if given.operator != "$eq":
            return False
        values = [given.value]
    else:
        values = given.values
    for value in values:
        # A number equals numbers of other types.
        if value.bson_type not in wanted.types or value.is_number():
            return False
        if value.bson_type == TYPE_NULL:
            return False
    return not (isinstance(given, In) and given.patterns)
