"""Choosing how to find the documents of a query.

For each index that the filter or the sort can use there is a candidate: the intervals to read and,
because trees count their entries, the exact number of keys in them. An $or each of whose clauses
has such an index is one more candidate: the union of their intervals. The candidate with the
lowest cost wins; reading the whole collection is one of them.

    cost          per
    1             record read in order (COLLSCAN)
    6             key read and record fetched (IXSCAN + FETCH)
    1             key read that says everything the query asks for (covered)
    4             document sorted in memory

A limit without a sort in memory ends the reading early; how early is estimated from the narrowest
bounds any candidate has. In a small collection, and where an index leaves three quarters of it out,
an index with bounds always comes before a collection scan.

Invariants: every plan of a query gives the same documents, only their order may differ where the
sort leaves it open. An index is used only if it holds all documents that can match, unless a hint
asks for a sparse or partial one: then, as in MongoDB, documents that are not in it are not found.

`switch_planner(False)` makes every query without a hint read its collection: tests run both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.refusal import BAD_VALUE, refusal
from cbdd.index.key_pattern import HASHED, HASHED_NAME
from cbdd.query.bounds_of import conjuncts_of
from cbdd.query.comparison import EQ, Comparison
from cbdd.query.coverage import is_covering
from cbdd.query.index_choice import IndexChoice, index_choices, promising_choices, read_index
from cbdd.query.key_range import HINT_NEEDED, KeyRange
from cbdd.query.matcher import MatchExpression, Or
from cbdd.query.projection import Projection
from cbdd.query.sort import NATURAL, SortPattern
from cbdd.storage import ReadTransaction

_SMALL_COLLECTION: Final = 1000
_SCAN_COST: Final = 1.0
_FETCH_COST: Final = 6.0
_COVERED_COST: Final = 1.0
_SORT_COST: Final = 4.0
_MAX_COUNTED_INTERVALS: Final = 200
_MAX_UNION_CLAUSES: Final = 200
_NO_QUERY_PLANS: Final = 291

Hint = str | Sequence[tuple[str, Any]] | Mapping[str, Any]


class _Switch:
    """Whether queries without a hint may use indexes."""

    def __init__(self) -> None:
        self.is_on = True


_SWITCH: Final = _Switch()


def switch_planner(is_on: bool) -> None:
    """Let queries use indexes of their own accord, or not: for tests that ask both ways."""
    _SWITCH.is_on = is_on


def is_planner_on() -> bool:
    """Tell whether queries may use indexes of their own accord."""
    return _SWITCH.is_on


class Plan:
    """How to find the documents: which tree to read, in which direction, what is left to do."""

    def __init__(
        self, filter: MatchExpression, sort: SortPattern | None, choice: IndexChoice | None
    ) -> None:
        self.filter = filter
        self.choice = choice
        self.union: list[IndexChoice] = []
        """Set for an $or: the indexes whose records are put together."""
        self.id_key: bytes | None = None
        """Set for a look-up by `_id` alone: the key string of the value."""
        self.is_reverse = False
        self.is_covered = False
        """Whether keys say everything, so that records need not be fetched."""
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


class Wanted:
    """What a query asks of a plan beside its filter."""

    def __init__(
        self,
        sort: SortPattern | None = None,
        needed: int = 0,
        hint: Hint | None = None,
        projection: Projection | None = None,
        key_range: KeyRange | None = None,
    ) -> None:
        """
        :param needed: how many documents will be asked for (skip + limit), 0 for all.
        :param hint: the index to use, by name or key pattern, or {"$natural": 1}.
        :param projection: what is returned; None for whole documents.
        :param key_range: which keys of the hinted index to read.
        """
        self.sort = sort
        self.needed = needed
        self.hint = hint
        self.projection = projection
        self.key_range = key_range
        self.may_use_hidden = False
        """Whether the hint may name a hidden index."""


class Planner:
    """Plans one query on one collection, as a transaction sees it."""

    def __init__(self, txn: ReadTransaction, entry: CollectionEntry) -> None:
        self.txn = txn
        self.entry = entry

    def plan(self, filter: MatchExpression, wanted: Wanted) -> Plan:
        """Return the cheapest plan."""
        sort = wanted.sort
        if sort is not None and sort.is_natural() and wanted.key_range is None:
            return _collection_plan(filter, None, sort.fields[0][1] < 0)
        conjuncts = conjuncts_of(filter)
        if wanted.hint is not None:
            return self._hinted(filter, conjuncts, wanted, wanted.hint)
        if not _SWITCH.is_on:
            return _collection_plan(filter, sort, False)
        id_key = _id_key(conjuncts)
        if id_key is not None:
            plan = Plan(filter, None, None)
            plan.id_key = id_key
            return plan
        choices: list[IndexChoice] = []
        for choice in promising_choices(self.entry.indexes, conjuncts, sort):
            choice.is_covering = is_covering(choice, conjuncts, wanted.projection)
            if choice.has_bounds() or choice.provides_sort:
                choices.append(choice)
        union = self._union(conjuncts)
        if not choices and not union:
            return _collection_plan(filter, sort, False)
        return self._cheapest(filter, wanted, choices, union)

    def exact_choice(self, filter: MatchExpression, hint: Hint | None) -> IndexChoice | None:
        """Return an index whose keys inside the intervals are just the documents that match.

        Its count is theirs, whatever it would cost to read them.
        """
        conjuncts = conjuncts_of(filter)
        if hint is not None:
            choice = self._hinted(filter, conjuncts, Wanted(), hint).choice
            is_exact = choice is not None and choice.is_exact
            return choice if is_exact else None
        if not _SWITCH.is_on:
            return None
        for each in promising_choices(self.entry.indexes, conjuncts, None):
            if each.has_bounds() and each.is_exact:
                return each
        return None

    def _hinted(
        self,
        filter: MatchExpression,
        conjuncts: list[MatchExpression],
        wanted: Wanted,
        hint: Hint,
    ) -> Plan:
        name, fields = _read_hint(hint)
        sort = wanted.sort
        if fields and fields[0][0] == NATURAL:
            if wanted.key_range is not None:
                raise refusal(HINT_NEEDED, "min() and max() need the hint of an index")
            return _collection_plan(filter, sort, fields[0][1] < 0)
        for definition in self.entry.indexes:
            is_named = definition.name == name or (fields and definition.fields == fields)
            if not is_named or (definition.is_hidden and not wanted.may_use_hidden):
                continue
            if definition.is_wildcard:
                choices = index_choices(definition, conjuncts, sort)
                if not choices:
                    raise refusal(
                        _NO_QUERY_PLANS,
                        "error processing query: planner returned error :: caused by :: hint"
                        " provided does not correspond to an index that can answer the query",
                    )
                choice = choices[0]
            else:
                choice = read_index(definition, conjuncts, sort)
            if wanted.key_range is not None:
                choice = wanted.key_range.choice(definition, sort)
            choice.key_count = self._count_keys(choice)
            choice.is_covering = is_covering(choice, conjuncts, wanted.projection)
            plan = Plan(filter, sort, choice)
            plan.is_covered = choice.is_covering
            return plan
        raise refusal(
            BAD_VALUE,
            "error processing query: planner returned error :: caused by :: hint provided does not"
            " correspond to an existing index",
        )

    def _union(self, conjuncts: list[MatchExpression]) -> list[IndexChoice]:
        """Return an index for every clause of the $or that is cheapest to read; [] for none."""
        best: list[IndexChoice] = []
        best_count = 0
        for position in range(len(conjuncts)):
            clause = conjuncts[position]
            if not isinstance(clause, Or) or len(clause.children) > _MAX_UNION_CLAUSES:
                continue
            others = conjuncts[:position] + conjuncts[position + 1 :]
            found: list[IndexChoice] = []
            count = 0
            for child in clause.children:
                choice = self._narrowest(conjuncts_of(child) + others)
                if choice is None:
                    break
                found.append(choice)
                count += choice.key_count
            if len(found) == len(clause.children) and (not best or count < best_count):
                best = found
                best_count = count
        return best

    def _narrowest(self, conjuncts: list[MatchExpression]) -> IndexChoice | None:
        """Return the choice that reads the fewest keys for one clause of an $or."""
        best: IndexChoice | None = None
        for choice in promising_choices(self.entry.indexes, conjuncts, None):
            if not choice.has_bounds():
                continue
            choice.key_count = self._count_keys(choice)
            if best is None or choice.key_count < best.key_count:
                best = choice
        return best

    def _cheapest(
        self,
        filter: MatchExpression,
        wanted: Wanted,
        choices: list[IndexChoice],
        union: list[IndexChoice],
    ) -> Plan:
        sort, needed = wanted.sort, wanted.needed
        record_count = self.txn.count(self.entry.record_tree)
        matches = record_count
        for choice in choices:
            choice.key_count = self._count_keys(choice)
            if choice.has_bounds() and choice.key_count < matches:
                matches = choice.key_count
        union_count = sum([choice.key_count for choice in union])
        if union:
            matches = min(matches, union_count)
        best: IndexChoice | None = None
        best_cost = _cost(_SCAN_COST, record_count, matches, sort is not None, needed)
        for choice in choices:
            is_sorting = sort is not None and not choice.provides_sort
            unit = _COVERED_COST if choice.is_covering else _FETCH_COST
            cost = _cost(unit, choice.key_count, matches, is_sorting, needed)
            is_narrow = choice.has_bounds() and _is_narrow(choice.key_count, record_count)
            if cost < best_cost or (best is None and is_narrow):
                best = choice
                best_cost = cost
        if union:
            cost = _cost(_FETCH_COST, union_count, matches, sort is not None, needed)
            if cost < best_cost or (best is None and _is_narrow(union_count, record_count)):
                plan = Plan(filter, sort, None)
                plan.union = union
                plan.rejected = choices
                return plan
        if best is None:
            plan = _collection_plan(filter, sort, False)
        else:
            plan = Plan(filter, sort, best)
            plan.is_covered = best.is_covering
        plan.rejected = [choice for choice in choices if choice is not best]
        return plan

    def _count_keys(self, choice: IndexChoice) -> int:
        """Count the keys inside the intervals; beyond some intervals, by those counted so far."""
        intervals = choice.composite.intervals
        is_single = choice.definition.is_unique and choice.composite.is_points
        counted = 0
        tree_id = choice.definition.tree_id
        for interval in intervals[:_MAX_COUNTED_INTERVALS]:
            if is_single and interval.low is not None:  # which is a whole key
                counted += 0 if self.txn.get(tree_id, interval.low) is None else 1
            else:
                counted += self.txn.count_range(tree_id, interval.low, interval.high)
        if len(intervals) > _MAX_COUNTED_INTERVALS:
            counted = counted * len(intervals) // _MAX_COUNTED_INTERVALS
        return counted


def _is_narrow(key_count: int, record_count: int) -> bool:
    """Tell whether an index leaves so much out that it always comes before a collection scan."""
    return key_count * 4 <= record_count or record_count < _SMALL_COLLECTION


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


def _id_key(conjuncts: list[MatchExpression]) -> bytes | None:
    """Return the key of `_id` when some conjunct compares it for equality."""
    for conjunct in conjuncts:
        if not isinstance(conjunct, Comparison) or conjunct.path.text != "_id":
            continue
        if conjunct.operator == EQ:
            return conjunct.key
    return None


def _read_hint(hint: Hint) -> tuple[str, list[tuple[str, int]]]:
    if isinstance(hint, str):
        return hint, []
    pairs = list(hint.items()) if isinstance(hint, Mapping) else list(hint)
    fields: list[tuple[str, int]] = []
    for path, direction in pairs:
        if direction == HASHED_NAME:
            fields.append((str(path), HASHED))
        elif type(direction) is bool or not isinstance(direction, (int, float)):
            raise refusal(BAD_VALUE, f"a hint must give a direction for '{path}'")
        else:
            fields.append((str(path), 1 if direction > 0 else -1))
    return "", fields
