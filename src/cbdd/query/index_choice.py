"""What reading one index would mean for a query: its intervals, its order, what it leaves out.

A hidden index is never chosen. A sparse index lacks documents without any of its fields, a partial
one those that its filter does not match, a wildcard one those without the path: each is used only
if the query cannot match what it lacks. A hashed field only answers equality, and orders nothing.
"""

from __future__ import annotations

from cbdd.index.bounds import CompositeBounds, FieldBounds, composite_bounds, point
from cbdd.index.definition import IndexDefinition
from cbdd.index.interval import Interval, all_bounds, normalised
from cbdd.index.key_pattern import HASHED
from cbdd.index.key_string import CLASS_ARRAY, CLASS_NUMBER, CLASS_OBJECT
from cbdd.index.keys import hash_key
from cbdd.index.wildcard import WildcardPaths, path_key, virtual_definition
from cbdd.query.bounds_of import IndexBounds, common_path, index_bounds
from cbdd.query.implication import CompiledFilter, implies
from cbdd.query.matcher import MatchExpression
from cbdd.query.sort import SortPattern


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
        self.is_covering = False
        self.is_reverse = False
        self.key_count = 0

    def has_bounds(self) -> bool:
        return self.composite.field_count > 0


def promising_choices(
    indexes: list[IndexDefinition], conjuncts: list[MatchExpression], sort: SortPattern | None
) -> list[IndexChoice]:
    """Return the ways to read any of the indexes, but for some without bounds and without order.

    An index gives bounds only from its first field on, and the order of a sort that begins there.
    """
    first = [common_path(conjunct) for conjunct in conjuncts]
    if sort is not None:
        first.append(sort.fields[0][0])
    choices: list[IndexChoice] = []
    for definition in indexes:
        if definition.is_wildcard or definition.fields[0][0] in first:
            choices.extend(index_choices(definition, conjuncts, sort))
    return choices


def index_choices(
    definition: IndexDefinition, conjuncts: list[MatchExpression], sort: SortPattern | None
) -> list[IndexChoice]:
    """Return the ways in which an index can be read for a query; all hold every possible match."""
    if definition.is_hidden:
        return []
    if isinstance(definition.filter, CompiledFilter):
        if not implies(conjuncts, definition.filter.expression):
            return []
    if definition.is_wildcard:
        return _wildcard_choices(definition, conjuncts, sort)
    choice = read_index(definition, conjuncts, sort)
    return [choice] if holds_all_matches(choice) else []


def read_index(
    definition: IndexDefinition, conjuncts: list[MatchExpression], sort: SortPattern | None
) -> IndexChoice:
    """Return what reading `definition` would mean for the query."""
    bounds = index_bounds(definition, conjuncts)
    hashed = definition.hashed_field
    if hashed >= 0:
        bounds.fields[hashed] = _hashed_bounds(bounds.fields[hashed])
    return _composed(definition, bounds, sort)


def _composed(
    definition: IndexDefinition, bounds: IndexBounds, sort: SortPattern | None
) -> IndexChoice:
    choice = IndexChoice(definition, bounds, composite_bounds(definition, bounds.fields))
    if sort is not None:
        match_sort(choice, sort)
    return choice


def _hashed_bounds(bounds: FieldBounds | None) -> FieldBounds | None:
    """Return the hashes of single values; a range of values has no range of hashes."""
    if bounds is None:
        return None
    if not bounds.is_points:
        return all_bounds()  # not exact: what was asked of the field is still to be asked
    hashes: list[Interval] = []
    for interval in bounds.intervals:
        assert interval.low is not None
        hashes.append(point(hash_key(interval.low)))
    return FieldBounds(normalised(hashes), False)


def _wildcard_choices(
    definition: IndexDefinition, conjuncts: list[MatchExpression], sort: SortPattern | None
) -> list[IndexChoice]:
    """Return one choice per path of the query that the wildcard index holds."""
    held = WildcardPaths(definition)
    choices: list[IndexChoice] = []
    seen: set[str] = set()
    for conjunct in conjuncts:
        path = common_path(conjunct)
        if not path or path in seen or not held.holds(path.encode()):
            continue
        seen.add(path)
        if any([part.isdigit() for part in path.split(".")]):
            continue  # a part may be a position in an array, whose path has no such part
        virtual = virtual_definition(definition, path)
        bounds = index_bounds(virtual, conjuncts)
        values = bounds.fields[1]
        if values is not None and _are_scalars(values):
            bounds.fields[0] = FieldBounds([point(path_key(path.encode()))], True)
            choices.append(_composed(virtual, bounds, sort))
    return choices


def _are_scalars(bounds: FieldBounds) -> bool:
    """Tell whether bounds leave out null and missing values, documents and arrays.

    A wildcard index has no entry for a missing path, nor for a document or array as a whole.
    """
    for interval in bounds.intervals:
        low, high = interval.low, interval.high
        if low is None or high is None or low[0] < CLASS_NUMBER:
            return False
        if low[0] < CLASS_OBJECT and high > bytes([CLASS_OBJECT]):
            return False
        if CLASS_OBJECT <= low[0] <= CLASS_ARRAY:
            return False
    return True


def holds_all_matches(choice: IndexChoice) -> bool:
    """Tell whether a sparse index, or any other, holds every document that can match.

    A sparse index lacks documents without any of its fields, unless the bounds rule them out.
    """
    if not choice.definition.is_sparse:
        return True
    for i in range(choice.composite.field_count):
        bounds = choice.fields[i]
        if bounds is not None and not bounds.includes_missing:
            return True
    return False


def match_sort(choice: IndexChoice, sort: SortPattern) -> None:
    """Note in `choice` whether its keys come in the order of `sort`, and in which direction."""
    fields = choice.definition.fields
    at = 0
    direction = 0
    for path, wanted in sort.fields:
        while at < len(fields) and fields[at][0] != path and _is_constant(choice, at):
            at += 1
        if at < len(fields) and fields[at][0] == path:
            if fields[at][1] == HASHED or not _is_sortable(choice, at):
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
