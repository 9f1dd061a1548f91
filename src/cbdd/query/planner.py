"""Choosing how to find the documents of a query.

For each index that the filter or the sort can use there is a candidate: the intervals to read and,
because trees count their entries, the exact number of keys in them. The candidate with the lowest
cost wins; reading the whole collection is one of them.

    cost          per
    1             record read in order (COLLSCAN)
    6             key read and record fetched (IXSCAN + FETCH)
    4             document sorted in memory

A limit without a sort in memory ends the reading early; how early is estimated from the narrowest
bounds any candidate has. In a small collection, and where an index leaves three quarters of it out,
an index with bounds always comes before a collection scan.

Invariants: every plan of a query gives the same documents, only their order may differ where the
sort leaves it open. An index is used only if it holds all documents that can match, unless a hint
asks for a sparse one: then, as in MongoDB, documents that are not in it are not found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.refusal import BAD_VALUE, refusal
from cbdd.index.bounds import CompositeBounds, FieldBounds, composite_bounds
from cbdd.index.definition import IndexDefinition
from cbdd.query.bounds_of import IndexBounds, conjuncts_of, index_bounds
from cbdd.query.comparison import EQ, Comparison
from cbdd.query.matcher import MatchExpression
from cbdd.query.sort import NATURAL, SortPattern
from cbdd.storage import ReadTransaction

_SMALL_COLLECTION: Final = 1000
_FETCH_COST: Final = 6.0
_SORT_COST: Final = 4.0
_MAX_COUNTED_INTERVALS: Final = 200

Hint = str | Sequence[tuple[str, Any]] | Mapping[str, Any]


class IndexChoice:
    """An index with the intervals a query reads of it."""

    def __init__(
        self, definition: IndexDefinition, bounds: IndexBounds, composite: CompositeBounds
    ) -> None:
        self.definition = definition
        self.fields: list[FieldBounds | None] = bounds.fields
        self.expressions = bounds.expressions
        self.composite = composite
        self.is_exact = bounds.is_complete and composite.is_exact
        """Whether a key inside the intervals proves that its document matches."""
        self.provides_sort = False
        self.is_reverse = False
        self.key_count = 0

    def has_bounds(self) -> bool:
        return self.composite.field_count > 0


class Plan:
    """How to find the documents: which tree to read, in which direction, what is left to do."""

    def __init__(
        self, filter: MatchExpression, sort: SortPattern | None, choice: IndexChoice | None
    ) -> None:
        self.filter = filter
        self.choice = choice
        self.id_key: bytes | None = None
        """Set for a look-up by `_id` alone: the key string of the value."""
        self.is_reverse = False
        self.sort = sort
        """What must be sorted in memory; None when the order is right already."""
        self.rejected: list[IndexChoice] = []
        if choice is not None:
            self.is_reverse = choice.is_reverse
            if choice.provides_sort:
                self.sort = None

    def needs_filter(self) -> bool:
        """Tell whether a document that was found must still be asked."""
        return self.choice is None or not self.choice.is_exact


class Planner:
    """Plans one query on one collection, as a transaction sees it."""

    def __init__(self, txn: ReadTransaction, entry: CollectionEntry) -> None:
        self.txn = txn
        self.entry = entry

    def plan(
        self,
        filter: MatchExpression,
        sort: SortPattern | None = None,
        needed: int = 0,
        hint: Hint | None = None,
    ) -> Plan:
        """Return the cheapest plan.

        :param needed: how many documents will be asked for (skip + limit), 0 for all.
        :param hint: the index to use, by name or key pattern, or {"$natural": 1}.
        """
        if sort is not None and sort.is_natural():
            return _collection_plan(filter, None, sort.fields[0][1] < 0)
        conjuncts = conjuncts_of(filter)
        if hint is not None:
            return self._hinted(filter, sort, conjuncts, hint)
        id_key = _id_key(conjuncts)
        if id_key is not None:
            plan = Plan(filter, None, None)
            plan.id_key = id_key
            return plan
        choices: list[IndexChoice] = []
        for definition in self.entry.indexes:
            choice = self.choose(definition, conjuncts, sort)
            if is_usable(choice) and (choice.has_bounds() or choice.provides_sort):
                choices.append(choice)
        if not choices:
            return _collection_plan(filter, sort, False)
        return self._cheapest(filter, sort, choices, needed)

    def exact_choice(self, filter: MatchExpression, hint: Hint | None) -> IndexChoice | None:
        """Return an index whose keys inside the intervals are just the documents that match.

        Its count is theirs, whatever it would cost to read them.
        """
        conjuncts = conjuncts_of(filter)
        if hint is not None:
            choice = self._hinted(filter, None, conjuncts, hint).choice
            is_exact = choice is not None and choice.is_exact
            return choice if is_exact else None
        for definition in self.entry.indexes:
            choice = self.choose(definition, conjuncts, None)
            if choice.has_bounds() and choice.is_exact and is_usable(choice):
                return choice
        return None

    def choose(
        self,
        definition: IndexDefinition,
        conjuncts: list[MatchExpression],
        sort: SortPattern | None,
    ) -> IndexChoice:
        """Return what reading `definition` would mean for the query."""
        bounds = index_bounds(definition, conjuncts)
        choice = IndexChoice(definition, bounds, composite_bounds(definition, bounds.fields))
        if sort is not None:
            _match_sort(choice, sort)
        return choice

    def _hinted(
        self,
        filter: MatchExpression,
        sort: SortPattern | None,
        conjuncts: list[MatchExpression],
        hint: Hint,
    ) -> Plan:
        name, fields = _read_hint(hint)
        if fields and fields[0][0] == NATURAL:
            return _collection_plan(filter, sort, fields[0][1] < 0)
        for definition in self.entry.indexes:
            if definition.name == name or (fields and definition.fields == fields):
                choice = self.choose(definition, conjuncts, sort)
                choice.key_count = self._count_keys(choice)
                return Plan(filter, sort, choice)
        raise refusal(
            BAD_VALUE,
            "error processing query: planner returned error :: caused by :: hint provided does not"
            " correspond to an existing index",
        )

    def _cheapest(
        self,
        filter: MatchExpression,
        sort: SortPattern | None,
        choices: list[IndexChoice],
        needed: int,
    ) -> Plan:
        record_count = self.txn.count(self.entry.record_tree)
        matches = record_count
        for choice in choices:
            choice.key_count = self._count_keys(choice)
            if choice.has_bounds() and choice.key_count < matches:
                matches = choice.key_count
        best: IndexChoice | None = None
        best_cost = _cost(1.0, record_count, matches, sort is not None, needed)
        for choice in choices:
            is_sorting = sort is not None and not choice.provides_sort
            cost = _cost(_FETCH_COST, choice.key_count, matches, is_sorting, needed)
            is_narrow = choice.has_bounds() and (
                choice.key_count * 4 <= record_count or record_count < _SMALL_COLLECTION
            )
            if cost < best_cost or (best is None and is_narrow):
                best = choice
                best_cost = cost
        if best is None:
            plan = _collection_plan(filter, sort, False)
        else:
            plan = Plan(filter, sort, best)
        plan.rejected = [choice for choice in choices if choice is not best]
        return plan

    def _count_keys(self, choice: IndexChoice) -> int:
        """Count the keys inside the intervals; beyond some intervals, by those counted so far."""
        intervals = choice.composite.intervals
        counted = 0
        tree_id = choice.definition.tree_id
        for interval in intervals[:_MAX_COUNTED_INTERVALS]:
            counted += self.txn.count_range(tree_id, interval.low, interval.high)
        if len(intervals) > _MAX_COUNTED_INTERVALS:
            counted = counted * len(intervals) // _MAX_COUNTED_INTERVALS
        return counted


def _collection_plan(filter: MatchExpression, sort: SortPattern | None, is_reverse: bool) -> Plan:
    plan = Plan(filter, sort, None)
    plan.is_reverse = is_reverse
    return plan


def _cost(unit: float, available: int, matches: int, is_sorting: bool, needed: int) -> float:
    """Return the cost of reading `available` entries of which `matches` are expected to match."""
    read = float(available)
    if is_sorting:
        return unit * read + _SORT_COST * matches
    if needed > 0 and available > 0:
        # A limit ends the reading once enough matches were met.
        read = min(read, needed * read / max(1, min(matches, available)))
    return unit * read


def is_usable(choice: IndexChoice) -> bool:
    """Tell whether the index holds every document that can match.

    A sparse index lacks documents without any of its fields, unless the bounds rule them out.
    """
    if not choice.definition.is_sparse:
        return True
    for i in range(choice.composite.field_count):
        bounds = choice.fields[i]
        if bounds is not None and not bounds.includes_missing:
            return True
    return False


def _id_key(conjuncts: list[MatchExpression]) -> bytes | None:
    """Return the key of `_id` when some conjunct compares it for equality."""
    for conjunct in conjuncts:
        if not isinstance(conjunct, Comparison) or conjunct.path.text != "_id":
            continue
        if conjunct.operator == EQ:
            return conjunct.key
    return None


def _match_sort(choice: IndexChoice, sort: SortPattern) -> None:
    """Note in `choice` whether its keys come in the order of `sort`, and in which direction."""
    fields = choice.definition.fields
    at = 0
    direction = 0
    for path, wanted in sort.fields:
        while at < len(fields) and fields[at][0] != path and _is_constant(choice, at):
            at += 1
        if at < len(fields) and fields[at][0] == path:
            if not _is_sortable(choice, at):
                return
            needed = wanted * fields[at][1]
            if direction != 0 and needed != direction and not _is_constant(choice, at):
                return
            if not _is_constant(choice, at):
                direction = needed
            at += 1
        elif not _is_constant_path(choice, path):
            return
    choice.provides_sort = True
    choice.is_reverse = direction < 0


def _is_constant(choice: IndexChoice, at: int) -> bool:
    """Tell whether all keys that are read have the same value in field `at`."""
    bounds = choice.fields[at]
    if bounds is None or at >= choice.composite.point_count:
        return False
    return len(bounds.intervals) == 1


def _is_constant_path(choice: IndexChoice, path: str) -> bool:
    if choice.definition.is_multikey:
        return False
    for at in range(len(choice.definition.fields)):
        if choice.definition.fields[at][0] == path and _is_constant(choice, at):
            return True
    return False


def _is_sortable(choice: IndexChoice, at: int) -> bool:
    """Tell whether keys in the order of field `at` are documents in that order.

    In a multikey index a document sorts by its lowest (or highest) key of all; bounds on the field,
    or on another field of the same array, could hide that key.
    """
    definition = choice.definition
    if not definition.is_multikey:
        return True
    for other in range(choice.composite.field_count):
        if other == at or definition.paths[other][0] == definition.paths[at][0]:
            return False
    return True


def _read_hint(hint: Hint) -> tuple[str, list[tuple[str, int]]]:
    if isinstance(hint, str):
        return hint, []
    pairs = list(hint.items()) if isinstance(hint, Mapping) else list(hint)
    fields: list[tuple[str, int]] = []
    for path, direction in pairs:
        if type(direction) is bool or not isinstance(direction, (int, float)):
            raise refusal(BAD_VALUE, f"a hint must give a direction for '{path}'")
        fields.append((str(path), 1 if direction > 0 else -1))
    return "", fields
