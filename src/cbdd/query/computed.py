"""Conditions that no index answers: $expr, and $sampleRate."""

from __future__ import annotations

from typing import Final

from cbdd.catalog.refusal import QUERY_FEATURE_NOT_ALLOWED, refusal
from cbdd.expression.context import ExpressionContext
from cbdd.expression.node import Expression, is_truthy
from cbdd.query.matcher import And, MatchExpression, Not, Or


class Computed(MatchExpression):
    """$expr: an expression's value for the document is true."""

    def __init__(self, expression: Expression, context: ExpressionContext) -> None:
        self.expression = expression
        self.context = context

    def matches_at(self, data: bytes, start: int) -> bool:
        assert start == 0, "$expr speaks of whole documents"
        return is_truthy(self.expression.evaluate(self.context.environment(data)))


class Sample(MatchExpression):
    """$sampleRate: true for a part of all documents, by chance."""

    def __init__(self, rate: float, context: ExpressionContext) -> None:
        self.rate = rate
        self.context = context

    def matches_at(self, data: bytes, start: int) -> bool:
        return self.context.random_fraction() < self.rate


FOR_UPSERT: Final = "in the query predicate for an upsert"


def require_no_expression(filter: MatchExpression, where: str) -> None:
    """Refuse a filter with $expr where what it matched by must be told, as for `a.$`."""
    if isinstance(filter, Computed):
        raise refusal(QUERY_FEATURE_NOT_ALLOWED, f"$expr is not allowed {where}")
    if isinstance(filter, (And, Or)):
        for child in filter.children:
            require_no_expression(child, where)
    elif isinstance(filter, Not):
        require_no_expression(filter.child, where)
