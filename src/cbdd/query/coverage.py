"""Whether an index says everything a query asks for, so that no document need be read.

It does when the projection only includes fields of the index, and the filter only speaks of them.
Indexes that have met an array do not: their keys are of elements. Whether the values of one key can
be read back is found out key by key, see `index.key_types`.
"""

from __future__ import annotations

from cbdd.query.index_choice import IndexChoice
from cbdd.query.matcher import And, MatchExpression, Not, Or, PathExpression
from cbdd.query.projection import Projection


def is_covering(
    choice: IndexChoice, conjuncts: list[MatchExpression], projection: Projection | None
) -> bool:
    """Tell whether keys of the index stand for the documents of a query."""
    definition = choice.definition
    if projection is None or definition.is_multikey or not definition.keeps_types:
        return False
    wanted = projection.included_paths()
    if wanted is None:
        return False
    held = [path for path, _ in definition.fields]
    for path in wanted:
        if path not in held:
            return False
    for path in held:
        if any([part.isdigit() for part in path.split(".")]):
            return False  # a part may be a position: then there is an array around the value
        if any([other.startswith(path + ".") for other in held]):
            return False  # a field and one below it make no document
    for conjunct in conjuncts:
        if not _speaks_only_of(conjunct, held):
            return False
    return True


def _speaks_only_of(expression: MatchExpression, paths: list[str]) -> bool:
    if isinstance(expression, PathExpression):
        return expression.path.text in paths
    if isinstance(expression, Not):
        return _speaks_only_of(expression.child, paths)
    if isinstance(expression, (And, Or)):
        return all([_speaks_only_of(child, paths) for child in expression.children])
    return False
